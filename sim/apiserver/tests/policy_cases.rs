//! The write rules of the chart, sent as requests: to the model, and to a real API server.

mod either;

use std::collections::BTreeMap;

use either::{Model, Real, Sent, Server, USERS};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

const CASES: &str = include_str!("policy_cases.yaml");

#[derive(Deserialize)]
struct Table {
    manifests: BTreeMap<String, Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    claim: String,
    kinds: Vec<String>,
    #[serde(default = "default_namespace")]
    namespace: String,
    name: Option<String>,
    steps: Vec<Step>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

#[derive(Debug, Deserialize)]
struct Step {
    #[serde(rename = "as")]
    who: String,
    verb: String,
    stamp: Option<String>,
    #[serde(default)]
    with: Value,
    #[serde(default)]
    options: Value,
    status: u16,
    #[serde(default)]
    says: String,
}

fn merge(base: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        base.clone_from(patch);
        return;
    };
    if !base.is_object() {
        *base = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            base.as_object_mut().expect("made an object above").remove(name);
        } else {
            merge(&mut base[name], value);
        }
    }
}

fn collection(kind: &str, namespace: &str) -> String {
    let (api, plural) = match kind {
        "ConfigMap" => ("/api/v1", "configmaps"),
        "PersistentVolumeClaim" => ("/api/v1", "persistentvolumeclaims"),
        "Deployment" => ("/apis/apps/v1", "deployments"),
        "NetworkPolicy" => ("/apis/networking.k8s.io/v1", "networkpolicies"),
        "Job" => ("/apis/batch/v1", "jobs"),
        other => panic!("unknown kind {other}"),
    };
    format!("{api}/namespaces/{namespace}/{plural}")
}

/// What a step sends about an object whose last answer had this uid and resourceVersion.
fn request(step: &Step, manifest: &Value, name: &str, collection: &str, seen: &Value) -> Sent {
    let user = USERS.iter().find(|(who, _)| *who == step.who).expect("a known user").1;
    let path = format!("{collection}/{name}");
    let mut object = manifest.clone();
    object["metadata"]["name"] = json!(name);
    merge(&mut object, if step.with.is_null() { &EMPTY } else { &step.with });
    if let Some(stamp) = &step.stamp {
        object["metadata"]["annotations"]["rynxs.universe.ai/stamp"] = json!(stamp);
    }
    let json_media = "application/json";
    let patch = "application/merge-patch+json";
    let (method, path, media, body) = match step.verb.as_str() {
        "post" => (Method::POST, collection.to_owned(), json_media, object),
        "apply" => (
            Method::PATCH,
            format!("{path}?fieldManager=rynxs&force=true"),
            "application/apply-patch+yaml",
            object,
        ),
        "merge" => (Method::PATCH, path, patch, step.with.clone()),
        "status" => (Method::PATCH, format!("{path}/status"), patch, step.with.clone()),
        "delete" => {
            let text =
                |field: &str| seen["metadata"][field].as_str().unwrap_or_default().to_owned();
            let options = step.options.to_string();
            let options =
                options.replace("$uid", &text("uid")).replace("$rv", &text("resourceVersion"));
            let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions",
                                  "propagationPolicy": "Background"});
            let options = serde_json::from_str(&options).expect("still JSON");
            merge(&mut body, if step.options.is_null() { &EMPTY } else { &options });
            (Method::DELETE, path, json_media, body)
        }
        other => panic!("unknown verb {other}"),
    };
    Sent { user, method, path, media, body }
}

static EMPTY: std::sync::LazyLock<Value> = std::sync::LazyLock::new(|| json!({}));

/// Plays the table; returns what was not answered as it says.
fn play(server: &mut dyn Server) -> (usize, Vec<String>) {
    let table: Table = serde_yaml_ng::from_str(CASES).expect("the table is well formed");
    let (mut steps, mut wrong) = (0, Vec::new());
    for case in &table.cases {
        for kind in &case.kinds {
            let collection = collection(kind, &case.namespace);
            let name = case.name.as_ref().unwrap_or(&case.claim);
            let mut seen = Value::Null;
            for (number, step) in case.steps.iter().enumerate() {
                let sent = request(step, &table.manifests[kind], name, &collection, &seen);
                let (code, answer) = server.send(&sent);
                steps += 1;
                let message = answer["message"].as_str().unwrap_or_default();
                if code != step.status || !message.contains(&step.says) {
                    let claim = &case.claim;
                    wrong.push(format!(
                        "{claim} ({kind}, step {number}: {} {}): {code} {message}, expected {} {}",
                        step.who, step.verb, step.status, step.says
                    ));
                }
                if answer["kind"] == kind.as_str() {
                    seen = answer;
                }
            }
        }
    }
    (steps, wrong)
}

#[test]
fn the_model_answers_every_case_as_the_table_says() {
    let (steps, wrong) = play(&mut Model::new(true));
    assert_eq!(wrong, Vec::<String>::new());
    assert!(steps > 200, "{steps} steps are fewer than the table has");
}

#[test]
fn without_the_policies_stale_writes_land() {
    let (_, wrong) = play(&mut Model::new(false));
    assert!(wrong.iter().any(|w| w.starts_with("the-stamp-never-falls (ConfigMap, step 1")));
    assert!(wrong.iter().any(|w| w.starts_with("an-unmarked-object-is-not-deleted (Job, step 1")));
}

#[test]
fn a_real_server_answers_every_case_as_the_table_says() {
    let Some(mut real) = Real::named() else { return };
    let (steps, wrong) = play(&mut real);
    assert_eq!(wrong, Vec::<String>::new());
    assert!(steps > 200, "{steps} steps are fewer than the table has");
}
