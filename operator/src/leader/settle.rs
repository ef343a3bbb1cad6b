//! What a stamp higher than our own says, settled by the log.

use std::sync::Arc;

use rynxs_core::ids::{Seq, Stamp};

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
