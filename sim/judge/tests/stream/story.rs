//! An honest operator and an honest cluster, told as an event stream.
//!
//! The operator is core's own reducer, decisions, manifests and statuses, so a clean story that is
//! not green shows that the judge's reference and the operator do not mean the same. Violations are
//! told by hand, or by changing lines afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use rynxs_core::decide;
use rynxs_core::event::{Action, ChildState, DecisionSettings, Event as LogEvent, Trigger, Verb};
use rynxs_core::ids::{Epoch, Hash, Kind, LogId, Nonce, ObjectRef, Seq, Uid, WriterId};
use rynxs_core::record::{EncodedEvent, Header, encode};
use rynxs_core::render;
use rynxs_core::resource::children;
use rynxs_core::state::{PendingAction, Position, State};
use rynxs_core::status::{self, Context, LiveAgent, LiveDeployment, LiveJob, LiveSession};
use rynxs_core::time::WallMs;
use rynxs_judge::event::{Event, Head, Line, Terms};
use rynxs_judge::history::LogObject;
use rynxs_judge::{LogWrite, ObjectWrite, Report, judge_stream};
use serde_json::{Value, json};

pub(crate) const OPERATOR: &str = "system:serviceaccount:rynxs:rynxs";
pub(crate) const NAMESPACE: &str = "team-a";
pub(crate) const BASE: u64 = 1_000_000;
/// 2026-09-21T00:00:00Z: a story lasts less than a day.
const MIDNIGHT_MS: u64 = 1_789_948_800_000;
const MS: u64 = 1_000_000;
const GUARD_MS: u64 = 10_000;

#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) lines: Vec<Line>,
    pub(crate) state: State,
    /// Live objects, as the server has them.
    pub(crate) api: BTreeMap<String, Value>,
    pub(crate) log: Vec<LogObject>,
    hashes: Vec<Hash>,
    pub(crate) t_ms: u64,
    epoch: u64,
    writer: String,
    pub(crate) leads: bool,
    uids: u64,
    rv: u64,
}

pub(crate) fn object(kind: &str, name: &str) -> String {
    format!("{kind}/{NAMESPACE}/{name}")
}

pub(crate) fn parsed(object: &str) -> ObjectRef {
    serde_json::from_value(json!(object)).expect("objects of a story have plain names")
}

pub(crate) fn head() -> Head {
    Head {
        seed: 1,
        replicas: vec!["rynxs-0".into(), "rynxs-1".into()],
        operator: OPERATOR.into(),
        namespaces: vec![NAMESPACE.into()],
        terms: Terms {
            lease_ms: 15_000,
            renew_deadline_ms: 10_000,
            retry_period_ms: 2_000,
            request_timeout_ms: 2_000,
            stop_grace_ms: 3_000,
            clock_rate_error_ppm: 50_000,
            backoff_max_ms: 10_000,
            resync_ms: 600_000,
        },
        settings: json!(settings()),
        ..Head::default()
    }
}

fn settings() -> DecisionSettings {
    DecisionSettings {
        default_image: "ghcr.io/rynxs/agent:v1".into(),
        default_storage_class: String::new(),
        session_max_duration_s: 3_600,
    }
}

impl Story {
    /// A log with its first leader.
    pub(crate) fn begin() -> Self {
        let mut story = Self {
            lines: Vec::new(),
            state: State::new(),
            api: BTreeMap::new(),
            log: Vec::new(),
            hashes: Vec::new(),
            t_ms: 1_000,
            epoch: BASE,
            writer: "rynxs-0_1".into(),
            leads: false,
            uids: 0,
            rv: 0,
        };
        story.say("run", Event::Run(Box::new(head())));
        let log_id = LogId::from("000102030405060708090a0b0c0d0e0f");
        let base = BASE;
        story.record(vec![LogEvent::LogStarted { log_id, base, predecessors: Vec::new() }]);
        story.lead("rynxs-0_1");
        story
    }

    pub(crate) fn say(&mut self, node: &str, event: Event) -> usize {
        self.t_ms += 1;
        self.lines.push(Line { t_ns: self.t_ms * MS, node: node.into(), event });
        self.lines.len() - 1
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.t_ms * MS
    }

    fn wall_ms(&self) -> u64 {
        MIDNIGHT_MS + self.t_ms
    }

