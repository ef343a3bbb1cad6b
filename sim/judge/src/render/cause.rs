//! What led to a violation: its causal past, bounded to what tells the story.
//!
//! Program order on a replica and on its disk, the ways of messages and the faults that met them,
//! what a watch showed, and what a write rests on (its decision, the decision's epoch, the write
//! before it on the same object). Servers serve everybody, so their program order says little and
//! is not followed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::lane::Role;
use super::note::Level;
use super::reading::Reading;
use crate::event::{Event, node};
use crate::history::{LogWrite, ObjectWrite};

/// Lines that a story may have; more do not explain, they bury.
pub(super) const PAST_MAX: usize = 60;

/// A step whose two ends belong together.
const NEAR: u32 = 1;
/// A step to what something rests on.
const BASIS: u32 = 2;
/// A step back in a replica's own time.
const STEP: u32 = 4;

/// Finds the causal past of lines.
pub(super) struct Past<'r, 'a> {
    reading: &'r Reading<'a>,
    /// The line before on the same replica, or disk, that is no noise.
    before: BTreeMap<usize, usize>,
    /// The line of a replica at which it asked its disk.
    askers: BTreeMap<usize, usize>,
    /// Writes that took effect, by object and resourceVersion.
    versions: BTreeMap<(&'a str, u64), usize>,
    /// The stamped or holder-changing write before on the same object.
    predecessors: BTreeMap<usize, usize>,
    /// The newest write of the object that a record is about, by the record's line.
    observed: BTreeMap<usize, usize>,
    /// What a person did, by the write that it was.
    users: BTreeMap<usize, usize>,
}

impl<'r, 'a> Past<'r, 'a> {
    /// Reads the order of a stream.
    pub(super) fn of(reading: &'r Reading<'a>) -> Self {
        let mut past = Self {
            reading,
            before: BTreeMap::new(),
            askers: BTreeMap::new(),
            versions: BTreeMap::new(),
            predecessors: BTreeMap::new(),
            observed: BTreeMap::new(),
            users: super::arrow::user_writes(reading.lines),
        };
        let ordered: BTreeSet<&str> = (reading.lanes.iter())
            .filter(|lane| matches!(lane.role, Role::Replica | Role::Disk))
            .map(|lane| lane.name.as_str())
            .collect();
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        let mut newest: BTreeMap<&str, usize> = BTreeMap::new();
        let mut written: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, line) in reading.lines.iter().enumerate() {
            if let Event::Disk(work) = &line.event {
                let asker = last.get(work.replica.as_str());
                past.askers.extend(asker.map(|asker| (index, *asker)));
            }
            if ordered.contains(line.node.as_str()) {
                if let Some(before) = last.get(line.node.as_str()) {
                    past.before.insert(index, *before);
                }
                if reading.notes[index].level > Level::Noise {
                    last.insert(&line.node, index);
                }
            }
            if let Some(about) = reading.log.entries.get(&index).and_then(|e| e.about.as_ref()) {
                past.observed.extend(written.get(about.as_str()).map(|write| (index, *write)));
            }
            let Event::ObjectWrite(write) = &line.event else { continue };
            if write.took_effect() && write.subresource.is_empty() {
                written.insert(&write.object, index);
            }
            if let Some(before) = newest.get(write.object.as_str()) {
                past.predecessors.insert(index, *before);
            }
            if write.took_effect() {
                if write.changed || write.removed {
                    past.versions.insert((&write.object, write.rv), index);
                }
                if write.stamp.is_some() || reading.holders.contains_key(&index) {
                    newest.insert(&write.object, index);
                }
            }
        }
        past
    }

    /// Whether the stream has such a line.
    pub(super) fn knows(&self, index: usize) -> bool {
        index < self.reading.lines.len()
    }

    /// What a write of an object stands against: the stamped write before it on the same object.
    pub(super) fn against(&self, index: usize) -> Option<usize> {
        self.predecessors.get(&index).copied()
    }

    /// The past of some lines, they themselves included, in the order of the stream.
    pub(super) fn before(&self, lines: &[usize]) -> BTreeSet<usize> {
        let mut past = BTreeSet::new();
        let known = lines.iter().filter(|index| self.knows(**index));
        // The nearest first; of equally near ones the latest.
        let mut open: BinaryHeap<(Reverse<u32>, usize)> =
            known.map(|index| (Reverse(0), *index)).collect();
        while let Some((Reverse(cost), index)) = open.pop() {
            if past.len() >= PAST_MAX {
                break;
            }
            if past.insert(index) {
                let causes = self.causes(index).into_iter().filter(|(_, cause)| *cause != index);
                open.extend(causes.map(|(more, cause)| (Reverse(cost + more), cause)));
            }
        }
        past
    }

