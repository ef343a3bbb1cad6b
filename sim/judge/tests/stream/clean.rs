//! Honest runs are green: the judge's reference and the operator mean the same.

use serde_json::json;

use crate::story::{Story, object};

#[test]
fn an_honest_run_is_green() {
    let mut story = rich();
    story.end();
    let report = story.report();
    assert!(report.is_green(), "{report}");
    assert!(report.verdicts.len() == 10);
}

#[test]
fn an_agent_that_comes_and_goes_is_green() {
    let mut story = Story::begin();
    story.user("Agent", "a", json!({}));
    story.settle();
    story.heal();
    story.delete("alice", "Agent/team-a/a");
    story.settle();
    story.user("Agent", "a", json!({ "operatingMode": "Suspended" }));
    story.settle();
    story.end();
    let report = story.report();
    assert!(report.is_green(), "{report}");
}

/// A run that has all there is: edits, a failover, sessions of every fate.
pub(crate) fn rich() -> Story {
    let mut story = Story::begin();
    story.user(
        "Agent",
        "a",
        json!({ "role": "worker", "operatingMode": "Running",
        "workspace": { "size": "2Gi", "retain": false },
        "env": [{ "name": "X", "value": "1" }],
        "resources": { "limits": { "cpu": 2 } },
        "egress": [{ "cidr": "10.0.0.0/8", "ports": [{ "port": 443, "protocol": "TCP" }] }] }),
    );
    story.user(
        "Agent",
        "boss",
        json!({ "role": "manager", "manages": ["a"], "team": "red",
        "workspace": { "size": "1Gi", "retain": true } }),
    );
    story.settle();
    story.user("Session", "s", json!({ "agentRef": "a", "input": "hello" }));
    story.user("Session", "t", json!({ "agentRef": "a", "operatingMode": "Suspended" }));
    story.user("Session", "u", json!({ "agentRef": "nobody" }));
    story.user("Session", "v", json!({ "agentRef": "boss", "maxDuration": "1m" }));
    story.settle();
    story.lead("rynxs-1_2");
    story.user(
        "Agent",
        "a",
        json!({ "role": "director", "operatingMode": "Suspended",
        "workspace": { "size": "3Gi", "retain": false } }),
    );
    story.settle();
    story.heal();
    story.pass(5_000);
    story.succeed(&object("Job", "s-run"));
    story.settle();
    story.pass(90_000);
    story.settle();
    story
}