    pub(crate) fn replica(&self) -> String {
        self.writer.split('_').next().unwrap_or_default().into()
    }

    /// Another term, of the replica before `_`.
    pub(crate) fn lead(&mut self, identity: &str) {
        self.lead_after(identity, Vec::new());
    }

    /// The same, with facts that its first record tells of.
    pub(crate) fn lead_after(&mut self, identity: &str, told: Vec<LogEvent>) {
        if self.leads {
            let node = self.replica();
            self.say(&node, Event::Guard { until_ns: None });
        }
        self.writer = identity.into();
        self.leads = true;
        self.renew();
        self.epoch = BASE + self.log.len() as u64;
        let started = LogEvent::EpochStarted {
            epoch: Epoch(self.epoch),
            identity: WriterId(self.writer.clone()),
            build: "test".into(),
            logic: decide::LOGIC,
            settings: settings(),
        };
        self.record([vec![started], told].concat());
    }

    /// The Lease is written, with this holder.
    pub(crate) fn write_lease(&mut self, holder: &str) {
        self.rv += 1;
        let write = ObjectWrite {
            user: OPERATOR.into(),
            verb: "update".into(),
            object: "Lease/rynxs/rynxs-leader".into(),
            status: 200,
            rv: self.rv,
            changed: true,
            value: Some(Arc::new(json!({"spec": {"holderIdentity": holder}}))),
            ..ObjectWrite::default()
        };
        self.say("api-0", Event::ObjectWrite(Box::new(write)));
    }

    fn renew(&mut self) {
        let node = self.replica();
        self.write_lease(&self.writer.clone());
        let until_ns = Some(self.now_ns() + GUARD_MS * MS);
        self.say(&node, Event::Guard { until_ns });
    }

