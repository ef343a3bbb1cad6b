//! I6: reducing the log gives the live state; re-deriving decisions gives the recorded ones.
//!
//! Three parts. The judge's own reducer (`reference::Book`) says whether each event fits those
//! before it. What the log observed is compared with what the API server had. And at the end of a
//! run that went on after its faults, the live objects are those that the log believes in. That
//! every decision can be made again is the binary's own word (`Replayed`), as nobody else has the
//! decision functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::facts::{Facts, Place, Stored};
use crate::event::Event;
use crate::record::LogEvent;
use crate::reference::{
    Book, LOG, RETAINED_FOR, annotation, difference, generation, is_deleting, is_managed, kind_of,
    stamp_of, uid_of,
};
use crate::verdict::{Finding, Verdict};

/// What the API server had.
#[derive(Default)]
struct Truth<'a> {
    /// Specs by uid and generation.
    specs: BTreeMap<&'a str, BTreeMap<i64, (&'a Value, Place)>>,
    /// Where an incarnation went, or began to go.
    gone: BTreeMap<&'a str, Place>,
    /// Managed objects as they are at the end.
    live: BTreeMap<&'a str, (&'a Arc<Value>, Place)>,
}

/// Reduces the log and compares.
pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let truth = Truth::of(facts);
    let mut book = Book::default();
    let mut findings = Vec::new();
    let mut checked = 0;
    for stored in &facts.records {
        for (index, event) in (0..).zip(&stored.record.events) {
            checked += 1;
            let mut said = book.apply(stored.record.seq, index, event);
            said.extend(truth.contradicts(event, stored));
            for (expected, found) in said {
                let place = format!("seq {}, event {index}, {}", stored.record.seq, event.name);
                let finding = Finding::new(place, expected, found);
                findings.push(finding.at(stored.place).at_some(stored.accepted));
            }
        }
    }
    if facts.went_on() {
        truth.compare_end(&book, facts, &mut findings);
    }
    let mut replays = 0;
    for (place, line) in facts.placed() {
        if let Event::Replayed { fault, decisions } = &line.event {
            replays += 1;
            checked += decisions;
            if !fault.is_empty() {
                let expected = "every decision made again as it is recorded";
                findings.push(Finding::new("the final log", expected, fault).at(place));
            }
        }
    }
    if findings.is_empty() && replays == 0 {
        return Verdict::Unknown { why: "no decision was made again".into() };
    }
    Verdict::from_findings(findings, checked, "the log is empty")
}

impl<'a> Truth<'a> {
    fn of(facts: &Facts<'a>) -> Self {
        let mut truth = Self::default();
        for seen in facts.object_writes.iter().filter(|seen| seen.what.took_effect()) {
            let write = seen.what;
            let value = write.value.as_ref();
            if write.removed || value.is_some_and(|value| is_deleting(value)) {
                truth.gone.entry(&write.uid).or_insert(seen.place);
            }
            let subject = matches!(kind_of(&write.object), "Agent" | "Session");
            if let Some(value) = value.filter(|_| subject) {
                let specs = truth.specs.entry(&write.uid).or_default();
                specs.entry(generation(value)).or_insert((&value["spec"], seen.place));
            }
            if is_managed(&write.object) {
                if write.removed {
                    truth.live.remove(write.object.as_str());
                } else if let Some(value) = value {
                    truth.live.insert(&write.object, (value, seen.place));
                }
            }
        }
        truth
    }

    /// What an observation says that was not so.
    fn contradicts(&self, event: &LogEvent, stored: &Stored) -> Option<(String, String)> {
        let uid = event.text("uid").unwrap_or_default();
        match event.name.as_str() {
            "AgentObserved" | "SessionObserved" => self.spec_differs(uid, event),
            "AgentDeleted" | "SessionDeleted" => self.still_there(uid, stored),
            "ChildObserved" if event.fields["state"]["is"] == "JobLost" => {
                self.still_there(uid, stored)
            }
            "DriftObserved" if event.fields["drift"]["is"] == "Missing" => {
                let uid = event.fields["drift"]["uid"].as_str().unwrap_or_default();
                if uid.is_empty() { None } else { self.still_there(uid, stored) }
            }
            _ => None,
        }
    }

    fn spec_differs(&self, uid: &str, event: &LogEvent) -> Option<(String, String)> {
        let Some(specs) = self.specs.get(uid) else {
            return Some(("an incarnation that there was".into(), uid.to_owned()));
        };
        let generation = event.fields["generation"].as_i64().unwrap_or_default();
        let Some((spec, _)) = specs.get(&generation) else {
            let found = format!("generation {generation} of {uid}");
            return Some(("a generation that there was".into(), found));
        };
        let differs = difference(&event.fields["spec"], spec)?;
        Some((format!("what was written as generation {generation}"), differs))
    }

    fn still_there(&self, uid: &str, stored: &Stored) -> Option<(String, String)> {
        let recorded = stored.accepted.unwrap_or(stored.place);
        let gone = self.gone.get(uid).is_some_and(|gone| gone.is_before(recorded));
        (!gone).then(|| (format!("{uid} gone before"), "it was there".to_owned()))
    }

    /// The live cluster is what the log says.
    fn compare_end(&self, book: &Book<'_>, facts: &Facts<'_>, findings: &mut Vec<Finding>) {
        for (object, (value, place)) in &self.live {
            let ours = annotation(value, LOG) == Some(facts.log_id.as_str());
            if !ours || is_deleting(value) || book.is_pending(object) {
                continue;
            }
            let stamp = stamp_of(value);
            let uid = uid_of(value);
            let said = match book.objects.get(object) {
                Some(applied) if applied.uid == uid => {
                    let newest = facts.base + applied.decision;
                    (stamp != Some(newest))
                        .then(|| (format!("stamp {newest}"), format!("stamp {stamp:?}")))
                }
                Some(applied) if applied.certain => {
                    Some((format!("incarnation {}", applied.uid), uid.to_owned()))
                }
                _ if annotation(value, RETAINED_FOR).is_some() => None,
                _ => Some(("nothing that the log does not know".into(), uid.to_owned())),
            };
            if let Some((expected, found)) = said {
                let finding = Finding::new(format!("{object} at the end"), expected, found);
                findings.push(finding.at(*place));
            }
        }
        for (object, applied) in book.objects.iter().filter(|(_, applied)| applied.certain) {
            if !self.live.contains_key(object) && !book.is_pending(object) {
                let expected = format!("incarnation {}", applied.uid);
                let finding = Finding::new(format!("{object} at the end"), expected, "no object");
                findings.push(finding.at_some(facts.end));
            }
        }
    }
}
