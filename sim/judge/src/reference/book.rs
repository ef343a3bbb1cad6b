//! A small reducer over raw records: what was last seen of each Agent and Session, what was last
//! applied of each object, and what is decided and not done (I6).
//!
//! It decides nothing. It says of each event whether the events before it allow it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::names::{children_of, kind_of};
use crate::record::{LogEvent, hex_sha256};

/// What an event is not: expected, found.
pub(crate) type Complaint = (String, String);

/// An Agent or Session as last observed.
struct Subject<'a> {
    uid: &'a str,
    generation: i64,
    spec: &'a Value,
    expires_ms: Option<u64>,
    /// Revision of logic and settings at that time.
    revision: u64,
}

/// A managed object as last applied.
pub(crate) struct Applied<'a> {
    pub(crate) uid: &'a str,
    /// Record of the decision.
    pub(crate) decision: u64,
    /// Whether it surely still exists, as far as the log knows: a workspace may be kept.
    pub(crate) certain: bool,
    drifted: bool,
}

struct Pending<'a> {
    decision: u64,
    index: u64,
    verb: &'a str,
    object: &'a str,
    uid: Option<&'a str>,
}

/// The state of the reference.
#[derive(Default)]
pub(crate) struct Book<'a> {
    subjects: BTreeMap<&'a str, Subject<'a>>,
    /// Incarnations that the log has called gone.
    gone: BTreeSet<&'a str>,
    pub(crate) objects: BTreeMap<&'a str, Applied<'a>>,
    pending: BTreeMap<&'a str, Vec<Pending<'a>>>,
    /// Objects that once could not be written: their names are looked at again.
    failed: BTreeSet<&'a str>,
    /// Newest state of a child by object and uid.
    children: BTreeMap<(String, String), &'a str>,
    /// Deadlines that have fired: subject, uid, which.
    fired: BTreeSet<(&'a str, &'a str, &'a str)>,
    hashes: BTreeMap<(u64, u64), &'a str>,
    terms: Option<(&'a Value, &'a Value)>,
    revision: u64,
}

impl<'a> Book<'a> {
    /// Whether anything is decided and not done about this object or its owner.
    pub(crate) fn is_pending(&self, object: &str) -> bool {
        self.pending.values().flatten().any(|pending| pending.object == object)
    }

    /// Applies one event; says what is wrong with it.
    pub(crate) fn apply(&mut self, seq: u64, index: u64, event: &'a LogEvent) -> Vec<Complaint> {
        let mut said = Vec::new();
        match event.name.as_str() {
            "EpochStarted" => self.epoch_started(event),
            "AgentObserved" => self.observed(event, "agent", &mut said),
            "SessionObserved" => self.observed(event, "session", &mut said),
            "AgentDeleted" => self.deleted(event, "agent", &mut said),
            "SessionDeleted" => self.deleted(event, "session", &mut said),
            "ChildObserved" => self.child(event, &mut said),
            "TimerFired" => self.timer_fired(event, &mut said),
            "DriftObserved" => self.drift(event, &mut said),
            "ActionsDecided" => self.decided(seq, index, event, &mut said),
            "ActionApplied" | "ActionFailed" => self.ended(event, &mut said),
            "ActionSuperseded" => {
                for action in event.list("actions").filter_map(Value::as_u64) {
                    // Whether it was pending is I5's to say.
                    let _ = self.take(event, action);
                }
            }
            _ => {}
        }
        self.hashes.insert((seq, index), &event.sha256);
        said
    }

    fn epoch_started(&mut self, event: &'a LogEvent) {
        let terms = (&event.fields["logic"], &event.fields["settings"]);
        if self.terms.is_some_and(|before| before != terms) {
            self.revision += 1;
        }
        self.terms = Some(terms);
    }

    fn observed(&mut self, event: &'a LogEvent, field: &str, said: &mut Vec<Complaint>) {
        let Some((name, uid)) = event.text(field).zip(event.text("uid")) else { return };
        let generation = event.fields["generation"].as_i64().unwrap_or_default();
        let spec = &event.fields["spec"];
        let expires_ms = event.number("expires_ms");
        if self.gone.contains(uid) {
            said.push(("no news of what is gone".into(), format!("{name} {uid} again")));
        }
        match self.subjects.get(name) {
            Some(before) if before.uid == uid => {
                if generation < before.generation {
                    let found = format!("generation {generation}");
                    said.push((format!("at least generation {}", before.generation), found));
                }
                let anew = field == "agent" && before.revision != self.revision;
                if generation == before.generation && *spec == *before.spec && !anew {
                    said.push(("something new".into(), format!("{name} as it was before")));
                }
                if expires_ms != before.expires_ms {
                    let found = format!("expires_ms {expires_ms:?}");
                    said.push((format!("expires_ms {:?}", before.expires_ms), found));
                }
            }
            Some(before) => {
                let gone = before.uid;
                self.gone.insert(gone);
                self.forget_children(name);
            }
            None => {}
        }
        self.fired.retain(|(subject, ..)| *subject != name);
        let revision = self.revision;
        self.subjects.insert(name, Subject { uid, generation, spec, expires_ms, revision });
    }

