//! Writes streams as a simulated world would: the clock, messages, the Lease, the log, objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use rynxs_judge::event::{Event, Head, Leg, Line, Terms, node};
use rynxs_judge::history::{DiskOperation, DiskWork};
use rynxs_judge::{LogWrite, ObjectWrite};
use serde_json::{Value, json};

pub const OPERATOR: &str = "system:serviceaccount:rynxs:rynxs";
pub const API: &str = "api-0";
pub const DISK: &str = "disk-0";
pub const SEGMENT: &str = "log/0000000000.jsonl";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/rynxs/leases/rynxs-leader";
const LEASE_MS: u64 = 15_000;
const MS: u64 = 1_000_000;
/// One way between a replica and a server.
const WAY_US: u64 = 1_700;

/// A stream under construction.
pub struct World {
    pub lines: Vec<Line>,
    pub now_us: u64,
    pub epoch: u64,
    messages: u64,
    rv: u64,
    seq: u64,
    watches: BTreeMap<String, u64>,
}

/// A request that is under way.
#[derive(Clone, Debug)]
pub struct UnderWay {
    pub message: u64,
    from: String,
    to: String,
}

impl World {
    pub fn new(replicas: u32) -> Self {
        let replicas: Vec<String> = (0..replicas).map(|index| format!("rynxs-{index}")).collect();
        let mut world = Self {
            lines: Vec::new(),
            now_us: 0,
            epoch: 0,
            messages: 0,
            rv: 100,
            seq: 0,
            watches: BTreeMap::new(),
        };
        let head = Head {
            scenario: json!({"name": "frozen-leader"}),
            seed: 4711,
            replicas: replicas.clone(),
            operator: OPERATOR.into(),
            namespaces: vec!["agents".into()],
            terms: Terms { lease_ms: LEASE_MS, ..Terms::default() },
            ..Head::default()
        };
        world.push(node::RUN, Event::Run(Box::new(head)));
        for replica in &replicas {
            world.wait_ms(3);
            world.push(replica, Event::Started);
            let watch =
                world.send(replica, API, "WATCH", "/apis/universe.ai/v1alpha1/agents?watch=1");
            world.arrive(&watch);
            world.answer(&watch, 200);
            world.watches.insert(replica.clone(), watch.message);
        }
        world
    }

    pub fn push(&mut self, node: &str, event: Event) -> usize {
        let t_ns = self.now_us * 1_000;
        self.lines.push(Line { t_ns, node: node.to_owned(), event });
        self.lines.len() - 1
    }

    pub fn wait_ms(&mut self, ms: u64) {
        self.now_us += ms * 1_000;
    }

    pub fn until_ms(&mut self, ms: u64) {
        assert!(ms * 1_000 >= self.now_us, "time does not go back");
        self.now_us = ms * 1_000;
    }

    pub fn send(&mut self, from: &str, to: &str, method: &str, target: &str) -> UnderWay {
        self.messages += 1;
        let message = self.messages;
        let (method, target) = (method.to_owned(), target.to_owned());
        let bytes = if method == "GET" || method == "WATCH" { 0 } else { 612 };
        self.push(from, Event::Sent { message, to: to.to_owned(), method, target, bytes });
        UnderWay { message, from: from.to_owned(), to: to.to_owned() }
    }

    pub fn arrive(&mut self, way: &UnderWay) {
        self.now_us += WAY_US;
        self.push(&way.to, Event::Arrived { message: way.message });
    }

    pub fn decide(&mut self, way: &UnderWay, status: u16) {
        self.now_us += 40;
        self.push(&way.to, Event::Answered { message: way.message, status });
    }

    pub fn hear(&mut self, way: &UnderWay, status: u16) {
        self.now_us += WAY_US;
        self.push(&way.from, Event::Received { message: way.message, status });
    }

    pub fn answer(&mut self, way: &UnderWay, status: u16) {
        self.decide(way, status);
        self.hear(way, status);
    }

    pub fn lose(&mut self, way: &UnderWay, leg: Leg) {
        self.now_us += 900;
        self.push(&way.from.clone(), Event::Lost { message: way.message, leg });
    }

    pub fn read(&mut self, from: &str, target: &str) {
        let way = self.send(from, API, "GET", target);
        self.arrive(&way);
        self.answer(&way, 200);
    }

    /// A replica's write of the Lease is answered, and its belief lasts from the sending on.
    pub fn renew(&mut self, replica: &str) {
        let sent_ns = self.now_us * 1_000;
        let way = self.send(replica, API, "PATCH", LEASE);
        self.arrive(&way);
        self.rv += 1;
        let value = json!({
            "kind": "Lease",
            "spec": { "holderIdentity": format!("{replica}_6f1d"), "leaseDurationSeconds": 15 },
        });
        let write = ObjectWrite { stamp: None, ..self.written("Lease/rynxs/rynxs-leader", 200) };
        let write = ObjectWrite { value: Some(Arc::new(value)), ..write };
        self.push(
            API,
            Event::ObjectWrite(Box::new(ObjectWrite { message: Some(way.message), ..write })),
        );
        self.answer(&way, 200);
        let until_ns = Some(sent_ns + (LEASE_MS - 800) * MS);
        self.push(replica, Event::Guard { until_ns });
    }

    fn written(&self, object: &str, status: u16) -> ObjectWrite {
        ObjectWrite {
            user: OPERATOR.into(),
            verb: "patch".into(),
            object: object.into(),
            uid: format!("uid-of-{object}"),
            status,
            at_ns: self.now_us * 1_000,
            rv: self.rv,
            changed: status < 300,
            ..ObjectWrite::default()
        }
    }

