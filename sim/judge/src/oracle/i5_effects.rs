//! I5, the cluster's side: every effect of the operator has its decision before it, what is
//! created is inert, what runs was recorded before, no session runs twice, a workspace that is kept
//! is never deleted, and what the log calls applied was applied.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::{Facts, Place, Seen};
use super::i5_intent::{Action, Decisions};
use crate::history::ObjectWrite;
use crate::reference::{
    LOG, RETAINED_FOR, annotation, is_deleting, is_inert, is_managed, is_marked, kind_of,
    owner_uid, stamp_of,
};
use crate::verdict::Finding;

/// An incarnation as the API server has it.
struct Known {
    stamp: Option<u64>,
    ours: bool,
    /// A workspace that outlives its Agent.
    kept: bool,
}

/// A Job that was let run: its incarnation, under which stamp, and where.
struct Ran<'a> {
    job: &'a str,
    stamp: Option<u64>,
    place: Place,
}

struct Walk<'a, 'f> {
    facts: &'f Facts<'a>,
    decisions: &'f Decisions<'f>,
    findings: &'f mut Vec<Finding>,
    known: BTreeMap<&'a str, Known>,
    /// Where an incarnation went, or began to go.
    gone: BTreeMap<&'a str, Place>,
    /// First effective write by object, incarnation and stamp.
    written: BTreeMap<(&'a str, &'a str, u64), Place>,
    /// By object and incarnation: where the record that names it was accepted.
    recorded: BTreeMap<(&'f str, &'f str), Option<Place>>,
    /// By incarnation of a Session: its Job that was let run.
    ran: BTreeMap<&'a str, Ran<'a>>,
    checked: u64,
}

/// Adds findings about effects; returns how many were checked.
pub(super) fn judge(
    facts: &Facts<'_>,
    decisions: &Decisions<'_>,
    findings: &mut Vec<Finding>,
) -> u64 {
    let mut walk = Walk {
        facts,
        decisions,
        findings,
        known: BTreeMap::new(),
        gone: BTreeMap::new(),
        written: BTreeMap::new(),
        recorded: recorded(facts, decisions),
        ran: BTreeMap::new(),
        checked: 0,
    };
    for seen in facts.object_writes.iter().filter(|seen| seen.what.took_effect()) {
        walk.step(seen);
    }
    if facts.is_ordered() {
        walk.outcomes_are_true();
    }
    walk.checked
}

/// Where the incarnations that outcomes name were accepted into the log.
fn recorded<'f>(
    facts: &'f Facts<'_>,
    decisions: &'f Decisions<'_>,
) -> BTreeMap<(&'f str, &'f str), Option<Place>> {
    let mut recorded = BTreeMap::new();
    for stored in &facts.records {
        for event in stored.record.events.iter().filter(|event| event.name == "ActionApplied") {
            let subject = event.text("subject").unwrap_or_default();
            let (decision, index) = (event.number("decision"), event.number("action"));
            let id = (decision.unwrap_or_default(), subject, index.unwrap_or_default());
            if let (Some(action), Some(uid)) = (decisions.get(id), event.text("uid")) {
                recorded.entry((action.object, uid)).or_insert(stored.accepted);
            }
        }
    }
    recorded
}