    fn deleted(&mut self, event: &'a LogEvent, field: &str, said: &mut Vec<Complaint>) {
        let Some((name, uid)) = event.text(field).zip(event.text("uid")) else { return };
        if self.subjects.get(name).is_none_or(|known| known.uid != uid) {
            said.push((format!("{name} {uid} observed before"), "it was not".into()));
            return;
        }
        self.subjects.remove(name);
        self.gone.insert(uid);
        self.forget_children(name);
    }

    /// The API server collects what has an owner; a workspace may have none.
    fn forget_children(&mut self, subject: &str) {
        for child in children_of(subject) {
            self.children.retain(|(object, _), _| *object != child);
            if kind_of(&child) == "PersistentVolumeClaim" {
                if let Some(claim) = self.objects.get_mut(child.as_str()) {
                    claim.certain = false;
                }
            } else {
                self.objects.remove(child.as_str());
            }
        }
    }

    fn knows(&self, object: &str, uid: &str) -> bool {
        self.objects.get(object).is_some_and(|applied| applied.uid == uid)
    }

    fn child(&mut self, event: &'a LogEvent, said: &mut Vec<Complaint>) {
        let Some((object, uid)) = event.text("object").zip(event.text("uid")) else { return };
        let state = event.fields["state"]["is"].as_str().unwrap_or_default();
        if !self.knows(object, uid) {
            said.push((format!("{object} {uid} applied before"), "it was not".into()));
            return;
        }
        let key = (object.to_owned(), uid.to_owned());
        if self.children.insert(key, state) == Some(state) {
            said.push(("something new".into(), format!("{object} {state} as before")));
        }
        if state == "JobLost" {
            self.objects.remove(object);
        }
    }

    fn timer_fired(&mut self, event: &'a LogEvent, said: &mut Vec<Complaint>) {
        let Some((name, uid)) = event.text("subject").zip(event.text("uid")) else { return };
        let timer = event.text("timer").unwrap_or_default();
        let Some(known) = self.subjects.get(name).filter(|known| known.uid == uid) else {
            said.push((format!("{name} {uid} observed before"), "it was not".into()));
            return;
        };
        let due = event.number("due_ms");
        if timer == "Expiry" && due != known.expires_ms {
            said.push((format!("due at {:?}", known.expires_ms), format!("due at {due:?}")));
        }
        if !self.fired.insert((name, uid, timer)) {
            said.push(("a deadline that fires once".into(), format!("{timer} again")));
        }
    }

    fn drift(&mut self, event: &'a LogEvent, said: &mut Vec<Complaint>) {
        let object = event.text("object").unwrap_or_default();
        let drift = &event.fields["drift"];
        let uid = drift["uid"].as_str().unwrap_or_default();
        let known = self.knows(object, uid);
        match drift["is"].as_str().unwrap_or_default() {
            "Missing" => {
                if known {
                    self.objects.remove(object);
                } else if !self.failed.contains(object) {
                    said.push((format!("{object} {uid} applied before"), "it was not".into()));
                }
            }
            "Changed" => match self.objects.get_mut(object).filter(|known| known.uid == uid) {
                None => {
                    said.push((format!("{object} {uid} applied before"), "it was not".into()));
                }
                Some(known) if known.drifted => {
                    said.push(("something new".into(), format!("{object} drifted before")));
                }
                Some(known) => known.drifted = true,
            },
            _ if known && self.objects[object].certain => {
                said.push((format!("{object} {uid} not wanted"), "it was applied".into()));
            }
            _ => {}
        }
    }

