//! I8: once faults stop, a leader within a bound, all resources at their desired state within a
//! bound, and they stay so.
//!
//! The bounds' arithmetic is in `bounds.rs`, the desired state in `reference::Cluster`. *Desired*
//! here means: somebody leads, the cluster lacks nothing, and no decided action is open. From then
//! on the operator has nothing to write but status, until somebody else changes something (a
//! person, a controller, the end of a Session's time); then the bound counts anew.
//!
//! At no time does a replica end over a mistake of its own program: a restart may hide it, and may
//! as well meet it again.

use std::collections::{BTreeMap, BTreeSet};

use super::bounds::Bounds;
use super::facts::{Facts, Place};
use super::lease::Leadership;
use crate::event::{Event, Head, Line};
use crate::history::{LogWrite, ObjectWrite};
use crate::record::LogRecord;
use crate::reference::{Cluster, is_managed, kind_of, unix_ms};
use crate::verdict::{Finding, Verdict};

/// How often the cluster is asked what it lacks.
const LOOK_NS: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
/// The shortest time for which it must be seen to stay as desired.
const STAYS_NS: u64 = 20_000 * MS;
/// A change by somebody else is noticed within this time: a broken watch is opened again and shows
/// it.
const NOTICED_WITHIN_NS: u64 = 10_000 * MS;

/// Events that say that something outside of the operator happened which the cluster need not show
/// before: a deadline, a Job's end, an Agent that is gone with all it had.
const FROM_OUTSIDE: [&str; 5] =
    ["TimerFired", "ChildObserved", "AgentDeleted", "SessionDeleted", "CheckpointCreated"];

/// Follows the cluster, from its beginning to the end of the run.
pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let unknown = |why: &str| Verdict::Unknown { why: why.into() };
    let Some(head) = facts.head else { return unknown("the stream has no head") };
    let Some(healed) = facts.healed else { return unknown("the faults never stopped") };
    if facts.end.is_none() {
        return unknown("the stream has no end");
    }
    let mut walk = Walk::new(facts, head, healed);
    for (place, line) in facts.placed() {
        walk.step(place, line);
    }
    walk.conclude(facts)
}

struct Walk<'a> {
    cluster: Cluster,
    operator: &'a str,
    records: BTreeMap<&'a str, &'a LogRecord>,
    healed: Place,
    bounds: Bounds,
    start_wall_ms: u64,
    leadership: Leadership<'a>,
    led: bool,
    leader_late: bool,
    open: i64,
    next_look_ns: u64,
    /// Since when everything is as desired.
    settled: Option<Place>,
    /// When everything has to be as desired, and since what.
    due: (u64, Place),
    lacks: Option<String>,
    /// When somebody else changed something last.
    stirred_ns: u64,
    findings: Vec<Finding>,
    checked: u64,
}

impl<'a> Walk<'a> {
    fn new(facts: &'a Facts<'_>, head: &'a Head, healed: Place) -> Self {
        let from = healed.at_ns.unwrap_or_default();
        let trip_ms = round_trip_ms(facts, from, head.terms.request_timeout_ms);
        let silent = facts.lines.iter().any(
            |line| matches!(&line.event, Event::FaultBegan { fault, .. } if fault == "drop-events"),
        );
        let objects = facts.object_writes.iter().map(|seen| seen.what.object.as_str());
        let subjects: BTreeSet<&str> =
            objects.filter(|object| matches!(kind_of(object), "Agent" | "Session")).collect();
        let bounds = Bounds::new(&head.terms, trip_ms, subjects.len() as u64, silent);
        let by_key = facts.records.iter().map(|stored| &stored.record);
        let keys = facts.log_at_end.iter().filter(|o| !facts.faults.contains_key(&o.index));
        Self {
            cluster: Cluster::new(head),
            operator: facts.operator,
            records: keys.map(|object| object.what.key.as_str()).zip(by_key).collect(),
            healed,
            bounds,
            start_wall_ms: start_wall_ms(facts),
            leadership: Leadership::new(head),
            led: false,
            leader_late: false,
            open: 0,
            next_look_ns: from,
            settled: None,
            due: (from + bounds.state_ns, healed),
            lacks: None,
            stirred_ns: from,
            findings: Vec::new(),
            checked: 0,
        }
    }

