//! The takeover's steps.

use std::time::Duration;

use super::tail::{ProbeFault, TailSearch};
use crate::append::{Backoff, ExistsOutcome, Fault, ListOutcome, Listed, PutOutcome, TwoWinners};
use crate::error::ErrorKind;
use crate::ids::Seq;
use crate::time::Mono;

/// Waits of a takeover. It ends only with the term, so an unreachable store is asked again for as
/// long as this replica may lead.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));

/// A takeover under way.
#[derive(Clone, Debug)]
pub struct Takeover {
    /// Position of the first record that is not verified yet.
    unread: Seq,
    /// Position behind the last record, as far as it is known.
    end: Seq,
    /// Whether the store was seen refusing a second record 0.
    first_is_kept: bool,
    phase: Phase,
    backoff: Backoff,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Searching(TailSearch),
    Listing,
    Reading,
    PuttingFirst,
    Asking,
    StartingLog,
    StartingEpoch,
    Waiting(Box<Phase>),
    Ended,
}

/// What the driver does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeoverStep {
    /// Ask at once whether these records exist; answer in this order.
    Probe(Vec<Seq>),
    /// List the first key after a position, or the first of all.
    ListAfter(Option<Seq>),
    /// Read the records `from..to` onto the chain, in order.
    Read {
        /// The first.
        from: Seq,
        /// Behind the last.
        to: Seq,
    },
    /// Put the stored bytes of record 0 once more: the store must answer 412.
    PutFirstAgain,
    /// Say whether this replica may lead at this moment.
    AskLease,
    /// Append a `LogStarted` at position 0, several times at once.
    StartLog,
    /// Append an `EpochStarted` with `epoch = base + seq` here, several times at once.
    StartEpoch(Seq),
    /// Wait, then say [`TakeoverInput::Waited`].
    WaitUntil(Mono),
    /// The log is ours: the `EpochStarted` at this position is in it.
    Leads(Seq),
    /// The end without leadership.
    Failed(TakeoverFault),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeoverInput {
    /// The probes were answered.
    Probed(Vec<(Seq, ExistsOutcome)>),
    /// The listing was answered.
    Listed(ListOutcome),
    /// Reading came this far: the position of the first record that is not verified, and why it
    /// stopped there if that is not the end.
    Read {
        /// First unverified position.
        next: Seq,
        /// Why reading stopped.
        fault: Option<TakeoverFault>,
    },
    /// The second put of record 0 was answered.
    FirstPutAgain(PutOutcome),
    /// Whether this replica may lead.
    Lease(bool),
    /// The append protocol ended.
    Appended(Appended),
    /// The wait is over.
    Waited,
}

/// How an append of a takeover ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The record is in the log.
    Committed,
    /// Other bytes took its place first.
    Occupied,
    /// The store refuses.
    Config(Fault),
    /// The store let several puts win.
    TwoWinners(TwoWinners),
}

/// Why a takeover ended, or did not get further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeoverFault {
    /// The store gave no usable answer; the takeover itself tries again.
    #[error("no usable answer from the log store: {0}")]
    Retry(String),
    /// The log is not what it must be.
    #[error("{0}")]
    Corrupt(String),
    /// The store refuses, or is not fit to hold a log.
    #[error("{0}")]
    Config(String),
    /// This replica may not lead any more.
    #[error("this replica may not lead any more")]
    NotLeading,
}

impl TakeoverFault {
    /// What the caller does.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Retry(_) => ErrorKind::Retry,
            Self::Corrupt(_) => ErrorKind::Corrupt,
            Self::Config(_) => ErrorKind::Config,
            Self::NotLeading => ErrorKind::Fenced,
        }
    }
}

impl Takeover {
    /// Starts a takeover of a log whose records below `verified` are verified already.
    #[must_use]
    pub fn new(verified: Seq) -> (Self, TakeoverStep) {
        let search = TailSearch::from(verified);
        let step = TakeoverStep::Probe(search.probes());
        let takeover = Self {
            unread: verified,
            end: verified,
            first_is_kept: false,
            phase: Phase::Searching(search),
            backoff: BACKOFF,
        };
        (takeover, step)
    }

