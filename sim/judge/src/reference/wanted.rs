//! What an Agent or Session must have become, after `docs/resources.md`.
//!
//! Only what is promised is said; a live object may have more fields (`compare`), but no more
//! containers, volumes, variables or destinations.

use serde_json::{Map, Value, json};

use super::names::RETAINED_FOR;
use super::spec::{list, mode, retains, role, size, text};

const USER: u32 = 65_532;

/// An Agent or Session, and what its objects are made from.
pub(super) struct Subject<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    /// The spec in force.
    pub(super) spec: &'a Value,
}

/// What an Agent's object must be; the objects' order is that of their names in `children_of`.
pub(super) fn of_agent(agent: &Subject<'_>, kind: &str, settings: &Value) -> Value {
    let metadata = agent_metadata(agent, kind);
    match kind {
        "ConfigMap" => json!({ "metadata": metadata }),
        "NetworkPolicy" => {
            let pods = json!({
                "rynxs.universe.ai/agent": agent.name,
                "app.kubernetes.io/component": "runtime",
            });
            let ingress = match role(agent.spec) {
                "director" => json!(["director"]),
                _ => json!(["director", "manager"]),
            };
            let from = json!([{ "from": [{ "podSelector": { "matchExpressions": [
                { "key": "rynxs.universe.ai/role", "operator": "In", "values": ingress },
            ]}}]}]);
            policy(&metadata, &pods, &from, &egress(agent.spec))
        }
        "PersistentVolumeClaim" => {
            let class = text(agent.spec, "/workspace/storageClassName")
                .or(text(settings, "/default_storage_class"))
                // A claim that was kept keeps the class that it was made with.
                .filter(|class| !class.is_empty() && !retains(agent.spec));
            json!({
                "metadata": metadata,
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": { "requests": { "storage": size(agent.spec) } },
                    "storageClassName": class,
                },
            })
        }
        "Deployment" => deployment(agent, &metadata, settings),
        _ => Value::Null,
    }
}

fn agent_metadata(agent: &Subject<'_>, kind: &str) -> Value {
    let mut labels = pod_labels(agent, "runtime");
    labels.insert("app.kubernetes.io/managed-by".into(), json!("rynxs"));
    if kind == "PersistentVolumeClaim" && retains(agent.spec) {
        let whose = format!("{}/{}", agent.namespace, agent.name);
        return json!({ "labels": labels, "annotations": { RETAINED_FOR: whose } });
    }
    json!({ "labels": labels, "ownerReferences": [owner("Agent", agent)] })
}

fn owner(kind: &str, subject: &Subject<'_>) -> Value {
    json!({
        "apiVersion": "universe.ai/v1alpha1",
        "kind": kind,
        "name": subject.name,
        "uid": subject.uid,
        "controller": true,
    })
}

fn pod_labels(agent: &Subject<'_>, component: &str) -> Map<String, Value> {
    let mut labels = Map::new();
    labels.insert("rynxs.universe.ai/agent".into(), json!(agent.name));
    labels.insert("rynxs.universe.ai/role".into(), json!(role(agent.spec)));
    labels.insert("app.kubernetes.io/component".into(), json!(component));
    if let Some(team) = text(agent.spec, "/team") {
        labels.insert("rynxs.universe.ai/team".into(), json!(team));
    }
    labels
}

/// What the file `agent.json` must say, as a value.
pub(super) fn agent_document(agent: &Subject<'_>) -> Value {
    let field = |name: &str| agent.spec.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "agent": agent.name,
        "namespace": agent.namespace,
        "role": role(agent.spec),
        "team": field("team"),
        "manages": field("manages"),
        "permissions": field("permissions"),
        "sessions": field("sessions"),
    })
}