    fn is_healed(&self, place: Place) -> bool {
        place == self.healed || self.healed.is_before(place)
    }

    fn step(&mut self, place: Place, line: &'a Line) {
        let healed = self.is_healed(place);
        if healed && line.t_ns >= self.next_look_ns {
            self.look(place, line.t_ns);
        }
        self.leadership.step(place, line);
        match &line.event {
            Event::Exited { .. } => self.ended(place, line),
            Event::ObjectWrite(write) => {
                if healed {
                    self.object_written(place, write);
                }
                self.cluster.apply(write);
            }
            Event::LogWrite(write) if write.took_effect() => self.log_written(place, write),
            Event::User { .. } if healed => self.stirred(place),
            Event::End => {
                self.look(place, line.t_ns);
            }
            _ => {}
        }
    }

    fn ended(&mut self, place: Place, line: &Line) {
        if let Event::Exited { why, bug: true, .. } = &line.event {
            let expected = "no replica finds its own program wrong";
            self.findings.push(Finding::new(&line.node, expected, why).at(place));
        }
    }

    fn look(&mut self, place: Place, now_ns: u64) {
        self.next_look_ns = now_ns - now_ns % LOOK_NS + LOOK_NS;
        self.checked += 1;
        let leads = self.leadership.is_held(now_ns);
        let late = now_ns > self.healed.at_ns.unwrap_or_default() + self.bounds.leader_ns;
        if leads {
            self.led = true;
        } else if late && !self.leader_late {
            self.leader_late = true;
            let found = if self.led { "the leader is gone" } else { "nobody leads" };
            let expected = format!("a leader within {} ms", self.bounds.leader_ns / MS);
            let finding = Finding::new("leadership", expected, found);
            self.findings.push(finding.at(self.healed).at(place));
        }
        let wall_ms = self.start_wall_ms + now_ns / MS;
        self.lacks = self.cluster.missing(wall_ms).or_else(|| match self.open {
            0 if leads && !self.leadership.has_begun() => {
                Some("the holder of the Lease has not begun its epoch".into())
            }
            0 if leads => None,
            0 => Some("nobody leads".into()),
            open => Some(format!("{open} decided actions are open")),
        });
        if self.lacks.is_none() {
            // What somebody else changed a moment ago may not have been seen yet.
            if now_ns.saturating_sub(self.stirred_ns) >= NOTICED_WITHIN_NS {
                self.settled = self.settled.or(Some(place));
            }
        } else if self.settled.is_some() {
            // Whoever changes something is noticed in `step`: this is time's doing.
            let lacks = self.lacks.take();
            self.stirred(place);
            self.lacks = lacks;
        }
        if let Some(lacks) = &self.lacks
            && now_ns > self.due.0
        {
            let within = self.bounds.state_ns / MS;
            let finding =
                Finding::new("the cluster", format!("as desired within {within} ms"), lacks);
            self.findings.push(finding.at(self.due.1).at(place));
            // Told once per time that somebody stirred it.
            self.due.0 = u64::MAX;
        }
    }

    /// Somebody else changed something: the bound counts anew.
    fn stirred(&mut self, place: Place) {
        self.settled = None;
        self.stirred_ns = place.at_ns.unwrap_or_default();
        let due = place.at_ns.unwrap_or_default() + self.bounds.state_ns;
        if self.due.0 != u64::MAX {
            self.due = (due, place);
        }
        self.lacks = Some("something changed at the very end".into());
    }

    fn object_written(&mut self, place: Place, write: &ObjectWrite) {
        let matters =
            is_managed(&write.object) || matches!(kind_of(&write.object), "Agent" | "Session");
        if !matters || !write.took_effect() {
            return;
        }
        let ours = write.user == self.operator;
        let changes = write.changed || write.removed;
        if !ours && changes {
            self.stirred(place);
        } else if ours && changes && write.subresource.is_empty() {
            self.disturbed(place, format!("{} {}", write.verb, write.object));
        }
    }

