//! Where records are kept: one trait, and its two implementations over the ports.
//!
//! A store performs one attempt and says what the answer proves; it never retries, never advances
//! and never guesses. What follows from an answer is the append protocol's business
//! (`rynxs_core::append`). Owns the lower half of I2: `Committed` is said only of bytes that are
//! durable under their key, and `Unknown` of everything that may yet become so.

pub mod conformance;
mod file;
mod s3;

use bytes::Bytes;
use futures::future::BoxFuture;
pub use rynxs_core::append::{
    ExistsOutcome, Fault, FaultCause, GetOutcome, ListOutcome, Listed, PutOutcome, TailRepair,
};
use rynxs_core::ids::Seq;

pub use self::file::{FileLogStore, OpenError, SEGMENT_BYTES};
pub use self::s3::S3LogStore;

/// A log of records under dense sequence numbers, written by put-if-absent alone.
pub trait LogStore: Send + Sync {
    /// Puts a record if its place is free: one attempt, no retries.
    fn put(&self, seq: Seq, bytes: Bytes) -> BoxFuture<'_, PutOutcome>;

    /// Reads one record's exact bytes, without the newline of a file's line.
    fn get(&self, seq: Seq) -> BoxFuture<'_, GetOutcome>;

    /// Whether a record is there.
    fn exists(&self, seq: Seq) -> BoxFuture<'_, ExistsOutcome>;

    /// The first key after a position, or the first of all; it may be one that no record can have.
    fn first_key_after(&self, seq: Option<Seq>) -> BoxFuture<'_, ListOutcome>;

    /// Where the log is, for people: `s3://bucket/events` or `file:///var/lib/rynxs/log`.
    fn describe(&self) -> String;

    /// What this or an earlier opening of the store cut off, to be recorded with the next epoch:
    /// an epoch that began at a tear or behind it has recorded it.
    fn repaired(&self) -> Vec<TailRepair> {
        Vec::new()
    }
}
