//! Takeover: makes the log this term's own, and the state that it says.
//!
//! Drives the pure machine of `rynxs_core::takeover` over a store: probes and reads several records
//! at once, verifies and reduces them in order, refuses a log that does not go with the cluster,
//! and appends `LogStarted` and `EpochStarted`. The first append of the term is sent several times
//! at once: a store that lets two win is refused before anything depends on it.
//!
//! Nothing else happens before that append is acknowledged: no effect, no observation (I3, I5).

mod read;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::join_all;
use rynxs_core::append::{PutOutcome, RACERS, Settled, TailRepair};
use rynxs_core::batch::{Group, GroupError};
use rynxs_core::chain::Chain;
use rynxs_core::config::Config;
use rynxs_core::decide;
use rynxs_core::error::ErrorKind;
use rynxs_core::event::{Event, Trigger};
use rynxs_core::genesis::{self, ClusterStamps, Genesis, Lineage, LineageError};
use rynxs_core::ids::{Epoch, Hash, LogId, Seq, WriterId};
use rynxs_core::record::{EncodedEvent, EncodedRecord, Header, encode};
use rynxs_core::state::{Position, ReduceError, State};
use rynxs_core::takeover::{Appended, Takeover, TakeoverFault, TakeoverInput, TakeoverStep};

use crate::journal::{Appender, Journal};
use crate::observe::{Observer, Signal};
use crate::ports::Ports;
use crate::store::LogStore;

/// Why a takeover ended without leadership.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeoverEnd {
    /// This replica may not lead any more.
    #[error("this replica may not lead any more")]
    NotLeading,
    /// The store refuses, or is not fit to hold a log.
    #[error("log store {place}: {why}")]
    Config {
        /// Where the log is.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The store did not say in time what became of the term's first record: the next takeover
    /// finds out.
    #[error("log store {place}: no telling in time whether the epoch's record is stored: {last}")]
    Undecided {
        /// Where the log is.
        place: String,
        /// The last attempt's fault.
        last: String,
    },
    /// The log and the cluster do not go together.
    #[error(transparent)]
    Lineage(#[from] Box<LineageError>),
    /// The log is not what it must be.
    #[error("the log at {place} is corrupt: {why}")]
    Corrupt {
        /// Where the log is.
        place: String,
        /// What is wrong, and where.
        why: String,
    },
    /// An invariant of this program is broken.
    #[error("{0}")]
    Bug(String),
}

impl TakeoverEnd {
    /// What the caller does.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotLeading => ErrorKind::Fenced,
            Self::Undecided { .. } => ErrorKind::Retry,
            Self::Config { .. } | Self::Lineage(_) => ErrorKind::Config,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Bug(_) => ErrorKind::Bug,
        }
    }
}

/// What a takeover needs besides the store.
pub struct Claim<'a> {
    /// The ports.
    pub ports: &'a Ports,
    /// Whom to tell.
    pub observer: &'a Arc<dyn Observer>,
    /// The settings.
    pub config: &'a Config,
    /// Identity of this term.
    pub identity: &'a WriterId,
    /// What a consistent list of the cluster, begun before, carries of our numbers.
    pub seen: &'a ClusterStamps,
    /// Set while an append may be under way: a takeover that is dropped then leaves its successor
    /// something to settle.
    pub appending: &'a AtomicBool,
}

/// Takes the log over. Goes on as long as `may_lead` says so: an unreachable store is asked again,
/// not given up.
///
/// # Errors
/// If this replica may not lead any more, or a person has to look; see [`TakeoverEnd`].
pub async fn take_over(
    claim: Claim<'_>,
    store: &Arc<dyn LogStore>,
    may_lead: &(dyn Fn() -> bool + Send + Sync),
) -> Result<Journal, TakeoverEnd> {
    let appender = Appender::new(claim.ports, store, claim.observer);
    let mut driver = Driver {
        place: store.describe(),
        began: appender.clock.now(),
        appender,
        claim,
        may_lead,
        chain: Chain::new(),
        state: State::new(),
        first: None,
        records: 0,
        events: 0,
    };
    let seq = driver.run().await?;
    let Driver { appender, claim, chain, state, .. } = driver;
    let epoch = chain.epoch().expect("EpochStarted is in the chain");
    tracing::info!(%seq, %epoch, identity = %claim.identity, "leading: the log is ours");
    claim.observer.signal(Signal::LogHead { seq, epoch });
    Ok(Journal::new(appender, claim.config.append.clone(), chain, state))
}