impl<'a> Walk<'a, '_> {
    fn step(&mut self, seen: &Seen<'a, ObjectWrite>) {
        let write = seen.what;
        let ours = write.user == self.facts.operator;
        let subject = matches!(kind_of(&write.object), "Agent" | "Session");
        if ours && subject && write.subresource.is_empty() {
            self.checked += 1;
            self.subject_written(seen);
        }
        if is_managed(&write.object) {
            if ours && write.verb == "delete" {
                self.deleted(seen);
            } else if ours && write.subresource.is_empty() {
                self.applied(seen);
            }
            self.started(seen);
            self.remember(seen);
        }
        if write.removed || write.value.as_deref().is_some_and(is_deleting) {
            self.gone.entry(&write.uid).or_insert(seen.place);
        }
    }

    /// Whether an object belongs to the log that is judged.
    fn is_of_this_log(&self, write: &ObjectWrite) -> bool {
        let said = write.value.as_deref().and_then(|value| annotation(value, LOG));
        said.or(write.log.as_deref()) == Some(self.facts.log_id.as_str())
    }

    fn applied(&mut self, seen: &Seen<'a, ObjectWrite>) {
        let write = seen.what;
        // A stamp that is none is I4's to find.
        let stamp = write.stamp.as_deref().and_then(|text| text.parse::<u64>().ok());
        let Some(stamp) = stamp.filter(|_| self.is_of_this_log(write)) else { return };
        self.checked += 1;
        self.written.entry((&write.object, &write.uid, stamp)).or_insert(seen.place);
        let seq = stamp.saturating_sub(self.facts.base);
        let decisions = self.decisions;
        let about = decisions.about(seq, &write.object);
        let created = write.verb == "create" || write.status == 201;
        let marked = write.value.as_deref().is_some_and(is_marked);
        let fits = |action: &&Action<'_>| {
            let verb = match action.verb {
                "Create" => !marked,
                "Update" | "Activate" => !marked && !created,
                "Delete" => write.value.is_none() || marked,
                _ => false,
            };
            verb && action.uid.is_none_or(|uid| uid == write.uid)
        };
        match about.clone().find(fits) {
            None => {
                let decided: Vec<&str> = about.map(|action| action.verb).collect();
                let found = if decided.is_empty() { "none".into() } else { decided.join(", ") };
                let what = if marked { "deletion" } else { "write" };
                let expected = format!("a decision of this {what} in record {seq}");
                self.find(seen, None, expected, found);
            }
            Some(action) => {
                let accepted = action.stored.accepted;
                if self.facts.is_ordered() && !accepted.is_some_and(|a| a.is_before(seen.place)) {
                    let expected = format!("record {seq} accepted before the effect");
                    let found = accepted.map_or("never seen accepted", |_| "accepted after it");
                    self.find(seen, accepted, expected, found.into());
                }
                self.inert_until_recorded(seen, created, seq);
            }
        }
    }

    /// A create starts nothing, and what runs is named by a record that was accepted before.
    fn inert_until_recorded(&mut self, seen: &Seen<'a, ObjectWrite>, created: bool, seq: u64) {
        let write = seen.what;
        let Some(value) = write.value.as_deref() else { return };
        if is_inert(kind_of(&write.object), value) {
            return;
        }
        if created {
            self.find(seen, None, "a create that runs nothing".into(), "it runs".into());
            return;
        }
        let decisions = self.decisions;
        let creates = |action: &Action<'_>| action.verb == "Create";
        if decisions.about(seq, &write.object).all(creates) {
            let expected = "no start by a decision to create".into();
            self.find(seen, None, expected, "it runs".into());
        }
        let recorded = self.recorded.get(&(write.object.as_str(), write.uid.as_str())).copied();
        let before = match recorded {
            None => false,
            Some(accepted) => {
                !self.facts.is_ordered() || accepted.is_some_and(|a| a.is_before(seen.place))
            }
        };
        if !before {
            let expected = format!("a start after the record that names {}", write.uid);
            let found = if recorded.is_some() { "before it" } else { "no such record" };
            self.find(seen, recorded.flatten(), expected, found.into());
        }
    }

    fn deleted(&mut self, seen: &Seen<'a, ObjectWrite>) {
        let write = seen.what;
        let Some(known) = self.known.get(write.uid.as_str()).filter(|known| known.ours) else {
            return;
        };
        let (stamp, kept) = (known.stamp, known.kept);
        if kept {
            let expected = "no deletion of a workspace that is kept".into();
            self.find(seen, None, expected, "it is deleted".into());
        }
        let Some(stamp) = stamp else { return };
        self.checked += 1;
        let seq = stamp.saturating_sub(self.facts.base);
        let fits = |action: &Action<'_>| {
            action.verb == "Delete" && action.uid.is_none_or(|uid| uid == write.uid)
        };
        if !self.decisions.about(seq, &write.object).any(fits) {
            let expected = format!("a decision to delete it in record {seq}");
            self.find(seen, None, expected, "none".into());
        }
    }

    /// People's own objects: nothing but the delete of a Session whose time is over.
    fn subject_written(&mut self, seen: &Seen<'a, ObjectWrite>) {
        let write = seen.what;
        let decided = self.decisions.actions.iter().find(|action| {
            action.verb == "DeleteExpired"
                && action.object == write.object
                && action.uid.is_none_or(|uid| uid == write.uid)
        });
        let decided = decided.filter(|_| write.verb == "delete");
        let accepted = decided.and_then(|action| action.stored.accepted);
        let fine = decided.is_some()
            && (!self.facts.is_ordered() || accepted.is_some_and(|a| a.is_before(seen.place)));
        if !fine {
            let expected = "no write but the decided delete of an expired Session".into();
            self.find(seen, accepted, expected, write.verb.clone());
        }
    }

    /// No session runs twice: of the Jobs of one incarnation only one is ever let run, and none
    /// comes after it, but for an earlier create that arrives late, or once more, and runs nothing.
    /// The mark that such a Job is deleted starts nothing either, however new it is.
    fn started(&mut self, seen: &Seen<'a, ObjectWrite>) {
        let write = seen.what;
        let Some(value) = write.value.as_deref() else { return };
        if kind_of(&write.object) != "Job" || write.user != self.facts.operator {
            return;
        }
        let Some(session) = owner_uid(value) else { return };
        let (stamp, inert) = (stamp_of(value), is_inert("Job", value));
        let harmless = |ran: &Ran<'_>| inert && (stamp <= ran.stamp || is_marked(value));
        match self.ran.get(session) {
            Some(ran) if ran.job != write.uid && !harmless(ran) => {
                let (job, first) = (ran.job.to_owned(), ran.place);
                let expected = format!("no Job after {job}, which may have run");
                self.find(seen, Some(first), expected, format!("Job {}", write.uid));
            }
            None if !inert => {
                let ran = Ran { job: &write.uid, stamp, place: seen.place };
                self.ran.insert(session, ran);
            }
            _ => {}
        }
    }

    fn remember(&mut self, seen: &Seen<'a, ObjectWrite>) {
        let write = seen.what;
        if write.removed {
            self.known.remove(write.uid.as_str());
            return;
        }
        let Some(stamp) = write.stamp.as_deref().map(|text| text.parse().ok()) else { return };
        let before = self.known.get(write.uid.as_str());
        let ours = self.is_of_this_log(write) || before.is_some_and(|before| before.ours);
        // A deletion is marked first, and the mark is a write as any other.
        let says = |value: &Value| annotation(value, RETAINED_FOR).is_some();
        let kept = match write.value.as_deref() {
            Some(value) if !is_marked(value) => says(value),
            _ => before.is_some_and(|before| before.kept),
        };
        self.known.insert(&write.uid, Known { stamp, ours, kept });
    }

    /// What the log calls applied took effect before the log could say so.
    fn outcomes_are_true(&mut self) {
        let facts = self.facts;
        for stored in &facts.records {
            for event in stored.record.events.iter().filter(|e| e.name == "ActionApplied") {
                let decision = event.number("decision").unwrap_or_default();
                let subject = event.text("subject").unwrap_or_default();
                let index = event.number("action").unwrap_or_default();
                let Some(action) = self.decisions.get((decision, subject, index)) else { continue };
                let uid = event.text("uid").unwrap_or_default();
                let delete = matches!(action.verb, "Delete" | "DeleteExpired");
                let effect = if delete {
                    self.gone.get(uid)
                } else {
                    self.written.get(&(action.object, uid, facts.base + decision))
                };
                self.checked += 1;
                let accepted = stored.accepted.unwrap_or(stored.place);
                if effect.is_none_or(|effect| !effect.is_before(accepted)) {
                    let what = format!("{} {} {uid}", action.verb, action.object);
                    let place = format!("seq {}, {index} of {subject}", stored.record.seq);
                    let found = "no such effect before the record";
                    let finding = Finding::new(place, format!("{what} in the cluster"), found);
                    self.findings.push(finding.at_some(effect.copied()).at(accepted));
                }
            }
        }
    }

    fn find(
        &mut self,
        seen: &Seen<'a, ObjectWrite>,
        cause: Option<Place>,
        expected: String,
        found: String,
    ) {
        let write = seen.what;
        let place = format!("write {}, {} {}", seen.index, write.verb, write.object);
        self.findings.push(Finding::new(place, expected, found).at_some(cause).at(seen.place));
    }
}
