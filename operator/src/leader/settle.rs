//! What a number higher than our own says, settled by the log.

use std::sync::Arc;

use rynxs_core::ids::{Epoch, ObjectRef, Seq, Stamp};
use serde_json::Value;

use super::LeaderEnd;
use super::term::{Done, Term};
use crate::journal::Journal;
use crate::store::{ExistsOutcome, LogStore};

/// The log as a writer of objects sees it.
#[derive(Clone)]
pub(super) struct LogView {
    pub(super) journal: Journal,
    pub(super) store: Arc<dyn LogStore>,
    /// Stamps of this log are `base + seq`.
    pub(super) base: u64,
}

/// Whose the higher stamp is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Higher {
    /// A later decision of our own.
    Ours,
    /// A record that we have not written: a newer epoch leads.
    Newer,
    /// No record: the log was cut.
    Missing(Seq),
    /// The log could not be asked.
    Unknown(String),
}

impl LogView {
    /// Asks the log. A decision is written to the cluster only after its record is stored, so a
    /// stamp beyond the log's end is never an early one.
    pub(super) async fn settle(&self, stamp: Stamp) -> Higher {
        let seq = Seq(stamp.0.saturating_sub(self.base));
        if self.journal.acked().is_some_and(|acked| seq <= acked) {
            return Higher::Ours;
        }
        match self.store.exists(seq).await {
            ExistsOutcome::Yes => Higher::Newer,
            ExistsOutcome::No => Higher::Missing(seq),
            other => {
                Higher::Unknown(format!("the log did not say whether {seq} exists: {other:?}"))
            }
        }
    }
}

impl Term {
    /// A status was refused, perhaps for the epoch that it carries: reads which epoch the living
    /// one has, and asks the log about a higher one.
    pub(super) fn ask_epoch(&mut self, subject: &ObjectRef) {
        let (tools, subject) = (self.tools.clone(), subject.clone());
        self.tasks.push(Box::pin(async move {
            let live = tools.kube.get(&subject).await.ok().flatten();
            let epoch = live.as_ref().and_then(|live| live.pointer("/status/controllerEpoch"));
            let epoch = Epoch(epoch.and_then(Value::as_u64).unwrap_or(0));
            let whose = match epoch > tools.leadership.epoch() {
                true => tools.view.settle(Stamp(epoch.0)).await,
                false => Higher::Ours,
            };
            Done::HigherEpoch(subject, epoch, whose)
        }));
    }

    /// An epoch starts with a record: a higher one proves that another leader took over, or that
    /// the log lost what that leader wrote.
    pub(super) fn epoch_settled(&mut self, subject: &ObjectRef, epoch: Epoch, whose: Higher) {
        match whose {
            Higher::Newer => self.end = Some(LeaderEnd::Fenced),
            Higher::Missing(seq) => {
                let why = format!(
                    "{subject} has controllerEpoch {epoch}, but the log has no record {seq}"
                );
                tracing::error!(why, "the log was cut");
                self.end = Some(LeaderEnd::Halted(why));
            }
            // It is not higher, or cannot be settled now: the status is written again later.
            Higher::Ours | Higher::Unknown(_) => {}
        }
    }
}
