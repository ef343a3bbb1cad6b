//! The chain: which record may follow which.
//!
//! Owns I1 (dense seq, every hash and prev_hash right) and I3 (epochs never decrease, each has one
//! writer). A record that passes continues the log; anything else is corruption, never repaired.
//!
//! The rules, beyond the form that `record` checks:
//! - Record 0 holds exactly one event, `LogStarted`, and its epoch is that event's `base`.
//! - `LogStarted` stands nowhere else; `EpochStarted` stands only first in a record.
//! - A record with `EpochStarted` has `epoch = base + seq`, in its header and in the event, and is
//!   written by the identity in the event. As seq grows, so do epochs.
//! - Every other record has the epoch and the writer of the record before it.

use crate::error::ErrorKind;
use crate::event::Event;
use crate::ids::{Epoch, Hash, LogId, Nonce, Seq, Stamp, WriterId};
use crate::record::{EncodedRecord, Header, MAX_SEQ, MAX_STAMP, Record, RecordError, decode};
use crate::time::WallMs;

/// A record that does not continue the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {seq}: {fault}")]
pub struct ChainError {
    /// Position at which a record was expected.
    pub seq: Seq,
    /// What is wrong.
    pub fault: ChainFault,
}

impl ChainError {
    /// The log is not what it must be.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Corrupt
    }
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// The bytes are no record.
    #[error("{0}")]
    Record(RecordError),
    /// Another position than the next one.
    #[error("its seq is {found}, expected {expected}")]
    Seq {
        /// The next position.
        expected: Seq,
        /// The record's.
        found: Seq,
    },
    /// Another predecessor.
    #[error("its prev_hash is {found}, the record before it has hash {expected}")]
    PrevHash {
        /// Hash of the record before.
        expected: Hash,
        /// The record's.
        found: Hash,
    },
    /// The first record is not a log's first record.
    #[error("a log starts with one LogStarted alone, found {found}")]
    NotGenesis {
        /// Types of its events.
        found: String,
    },
    /// `LogStarted` or `EpochStarted` where it cannot stand.
    #[error("event {index} is {kind}, which cannot stand there")]
    Misplaced {
        /// Position in the record.
        index: usize,
        /// Its type.
        kind: String,
    },
    /// The epoch in the header or in the event is wrong.
    #[error("its epoch is {found}, expected {expected} ({why})")]
    Epoch {
        /// The only right one.
        expected: Epoch,
        /// The record's.
        found: Epoch,
        /// Which rule.
        why: &'static str,
    },
    /// A second writer in one epoch.
    #[error("epoch {epoch} is written by {found}, its writer is {expected}")]
    Writer {
        /// The epoch.
        epoch: Epoch,
        /// Its writer.
        expected: WriterId,
        /// The record's.
        found: WriterId,
    },
    /// Stamps would leave the range that every reader keeps exactly.
    #[error("base {base} is too large: stamps must stay below {MAX_STAMP}")]
    Base {
        /// The base.
        base: u64,
    },
}

/// The point that a log has reached: what the next record must continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainPoint {
    /// Identity of the log.
    pub log_id: LogId,
    /// Number at which its stamps start.
    pub base: u64,
    /// Position of the next record.
    pub next_seq: Seq,
    /// Hash of the last record.
    pub head_hash: Hash,
    /// Epoch of the last record.
    pub epoch: Epoch,
    /// Writer of that epoch.
    pub writer: WriterId,
}

/// A log that is being read or written from one end to the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    point: Option<ChainPoint>,
}

impl Chain {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A log whose records up to a point were verified before, for example by a checkpoint.
    #[must_use]
    pub fn resume(point: ChainPoint) -> Self {
        Self { point: Some(point) }
    }

    /// Where the log stands; `None` while it is empty.
    #[must_use]
    pub fn point(&self) -> Option<&ChainPoint> {
        self.point.as_ref()
    }

