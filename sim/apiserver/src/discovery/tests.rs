//! What clients look for in discovery.

use super::*;

fn get(path: &str, accept: &str) -> Value {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_str(accept).expect("a header"));
    let response = answer(&Registry::new(), path, &headers).expect(path);
    serde_json::from_slice(response.body()).expect("JSON")
}

#[test]
fn resources_are_listed_with_names_and_verbs() {
    let list = get("/api/v1", "application/json");
    let resources = list["resources"].as_array().expect("a list");
    let maps = resources.iter().find(|r| r["name"] == "configmaps").expect("it is built in");
    assert_eq!(maps["shortNames"], json!(["cm"]));
    assert_eq!(maps["kind"], "ConfigMap");
    assert!(resources.iter().any(|r| r["name"] == "pods/status"));
    let namespaces = resources.iter().find(|r| r["name"] == "namespaces").expect("built in");
    assert!(!namespaces["verbs"].as_array().expect("a list").contains(&json!("deletecollection")));
    assert_eq!(get("/apis/apps", "*/*")["preferredVersion"]["groupVersion"], "apps/v1");
}

#[test]
fn aggregated_discovery_is_given_to_who_asks_for_it() {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                  application/json";
    let all = get("/apis", accept);
    assert_eq!(all["kind"], "APIGroupDiscoveryList");
    let items = all["items"].as_array().expect("a list");
    let apps = items.iter().find(|i| i["metadata"]["name"] == "apps").expect("it is built in");
    assert_eq!(apps["versions"][0]["resources"][0]["resource"], "deployments");
    assert_eq!(get("/api", accept)["items"][0]["metadata"], json!({}));
    assert_eq!(get("/apis", "application/json")["kind"], "APIGroupList");
}

#[test]
fn clients_learn_that_unknown_fields_are_checked() {
    let document = get("/openapi/v3/apis/apps/v1", "application/json");
    let path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";
    let parameters = document["paths"][path]["patch"]["parameters"].as_array().expect("a list");
    assert!(parameters.iter().any(|p| p["name"] == "fieldValidation"));
    let index = get("/openapi/v3", "application/json");
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().expect("a text");
    assert!(url.starts_with("/openapi/v3/apis/apps/v1?hash="), "{url}");
}

#[test]
fn health_and_version_are_answered_and_nothing_else_is() {
    let registry = Registry::new();
    let ask = |path| answer(&registry, path, &HeaderMap::new());
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(ask(path).expect(path).body().as_ref(), b"ok");
    }
    assert_eq!(get("/version", "*/*")["minor"], "34");
    for path in ["/", "/metrics", "/apis/none", "/apis/apps/v2", "/api/v2", "/openapi/v4"] {
        assert!(ask(path).is_none(), "{path}");
    }
}
