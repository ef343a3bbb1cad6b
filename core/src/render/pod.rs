//! Pods: the runtime's Deployment and a session's Job, both under the restricted pod security
//! standard: non-root, no privilege escalation, no capabilities, seccomp, read-only root file
//! system, no service account token.

use serde_json::{Value, json};

use crate::ids::{Epoch, Key};
use crate::names;
use crate::render::{Form, Wanted, image, role};
use crate::resource::{AgentSpec, EnvVar, children};

/// User and group of the pods, the `nonroot` of distroless images: a number, as kubelet cannot
/// tell whether a named user is root.
const USER: u32 = 65_532;

/// The runtime: one replica at most, and never two at a time, as the workspace is ReadWriteOnce.
pub(super) fn deployment(wanted: &Wanted<'_>, name: &str, form: Form) -> Value {
    let Wanted::Agent { owner, spec, settings, epoch, .. } = wanted else { return Value::Null };
    let mut env = identity(owner.key, spec, *epoch);
    env.extend(user_env(&spec.env));
    let pod = Pod {
        spec,
        image: image(spec, settings),
        env,
        config: children::agent_config(owner.key).key.name,
        config_path: "/etc/rynxs",
        claim: children::workspace(owner.key).key.name,
        restart: "Always",
    };
    let replicas = match form {
        Form::Inert => 0,
        Form::Running => 1,
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": wanted.metadata(name),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "strategy": { "type": "Recreate" },
            "selector": { "matchLabels": {
                names::AGENT: owner.key.name,
                names::COMPONENT: names::COMPONENT_RUNTIME,
            }},
            "template": {
                "metadata": { "labels": wanted.pod_labels() },
                "spec": pod.render(),
            },
        },
    })
}

/// A session's run: one pod, no retries, as a run's effects outside cannot be taken back. There is
/// no `activeDeadlineSeconds` and no `ttlSecondsAfterFinished`: deadlines are in the log, and an
/// object that vanished by itself would look like a lost one.
pub(super) fn job(wanted: &Wanted<'_>, name: &str, form: Form) -> Value {
    let Wanted::Session { owner, agent, admission, .. } = wanted else { return Value::Null };
    let spec = &admission.agent;
    let mut env = identity(agent, spec, admission.epoch);
    env.push(json!({ "name": "RYNXS_SESSION", "value": owner.key.name }));
    env.push(json!({ "name": "RYNXS_INPUT", "value": "/etc/rynxs/input" }));
    env.extend(user_env(&spec.env));
    let pod = Pod {
        spec,
        image: admission.image.clone(),
        env,
        config: children::session_input(owner.key).key.name,
        config_path: "/etc/rynxs",
        claim: children::workspace(agent).key.name,
        restart: "Never",
    };
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": wanted.metadata(name),
        "spec": {
            "suspend": form == Form::Inert,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "template": {
                "metadata": { "labels": wanted.pod_labels() },
                "spec": pod.render(),
            },
        },
    })
}

struct Pod<'a> {
    spec: &'a AgentSpec,
    image: String,
    env: Vec<Value>,
    config: String,
    config_path: &'static str,
    claim: String,
    restart: &'static str,
}

impl Pod<'_> {
    fn render(&self) -> Value {
        let mut container = json!({
            "name": "agent",
            "image": self.image,
            "env": self.env,
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "readOnlyRootFilesystem": true,
            },
            "volumeMounts": [
                { "name": "workspace", "mountPath": "/workspace" },
                { "name": "config", "mountPath": self.config_path, "readOnly": true },
                { "name": "tmp", "mountPath": "/tmp" },
            ],
        });
        if let Some(resources) = &self.spec.resources {
            container["resources"] = json!(resources);
        }
        let mut pod = json!({
            "restartPolicy": self.restart,
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
            "containers": [container],
            "volumes": [
                { "name": "workspace", "persistentVolumeClaim": { "claimName": self.claim } },
                { "name": "config", "configMap": { "name": self.config } },
                { "name": "tmp", "emptyDir": {} },
            ],
        });
        if let Some(class) = &self.spec.runtime_class_name {
            pod["runtimeClassName"] = json!(class);
        }
        pod
    }
}

/// What every pod of an agent is told. The epoch lets an agent refuse whoever names a lower one.
fn identity(agent: &Key, spec: &AgentSpec, epoch: Epoch) -> Vec<Value> {
    let mut env = vec![
        json!({ "name": "RYNXS_AGENT", "value": agent.name }),
        json!({ "name": "RYNXS_EPOCH", "value": epoch.to_string() }),
        json!({ "name": "RYNXS_NAMESPACE", "value": agent.namespace }),
        json!({ "name": "RYNXS_ROLE", "value": role(spec.role) }),
        json!({ "name": "RYNXS_WORKSPACE", "value": "/workspace" }),
    ];
    if let Some(team) = &spec.team {
        env.push(json!({ "name": "RYNXS_TEAM", "value": team }));
    }
    env
}

fn user_env(env: &[EnvVar]) -> impl Iterator<Item = Value> {
    env.iter().map(|var| json!(var))
}