    /// Position of the next record.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.point.as_ref().map_or(Seq::ZERO, |point| point.next_seq)
    }

    /// Hash of the last record; zeros while the log is empty.
    #[must_use]
    pub fn head_hash(&self) -> Hash {
        self.point.as_ref().map_or(Hash::ZERO, |point| point.head_hash)
    }

    /// Epoch of the last record.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.point.as_ref().map(|point| point.epoch)
    }

    /// Writer of the last record's epoch.
    #[must_use]
    pub fn writer(&self) -> Option<&WriterId> {
        self.point.as_ref().map(|point| &point.writer)
    }

    /// Number at which the log's stamps start.
    #[must_use]
    pub fn base(&self) -> Option<u64> {
        self.point.as_ref().map(|point| point.base)
    }

    /// Identity of the log.
    #[must_use]
    pub fn log_id(&self) -> Option<&LogId> {
        self.point.as_ref().map(|point| &point.log_id)
    }

    /// Verifies that a record continues the log, and goes on behind it. A record that is refused
    /// leaves the chain where it was.
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> Result<Record<'a>, ChainError> {
        let seq = self.next_seq();
        let record = self.check(bytes).map_err(|fault| ChainError { seq, fault })?;
        Ok(record)
    }

    /// Goes on behind a record that this process has encoded for this very point.
    ///
    /// # Panics
    /// If the record is not the one for this point: the caller numbers its records by this chain.
    pub fn advance(&mut self, header: &Header, record: &EncodedRecord) {
        let point = self.point.as_mut().expect("a log is written to behind its first record");
        assert_eq!(header.seq, point.next_seq, "records are written in order");
        assert_eq!(header.prev_hash, point.head_hash, "a record continues the one before it");
        assert_eq!(record.seq, header.seq, "the header is the record's own");
        point.next_seq = record.seq.next();
        point.head_hash = record.hash;
        point.epoch = header.epoch;
        point.writer = header.writer.clone();
    }

    /// Header of the next record of the current epoch.
    ///
    /// # Panics
    /// If the log is empty.
    #[must_use]
    pub fn next_header(&self, nonce: Nonce, ts_ms: WallMs) -> Header {
        let point = self.point.as_ref().expect("a log is written to behind its first record");
        Header {
            seq: point.next_seq,
            prev_hash: point.head_hash,
            epoch: point.epoch,
            writer: point.writer.clone(),
            nonce,
            ts_ms,
        }
    }

    /// Header of the next record if it opens an epoch: `epoch = base + seq` of that very record, so
    /// an epoch is unique and larger than every earlier one without any counter.
    ///
    /// # Panics
    /// If the log is empty.
    #[must_use]
    pub fn next_epoch_header(&self, writer: WriterId, nonce: Nonce, ts_ms: WallMs) -> Header {
        let header = self.next_header(nonce, ts_ms);
        let base = self.point.as_ref().expect("checked by next_header").base;
        Header { epoch: Epoch(base + header.seq.0), writer, ..header }
    }

    fn check<'a>(&mut self, bytes: &'a [u8]) -> Result<Record<'a>, ChainFault> {
        let record = decode(bytes).map_err(ChainFault::Record)?;
        let header = &record.header;
        let (expected, prev) = (self.next_seq(), self.head_hash());
        if header.seq != expected || header.seq > MAX_SEQ {
            return Err(ChainFault::Seq { expected, found: header.seq });
        }
        if header.prev_hash != prev {
            return Err(ChainFault::PrevHash { expected: prev, found: header.prev_hash });
        }
        match &mut self.point {
            None => self.point = Some(genesis(&record)?),
            Some(point) => continues(point, &record)?,
        }
        Ok(record)
    }
}

/// What a log's first record says; its position and predecessor are checked already.
fn genesis(record: &Record<'_>) -> Result<ChainPoint, ChainFault> {
    let header = &record.header;
    let first = record.raw_event(0);
    if record.event_count() != 1 || first.kind != "LogStarted" {
        let kinds: Vec<_> = record.raw_events().take(3).map(|event| event.kind).collect();
        return Err(ChainFault::NotGenesis { found: kinds.join(", ") });
    }
    let Event::LogStarted { log_id, base, .. } = record.event(0).map_err(ChainFault::Record)?
    else {
        return Err(ChainFault::Misplaced { index: 0, kind: first.kind.to_owned() });
    };
    if base > MAX_STAMP - MAX_SEQ.0 {
        return Err(ChainFault::Base { base });
    }
    if header.epoch != Epoch(base) {
        return Err(ChainFault::Epoch {
            expected: Epoch(base),
            found: header.epoch,
            why: "the epoch of record 0 is the log's base",
        });
    }
    Ok(ChainPoint {
        log_id,
        base,
        next_seq: Seq(1),
        head_hash: record.hash,
        epoch: header.epoch,
        writer: header.writer.clone(),
    })
}

/// Moves a point behind a record that continues it.
fn continues(point: &mut ChainPoint, record: &Record<'_>) -> Result<(), ChainFault> {
    let header = &record.header;
    for (index, event) in record.raw_events().enumerate() {
        if event.kind == "LogStarted" || (event.kind == "EpochStarted" && index > 0) {
            return Err(ChainFault::Misplaced { index, kind: event.kind.to_owned() });
        }
    }
    if record.raw_event(0).kind == "EpochStarted" {
        opens_epoch(point.base, record)?;
        point.epoch = header.epoch;
        point.writer = header.writer.clone();
    } else {
        if header.epoch != point.epoch {
            return Err(ChainFault::Epoch {
                expected: point.epoch,
                found: header.epoch,
                why: "the epoch changes only at an EpochStarted",
            });
        }
        if header.writer != point.writer {
            return Err(ChainFault::Writer {
                epoch: point.epoch,
                expected: point.writer.clone(),
                found: header.writer.clone(),
            });
        }
    }
    point.next_seq = header.seq.next();
    point.head_hash = record.hash;
    Ok(())
}

fn opens_epoch(base: u64, record: &Record<'_>) -> Result<(), ChainFault> {
    const WHY: &str = "an epoch is base + seq of its EpochStarted";
    let header = &record.header;
    let expected = Epoch(base + header.seq.0);
    let event = record.event(0).map_err(ChainFault::Record)?;
    let Event::EpochStarted { epoch, identity, .. } = event else {
        return Err(ChainFault::Misplaced { index: 0, kind: event.kind().to_owned() });
    };
    for found in [header.epoch, epoch] {
        if found != expected {
            return Err(ChainFault::Epoch { expected, found, why: WHY });
        }
    }
    if identity != header.writer {
        return Err(ChainFault::Writer {
            epoch: expected,
            expected: identity,
            found: header.writer.clone(),
        });
    }
    Ok(())
}

/// Stamp of a decision in a record of a log.
#[must_use]
pub fn stamp(base: u64, seq: Seq) -> Stamp {
    Stamp(base + seq.0)
}

/// Position of the record that a stamp of this log names; `None` below the log's first.
#[must_use]
pub fn seq_of_stamp(base: u64, stamp: Stamp) -> Option<Seq> {
    stamp.0.checked_sub(base).map(Seq)
}
