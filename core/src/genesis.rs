//! Where a log's numbers start, and whether this log is the one that the cluster knows.
//!
//! Stamps in the cluster are `base + seq`. A starting leader lists what the cluster carries before
//! it reads the log; a stamp that the log cannot have given means that the log was cut, exchanged
//! or emptied, and leading on would write stamps that the cluster has already seen (I4). So every
//! such finding is refused, with the object, the number, the log and what a person can do.

use std::collections::BTreeMap;
use std::fmt;

use crate::chain::stamp;
use crate::config::OnMissingLog;
use crate::error::ErrorKind;
use crate::ids::{Epoch, LogId, ObjectRef, Seq, Stamp};
use crate::record::{MAX_SEQ, MAX_STAMP};

/// Distance between a new log's base and the highest number found, and what bases are rounded to:
/// far above what a zombie of the old log could still write, and readable.
const STRIDE: u64 = 1_000_000;

/// What a consistent list of the watched namespaces carries of rynxs' numbers. Its size depends on
/// the number of logs found, not of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterStamps {
    logs: BTreeMap<LogId, Found>,
    epoch: Option<(ObjectRef, Epoch)>,
}

/// Stamps of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    count: u64,
    highest: Stamp,
    /// The object that carries it.
    at: ObjectRef,
}

/// Annotations of a managed object that no leader has written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{object} has annotation {annotation}: {value:?}, which is not {expected}; restore the \
         annotation or delete the object"
)]
pub struct StampError {
    /// The object.
    pub object: ObjectRef,
    /// The annotation.
    pub annotation: &'static str,
    /// Its value, empty if it is missing.
    pub value: String,
    /// What it has to be.
    pub expected: &'static str,
}

impl ClusterStamps {
    /// A cluster without any of our numbers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of a managed object's annotations, [`STAMP`](crate::names::STAMP) and
    /// [`LOG`](crate::names::LOG). An object with neither is not ours.
    pub fn managed(
        &mut self,
        object: &ObjectRef,
        stamp: Option<&str>,
        log: Option<&str>,
    ) -> Result<(), StampError> {
        let error = |annotation, value: Option<&str>, expected| StampError {
            object: object.clone(),
            annotation,
            value: value.unwrap_or_default().to_owned(),
            expected,
        };
        if stamp.is_none() && log.is_none() {
            return Ok(());
        }
        let number = stamp
            .filter(|text| !text.starts_with('+'))
            .and_then(|text| text.parse().ok())
            .filter(|number| *number <= MAX_STAMP)
            .ok_or_else(|| error(crate::names::STAMP, stamp, "a decimal stamp"))?;
        let log_id = log
            .filter(|text| !text.is_empty())
            .ok_or_else(|| error(crate::names::LOG, log, "the identity of a log"))?;
        self.add(object, Stamp(number), &LogId::from(log_id));
        Ok(())
    }

    fn add(&mut self, object: &ObjectRef, stamp: Stamp, log: &LogId) {
        let found = self.logs.entry(log.clone()).or_insert_with(|| Found {
            count: 0,
            highest: stamp,
            at: object.clone(),
        });
        found.count += 1;
        if stamp > found.highest {
            found.highest = stamp;
            found.at = object.clone();
        }
    }

    /// Takes note of `status.controllerEpoch` of an Agent or Session.
    pub fn controller_epoch(&mut self, object: &ObjectRef, epoch: Epoch) {
        if epoch > Epoch(0) && self.epoch.as_ref().is_none_or(|(_, highest)| epoch > *highest) {
            self.epoch = Some((object.clone(), epoch));
        }
    }

    /// Whether the cluster carries none of our numbers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.epoch.is_none()
    }

    /// The logs whose stamps were found.
    pub fn logs(&self) -> impl Iterator<Item = &LogId> {
        self.logs.keys()
    }

    /// The highest stamp or epoch found, and where.
    fn highest(&self) -> Option<(&ObjectRef, u64)> {
        let stamps = self.logs.values().map(|found| (&found.at, found.highest.0));
        let epoch = self.epoch.iter().map(|(object, epoch)| (object, epoch.0));
        stamps.chain(epoch).max_by_key(|(_, number)| *number)
    }
}

/// How a new log starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Number at which its stamps start.
    pub base: u64,
    /// Logs whose objects it takes over.
    pub predecessors: Vec<LogId>,
}

