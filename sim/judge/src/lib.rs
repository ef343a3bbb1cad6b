//! rynxs judges: the history of a run, and the oracles I1–I10 over it.
//!
//! A history is what the *stores* saw: every attempt to write the log and every attempt to write
//! an object, in the order in which they took effect. Nothing here asks the operator what it
//! believes, and nothing calls core's reducer or decisions: a mistake there must not judge itself.
//! The judge reads records with its own parser and hashes with its own call to SHA-256. It knows
//! neither madsim nor a cluster, so the history of any of the three worlds can be judged.
//! [`render`] draws what was found.

pub mod event;
pub mod history;
pub mod oracle;
mod record;
pub mod reference;
pub mod render;
pub mod verdict;

pub use history::{History, LogWrite, ObjectWrite};
pub use oracle::{judge, judge_stream, unused_rights};
pub use record::{LogEvent, LogRecord, RecordFault};
pub use reference::Cluster;
pub use verdict::{Finding, Invariant, Report, Verdict};
