//! What was submitted and is not acknowledged: the speculative state and the records to come.

use std::collections::{BTreeSet, VecDeque};

use rynxs_core::batch::{Batch, BatchLimits, Group, GroupError};
use rynxs_core::decide;
use rynxs_core::event::{Event, Trigger};
use rynxs_core::ids::{ObjectRef, Seq};
use rynxs_core::record::EncodedEvent;
use rynxs_core::state::{Position, ReduceError, State};

use super::concerns::concerns;

/// A fact larger than this starts a record of its own: with what may already be in the open record
/// (the byte limit) and with what follows, the format's limit stays far away.
const LARGE_FACT_BYTES: usize = 1 << 20;

/// State and records ahead of the log.
pub(super) struct Ledger {
    state: State,
    limits: BatchLimits,
    /// Position of the open batch's record.
    open_seq: Seq,
    open: Batch,
    /// Whom the decisions in the open batch concern.
    decided: BTreeSet<ObjectRef>,
    /// Full batches that wait for their turn; the first is sent next.
    closed: VecDeque<Batch>,
}

/// A fact that this program must not have submitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// It does not fit the state.
    #[error("{kind} does not fit the state: {error}")]
    Reduce {
        /// Its type.
        kind: &'static str,
        /// What the state says.
        error: ReduceError,
    },
    /// It fits no record.
    #[error("{kind} fits no record: {error}")]
    Group {
        /// Its type.
        kind: &'static str,
        /// Why.
        error: GroupError,
    },
    /// It, or what follows from it, is about an object that its record decides about already: the
    /// prediction whom it concerns was too narrow.
    #[error("{kind} led to a second decision in record {seq}")]
    Crowded {
        /// Its type.
        kind: &'static str,
        /// The record.
        seq: Seq,
    },
}

impl Ledger {
    pub(super) fn new(state: State, next: Seq, limits: BatchLimits) -> Self {
        Self {
            state,
            limits,
            open_seq: next,
            open: Batch::default(),
            decided: BTreeSet::new(),
            closed: VecDeque::new(),
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Whether nothing waits to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.closed.is_empty()
    }

    /// Records that wait to be sent.
    pub(super) fn queued(&self) -> usize {
        self.closed.len() + usize::from(!self.open.is_empty())
    }

    /// Whether a record waits that takes nothing more.
    pub(super) fn has_closed(&self) -> bool {
        !self.closed.is_empty() || self.open.is_full(self.limits)
    }

    /// Position of the record that the next fact goes to, unless that closes first.
    pub(super) fn next_seq(&self) -> Seq {
        self.open_seq
    }

    /// Position of the last record that anything was submitted to.
    pub(super) fn last_seq(&self) -> Seq {
        if self.open.is_empty() { Seq(self.open_seq.0.saturating_sub(1)) } else { self.open_seq }
    }

    /// Applies a fact and what follows from it; returns the record that they will be in.
    pub(super) fn submit(&mut self, fact: &Event) -> Result<Seq, LedgerError> {
        let kind = fact.kind();
        let encoded = EncodedEvent::new(fact);
        // The place is final before anything is applied: state remembers places, and decisions
        // name the place of their trigger.
        let crowded =
            !self.decided.is_empty() && !concerns(&self.state, fact).is_disjoint(&self.decided);
        let large = encoded.stored_len() > LARGE_FACT_BYTES;
        if !self.open.is_empty() && (crowded || large || self.open.is_full(self.limits)) {
            self.close();
        }
        let mut at = self.place(0);
        let sha256 = encoded.sha256();
        self.apply(at, fact)?;
        let trigger = Trigger { seq: at.seq, index: at.index, sha256 };
        let group_error = |error| LedgerError::Group { kind, error };
        let mut group = Group::new(encoded).map_err(group_error)?;
        for event in decide::follow_ups(&self.state, trigger, fact) {
            at = self.place(group.len());
            self.apply(at, &event)?;
            if matches!(event, Event::ActionsDecided { .. }) {
                self.decided.extend(concerns(&self.state, &event));
            }
            group.push(&event, EncodedEvent::new(&event)).map_err(group_error)?;
        }
        if !self.open.takes(&group, self.limits) {
            return Err(LedgerError::Crowded { kind, seq: at.seq });
        }
        self.open.push(group, self.limits);
        Ok(self.open_seq)
    }

    fn place(&self, offset: usize) -> Position {
        let index = u32::try_from(self.open.len() + offset).expect("a record holds 65,536 events");
        Position::new(self.open_seq, index)
    }

    fn apply(&mut self, at: Position, event: &Event) -> Result<(), LedgerError> {
        let kind = event.kind();
        self.state.apply(at, event).map_err(|error| LedgerError::Reduce { kind, error })
    }

    fn close(&mut self) {
        self.closed.push_back(std::mem::take(&mut self.open));
        self.decided.clear();
        self.open_seq = self.open_seq.next();
    }

    /// The next record's events, in order of positions; the open batch only if nothing else waits.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.closed.is_empty() && !self.open.is_empty() {
            self.close();
        }
        self.closed.pop_front()
    }
}
