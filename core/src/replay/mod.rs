//! Replay: from verified records to the state, with the proof of every decision (I6).
//!
//! After each event that is no follow-up, the decision functions are asked again; the record must
//! go on with exactly their answer. What has no trigger, or another one, or a different action, is
//! a decision that our functions did not make, and the log is not accepted.
//!
//! A log outlives the binary that wrote it. Decisions of a `logic` version that this binary does
//! not carry are reduced like all others, their form is checked (trigger, hash of the actions), and
//! they are *counted* as not re-derivable: unknown is never green.

use crate::canonical;
use crate::decide;
use crate::error::ErrorKind;
use crate::event::{Event, Trigger};
use crate::ids::{Hash, Seq};
use crate::record::{Record, RecordError};
use crate::state::{Position, ReduceError, State};

/// Versions of the decision functions that this binary can make decisions with.
pub const CARRIED: [u32; 3] = [1, 2, decide::LOGIC];

/// Why a log's events are not what the decision functions would have left.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReplayError {
    /// An event cannot be read.
    #[error("an event cannot be read: {0}")]
    Unreadable(RecordError),
    /// An event does not fit the state.
    #[error("event {index}: {fault}")]
    Reduce {
        /// Its index in the record.
        index: u32,
        /// Why.
        fault: ReduceError,
    },
    /// The record goes on otherwise than decided.
    #[error("event {index}: expected {expected}, found {found}")]
    Decision {
        /// Index of the first event that differs.
        index: u32,
        /// What the decision functions say.
        expected: String,
        /// What the record says.
        found: String,
    },
}

impl ReplayError {
    /// What the caller must do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreadable(error) => error.kind(),
            Self::Reduce { .. } | Self::Decision { .. } => ErrorKind::Corrupt,
        }
    }
}

/// What a replay has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Epochs.
    pub epochs: u64,
    /// Decisions that were made again with the same result.
    pub decisions: u64,
    /// Events after which this binary would decide nothing, and nothing was decided.
    pub silent: u64,
    /// Decisions of a version that this binary does not carry.
    pub not_rederivable: u64,
}

/// What one record added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its position.
    pub seq: Seq,
    /// Its events.
    pub events: u32,
    /// Its decisions that were made again with the same result.
    pub decisions: u32,
    /// Its decisions that this binary cannot make.
    pub not_rederivable: u32,
}

/// A log that is being replayed.
#[derive(Clone, Debug, Default)]
pub struct Replayer {
    state: State,
    counts: Counts,
}

impl Replayer {
    /// Nothing replayed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from a state whose records were replayed before.
    #[must_use]
    pub fn resume(state: State) -> Self {
        Self { state, counts: Counts::default() }
    }

    /// The state after the last record.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Gives up the state.
    #[must_use]
    pub fn into_state(self) -> State {
        self.state
    }

    /// What was seen so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Replays a record that continues the chain.
    ///
    /// # Errors
    /// If an event cannot be read, does not fit, or is not what was to be decided. The replayer
    /// must then be dropped.
    pub fn push(&mut self, record: &Record<'_>) -> Result<Step, ReplayError> {
        let events = record.events().map_err(ReplayError::Unreadable)?;
        let hashed: Vec<_> = (0..events.len())
            .zip(events)
            .map(|(i, event)| (event, record.event_sha256(i)))
            .collect();
        self.push_events(record.header.seq, &hashed)
    }

