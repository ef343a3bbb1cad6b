//! The API server lies: it shows the past, forgets it, refuses, or answers too late.

use rynxs_judge::ObjectWrite;
use rynxs_judge::event::{Event, Line};
use rynxs_sim::Scenario;
use rynxs_sim::scenario::{AgentShape, ApiFault, Do, Server, Who};

use crate::play::{Seen, agent, agent_like, play, session, until};

#[test]
fn api_server_serves_yesterday() {
    let story = Scenario { api_views: 2, ..until(120_000) }
        .at(0, agent("a", 1))
        .at(0, agent("b", 1))
        .at(30_000, Do::FreezeView { view: 1, for_ms: 90_000 })
        .at(32_000, agent("a", 2))
        .at(33_000, Do::DeleteAgent { name: "b".to_owned() })
        .at(40_000, Do::MoveToView { who: Who::All, view: 1 })
        .at(41_000, Do::Crash { who: Who::Leader, back_after_ms: 30_000 })
        .at(80_000, agent("a", 3));
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        seen.must_hit("view-shows-the-past");
        assert!(
            !seen.met("freeze-view").is_empty(),
            "seed {}: no watch met the old view",
            seen.seed
        );
        let epochs = seen.epochs();
        let stale = epochs.iter().any(|(at, _)| (41_000..120_000).contains(at));
        assert!(stale, "seed {}: nobody took over under the old view: {epochs:?}", seen.seed);
        assert!(seen.at_end("Deployment/agents/b-runtime").is_none(), "b does not come back");
    }
}

#[test]
fn watch_history_is_compacted_under_a_takeover() {
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(30_000, Do::Crash { who: Who::Leader, back_after_ms: 60_000 })
        .at(31_000, agent("a", 2))
        .at(44_000, agent("b", 1))
        .at(45_000, Do::Compact {})
        .at(45_001, Do::BreakWatches { who: Who::All })
        .at(47_000, Do::Compact {})
        .at(47_001, Do::BreakWatches { who: Who::All });
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        seen.must_hit("watch-too-old");
        assert!(!seen.met("compact").is_empty(), "seed {}: no watch met the compaction", seen.seed);
        assert_eq!(seen.epochs().len(), 2, "seed {}: {:?}", seen.seed, seen.epochs());
    }
}

#[test]
fn an_agent_is_deleted_and_made_anew_between_two_events() {
    let (who, per_mille, for_ms) = (Who::All, 1_000, 60_000);
    let anew = AgentShape { value: 2, ..AgentShape::default() };
    let story = until(90_000)
        .at(0, agent("a", 1))
        .at(20_000, Do::CoalesceEvents { who, per_mille, for_ms })
        .at(25_000, Do::RecreateAgent { name: "a".to_owned(), agent: anew })
        .at(40_000, agent("a", 3));
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        assert!(!seen.met("coalesce-events").is_empty(), "seed {}: nothing was hidden", seen.seed);
        let shown = |line: &Line| {
            let Event::Watched { kind, object, .. } = &line.event else { return false };
            kind == "DELETED" && object == "Agent/agents/a"
        };
        assert!(seen.when(shown).is_empty(), "seed {}: the deletion was shown", seen.seed);
        assert_eq!(seen.told("AgentDeleted").len(), 1, "seed {}", seen.seed);
    }
}

#[test]
fn a_quota_refuses_writes_for_a_while() {
    let quota = Do::ApiFault { fault: ApiFault::DeniesWrites, per_mille: 1_000, for_ms: 60_000 };
    let story = until(120_000)
        .at(0, agent("a", 1))
        .at(20_000, quota)
        .at(21_000, agent("b", 1))
        .at(22_000, agent("a", 2));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        let refused = |line: &Line| matches!(line.event, Event::Answered { status: 403, .. });
        let refused = seen.when(refused);
        assert!(!refused.is_empty(), "nothing was refused");
        seen.blames("api-denies-writes", "api-", 403);
        // Waits double up to a bound: nobody hammers a quota.
        assert!(refused.len() < 120, "seed {}: {} requests in 60 s", seen.seed, refused.len());
        let early = seen.writes("Deployment/agents/b").any(|(at, _)| at < 80_000);
        assert!(!early, "the quota held");
        assert!(seen.at_end("Deployment/agents/b-runtime").is_some());
    }
}