    /// Time passes; the leader renews every two seconds.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.t_ms + ms;
        while self.t_ms + 2_000 < end {
            self.t_ms += 2_000;
            if self.leads {
                self.renew();
            }
        }
        self.t_ms = self.t_ms.max(end);
    }

    /// Appends a record of these events and of what follows from them.
    pub(crate) fn record(&mut self, events: Vec<LogEvent>) -> u64 {
        let seq = Seq(self.log.len() as u64);
        let mut all = Vec::new();
        for event in events {
            let position = Position::new(seq, u32::try_from(all.len()).expect("few events"));
            self.state.apply(position, &event).expect("the event fits");
            let sha256 = EncodedEvent::new(&event).sha256();
            let trigger = Trigger { seq, index: position.index, sha256 };
            let follow_ups = if decide::is_follow_up(&event) {
                Vec::new()
            } else {
                decide::follow_ups(&self.state, trigger, &event)
            };
            all.push(event);
            for event in follow_ups {
                let at = Position::new(seq, u32::try_from(all.len()).expect("few events"));
                self.state.apply(at, &event).expect("a follow-up fits");
                all.push(event);
            }
        }
        self.append(&all)
    }

    /// Appends these events as they are.
    pub(crate) fn append(&mut self, events: &[LogEvent]) -> u64 {
        let seq = self.log.len() as u64;
        let encoded: Vec<_> = events.iter().map(EncodedEvent::new).collect();
        let header = Header {
            seq: Seq(seq),
            prev_hash: self.hashes.last().copied().unwrap_or(Hash::ZERO),
            epoch: Epoch(self.epoch),
            writer: WriterId(self.writer.clone()),
            nonce: Nonce((u128::from(seq) + 1).to_be_bytes()),
            ts_ms: WallMs(self.wall_ms()),
        };
        let record = encode(&header, &encoded);
        let text = String::from_utf8(record.bytes.to_vec()).expect("records are UTF-8");
        self.hashes.push(record.hash);
        let key = format!("{seq:010}.json");
        self.say(
            "s3",
            Event::LogWrite(LogWrite {
                key: key.clone(),
                text: text.clone(),
                status: 200,
                ..LogWrite::default()
            }),
        );
        self.log.push(LogObject { key, text });
        seq
    }

    fn time(&self) -> String {
        let seconds = self.t_ms / 1_000;
        let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
        format!("2026-09-21T{hours:02}:{minutes:02}:{:02}Z", seconds % 60)
    }

    /// Stores an object and tells of it.
    pub(crate) fn put(&mut self, user: &str, object: &str, mut value: Value, sub: &str) -> Value {
        let before = self.api.get(object).cloned();
        self.rv += 1;
        let meta = before.as_ref().map(|before| before["metadata"].clone());
        match &meta {
            Some(meta) => {
                for field in ["uid", "generation", "creationTimestamp"] {
                    value["metadata"][field] = meta[field].clone();
                }
                let spec = before.as_ref().map(|b| b["spec"].clone()).unwrap_or_default();
                if spec != value["spec"] {
                    let next = meta["generation"].as_u64().unwrap_or(1) + 1;
                    value["metadata"]["generation"] = json!(next);
                }
                if sub.is_empty() && value.get("status").is_none() {
                    value["status"] =
                        before.as_ref().map(|b| b["status"].clone()).unwrap_or_default();
                }
            }
            None => {
                self.uids += 1;
                value["metadata"]["uid"] = json!(format!("uid-{}", self.uids));
                value["metadata"]["generation"] = json!(1);
                value["metadata"]["creationTimestamp"] = json!(self.time());
            }
        }
        let annotation = |name: &str| value["metadata"]["annotations"][name].as_str();
        let write = ObjectWrite {
            user: user.into(),
            verb: "apply".into(),
            object: object.into(),
            uid: value["metadata"]["uid"].as_str().unwrap_or_default().into(),
            stamp: annotation("rynxs.universe.ai/stamp").map(Into::into),
            log: annotation("rynxs.universe.ai/log").map(Into::into),
            status: if before.is_some() { 200 } else { 201 },
            subresource: sub.into(),
            rv: self.rv,
            changed: true,
            value: Some(Arc::new(value.clone())),
            ..ObjectWrite::default()
        };
        self.api.insert(object.into(), value.clone());
        self.say("api-0", Event::ObjectWrite(Box::new(write)));
        value
    }

    /// Deletes an object, and tells of it.
    pub(crate) fn delete(&mut self, user: &str, object: &str) {
        let Some(value) = self.api.remove(object) else { return };
        let uid: String = value["metadata"]["uid"].as_str().unwrap_or_default().into();
        self.say(
            "api-0",
            Event::ObjectWrite(Box::new(ObjectWrite {
                user: user.into(),
                verb: "delete".into(),
                object: object.into(),
                uid: uid.clone(),
                status: 200,
                changed: true,
                removed: true,
                ..ObjectWrite::default()
            })),
        );
        let orphans: Vec<String> = self
            .api
            .iter()
            .filter(|(_, v)| v.pointer("/metadata/ownerReferences/0/uid") == Some(&json!(uid)))
            .map(|(object, _)| object.clone())
            .collect();
        for orphan in orphans {
            self.delete("system:collector", &orphan);
        }
    }

    /// A person writes an Agent or Session.
    pub(crate) fn user(&mut self, kind: &str, name: &str, spec: Value) {
        let value = json!({ "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec });
        self.put("alice", &object(kind, name), value, "");
    }

    /// Records what changed of Agents, Sessions and what decisions read of their objects.
    pub(crate) fn observe(&mut self) {
        let known: Vec<(ObjectRef, Uid)> = self
            .state
            .agents()
            .map(|(key, agent)| (children::agent(key), agent.uid.clone()))
            .chain(self.state.sessions().map(|(k, s)| (children::session(k), s.uid.clone())))
            .collect();
        for (subject, uid) in known {
            let live = self.api.get(&subject.to_string());
            if live.is_none_or(|live| live["metadata"]["uid"] != uid.as_str()) {
                let event = match subject.kind {
                    Kind::Agent => LogEvent::AgentDeleted { agent: subject, uid },
                    _ => LogEvent::SessionDeleted { session: subject, uid },
                };
                self.record(vec![event]);
            }
        }
        let live: Vec<(ObjectRef, Value)> =
            self.api.iter().map(|(object, value)| (parsed(object), value.clone())).collect();
        for (object, value) in live {
            if let Some(event) = self.fact(&object, &value)
                && decide::is_news(&self.state, &event)
            {
                self.record(vec![event]);
            }
        }
        let now_ms = self.wall_ms();
        let due: Vec<LogEvent> = self
            .state
            .timers()
            .filter(|(due_ms, ..)| *due_ms <= now_ms)
            .map(|(due_ms, subject, uid, timer)| LogEvent::TimerFired {
                subject,
                uid: uid.clone(),
                timer,
                due_ms,
            })
            .collect();
        due.into_iter().for_each(|event| {
            self.record(vec![event]);
        });
    }

    fn fact(&self, object: &ObjectRef, value: &Value) -> Option<LogEvent> {
        let uid = Uid(value["metadata"]["uid"].as_str()?.to_owned());
        let generation = value["metadata"]["generation"].as_i64()?;
        let spec = value["spec"].clone();
        let at_ms = self.wall_ms();
        let state = match object.kind {
            Kind::Agent => {
                let spec = serde_json::from_value(spec).expect("a spec");
                return Some(decide::agent_observed(&object.key, &uid, generation, spec));
            }
            Kind::Session => {
                let spec = serde_json::from_value(spec).expect("a spec");
                let (key, state) = (&object.key, &self.state);
                return Some(decide::session_observed(state, key, &uid, generation, spec, at_ms));
            }
            Kind::PersistentVolumeClaim if value["status"]["phase"] == "Bound" => {
                ChildState::VolumeBound
            }
            Kind::Job if value["status"]["succeeded"] == 1 => ChildState::JobSucceeded { at_ms },
            _ => return None,
        };
        Some(LogEvent::ChildObserved { object: object.clone(), uid, state })
    }

    /// What is to be performed next.
    pub(crate) fn next(&self) -> Option<(ObjectRef, PendingAction)> {
        let subject = self.state.pending_subjects().next()?.clone();
        let pending = self.state.pending(&subject)[0].clone();
        Some((subject, pending))
    }

    /// Performs the next pending action and records its outcome; false if there is none.
    pub(crate) fn perform(&mut self) -> bool {
        let Some((subject, pending)) = self.next() else { return false };
        let uid = self.effect(&subject, &pending);
        self.outcome(subject, &pending, uid);
        true
    }

    pub(crate) fn outcome(&mut self, subject: ObjectRef, pending: &PendingAction, uid: Uid) {
        self.record(vec![LogEvent::ActionApplied {
            decision: pending.decision,
            subject,
            action: pending.index,
            uid,
            projection: Hash([1; 32]),
        }]);
    }

    /// Performs the next pending action without its outcome.
    pub(crate) fn perform_silently(&mut self) -> (ObjectRef, PendingAction, Uid) {
        let (subject, pending) = self.next().expect("something is pending");
        let uid = self.effect(&subject, &pending);
        (subject, pending, uid)
    }

    pub(crate) fn manifest(&self, subject: &ObjectRef, action: &Action, seq: u64) -> Value {
        let mut value = render::manifest(&self.state, subject, action).expect("it renders");
        let annotations = &mut value["metadata"]["annotations"];
        annotations["rynxs.universe.ai/stamp"] = json!((BASE + seq).to_string());
        annotations["rynxs.universe.ai/log"] = json!("000102030405060708090a0b0c0d0e0f");
        value
    }

    fn effect(&mut self, subject: &ObjectRef, pending: &PendingAction) -> Uid {
        let action = &pending.action;
        let name = action.object.to_string();
        let live = self
            .api
            .get(&name)
            .map(|live| Uid(live["metadata"]["uid"].as_str().unwrap_or_default().to_owned()));
        match action.verb {
            Verb::Create | Verb::Update | Verb::Activate => {
                let value = self.manifest(subject, action, pending.decision.0);
                let stored = self.put(OPERATOR, &name, value, "");
                Uid(stored["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
            }
            Verb::Delete => {
                if let Some(mut value) = self.api.get(&name).cloned() {
                    let annotations = &mut value["metadata"]["annotations"];
                    let stamp = (BASE + pending.decision.0).to_string();
                    annotations["rynxs.universe.ai/stamp"] = json!(stamp);
                    annotations["rynxs.universe.ai/deleting"] = json!("true");
                    self.put(OPERATOR, &name, value, "");
                    self.delete(OPERATOR, &name);
                }
                live.or(action.uid.clone()).unwrap_or_default()
            }
            Verb::DeleteExpired => {
                self.delete(OPERATOR, &name);
                action.uid.clone().unwrap_or_default()
            }
        }
    }

    /// Deployments become available, Jobs active, claims bound.
    pub(crate) fn controllers(&mut self) {
        let all: Vec<(String, Value)> =
            self.api.iter().map(|(object, value)| (object.clone(), value.clone())).collect();
        for (object, mut value) in all {
            let generation = value["metadata"]["generation"].clone();
            let status = match parsed(&object).kind {
                Kind::Deployment => {
                    let replicas = value["spec"]["replicas"].clone();
                    json!({ "observedGeneration": generation, "replicas": replicas,
                        "updatedReplicas": replicas, "availableReplicas": replicas })
                }
                Kind::Job if value["status"]["succeeded"] == 1 => continue,
                Kind::Job => {
                    let runs = value["spec"]["suspend"] == false;
                    json!({ "active": u8::from(runs), "ready": u8::from(runs) })
                }
                Kind::PersistentVolumeClaim => json!({ "phase": "Bound" }),
                _ => continue,
            };
            if value["status"] != status {
                value["status"] = status;
                self.put("system:controller", &object, value, "status");
            }
        }
    }

    /// A Job's run ends well.
    pub(crate) fn succeed(&mut self, job: &str) {
        let mut value = self.api[job].clone();
        value["status"] = json!({ "succeeded": 1, "conditions": [
            { "type": "Complete", "status": "True" },
        ]});
        self.put("system:controller", job, value, "status");
    }

    /// Writes the statuses that say something new.
    pub(crate) fn statuses(&mut self) {
        let subjects: Vec<ObjectRef> = self
            .state
            .agents()
            .map(|(key, _)| children::agent(key))
            .chain(self.state.sessions().map(|(key, _)| children::session(key)))
            .collect();
        for subject in subjects {
            let name = subject.to_string();
            let Some(mut value) = self.api.get(&name).cloned() else { continue };
            let before = value["status"].clone();
            let after = self.status(&subject, &before);
            if let Some(after) = after.filter(|after| *after != before) {
                value["status"] = after;
                self.put(OPERATOR, &name, value, "status");
            }
        }
    }

    fn status(&self, subject: &ObjectRef, before: &Value) -> Option<Value> {
        let decided = status::decided_at(&self.state, subject);
        let at = |seq: Seq| self.hashes[usize::try_from(seq.0).expect("few records")];
        let context = Context {
            previous: (!before.is_null()).then_some(before),
            decided_hash: decided.map(at),
            now: WallMs(self.wall_ms()),
            hindrance: None,
        };
        let child = |object: ObjectRef| self.api.get(&object.to_string());
        match subject.kind {
            Kind::Agent => {
                let live = child(children::runtime(&subject.key)).map(|live| {
                    let generation = live["metadata"]["generation"].as_i64().unwrap_or(0);
                    LiveDeployment::read(generation, &live["status"])
                });
                status::agent(&self.state, &subject.key, &LiveAgent { deployment: live, context })
            }
            _ => {
                let job = child(children::run(&subject.key)).map(|l| LiveJob::read(&l["status"]));
                status::session(&self.state, &subject.key, &LiveSession { job, context })
            }
        }
    }

    /// Everybody does what there is to do, until there is nothing.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100 {
            let before = (self.lines.len(), self.t_ms);
            self.observe();
            while self.perform() {}
            self.controllers();
            self.statuses();
            if self.lines.len() == before.0 {
                return;
            }
        }
        panic!("it never settles: {:?}", self.lines.last());
    }

    pub(crate) fn heal(&mut self) {
        self.say("run", Event::Healed);
    }

    /// The end of a run: some quiet time, then what is known only then.
    pub(crate) fn end(&mut self) {
        self.pass(40_000);
        for object in self.log.clone() {
            self.say("s3", Event::LogAtEnd(object));
        }
        self.say("run", Event::Right { right: "patch configmaps".into(), uses: 3 });
        self.say("run", Event::Replayed { fault: String::new(), decisions: 1 });
        self.say("run", Event::Tampered { how: "a byte flipped".into(), detected: true });
        self.say("run", Event::End);
    }

    /// The judge's report; a story that did not come to its end shows its log as it is now.
    pub(crate) fn report(&self) -> Report {
        let mut lines = self.lines.clone();
        if !lines.iter().any(|line| matches!(line.event, Event::LogAtEnd(_))) {
            lines.extend(self.log.iter().map(|object| Line {
                t_ns: self.now_ns(),
                node: "s3".into(),
                event: Event::LogAtEnd(object.clone()),
            }));
        }
        judge_stream(&lines)
    }
}
