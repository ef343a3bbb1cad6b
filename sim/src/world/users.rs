//! What users and other people do in the cluster, as requests.

use http::Method;
use rynxs_judge::event::{Event, node};
use serde_json::{Value, json};

use super::World;
use super::servers::NAMESPACE;
use crate::scenario::{AgentShape, Child, Do, Meddling, SessionShape};

const APPLY: &str = "fieldManager=user&force=true";
const MERGE: &str = "application/merge-patch+json";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/rynxs/leases/rynxs-leader";
const GROUP: &str = "/apis/universe.ai/v1alpha1/namespaces/agents";

impl World {
    /// Performs a step of the users.
    pub(super) fn do_for_users(&self, what: &Do) {
        let text = serde_json::to_string(what).expect("a step is plain data");
        self.note(node::USERS, Event::User { what: text });
        match what {
            Do::ApplyAgent { name, agent } => self.apply("agents", name, &self::agent(name, agent)),
            Do::DeleteAgent { name } => self.delete("agents", name),
            Do::OrphanAgent { name } => {
                let body = json!({"propagationPolicy": "Orphan"});
                self.user(Method::DELETE, &format!("{GROUP}/agents/{name}"), &body);
            }
            Do::RecreateAgent { name, agent } => {
                self.delete("agents", name);
                self.apply("agents", name, &self::agent(name, agent));
            }
            Do::ApplySession { name, session } => {
                self.apply("sessions", name, &self::session(name, session));
            }
            Do::DeleteSession { name } => self.delete("sessions", name),
            Do::Meddle { agent, child, how } => self.meddle(agent, *child, *how),
            Do::Squat { agent, child, for_ms } => self.squat(agent, *child, *for_ms),
            Do::Stray { agent, child } => self.stray(agent, *child),
            _ => unreachable!("users do nothing else"),
        }
    }

    fn apply(&self, plural: &str, name: &str, body: &Value) {
        let path = format!("{GROUP}/{plural}/{name}?{APPLY}");
        let (status, answer) = self.user(Method::PATCH, &path, body);
        // A user may ask for what the server refuses; that is an answer, not a fault of the run.
        if status >= 300 {
            let text = format!("refused with {status}: {}", answer["message"]);
            self.note(node::USERS, Event::Note { text });
        }
    }

    fn delete(&self, plural: &str, name: &str) {
        self.user(Method::DELETE, &format!("{GROUP}/{plural}/{name}"), &Value::Null);
    }

    fn meddle(&self, agent: &str, child: Child, how: Meddling) {
        let path = child_path(child, Some(agent));
        if how == Meddling::Delete {
            self.user(Method::DELETE, &path, &Value::Null);
            return;
        }
        let patch = match (how, child) {
            (Meddling::Label, _) => json!({"metadata": {"labels": {"person": "was-here"}}}),
            (Meddling::Stamp, _) => {
                json!({"metadata": {"annotations": {"rynxs.universe.ai/stamp": "999999"}}})
            }
            (Meddling::Add, Child::Runtime) => json!({
                "spec": {"template": {"spec": {
                    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["person"]}],
                }}},
            }),
            (Meddling::Add, Child::Network) => json!({"spec": {"ingress": [{}]}}),
            (_, Child::Spec) => json!({"data": {"person": "was-here"}}),
            (_, Child::Runtime) => json!({"spec": {"replicas": 3}}),
            (_, Child::Network) => json!({"spec": {"egress": [{}]}}),
            (_, Child::Run) => json!({"spec": {"suspend": true}}),
            // A claim's content is immutable to nearly everybody: a label of ours is not.
            (_, Child::Workspace) => {
                json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "person"}}})
            }
        };
        self.user_with(Method::PATCH, &path, MERGE, &patch);
    }

    /// A person's object under a managed name, for a while.
    fn squat(&self, agent: &str, child: Child, for_ms: u64) {
        let (status, _) = self.user(Method::POST, &child_path(child, None), &own(agent, child));
        if status < 300 {
            let (agent, after) = (agent.to_owned(), std::time::Duration::from_millis(for_ms));
            self.later(after, move |world| {
                let path = child_path(child, Some(&agent));
                world.user(Method::DELETE, &path, &Value::Null);
            });
        }
    }

    /// A person's object that carries the labels of a managed one.
    fn stray(&self, agent: &str, child: Child) {
        let mut body = own(agent, child);
        body["metadata"]["labels"] = json!({
            "app.kubernetes.io/managed-by": "rynxs", "rynxs.universe.ai/agent": agent,
        });
        self.user(Method::POST, &child_path(child, None), &body);
    }

    pub(super) fn delete_lease(&self) {
        self.user(Method::DELETE, LEASE, &Value::Null);
    }

    pub(super) fn edit_lease(&self, holder: &str) {
        let patch = json!({"spec": {"holderIdentity": holder}});
        self.user_with(Method::PATCH, LEASE, MERGE, &patch);
    }
}

