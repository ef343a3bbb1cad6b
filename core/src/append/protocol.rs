//! The append protocol: one record, one key, until its fate is known.
//!
//! Owns I2 on the writing side. Why it holds: the bytes and the key never change, the store puts
//! only where nothing is, and keys are never deleted. So whatever became of earlier attempts, a
//! later one is answered 200 (it is stored now) or 412 (something is stored for ever), and then
//! reading tells own bytes from others'. Nothing else settles an append that may have been stored:
//! not a 404, because a put under way may still land; not a 403, because it speaks of itself only.

use std::sync::Arc;

use super::{Backoff, Fault, FaultCause, GetOutcome, PutOutcome};
use crate::ids::{Epoch, Seq, WriterId};
use crate::record::{EncodedRecord, decode};
use crate::time::Mono;

/// One append under way.
#[derive(Clone, Debug)]
pub struct Append {
    seq: Seq,
    bytes: Arc<[u8]>,
    deadline: Option<Mono>,
    backoff: Backoff,
    phase: Phase,
    /// An attempt may have been, or may yet be, stored. Never cleared.
    unknown: bool,
    last: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Putting,
    Reading,
    /// Waiting, then putting again.
    BeforePut,
    /// Waiting, then reading again.
    BeforeRead,
    Settled,
}

/// What the caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendStep {
    /// Put the record, if its place is free.
    Put,
    /// Read what is at the record's place.
    Get,
    /// Wait, then say [`AppendInput::Waited`].
    WaitUntil(Mono),
    /// The end.
    Done(Settled),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendInput {
    /// The put was answered.
    Put(PutOutcome),
    /// The read was answered.
    Get(GetOutcome),
    /// The wait is over.
    Waited,
}

/// How an append ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The record is in the log.
    Committed,
    /// Its place is taken by these other bytes, for ever; [`judge`] says what that means.
    Occupied(Vec<u8>),
    /// The store refuses and no attempt was stored: the installation is wrong.
    Config(Fault),
    /// The deadline passed first, or the local disk failed. Leadership ends; the next takeover
    /// finds out.
    Undecided {
        /// Whether an attempt may have been, or may yet be, stored.
        unknown: bool,
        /// The last attempt's fault.
        last: String,
    },
}

impl Append {
    /// Starts an append; the first step is always a put. Without a deadline it goes on until it is
    /// settled or dropped.
    #[must_use]
    pub fn new(record: &EncodedRecord, deadline: Option<Mono>, backoff: Backoff) -> Self {
        Self {
            seq: record.seq,
            bytes: Arc::clone(&record.bytes),
            deadline,
            backoff,
            phase: Phase::Putting,
            unknown: false,
            last: None,
        }
    }

