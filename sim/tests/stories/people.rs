//! People meddle: with managed objects, with names, with an Agent under its leader's hands.

use rynxs_sim::Scenario;
use rynxs_sim::scenario::{AgentShape, Child, Do, Meddling, Who};

use crate::play::{Seen, agent, agent_like, play, until};

fn meddle(child: Child, how: Meddling) -> Do {
    Do::Meddle { agent: "a".to_owned(), child, how }
}

#[test]
fn a_recreated_agent_is_another_agent() {
    let again = Do::RecreateAgent { name: "a".to_owned(), agent: AgentShape::default() };
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, again)
        .at(30_020, Do::Crash { who: Who::Leader, back_after_ms: 60_000 });
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        seen.must_hit("agent-recreated");
        let owner =
            |value: &serde_json::Value| value["metadata"]["ownerReferences"][0]["uid"].clone();
        let runtime = seen.at_end("Deployment/agents/a-runtime").expect("it runs");
        let living = seen.at_end("Agent/agents/a").expect("it lives");
        assert_eq!(owner(&runtime), living["metadata"]["uid"], "seed {}", seen.seed);
    }
}

/// The garbage collector knows that the owner is gone; no watch has said so yet. Whatever is made
/// for it is gone at once, and is made again: the log must not fill with that.
#[test]
fn what_is_undone_at_once_is_made_again_slower_and_slower() {
    let again = Do::RecreateAgent { name: "a".to_owned(), agent: AgentShape::default() };
    let half = Do::DropEvents { who: Who::Leader, per_mille: 500, for_ms: 60_000 };
    let story = Scenario { replicas: 1, ..until(120_000) }
        .at(0, agent("a", 1))
        .at(29_000, half)
        .at(30_000, again);
    let mut most = 0;
    for seen in play(&story, 1..13) {
        seen.excuses_only(&[]);
        let decided = seen.told("ActionsDecided").len();
        assert!(decided < 30, "seed {}: {decided} decisions", seen.seed);
        most = most.max(decided);
    }
    assert!(most > 5, "nothing was made again in any run: {most} decisions at most");
}

#[test]
fn a_person_takes_a_managed_name() {
    let squat = Do::Squat { agent: "a".to_owned(), child: Child::Runtime, for_ms: 60_000 };
    let story = until(90_000).at(0, squat).at(10_000, agent("a", 1));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("name-taken-by-a-person");
        let touched = |seen: &Seen| {
            let operators = |user: &str| user.contains("serviceaccount:rynxs");
            seen.writes("Deployment/agents/a-runtime").any(|(at, write)| {
                at < 60_000
                    && write.changed
                    && operators(&write.user)
                    && write.subresource.is_empty()
            })
        };
        assert!(!touched(&seen), "seed {}: a person's object is nobody else's", seen.seed);
        let degraded = seen.writes("Agent/agents/a").any(|(_, write)| {
            write.value.as_ref().is_some_and(|value| {
                value["status"]["conditions"].as_array().into_iter().flatten().any(|condition| {
                    condition["type"] == "Degraded" && condition["status"] == "True"
                })
            })
        });
        assert!(degraded, "seed {}: and its status says so", seen.seed);
    }
}

#[test]
fn a_person_edits_a_managed_object() {
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, meddle(Child::Runtime, Meddling::Edit))
        .at(31_000, meddle(Child::Spec, Meddling::Edit))
        .at(32_000, meddle(Child::Network, Meddling::Edit))
        .at(40_000, meddle(Child::Spec, Meddling::Delete));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("drift-observed");
        let runtime = seen.at_end("Deployment/agents/a-runtime").expect("it runs");
        assert_eq!(runtime["spec"]["replicas"], 1);
        let spec = seen.at_end("ConfigMap/agents/a-spec").expect("it is made again");
        assert!(spec["data"].get("person").is_none(), "{spec}");
    }
}

/// Fields that nobody else writes stay when an apply comes: only a new object is without them.
#[test]
fn what_a_person_added_goes_with_the_object() {
    let story =
        until(120_000).at(0, agent("a", 1)).at(30_000, meddle(Child::Runtime, Meddling::Add));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("drift-observed");
        let runtime = seen.at_end("Deployment/agents/a-runtime").expect("it runs");
        assert!(runtime["spec"]["template"]["spec"].get("hostAliases").is_none(), "{runtime}");
    }
}

#[test]
fn a_persons_label_is_their_own_business() {
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, meddle(Child::Runtime, Meddling::Label))
        .at(40_000, agent("a", 2));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        assert_eq!(seen.hits("drift-observed"), 0);
        let runtime = seen.at_end("Deployment/agents/a-runtime").expect("it runs");
        assert_eq!(runtime["metadata"]["labels"]["person"], "was-here");
    }
}

/// Nobody's garbage any more: whoever wrote it takes it away.
#[test]
fn what_an_agent_left_behind_is_cleared_away() {
    let story =
        until(90_000).at(0, agent("a", 1)).at(30_000, Do::OrphanAgent { name: "a".to_owned() });
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        for object in ["Deployment/agents/a-runtime", "PersistentVolumeClaim/agents/a-workspace"] {
            assert!(seen.at_end(object).is_none(), "seed {}: {object}", seen.seed);
        }
        seen.must_hit("marked-then-deleted");
    }
}

/// It has the labels of a managed object, but no stamp: nobody here wrote it.
#[test]
fn a_persons_copy_is_left_alone() {
    let stray = |child| Do::Stray { agent: "nobody".to_owned(), child };
    let story = until(90_000)
        .at(0, agent("a", 1))
        .at(30_000, stray(Child::Spec))
        .at(30_000, stray(Child::Network))
        .at(40_000, agent("a", 2));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        assert!(seen.at_end("ConfigMap/agents/nobody-spec").is_some(), "seed {}", seen.seed);
        assert!(seen.at_end("NetworkPolicy/agents/nobody-runtime").is_some());
    }
}

#[test]
fn nobody_but_the_operator_stamps() {
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, meddle(Child::Runtime, Meddling::Stamp))
        .at(40_000, agent("a", 2));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("person-may-not-stamp");
    }
}

#[test]
fn a_kept_workspace_gets_its_agent_back() {
    let keeps = || AgentShape { retain: true, ..AgentShape::default() };
    let story = until(120_000)
        .at(0, agent_like("a", keeps()))
        .at(30_000, Do::DeleteAgent { name: "a".to_owned() })
        .at(60_000, agent_like("a", keeps()));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("workspace-adopted-again");
        let workspace = "PersistentVolumeClaim/agents/a-workspace";
        let creates = seen.writes(workspace).filter(|(_, write)| write.status == 201);
        assert_eq!(creates.count(), 1, "seed {}", seen.seed);
    }
}

/// Two edits under way when the leader dies: the last one is what counts.
#[test]
fn an_edit_between_two_leaders_is_not_lost() {
    let mut story = until(120_000).at(0, agent("a", 1)).at(30_000, agent("a", 2));
    story = story.at(30_040, Do::Crash { who: Who::Leader, back_after_ms: 60_000 });
    story = story.at(35_000, agent("a", 3)).at(45_000, agent("a", 4));
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        let runtime = seen.at_end("Deployment/agents/a-runtime").expect("it runs");
        let env = runtime["spec"]["template"]["spec"]["containers"][0]["env"].to_string();
        assert!(env.contains("{\"name\":\"VALUE\",\"value\":\"4\"}"), "seed {}: {env}", seen.seed);
        assert!(seen.epochs().len() >= 2);
    }
}
