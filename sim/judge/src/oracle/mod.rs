//! One oracle per invariant, each in the file named after it.

mod i1_chain;
mod i2_durable;
mod i3_epoch;
mod i4_fenced;
mod i5_intent;

use crate::history::{History, LogObject};
use crate::record::LogRecord;
use crate::verdict::{Invariant, Report};

/// Judges every invariant that a history of writes can show.
#[must_use]
pub fn judge(history: &History) -> Report {
    Report {
        verdicts: vec![
            (Invariant::I1Chain, i1_chain::judge(history)),
            (Invariant::I2Durable, i2_durable::judge(history)),
            (Invariant::I3Epoch, i3_epoch::judge(history)),
            (Invariant::I4Fenced, i4_fenced::judge(history)),
            (Invariant::I5Intent, i5_intent::judge(history)),
        ],
    }
}

/// The records that can be read, in the order of their keys; I1 speaks of those that cannot.
fn readable(log: &[LogObject]) -> Vec<LogRecord> {
    log.iter().filter_map(|object| LogRecord::parse(&object.text).ok()).collect()
}
