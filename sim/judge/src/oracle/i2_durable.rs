//! I2: an acknowledged append is in the log for ever, exactly once.
//!
//! Acknowledged means that the store accepted it, whether or not the answer arrived; and also that
//! a replica was told so, whatever the store did.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Facts, Place};
use crate::event::Event;
use crate::verdict::{Finding, Verdict};

/// Compares what the store accepted with what is there at the end.
pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let at_end: BTreeMap<&str, &str> = facts
        .log_at_end
        .iter()
        .map(|object| (object.what.key.as_str(), object.what.text.as_str()))
        .collect();
    let mut accepted: BTreeMap<&str, Vec<Place>> = BTreeMap::new();
    let mut findings = Vec::new();
    let mut checked = 0;
    for seen in facts.log_writes.iter().filter(|seen| seen.what.took_effect()) {
        let write = seen.what;
        checked += 1;
        let places = accepted.entry(&write.key).or_default();
        if let Some(first) = places.first() {
            let found = format!("accepted write number {}", places.len() + 1);
            let finding = Finding::new(&write.key, "one accepted write", found);
            findings.push(finding.at(*first).at(seen.place));
        }
        places.push(seen.place);
        let stored = at_end.get(write.key.as_str());
        if stored != Some(&write.text.as_str()) {
            let found = stored.map_or("no object", |_| "other bytes");
            let finding = Finding::new(&write.key, "the bytes that were acknowledged", found);
            findings.push(finding.at(seen.place));
        }
    }
    one_append_one_record(facts, &mut findings);
    told_means_stored(facts, &mut findings);
    Verdict::from_findings(findings, checked, "no append was accepted")
}

/// The random bits of an append stand in one record.
fn one_append_one_record(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let mut known: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for stored in &facts.records {
        let record = &stored.record;
        if let Some(first) = known.insert((&record.writer, &record.nonce), record.seq) {
            let place = format!("seq {}", record.seq);
            let found = format!("the append that is in seq {first} already");
            let finding = Finding::new(place, "another append", found);
            findings.push(finding.at_some(stored.accepted).at(stored.place));
        }
    }
}

/// No replica is told that its append was accepted if it was not.
fn told_means_stored(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    let mut tried: BTreeMap<u64, (&str, Place)> = BTreeMap::new();
    let mut taken: BTreeSet<u64> = BTreeSet::new();
    for seen in &facts.log_writes {
        let Some(message) = seen.what.message else { continue };
        tried.insert(message, (&seen.what.key, seen.place));
        if seen.what.took_effect() {
            taken.insert(message);
        }
    }
    for (place, line) in facts.placed() {
        let Event::Received { message, status: 200..=299 } = line.event else { continue };
        if let Some((key, tried)) = tried.get(&message)
            && !taken.contains(&message)
        {
            let found = format!("message {message} was answered with success");
            let finding = Finding::new(*key, "no success for what was not stored", found);
            findings.push(finding.at(*tried).at(place));
        }
    }
}
