//! Tables of every kind that the server knows.

use serde::Deserialize;

use super::*;
use crate::registry::{Registry, crd_infos};

const NOW_MS: u64 = 1_767_225_605_000;

fn headers(table: &Value) -> Vec<&str> {
    let columns = table["columnDefinitions"].as_array().expect("a list").iter();
    columns.map(|c| c["name"].as_str().expect("a name")).collect()
}

#[test]
fn every_builtin_kind_has_a_cell_for_every_column() {
    let registry = Registry::new();
    for info in registry.iter() {
        let object = json!({"kind": info.kind, "metadata": {
            "name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}});
        let table = render(info, &object, NOW_MS, "");
        let cells = table["rows"][0]["cells"].as_array().expect("a list").len();
        assert_eq!(cells, headers(&table).len(), "{}", info.kind);
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    }
}

#[test]
fn a_deployment_shows_its_replicas() {
    let registry = Registry::new();
    let info = registry.get("apps", "v1", "deployments").expect("it is built in");
    let object = json!({
        "kind": "Deployment",
        "metadata": {"name": "d", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "d"}},
                 "template": {"spec": {"containers": [{"name": "main", "image": "img:1"}]}}},
        "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1},
    });
    let table = render(info, &object, NOW_MS, "None");
    assert_eq!(
        table["rows"][0],
        json!({"cells": ["d", "1/2", 2, 1, "5s", "main", "img:1", "app=d"], "object": null})
    );
}

#[test]
fn a_custom_resource_has_the_columns_of_its_definition() {
    let crd = serde_yaml_ng::Deserializer::from_str(include_str!("../../tests/things_crd.yaml"));
    let crd = Value::deserialize(crd).expect("the file is YAML");
    let infos = crd_infos(&crd).expect("a real server accepts it");
    let info = infos.first().expect("one version is served");
    let list = json!({"kind": "ThingList", "metadata": {"resourceVersion": "7"}, "items": [{
        "metadata": {"name": "t", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"role": "worker", "count": 3},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }, {"metadata": {"name": "u"}}]});
    let table = render(info, &list, NOW_MS, "Object");
    assert_eq!(headers(&table), ["Name", "Role", "Ready", "Wide", "Age"]);
    assert_eq!(table["columnDefinitions"][3]["priority"], 1);
    assert_eq!(table["rows"][0]["cells"], json!(["t", "worker", "True", 3, "5s"]));
    assert_eq!(table["rows"][1]["cells"], json!(["u", null, null, null, null]));
    assert_eq!(table["metadata"]["resourceVersion"], "7");
    assert_eq!(table["rows"][0]["object"], list["items"][0]);
}
