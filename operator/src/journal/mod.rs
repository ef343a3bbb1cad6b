//! The journal: facts in, records out, one at a time.
//!
//! Facts are applied to one speculative state as they are submitted, and what follows from them is
//! decided at that moment and put right behind them, into the same record (I6: replay finds the
//! same state at the same place). Records are formed by group commit: one put is in flight, and
//! while it is, the next record fills. Effects wait for the acknowledgement of their decision's
//! record (I5); nothing is ever acknowledged that is not in the log (I2, by `rynxs_core::append`).
//!
//! A journal that lost its log, or does not know whether it did, ends; the whole tree of futures
//! around it is dropped and a new term rebuilds everything from the log.

mod append;
mod concerns;
mod ledger;
mod pump;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures::future::BoxFuture;
use rynxs_core::append::Fault;
use rynxs_core::batch::BatchLimits;
use rynxs_core::chain::Chain;
use rynxs_core::config;
use rynxs_core::error::ErrorKind;
use rynxs_core::event::Event;
use rynxs_core::ids::{Epoch, Hash, Seq, WriterId};
use rynxs_core::state::State;
use rynxs_core::time::Mono;

pub(crate) use append::Appender;
pub use ledger::LedgerError;

use crate::observe::{Queue, Signal};
use ledger::Ledger;

/// Records that may wait behind the one in flight. Whoever submits observations stops far earlier
/// (at 256 unacknowledged records); outcomes of effects under way are at most a few more.
pub const MAX_QUEUED_RECORDS: usize = 1024;

/// Queue length at which observers are told that the log does not keep up.
const QUEUE_WARNING: usize = MAX_QUEUED_RECORDS / 4;

/// Cheap to clone; all clones are one journal.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    appender: Appender,
    settings: config::Append,
    inner: Mutex<Inner>,
}

struct Inner {
    ledger: Ledger,
    /// Stands at the last acknowledged record.
    chain: Chain,
    /// When the open batch is sent at the latest.
    due: Option<Mono>,
    in_flight: bool,
    end: Option<JournalEnd>,
    pump: Option<Waker>,
    waiting: Vec<Waker>,
}

/// Why a journal ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalEnd {
    /// A later leader writes the log.
    #[error("fenced by epoch {epoch} of {writer}")]
    Fenced {
        /// Its epoch.
        epoch: Epoch,
        /// Its identity.
        writer: WriterId,
    },
    /// An append was not settled in time; the next takeover finds out.
    #[error("append not settled in time ({}): {last}", if *unknown { "it may be stored" } else { "it was never sent" })]
    Undecided {
        /// Whether the record may be stored.
        unknown: bool,
        /// The last attempt's fault.
        last: String,
    },
    /// The log is not what it must be.
    #[error("{0}")]
    Halt(String),
    /// The store refuses.
    #[error("the log store refuses: {0}")]
    Config(Fault),
    /// An invariant of this program is broken.
    #[error("{0}")]
    Bug(String),
    /// The pump was dropped: the term is over.
    #[error("the term is over")]
    Dropped,
}

impl JournalEnd {
    /// What the caller does.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Fenced { .. } | Self::Dropped => ErrorKind::Fenced,
            Self::Undecided { .. } => ErrorKind::Retry,
            Self::Halt(_) => ErrorKind::Corrupt,
            Self::Config(_) => ErrorKind::Config,
            Self::Bug(_) => ErrorKind::Bug,
        }
    }
}

/// The journal takes no more facts and acknowledges no more records; the pump says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal is closed: {0}")]
pub struct JournalClosed(pub JournalEnd);

impl Journal {
    /// A journal behind an `EpochStarted` that is in the log: `chain` stands behind that record and
    /// `state` is reduced up to it.
    pub(crate) fn new(
        appender: Appender,
        settings: config::Append,
        chain: Chain,
        state: State,
    ) -> Self {
        let limits = BatchLimits {
            max_events: settings.max_events as usize,
            max_bytes: settings.max_bytes as usize,
        };
        let ledger = Ledger::new(state, chain.next_seq(), limits);
        let inner = Inner {
            ledger,
            chain,
            due: None,
            in_flight: false,
            end: None,
            pump: None,
            waiting: Vec::new(),
        };
        Self { shared: Arc::new(Shared { appender, settings, inner: Mutex::new(inner) }) }
    }

