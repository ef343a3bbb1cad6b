//! Stretches of time: who is away, who believes that it leads, whom the Lease names, which epoch
//! reigns, which fault is on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::lane::Role;
use super::reading::Reading;
use super::words::{seconds, told};
use crate::event::{Event, node};

/// What a bar shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The replica believes that it leads.
    Belief,
    /// The API server's Lease names the replica.
    Lease,
    /// The replica stands still.
    Frozen,
    /// The replica's process does not run.
    Down,
    /// A fault is on.
    Fault,
    /// An epoch reigns in the log.
    Epoch,
    /// Something is written to a disk, and not durable.
    Stake,
    /// A key is taken, and somebody tries to write it again.
    Key,
}

/// One stretch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Bar {
    /// Its column.
    pub(super) lane: usize,
    /// What it shows.
    pub(super) kind: Kind,
    /// The line at which it begins.
    pub(super) from: usize,
    /// The line at which it ends, if one ends it.
    pub(super) to: Option<usize>,
    /// True time at which it ends by itself, if that comes first.
    pub(super) until_ns: Option<u64>,
    /// The epoch that gives it its colour.
    pub(super) epoch: Option<u64>,
    /// For people.
    pub(super) text: String,
    /// Its place beside others of its column that last at the same time.
    pub(super) slot: usize,
}

/// All stretches of a run.
pub(super) fn bars(reading: &Reading<'_>) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (lane, column) in reading.lanes.iter().enumerate() {
        if column.role == Role::Replica {
            absences(reading, lane, &mut bars);
            beliefs(reading, lane, &mut bars);
        }
    }
    leases(reading, &mut bars);
    epochs(reading, &mut bars);
    faults(reading, &mut bars);
    keys(reading, &mut bars);
    for (node, from, to) in super::disk::stakes(reading.lines) {
        let epoch = reading.disk_epochs.get(&from).copied();
        let stake = bar(reading.lane(node), Kind::Stake, from, "written, not durable");
        bars.push(Bar { to, epoch, ..stake });
    }
    bars
}

fn bar(lane: usize, kind: Kind, from: usize, text: &str) -> Bar {
    let text = text.to_owned();
    Bar { lane, kind, from, to: None, until_ns: None, epoch: None, text, slot: 0 }
}

fn absences(reading: &Reading<'_>, lane: usize, bars: &mut Vec<Bar>) {
    let name = &reading.lanes[lane].name;
    let own = || reading.lines.iter().enumerate().filter(|(_, line)| &line.node == name);
    let mut away: Option<Bar> = None;
    if own().any(|(_, line)| line.event == Event::Started) {
        away = Some(bar(lane, Kind::Down, 0, "not started yet"));
    }
    for (index, line) in own() {
        let next = match &line.event {
            Event::Frozen => Some(bar(lane, Kind::Frozen, index, "stands still")),
            Event::Killed { why } => Some(bar(lane, Kind::Down, index, why)),
            Event::Exited { why, .. } => Some(bar(lane, Kind::Down, index, why)),
            Event::Started | Event::Resumed => None,
            _ => continue,
        };
        if let Some(before) = std::mem::replace(&mut away, next) {
            bars.push(Bar { to: Some(index), ..before });
        }
    }
    bars.extend(away);
}

/// Beliefs, cut where the replica's epoch begins in the log.
fn beliefs(reading: &Reading<'_>, lane: usize, bars: &mut Vec<Bar>) {
    let name = &reading.lanes[lane].name;
    let epochs: BTreeMap<usize, u64> = (reading.log.epochs.iter())
        .filter(|(_, line)| reading.notes[**line].actor == *name)
        .map(|(epoch, line)| (*line, *epoch))
        .collect();
    let mut open: Option<Bar> = None;
    for (index, line) in reading.lines.iter().enumerate() {
        let over = open.as_ref().and_then(|bar| bar.until_ns).is_some_and(|ns| ns <= line.t_ns);
        if over {
            bars.extend(open.take());
        }
        if let (Some(epoch), Some(before)) = (epochs.get(&index), &mut open) {
            let next = Bar { from: index, epoch: Some(*epoch), ..before.clone() };
            bars.push(Bar { to: Some(index), ..std::mem::replace(before, next) });
        }
        if &line.node != name {
            continue;
        }
        match (&line.event, &mut open) {
            (Event::Guard { until_ns: Some(until_ns) }, Some(bar)) => {
                bar.until_ns = Some(*until_ns);
                bar.text = format!("believes that it leads until {} s", seconds(*until_ns));
            }
            (Event::Guard { until_ns: Some(until_ns) }, None) => {
                let text = format!("believes that it leads until {} s", seconds(*until_ns));
                let begun = bar(lane, Kind::Belief, index, &text);
                open = Some(Bar { until_ns: Some(*until_ns), ..begun });
            }
            (
                Event::Guard { until_ns: None } | Event::Killed { .. } | Event::Exited { .. },
                Some(_),
            ) => {
                bars.extend(open.take().map(|bar| Bar { to: Some(index), until_ns: None, ..bar }));
            }
            _ => {}
        }
    }
    bars.extend(open);
}

