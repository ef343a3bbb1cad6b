//! Which refusals of a stale write count, where, and how often: one for each request that was
//! refused because something newer exists, or kept back by the guard, and none for anything else.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use rynxs_core::crd::STALE_EPOCH;
use rynxs_operator::leader::LeaderEnd;
use rynxs_operator::observe::{RefusedBy, Signal};
use serde_json::json;
use support::story::*;
use support::world::{Fate, Leader, World};

const AGENT: &str = "/apis/universe.ai/v1alpha1/namespaces/team/agents/a";
const STATUS: &str = "/apis/universe.ai/v1alpha1/namespaces/team/agents/a/status";

/// How often the API server answered the operator with this code.
fn answered(world: &World, code: u16) -> usize {
    world.writes().iter().filter(|write| write.status_code == code).count()
}

/// Does something right before the first apply to `path`, and lets `fate` happen to that apply.
fn once(world: &World, path: &'static str, fate: Fate, before: impl FnOnce() + Send + 'static) {
    let mut before = Some(before);
    world.fate(move |request| {
        let this = request.method() == "PATCH" && request.uri().path() == path;
        match before.take_if(|_| this) {
            Some(before) => {
                before();
                fate
            }
            None => Fate::Arrives,
        }
    });
}

fn lost(signal: &Signal) -> bool {
    *signal == Signal::TermLostAcrossWrite
}

async fn end_of(leader: Leader) -> LeaderEnd {
    let end = tokio::time::timeout(Duration::from_secs(60), leader.end()).await;
    end.expect("it ends within a minute")
}

