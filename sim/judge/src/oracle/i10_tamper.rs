//! I10: each listed manipulation of the log is detected, or listed as undetectable.
//!
//! Two kinds of lines: a manipulation of a copy of the final log (`Tampered`), which the binary's
//! own reader must notice; and a fault `tamper-…`, `bit-rot` or `s3-ignores-condition`, after which
//! some replica must halt over the log, or refuse it at its start, if anybody reads it at all after
//! that. Besides, a last line that a power loss tore is cut off by whoever opens the log next, and
//! that must be said in the log; nobody halts over a log that nobody changed; and nobody begins an
//! epoch in a hole, with records behind it.

use std::collections::BTreeMap;

use super::facts::{Facts, Place, Stored};
use crate::event::Event;
use crate::history::LogWrite;
use crate::record::LogRecord;
use crate::verdict::{Finding, Verdict};

/// Manipulations that no reader of the log alone can notice, and what would show them. A
/// `Tampered::how` that begins with one of these need not be detected; nor need a fault whose name
/// is one of these with `tamper-` before it and `-` for each space, but where an object that lives
/// to the end carries the stamp of a record that is gone.
pub const UNDETECTABLE: [(&str, &str); 3] = [
    ("truncated tail", "a checkpoint kept outside the bucket, or the stamp of a younger object"),
    ("rolled back", "a checkpoint kept outside the bucket, or the stamp of a younger object"),
    ("emptied", "the stamps of live objects, or a checkpoint kept outside the bucket"),
];

/// Name of the probe that says: a replica refused the log that it found, without ending.
pub const LOG_REFUSED: &str = "log-refused";

/// What the target of a request has that lists the log.
const LISTS: &str = "list-type=2";
const FAULT: &str = "tamper-";
const BIT_ROT: &str = "bit-rot";

/// Compares what was done to the log with what was noticed.
pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let mut findings = Vec::new();
    let mut checked = 0;
    let noticed = facts.placed().filter(|(_, line)| match &line.event {
        Event::Exited { corrupt, .. } => *corrupt,
        Event::Probe { probe } => probe == LOG_REFUSED,
        _ => false,
    });
    let last_noticed = noticed.last().map(|(place, _)| place);
    let last_read = Read::last(facts);
    for (place, line) in facts.placed() {
        match &line.event {
            Event::Tampered { how, detected } => {
                checked += 1;
                if !detected && !UNDETECTABLE.iter().any(|(name, _)| how.starts_with(name)) {
                    findings.push(Finding::new(how, "detected", "not noticed").at(place));
                }
            }
            Event::FaultBegan { fault, detail } if changes(fault) => {
                checked += 1;
                let seen = last_noticed.is_some_and(|noticed| place.is_before(noticed));
                let read = if fault == BIT_ROT { last_read.files } else { last_read.bucket };
                let read = read.is_none_or(|read| place.is_before(read));
                let shows = !is_undetectable(fault) || shows(facts, fault, place);
                if read && !seen && shows {
                    let expected = "a replica that halts or refuses the log afterwards";
                    let found = format!("nobody noticed: {detail}");
                    findings.push(Finding::new(fault, expected, found).at(place));
                }
            }
            // A log that its reader finds broken is a manipulation that is noticed.
            Event::Replayed { fault, .. } if !fault.is_empty() && is_changed(facts) => checked += 1,
            _ => {}
        }
    }
    checked += repairs(facts, &mut findings);
    findings.extend(false_alarm(facts));
    findings.extend(epochs_in_holes(facts));
    Verdict::from_findings(findings, checked, "no manipulation of the log was tried")
}

/// What somebody read last: a log in a bucket, from where the last listing was sent that was
/// answered; a log in files, which each process opens that starts. None if that is not seen at all.
#[derive(Default)]
struct Read {
    bucket: Option<Place>,
    files: Option<Place>,
}

impl Read {
    fn last(facts: &Facts<'_>) -> Self {
        let mut lists: BTreeMap<u64, Place> = BTreeMap::new();
        let mut last = Self::default();
        for (place, line) in facts.placed() {
            match &line.event {
                Event::Sent { message, target, .. } if target.contains(LISTS) => {
                    lists.insert(*message, place);
                }
                Event::Received { message, status: 200, .. } => {
                    last.bucket = lists.remove(message).or(last.bucket);
                }
                Event::Started => last.files = Some(place),
                _ => {}
            }
        }
        last
    }
}

/// Whether a fault changes the log, or lets others change it.
fn changes(fault: &str) -> bool {
    fault.starts_with(FAULT) || fault == BIT_ROT || fault == "s3-ignores-condition"
}

fn is_changed(facts: &Facts<'_>) -> bool {
    facts
        .lines
        .iter()
        .any(|line| matches!(&line.event, Event::FaultBegan { fault, .. } if changes(fault)))
}

/// A replica that halts over a sound log, or refuses it.
fn false_alarm(facts: &Facts<'_>) -> Option<Finding> {
    for (place, line) in facts.placed() {
        match &line.event {
            Event::FaultBegan { fault, .. } if changes(fault) => return None,
            Event::Exited { why, corrupt: true, .. } => {
                let expected = "nobody halts over a log that nobody changed";
                return Some(Finding::new(line.node.as_str(), expected, why.as_str()).at(place));
            }
            Event::Probe { probe } if probe == LOG_REFUSED => {
                let expected = "nobody refuses a log that nobody changed";
                return Some(Finding::new(line.node.as_str(), expected, LOG_REFUSED).at(place));
            }
            _ => {}
        }
    }
    None
}