    /// Submits facts, in order. Each is applied to the speculative state at once, with everything
    /// that follows from it. Returns the record that the last of them will be in.
    ///
    /// # Errors
    /// If the journal has ended, or ends now because a fact does not fit the state; [`run`] says
    /// why.
    ///
    /// [`run`]: Journal::run
    pub fn record(&self, facts: Vec<Event>) -> Result<Seq, JournalClosed> {
        let now = self.shared.appender.clock.now();
        let mut inner = self.lock();
        if let Some(end) = &inner.end {
            return Err(JournalClosed(end.clone()));
        }
        for fact in &facts {
            let idle = inner.ledger.is_empty() && !inner.in_flight;
            let before = inner.ledger.next_seq();
            match inner.ledger.submit(fact) {
                Ok(seq) if idle => {
                    debug_assert_eq!(seq, before);
                    // An idle log adds no latency.
                    inner.due = Some(now);
                }
                Ok(seq) if inner.due.is_none() || seq != before => {
                    inner.due = Some(now + self.shared.settings.flush_delay);
                }
                Ok(_) => {}
                Err(error) => return Err(self.fail(&mut inner, error.to_string())),
            }
        }
        let queued = inner.ledger.queued();
        if queued > MAX_QUEUED_RECORDS {
            let why =
                format!("{queued} records wait for the log, the limit is {MAX_QUEUED_RECORDS}");
            return Err(self.fail(&mut inner, why));
        }
        let seq = inner.ledger.last_seq();
        let pump = inner.pump.take();
        drop(inner);
        self.shared.appender.observer.signal(Signal::QueueDepth(Queue::Journal, queued));
        if queued >= QUEUE_WARNING {
            self.shared.appender.observer.signal(Signal::QueueFull(Queue::Journal));
        }
        if let Some(pump) = pump {
            pump.wake();
        }
        Ok(seq)
    }

    /// Looks at the speculative state: everything submitted, acknowledged or not.
    pub fn with_state<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(self.lock().ledger.state())
    }

    /// The last acknowledged record; there is always one, the `EpochStarted` of this term.
    #[must_use]
    pub fn acked(&self) -> Option<Seq> {
        self.lock().chain.next_seq().0.checked_sub(1).map(Seq)
    }

    /// The last acknowledged record and its hash.
    #[must_use]
    pub fn acked_head(&self) -> (Seq, Hash) {
        let inner = self.lock();
        let seq = inner.chain.next_seq().0.checked_sub(1).map(Seq);
        (seq.expect("a journal stands behind an EpochStarted"), inner.chain.head_hash())
    }

    /// The last record that something was submitted to.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.lock().ledger.last_seq()
    }

    /// Epoch of this term.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.lock().chain.epoch().expect("a journal stands behind an EpochStarted")
    }

    /// Ends when a record is acknowledged.
    #[must_use]
    pub fn wait_acked(&self, seq: Seq) -> BoxFuture<'static, Result<(), JournalClosed>> {
        Box::pin(WaitAcked { journal: self.clone(), seq })
    }

    /// Sends records until the journal ends. To be polled by one owner; when it is dropped, the
    /// journal is closed.
    pub fn run(&self) -> impl Future<Output = JournalEnd> + Send + 'static + use<> {
        pump::run(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().expect("nobody panics while holding the journal")
    }

    fn fail(&self, inner: &mut Inner, why: String) -> JournalClosed {
        let end = JournalEnd::Bug(why);
        inner.close(end.clone());
        JournalClosed(end)
    }
}

impl Inner {
    /// Ends the journal, for the first reason given, and wakes everybody who waits.
    fn close(&mut self, end: JournalEnd) {
        self.end.get_or_insert(end);
        self.wake_waiting();
        if let Some(pump) = self.pump.take() {
            pump.wake();
        }
    }

    fn wake_waiting(&mut self) {
        for waker in self.waiting.drain(..) {
            waker.wake();
        }
    }
}

struct WaitAcked {
    journal: Journal,
    seq: Seq,
}

impl Future for WaitAcked {
    type Output = Result<(), JournalClosed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = self.journal.lock();
        if self.seq < inner.chain.next_seq() {
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = &inner.end {
            return Poll::Ready(Err(JournalClosed(end.clone())));
        }
        if !inner.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            inner.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
