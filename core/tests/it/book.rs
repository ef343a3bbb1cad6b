//! A log as its one writer makes it, with a cluster in which every write succeeds.
//!
//! One event per record and its follow-ups behind it, which is what the journal does.

use std::collections::BTreeMap;

use rynxs_core::canonical;
use rynxs_core::chain::Chain;
use rynxs_core::decide;
use rynxs_core::event::{
    Action, DecisionSettings, Event, FailureReason, Inherited, InheritedPod, Timer, Trigger, Verb,
};
use rynxs_core::ids::{Epoch, Hash, Key, Kind, LogId, Nonce, ObjectRef, Seq, Uid, WriterId};
use rynxs_core::record::{EncodedEvent, Header, encode};
use rynxs_core::render;
use rynxs_core::resource::{AgentSpec, SessionSpec, children};
use rynxs_core::state::{Position, State};
use rynxs_core::time::WallMs;

/// Where stamps of the book's log start.
pub(crate) const BASE: u64 = 1_000_000;
/// The time at which everything is first seen.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;

pub(crate) struct Book {
    pub(crate) state: State,
    pub(crate) records: Vec<Vec<Event>>,
    /// Live managed objects: uid and manifest.
    pub(crate) cluster: BTreeMap<ObjectRef, (Uid, serde_json::Value)>,
    uids: u32,
}

pub(crate) fn settings() -> DecisionSettings {
    DecisionSettings {
        default_image: "ghcr.io/rynxs/agent:v0.1.0".to_owned(),
        default_storage_class: String::new(),
        session_max_duration_s: 86_400,
    }
}

/// Whether generated files are to be written rather than compared.
#[allow(clippy::disallowed_methods, reason = "how a person asks a test to write its files")]
pub(crate) fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

pub(crate) fn key(name: &str) -> Key {
    Key::new("team-a", name)
}

pub(crate) fn worker() -> AgentSpec {
    AgentSpec::default()
}

pub(crate) fn run_of(agent: &str) -> SessionSpec {
    SessionSpec { agent_ref: agent.to_owned(), input: "hello".to_owned(), ..Default::default() }
}

impl Book {
    pub(crate) fn new() -> Self {
        let mut book =
            Self { state: State::new(), records: Vec::new(), cluster: BTreeMap::new(), uids: 0 };
        let log_id = LogId::from("0123456789abcdef0123456789abcdef");
        book.record(Event::LogStarted { log_id, base: BASE, predecessors: Vec::new() });
        book.epoch(settings());
        book
    }

    /// Starts an epoch.
    pub(crate) fn epoch(&mut self, settings: DecisionSettings) -> Vec<Event> {
        let seq = self.records.len() as u64;
        self.record(Event::EpochStarted {
            epoch: Epoch(BASE + seq),
            identity: WriterId(format!("rynxs-0_{seq}")),
            build: "test".to_owned(),
            logic: decide::LOGIC,
            settings,
        })
    }

    /// Appends a record of this event and what follows from it; returns the latter.
    pub(crate) fn record(&mut self, event: Event) -> Vec<Event> {
        let seq = Seq(self.records.len() as u64);
        self.state.apply(Position::new(seq, 0), &event).expect("the event fits");
        let trigger = Trigger { seq, index: 0, sha256: canonical::hash_of(&event) };
        let follow_ups = decide::follow_ups(&self.state, trigger, &event);
        for (index, follow_up) in (1..).zip(&follow_ups) {
            self.state.apply(Position::new(seq, index), follow_up).expect("a follow-up fits");
        }
        let mut events = vec![event];
        events.extend(follow_ups.iter().cloned());
        self.records.push(events);
        follow_ups
    }

    /// Records an observation if it is news, as an informer does.
    pub(crate) fn see(&mut self, event: Event) -> Option<Vec<Event>> {
        decide::is_news(&self.state, &event).then(|| self.record(event))
    }

    pub(crate) fn see_agent(&mut self, name: &str, uid: &str, generation: i64, spec: AgentSpec) {
        let event = decide::agent_observed(&key(name), &Uid::from(uid), generation, spec);
        self.see(event);
    }

    pub(crate) fn see_session(&mut self, name: &str, generation: i64, spec: SessionSpec) {
        let uid = Uid(format!("uid-{name}"));
        let event =
            decide::session_observed(&self.state, &key(name), &uid, generation, spec, NOW_MS);
        self.see(event);
    }

    /// Puts a predecessor's objects into the cluster; returns them as its successor sees them.
    pub(crate) fn left(&mut self, objects: &[ObjectRef], running: bool) -> Vec<Inherited> {
        let mut left = Vec::new();
        for object in objects {
            let uid = Uid(format!("left-{}-{:?}", object.key.name, object.kind));
            self.cluster.insert(object.clone(), (uid.clone(), serde_json::json!({})));
            let image = "ghcr.io/rynxs/agent:v0.0.9".to_owned();
            let pod = InheritedPod { running, image, epoch: Some(Epoch(17)) };
            let is_claim = object.kind == Kind::PersistentVolumeClaim;
            left.push(Inherited {
                object: object.clone(),
                uid,
                projection: Hash([9; 32]),
                pod: matches!(object.kind, Kind::Deployment | Kind::Job).then_some(pod),
                storage_class: is_claim.then(|| "fast".to_owned()),
                retained: false,
            });
        }
        left
    }

    /// Records the first observation of a subject that a predecessor left something of.
    pub(crate) fn see_after(
        &mut self,
        event: Event,
        status: &serde_json::Value,
        left: Vec<Inherited>,
    ) -> Option<Vec<Event>> {
        let event = decide::inherit(&self.state, event, status, left, NOW_MS);
        self.see(event)
    }