    /// Takes what happened and says what to do next. `random` is uniform, for the waits.
    ///
    /// # Panics
    /// If the input does not answer the last step.
    pub fn step(&mut self, input: TakeoverInput, now: Mono, random: u64) -> TakeoverStep {
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        match (phase, input) {
            (Phase::Searching(search), TakeoverInput::Probed(answers)) => {
                self.probed(search, &answers, now, random)
            }
            (Phase::Listing, TakeoverInput::Listed(outcome)) => self.listed(outcome, now, random),
            (Phase::Reading, TakeoverInput::Read { next, fault }) => {
                self.read(next, fault, now, random)
            }
            (Phase::PuttingFirst, TakeoverInput::FirstPutAgain(outcome)) => {
                self.first_put(outcome, now, random)
            }
            (Phase::Asking, TakeoverInput::Lease(may_lead)) => self.lease(may_lead),
            (Phase::StartingLog, TakeoverInput::Appended(end)) => self.log_started(end),
            (Phase::StartingEpoch, TakeoverInput::Appended(end)) => self.epoch_started(end),
            (Phase::Waiting(phase), TakeoverInput::Waited) => self.enter(*phase),
            (phase, input) => panic!("{input:?} does not answer a step of {phase:?}"),
        }
    }

    /// The step that belongs to a phase.
    fn enter(&mut self, phase: Phase) -> TakeoverStep {
        let step = match &phase {
            Phase::Searching(search) => TakeoverStep::Probe(search.probes()),
            Phase::Listing => TakeoverStep::ListAfter(self.end.0.checked_sub(1).map(Seq)),
            Phase::Reading => TakeoverStep::Read { from: self.unread, to: self.end },
            Phase::PuttingFirst => TakeoverStep::PutFirstAgain,
            Phase::Asking => TakeoverStep::AskLease,
            Phase::StartingLog => TakeoverStep::StartLog,
            Phase::StartingEpoch => TakeoverStep::StartEpoch(self.end),
            Phase::Waiting(_) | Phase::Ended => unreachable!("never entered, only left"),
        };
        self.phase = phase;
        step
    }

    fn wait(&mut self, then: Phase, now: Mono, random: u64) -> TakeoverStep {
        self.phase = Phase::Waiting(Box::new(then));
        TakeoverStep::WaitUntil(now + self.backoff.next(random))
    }

    /// Looks for the tail behind a position whose record is known to exist.
    fn search_behind(&mut self, seq: Seq) -> TakeoverStep {
        self.backoff.reset();
        self.enter(Phase::Searching(TailSearch::from(seq.next())))
    }

    fn probed(
        &mut self,
        mut search: TailSearch,
        answers: &[(Seq, ExistsOutcome)],
        now: Mono,
        random: u64,
    ) -> TakeoverStep {
        match search.answered(answers) {
            Err(ProbeFault::Retry(_)) => return self.wait(Phase::Searching(search), now, random),
            Err(ProbeFault::Config(why)) => {
                return TakeoverStep::Failed(TakeoverFault::Config(why));
            }
            Ok(()) => self.backoff.reset(),
        }
        match search.end() {
            Some(end) => {
                self.end = end;
                self.enter(Phase::Listing)
            }
            None => self.enter(Phase::Searching(search)),
        }
    }

