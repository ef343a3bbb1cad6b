//! What the log says is so: the state that every decision reads, reduced from the events.
//!
//! State is a function of the events alone (I6); nothing enters it from elsewhere. It holds the
//! observed Agents and Sessions, what was written for them, what is decided and not done yet, and
//! deadlines. Its size depends on the number of living objects, never on the length of the log.
//!
//! **Invariant I5** is kept here: an outcome is accepted only for an action that is pending, and a
//! subject gets a new decision only after its pending actions are superseded.

mod index;
mod inherit;
mod outcome;
mod reduce;
mod subject;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::event::{Action, DecisionSettings, Timer};
use crate::ids::{Epoch, Hash, Key, LogId, ObjectRef, Seq, Stamp, Uid, WriterId};
use index::Index;

pub use reduce::ReduceError;
pub use subject::{
    Admission, AgentState, Ending, Failure, Finish, ObjectState, SessionState, Template, Volume,
};

/// From this logic on a claim that is bound is as good as one never refused: only then can it grow.
pub(crate) const BOUND_CLEARS_FAILURE: u32 = 3;

/// Place of an event: its record and its index in it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// Record.
    pub seq: Seq,
    /// Index in the record.
    pub index: u32,
}

impl Position {
    /// A place from its parts.
    #[must_use]
    pub const fn new(seq: Seq, index: u32) -> Self {
        Self { seq, index }
    }
}

/// Identity of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogInfo {
    /// Identity of this log.
    pub log_id: LogId,
    /// Stamps and epochs are `base + seq`.
    pub base: u64,
    /// Logs whose objects this one takes over.
    pub predecessors: Vec<LogId>,
}

/// The current term.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochInfo {
    /// `base + seq` of its `EpochStarted`.
    pub epoch: Epoch,
    /// Who leads.
    pub identity: WriterId,
    /// Version of the binary.
    pub build: String,
    /// Version of the decision functions.
    pub logic: u32,
    /// Every setting that decisions read.
    pub settings: DecisionSettings,
    /// Raised whenever `logic` or `settings` differ from the epoch before: what was decided under
    /// an older revision may have to be decided again.
    pub revision: u32,
}

/// A decided action that has no outcome yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingAction {
    /// Record of the decision.
    pub decision: Seq,
    /// Index in the decision's actions.
    pub index: u32,
    /// The subject's incarnation.
    pub subject_uid: Uid,
    /// What is to be done.
    pub action: Action,
}

/// The reduced state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Place of the last event applied.
    last: Option<Position>,
    log: Option<LogInfo>,
    epoch: Option<EpochInfo>,
    agents: BTreeMap<Key, AgentState>,
    sessions: BTreeMap<Key, SessionState>,
    objects: BTreeMap<ObjectRef, ObjectState>,
    pending: BTreeMap<ObjectRef, Vec<PendingAction>>,
    /// Unwanted objects whose deletion was refused for good: not decided again for this uid.
    abandoned: BTreeMap<ObjectRef, Uid>,
    /// Records covered by the newest checkpoint.
    checkpointed: u64,
    /// Everything below is derived from the above and no part of the digest.
    #[serde(skip)]
    index: Index,
}

impl State {
    /// The state before record 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All Agents, by namespace and name.
    pub fn agents(&self) -> impl Iterator<Item = (&Key, &AgentState)> {
        self.agents.iter()
    }

    /// All Sessions, by namespace and name.
    pub fn sessions(&self) -> impl Iterator<Item = (&Key, &SessionState)> {
        self.sessions.iter()
    }

    /// All managed objects that were written and not deleted since.
    pub fn objects(&self) -> impl Iterator<Item = (&ObjectRef, &ObjectState)> {
        self.objects.iter()
    }

    /// One Agent.
    #[must_use]
    pub fn agent(&self, key: &Key) -> Option<&AgentState> {
        self.agents.get(key)
    }

    /// One Session.
    #[must_use]
    pub fn session(&self, key: &Key) -> Option<&SessionState> {
        self.sessions.get(key)
    }