fn policy(metadata: &Value, pods: &Value, ingress: &Value, egress: &[Value]) -> Value {
    json!({
        "metadata": metadata,
        "spec": {
            "podSelector": { "matchLabels": pods },
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    })
}

/// DNS, what the role allows, and what the spec names.
fn egress(spec: &Value) -> Vec<Value> {
    let mut rules = vec![json!({
        "to": [{
            "namespaceSelector": {
                "matchLabels": { "kubernetes.io/metadata.name": "kube-system" },
            },
            "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
        }],
        "ports": [{ "protocol": "UDP", "port": 53 }, { "protocol": "TCP", "port": 53 }],
    })];
    let manages = list(spec, "/manages");
    let whom = match role(spec) {
        "director" => Some(json!({ "operator": "Exists" })),
        "manager" if !manages.is_empty() => Some(json!({ "operator": "In", "values": manages })),
        _ => None,
    };
    if let Some(mut whom) = whom {
        whom["key"] = json!("rynxs.universe.ai/agent");
        rules.push(json!({ "to": [{ "podSelector": {
            "matchLabels": { "app.kubernetes.io/component": "runtime" },
            "matchExpressions": [whom],
        }}]}));
    }
    rules.extend(list(spec, "/egress").iter().map(|item| {
        let field = |name: &str| item.get(name).cloned().unwrap_or(Value::Null);
        let cidr = text(item, "/cidr").map(|cidr| json!({ "cidr": cidr }));
        let ports: Vec<Value> = list(item, "/ports")
            .iter()
            .map(|port| {
                let protocol = text(port, "/protocol").unwrap_or("TCP");
                json!({ "protocol": protocol, "port": port["port"] })
            })
            .collect();
        json!({
            "to": [{
                "ipBlock": cidr,
                "podSelector": field("podSelector"),
                "namespaceSelector": field("namespaceSelector"),
            }],
            "ports": ports,
        })
    }));
    rules
}

/// The image that an Agent's pods run.
fn image(spec: &Value, settings: &Value) -> Value {
    let Some(repository) = text(spec, "/image/repository") else {
        return settings.get("default_image").cloned().unwrap_or(Value::Null);
    };
    let tag = text(spec, "/image/tag").map_or(String::new(), |tag| format!(":{tag}"));
    let digest = text(spec, "/image/digest").map_or(String::new(), |digest| format!("@{digest}"));
    json!(format!("{repository}{tag}{digest}"))
}

/// Variables that every pod of an agent has. The value of `RYNXS_EPOCH` is some epoch.
fn variables(namespace: &str, agent: &str, spec: &Value) -> Vec<Value> {
    let mut env = vec![
        json!({ "name": "RYNXS_AGENT", "value": agent }),
        json!({ "name": "RYNXS_EPOCH" }),
        json!({ "name": "RYNXS_NAMESPACE", "value": namespace }),
        json!({ "name": "RYNXS_ROLE", "value": role(spec) }),
        json!({ "name": "RYNXS_WORKSPACE", "value": "/workspace" }),
    ];
    if let Some(team) = text(spec, "/team") {
        env.push(json!({ "name": "RYNXS_TEAM", "value": team }));
    }
    env.extend(list(spec, "/env").iter().cloned());
    env
}

fn pod(config: &str, claim: &str, restart: &str) -> Value {
    json!({
        "restartPolicy": restart,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": "agent",
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "readOnlyRootFilesystem": true,
            },
            "volumeMounts": [
                { "name": "workspace", "mountPath": "/workspace" },
                { "name": "config", "mountPath": "/etc/rynxs", "readOnly": true },
                { "name": "tmp", "mountPath": "/tmp" },
            ],
        }],
        "volumes": [
            { "name": "workspace", "persistentVolumeClaim": { "claimName": claim } },
            { "name": "config", "configMap": { "name": config } },
            { "name": "tmp", "emptyDir": {} },
        ],
    })
}

fn deployment(agent: &Subject<'_>, metadata: &Value, settings: &Value) -> Value {
    let (spec, name) = (agent.spec, agent.name);
    let mut pod = pod(&format!("{name}-spec"), &format!("{name}-workspace"), "Always");
    let container = &mut pod["containers"][0];
    container["image"] = image(spec, settings);
    container["env"] = json!(variables(agent.namespace, name, spec));
    container["resources"] = spec.get("resources").cloned().unwrap_or(Value::Null);
    pod["runtimeClassName"] = spec.get("runtimeClassName").cloned().unwrap_or(Value::Null);
    json!({
        "metadata": metadata,
        "spec": {
            "replicas": i32::from(mode(spec) == "Running"),
            "revisionHistoryLimit": 2,
            "selector": { "matchLabels": {
                "rynxs.universe.ai/agent": name,
                "app.kubernetes.io/component": "runtime",
            }},
            "strategy": { "type": "Recreate" },
            "template": {
                "metadata": { "labels": pod_labels(agent, "runtime") },
                "spec": pod,
            },
        },
    })
}

/// What a Session's object must be while it runs. `reach` is the spec in force of its Agent, if it
/// has one: what a run may reach follows it. What else its pod is made from was fixed when it
/// was started, so only what no edit of the Agent changes is said of it.
pub(super) fn of_session(session: &Subject<'_>, kind: &str, reach: Option<&Value>) -> Value {
    let labels = json!({
        "rynxs.universe.ai/session": session.name,
        "app.kubernetes.io/component": "session",
    });
    let mut metadata = json!({ "labels": labels, "ownerReferences": [owner("Session", session)] });
    metadata["labels"]["app.kubernetes.io/managed-by"] = json!("rynxs");
    match kind {
        "ConfigMap" => {
            let input = text(session.spec, "/input").unwrap_or_default();
            json!({ "metadata": metadata, "data": { "input": input } })
        }
        "NetworkPolicy" => {
            let egress = reach.map(egress);
            json!({
                "metadata": metadata,
                "spec": {
                    "podSelector": { "matchLabels": labels },
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": [],
                    "egress": egress,
                },
            })
        }
        "Job" => {
            let agent = text(session.spec, "/agentRef").unwrap_or_default();
            let config = format!("{}-input", session.name);
            let mut pod = pod(&config, &format!("{agent}-workspace"), "Never");
            // Variables depend on the Agent as it was; the list is looked at by name elsewhere.
            pod["containers"][0]["env"] = Value::Null;
            json!({
                "metadata": metadata,
                "spec": {
                    "suspend": mode(session.spec) != "Running",
                    "backoffLimit": 0,
                    "parallelism": 1,
                    "completions": 1,
                    "template": { "metadata": { "labels": labels }, "spec": pod },
                },
            })
        }
        _ => Value::Null,
    }
}
