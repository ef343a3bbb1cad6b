//! Everything that the pictures learn from a stream before they draw it.

use std::collections::BTreeMap;

use super::journey::{Journey, journeys};
use super::lane::{Lane, head, lanes};
use super::lease::{Belief, Holder, beliefs, holders};
use super::log::Log;
use super::note::{Note, notes};
use crate::event::{Event, Line};

/// A stream, read.
pub(super) struct Reading<'a> {
    /// The stream.
    pub(super) lines: &'a [Line],
    /// The user name under which the operator writes.
    pub(super) operator: &'a str,
    /// The columns.
    pub(super) lanes: Vec<Lane>,
    /// The messages.
    pub(super) journeys: BTreeMap<u64, Journey<'a>>,
    /// The log.
    pub(super) log: Log,
    /// Changes of the Lease's holder.
    pub(super) holders: BTreeMap<usize, Holder>,
    /// Meaning of Guard lines.
    pub(super) beliefs: BTreeMap<usize, Belief>,
    /// Lines whose stamp is lower than one that the object already had.
    pub(super) stale: BTreeMap<usize, u64>,
    /// The replica to which a disk belongs.
    pub(super) owners: BTreeMap<&'a str, &'a str>,
    /// The epoch for whose record a disk worked.
    pub(super) disk_epochs: BTreeMap<usize, u64>,
    /// Wording and weight of every line.
    pub(super) notes: Vec<Note>,
}

impl<'a> Reading<'a> {
    /// Reads a stream.
    pub(super) fn of(lines: &'a [Line]) -> Self {
        let log = Log::of(lines);
        let mut reading = Self {
            lines,
            operator: head(lines).map_or("", |head| &head.operator),
            lanes: lanes(lines),
            journeys: journeys(lines),
            holders: holders(lines),
            beliefs: beliefs(lines),
            stale: stale(lines),
            owners: super::disk::owners(lines),
            disk_epochs: super::disk::epochs(lines, &log),
            log,
            notes: Vec::new(),
        };
        reading.notes = notes(&reading);
        reading
    }

    /// The column of a node.
    pub(super) fn lane(&self, node: &str) -> usize {
        self.lanes.iter().position(|lane| lane.name == node).unwrap_or(0)
    }

    /// The message that a line is about.
    pub(super) fn journey(&self, index: usize) -> Option<&Journey<'a>> {
        self.journeys.get(&message_of(&self.lines[index].event)?)
    }
}

/// The message that an event is about; a watch's changes are about their object instead.
fn message_of(event: &Event) -> Option<u64> {
    match event {
        Event::Sent { message, .. }
        | Event::Arrived { message }
        | Event::Answered { message, .. }
        | Event::Received { message, .. }
        | Event::Lost { message, .. } => Some(*message),
        Event::FaultHit { message, change, .. } if change.is_empty() => Some(*message),
        Event::LogWrite(write) => write.message,
        Event::ObjectWrite(write) => write.message,
        _ => None,
    }
}

/// Writes that carry a lower stamp than their object had, with that stamp.
fn stale(lines: &[Line]) -> BTreeMap<usize, u64> {
    let mut highest: BTreeMap<&str, u64> = BTreeMap::new();
    let mut stale = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        let Event::ObjectWrite(write) = &line.event else { continue };
        if write.removed {
            highest.remove(write.object.as_str());
            continue;
        }
        let Some(stamp) = write.stamp.as_deref().and_then(|text| text.parse().ok()) else {
            continue;
        };
        let highest = highest.entry(&write.object).or_insert(stamp);
        if stamp < *highest {
            stale.insert(index, *highest);
        } else if write.took_effect() {
            *highest = stamp;
        }
    }
    stale
}
