//! Every manifest that a decision names is accepted, and comes back as it will be read later: the
//! projection that an outcome records is the one of every later read, so nothing looks like drift.

use http::StatusCode;
use rynxs_apiserver::ApiServer;
use rynxs_core::canonical;
use rynxs_core::decide;
use rynxs_core::event::{DecisionSettings, Event, Trigger, Verb};
use rynxs_core::ids::{Epoch, Key, Kind, LogId, ObjectRef, Seq, Uid, WriterId};
use rynxs_core::projection;
use rynxs_core::render;
use rynxs_core::resource::children;
use rynxs_core::state::{Position, State};
use rynxs_tests::root;
use serde::Deserialize;
use serde_json::Value;

use crate::{NOW_MS, call, server};

#[derive(Default)]
struct Log {
    state: State,
    next: u64,
}

impl Log {
    fn record(&mut self, event: &Event) {
        let seq = Seq(self.next);
        self.next += 1;
        self.state.apply(Position::new(seq, 0), event).expect("it fits");
        let trigger = Trigger { seq, index: 0, sha256: canonical::hash_of(event) };
        let follow_ups = decide::follow_ups(&self.state, trigger, event);
        for (index, follow_up) in (1..).zip(&follow_ups) {
            self.state.apply(Position::new(seq, index), follow_up).expect("it fits");
        }
    }

    fn started() -> Self {
        let mut log = Self::default();
        let log_id = LogId::from("0123456789abcdef0123456789abcdef");
        log.record(&Event::LogStarted { log_id, base: 0, predecessors: Vec::new() });
        log.record(&Event::EpochStarted {
            epoch: Epoch(1),
            identity: WriterId::from("rynxs-0_1"),
            build: String::new(),
            logic: decide::LOGIC,
            settings: DecisionSettings {
                default_image: "ghcr.io/rynxs/agent:v0.1.0".to_owned(),
                default_storage_class: "standard".to_owned(),
                session_max_duration_s: 86_400,
            },
        });
        log
    }

    /// Creates everything in the examples and sees it, Agents first.
    fn see_examples(&mut self, server: &ApiServer) {
        let mut documents = Vec::new();
        for entry in std::fs::read_dir(root().join("examples")).expect("the examples") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("text");
            for document in serde_yaml_ng::Deserializer::from_str(&text) {
                documents.push(Value::deserialize(document).expect("YAML"));
            }
        }
        documents.sort_by_key(|document| document["kind"].to_string());
        for document in documents {
            let name = document["metadata"]["name"].as_str().expect("a name");
            let plural = if document["kind"] == "Agent" { "agents" } else { "sessions" };
            let path = format!("/apis/universe.ai/v1alpha1/namespaces/default/{plural}/{name}");
            let (status, live) = call(server, "PATCH", &path, &document);
            assert_eq!(status, StatusCode::CREATED, "{name}: {}", live["message"]);
            let uid = Uid::from(live["metadata"]["uid"].as_str().expect("a uid"));
            let (key, spec) = (Key::new("default", name), live["spec"].clone());
            let event = if document["kind"] == "Agent" {
                let spec = serde_json::from_value(spec).expect("an Agent");
                decide::agent_observed(&key, &uid, 1, spec)
            } else {
                let spec = serde_json::from_value(spec).expect("a Session");
                decide::session_observed(&self.state, &key, &uid, 1, spec, NOW_MS)
            };
            self.record(&event);
        }
    }
}

fn path(object: &ObjectRef) -> String {
    let (group, plural) = match object.kind {
        Kind::ConfigMap => ("api/v1", "configmaps"),
        Kind::PersistentVolumeClaim => ("api/v1", "persistentvolumeclaims"),
        Kind::Deployment => ("apis/apps/v1", "deployments"),
        Kind::NetworkPolicy => ("apis/networking.k8s.io/v1", "networkpolicies"),
        Kind::Job => ("apis/batch/v1", "jobs"),
        Kind::Agent | Kind::Session => panic!("{object} is not managed"),
    };
    let Key { namespace, name } = &object.key;
    format!("/{group}/namespaces/{namespace}/{plural}/{name}")
}

#[test]
fn every_manifest_is_accepted_and_read_back_as_it_was_answered() {
    let server = server();
    let mut log = Log::started();
    log.see_examples(&server);
    let mut kinds = std::collections::BTreeSet::new();
    loop {
        let next = log.state.pending_subjects().next().cloned();
        let Some(subject) = next else { break };
        let pending = log.state.pending(&subject)[0].clone();
        let action = &pending.action;
        let object = &action.object;
        let manifest = render::manifest(&log.state, &subject, action).expect("it renders");
        let (status, answer) = call(&server, "PATCH", &path(object), &manifest);
        let created = action.verb == Verb::Create;
        let expected = if created { StatusCode::CREATED } else { StatusCode::OK };
        assert_eq!(status, expected, "{object}: {}", answer["message"]);
        let (_, read) = call(&server, "GET", &path(object), &Value::Null);
        let projection = projection::hash_live(object.kind, &answer);
        assert_eq!(projection, projection::hash_live(object.kind, &read), "{object}");
        let sent = projection::project(object.kind, &manifest);
        let back = projection::project(object.kind, &read);
        assert_eq!(sent["metadata"], back["metadata"], "{object}");
        kinds.insert(object.kind);
        log.record(&Event::ActionApplied {
            decision: pending.decision,
            subject: subject.clone(),
            action: pending.index,
            uid: Uid::from(answer["metadata"]["uid"].as_str().expect("a uid")),
            projection,
        });
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    // The built-in controllers bind, count and label; none of it is drift.
    for seconds in 1..120 {
        server.tick(NOW_MS + seconds * 1_000);
    }
    for (object, known) in log.state.objects() {
        let (status, live) = call(&server, "GET", &path(object), &Value::Null);
        assert_eq!(status, StatusCode::OK, "{object}");
        assert_eq!(projection::hash_live(object.kind, &live), known.projection, "{object}");
    }
    let runtime = children::runtime(&Key::new("default", "researcher"));
    let (_, live) = call(&server, "GET", &path(&runtime), &Value::Null);
    assert_eq!(live["status"]["availableReplicas"], 1, "the controllers did their work");
}
