//! One record of the log: an atomic batch of events, as exact bytes.
//!
//! Owns the part of I1 that can be judged from one record alone: its form and its hash. The hash
//! covers the stored bytes themselves, which sit at a fixed offset, so verifying never serialises
//! anything again. There is exactly one way to write a record's content: whatever differs from the
//! canonical form (white space, key order, unknown or repeated keys, other escapes) is refused.
//! `docs/format/README.md` describes the bytes for other implementations.

mod decode;
mod encode;
mod error;
mod scan;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;

pub use decode::{RawEvent, Record, decode};
pub use encode::{EncodedEvent, encode};
pub use error::RecordError;
pub use text::sha256;

use crate::ids::{Epoch, Hash, Nonce, Seq, WriterId};
use crate::time::WallMs;

/// Version of the record format, field `v`.
pub const VERSION: u64 = 1;

/// Hashed before the body: a record's hash is never the hash of anything else.
pub const DOMAIN: &[u8] = b"rynxs.log.v1\n";

/// Largest record, bytes. A Kubernetes object is at most 1.5 MiB, so an observation and what was
/// decided about it stay below 4 MiB; the largest legitimate record is an `EpochStarted` that
/// replaces the pending decisions of 10,000 subjects at about 2.2 KiB each: 22 MiB.
pub const MAX_RECORD_BYTES: usize = 32 * 1024 * 1024;

/// Most events of one record: two for each of 10,000 subjects of an `EpochStarted`, tripled.
pub const MAX_EVENTS: usize = 65_536;

/// Longest writer, bytes: a pod name (253), `_` and a UUID (36) with room to spare.
pub const MAX_WRITER_BYTES: usize = 512;

/// Bytes of a record that are not its events, at most: 440 of names, numbers and hashes, and the
/// writer, whose every byte may be escaped to six.
pub const MAX_OVERHEAD_BYTES: usize = 440 + 6 * MAX_WRITER_BYTES;

/// Last position: names of objects have ten digits, and a listing sorts them as text.
pub const MAX_SEQ: Seq = Seq(9_999_999_999);

/// Largest stamp or epoch: the largest integer that every JSON reader keeps exactly.
pub const MAX_STAMP: u64 = (1 << 53) - 1;

/// What a record says besides its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Position, dense from 0.
    pub seq: Seq,
    /// Hash of the record before it; zeros at position 0.
    pub prev_hash: Hash,
    /// Epoch of the writer.
    pub epoch: Epoch,
    /// Identity of the writer's term.
    pub writer: WriterId,
    /// Drawn once per append, so that two appends never have the same bytes.
    pub nonce: Nonce,
    /// The writer's wall clock, for people only.
    pub ts_ms: WallMs,
}

/// One record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord {
    /// Position.
    pub seq: Seq,
    /// Hash of the record.
    pub hash: Hash,
    /// The stored bytes, without a line end.
    pub bytes: Arc<[u8]>,
}

/// Name of a record's object below the log's prefix.
#[must_use]
pub fn object_name(seq: Seq) -> String {
    format!("{:010}.json", seq.0)
}

/// The position that an object's name stands for, if it is exactly a record's name.
#[must_use]
pub fn parse_object_name(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(".json")?;
    if digits.len() != 10 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Seq)
}
