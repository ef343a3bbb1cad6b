//! What the operator's roles allow and refuse: asked of the model, and of a real API server.

mod either;

use either::{Model, Real, Sent, Server};
use http::Method;
use serde::Deserialize;
use serde_json::json;

const CASES: &str = include_str!("role_cases.yaml");

#[derive(Deserialize)]
struct Table {
    allowed: Vec<Case>,
    refused: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    group: String,
    resource: String,
    #[serde(default)]
    subresource: String,
    #[serde(default = "default_namespace")]
    namespace: String,
    #[serde(default)]
    name: String,
    verbs: Vec<String>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

/// Asks everything; returns what was not answered as the table says.
fn ask(server: &mut dyn Server) -> (usize, Vec<String>) {
    let table: Table = serde_yaml_ng::from_str(CASES).expect("the table is well formed");
    let (mut questions, mut wrong) = (0, Vec::new());
    let cases = table.allowed.iter().map(|c| (true, c));
    for (expected, case) in cases.chain(table.refused.iter().map(|c| (false, c))) {
        for verb in &case.verbs {
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": "system:serviceaccount:rynxs:rynxs",
                    "groups": ["system:serviceaccounts", "system:serviceaccounts:rynxs",
                               "system:authenticated"],
                    "resourceAttributes": {
                        "group": case.group,
                        "resource": case.resource,
                        "subresource": case.subresource,
                        "namespace": case.namespace,
                        "name": case.name,
                        "verb": verb,
                    },
                },
            });
            let (code, answer) = server.send(&Sent {
                user: "alice",
                method: Method::POST,
                path: "/apis/authorization.k8s.io/v1/subjectaccessreviews".to_owned(),
                media: "application/json",
                body: review,
            });
            questions += 1;
            if code != 201 || answer["status"]["allowed"] != expected {
                wrong.push(format!("{verb} {case:?}: {code} {}", answer["status"]));
            }
        }
    }
    (questions, wrong)
}

#[test]
fn the_model_judges_every_right_as_the_table_says() {
    let (questions, wrong) = ask(&mut Model::new(true));
    assert_eq!(wrong, Vec::<String>::new());
    assert!(questions > 100, "{questions} questions are fewer than the table has");
}

#[test]
fn a_real_server_judges_every_right_as_the_table_says() {
    let Some(mut real) = Real::named() else { return };
    let (questions, wrong) = ask(&mut real);
    assert_eq!(wrong, Vec::<String>::new());
    assert!(questions > 100, "{questions} questions are fewer than the table has");
}
