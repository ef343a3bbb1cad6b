//! Messages as arrows between columns.

use std::collections::BTreeMap;

use serde::Serialize;

use super::journey::{Journey, LATE_NS};
use super::reading::Reading;
use crate::event::{Event, Leg, Line};

/// How an arrow is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// A request.
    Request,
    /// An answer.
    Answer,
    /// A watch shows a change.
    Watch,
    /// A person's write.
    User,
    /// A replica works on its disk; that takes no way.
    Disk,
}

/// One arrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Arrow {
    /// How it is drawn.
    pub(super) kind: Kind,
    /// The line at which it leaves.
    pub(super) from: usize,
    /// The line at which it arrives, or at which it is lost.
    pub(super) to: usize,
    /// The column from which it comes.
    pub(super) from_lane: usize,
    /// The column to which it goes.
    pub(super) lane: usize,
    /// It never arrives.
    pub(super) lost: bool,
    /// It arrives late.
    pub(super) late: bool,
    /// Routine.
    pub(super) noise: bool,
    /// The epoch that gives it its colour.
    pub(super) epoch: Option<u64>,
}

/// All arrows of a run, in the order in which they leave.
pub(super) fn arrows(reading: &Reading<'_>) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for journey in reading.journeys.values() {
        message(reading, journey, &mut arrows);
    }
    watches(reading, &mut arrows);
    users(reading, &mut arrows);
    disks(reading, &mut arrows);
    arrows.sort_by_key(|arrow| (arrow.from, arrow.to));
    arrows
}

fn arrow(reading: &Reading<'_>, kind: Kind, from: usize, to: usize) -> Arrow {
    let noise = reading.notes[from].level == super::note::Level::Noise;
    let lane = reading.lane(&reading.lines[to].node);
    let from_lane = reading.lane(&reading.lines[from].node);
    let epoch = reading.notes[to].epoch;
    Arrow { kind, from, to, from_lane, lane, lost: false, late: false, noise, epoch }
}

fn message(reading: &Reading<'_>, journey: &Journey<'_>, arrows: &mut Vec<Arrow>) {
    let lines = reading.lines;
    for (sent, arrived) in
        journey.sent.iter().flat_map(|s| journey.arrived.iter().map(move |a| (s, a)))
    {
        let late = journey.late.contains(arrived);
        arrows.push(Arrow { late, ..arrow(reading, Kind::Request, *sent, *arrived) });
    }
    if let (Some(answered), Some(received)) = (journey.answered.first(), journey.received) {
        // What is heard before the answer was given is a broken connection, not the answer.
        if *answered <= received {
            let late = lines[received].t_ns.saturating_sub(lines[*answered].t_ns) > LATE_NS;
            arrows.push(Arrow { late, ..arrow(reading, Kind::Answer, *answered, received) });
        }
    }
    let Some((lost, leg)) = journey.lost else { return };
    let (kind, from, to) = match leg {
        Leg::Request => (Kind::Request, journey.sent, journey.to),
        Leg::Answer => (Kind::Answer, journey.answered.last().copied(), journey.from),
    };
    if let Some(from) = from {
        let lane = reading.lane(to);
        arrows.push(Arrow { lane, lost: true, ..arrow(reading, kind, from, lost) });
    }
}

/// From the write to everybody whose watch showed it.
fn watches(reading: &Reading<'_>, arrows: &mut Vec<Arrow>) {
    let mut writes: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for (index, line) in reading.lines.iter().enumerate() {
        match &line.event {
            Event::ObjectWrite(write) if write.changed || write.removed => {
                writes.insert((&write.object, write.rv.to_string()), index);
            }
            Event::Watched { object, rv, .. } => {
                if let Some(write) = writes.get(&(object.as_str(), rv.clone())) {
                    let noise = reading.notes[index].level == super::note::Level::Noise;
                    let late = false;
                    let watch = arrow(reading, Kind::Watch, *write, index);
                    arrows.push(Arrow { noise, late, epoch: None, ..watch });
                }
            }
            _ => {}
        }
    }
}

/// From the people's column to the write that one of them made; their way is no message.
fn users(reading: &Reading<'_>, arrows: &mut Vec<Arrow>) {
    let writes = user_writes(reading.lines);
    arrows.extend(writes.iter().map(|(write, user)| arrow(reading, Kind::User, *user, *write)));
}

/// From a replica to its disk.
fn disks(reading: &Reading<'_>, arrows: &mut Vec<Arrow>) {
    for (index, line) in reading.lines.iter().enumerate() {
        if let Event::Disk(work) = &line.event
            && !work.replica.is_empty()
        {
            let from_lane = reading.lane(&work.replica);
            arrows.push(Arrow { from_lane, ..arrow(reading, Kind::Disk, index, index) });
        }
    }
}

/// The writes that people made, each with the line that says what the person did.
pub(super) fn user_writes(lines: &[Line]) -> BTreeMap<usize, usize> {
    let mut said: Option<usize> = None;
    let mut linked = false;
    let mut writes = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        match &line.event {
            Event::User { .. } => (said, linked) = (Some(index), false),
            Event::ObjectWrite(write) if !write.user.starts_with("system:") => {
                // A step may be several writes, all at the moment at which it was said.
                let own = |said: &usize| !linked || lines[*said].t_ns == line.t_ns;
                writes.extend(said.filter(own).map(|said| (index, said)));
                linked = true;
            }
            _ => {}
        }
    }
    writes
}
