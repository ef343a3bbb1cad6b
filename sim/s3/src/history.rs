//! Ground truth: every attempt to write, in the order in which it took effect or was refused.

use std::collections::VecDeque;

use bytes::Bytes;

/// One attempt to change what the store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteAttempt {
    /// Position in the history, from 0.
    pub number: u64,
    /// Number of the request, in order of arrival; a batch delete has several attempts.
    pub request: u64,
    /// When it took effect, Unix milliseconds.
    pub at_ms: u64,
    /// Name of the identity that signed it; none if nobody valid did.
    pub identity: Option<String>,
    /// Bucket.
    pub bucket: String,
    /// Key, empty for writes about the bucket itself.
    pub key: String,
    /// What was to be done.
    pub write: Write,
    /// Under which condition.
    pub condition: Option<Condition>,
    /// SHA-256 of the bytes, lower-case hex; empty if there were none.
    pub sha256: String,
    /// The bytes put.
    pub bytes: Bytes,
    /// What became of it in the store, whatever was answered.
    pub outcome: Outcome,
    /// Whether the store's own answer was sent; `false` if a fault lost or replaced it.
    pub answered: bool,
}

/// Kinds of writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// An object.
    Put,
    /// Removal of the current version, or a marker over it.
    Delete,
    /// Removal of one version for good.
    DeleteVersion(String),
    /// Anything else, by S3's name of the operation or HTTP method.
    Other(String),
}

/// The condition of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `If-None-Match: *`: only if the key has no current version.
    Absent,
    /// `If-Match`: only over this entity tag.
    Matches(String),
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect, as this version (`null` in buckets that keep none).
    Applied {
        /// Version id.
        version: String,
        /// Whether a current version was replaced: what put-if-absent must never do.
        replaced: bool,
    },
    /// It changed nothing.
    Refused {
        /// Status of the store's own answer.
        status: u16,
        /// S3's code, if known.
        code: String,
    },
}

/// More attempts than can be recorded between a request's effect and its answer: a batch delete has
/// at most 1,000, and every other request in between has one.
const LOOK_BACK: usize = 4096;

/// The history, bounded.
#[derive(Debug, Default)]
pub(crate) struct History {
    attempts: VecDeque<WriteAttempt>,
    next: u64,
    limit: usize,
}

impl History {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(crate) fn push(&mut self, mut attempt: WriteAttempt) {
        attempt.number = self.next;
        self.next += 1;
        self.attempts.push_back(attempt);
        while self.attempts.len() > self.limit {
            self.attempts.pop_front();
        }
    }

    /// Whether a request has been recorded; it can only be among the newest.
    pub(crate) fn has(&self, request: u64) -> bool {
        self.attempts.iter().rev().take(LOOK_BACK).any(|attempt| attempt.request == request)
    }

    pub(crate) fn all(&self) -> Vec<WriteAttempt> {
        self.attempts.iter().cloned().collect()
    }

    pub(crate) fn since(&self, from: u64) -> Vec<WriteAttempt> {
        let skip = usize::try_from(from.saturating_sub(self.dropped())).unwrap_or(usize::MAX);
        self.attempts.iter().skip(skip).cloned().collect()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.next - self.attempts.len() as u64
    }
}