fn leases(reading: &Reading<'_>, bars: &mut Vec<Bar>) {
    let mut held: Option<Bar> = None;
    for (index, change) in &reading.holders {
        bars.extend(held.take().map(|bar| Bar { to: Some(*index), ..bar }));
        let Some(node) = &change.node else { continue };
        let lane = reading.lane(node);
        if reading.lanes[lane].name == *node {
            held = Some(bar(lane, Kind::Lease, *index, "the Lease names it"));
        }
    }
    bars.extend(held);
}

fn epochs(reading: &Reading<'_>, bars: &mut Vec<Bar>) {
    let mut reigning: Option<Bar> = None;
    for (epoch, index) in &reading.log.epochs {
        bars.extend(reigning.take().map(|bar| Bar { to: Some(*index), ..bar }));
        let lane = reading.lane(&reading.lines[*index].node);
        let writer = &reading.notes[*index].actor;
        let text = format!("epoch {epoch}, begun by {writer}");
        reigning = Some(Bar { epoch: Some(*epoch), ..bar(lane, Kind::Epoch, *index, &text) });
    }
    bars.extend(reigning);
}

/// From the write that took a key to each that was refused for it.
fn keys(reading: &Reading<'_>, bars: &mut Vec<Bar>) {
    for (index, line) in reading.lines.iter().enumerate() {
        let Event::LogWrite(write) = &line.event else { continue };
        let taken = reading.log.accepted.get(&write.key).filter(|taken| **taken < index);
        if let (false, Some(taken)) = (write.took_effect(), taken) {
            let epoch = reading.notes[*taken].epoch;
            let text = format!("{} is taken", write.key);
            let begun = bar(reading.lane(&line.node), Kind::Key, *taken, &text);
            bars.push(Bar { to: Some(index), epoch, ..begun });
        }
    }
}

fn faults(reading: &Reading<'_>, bars: &mut Vec<Bar>) {
    let lane = reading.lane(node::NEMESIS);
    // What never ends in the whole run is a moment, not a stretch.
    let lasting: BTreeSet<&str> = (reading.lines.iter())
        .filter_map(|line| match &line.event {
            Event::FaultEnded { fault } => Some(fault.as_str()),
            _ => None,
        })
        .collect();
    let mut on: Vec<Option<Bar>> = Vec::new();
    for (index, line) in reading.lines.iter().enumerate() {
        match &line.event {
            Event::FaultBegan { fault, detail } if lasting.contains(fault.as_str()) => {
                let slot = on.iter().position(Option::is_none).unwrap_or(on.len());
                if slot == on.len() {
                    on.push(None);
                }
                let text = format!("{fault}: {}", told(detail));
                on[slot] = Some(Bar { slot, ..bar(lane, Kind::Fault, index, &text) });
            }
            Event::FaultEnded { fault } => {
                let named = |bar: &Bar| bar.text.split(": ").next() == Some(fault);
                let slot = on.iter().position(|bar| bar.as_ref().is_some_and(named));
                let ended = slot.and_then(|slot| on[slot].take());
                bars.extend(ended.map(|bar| Bar { to: Some(index), ..bar }));
            }
            Event::Healed | Event::End => {
                let ended = on.iter_mut().filter_map(Option::take);
                bars.extend(ended.map(|bar| Bar { to: Some(index), ..bar }));
            }
            _ => {}
        }
    }
    bars.extend(on.into_iter().flatten());
}