    fn decided(&mut self, seq: u64, index: u64, event: &'a LogEvent, said: &mut Vec<Complaint>) {
        self.check_trigger(seq, index, event, said);
        let actions = &event.fields["actions"];
        let hash = hex_sha256(&[actions.to_string().as_bytes()]);
        let claimed = event.text("actions_sha256").unwrap_or_default();
        if claimed != hash {
            said.push((format!("actions_sha256 {hash}"), claimed.to_owned()));
        }
        let Some((subject, uid)) = event.text("subject").zip(event.text("uid")) else { return };
        if self.pending.get(subject).is_some_and(|pending| !pending.is_empty()) {
            said.push(("nothing pending".into(), format!("a decision about {subject} pending")));
        }
        let owns = matches!(kind_of(subject), "Agent" | "Session");
        if owns && self.subjects.get(subject).is_none_or(|known| known.uid != uid) {
            said.push((format!("{subject} {uid} observed before"), "it was not".into()));
        }
        let mut pending: Vec<Pending<'a>> = Vec::new();
        for (index, action) in (0..).zip(event.list("actions")) {
            let text = |field: &str| action.get(field).and_then(Value::as_str);
            let (verb, object) =
                (text("verb").unwrap_or_default(), text("object").unwrap_or_default());
            let next = Pending { decision: seq, index, verb, object, uid: text("uid") };
            if let Some(expected) = self.misfit(subject, uid, &pending, &next) {
                let found = format!("{verb} {object} {}", next.uid.unwrap_or_default());
                said.push((expected.to_owned(), found));
            }
            pending.push(next);
        }
        self.pending.insert(subject, pending);
    }

    fn check_trigger(&self, seq: u64, index: u64, event: &LogEvent, said: &mut Vec<Complaint>) {
        let trigger = &event.fields["trigger"];
        let at = (trigger["seq"].as_u64(), trigger["index"].as_u64());
        let (Some(its_seq), Some(its_index)) = at else {
            said.push(("a trigger".into(), trigger.to_string()));
            return;
        };
        // Atomic with what it answers: the same record, an event before it.
        if its_seq != seq || its_index >= index {
            let expected = format!("a trigger in record {seq} before event {index}");
            said.push((expected, format!("event {its_index} of record {its_seq}")));
            return;
        }
        let hash = self.hashes.get(&(its_seq, its_index)).copied().unwrap_or_default();
        if trigger["sha256"] != hash {
            said.push((format!("trigger {hash}"), trigger["sha256"].to_string()));
        }
    }

    /// What must hold for an action to make sense, if it does not.
    fn misfit(
        &self,
        subject: &str,
        subject_uid: &str,
        before: &[Pending<'_>],
        action: &Pending<'_>,
    ) -> Option<&'static str> {
        let earlier = |verb: &str| {
            before.iter().any(|other| other.verb == verb && other.object == action.object)
        };
        let applied = self.objects.get(action.object);
        let this = applied.is_some_and(|applied| Some(applied.uid) == action.uid);
        let fits = match action.verb {
            "Create" => applied.is_none_or(|a| !a.certain) || earlier("Delete"),
            "Activate" if action.uid.is_none() => earlier("Create"),
            "Update" | "Activate" => this,
            "Delete" => this || (subject == action.object && action.uid == Some(subject_uid)),
            "DeleteExpired" => subject == action.object && action.uid == Some(subject_uid),
            _ => false,
        };
        (!fits).then_some(match action.verb {
            "Create" => "no creation of what exists",
            "Update" | "Activate" => "a change of the incarnation that was applied",
            "Delete" | "DeleteExpired" => "a deletion of what is known",
            _ => "a known verb",
        })
    }

    /// Removes an action from what is pending.
    fn take(&mut self, event: &LogEvent, index: u64) -> Option<Pending<'a>> {
        let (decision, subject) = (event.number("decision")?, event.text("subject")?);
        let pending = self.pending.get_mut(subject)?;
        let at = pending.iter().position(|p| p.decision == decision && p.index == index)?;
        let taken = pending.remove(at);
        if pending.is_empty() {
            self.pending.remove(subject);
        }
        Some(taken)
    }

    fn ended(&mut self, event: &'a LogEvent, said: &mut Vec<Complaint>) {
        let Some(index) = event.number("action") else { return };
        // One that was not pending is I5's to say.
        let Some(done) = self.take(event, index) else { return };
        if event.name == "ActionFailed" {
            if event.text("reason") == Some("ObjectGone") {
                self.objects.remove(done.object);
            } else {
                self.failed.insert(done.object);
            }
            return;
        }
        let uid = event.text("uid").unwrap_or_default();
        if done.uid.is_some_and(|decided| decided != uid) {
            let expected = format!("{} to incarnation {:?}", done.verb, done.uid);
            said.push((expected, format!("applied to {uid}")));
        }
        match done.verb {
            "Delete" => {
                self.objects.remove(done.object);
            }
            "DeleteExpired" => {}
            _ => {
                let decision = done.decision;
                let applied = Applied { uid, decision, certain: true, drifted: false };
                self.objects.insert(done.object, applied);
            }
        }
    }
}
