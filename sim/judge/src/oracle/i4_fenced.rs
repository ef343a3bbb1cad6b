//! I4: once a decision's write to an object took effect, no earlier decision's write to that
//! incarnation does.
//!
//! The order is the API server's own order of effects, so this is a little stronger than the
//! invariant, which speaks of acknowledged writes. What the fence rests on is checked with it: a
//! stored stamp never falls or vanishes whoever writes, nobody but the operator sets one, the
//! operator takes over nobody's object, it deletes only what a stamped write has marked, and no
//! record holds two decisions about one object: both would have one stamp.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::facts::{Facts, Place, Seen};
use crate::history::ObjectWrite;
use crate::reference::{is_managed, is_marked};
use crate::verdict::{Finding, Verdict};

/// What is known of a living incarnation.
#[derive(Clone, Copy)]
struct Known {
    stamp: Option<u64>,
    /// Whether it is marked for deletion, if its content was seen.
    marked: Option<bool>,
    place: Place,
}

/// Follows the stamp of every incarnation.
pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let mut walk = Walk { operator: facts.operator, known: BTreeMap::new(), findings: Vec::new() };
    let mut checked = 0;
    for seen in &facts.object_writes {
        let write = seen.what;
        if !write.took_effect() || !is_managed(&write.object) || write.uid.is_empty() {
            continue;
        }
        checked += u64::from(write.user == facts.operator);
        walk.step(seen);
    }
    one_stamp_one_decision(facts, &mut walk.findings);
    Verdict::from_findings(walk.findings, checked, "the operator wrote no managed object")
}

/// Stamps are numbered by record: the fence cannot order two decisions of one record.
fn one_stamp_one_decision(facts: &Facts<'_>, findings: &mut Vec<Finding>) {
    for stored in facts.records.iter().filter(|stored| stored.accepted.is_some()) {
        let record = &stored.record;
        let mut decided: BTreeSet<&str> = BTreeSet::new();
        for event in record.events.iter().filter(|event| event.name == "ActionsDecided") {
            let objects = event.list("actions").filter_map(|action| action.get("object"));
            let about: BTreeSet<&str> =
                objects.filter_map(Value::as_str).chain(event.text("subject")).collect();
            if let Some(twice) = about.iter().find(|object| decided.contains(*object)) {
                let place = format!("seq {}", record.seq);
                let expected = format!("one decision about {twice}, as both have one stamp");
                let finding = Finding::new(place, expected, "another one");
                findings.push(finding.at_some(stored.accepted));
            }
            decided.extend(about);
        }
    }
}

struct Walk<'a> {
    operator: &'a str,
    known: BTreeMap<&'a str, Known>,
    findings: Vec<Finding>,
}

impl<'a> Walk<'a> {
    fn step(&mut self, seen: &Seen<'a, ObjectWrite>) {
        let write = seen.what;
        let ours = write.user == self.operator;
        let before = self.known.get(write.uid.as_str()).copied();
        if write.verb == "delete" && ours {
            self.deleted(seen, before);
        }
        if write.removed {
            self.known.remove(write.uid.as_str());
            return;
        }
        if write.verb == "delete" && write.stamp.is_none() {
            // Without the object, a delete says nothing of what is stored.
            return;
        }
        let stamp = write.stamp.as_deref().and_then(|text| text.parse::<u64>().ok());
        if write.stamp.is_some() && stamp.is_none() {
            self.find(seen, before, "a stamp that is a number".into(), &write.stamp);
        } else if ours {
            self.written(seen, before, stamp);
        } else {
            self.written_by_others(seen, before, stamp);
        }
        let marked = write.value.as_deref().map(is_marked);
        let marked = marked.or(before.and_then(|before| before.marked));
        // What was reported once is not repeated: the highest stamp stays the measure.
        let stamp = stamp.max(before.and_then(|before| before.stamp));
        let place = if before.is_some_and(|b| b.stamp == stamp && b.marked == marked) {
            before.map_or(seen.place, |before| before.place)
        } else {
            seen.place
        };
        self.known.insert(&write.uid, Known { stamp, marked, place });
    }

    fn written(&mut self, seen: &Seen<'a, ObjectWrite>, before: Option<Known>, stamp: Option<u64>) {
        match (before.map(|before| before.stamp), stamp) {
            (_, None) => self.find(seen, before, "a stamp".into(), &seen.what.stamp),
            (Some(None), Some(_)) if seen.what.changed => {
                let expected = "no write to an object that is not the operator's".into();
                self.find(seen, before, expected, &seen.what.stamp);
            }
            (Some(Some(highest)), Some(stamp)) if stamp < highest => {
                let expected = format!("a stamp of at least {highest}");
                self.find(seen, before, expected, &seen.what.stamp);
            }
            _ => {}
        }
    }

    fn written_by_others(
        &mut self,
        seen: &Seen<'a, ObjectWrite>,
        before: Option<Known>,
        stamp: Option<u64>,
    ) {
        let write = seen.what;
        let expected = match before {
            Some(before) => before.stamp,
            None if write.verb == "create" || write.status == 201 => None,
            None => return,
        };
        if stamp != expected {
            let who = &write.user;
            self.find(seen, before, format!("{who} leaves stamp {expected:?}"), &write.stamp);
        }
        let marks = write.value.as_deref().is_some_and(is_marked);
        if marks && before.is_none_or(|before| before.marked == Some(false)) {
            let expected = format!("no mark for deletion by {}", write.user);
            self.find(seen, before, expected, &Some("marked".to_owned()));
        }
    }

    fn deleted(&mut self, seen: &Seen<'a, ObjectWrite>, before: Option<Known>) {
        let expected = || "a delete after a stamped write that marks this incarnation".into();
        match before {
            None => self.find(seen, before, expected(), &Some("no write to it".to_owned())),
            Some(known) if known.stamp.is_none() || known.marked == Some(false) => {
                let found = if known.stamp.is_none() { "no stamp" } else { "no mark" };
                self.find(seen, before, expected(), &Some(found.to_owned()));
            }
            Some(_) => {}
        }
    }

    fn find(
        &mut self,
        seen: &Seen<'a, ObjectWrite>,
        before: Option<Known>,
        expected: String,
        found: &Option<String>,
    ) {
        let write = seen.what;
        let place = format!("write {}, {} {}", seen.index, write.verb, write.object);
        let found = found.as_ref().map_or("none".to_owned(), ToString::to_string);
        let finding = Finding::new(place, expected, found);
        self.findings.push(finding.at_some(before.map(|b| b.place)).at(seen.place));
    }
}