    fn causes(&self, index: usize) -> Vec<(u32, usize)> {
        let line = &self.reading.lines[index];
        let mut causes = match &line.event {
            Event::Received { .. } => self.last_of(index, |journey| &journey.answered),
            Event::Answered { .. } => {
                let mut causes = self.last_of(index, |journey| &journey.effects);
                causes.extend(self.hits(index));
                causes
            }
            Event::Lost { .. } => self.hits(index),
            Event::FaultHit { fault, .. } => self.began(index, fault).into_iter().collect(),
            Event::Arrived { .. } => self.departure(index),
            Event::LogWrite(write) => self.append(index, write),
            Event::ObjectWrite(write) => self.write(index, write),
            Event::Watched { object, rv, .. } => {
                let version = rv.parse().ok().map(|rv| (object.as_str(), rv));
                let write = version.and_then(|version| self.versions.get(&version));
                write.map(|write| (NEAR, *write)).into_iter().collect()
            }
            Event::LogAtEnd(object) => {
                let write = self.reading.log.accepted.get(&object.key);
                write.map(|write| (NEAR, *write)).into_iter().collect()
            }
            Event::Guard { .. } => self.lease(index).into_iter().collect(),
            Event::Frozen | Event::Killed { .. } | Event::Resumed | Event::Clock { .. } => {
                self.fault(index).into_iter().collect()
            }
            Event::Disk(work) if work.replica.is_empty() => self.fault(index).into_iter().collect(),
            Event::Disk(_) => {
                self.askers.get(&index).map(|line| (STEP, *line)).into_iter().collect()
            }
            _ => Vec::new(),
        };
        causes.extend(self.before.get(&index).map(|before| (STEP, *before)));
        causes
    }

    /// The last line of a message's kind before this one; without any, its arrival.
    fn last_of<F>(&self, index: usize, kind: F) -> Vec<(u32, usize)>
    where
        F: for<'j> Fn(&'j super::journey::Journey<'a>) -> &'j Vec<usize>,
    {
        let Some(journey) = self.reading.journey(index) else { return Vec::new() };
        let earlier = |lines: &[usize]| lines.iter().copied().filter(|line| *line < index).max();
        let last = earlier(kind(journey)).or_else(|| earlier(&journey.arrived));
        last.map(|line| (NEAR, line)).into_iter().collect()
    }

    /// Where a message came from, and what befell its sender while it was under way.
    fn departure(&self, index: usize) -> Vec<(u32, usize)> {
        let Some(journey) = self.reading.journey(index) else { return Vec::new() };
        let befell = journey.meanwhile.iter().copied().filter(|line| *line < index);
        let departure = journey.sent.into_iter().chain(befell).map(|line| (NEAR, line));
        departure.chain(self.hits(index)).collect()
    }

    /// The faults that had met a message by then.
    fn hits(&self, index: usize) -> Vec<(u32, usize)> {
        let Some(journey) = self.reading.journey(index) else { return Vec::new() };
        let hits = journey.faults.iter().filter(|(line, _)| *line < index);
        hits.map(|(line, _)| (NEAR, *line)).collect()
    }

    /// Where a fault of this name began.
    fn began(&self, index: usize, name: &str) -> Option<(u32, usize)> {
        let mut earlier = self.reading.lines[..index].iter().enumerate().rev();
        let began = earlier.find(
            |(_, line)| matches!(&line.event, Event::FaultBegan { fault, .. } if fault == name),
        )?;
        Some((NEAR, began.0))
    }

    fn append(&self, index: usize, write: &LogWrite) -> Vec<(u32, usize)> {
        let log = &self.reading.log;
        let mut causes = self.last_of(index, |journey| &journey.arrived);
        causes.extend(self.observed.get(&index).map(|line| (BASIS, *line)));
        let entry = log.entries.get(&index);
        if let Some(epoch) = entry.and_then(|entry| entry.epoch) {
            let begun = log.epochs.get(&epoch).copied().filter(|line| *line < index);
            causes.extend(begun.map(|line| (BASIS, line)));
            if entry.is_some_and(super::log::Entry::starts_epoch) && write.took_effect() {
                let before = log.epochs.range(..epoch).next_back();
                causes.extend(before.map(|(_, line)| (BASIS, *line)));
            }
        }
        if !write.took_effect() {
            let held = log.accepted.get(&write.key).copied().filter(|line| *line < index);
            causes.extend(held.map(|line| (NEAR, line)));
        }
        causes
    }

    fn write(&self, index: usize, write: &ObjectWrite) -> Vec<(u32, usize)> {
        let mut causes = self.last_of(index, |journey| &journey.arrived);
        let stamp = write.stamp.as_deref().and_then(|stamp| stamp.parse().ok());
        let decision = stamp.and_then(|stamp| self.reading.log.decision_of_stamp(stamp));
        causes.extend(decision.filter(|line| *line < index).map(|line| (NEAR, line)));
        causes.extend(self.predecessors.get(&index).map(|line| (BASIS, *line)));
        if write.message.is_none() {
            causes.extend(self.users.get(&index).map(|line| (NEAR, *line)));
        }
        causes
    }

    /// The last change of the Lease that names the replica, or takes it away.
    fn lease(&self, index: usize) -> Option<(u32, usize)> {
        let node = Some(&self.reading.lines[index].node);
        let mut earlier = self.reading.holders.range(..index).rev();
        let (line, _) = earlier
            .find(|(_, change)| change.node.as_ref() == node || change.before.as_ref() == node)?;
        Some((NEAR, *line))
    }

    /// The fault that did this to a replica: the last one before it that names it, or the last.
    fn fault(&self, index: usize) -> Option<(u32, usize)> {
        let lines = self.reading.lines;
        let node = lines[index].node.as_str();
        let faults = || {
            let earlier = lines[..index].iter().enumerate().rev();
            earlier.filter(|(_, line)| {
                line.node == node::NEMESIS && matches!(line.event, Event::FaultBegan { .. })
            })
        };
        let names = |event: &Event| match event {
            Event::FaultBegan { detail, .. } => detail.contains(node),
            _ => false,
        };
        let fault = faults().find(|(_, line)| names(&line.event)).or_else(|| faults().next())?;
        Some((NEAR, fault.0))
    }
}
