//! Writes that the API server forbids are tried for ever; people see why, and not too often.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::time::Duration;

use rynxs_core::status::reason::WRITE_FORBIDDEN;
use serde_json::{Value, json};
use support::story::*;
use support::world::{Fate, World};

const AGENT: &str = "/apis/universe.ai/v1alpha1/namespaces/team/agents/a";
const SESSION: &str = "/apis/universe.ai/v1alpha1/namespaces/team/sessions/s";
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";

/// Somebody's policy, as a cluster may have it beside ours.
const FREEZE: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: freeze
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [apps]
        apiVersions: [v1]
        operations: [CREATE, UPDATE]
        resources: [deployments]
  validations:
    - expression: object.metadata.name != 'a-runtime'
      message: nothing starts before the audit
      reason: Forbidden
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: freeze
spec:
  policyName: freeze
  validationActions: [Deny]
";

/// Kubernetes Events of one reason: involved kind, message, count.
fn told(world: &World, reason: &str) -> Vec<(String, String, u64)> {
    let list = world.get("/api/v1/namespaces/team/events").expect("a list");
    let items = list["items"].as_array().expect("items").clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    items
        .into_iter()
        .filter(|event| event["reason"] == reason)
        .map(|event| {
            let count = event["count"].as_u64().unwrap_or_default();
            (text(&event["involvedObject"]["kind"]), text(&event["message"]), count)
        })
        .collect()
}

fn attempts(world: &World, code: u16) -> usize {
    world.writes().iter().filter(|write| write.status_code == code).count()
}

#[tokio::test(start_paused = true)]
async fn a_write_forbidden_by_somebodys_policy_shows_why_until_it_is_allowed() {
    let mut world = World::new();
    world.server.load(FREEZE).expect("a policy");
    let leader = world.lead();
    world.create(AGENTS, &agent("a", &json!({})));
    world.until("it shows", |w| condition(w, AGENT, "Degraded") == "True").await;
    for r#type in ["Degraded", "Ready"] {
        let (reason, message) = why(&world, AGENT, r#type);
        assert_eq!(reason, WRITE_FORBIDDEN, "{type}");
        assert!(message.contains("create Deployment a-runtime"), "{message}");
        assert!(message.contains("nothing starts before the audit"), "{message}");
    }
    let records = world.log.len();
    world.pass(Duration::from_secs(1_750)).await;
    assert!(attempts(&world, 403) > 25, "it is tried again and again: {}", attempts(&world, 403));
    assert_eq!(world.log.len(), records, "and the log does not grow by it");
    let statuses = world.writes().into_iter().filter(|write| write.subresource == "status");
    assert!(statuses.count() <= 3, "nor is a status written that says nothing new");
    let told = told(&world, WRITE_FORBIDDEN);
    assert_eq!(told.len(), 1, "one Event, counted up: {told:?}");
    let (kind, message, count) = &told[0];
    assert!(kind == "Agent" && message.contains("before the audit"), "{told:?}");
    // At once, and every ten minutes in half an hour; Ready's own change may say it once more.
    assert!((3..=4).contains(count), "{told:?}");
    world.delete(&format!("{POLICIES}/freeze"));
    world.pass(Duration::from_secs(70)).await;
    settled(&world).await;
    assert_eq!(replicas(&world), Some(1));
    assert_eq!(condition(&world, AGENT, "Ready"), "True");
    assert_eq!(condition(&world, AGENT, "Degraded"), "False");
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_quota_forbids_shows_in_its_session() {
    const QUOTA: &str = "jobs.batch \"s-run\" is forbidden: exceeded quota: runs, used: count=4";
    let (world, leader) = with_agent(&json!({})).await;
    world.fate(|request| {
        let run = request.method() == "PATCH" && request.uri().path() == RUN;
        if run { Fate::Says(403, QUOTA) } else { Fate::Arrives }
    });
    world.create(SESSIONS, &session(&json!({"agentRef": "a"})));
    world.until("it shows", |w| condition(w, SESSION, "Degraded") == "True").await;
    let (reason, message) = why(&world, SESSION, "Degraded");
    assert_eq!(reason, WRITE_FORBIDDEN);
    assert!(message.contains(QUOTA), "{message}");
    world.pass(Duration::from_secs(5)).await;
    let told = told(&world, WRITE_FORBIDDEN);
    assert!(
        told.iter().any(|(kind, text, _)| kind == "Session" && text.contains(QUOTA)),
        "{told:?}"
    );
    world.delete(SESSION);
    settled(&world).await;
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_successor_says_the_same_and_writes_no_status_to_say_it() {
    let mut world = World::new();
    world.server.load(FREEZE).expect("a policy");
    let leader = world.lead();
    world.create(AGENTS, &agent("a", &json!({})));
    world.until("it shows", |w| condition(w, AGENT, "Degraded") == "True").await;
    leader.stop().await;
    let statuses = |world: &World| {
        world.writes().into_iter().filter(|write| write.subresource == "status").count()
    };
    let before = statuses(&world);
    let leader = world.lead();
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(condition(&world, AGENT, "Degraded"), "True");
    assert_eq!(statuses(&world), before);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_status_that_cannot_be_written_is_told_in_an_event() {
    let (world, leader) = with_agent(&json!({})).await;
    world.fate(|request| {
        let status = request.uri().path().ends_with("/status");
        if status { Fate::Says(403, "no right to agents/status") } else { Fate::Arrives }
    });
    world.merge(AGENT, &json!({"spec": {"operatingMode": "Suspended"}}));
    world.pass(Duration::from_secs(590)).await;
    let told = told(&world, WRITE_FORBIDDEN);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.contains("no right to agents/status") && told[0].2 == 1, "{told:?}");
    world.fate(|_| Fate::Arrives);
    world.pass(Duration::from_secs(40)).await;
    assert_eq!(condition(&world, AGENT, "Suspended"), "True");
    leader.stop().await;
}