    /// Place of the record.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The record's bytes, equal at every attempt.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Whether an attempt may have been, or may yet be, stored.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.unknown
    }

    /// Takes what happened and says what to do next. `random` is uniform, for the waits.
    ///
    /// # Panics
    /// If the input does not answer the last step.
    pub fn step(&mut self, input: AppendInput, now: Mono, random: u64) -> AppendStep {
        match (self.phase, input) {
            (Phase::Putting, AppendInput::Put(outcome)) => self.put(outcome, now, random),
            (Phase::Reading, AppendInput::Get(outcome)) => self.got(outcome, now, random),
            (Phase::BeforePut, AppendInput::Waited) => self.go(Phase::Putting, now),
            (Phase::BeforeRead, AppendInput::Waited) => self.go(Phase::Reading, now),
            (phase, input) => panic!("{input:?} does not answer a step of {phase:?}"),
        }
    }

    fn put(&mut self, outcome: PutOutcome, now: Mono, random: u64) -> AppendStep {
        match outcome {
            PutOutcome::Committed => self.settle(Settled::Committed),
            // Perhaps our own bytes, of an attempt whose answer was lost, be it by a proxy that
            // sent the request twice.
            PutOutcome::AlreadyExists => {
                self.backoff.reset();
                // Even at the deadline: one read settles it.
                self.phase = Phase::Reading;
                AppendStep::Get
            }
            PutOutcome::Unknown(fault) => {
                self.unknown = true;
                self.wait_unless_poisoned(&fault, now, random)
            }
            // Of this attempt it is certain that nothing was stored; of an earlier one it is not.
            PutOutcome::Refused(fault) if !self.unknown => self.settle(Settled::Config(fault)),
            PutOutcome::Refused(fault) => self.wait_unless_poisoned(&fault, now, random),
            PutOutcome::NotSent(why) => self.wait(Phase::BeforePut, why, now, random),
        }
    }

    /// A store whose disk failed takes nothing more until it is opened anew: waiting for the
    /// deadline would only keep others from leading.
    fn wait_unless_poisoned(&mut self, fault: &Fault, now: Mono, random: u64) -> AppendStep {
        if fault.cause == FaultCause::Disk {
            self.last = Some(fault.to_string());
            return self.undecided();
        }
        self.wait(Phase::BeforePut, fault.to_string(), now, random)
    }

    fn got(&mut self, outcome: GetOutcome, now: Mono, random: u64) -> AppendStep {
        match outcome {
            GetOutcome::Found(bytes) if bytes == *self.bytes => self.settle(Settled::Committed),
            GetOutcome::Found(bytes) => self.settle(Settled::Occupied(bytes)),
            // The put said that something is there, the read says that nothing is: the store
            // contradicts itself. Only another put can tell.
            GetOutcome::Missing => {
                self.unknown = true;
                let why = "the store answered 412 to the put, then 404 to the read".to_owned();
                self.wait(Phase::BeforePut, why, now, random)
            }
            GetOutcome::Unknown(fault) | GetOutcome::Refused(fault) => {
                self.wait(Phase::BeforeRead, fault.to_string(), now, random)
            }
        }
    }

    fn wait(&mut self, phase: Phase, why: String, now: Mono, random: u64) -> AppendStep {
        self.last = Some(why);
        let until = now + self.backoff.next(random);
        match self.deadline {
            Some(deadline) if now >= deadline => self.undecided(),
            Some(deadline) => {
                self.phase = phase;
                AppendStep::WaitUntil(until.min(deadline))
            }
            None => {
                self.phase = phase;
                AppendStep::WaitUntil(until)
            }
        }
    }

    fn go(&mut self, phase: Phase, now: Mono) -> AppendStep {
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return self.undecided();
        }
        self.phase = phase;
        if phase == Phase::Reading { AppendStep::Get } else { AppendStep::Put }
    }

    fn undecided(&mut self) -> AppendStep {
        let last = self.last.take().unwrap_or_else(|| "its place is taken".to_owned());
        self.settle(Settled::Undecided { unknown: self.unknown, last })
    }

    fn settle(&mut self, settled: Settled) -> AppendStep {
        self.phase = Phase::Settled;
        AppendStep::Done(settled)
    }
}

/// What it means that a leader's next place is taken by other bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A later leader writes the log now.
    Fenced {
        /// Its epoch, larger than ours.
        epoch: Epoch,
        /// Its identity.
        writer: WriterId,
    },
    /// No later epoch's record: two writers in one epoch, or no record at all. Halt, loudly.
    Corrupt(String),
}

/// Judges the bytes at a leader's next place, which are not its own.
#[must_use]
pub fn judge(seq: Seq, own: Epoch, bytes: &[u8]) -> Lost {
    let record = match decode(bytes) {
        Ok(record) => record,
        Err(error) => return Lost::Corrupt(format!("what stands at {seq} is no record: {error}")),
    };
    let header = record.header;
    if header.seq != seq {
        let found = header.seq;
        return Lost::Corrupt(format!("the record at {seq} says that it is number {found}"));
    }
    if header.epoch <= own {
        return Lost::Corrupt(format!(
            "record {seq} of epoch {} by {} is not ours, and our epoch is {own}: an epoch has one \
             writer",
            header.epoch, header.writer
        ));
    }
    Lost::Fenced { epoch: header.epoch, writer: header.writer }
}