    fn listed(&mut self, outcome: ListOutcome, now: Mono, random: u64) -> TakeoverStep {
        let corrupt = |why| TakeoverStep::Failed(TakeoverFault::Corrupt(why));
        let end = self.end;
        match outcome {
            ListOutcome::Unknown(_) => self.wait(Phase::Listing, now, random),
            ListOutcome::Refused(fault) => {
                TakeoverStep::Failed(TakeoverFault::Config(fault.to_string()))
            }
            ListOutcome::Next(None) if self.unread < end => self.enter(Phase::Reading),
            ListOutcome::Next(None) => self.verified(),
            // It grew while we looked: whoever appended was still allowed to.
            ListOutcome::Next(Some(Listed::Record(seq))) if seq == end => self.search_behind(seq),
            ListOutcome::Next(Some(Listed::Record(seq))) if seq > end => corrupt(format!(
                "record {end} is missing, but record {seq} exists: the log has a hole"
            )),
            ListOutcome::Next(Some(Listed::Record(seq))) => TakeoverStep::Failed(
                TakeoverFault::Config(format!("a listing from record {end} on shows record {seq}")),
            ),
            ListOutcome::Next(Some(Listed::Foreign(name))) => corrupt(format!(
                "behind the log's last record there is {name:?}, which is no record's name: \
                 nothing else may be kept below the log's prefix"
            )),
        }
    }

    fn read(
        &mut self,
        next: Seq,
        fault: Option<TakeoverFault>,
        now: Mono,
        random: u64,
    ) -> TakeoverStep {
        assert!(self.unread <= next && next <= self.end, "reading stays within what was asked");
        if next > self.unread {
            self.backoff.reset();
        }
        self.unread = next;
        match fault {
            None => {
                assert_eq!(next, self.end, "reading that stops early says why");
                self.verified()
            }
            Some(TakeoverFault::Retry(_)) => self.wait(Phase::Reading, now, random),
            Some(fault) => TakeoverStep::Failed(fault),
        }
    }

    /// Everything up to the tail is verified.
    fn verified(&mut self) -> TakeoverStep {
        if self.end > Seq::ZERO && !self.first_is_kept {
            return self.enter(Phase::PuttingFirst);
        }
        self.enter(Phase::Asking)
    }

    fn first_put(&mut self, outcome: PutOutcome, now: Mono, random: u64) -> TakeoverStep {
        match outcome {
            PutOutcome::AlreadyExists => {
                self.first_is_kept = true;
                self.backoff.reset();
                self.enter(Phase::Asking)
            }
            PutOutcome::Committed => TakeoverStep::Failed(TakeoverFault::Config(
                "record 0 exists, but putting it again with `If-None-Match: *` was answered 200: \
                 this store ignores the condition, so it cannot hold the log"
                    .to_owned(),
            )),
            PutOutcome::Unknown(_) | PutOutcome::NotSent(_) => {
                self.wait(Phase::PuttingFirst, now, random)
            }
            PutOutcome::Refused(fault) => {
                TakeoverStep::Failed(TakeoverFault::Config(fault.to_string()))
            }
        }
    }

    fn lease(&mut self, may_lead: bool) -> TakeoverStep {
        if !may_lead {
            return TakeoverStep::Failed(TakeoverFault::NotLeading);
        }
        let log_exists = self.end > Seq::ZERO;
        self.enter(if log_exists { Phase::StartingEpoch } else { Phase::StartingLog })
    }

    fn log_started(&mut self, end: Appended) -> TakeoverStep {
        match end {
            Appended::Committed => {
                self.end = Seq(1);
                self.unread = Seq(1);
                self.verified()
            }
            // Somebody else started the log: theirs it is, with their base.
            Appended::Occupied => self.search_behind(Seq::ZERO),
            other => failed(other),
        }
    }

    fn epoch_started(&mut self, end: Appended) -> TakeoverStep {
        match end {
            Appended::Committed => TakeoverStep::Leads(self.end),
            // A late record of the old leader, or another candidate's EpochStarted: either way it
            // is verified, becomes part of what we build on, and the lease is asked about again.
            Appended::Occupied => self.search_behind(self.end),
            other => failed(other),
        }
    }
}

fn failed(end: Appended) -> TakeoverStep {
    TakeoverStep::Failed(TakeoverFault::Config(match end {
        Appended::Config(fault) => fault.to_string(),
        Appended::TwoWinners(winners) => winners.to_string(),
        Appended::Committed | Appended::Occupied => unreachable!("handled by the caller"),
    }))
}