/// Epochs that begin before a record that stood there when their replica last listed the log, and
/// that stands there still. To halt later is too late: what follows was decided on a part of it.
fn epochs_in_holes(facts: &Facts<'_>) -> Vec<Finding> {
    let mut listed: BTreeMap<&str, Place> = BTreeMap::new();
    // The listing that was the last one when this message was sent.
    let mut rests_on: BTreeMap<u64, Place> = BTreeMap::new();
    let mut findings = Vec::new();
    for (place, line) in facts.placed() {
        match &line.event {
            Event::Sent { target, .. } if target.contains(LISTS) => {
                listed.insert(&line.node, place);
            }
            Event::Sent { message, method, .. } if method == "PUT" => {
                rests_on.extend(listed.get(line.node.as_str()).map(|listing| (*message, *listing)));
            }
            Event::LogWrite(write) if write.took_effect() => {
                let listing = write.message.and_then(|message| rests_on.get(&message));
                let behind = listing.and_then(|listing| stood_behind(facts, write, *listing));
                if let Some(stored) = behind {
                    let expected = format!("no epoch before record {}", stored.record.seq);
                    let finding = Finding::new(&write.key, expected, "EpochStarted in a hole");
                    findings.push(finding.at_some(stored.accepted).at(place));
                }
            }
            _ => {}
        }
    }
    findings
}

/// A record behind an epoch's first one that was there at that moment.
fn stood_behind<'a>(facts: &'a Facts<'_>, epoch: &LogWrite, at: Place) -> Option<&'a Stored> {
    let begins = epoch.text.contains("\"EpochStarted\"");
    let begun = begins.then(|| LogRecord::parse(&epoch.text).ok()).flatten()?;
    let once = |seq: u64| {
        let writes = facts.log_writes.iter().filter(|seen| seen.what.took_effect());
        writes.filter(|seen| seen.what.key == format!("{seq:010}.json")).count() == 1
    };
    facts.records.iter().find(|stored| {
        let stood = stored.accepted.is_some_and(|accepted| accepted.is_before(at));
        stored.record.seq > begun.seq && stood && once(stored.record.seq)
    })
}

/// The first epoch of the process that opened a torn log tells of it. A process that ends before it
/// leads takes what it knows with it: then there is nothing left to tell of.
fn repairs(facts: &Facts<'_>, findings: &mut Vec<Finding>) -> u64 {
    let begins = |stored: &&Stored| stored.record.events.iter().any(|e| e.name == "EpochStarted");
    let epochs: Vec<&Stored> = facts.records.iter().filter(begins).collect();
    let mut checked = 0;
    for (torn, line) in facts.placed() {
        let Event::Torn { bytes } = line.event else { continue };
        let mut starts = facts.placed().filter(|(place, other)| {
            torn.is_before(*place) && other.node == line.node && other.event == Event::Started
        });
        let (Some((opened, _)), ended) = (starts.next(), starts.next()) else { continue };
        let first = epochs.iter().find(|stored| {
            let accepted = stored.accepted.unwrap_or_default();
            let lived = ended.is_none_or(|(ended, _)| accepted.is_before(ended));
            stored.record.writer.split('_').next() == Some(&line.node)
                && opened.is_before(accepted)
                && lived
        });
        let Some(first) = first else { continue };
        checked += 1;
        if !first.record.events.iter().any(|event| event.name == "TailRepaired") {
            let place = format!("seq {}", first.record.seq);
            let expected = format!("TailRepaired, for the {bytes} bytes that were cut off");
            let finding = Finding::new(place, expected, "nothing about it");
            findings.push(finding.at(torn).at(first.accepted.unwrap_or(first.place)));
        }
    }
    checked
}

/// Whether a living object shows that the end of the log was cut off: its stamp is that of a record
/// which is gone, and it outlived the cut.
fn shows(facts: &Facts<'_>, fault: &str, cut: Place) -> bool {
    let accepted = facts.log_writes.iter().filter(|seen| seen.what.took_effect());
    let before: Vec<_> = accepted.filter(|seen| seen.place.is_before(cut)).collect();
    let base = before.iter().find_map(|seen| {
        let record = LogRecord::parse(&seen.what.text).ok()?;
        let begins = record.events.iter().any(|event| event.name == "EpochStarted");
        // An epoch is the position of the record that begins it.
        begins.then(|| record.epoch.checked_sub(record.seq)).flatten()
    });
    let left = match fault.strip_prefix(FAULT) {
        Some("truncated-tail") => before.len().saturating_sub(1),
        Some("rolled-back") => before.len() / 2,
        _ => 0,
    };
    let Some(end) = base.map(|base| base + left as u64) else { return false };
    let mut stamps: BTreeMap<&str, u64> = BTreeMap::new();
    for seen in facts.object_writes.iter().filter(|seen| seen.what.took_effect()) {
        let object = seen.what.object.as_str();
        let stamp = seen.what.stamp.as_ref().and_then(|stamp| stamp.parse().ok());
        match stamp {
            _ if seen.what.removed => drop(stamps.remove(object)),
            Some(stamp) if seen.place.is_before(cut) => drop(stamps.insert(object, stamp)),
            _ => {}
        }
    }
    stamps.values().any(|stamp| *stamp >= end)
}

fn is_undetectable(fault: &str) -> bool {
    let words = fault.strip_prefix(FAULT).unwrap_or_default().replace('-', " ");
    UNDETECTABLE.iter().any(|(name, _)| words.starts_with(name))
}
