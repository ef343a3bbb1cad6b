//! What a log store answers, classified by what it proves.
//!
//! A store performs one attempt and never retries: whether an answer settles anything is the
//! protocol's business. The classes are chosen so that a wrong guess is impossible to write down:
//! an answer that leaves open whether the bytes were or will be stored can only be `Unknown`.

use std::fmt;

use crate::ids::{Hash, Seq};

/// Why an attempt was not answered by success; a closed list, also used as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultCause {
    /// 409: another request on the same key is under way, or lost the race.
    Conflict,
    /// 429, or 503 `SlowDown`.
    Throttled,
    /// Any other 5xx.
    ServerError,
    /// No whole answer in time, also 400 `RequestTimeout`.
    Timeout,
    /// The connection broke, or the answer could not be read.
    Connection,
    /// 401 or 403, also 400 `ExpiredToken`.
    AccessDenied,
    /// 404 `NoSuchBucket`.
    NoSuchBucket,
    /// 400, 501 and all else: the store does not do what was asked.
    Rejected,
    /// The local disk failed; the store is poisoned from here on.
    Disk,
}

/// One attempt's fault: its class, and the store's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Class.
    pub cause: FaultCause,
    /// Status, code and message as answered, shortened to 1,024 bytes.
    pub message: String,
}

impl Fault {
    /// Longest message kept, bytes: an answer must not fill the operator's logs.
    pub const MAX_MESSAGE_BYTES: usize = 1024;

    /// A fault with its message cut to [`Self::MAX_MESSAGE_BYTES`].
    #[must_use]
    pub fn new(cause: FaultCause, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > Self::MAX_MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(Self::MAX_MESSAGE_BYTES));
        }
        Self { cause, message }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.cause, self.message)
    }
}

/// What one put-if-absent was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// 200: these bytes are stored under the key, durably.
    Committed,
    /// 412: the key holds something; perhaps these very bytes, of an attempt whose answer was lost.
    AlreadyExists,
    /// 409, 429, 5xx, timeout, reset, and `RequestTimeout` or `ExpiredToken` behind a 400: they
    /// may be stored, or may be stored later.
    Unknown(Fault),
    /// The store refuses by its own word (403, no bucket, 501, bad request): *this attempt* stored
    /// nothing. It says nothing about earlier attempts.
    Refused(Fault),
    /// No byte left this machine: this attempt stored nothing.
    NotSent(String),
}

/// What one read of a record was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GetOutcome {
    /// The stored bytes, all of them.
    Found(Vec<u8>),
    /// 404: nothing was there when the store looked. A put under way may still land.
    Missing,
    /// No usable answer; also when the request was not sent.
    Unknown(Fault),
    /// The store refuses by its own word.
    Refused(Fault),
}

/// What one existence check was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExistsOutcome {
    /// The record is there.
    Yes,
    /// It was not there when the store looked.
    No,
    /// No usable answer; also when the request was not sent.
    Unknown(Fault),
    /// The store refuses by its own word.
    Refused(Fault),
}

/// What one listing of the first key after a position was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListOutcome {
    /// The first key after the position, if there is one.
    Next(Option<Listed>),
    /// No usable answer; also when the request was not sent.
    Unknown(Fault),
    /// The store refuses by its own word.
    Refused(Fault),
}

/// One key below the log's prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// The key of a record.
    Record(Seq),
    /// A key that no record can have, as the store names it.
    Foreign(String),
}

/// A torn last line that the local store cut off when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailRepair {
    /// Position of the record that the line would have been.
    pub at: Seq,
    /// Bytes removed.
    pub bytes: u64,
    /// SHA-256 of the bytes removed.
    pub sha256: Hash,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_message_is_cut_at_a_character() {
        let fault = Fault::new(FaultCause::Rejected, "ä".repeat(1000));
        assert_eq!(fault.message.len(), 1024);
        let fault = Fault::new(FaultCause::Rejected, format!("x{}", "ä".repeat(1000)));
        assert_eq!(fault.message.len(), 1023);
        assert!(fault.message.ends_with('ä'));
    }
}
