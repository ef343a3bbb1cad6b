//! What is wrong with a record's bytes: where, what was expected, what was found.

use crate::error::ErrorKind;
use crate::ids::Hash;

/// Bytes that are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Larger than [`super::MAX_RECORD_BYTES`].
    #[error("record has {len} bytes, the limit is {limit}")]
    TooLarge {
        /// Its length.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// Not the canonical form.
    #[error("byte {at}: expected {expected}, found {found}")]
    Form {
        /// Offset in the stored bytes.
        at: usize,
        /// What has to stand there.
        expected: &'static str,
        /// What stands there, shortened.
        found: String,
    },
    /// The stored bytes are not those that were hashed.
    #[error("event_hash says {stored}, the stored bytes hash to {computed}")]
    Hash {
        /// The hash in the record.
        stored: Hash,
        /// The hash of the bytes in the record.
        computed: Hash,
    },
    /// A record of another format version.
    #[error("format version is {found}, this build reads version {known}")]
    Version {
        /// The record's version.
        found: u64,
        /// The version that this build reads.
        known: u64,
    },
    /// More events than [`super::MAX_EVENTS`].
    #[error("record has more than {limit} events")]
    TooManyEvents {
        /// The limit.
        limit: usize,
    },
    /// Canonical JSON, but no event that this build knows.
    #[error("event {index} of type {kind:?} is not well formed: {message}")]
    Event {
        /// Position in the record.
        index: usize,
        /// Its `type`.
        kind: String,
        /// What the reader of the type says.
        message: String,
    },
}

impl RecordError {
    /// All of these mean that the log is not what it must be.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Corrupt
    }
}
