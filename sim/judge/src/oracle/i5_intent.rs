//! I5: no effect without its decision before it in the log, and every decided action ends in
//! exactly one of applied, failed and superseded.
//!
//! An action without an outcome is work under way, not a violation, until the faults have stopped
//! and the run has ended; two outcomes always are one. Effects are in `i5_effects.rs`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::{Facts, Place, Stored};
use super::i5_effects;
use crate::record::LogEvent;
use crate::verdict::{Finding, Verdict};

/// A decided action: record, subject, index.
pub(super) type ActionId<'a> = (u64, &'a str, u64);

/// What a decision says about one object.
pub(super) struct Action<'a> {
    pub(super) id: ActionId<'a>,
    pub(super) verb: &'a str,
    pub(super) object: &'a str,
    pub(super) uid: Option<&'a str>,
    pub(super) stored: &'a Stored,
    outcomes: Vec<Place>,
}

/// All decisions of the log.
#[derive(Default)]
pub(super) struct Decisions<'a> {
    pub(super) actions: Vec<Action<'a>>,
    by_id: BTreeMap<ActionId<'a>, usize>,
    /// By record and object: the actions that may have caused a write under this stamp.
    by_object: BTreeMap<(u64, &'a str), Vec<usize>>,
}

/// Matches decisions with outcomes, and effects with decisions.
pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let mut findings = Vec::new();
    let mut decisions = Decisions::default();
    let mut checked = 0;
    for stored in &facts.records {
        for event in &stored.record.events {
            decisions.add(stored, event);
            for (decision, index) in outcomes_in(event) {
                checked += 1;
                let id = (decision, event.text("subject").unwrap_or_default(), index);
                if let Some(found) = decisions.end(id, stored.place) {
                    let expected = "one outcome of a decided action";
                    let place =
                        format!("seq {}, {index} of {} in {decision}", stored.record.seq, id.1);
                    let earlier = decisions.get(id).and_then(|action| action.outcomes.first());
                    let finding = Finding::new(place, expected, found);
                    findings.push(finding.at_some(earlier.copied()).at(stored.place));
                }
            }
        }
    }
    if facts.went_on() {
        findings.extend(decisions.left_open());
    }
    checked += i5_effects::judge(facts, &decisions, &mut findings);
    Verdict::from_findings(findings, checked, "the log holds no outcome")
}

impl<'a> Decisions<'a> {
    fn add(&mut self, stored: &'a Stored, event: &'a LogEvent) {
        if event.name != "ActionsDecided" {
            return;
        }
        let subject = event.text("subject").unwrap_or_default();
        for (index, action) in event.list("actions").enumerate() {
            let text = |field: &str| action.get(field).and_then(Value::as_str);
            let id = (stored.record.seq, subject, index as u64);
            let object = text("object").unwrap_or_default();
            self.by_id.insert(id, self.actions.len());
            self.by_object.entry((id.0, object)).or_default().push(self.actions.len());
            self.actions.push(Action {
                id,
                verb: text("verb").unwrap_or_default(),
                object,
                uid: text("uid"),
                stored,
                outcomes: Vec::new(),
            });
        }
    }

    /// Notes an outcome; says what is wrong with it.
    fn end(&mut self, id: ActionId<'_>, place: Place) -> Option<&'static str> {
        let Some(at) = self.by_id.get(&id) else {
            return Some("an outcome of an action that was not decided before");
        };
        let outcomes = &mut self.actions[*at].outcomes;
        outcomes.push(place);
        (outcomes.len() > 1).then_some("a second outcome")
    }

    pub(super) fn get(&self, id: ActionId<'_>) -> Option<&Action<'a>> {
        self.by_id.get(&id).map(|at| &self.actions[*at])
    }

    /// What the record of this stamp decided about an object.
    pub(super) fn about<'b>(
        &'b self,
        seq: u64,
        object: &'b str,
    ) -> impl Iterator<Item = &'b Action<'a>> + Clone {
        let found = self.by_object.get(&(seq, object)).into_iter().flatten();
        found.map(|at| &self.actions[*at])
    }

    /// Actions without an outcome: a run ends when nothing is under way any more.
    fn left_open(&self) -> impl Iterator<Item = Finding> {
        let open = self.actions.iter().filter(|action| action.outcomes.is_empty());
        open.map(|action| {
            let (seq, subject, index) = action.id;
            let place = format!("seq {seq}, {index} of {subject}");
            let found = format!("{} {} is still under way", action.verb, action.object);
            let finding = Finding::new(place, "an outcome by the end of the run", found);
            finding.at_some(action.stored.accepted).at(action.stored.place)
        })
    }
}

/// Record of the decision and index of the action, for each outcome that this event reports.
fn outcomes_in(event: &LogEvent) -> Vec<(u64, u64)> {
    let Some(decision) = event.number("decision") else { return Vec::new() };
    match event.name.as_str() {
        "ActionApplied" | "ActionFailed" => {
            event.number("action").map(|index| (decision, index)).into_iter().collect()
        }
        "ActionSuperseded" => {
            event.list("actions").filter_map(Value::as_u64).map(|i| (decision, i)).collect()
        }
        _ => Vec::new(),
    }
}