    pub fn record(&self, seq: u64, writer: &str, events: &[Value]) -> (String, String) {
        let body = json!({
            "epoch": self.epoch, "events": events, "nonce": "0".repeat(32),
            "prev_hash": "0".repeat(64), "seq": seq, "ts_ms": 1, "v": 1,
            "writer": format!("{writer}_6f1d"),
        });
        let text = format!("{{\"event_hash\":\"{}\",\"record\":{body}}}", "5".repeat(64));
        (format!("{seq:010}.json"), text)
    }

    pub fn put(&mut self, replica: &str, key: &str) -> UnderWay {
        let target = format!("/rynxs-events/events/{key}?x-id=PutObject");
        self.send(replica, node::S3, "PUT", &target)
    }

    pub fn log_write(&mut self, way: &UnderWay, key: &str, text: &str, status: u16) -> usize {
        let at_ns = self.now_us * 1_000;
        let (key, text) = (key.to_owned(), text.to_owned());
        let message = Some(way.message);
        self.push(node::S3, Event::LogWrite(LogWrite { key, text, status, at_ns, message }))
    }

    /// An append that goes well; returns its seq.
    pub fn append(&mut self, replica: &str, events: &[Value]) -> u64 {
        let seq = self.seq;
        self.seq += 1;
        if events.iter().any(|event| event["type"] == "EpochStarted") {
            self.epoch = seq;
        }
        let (key, text) = self.record(seq, replica, events);
        let way = self.put(replica, &key);
        self.arrive(&way);
        self.log_write(&way, &key, &text, 200);
        self.answer(&way, 200);
        seq
    }

    /// A fault meets a message where it is.
    pub fn hit(&mut self, node: &str, way: &UnderWay, fault: &str) -> usize {
        let (message, fault) = (way.message, fault.to_owned());
        self.push(node, Event::FaultHit { message, fault, change: String::new() })
    }

    /// A disk works for `rynxs-0`, or for nobody.
    pub fn disk(
        &mut self,
        replica: &str,
        operation: DiskOperation,
        bytes: u64,
        outcome: &str,
    ) -> usize {
        self.now_us += 700;
        let work = DiskWork {
            replica: replica.to_owned(),
            operation,
            path: SEGMENT.to_owned(),
            to: String::new(),
            bytes,
            outcome: outcome.to_owned(),
        };
        self.push(DISK, Event::Disk(Box::new(work)))
    }

    /// An append to a file that goes well; returns the line of the record.
    pub fn append_to_disk(&mut self, events: &[Value]) -> usize {
        let seq = self.seq;
        self.seq += 1;
        if events.iter().any(|event| event["type"] == "EpochStarted") {
            self.epoch = seq;
        }
        let (key, text) = self.record(seq, "rynxs-0", events);
        let bytes = text.len() as u64 + 1;
        self.disk("rynxs-0", DiskOperation::Append, bytes, "");
        self.disk("rynxs-0", DiskOperation::SyncData, bytes, "");
        let at_ns = self.now_us * 1_000;
        let write = LogWrite { key, text, status: 200, at_ns, message: None };
        self.push(DISK, Event::LogWrite(write))
    }

    pub fn next_seq(&self) -> u64 {
        self.seq
    }

    pub fn patch(&mut self, replica: &str, object: &str) -> UnderWay {
        let (kind, rest) = object.split_once('/').expect("Kind/namespace/name");
        let (namespace, name) = rest.split_once('/').expect("Kind/namespace/name");
        let kind = kind.to_lowercase();
        let target =
            format!("/apis/apps/v1/namespaces/{namespace}/{kind}s/{name}?fieldManager=rynxs");
        self.send(replica, API, "PATCH", &target)
    }

    pub fn apply(&mut self, way: &UnderWay, object: &str, stamp: u64, status: u16) -> usize {
        self.rv += u64::from(status < 300);
        let stamp = Some(stamp.to_string());
        let write = ObjectWrite { stamp, log: Some("l".into()), ..self.written(object, status) };
        let message = Some(way.message);
        self.push(API, Event::ObjectWrite(Box::new(ObjectWrite { message, ..write })))
    }

    /// A stamped write that goes well.
    pub fn effect(&mut self, replica: &str, object: &str, stamp: u64) {
        let way = self.patch(replica, object);
        self.arrive(&way);
        self.apply(&way, object, stamp, 200);
        self.answer(&way, 200);
    }

    /// A person applies an Agent; everybody who is `awake` sees it.
    pub fn user_applies(&mut self, object: &str, what: &str, awake: &[&str]) {
        self.push(node::USERS, Event::User { what: what.to_owned() });
        self.now_us += 800;
        self.rv += 1;
        let user = what.split(' ').next().unwrap_or_default().to_owned();
        let write = ObjectWrite { user, ..self.written(object, 200) };
        self.push(API, Event::ObjectWrite(Box::new(write)));
        self.show(object, awake);
    }

    pub fn show(&mut self, object: &str, awake: &[&str]) {
        let rv = self.rv.to_string();
        for replica in awake {
            self.now_us += 600;
            let message = self.watches.get(*replica).copied().unwrap_or_default();
            let (kind, object, rv) = ("MODIFIED".into(), object.to_owned(), rv.clone());
            self.push(replica, Event::Watched { message, kind, object, rv });
        }
    }

    pub fn bookmark(&mut self, replica: &str) {
        let message = self.watches.get(replica).copied().unwrap_or_default();
        let (kind, rv) = ("BOOKMARK".into(), self.rv.to_string());
        self.push(replica, Event::Watched { message, kind, object: String::new(), rv });
    }

    pub fn decided(agent: &str) -> Vec<Value> {
        vec![
            json!({"type": "AgentObserved", "agent": agent}),
            json!({"type": "ActionsDecided", "subject": agent, "actions": []}),
        ]
    }
}
