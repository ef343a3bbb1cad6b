//! The answers of a real server to a table of objects, and what a CRD may not say.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;

const UNCHECKED: &str = "some validation rules were not checked because the object was invalid; \
                         correct the existing errors to complete validation";

fn yaml(text: &str) -> Value {
    let document = serde_yaml_ng::Deserializer::from_str(text);
    Value::deserialize(document).expect("the file is YAML")
}

fn things() -> Schema {
    let crd = yaml(include_str!("../../tests/things_crd.yaml"));
    Schema::compile(&crd["spec"]["versions"][0]).expect("a real server accepts it")
}

fn thing(spec: &Value) -> Value {
    let metadata = json!({"name": "t"});
    json!({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": metadata, "spec": spec})
}

#[test]
fn objects_are_pruned_defaulted_and_refused_as_by_a_real_server() {
    let schema = things();
    let cases = yaml(include_str!("../../tests/schema_cases.yaml"));
    for case in cases.as_array().expect("a list") {
        let mut object = thing(case.get("create").unwrap_or(&case["update"]));
        let old = case.get("stored").map(thing);
        schema.prune(&mut object);
        schema.default(&mut object);
        let causes = schema.validate(&object, old.as_ref());
        let found: BTreeSet<String> =
            causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect();
        let expected: BTreeSet<String> = case["refused"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|c| c.as_str().expect("a text").replace("$UNCHECKED", UNCHECKED))
            .collect();
        assert_eq!(found, expected, "{case}");
        if let Some(spec) = case.get("spec") {
            assert_eq!(&object["spec"], spec, "{case}");
        }
    }
}

#[test]
fn unknown_fields_are_named_and_dropped() {
    let mut object = thing(&json!({"must": "x", "unknown": 1, "deep": {"zzz": 1},
        "map": [{"name": "a", "u": 1}], "free": {"anything": {"goes": 1}}, "amap": {"k": 1}}));
    object["top"] = json!(1);
    object["metadata"]["foo"] = json!(1);
    let dropped = things().prune(&mut object);
    assert_eq!(dropped, ["metadata.foo", "spec.deep.zzz", "spec.map[0].u", "spec.unknown", "top"]);
    assert_eq!(things().prune(&mut object), Vec::<String>::new());
    assert_eq!(object["spec"]["free"], json!({"anything": {"goes": 1}}));
}

#[test]
fn the_controller_epoch_never_falls_and_is_never_unset() {
    let with = |status: Value| {
        let mut object = thing(&json!({"must": "x"}));
        things().default(&mut object);
        if !status.is_null() {
            object["status"] = status;
        }
        object
    };
    let update = |old: Value, new: Value| -> Vec<String> {
        let causes = things().validate(&with(new), Some(&with(old)));
        causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect()
    };
    let refused = [r#"<nil>: Invalid value: "object": epoch never falls"#];
    assert_eq!(update(json!({"epoch": 5}), json!({"epoch": 5})), [""; 0]);
    assert_eq!(update(json!({"epoch": 5}), json!({"epoch": 7})), [""; 0]);
    assert_eq!(update(Value::Null, json!({"epoch": 1})), [""; 0]);
    assert_eq!(update(json!({"epoch": 5}), json!({"epoch": 4})), refused);
    assert_eq!(update(json!({"epoch": 5}), json!({})), refused);
    assert_eq!(update(json!({"epoch": 5}), Value::Null), refused);
}

#[test]
fn a_crd_that_a_real_server_refuses_is_refused() {
    let refused = |spec: Value| -> String {
        let schema = json!({"type": "object", "properties": {"spec": spec}});
        let causes = Schema::compile(&json!({"schema": {"openAPIV3Schema": schema}}))
            .expect_err("a real server refuses it");
        let cause = causes.first().expect("a reason");
        format!("{}: {}", cause.field, cause.message)
    };
    let at = "spec.validation.openAPIV3Schema.properties[spec]";
    let rule = |kind: &str, rule: &str| {
        let rules = json!([{"rule": rule}]);
        refused(json!({"type": kind, "x-kubernetes-validations": rules}))
    };
    let required = "Required value: must not be empty for specified object fields";
    assert_eq!(refused(json!({})), format!("{at}.type: {required}"));
    assert_eq!(
        refused(json!({"type": "array"})),
        format!("{at}.items: Required value: must be specified")
    );
    assert_eq!(
        refused(json!({"type": "bad"})),
        format!(
            "{at}.type: Unsupported value: \"bad\": supported values: \"array\", \"boolean\", \
             \"integer\", \"number\", \"object\", \"string\""
        )
    );
    assert!(rule("object", "self.nope == 1").contains("undefined field 'nope'"));
    assert!(rule("object", "foo(self)").contains("undeclared reference to 'foo'"));
    assert!(rule("object", "self.(").contains("compilation failed"));
    assert!(
        rule("object", "self.(").starts_with(&format!("{at}.x-kubernetes-validations[0].rule"))
    );
    let default = refused(json!({"type": "object", "properties": {
        "a": {"type": "string", "default": 5}}}));
    assert!(
        default.starts_with(&format!("{at}.properties[a].default: Invalid value")),
        "{default}"
    );
}

#[test]
fn root_rules_may_name_the_objects_name_and_no_other_metadata() {
    let compile = |rule: &str| {
        let schema = json!({
            "type": "object",
            "properties": {"metadata": {"type": "object"}},
            "x-kubernetes-validations": [{"rule": rule, "message": "too long"}],
        });
        Schema::compile(&json!({"schema": {"openAPIV3Schema": schema}}))
    };
    let schema = compile("size(self.metadata.name) <= 3").expect("a real server accepts it");
    let named = |name: &str| json!({"metadata": {"name": name, "labels": {"a": "b"}}});
    assert_eq!(schema.validate(&named("abc"), None), []);
    assert_eq!(schema.validate(&named("abcd"), None).len(), 1);
    let mut object = named("abc");
    assert_eq!(schema.prune(&mut object), Vec::<String>::new());
    schema.default(&mut object);
    assert_eq!(object, named("abc"));
    assert!(compile("self.metadata.labels.size() == 0").is_err());
    assert!(compile("self.kind == 'X'").is_ok());
}
