//! Every example is a manifest that is accepted, says what it shows, and runs as it says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rynxs_core::decide;
use rynxs_core::ids::{Key, Uid};
use rynxs_core::resource::{
    AgentSpec, GROUP, OperatingMode, Role, SessionSpec, VERSION, children, validate,
};
use serde::Deserialize;
use serde_json::Value;

use crate::book::{Book, NOW_MS};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// All documents of all examples, by file.
#[allow(clippy::disallowed_methods, reason = "a test reads and writes the files that it holds")]
fn examples() -> BTreeMap<String, Vec<Value>> {
    let mut out = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).expect("the examples") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        assert!(text.starts_with("# "), "{name} does not say what it shows");
        let documents = serde_yaml_ng::Deserializer::from_str(&text)
            .map(|document| Value::deserialize(document).expect("YAML"))
            .collect();
        out.insert(name, documents);
    }
    out
}

fn key(document: &Value) -> Key {
    let text = |field: &str| document["metadata"][field].as_str().expect("text").to_owned();
    Key::new(text("namespace"), text("name"))
}

/// The spec as the type reads it; fails if a field is unknown.
fn spec<T: for<'de> Deserialize<'de> + serde::Serialize>(document: &Value, name: &str) -> T {
    let spec: T = serde_json::from_value(document["spec"].clone()).expect(name);
    let written = serde_json::to_value(&spec).expect("it can be written");
    for field in document["spec"].as_object().expect("a spec").keys() {
        assert!(written.get(field).is_some(), "{name}: spec.{field} is unknown");
    }
    spec
}

#[test]
fn every_example_is_accepted_and_runs() {
    let mut book = Book::new();
    let mut sessions = Vec::new();
    for (name, documents) in examples() {
        for document in documents {
            assert_eq!(document["apiVersion"], format!("{GROUP}/{VERSION}"), "{name}");
            let (key, uid) = (key(&document), Uid(format!("{name}-{}", document["metadata"])));
            match document["kind"].as_str() {
                Some("Agent") => {
                    let spec: AgentSpec = spec(&document, &name);
                    assert_eq!(validate::agent(&key, &spec), [], "{name}");
                    book.see(decide::agent_observed(&key, &uid, 1, spec)).expect("news");
                }
                Some("Session") => sessions.push((key, uid, spec::<SessionSpec>(&document, &name))),
                other => panic!("{name}: kind {other:?}"),
            }
        }
    }
    for (key, uid, spec) in sessions {
        assert_eq!(validate::session(&key, &spec), [], "{key}");
        let event = decide::session_observed(&book.state, &key, &uid, 1, spec, NOW_MS);
        book.see(event).expect("news");
        assert_eq!(book.state.pending(&children::session(&key)).len(), 4, "its agent exists");
    }
    book.settle();
    assert!(book.state.agents().count() >= 6);
    for (key, _) in book.state.agents() {
        for object in children::of_agent(key) {
            assert!(book.state.object(&object).is_some(), "{object}");
        }
    }
}

#[test]
fn the_examples_show_what_they_promise() {
    let all = examples();
    let agent = |file: &str, at: usize| spec::<AgentSpec>(&all[file][at], file);
    assert_eq!(agent("agent-basic.yaml", 0), AgentSpec::default());
    assert_eq!(agent("director.yaml", 0).role, Role::Director);
    assert_eq!(agent("agent-suspended.yaml", 0).operating_mode, OperatingMode::Suspended);
    let manager = agent("manager-team.yaml", 0);
    assert_eq!(manager.role, Role::Manager);
    let team: Vec<_> = all["manager-team.yaml"][1..].iter().map(|d| key(d).name).collect();
    assert_eq!(manager.manages, team, "the manager manages exactly the agents beside it");
    let session: SessionSpec = spec(&all["session-deadline.yaml"][0], "session-deadline.yaml");
    assert!(session.max_duration.is_some());
    assert_eq!(session.agent_ref, key(&all["agent-basic.yaml"][0]).name);
}