    /// Replays the events of one record, each with the SHA-256 of its exact bytes.
    ///
    /// # Errors
    /// As [`Replayer::push`].
    pub fn push_events(&mut self, seq: Seq, events: &[(Event, Hash)]) -> Result<Step, ReplayError> {
        let mut step = Step { seq, events: 0, decisions: 0, not_rederivable: 0 };
        let mut rest = events;
        while let Some(((event, sha256), behind)) = rest.split_first() {
            if decide::is_follow_up(event) {
                return Err(surprise(step.events, None, Some(event)));
            }
            let trigger = Trigger { seq, index: step.events, sha256: *sha256 };
            self.apply(&mut step, event)?;
            let so_far = behind.iter().take_while(|(next, _)| decide::is_follow_up(next)).count();
            let (follow_ups, others) = behind.split_at(so_far);
            let logic = self.state.epoch().map_or(decide::LOGIC, |epoch| epoch.logic);
            if CARRIED.contains(&logic) {
                self.derive(&mut step, trigger, event, follow_ups)?;
            } else {
                self.accept(&mut step, trigger, follow_ups)?;
            }
            rest = others;
        }
        Ok(step)
    }

    fn apply(&mut self, step: &mut Step, event: &Event) -> Result<(), ReplayError> {
        let index = step.events;
        let fits = self.state.apply(Position::new(step.seq, index), event);
        fits.map_err(|fault| ReplayError::Reduce { index, fault })?;
        step.events += 1;
        self.counts.events += 1;
        self.counts.epochs += u64::from(matches!(event, Event::EpochStarted { .. }));
        Ok(())
    }

    /// Decides again and compares.
    fn derive(
        &mut self,
        step: &mut Step,
        trigger: Trigger,
        event: &Event,
        found: &[(Event, Hash)],
    ) -> Result<(), ReplayError> {
        let expected = decide::follow_ups(&self.state, trigger, event);
        self.counts.silent += u64::from(expected.is_empty());
        for (i, wanted) in expected.iter().enumerate() {
            match found.get(i) {
                Some((found, _)) if found == wanted => {}
                other => {
                    let found = other.map(|(event, _)| event);
                    return Err(surprise(step.events, Some(wanted), found));
                }
            }
            self.apply(step, wanted)?;
            if matches!(wanted, Event::ActionsDecided { .. }) {
                step.decisions += 1;
                self.counts.decisions += 1;
            }
        }
        match found.get(expected.len()) {
            Some((extra, _)) => Err(surprise(step.events, None, Some(extra))),
            None => Ok(()),
        }
    }

    /// Takes over what another version decided, as far as its form can be checked.
    fn accept(
        &mut self,
        step: &mut Step,
        expected: Trigger,
        found: &[(Event, Hash)],
    ) -> Result<(), ReplayError> {
        let current = self.state.epoch().map(|epoch| epoch.logic);
        for (event, _) in found {
            if let Event::ActionsDecided { trigger, logic, actions, actions_sha256, .. } = event {
                let fits = *trigger == expected
                    && Some(*logic) == current
                    && canonical::hash_of(actions) == *actions_sha256;
                if !fits {
                    return Err(surprise(step.events, None, Some(event)));
                }
                step.not_rederivable += 1;
                self.counts.not_rederivable += 1;
            }
            self.apply(step, event)?;
        }
        Ok(())
    }
}

fn surprise(index: u32, expected: Option<&Event>, found: Option<&Event>) -> ReplayError {
    let told = |event: Option<&Event>| event.map_or_else(|| "no decision".to_owned(), summary);
    ReplayError::Decision { index, expected: told(expected), found: told(found) }
}

/// A follow-up in one line, for people.
fn summary(event: &Event) -> String {
    match event {
        Event::ActionsDecided { subject, actions, trigger, .. } => {
            let actions: Vec<_> = actions
                .iter()
                .map(|a| {
                    let content =
                        a.content.map_or(String::new(), |c| format!(" {:.8}", c.to_string()));
                    format!("{:?} {} ({:?}){content}", a.verb, a.object, a.reason)
                })
                .collect();
            format!(
                "a decision about {subject} after event {} [{}]",
                trigger.index,
                actions.join(", ")
            )
        }
        Event::ActionSuperseded { subject, decision, actions, .. } => {
            format!("actions {actions:?} of decision {decision} about {subject} superseded")
        }
        other => other.kind().to_owned(),
    }
}