#[tokio::test(start_paused = true)]
async fn an_update_that_somebody_overtakes_counts_one_by_version() {
    let (world, leader) = with_agent(&json!({})).await;
    let (before, people) = (answered(&world, 409), world.beside());
    once(&world, RUNTIME, Fate::Arrives, move || {
        people.merge(RUNTIME, &json!({"metadata": {"labels": {"theirs": "1"}}}));
    });
    let image = json!({"spec": {"image": {"repository": "example.org/mine", "tag": "v2"}}});
    world.merge(AGENT, &image);
    settled(&world).await;
    assert_eq!(answered(&world, 409), before + 1);
    assert_eq!(world.signals.refusals(), [(RefusedBy::ResourceVersion, before + 1)].into());
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_somebody_overtakes_counts_one_by_version() {
    let (world, leader) = with_agent(&long_runs()).await;
    world.create(SESSIONS, &session(&json!({"agentRef": "a", "maxDuration": "5m"})));
    settled(&world).await;
    let before = answered(&world, 409);
    let people = world.beside();
    let mut overtaken = false;
    world.fate(move |request| {
        if !overtaken && request.method() == "DELETE" && request.uri().path() == RUN {
            overtaken = true;
            people.merge(RUN, &json!({"metadata": {"labels": {"theirs": "1"}}}));
        }
        Fate::Arrives
    });
    world.pass(Duration::from_secs(300)).await;
    settled(&world).await;
    assert!(world.get(RUN).is_none());
    assert_eq!(answered(&world, 409), before + 1);
    assert_eq!(world.signals.refusals(), [(RefusedBy::ResourceVersion, before + 1)].into());
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_create_that_finds_its_own_object_or_a_persons_is_not_stale() {
    for taken_by_a_person in [false, true] {
        let mut world = World::new();
        let people = world.beside();
        let fate = if taken_by_a_person { Fate::Arrives } else { Fate::AnswerLost };
        once(&world, SPEC, fate, move || {
            let theirs = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "a-spec", "namespace": "team"},
            });
            if taken_by_a_person {
                people.create("/api/v1/namespaces/team/configmaps", &theirs);
            }
        });
        let leader = world.lead();
        world.create(AGENTS, &agent("a", &json!({})));
        settled(&world).await;
        let refused = world.writes().into_iter().filter(|w| w.status_code == 409);
        assert_eq!(refused.filter(|w| w.kind == "ConfigMap").count(), 1, "its create was refused");
        assert_eq!(world.signals.refusals(), [].into(), "by a person: {taken_by_a_person}");
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_comes_after_a_later_decisions_counts_one_by_version() {
    let mut world = World::new();
    let people = world.beside();
    once(&world, SPEC, Fate::Arrives, move || {
        apply_spec(&people, 999_999, &log_id(&people));
    });
    let leader = world.lead();
    world.create(AGENTS, &agent("a", &json!({})));
    let end = end_of(leader).await;
    assert!(matches!(&end, LeaderEnd::Halted(why) if why.contains("999999")), "{end:?}");
    assert_eq!(world.signals.refusals(), [(RefusedBy::ResourceVersion, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_stale_stamp_that_the_policy_refuses_counts_one_by_policy_and_nothing_else() {
    let (world, leader) = with_agent(&json!({})).await;
    let people = world.beside();
    let words =
        "ValidatingAdmissionPolicy 'rynxs-stamped-writes' denied request: stale stamp 3 < 9";
    once(&world, SPEC, Fate::Says(403, words), move || {
        apply_spec(&people, 999_999, &log_id(&people));
    });
    world.merge(AGENT, &json!({"spec": {"team": "red"}}));
    let end = end_of(leader).await;
    assert!(matches!(&end, LeaderEnd::Halted(why) if why.contains("999999")), "{end:?}");
    assert_eq!(world.signals.refusals(), [(RefusedBy::Policy, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_refused_status_counts_only_if_something_newer_refused_it() {
    let cases: [(u16, &str, Option<RefusedBy>); 5] = [
        (409, "Precondition failed: UID in precondition", Some(RefusedBy::ResourceVersion)),
        (422, STALE_EPOCH, Some(RefusedBy::Policy)),
        (422, "status.phase: Unsupported value", None),
        (403, "agents.universe.ai \"a\" is forbidden: by somebody's policy", None),
        (503, "later", None),
    ];
    for (code, words, cause) in cases {
        let (world, leader) = with_agent(&json!({})).await;
        settled(&world).await;
        let before = world.signals.refusals();
        once(&world, STATUS, Fate::Says(code, words), || {});
        world.merge(AGENT, &json!({"spec": {"operatingMode": "Suspended"}}));
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(condition(&world, AGENT, "Suspended"), "True", "it is written in the end");
        let counted: BTreeMap<RefusedBy, usize> =
            cause.map(|cause| (cause, 1)).into_iter().collect();
        assert!(before.is_empty(), "{before:?}");
        assert_eq!(world.signals.refusals(), counted, "{code} {words}");
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_crds_rule_refuses_the_status_of_an_old_leader_which_counts_and_ends_the_term() {
    let (world, leader) = with_agent(&json!({})).await;
    let later = json!({"status": {"controllerEpoch": 999_999_999_u64}});
    let (code, answer) = world.admin("PATCH", STATUS, "application/merge-patch+json", &later);
    assert_eq!(code, 200, "{answer}");
    world.merge(AGENT, &json!({"spec": {"operatingMode": "Suspended"}}));
    let end = leader.end().await;
    assert!(matches!(&end, LeaderEnd::Halted(why) if why.contains("999999999")), "{end:?}");
    assert_eq!(answered(&world, 422), 1, "nobody waits for a lower epoch to be taken");
    assert_eq!(world.signals.refusals(), [(RefusedBy::Policy, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_term_lost_across_a_status_write_ends_and_is_counted() {
    let (world, leader) = with_agent(&json!({})).await;
    let guard = leader.guard.clone();
    once(&world, STATUS, Fate::Arrives, move || guard.close());
    world.merge(AGENT, &json!({"spec": {"operatingMode": "Suspended"}}));
    assert_eq!(end_of(leader).await, LeaderEnd::LeadershipLost);
    assert_eq!(world.signals.count(lost), 1);
    assert_eq!(world.signals.refusals(), [].into(), "nothing was kept back");
}

#[tokio::test(start_paused = true)]
async fn a_status_is_not_sent_by_who_does_not_lead_any_more() {
    let (world, leader) = with_agent(&json!({})).await;
    settled(&world).await;
    leader.guard.close();
    let before = world.writes().len();
    // It waits for an agent that does not exist: its status is all there is to write.
    world.create(SESSIONS, &session(&json!({"agentRef": "nobody"})));
    assert_eq!(end_of(leader).await, LeaderEnd::LeadershipLost);
    assert_eq!(world.writes().len(), before);
    assert_eq!(world.signals.refusals(), [(RefusedBy::Guard, 1)].into());
    assert_eq!(world.signals.count(lost), 0);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_dropped_in_the_middle_of_a_write_says_so() {
    let mut world = World::new();
    once(&world, SPEC, Fate::Lost, || {});
    let leader = world.lead();
    world.create(AGENTS, &agent("a", &json!({})));
    world.pass(Duration::from_secs(2)).await;
    assert_eq!(world.signals.count(lost), 0);
    leader.kill().await;
    assert_eq!(world.signals.count(lost), 1);
}