    /// Performs the next pending action, whoever's it is; false if there is none.
    pub(crate) fn perform_one(&mut self) -> bool {
        let next = self.state.pending_subjects().next().cloned();
        let Some(subject) = next else { return false };
        let pending = self.state.pending(&subject)[0].clone();
        match self.write(&subject, &pending.action) {
            Some((uid, projection)) => self.record(Event::ActionApplied {
                decision: pending.decision,
                subject,
                action: pending.index,
                uid,
                projection,
            }),
            None => self.fail_next(&subject, FailureReason::ObjectGone),
        };
        true
    }

    /// Performs all that is pending, and what follows from it.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.perform_one() {
                return;
            }
        }
        panic!("decisions never end: {:?}", self.records.last());
    }

    /// What the API server does with a write: none if the incarnation is gone.
    fn write(&mut self, subject: &ObjectRef, action: &Action) -> Option<(Uid, Hash)> {
        let object = &action.object;
        match action.verb {
            Verb::Create | Verb::Update | Verb::Activate => {
                let manifest = render::manifest(&self.state, subject, action).expect("renders");
                let hash = canonical::hash(&manifest);
                let live = self.cluster.get(object).map(|live| live.0.clone());
                let uid = match live {
                    Some(uid) if action.uid.as_ref().is_none_or(|wanted| *wanted == uid) => uid,
                    None if action.verb == Verb::Create => {
                        self.uids += 1;
                        Uid(format!("uid-{}", self.uids))
                    }
                    _ => return None,
                };
                self.cluster.insert(object.clone(), (uid.clone(), manifest));
                Some((uid, hash))
            }
            Verb::Delete => {
                let uid = action.uid.clone().expect("a delete names an incarnation");
                if self.cluster.get(object).is_some_and(|live| live.0 == uid) {
                    self.cluster.remove(object);
                }
                Some((uid, Hash::ZERO))
            }
            Verb::DeleteExpired => {
                Some((action.uid.clone().expect("it names an incarnation"), Hash::ZERO))
            }
        }
    }

    /// The next deadline: what it is, and the event that it becomes.
    pub(crate) fn next_timer(&self) -> Option<(Timer, u64, Event)> {
        let (due_ms, subject, uid, timer) = self.state.timers().next()?;
        let uid = uid.clone();
        Some((timer, due_ms, Event::TimerFired { subject, uid, timer, due_ms }))
    }

    /// Removes what belongs to incarnations that are gone, as the API server does.
    pub(crate) fn collect_garbage(&mut self) {
        let mut owners: Vec<_> = self.state.agents().map(|(_, agent)| agent.uid.clone()).collect();
        owners.extend(self.state.sessions().map(|(_, session)| session.uid.clone()));
        self.cluster.retain(|_, (_, manifest)| {
            let owner = manifest["metadata"]["ownerReferences"][0]["uid"].as_str();
            owner.is_none_or(|uid| owners.iter().any(|owner| owner.as_str() == uid))
        });
    }

    /// The log as a file.
    pub(crate) fn lines(&self) -> String {
        let mut chain = Chain::new();
        let mut out = String::new();
        for (seq, events) in (0..).map(Seq).zip(&self.records) {
            let writer = match &events[0] {
                Event::EpochStarted { identity, .. } => identity.clone(),
                _ => chain.writer().cloned().unwrap_or(WriterId::from("rynxs-0_0")),
            };
            let nonce = Nonce(u128::from(seq.0).to_be_bytes());
            let ts_ms = WallMs(NOW_MS + seq.0);
            let header = match &events[0] {
                Event::LogStarted { .. } => {
                    Header { seq, prev_hash: Hash::ZERO, epoch: Epoch(BASE), writer, nonce, ts_ms }
                }
                Event::EpochStarted { .. } => chain.next_epoch_header(writer, nonce, ts_ms),
                _ => chain.next_header(nonce, ts_ms),
            };
            let events: Vec<_> = events.iter().map(EncodedEvent::new).collect();
            let record = encode(&header, &events);
            chain.push(&record.bytes).expect("it continues the log");
            out.push_str(std::str::from_utf8(&record.bytes).expect("JSON"));
            out.push('\n');
        }
        out
    }

    /// Ends the subject's next pending action without its effect.
    pub(crate) fn fail_next(&mut self, subject: &ObjectRef, reason: FailureReason) -> Vec<Event> {
        let pending = self.state.pending(subject)[0].clone();
        self.record(Event::ActionFailed {
            decision: pending.decision,
            subject: subject.clone(),
            action: pending.index,
            reason,
            message: "refused".to_owned(),
        })
    }

    pub(crate) fn pending(&self, subject: &ObjectRef) -> Vec<String> {
        let text = |action: &Action| {
            format!("{:?} {:?} {:?}", action.verb, action.object.kind, action.reason)
        };
        self.state.pending(subject).iter().map(|pending| text(&pending.action)).collect()
    }

    pub(crate) fn agent_pending(&self, name: &str) -> Vec<String> {
        self.pending(&children::agent(&key(name)))
    }

    pub(crate) fn session_pending(&self, name: &str) -> Vec<String> {
        self.pending(&children::session(&key(name)))
    }

    pub(crate) fn live(&self, object: &ObjectRef) -> &serde_json::Value {
        &self.cluster[object].1
    }

    pub(crate) fn uid_of(&self, object: &ObjectRef) -> Uid {
        self.cluster[object].0.clone()
    }

    pub(crate) fn events(&self) -> usize {
        self.records.iter().map(Vec::len).sum()
    }
}