/// Why this log and this cluster do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineageError {
    /// The log is empty, the cluster is not.
    #[error(
        "the log at {place} is empty, but {found}. If this is the wrong place, correct \
             `logSink`. If the log is lost, `--on-missing-log adopt` (`logSink.onMissingLog: \
             adopt`) starts a new one above every stamp"
    )]
    MissingLog {
        /// Where the log should be.
        place: String,
        /// What the cluster carries.
        found: String,
    },
    /// The cluster carries a stamp that this log has not given yet.
    #[error(
        "{object} carries stamp {stamp}, which is record {record} of log {log}, but the log at \
             {place} ends before record {next}: the log was cut, or restored from an older copy. \
             Restore the missing records, or start a successor: an empty directory or prefix with \
             `--on-missing-log adopt`"
    )]
    CutStamp {
        /// The object.
        object: ObjectRef,
        /// Its stamp.
        stamp: Stamp,
        /// The record that the stamp names.
        record: u64,
        /// The log.
        log: LogId,
        /// Where it is.
        place: String,
        /// Its next position.
        next: Seq,
    },
    /// The cluster carries an epoch that this log has not seen yet.
    #[error(
        "{object} has controllerEpoch {epoch}, but the last epoch of log {log} at {place} is \
             {last}: the log was cut, or restored from an older copy. Restore the missing records, \
             or start a successor: an empty directory or prefix with `--on-missing-log adopt`"
    )]
    CutEpoch {
        /// The object.
        object: ObjectRef,
        /// Its epoch.
        epoch: Epoch,
        /// The log.
        log: LogId,
        /// Where it is.
        place: String,
        /// Its last epoch.
        last: Epoch,
    },
    /// Another log's stamp.
    #[error(
        "{object} carries stamp {stamp} of log {found}, which is neither log {own} at {place} \
             nor one of its predecessors: {count} object(s) belong to another installation of \
             rynxs. Let the installations watch different namespaces, correct `logSink`, or delete \
             the other one's objects"
    )]
    ForeignLog {
        /// The object.
        object: ObjectRef,
        /// Its stamp.
        stamp: Stamp,
        /// The other log.
        found: LogId,
        /// This log.
        own: LogId,
        /// Where it is.
        place: String,
        /// How many objects carry the other log's stamps.
        count: u64,
    },
    /// A predecessor's stamp among this log's numbers.
    #[error(
        "{object} carries stamp {stamp} of predecessor {found}, but stamps from {base} on \
             belong to log {own}: the predecessor is still written to. Stop the installation that \
             writes it, then start a successor: an empty directory or prefix with \
             `--on-missing-log adopt`"
    )]
    PredecessorAlive {
        /// The object.
        object: ObjectRef,
        /// Its stamp.
        stamp: Stamp,
        /// The predecessor.
        found: LogId,
        /// This log.
        own: LogId,
        /// Where this log's numbers start.
        base: u64,
    },
    /// No number is left above what was found.
    #[error(
        "{object} carries {number}, and a log above it would pass {MAX_STAMP}, the largest \
             number that is kept exactly everywhere. Delete the object if its number is not genuine"
    )]
    TooHigh {
        /// The object.
        object: ObjectRef,
        /// Its stamp or epoch.
        number: u64,
    },
}

impl LineageError {
    /// A person has to look; the installation stays not ready.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Config
    }
}

/// How to start a log where none is: above everything that the cluster carries, so that the cluster
/// stays writable and a zombie of an older log stays below.
pub fn start(
    seen: &ClusterStamps,
    on_missing: OnMissingLog,
    place: &str,
) -> Result<Genesis, Box<LineageError>> {
    let Some((object, number)) = seen.highest() else {
        return Ok(Genesis { base: 0, predecessors: Vec::new() });
    };
    if on_missing == OnMissingLog::Refuse {
        let found = seen.to_string();
        return Err(Box::new(LineageError::MissingLog { place: place.to_owned(), found }));
    }
    let base = number
        .checked_add(STRIDE)
        .and_then(|above| above.checked_next_multiple_of(STRIDE))
        .filter(|base| *base <= MAX_STAMP - MAX_SEQ.0)
        .ok_or_else(|| Box::new(LineageError::TooHigh { object: object.clone(), number }))?;
    Ok(Genesis { base, predecessors: seen.logs().cloned().collect() })
}

/// A log as far as lineage goes.
#[derive(Clone, Copy, Debug)]
pub struct Lineage<'a> {
    /// Its identity.
    pub log_id: &'a LogId,
    /// Number at which its stamps start.
    pub base: u64,
    /// Logs whose objects it took over.
    pub predecessors: &'a [LogId],
    /// Its next position.
    pub next_seq: Seq,
    /// Its last epoch.
    pub epoch: Epoch,
    /// Where it is, for people.
    pub place: &'a str,
}

impl Lineage<'_> {
    /// Checks that every number that the cluster carries is in this log, or below its base.
    pub fn check(&self, seen: &ClusterStamps) -> Result<(), Box<LineageError>> {
        for (log, found) in &seen.logs {
            if log == self.log_id {
                self.check_own(found)?;
            } else if self.predecessors.contains(log) {
                self.check_predecessor(log, found)?;
            } else {
                return Err(Box::new(LineageError::ForeignLog {
                    object: found.at.clone(),
                    stamp: found.highest,
                    found: log.clone(),
                    own: self.log_id.clone(),
                    place: self.place.to_owned(),
                    count: found.count,
                }));
            }
        }
        match &seen.epoch {
            Some((object, epoch)) if *epoch > self.epoch => Err(Box::new(LineageError::CutEpoch {
                object: object.clone(),
                epoch: *epoch,
                log: self.log_id.clone(),
                place: self.place.to_owned(),
                last: self.epoch,
            })),
            _ => Ok(()),
        }
    }

    fn check_own(&self, found: &Found) -> Result<(), Box<LineageError>> {
        if found.highest < stamp(self.base, self.next_seq) {
            return Ok(());
        }
        Err(Box::new(LineageError::CutStamp {
            object: found.at.clone(),
            stamp: found.highest,
            record: found.highest.0 - self.base,
            log: self.log_id.clone(),
            place: self.place.to_owned(),
            next: self.next_seq,
        }))
    }

    fn check_predecessor(&self, log: &LogId, found: &Found) -> Result<(), Box<LineageError>> {
        if found.highest < Stamp(self.base) {
            return Ok(());
        }
        Err(Box::new(LineageError::PredecessorAlive {
            object: found.at.clone(),
            stamp: found.highest,
            found: log.clone(),
            own: self.log_id.clone(),
            base: self.base,
        }))
    }
}

impl fmt::Display for ClusterStamps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (log, found) in &self.logs {
            let comma = if first { "" } else { ", " };
            let Found { count, highest, at } = found;
            write!(
                f,
                "{comma}{count} object(s) carry stamps of log {log} (up to {highest}, on {at})"
            )?;
            first = false;
        }
        if let Some((object, epoch)) = &self.epoch {
            let comma = if first { "" } else { ", " };
            write!(f, "{comma}{object} has controllerEpoch {epoch}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