struct Driver<'a> {
    place: String,
    began: rynxs_core::time::Mono,
    appender: Appender,
    claim: Claim<'a>,
    may_lead: &'a (dyn Fn() -> bool + Send + Sync),
    chain: Chain,
    state: State,
    /// Stored bytes of record 0.
    first: Option<Bytes>,
    records: u64,
    events: u64,
}

impl Driver<'_> {
    async fn run(&mut self) -> Result<Seq, TakeoverEnd> {
        let (mut takeover, mut step) = Takeover::new(Seq::ZERO);
        loop {
            let input = match step {
                TakeoverStep::Probe(asked) => self.probe(asked).await,
                TakeoverStep::ListAfter(after) => {
                    TakeoverInput::Listed(self.appender.store.first_key_after(after).await)
                }
                TakeoverStep::Read { from, to } => self.read(from, to).await,
                TakeoverStep::PutFirstAgain => self.put_first_again().await,
                TakeoverStep::AskLease => TakeoverInput::Lease((self.may_lead)()),
                TakeoverStep::StartLog => self.start_log().await?,
                TakeoverStep::StartEpoch(seq) => self.start_epoch(seq).await?,
                TakeoverStep::WaitUntil(until) => {
                    self.appender.clock.sleep_until(until).await;
                    TakeoverInput::Waited
                }
                TakeoverStep::Leads(seq) => return Ok(seq),
                TakeoverStep::Failed(fault) => return Err(self.end(fault)),
            };
            self.note(&input);
            step = takeover.step(input, self.appender.clock.now(), self.appender.random());
        }
    }

    fn end(&self, fault: TakeoverFault) -> TakeoverEnd {
        let place = self.place.clone();
        match fault {
            TakeoverFault::NotLeading => TakeoverEnd::NotLeading,
            TakeoverFault::Corrupt(why) => TakeoverEnd::Corrupt { place, why },
            TakeoverFault::Config(why) => TakeoverEnd::Config { place, why },
            TakeoverFault::Retry(why) => {
                TakeoverEnd::Bug(format!("a takeover gave up on what is to be retried: {why}"))
            }
        }
    }

    async fn probe(&self, asked: Vec<Seq>) -> TakeoverInput {
        let answers = asked.into_iter().map(|seq| async move {
            let answer = self.appender.store.exists(seq).await;
            (seq, answer)
        });
        TakeoverInput::Probed(join_all(answers).await)
    }

    /// The store must refuse a second record 0. Its bytes are equal, so nothing can be lost.
    async fn put_first_again(&self) -> TakeoverInput {
        let first = self.first.clone().expect("record 0 was read or written before");
        let outcome = self.appender.store.put(Seq::ZERO, first).await;
        if let PutOutcome::Refused(fault) = &outcome {
            tracing::error!(place = %self.place, %fault, "the store refuses to be tried");
        }
        TakeoverInput::FirstPutAgain(outcome)
    }

    async fn start_log(&mut self) -> Result<TakeoverInput, TakeoverEnd> {
        let on_missing = self.claim.config.log_sink.on_missing_log;
        let Genesis { base, predecessors } =
            genesis::start(self.claim.seen, on_missing, &self.place)?;
        if !self.claim.seen.is_empty() {
            tracing::warn!(
                place = %self.place, base, seen = %self.claim.seen,
                "the log is empty: starting a new one above everything that the cluster carries"
            );
        }
        let log_id = LogId(self.appender.nonce().to_string());
        let event = Event::LogStarted { log_id, base, predecessors };
        let header = Header {
            seq: Seq::ZERO,
            prev_hash: Hash::ZERO,
            epoch: Epoch(base),
            writer: self.claim.identity.clone(),
            nonce: self.appender.nonce(),
            ts_ms: self.appender.clock.wall(),
        };
        let event = EncodedEvent::new(&event);
        let record = encode(&header, std::slice::from_ref(&event));
        let input = self.append(&record).await?;
        if input == TakeoverInput::Appended(Appended::Committed) {
            self.claim.observer.signal(Signal::EventAppended(event.kind()));
            self.accept(&record.bytes).map_err(|fault| self.bug(&fault))?;
        }
        Ok(input)
    }

    async fn start_epoch(&mut self, seq: Seq) -> Result<TakeoverInput, TakeoverEnd> {
        assert_eq!(seq, self.chain.next_seq(), "everything before it is verified");
        self.check_lineage()?;
        let identity = self.claim.identity.clone();
        let header = self.chain.next_epoch_header(
            identity.clone(),
            self.appender.nonce(),
            self.appender.clock.wall(),
        );
        // On a copy: if another record takes the place, this one never was.
        let mut state = self.state.clone();
        let group = self
            .epoch_events(&mut state, &header)
            .map_err(|error| TakeoverEnd::Bug(error.to_string()))?;
        let record = encode(&header, group.events());
        let input = self.append(&record).await?;
        if input == TakeoverInput::Appended(Appended::Committed) {
            let kinds = group.events().iter().map(EncodedEvent::kind);
            kinds.for_each(|kind| self.claim.observer.signal(Signal::EventAppended(kind)));
            self.chain
                .push(&record.bytes)
                .map_err(|error| TakeoverEnd::Bug(format!("our own record: {error}")))?;
            self.state = state;
        }
        Ok(input)
    }

    /// `EpochStarted`, what follows from it, and what the store repaired when it was opened.
    fn epoch_events(&self, state: &mut State, header: &Header) -> Result<Group, EpochError> {
        let started = Event::EpochStarted {
            epoch: header.epoch,
            identity: header.writer.clone(),
            build: self.claim.config.build.clone(),
            logic: decide::LOGIC,
            settings: self.claim.config.decisions.clone(),
        };
        state.apply(Position::new(header.seq, 0), &started)?;
        let encoded = EncodedEvent::new(&started);
        let trigger = Trigger { seq: header.seq, index: 0, sha256: encoded.sha256() };
        let mut group = Group::new(encoded)?;
        let mut add = |state: &mut State, event: &Event| {
            let index = u32::try_from(group.len()).expect("a record holds 65,536 events");
            state.apply(Position::new(header.seq, index), event)?;
            group.push(event, EncodedEvent::new(event)).map_err(EpochError::from)
        };
        for event in decide::follow_ups(state, trigger, &started) {
            add(state, &event)?;
        }
        // Whatever was repaired before an epoch began is in that epoch's first record.
        let base = self.state.log().map_or(0, |log| log.base);
        let recorded = self.state.epoch().map(|current| Seq(current.epoch.0 - base));
        for TailRepair { at, bytes, sha256 } in self.appender.store.repaired() {
            if recorded.is_none_or(|began| began < at) {
                add(state, &Event::TailRepaired { bytes, sha256 })?;
            }
        }
        Ok(group)
    }

    /// Refuses a log that cannot have given the numbers that the cluster carries.
    fn check_lineage(&self) -> Result<(), TakeoverEnd> {
        let log = self.state.log().expect("a log starts with LogStarted");
        let lineage = Lineage {
            log_id: &log.log_id,
            base: log.base,
            predecessors: &log.predecessors,
            next_seq: self.chain.next_seq(),
            epoch: self.chain.epoch().expect("a log starts with an epoch"),
            place: &self.place,
        };
        Ok(lineage.check(self.claim.seen)?)
    }

    /// Appends; ambiguity is settled by sending the same bytes again. A store that has still not
    /// said what became of them at the deadline ends the term: a Lease that is renewed over a log
    /// that cannot be written keeps everybody out, and only a log that is opened anew gets over a
    /// disk that failed.
    async fn append(&self, record: &EncodedRecord) -> Result<TakeoverInput, TakeoverEnd> {
        let seq = record.seq;
        let deadline = self.appender.clock.now() + self.claim.config.append.deadline;
        self.claim.appending.store(true, Ordering::SeqCst);
        let settled = self.appender.append(record, Some(deadline), RACERS).await;
        self.claim.appending.store(false, Ordering::SeqCst);
        Ok(TakeoverInput::Appended(match settled {
            Ok(Settled::Committed) => Appended::Committed,
            Ok(Settled::Occupied(_)) => {
                tracing::info!(%seq, "another record took the place first: building on it");
                Appended::Occupied
            }
            Ok(Settled::Config(fault)) => Appended::Config(fault),
            Ok(Settled::Undecided { last, .. }) => {
                let place = self.place.clone();
                return Err(TakeoverEnd::Undecided { place, last });
            }
            Err(winners) => Appended::TwoWinners(winners),
        }))
    }

    fn bug(&self, fault: &TakeoverFault) -> TakeoverEnd {
        TakeoverEnd::Bug(format!("our own record does not continue the log: {fault}"))
    }
}

/// Why the first record of an epoch cannot be written.
#[derive(Debug, thiserror::Error)]
enum EpochError {
    #[error("what follows from EpochStarted does not fit the state: {0}")]
    Reduce(#[from] ReduceError),
    #[error("the record of EpochStarted: {0}")]
    Group(#[from] GroupError),
}
