//! NetworkPolicies: who may reach whom.
//!
//! A connection inside a namespace needs both ends: the egress of the one and the ingress of the
//! other. The *egress* side is exact: a manager reaches the agents it names and nobody else, a
//! director every agent of its namespace, a worker none. The *ingress* side only names roles, so
//! that an agent's policy depends on its own spec alone: it admits managers and directors of the
//! namespace, and of those exactly the ones whose own egress names it get through. A director
//! admits directors only, as nobody manages it. Nobody else is admitted, and session runs admit
//! no one. Pods cannot change their labels (they have no service account token), and nobody but
//! rynxs and the people who may create pods in the namespace can give them.

use serde_json::{Value, json};

use crate::names;
use crate::render::{Wanted, role};
use crate::resource::{AgentSpec, Egress, Protocol, Role};

/// Policy of an agent's runtime.
pub(super) fn agent(wanted: &Wanted<'_>, name: &str) -> Value {
    let Wanted::Agent { owner, spec, .. } = wanted else { return Value::Null };
    let pods = json!({ "matchLabels": {
        names::AGENT: owner.key.name,
        names::COMPONENT: names::COMPONENT_RUNTIME,
    }});
    policy(wanted, name, &pods, &[admitted(spec.role)], &egress(spec))
}

/// Policy of a session's run: reaches what its agent may reach now, is reached by nobody.
pub(super) fn session(wanted: &Wanted<'_>, name: &str) -> Value {
    let Wanted::Session { owner, admission, .. } = wanted else { return Value::Null };
    let pods = json!({ "matchLabels": {
        names::SESSION: owner.key.name,
        names::COMPONENT: names::COMPONENT_SESSION,
    }});
    policy(wanted, name, &pods, &[], &egress(&admission.network))
}

fn policy(
    wanted: &Wanted<'_>,
    name: &str,
    pods: &Value,
    ingress: &[Value],
    egress: &[Value],
) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": wanted.metadata(name),
        "spec": {
            "podSelector": pods,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    })
}

/// Who may open a connection to an agent of this role.
fn admitted(own: Role) -> Value {
    let above: &[Role] = match own {
        Role::Worker | Role::Manager => &[Role::Director, Role::Manager],
        Role::Director => &[Role::Director],
    };
    let above: Vec<_> = above.iter().map(|r| role(*r)).collect();
    json!({ "from": [{ "podSelector": { "matchExpressions": [
        { "key": names::ROLE, "operator": "In", "values": above },
    ]}}]})
}

fn egress(spec: &AgentSpec) -> Vec<Value> {
    let mut rules = vec![dns()];
    match spec.role {
        Role::Worker => {}
        Role::Manager if spec.manages.is_empty() => {}
        Role::Manager => rules.push(json!({ "to": [{ "podSelector": {
            "matchLabels": { names::COMPONENT: names::COMPONENT_RUNTIME },
            "matchExpressions": [
                { "key": names::AGENT, "operator": "In", "values": spec.manages },
            ],
        }}]})),
        Role::Director => rules.push(json!({ "to": [{ "podSelector": {
            "matchLabels": { names::COMPONENT: names::COMPONENT_RUNTIME },
            "matchExpressions": [{ "key": names::AGENT, "operator": "Exists" }],
        }}]})),
    }
    rules.extend(spec.egress.iter().map(destination));
    rules
}

/// The cluster's DNS, found as kubeadm, kind and the large providers label it.
fn dns() -> Value {
    json!({
        "to": [{
            "namespaceSelector": {
                "matchLabels": { "kubernetes.io/metadata.name": "kube-system" },
            },
            "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } },
        }],
        "ports": [{ "protocol": "UDP", "port": 53 }, { "protocol": "TCP", "port": 53 }],
    })
}

fn destination(egress: &Egress) -> Value {
    let mut peer = json!({});
    if let Some(cidr) = &egress.cidr {
        peer["ipBlock"] = json!({ "cidr": cidr });
    }
    if let Some(selector) = &egress.pod_selector {
        peer["podSelector"] = json!(selector);
    }
    if let Some(selector) = &egress.namespace_selector {
        peer["namespaceSelector"] = json!(selector);
    }
    let mut rule = json!({ "to": [peer] });
    if !egress.ports.is_empty() {
        let ports: Vec<_> = egress
            .ports
            .iter()
            .map(|port| {
                let protocol = match port.protocol {
                    Protocol::Tcp => "TCP",
                    Protocol::Udp => "UDP",
                };
                json!({ "protocol": protocol, "port": port.port })
            })
            .collect();
        rule["ports"] = json!(ports);
    }
    rule
}