    pub(crate) fn agent_entry(&self, key: &Key) -> Option<(&Key, &AgentState)> {
        self.agents.get_key_value(key)
    }

    pub(crate) fn session_entry(&self, key: &Key) -> Option<(&Key, &SessionState)> {
        self.sessions.get_key_value(key)
    }

    /// One managed object.
    #[must_use]
    pub fn object(&self, object: &ObjectRef) -> Option<&ObjectState> {
        self.objects.get(object)
    }

    /// Decided actions of a subject without an outcome, in the order of their execution.
    #[must_use]
    pub fn pending(&self, subject: &ObjectRef) -> &[PendingAction] {
        self.pending.get(subject).map_or(&[], Vec::as_slice)
    }

    /// Subjects that have pending actions.
    pub fn pending_subjects(&self) -> impl Iterator<Item = &ObjectRef> {
        self.pending.keys()
    }

    /// Identity of the log; none before record 0.
    #[must_use]
    pub fn log(&self) -> Option<&LogInfo> {
        self.log.as_ref()
    }

    /// Whether this log replaces one that the cluster still carries the numbers of.
    #[must_use]
    pub fn is_successor(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.base > 0)
    }

    /// The current term; none before the first `EpochStarted`.
    #[must_use]
    pub fn epoch(&self) -> Option<&EpochInfo> {
        self.epoch.as_ref()
    }

    /// Place of the last event applied.
    #[must_use]
    pub fn last(&self) -> Option<Position> {
        self.last
    }

    /// Number of records covered by the newest checkpoint that the log mentions.
    #[must_use]
    pub fn checkpointed(&self) -> u64 {
        self.checkpointed
    }

    /// The stamp of a decision made in this record.
    #[must_use]
    pub fn stamp(&self, decision: Seq) -> Stamp {
        Stamp(self.log.as_ref().map_or(0, |log| log.base).saturating_add(decision.0))
    }

    /// Deadlines by time: when, whose, which incarnation, which deadline.
    pub fn timers(&self) -> impl Iterator<Item = (u64, ObjectRef, &Uid, Timer)> {
        self.index.timers().filter_map(|(due_ms, key, timer)| {
            let session = self.sessions.get(key)?;
            Some((due_ms, crate::resource::children::session(key), &session.uid, timer))
        })
    }

    /// Sessions that wait for their agent or a free place, first come first served.
    pub fn waiting_sessions(&self, agent: &Key) -> impl Iterator<Item = &Key> {
        self.index.waiting(agent)
    }

    /// Sessions of an agent that were started and have not ended.
    pub fn running_sessions(&self, agent: &Key) -> impl Iterator<Item = &Key> {
        self.index.running(agent)
    }

    /// The agent whose session the last event made forgotten.
    pub(crate) fn freed(&self) -> Option<&Key> {
        self.index.freed.as_ref()
    }

    /// How many sessions of an agent were started and have not ended.
    #[must_use]
    pub fn running_count(&self, agent: &Key) -> usize {
        self.index.running_count(agent)
    }

    /// Whether the deletion of this unwanted object was refused for good.
    #[must_use]
    pub fn is_abandoned(&self, object: &ObjectRef, uid: &Uid) -> bool {
        self.abandoned.get(object) == Some(uid)
    }

    /// SHA-256 of the canonical JSON of the whole state: equal states, equal digests, on every
    /// build and replica. Costs as much as writing out the state.
    #[must_use]
    pub fn digest(&self) -> Hash {
        canonical::hash_of(self)
    }

    /// The state as a snapshot value, which [`State::from_snapshot`] reads.
    #[must_use]
    pub fn snapshot(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("our types have string keys and finite numbers")
    }

    /// A state from a snapshot.
    ///
    /// # Errors
    /// If the value is no snapshot.
    pub fn from_snapshot(value: serde_json::Value) -> Result<Self, serde_json::Error> {
        let mut state: State = serde_json::from_value(value)?;
        for (key, session) in &state.sessions {
            state.index.insert(key, session);
        }
        Ok(state)
    }
}
