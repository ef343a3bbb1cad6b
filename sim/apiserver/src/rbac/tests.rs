//! The chart's own roles, asked the questions that were asked of a real server.

use serde::Deserialize;

use super::*;

fn documents(yaml: &str) -> Vec<Value> {
    let yaml = yaml.replace("RELEASE_NAMESPACE", "rynxs").replace("SERVICE_ACCOUNT", "rynxs");
    serde_yaml_ng::Deserializer::from_str(&yaml)
        .map(|document| Value::deserialize(document).expect("the file is YAML"))
        .collect()
}

fn chart() -> Rbac {
    let mut rbac = Rbac::default();
    rbac.reload(&documents(include_str!("../../../../helm/rynxs/files/rbac.yaml")));
    rbac
}

fn operator<'a>(verb: &'a str, group: &'a str, resource: &'a str) -> Access<'a> {
    let user = "system:serviceaccount:rynxs:rynxs";
    Access { user, groups: &[], verb, group, resource, namespace: "default", name: "" }
}

const LEASES: &str = "coordination.k8s.io";

#[test]
fn the_operator_writes_status_but_no_specs() {
    let mut rbac = chart();
    assert!(rbac.allowed(&operator("list", "universe.ai", "agents")));
    assert!(rbac.allowed(&operator("patch", "universe.ai", "agents/status")));
    assert!(!rbac.allowed(&operator("patch", "universe.ai", "agents")));
    assert!(!rbac.allowed(&operator("delete", "universe.ai", "agents")));
    assert!(rbac.allowed(&operator("delete", "universe.ai", "sessions")));
    assert!(!rbac.allowed(&operator("deletecollection", "", "configmaps")));
    assert!(!rbac.allowed(&operator("get", "", "secrets")));
    assert!(!rbac.allowed(&operator("patch", "apps", "deployments/status")));
    assert_eq!(rbac.refusals().values().sum::<u64>(), 5);
}

#[test]
fn the_one_lease_is_reached_by_name_only() {
    let mut rbac = chart();
    let lease = Access { namespace: "rynxs", ..operator("patch", LEASES, "leases") };
    assert!(!rbac.allowed(&lease), "a request that names nothing");
    assert!(rbac.allowed(&Access { name: "rynxs-leader", ..lease }));
    assert!(!rbac.allowed(&Access { name: "other", ..lease }));
    assert!(!rbac.allowed(&Access { name: "rynxs-leader", namespace: "default", ..lease }));
    let created_by_apply = Access { verb: "create", name: "rynxs-leader", ..lease };
    assert!(rbac.allowed(&created_by_apply));
    let name = selected_name("metadata.name=rynxs-leader,metadata.namespace=rynxs").unwrap();
    assert!(rbac.allowed(&Access { verb: "watch", name, ..lease }));
    assert!(!rbac.allowed(&Access { verb: "watch", ..lease }));
    assert_eq!(selected_name("metadata.namespace=rynxs"), None);
    assert_eq!(selected_name("metadata.name==a"), Some("a"));
    assert_eq!(selected_name("metadata.name!=a"), None);
}

#[test]
fn a_refusal_says_who_cannot_do_what_where() {
    let secrets = operator("list", "", "secrets");
    let user = r#"User "system:serviceaccount:rynxs:rynxs" cannot"#;
    assert_eq!(
        secrets.refusal(),
        format!(r#"{user} list resource "secrets" in API group "" in the namespace "default""#)
    );
    let all = Access { namespace: "", ..secrets };
    assert_eq!(
        all.refusal(),
        format!(r#"{user} list resource "secrets" in API group "" at the cluster scope"#)
    );
    let mut rbac = chart();
    assert!(!rbac.allowed(&secrets) && !rbac.allowed(&secrets));
    assert_eq!(rbac.refusals().get(&secrets.refusal()), Some(&2));
}

#[test]
fn every_right_is_counted_and_reloading_keeps_the_counts() {
    let mut rbac = chart();
    let unused = |rbac: &Rbac| rbac.rights().iter().filter(|r| r.uses == 0).count();
    let all = rbac.rights().len();
    assert_eq!(unused(&rbac), all);
    assert!(rbac.permits(&operator("create", "batch", "jobs")));
    assert!(!rbac.permits(&operator("get", "", "secrets")));
    assert_eq!((unused(&rbac), rbac.refusals().len()), (all, 0), "asking counts nothing");
    assert!(rbac.allowed(&operator("create", "batch", "jobs")));
    assert!(rbac.allowed(&operator("create", "batch", "jobs")));
    assert_eq!(unused(&rbac), all - 1);
    rbac.reload(&documents(include_str!("../../../../helm/rynxs/files/rbac.yaml")));
    let rights = rbac.rights();
    let right = rights.iter().find(|r| r.resource == "jobs" && r.verb == "create").unwrap();
    assert_eq!((right.uses, right.role.as_str()), (2, "ClusterRole/rynxs-operator"));
}

#[test]
fn nobody_is_allowed_by_default_but_masters_and_the_control_plane() {
    let mut rbac = Rbac::default();
    let masters = ["system:masters".to_owned()];
    let access = operator("delete", "", "nodes");
    assert!(!rbac.allowed(&access));
    assert!(rbac.allowed(&Access { groups: &masters, ..access }));
    let controller = "system:serviceaccount:kube-system:deployment-controller";
    assert!(rbac.allowed(&Access { user: controller, ..access }));
    assert!(rbac.allowed_path("alice", &[], "get", "/openapi/v3"));
    assert!(!rbac.allowed_path("alice", &[], "get", "/metrics"));
    assert!(!rbac.allowed_path("alice", &[], "post", "/version"));
}

#[test]
fn a_role_binding_gives_a_cluster_role_in_its_namespace_only() {
    let mut rbac = Rbac::default();
    rbac.reload(&documents(
        r#"
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: ["*"], resources: ["*", "*/scale"], verbs: [get]}]
---
kind: RoleBinding
metadata: {name: readers, namespace: default}
roleRef: {kind: ClusterRole, name: reader}
subjects: [{kind: Group, name: readers}]
"#,
    ));
    let groups = ["readers".to_owned()];
    let get = Access { user: "bob", groups: &groups, ..operator("get", "", "pods") };
    assert!(rbac.allowed(&get));
    assert!(rbac.allowed(&Access { resource: "deployments/scale", group: "apps", ..get }));
    assert!(!rbac.allowed(&Access { namespace: "other", ..get }));
    assert!(!rbac.allowed(&Access { namespace: "", ..get }));
    assert!(!rbac.allowed(&Access { groups: &[], ..get }));
}
