//! The chart's own policies, judged as a real API server judged them.

use std::sync::Arc;

use serde::Deserialize;

use super::*;
use crate::resource::{ALL_VERBS, StorageKey};
use crate::shape;

const OPERATOR: &str = "system:serviceaccount:rynxs:rynxs";
const STAMP: &str = "rynxs.universe.ai/stamp";

fn policies(yaml: &str) -> Policies {
    let yaml = yaml.replace("RELEASE_NAMESPACE", "rynxs").replace("SERVICE_ACCOUNT", "rynxs");
    let documents: Vec<Value> = serde_yaml_ng::Deserializer::from_str(&yaml)
        .map(|document| Value::deserialize(document).expect("the file is YAML"))
        .collect();
    let (bindings, policies): (Vec<Value>, Vec<Value>) =
        documents.into_iter().partition(|d| d["kind"] == "ValidatingAdmissionPolicyBinding");
    for policy in &policies {
        assert_eq!(check_policy(policy), [], "{}", policy["metadata"]["name"]);
    }
    let mut loaded = Policies::default();
    loaded.reload(&policies, &bindings);
    loaded
}

fn chart() -> Policies {
    policies(include_str!("../../../../helm/rynxs/files/admission-policies.yaml"))
}

fn resource(group: &str, kind: &str, plural: &str) -> ResourceInfo {
    ResourceInfo {
        group: group.to_owned(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: true,
        has_status: true,
        verbs: ALL_VERBS,
        storage: StorageKey::new(group, plural),
        shape: Arc::new(shape::builtin(kind)),
        schema: None,
        crd_version: None,
    }
}

fn stamped(stamp: Option<&str>) -> Value {
    let mut object = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}});
    if let Some(stamp) = stamp {
        object["metadata"]["annotations"] = json!({STAMP: stamp});
    }
    object
}

/// What the policies say to a write of a ConfigMap that turns `old` into `object`.
fn write(user: &str, old: Option<&Value>, object: &Value) -> Result<(), String> {
    let info = resource("", "ConfigMap", "configmaps");
    let request = AdmissionRequest {
        user,
        groups: &[],
        operation: if old.is_some() { "UPDATE" } else { "CREATE" },
        resource: &info,
        subresource: "",
        namespace: "default",
        namespace_object: None,
        name: "a",
        dry_run: false,
        object: Some(object),
        old,
        options: &Value::Null,
    };
    answer(&chart(), &request)
}

fn answer(policies: &Policies, request: &AdmissionRequest<'_>) -> Result<(), String> {
    policies.admit(request).map_err(|denied| format!("{} {}", denied.code(), denied.message))
}

#[test]
fn a_lower_stamp_is_refused_and_stamps_are_numbers() {
    let update = |before, after| write(OPERATOR, Some(&stamped(before)), &stamped(after));
    assert_eq!(write(OPERATOR, None, &stamped(Some("5"))), Ok(()));
    assert_eq!(update(Some("5"), Some("4")), Err("403 stale stamp 4 < 5".to_owned()));
    assert_eq!(update(Some("5"), Some("5")), Ok(()));
    assert_eq!(update(Some("5"), Some("9")), Ok(()));
    assert_eq!(update(Some("9"), Some("10")), Ok(()));
    assert_eq!(update(Some("10"), Some("9")), Err("403 stale stamp 9 < 10".to_owned()));
    assert_eq!(update(Some("8"), Some("7")), Err("403 stale stamp 7 < 8".to_owned()));
    assert_eq!(
        update(Some("5"), Some("six")),
        Err("403 the stamp is not a number: six".to_owned())
    );
}

#[test]
fn a_write_without_a_stamp_is_refused() {
    assert_eq!(write(OPERATOR, None, &stamped(None)), Err("403 no stamp".to_owned()));
    assert_eq!(
        write(OPERATOR, Some(&stamped(Some("5"))), &stamped(None)),
        Err("403 no stamp".to_owned())
    );
}

#[test]
fn a_persons_object_is_not_adopted() {
    let error = write(OPERATOR, Some(&stamped(None)), &stamped(Some("5"))).unwrap_err();
    assert!(error.starts_with("403 the object has no stamp"), "{error}");
}

#[test]
fn an_object_does_not_change_its_owner() {
    let owned = |uid: &str| {
        let mut object = stamped(Some("5"));
        object["metadata"]["ownerReferences"] = json!([{"kind": "Agent", "uid": uid}]);
        object
    };
    assert_eq!(write(OPERATOR, Some(&owned("a")), &owned("a")), Ok(()));
    let error = write(OPERATOR, Some(&owned("a")), &owned("b")).unwrap_err();
    assert_eq!(error, "403 the object belongs to another owner");
    assert_eq!(write(OPERATOR, Some(&stamped(Some("5"))), &owned("b")), Ok(()));
    assert_eq!(write(OPERATOR, Some(&owned("a")), &stamped(Some("5"))), Ok(()));
}

#[test]
fn others_edit_all_but_the_reserved_annotations() {
    let mut edited = stamped(Some("5"));
    edited["metadata"]["labels"] = json!({"mine": "yes"});
    assert_eq!(write("alice", Some(&stamped(Some("5"))), &edited), Ok(()));
    assert_eq!(write("alice", None, &stamped(None)), Ok(()));
    for (old, new) in [(Some("5"), Some("6")), (Some("5"), None), (None, Some("6"))] {
        let error = write("alice", Some(&stamped(old)), &stamped(new)).unwrap_err();
        assert!(error.starts_with("403 the annotations stamp, log, deleting"), "{error}");
    }
    assert!(write("alice", None, &stamped(Some("5"))).is_err());
}