/// What a person would put under a managed name.
fn own(agent: &str, child: Child) -> Value {
    let (api_version, kind) = child_type(child);
    let mut body = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": child_name(child, agent), "namespace": NAMESPACE},
    });
    let pod = json!({
        "metadata": {"labels": {"app": "person"}},
        "spec": {"containers": [{"name": "person", "image": "person"}]},
    });
    match child {
        Child::Spec => body["data"] = json!({"person": "was-here-first"}),
        Child::Workspace => {
            body["spec"] = json!({
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            });
        }
        Child::Runtime => {
            body["spec"] = json!({
                "selector": {"matchLabels": {"app": "person"}}, "template": pod,
            });
        }
        Child::Network => body["spec"] = json!({"podSelector": {}}),
        Child::Run => {
            let mut pod = pod;
            pod["spec"]["restartPolicy"] = json!("Never");
            body["spec"] = json!({"template": pod});
        }
    }
    body
}

fn child_type(child: Child) -> (&'static str, &'static str) {
    match child {
        Child::Spec => ("v1", "ConfigMap"),
        Child::Workspace => ("v1", "PersistentVolumeClaim"),
        Child::Runtime => ("apps/v1", "Deployment"),
        Child::Network => ("networking.k8s.io/v1", "NetworkPolicy"),
        Child::Run => ("batch/v1", "Job"),
    }
}

fn child_name(child: Child, agent: &str) -> String {
    match child {
        Child::Spec => format!("{agent}-spec"),
        Child::Workspace => format!("{agent}-workspace"),
        Child::Runtime => format!("{agent}-runtime"),
        Child::Network => format!("{agent}-runtime"),
        Child::Run => format!("{agent}-run"),
    }
}

/// The path of a child, or of its collection.
fn child_path(child: Child, agent: Option<&str>) -> String {
    let (prefix, plural) = match child {
        Child::Spec => ("/api/v1", "configmaps"),
        Child::Workspace => ("/api/v1", "persistentvolumeclaims"),
        Child::Runtime => ("/apis/apps/v1", "deployments"),
        Child::Network => ("/apis/networking.k8s.io/v1", "networkpolicies"),
        Child::Run => ("/apis/batch/v1", "jobs"),
    };
    let collection = format!("{prefix}/namespaces/{NAMESPACE}/{plural}");
    agent.map_or(collection.clone(), |agent| format!("{collection}/{}", child_name(child, agent)))
}

/// The manifest of an Agent.
fn agent(name: &str, shape: &AgentShape) -> Value {
    let role = ["worker", "manager", "director"][shape.rank.min(2) as usize];
    let mut spec = json!({
        "operatingMode": if shape.suspended { "Suspended" } else { "Running" },
        "role": role,
        "workspace": {"size": format!("{}Gi", 1 + shape.more_gi), "retain": shape.retain},
    });
    if shape.value > 0 {
        spec["env"] = json!([{"name": "VALUE", "value": shape.value.to_string()}]);
    }
    if shape.egress > 0 {
        let cidr = |index| json!({"cidr": format!("10.{}.0.0/16", index % 256)});
        spec["egress"] = (0..shape.egress).map(cidr).collect();
    }
    if !shape.manages.is_empty() {
        spec["manages"] = json!(shape.manages);
    }
    if shape.odd_cpu {
        spec["resources"] = json!({"requests": {"cpu": "1000m", "memory": "1024Mi"}});
    }
    if shape.invalid {
        // Asks for a digest and names none.
        spec["requireDigest"] = json!(true);
        spec["image"] = json!({"repository": "ghcr.io/rynxs/agent", "tag": "v1"});
    }
    manifest("Agent", name, &spec)
}

/// The manifest of a Session.
fn session(name: &str, shape: &SessionShape) -> Value {
    let mode = ["Running", "Suspended", "Cancelled"][shape.mode.min(2) as usize];
    let mut spec = json!({
        "agentRef": shape.agent,
        "input": "do it",
        "operatingMode": mode,
        "shutdownPolicy": if shape.delete_when_over { "Delete" } else { "Retain" },
    });
    if shape.max_s > 0 {
        spec["maxDuration"] = json!(format!("{}s", shape.max_s));
    }
    if shape.ttl_s > 0 {
        spec["ttlSecondsAfterFinished"] = json!(shape.ttl_s);
    }
    manifest("Session", name, &spec)
}

fn manifest(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "universe.ai/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    })
}