    fn log_written(&mut self, place: Place, write: &LogWrite) {
        let Some(record) = self.records.get(write.key.as_str()).copied() else { return };
        if record.events.iter().any(|event| event.name == "EpochStarted") {
            self.leadership.begins(&record.writer);
        }
        for event in &record.events {
            let actions = || i64::try_from(event.list("actions").count()).unwrap_or(i64::MAX);
            self.open += match event.name.as_str() {
                "ActionsDecided" => actions(),
                "ActionApplied" | "ActionFailed" => -1,
                "ActionSuperseded" => -actions(),
                _ => 0,
            };
            if let ("EpochStarted", Some(settings)) =
                (event.name.as_str(), event.fields.get("settings"))
            {
                self.cluster.decide_by(settings);
            }
        }
        if !self.is_healed(place) {
            return;
        }
        // Who was about to stop or to come back when the faults ended still does.
        let electing = self.healed.at_ns.unwrap_or_default() + self.bounds.leader_ns;
        let begins = record.events.iter().any(|event| event.name == "EpochStarted");
        if begins && place.at_ns.unwrap_or_default() <= electing {
            self.stirred(place);
            return;
        }
        if record.events.iter().any(|event| FROM_OUTSIDE.contains(&event.name.as_str())) {
            self.stirred(place);
        } else {
            let names: Vec<&str> = record.events.iter().map(|e| e.name.as_str()).collect();
            self.disturbed(place, format!("record {} with {}", record.seq, names.join(", ")));
        }
    }

    /// The operator did something although everything was as desired and nobody else did.
    fn disturbed(&mut self, place: Place, found: String) {
        if let Some(settled) = self.settled.take() {
            let expected = "nothing to do where all is as desired";
            self.findings.push(Finding::new("the cluster", expected, found).at(settled).at(place));
        }
    }

    fn conclude(self, facts: &Facts<'_>) -> Verdict {
        let end_ns = facts.end.and_then(|end| end.at_ns).unwrap_or_default();
        if let Some(why) = self.stayed(end_ns).filter(|_| self.findings.is_empty()) {
            return Verdict::Unknown { why };
        }
        let Some(lacks) = self.lacks.filter(|_| self.findings.is_empty()) else {
            return Verdict::from_findings(self.findings, self.checked, "nothing was looked at");
        };
        let left_ms = self.due.0.saturating_sub(end_ns) / MS;
        Verdict::Unknown { why: format!("the run ended {left_ms} ms before the bound: {lacks}") }
    }

    /// What is missing to say that it stayed as desired: as long as it took to become so, and no
    /// less than the shortest time in which anything would show. Whoever stirs it later is not
    /// waited for so long.
    fn stayed(&self, end_ns: u64) -> Option<String> {
        let settled_ns = self.settled?.at_ns?;
        let from_ns = self.healed.at_ns?;
        let took_ns = settled_ns.saturating_sub(from_ns);
        let (stayed_ns, enough_ns) = (end_ns - settled_ns, took_ns.max(STAYS_NS));
        let first = self.due.1 == self.healed;
        (first && stayed_ns < enough_ns).then(|| {
            let (stayed, enough) = (stayed_ns / MS, enough_ns / MS);
            format!("it stayed as desired for {stayed} ms only, and took {enough}")
        })
    }
}

/// The longest request after the faults, at most Q; Q if none was seen.
fn round_trip_ms(facts: &Facts<'_>, from_ns: u64, most_ms: u64) -> u64 {
    let mut sent: BTreeMap<u64, u64> = BTreeMap::new();
    let mut longest = None;
    for line in facts.lines.iter().filter(|line| line.t_ns >= from_ns) {
        match &line.event {
            Event::Sent { message, method, .. } if method != "WATCH" => {
                sent.insert(*message, line.t_ns);
            }
            Event::Received { message, .. } => {
                if let Some(at) = sent.remove(message) {
                    longest = longest.max(Some(line.t_ns - at));
                }
            }
            _ => {}
        }
    }
    longest.map_or(most_ms, |ns| (ns / MS + 1).min(most_ms))
}

/// The wall clock of the API server at the start of the run: a time of creation leaves out less
/// than a second, so the latest answer of all creations is the best one.
fn start_wall_ms(facts: &Facts<'_>) -> u64 {
    let created = facts.object_writes.iter().filter_map(|seen| {
        let value = seen.what.value.as_ref().filter(|_| seen.what.status == 201)?;
        let text = value.get("metadata")?.get("creationTimestamp")?.as_str()?;
        unix_ms(text)?.checked_sub(seen.place.at_ns? / MS)
    });
    created.max().unwrap_or_default()
}