#[test]
fn an_answer_of_500_after_the_write_changes_nothing_twice() {
    let late = Do::ApiFault { fault: ApiFault::FailsAfter, per_mille: 600, for_ms: 40_000 };
    let story = until(120_000).at(0, agent("a", 1)).at(20_000, late).at(21_000, agent("b", 1));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("api-error-after-apply");
        seen.blames("api-fails-after", "api-", 500);
        let creates = seen
            .writes("Deployment/agents/b-runtime")
            .filter(|(_, write)| write.took_effect() && write.status == 201);
        assert_eq!(creates.count(), 1, "seed {}", seen.seed);
    }
}

#[test]
fn the_api_asks_to_come_back_later() {
    let busy = Do::ApiFault { fault: ApiFault::TooManyRequests, per_mille: 500, for_ms: 60_000 };
    let story = until(120_000).at(0, agent("a", 1)).at(20_000, busy).at(21_000, agent("b", 1));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("api-too-many-requests");
        seen.blames("api-too-many-requests", "api-", 429);
    }
}

/// An agent and a session are gone when the dead leader's writes arrive, all after the first few.
pub(crate) fn late_creates(first: usize) -> Scenario {
    let mut story = until(120_000).at(0, agent("a", 1));
    for index in 0..16 {
        let for_ms = if index < first { 0 } else { 60_000 };
        story = story.at(30_000, Do::HoldWrite { who: Who::Leader, server: Server::Api, for_ms });
    }
    story
        .at(30_001, agent("b", 1))
        .at(30_001, session("s", 0))
        .at(31_500, Do::Crash { who: Who::Leader, back_after_ms: 120_000 })
        .at(33_000, Do::DeleteAgent { name: "b".to_owned() })
        .at(33_000, Do::DeleteSession { name: "s".to_owned() })
        // The garbage collector would be faster than the leader.
        .at(80_000, Do::StallControllers { for_ms: 30_000 })
}

/// What they make runs nothing, and is cleared away.
#[test]
fn a_late_create_starts_nothing() {
    let all: Vec<_> = (0..7).flat_map(|first| play(&late_creates(first), 1..2)).collect();
    let late = |kind: &str| {
        let lands = |write: &ObjectWrite| write.status == 201 && write.user.contains(":rynxs:");
        let landed = |seen: &Seen| seen.writes(kind).any(|(at, write)| at > 85_000 && lands(write));
        all.iter().any(landed)
    };
    for kind in
        ["ConfigMap/", "NetworkPolicy/", "PersistentVolumeClaim/", "Deployment/agents/b", "Job/"]
    {
        assert!(late(kind), "no {kind} came late");
    }
    for seen in all {
        seen.excuses_only(&[]);
        let ran = seen.writes("").any(|(at, write)| {
            let value = write.value.as_deref().unwrap_or(&serde_json::Value::Null);
            let job = write.object.starts_with("Job/") && value["spec"]["suspend"] == false;
            let runtime = write.object == "Deployment/agents/b-runtime";
            at > 30_000 && (job || runtime && value["spec"]["replicas"] == 1)
        });
        assert!(!ran, "seed {}: it ran", seen.seed);
        assert!(seen.at_end("Deployment/agents/b-runtime").is_none(), "and it is cleared away");
    }
}

#[test]
fn a_late_create_of_what_exists_is_refused() {
    let mut story = until(120_000).at(0, agent("a", 1));
    for _ in 0..16 {
        let hold = Do::HoldWrite { who: Who::Leader, server: Server::Api, for_ms: 60_000 };
        story = story.at(30_000, hold);
    }
    let other = AgentShape { rank: 2, ..AgentShape::default() };
    let story = story
        .at(30_001, agent("b", 1))
        .at(31_500, Do::Crash { who: Who::Leader, back_after_ms: 120_000 })
        .at(60_000, agent_like("b", other));
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        seen.must_hit("apply-arrives-after-its-sender-died");
        seen.must_hit("write-refused-by-version");
    }
}

#[test]
fn watch_events_come_twice_and_are_recorded_once() {
    let twice = Do::DuplicateEvents { who: Who::All, per_mille: 1_000, for_ms: 60_000 };
    let story = until(120_000).at(0, twice).at(1_000, agent("a", 1)).at(30_000, agent("a", 2));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        let observed = seen.told("AgentObserved");
        assert_eq!(observed.len(), 2, "seed {}: once for each spec", seen.seed);
    }
}