#[test]
fn a_status_write_of_others_does_not_change_the_stamp() {
    let info = resource("apps", "Deployment", "deployments");
    let judge = |subresource, user| {
        let (old, object) = (stamped(Some("5")), stamped(Some("6")));
        let request = AdmissionRequest {
            user,
            groups: &[],
            operation: "UPDATE",
            resource: &info,
            subresource,
            namespace: "default",
            namespace_object: None,
            name: "a",
            dry_run: false,
            object: Some(&object),
            old: Some(&old),
            options: &Value::Null,
        };
        answer(&chart(), &request)
    };
    let controller = "system:serviceaccount:kube-system:deployment-controller";
    assert!(judge("status", controller).is_err());
    assert!(judge("", controller).is_err());
    assert_eq!(judge("status", OPERATOR), Ok(()));
    assert_eq!(judge("scale", controller), Ok(()), "scale changes no annotation");
}

#[test]
fn only_a_marked_object_is_deleted_and_only_as_it_is_stored() {
    let info = resource("batch", "Job", "jobs");
    let mut marked = stamped(Some("6"));
    marked["metadata"]["annotations"]["rynxs.universe.ai/deleting"] = json!("true");
    let judge = |user, old: &Value, options: Value| {
        let request = AdmissionRequest {
            user,
            groups: &[],
            operation: "DELETE",
            resource: &info,
            subresource: "",
            namespace: "default",
            namespace_object: None,
            name: "a",
            dry_run: false,
            object: None,
            old: Some(old),
            options: &options,
        };
        answer(&chart(), &request)
    };
    let exact = || json!({"preconditions": {"uid": "u", "resourceVersion": "7"}});
    assert_eq!(judge(OPERATOR, &marked, exact()), Ok(()));
    let unmarked = judge(OPERATOR, &stamped(Some("6")), exact()).unwrap_err();
    assert_eq!(unmarked, "403 the object is not marked for deletion by a stamped write");
    for options in [
        json!({}),
        json!({"preconditions": {"uid": "u"}}),
        json!({"preconditions": {"resourceVersion": "7"}}),
        json!({"preconditions": {"uid": "u", "resourceVersion": "6"}}),
        json!({"preconditions": {"uid": "other", "resourceVersion": "7"}}),
    ] {
        let error = judge(OPERATOR, &marked, options).unwrap_err();
        assert!(error.starts_with("403 the delete does not name"), "{error}");
    }
    assert_eq!(judge("alice", &stamped(Some("6")), json!({})), Ok(()));
}

const OWN: &str = r#"
kind: ValidatingAdmissionPolicy
metadata: {name: p}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: ["*"]}]
  matchConditions: [{name: c, expression: "CONDITION"}]
  variables: [{name: broken, expression: object.no.such}, {name: fine, expression: "1"}]
  validations: [{expression: "VALIDATION", messageExpression: "'got ' + object.metadata.name"}]
---
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b}
spec: {policyName: p, validationActions: [Deny]}
"#;

fn own(condition: &str, validation: &str) -> Result<(), String> {
    let yaml = OWN.replace("CONDITION", condition).replace("VALIDATION", validation);
    let info = resource("", "ConfigMap", "configmaps");
    let object = stamped(None);
    let request = AdmissionRequest {
        user: "alice",
        groups: &["team".to_owned()],
        operation: "CREATE",
        resource: &info,
        subresource: "",
        namespace: "default",
        namespace_object: None,
        name: "a",
        dry_run: false,
        object: Some(&object),
        old: None,
        options: &Value::Null,
    };
    answer(&policies(&yaml), &request)
}

#[test]
fn what_cannot_be_evaluated_refuses() {
    assert_eq!(own("true", "object.metadata.name == 'a'"), Ok(()));
    assert_eq!(own("true", "object.metadata.name == 'b'"), Err("422 got a".to_owned()));
    assert_eq!(
        own("true", "object.spec.x == 1"),
        Err("422 expression 'object.spec.x == 1' resulted in error: no such key: spec".to_owned())
    );
    assert!(own("object.spec.x == 1", "true").is_err(), "a condition that fails refuses");
    assert_eq!(own("'team' in request.userInfo.groups", "true"), Ok(()));
    assert_eq!(own("request.operation != 'CREATE'", "false"), Ok(()), "not matched");
}

#[test]
fn a_broken_variable_refuses_only_where_it_is_reached() {
    assert_eq!(own("true", "variables.fine == 1"), Ok(()));
    assert_eq!(own("true", "variables.fine == 1 || variables.broken"), Ok(()));
    assert!(own("true", "variables.broken == 1").is_err());
}

#[test]
fn a_policy_that_does_not_compile_is_told_and_refuses() {
    let policy = json!({
        "metadata": {"name": "p"},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"],
                "operations": ["CREATE"], "resources": ["configmaps"],
            }]},
            "validations": [{"expression": "object.("}],
        },
    });
    let causes = check_policy(&policy);
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0].field, "spec.validations[0].expression");
    let binding = json!({
        "metadata": {"name": "b"},
        "spec": {"policyName": "p", "validationActions": ["Deny"]},
    });
    let mut loaded = Policies::default();
    loaded.reload(std::slice::from_ref(&policy), std::slice::from_ref(&binding));
    let info = resource("", "ConfigMap", "configmaps");
    let object = stamped(None);
    let request = AdmissionRequest {
        user: "alice",
        groups: &[],
        operation: "CREATE",
        resource: &info,
        subresource: "",
        namespace: "default",
        namespace_object: None,
        name: "a",
        dry_run: false,
        object: Some(&object),
        old: None,
        options: &Value::Null,
    };
    let denied = loaded.admit(&request).unwrap_err();
    assert!(denied.message.starts_with("compilation error: "), "{}", denied.message);
    let head = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: compilation error";
    assert!(denied.text().starts_with(head), "{}", denied.text());
}
