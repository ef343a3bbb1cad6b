//! One leader against the API server's model with the chart's policies and roles: Agents and
//! Sessions from nothing to ready, changed, suspended, deleted, interfered with and failed over.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use rynxs_core::event::{Drift, Event, FailureReason, Verb};
use rynxs_operator::leader::LeaderEnd;
use rynxs_operator::observe::{RefusedBy, Signal};
use serde_json::{Value, json};
use support::story::*;
use support::world::{Fate, World};

#[tokio::test(start_paused = true)]
async fn an_agent_becomes_its_objects_and_the_log_says_why() {
    let mut world = World::new();
    let leader = world.lead();
    world.create(AGENTS, &agent("a", &json!({"role": "worker"})));
    world.until("a running runtime", |w| replicas(w) == Some(1)).await;
    world.until("a ready agent", |w| condition(w, &format!("{AGENTS}/a"), "Ready") == "True").await;
    settled(&world).await;
    assert_eq!(outcomes(&world), 5);
    let about: Vec<Event> = world
        .log
        .events()
        .into_iter()
        .filter(|e| !matches!(e, Event::LogStarted { .. } | Event::EpochStarted { .. }))
        .collect();
    assert_eq!(about.len(), 8, "{about:#?}");
    assert_eq!(leader.stop().await, LeaderEnd::Stopped { settled: true });
}

#[tokio::test(start_paused = true)]
async fn an_edit_writes_only_what_it_changes() {
    let (world, leader) = with_agent(&json!({})).await;
    let before = world.writes().len();
    let claim = world.get(CLAIM).expect("a claim")["metadata"]["resourceVersion"].clone();
    world.merge(
        &format!("{AGENTS}/a"),
        &json!({"spec": {"image": {"repository": "example.org/mine", "tag": "v2"}}}),
    );
    settled(&world).await;
    let runtime = world.get(RUNTIME).expect("a runtime");
    let image = &runtime["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "example.org/mine:v2");
    assert_eq!(world.get(CLAIM).expect("a claim")["metadata"]["resourceVersion"], claim);
    let mut updates = world.log.events().into_iter().filter_map(|event| match event {
        Event::ActionsDecided { actions, .. } => Some(actions),
        _ => None,
    });
    let last = updates.next_back().expect("a decision");
    assert!(last.iter().all(|action| action.verb == Verb::Update), "{last:?}");
    let written: Vec<String> = world.writes()[before..]
        .iter()
        .filter(|w| w.subresource.is_empty())
        .map(|w| w.kind.clone())
        .collect();
    assert_eq!(written.len(), last.len(), "one request for each action: {written:?}");
    assert_orderly(&world);
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn suspending_takes_the_replica_away_and_resuming_brings_it_back() {
    let (world, leader) = with_agent(&json!({})).await;
    let claim = world.get(CLAIM).expect("a claim")["metadata"]["uid"].clone();
    for (mode, expected) in [("Suspended", 0), ("Running", 1)] {
        world.merge(&format!("{AGENTS}/a"), &json!({"spec": {"operatingMode": mode}}));
        settled(&world).await;
        assert_eq!(replicas(&world), Some(expected), "{mode}");
    }
    assert_eq!(world.get(CLAIM).expect("a claim")["metadata"]["uid"], claim);
    assert_orderly(&world);
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_agent_made_again_under_the_same_name_gets_objects_of_its_own() {
    let (world, leader) = with_agent(&json!({})).await;
    let first = world.get(RUNTIME).expect("a runtime");
    world.delete(&format!("{AGENTS}/a"));
    world.create(AGENTS, &agent("a", &json!({"role": "director"})));
    settled(&world).await;
    let owner = world.get(&format!("{AGENTS}/a")).expect("an agent")["metadata"]["uid"].clone();
    for path in [RUNTIME, SPEC, CLAIM] {
        let object = world.get(path).expect("made again");
        assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], owner, "{path}");
    }
    assert_ne!(world.get(RUNTIME).expect("a runtime")["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(replicas(&world), Some(1));
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn deleting_an_agent_leaves_nothing_behind_but_a_retained_workspace() {
    for retain in [false, true] {
        let (world, leader) = with_agent(&json!({"workspace": {"retain": retain}})).await;
        world.delete(&format!("{AGENTS}/a"));
        settled(&world).await;
        assert!(world.get(RUNTIME).is_none() && world.get(SPEC).is_none());
        assert_eq!(world.get(CLAIM).is_some(), retain);
        outcomes(&world);
        if retain {
            let kept = world.get(CLAIM).expect("kept")["metadata"]["uid"].clone();
            world.create(AGENTS, &agent("a", &json!({"workspace": {"retain": true}})));
            settled(&world).await;
            assert_eq!(world.get(CLAIM).expect("a claim")["metadata"]["uid"], kept);
            assert_eq!(replicas(&world), Some(1), "the later agent gets the workspace back");
        }
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn drift_is_recorded_and_repaired_and_what_others_add_beside_it_is_tolerated() {
    let (world, leader) = with_agent(&json!({})).await;
    let quiet = world.log.len();
    world.merge(RUNTIME, &json!({"metadata": {"labels": {"theirs": "1"}}}));
    settled(&world).await;
    assert_eq!(world.log.len(), quiet, "a label of others is theirs");
    world.merge(RUNTIME, &json!({"spec": {"replicas": 7}}));
    settled(&world).await;
    assert_eq!(replicas(&world), Some(1));
    world.delete(SPEC);
    settled(&world).await;
    assert!(world.get(SPEC).is_some());
    let drifts: Vec<bool> = world
        .log
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::DriftObserved { drift, .. } => Some(matches!(drift, Drift::Changed { .. })),
            _ => None,
        })
        .collect();
    assert_eq!(drifts, [true, false]);
    assert_eq!(
        world.get(RUNTIME).expect("a runtime")["metadata"]["labels"]["theirs"],
        "1",
        "the repair leaves it"
    );
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_appended_or_written_while_nothing_changes() {
    let (world, leader) = with_agent(&json!({})).await;
    for n in 1..100 {
        world.create(AGENTS, &agent(&format!("agent-{n:03}"), &json!({})));
    }
    settled(&world).await;
    let (records, writes) = (world.log.len(), world.writes().len());
    let requests = world.requests().len();
    // Longer than the resync interval, and than many watches.
    world.pass(Duration::from_secs(1_500)).await;
    assert_eq!((world.log.len(), world.writes().len()), (records, writes));
    let others: Vec<String> = world.requests()[requests..]
        .iter()
        .filter(|line| !line.starts_with("GET /api") || line.contains("/namespaces/"))
        .cloned()
        .collect();
    assert!(others.is_empty(), "only watches, and lists at a resync: {others:?}");
    let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
    let since = world.requests().split_off(requests);
    for line in &since {
        *by_kind.entry(line.split('?').next().unwrap_or(line)).or_default() += 1;
    }
    // A watch a minute and a list every ten, and one of each that was under way.
    let most = 1_500 / 60 + 1_500 / 600 + 2;
    assert!(by_kind.values().all(|count| *count <= most), "{by_kind:?}");
    let counted = world.signals.count(|signal| matches!(signal, Signal::EventAppended(_)));
    assert_eq!(counted, world.log.events().len(), "every event is counted once");
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_on_an_unchanged_cluster_appends_its_epoch_and_writes_nothing() {
    let (mut world, leader) = with_agent(&json!({})).await;
    assert_eq!(leader.stop().await, LeaderEnd::Stopped { settled: true });
    let (records, writes) = (world.log.len(), world.writes().len());
    let leader = world.lead();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.log.len(), records + 1);
    assert_eq!(world.writes().len(), writes, "{:#?}", &world.writes()[writes..]);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_nobody_led_is_seen() {
    let (mut world, leader) = with_agent(&json!({})).await;
    world.create(AGENTS, &agent("b", &json!({})));
    settled(&world).await;
    leader.stop().await;
    world.delete(&format!("{AGENTS}/a"));
    world.merge(&format!("{AGENTS}/b"), &json!({"spec": {"operatingMode": "Suspended"}}));
    world.delete("/api/v1/namespaces/team/configmaps/b-spec");
    let leader = world.lead();
    settled(&world).await;
    assert!(world.get(RUNTIME).is_none());
    let b = world.get("/apis/apps/v1/namespaces/team/deployments/b-runtime").expect("b runs");
    assert_eq!(b["spec"]["replicas"], 0);
    assert!(world.get("/api/v1/namespaces/team/configmaps/b-spec").is_some());
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn transient_failures_append_nothing_and_end_in_the_same_objects() {
    for fate in [
        Fate::Refused(429),
        Fate::Refused(500),
        Fate::Refused(503),
        Fate::Refused(409),
        Fate::AnswerLost,
        Fate::FailsAfter,
        Fate::Lost,
    ] {
        let mut world = World::new();
        let mut seen = std::collections::BTreeMap::<String, u32>::new();
        world.fate(move |request| {
            // The first two attempts at every object go wrong.
            let count = seen.entry(request.uri().path().to_owned()).or_default();
            *count += 1;
            if request.method() == "PATCH" && *count <= 2 { fate } else { Fate::Arrives }
        });
        let leader = world.lead();
        world.create(AGENTS, &agent("a", &json!({})));
        world.until("a running runtime", |w| replicas(w) == Some(1)).await;
        settled(&world).await;
        assert_eq!(decided(&world), 1, "{fate:?}");
        assert_eq!(outcomes(&world), 5, "{fate:?}");
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_at_any_write_the_successor_drives_only_what_has_no_outcome() {
    for crash_at in 1..=5 {
        let mut world = World::new();
        let mut writes = 0;
        world.fate(move |request| {
            writes += i32::from(request.method() == "PATCH");
            // From here on nothing comes back: the write lands, the leader never knows.
            match writes.cmp(&crash_at) {
                std::cmp::Ordering::Less => Fate::Arrives,
                std::cmp::Ordering::Equal if request.method() == "PATCH" => Fate::AnswerLost,
                _ => Fate::Lost,
            }
        });
        let leader = world.lead();
        world.create(AGENTS, &agent("a", &json!({})));
        world.pass(Duration::from_secs(10)).await;
        leader.kill().await;
        let done = outcomes_so_far(&world);
        let before = world.writes().len();
        world.fate(|_| Fate::Arrives);
        let leader = world.lead();
        world.until("a running runtime", |w| replicas(w) == Some(1)).await;
        settled(&world).await;
        assert_eq!(decided(&world), 1, "no second decision");
        assert_eq!(outcomes(&world), 5);
        let objects = world.writes()[before..]
            .iter()
            .filter(|write| write.changed && write.verb == "apply" && write.subresource.is_empty())
            .count();
        assert!(objects <= 5 - done, "{objects} writes for {} open actions", 5 - done);
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stamped_object_that_nothing_wants_is_deleted() {
    let (world, leader) = with_agent(&json!({})).await;
    let owner = world.get(&format!("{AGENTS}/a")).expect("an agent")["metadata"]["uid"].clone();
    // As a late create of a dead leader would leave it: stamped, owned, unknown to the log.
    let mut late = world.get(SPEC).expect("a config map");
    late["metadata"] = json!({
        "name": "a-late-spec", "namespace": "team",
        "labels": late["metadata"]["labels"],
        "annotations": late["metadata"]["annotations"],
        "ownerReferences": [{"apiVersion": "universe.ai/v1alpha1", "kind": "Agent", "name": "a", "uid": owner}],
        "resourceVersion": "1",
    });
    late["apiVersion"] = json!("v1");
    late["kind"] = json!("ConfigMap");
    let late_path = "/api/v1/namespaces/team/configmaps/a-late-spec";
    let created = world.as_operator(
        "PATCH",
        &format!("{late_path}?fieldManager=rynxs&force=true"),
        "application/apply-patch+yaml",
        &late,
    );
    assert_eq!(created.0, 201, "{created:?}");
    settled(&world).await;
    assert!(world.get(late_path).is_none());
    assert!(world.get(SPEC).is_some());
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_guard_closes_writes_nothing_more() {
    let mut world = World::new();
    let leader = world.lead();
    world.pass(Duration::from_secs(5)).await;
    leader.guard.close();
    let before = world.writes().len();
    world.create(AGENTS, &agent("a", &json!({})));
    assert_eq!(leader.end().await, LeaderEnd::LeadershipLost);
    assert_eq!(world.writes().len(), before);
    assert_eq!(world.signals.refusals(), [(RefusedBy::Guard, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn many_agents_need_no_more_requests_each_than_one() {
    const AGENTS_COUNT: usize = 200;
    let mut world = World::new();
    let leader = world.lead();
    world.pass(Duration::from_secs(1)).await;
    let before = world.requests().len();
    for n in 0..AGENTS_COUNT {
        world.create(AGENTS, &agent(&format!("agent-{n:03}"), &json!({})));
    }
    settled(&world).await;
    assert_eq!(outcomes(&world), 5 * AGENTS_COUNT);
    let requests = world.requests()[before..].to_vec();
    // Lists and watches name no namespace here; everything else is about one object.
    let about = requests.iter().filter(|line| line.contains("/namespaces/")).count();
    assert!(about <= 10 * AGENTS_COUNT, "{about} requests");
    let mut events = std::collections::BTreeMap::<_, usize>::new();
    for event in world.log.events().iter().skip(2) {
        *events.entry(event.kind()).or_default() += 1;
    }
    let expected = [
        ("ActionApplied", 5 * AGENTS_COUNT),
        ("ActionsDecided", AGENTS_COUNT),
        ("AgentObserved", AGENTS_COUNT),
        ("ChildObserved", AGENTS_COUNT),
    ];
    assert_eq!(events, expected.into(), "as docs/cost.md has them");
    let mut writes = std::collections::BTreeMap::<_, usize>::new();
    // A write that a controller's own came before is refused, and made again.
    for write in world.writes().into_iter().filter(|write| write.status_code < 300) {
        *writes.entry((write.kind, write.subresource)).or_default() += 1;
    }
    let mut take = |kind: &str, subresource: &str| {
        writes.remove(&(kind.to_owned(), subresource.to_owned())).unwrap_or_default()
    };
    for (kind, each) in
        [("ConfigMap", 1), ("NetworkPolicy", 1), ("PersistentVolumeClaim", 1), ("Deployment", 2)]
    {
        assert_eq!(take(kind, ""), each * AGENTS_COUNT, "{kind}: as docs/cost.md has it");
    }
    let statuses = take("Agent", "status");
    assert!((AGENTS_COUNT..=2 * AGENTS_COUNT).contains(&statuses), "{statuses} statuses");
    assert!(take("Event", "") <= AGENTS_COUNT);
    assert!(writes.is_empty(), "not in docs/cost.md: {writes:?}");
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_zombie_that_still_believes_itself_leader_is_fenced_and_harms_nothing() {
    let (mut world, zombie) = with_agent(&json!({})).await;
    // It keeps its open guard; the log alone knows better.
    let successor = world.lead();
    world.pass(Duration::from_secs(5)).await;
    let before = world.writes().len();
    world.merge(&format!("{AGENTS}/a"), &json!({"spec": {"operatingMode": "Suspended"}}));
    assert_eq!(zombie.end().await, LeaderEnd::Fenced);
    assert_eq!(world.signals.refusals().get(&RefusedBy::Log), Some(&1));
    settled(&world).await;
    assert_eq!(replicas(&world), Some(0));
    let epochs: Vec<u64> = world
        .log
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::EpochStarted { epoch, .. } => Some(epoch.0),
            _ => None,
        })
        .collect();
    let floor = epochs.last().copied().expect("an epoch");
    for write in &world.writes()[before..] {
        if let Some(stamp) = &write.stamp_sent {
            assert!(stamp.parse::<u64>().expect("a number") > floor, "{write:?}");
        }
    }
    outcomes(&world);
    successor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_held_write_of_an_old_term_is_refused_by_the_policy() {
    let (mut world, leader) = with_agent(&json!({})).await;
    let held = world.get(SPEC).expect("a config map");
    leader.stop().await;
    world.merge(&format!("{AGENTS}/a"), &json!({"spec": {"team": "red"}}));
    let leader = world.lead();
    settled(&world).await;
    let now = world.get(SPEC).expect("a config map");
    assert_ne!(now["metadata"]["annotations"], held["metadata"]["annotations"]);
    let send = |version: &Value| {
        let body = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "a-spec", "namespace": "team", "uid": held["metadata"]["uid"],
                "resourceVersion": version,
                "labels": held["metadata"]["labels"],
                "annotations": held["metadata"]["annotations"],
                "ownerReferences": held["metadata"]["ownerReferences"],
            },
            "data": held["data"],
        });
        let path = format!("{SPEC}?fieldManager=rynxs&force=true");
        world.as_operator("PATCH", &path, "application/apply-patch+yaml", &body)
    };
    let (code, _) = send(&held["metadata"]["resourceVersion"]);
    assert_eq!(code, 409, "as it was sent");
    let (code, answer) = send(&now["metadata"]["resourceVersion"]);
    assert_eq!(code, 403, "with the living version: {answer}");
    assert!(answer["message"].as_str().is_some_and(|m| m.contains("stale stamp")), "{answer}");
    assert_eq!(world.get(SPEC).expect("a config map")["data"], now["data"]);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_in_the_middle_records_what_was_under_way() {
    for after_ms in [3, 5, 8, 11, 14] {
        let mut world = World::new();
        let leader = world.lead();
        world.pass(Duration::from_secs(2)).await;
        world.create(AGENTS, &agent("a", &json!({})));
        world.pass(Duration::from_millis(after_ms)).await;
        assert_eq!(leader.stop().await, LeaderEnd::Stopped { settled: true });
        let applied =
            world.writes().iter().filter(|w| w.verb == "apply" && w.subresource.is_empty()).count();
        assert_eq!(outcomes_so_far(&world), applied, "every write has its outcome");
        let writes = world.writes().len();
        world.pass(Duration::from_secs(30)).await;
        assert_eq!(world.writes().len(), writes, "nothing is written after the end");
        let leader = world.lead();
        settled(&world).await;
        assert_eq!((outcomes(&world), decided(&world)), (5, 1));
        leader.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_lost_its_end_is_noticed_before_anything_is_written() {
    let (mut world, leader) = with_agent(&json!({})).await;
    leader.stop().await;
    world.log.cut(2);
    let writes = world.writes().len();
    let leader = world.lead();
    assert!(matches!(leader.end().await, LeaderEnd::Config(why) if why.contains("stamp")));
    assert_eq!(world.writes().len(), writes);
}

#[tokio::test(start_paused = true)]
async fn a_term_lost_across_a_write_is_counted_and_its_outcome_left_to_the_successor() {
    let mut world = World::new();
    let leader = world.lead();
    world.pass(Duration::from_secs(2)).await;
    let guard = leader.guard.clone();
    world.fate(move |request| {
        if request.uri().path().ends_with("a-workspace") {
            guard.close();
        }
        Fate::Arrives
    });
    world.create(AGENTS, &agent("a", &json!({})));
    assert_eq!(leader.end().await, LeaderEnd::LeadershipLost);
    assert!(world.get(CLAIM).is_some(), "the write landed");
    assert_eq!(outcomes_so_far(&world), 2, "its outcome is not told");
    let lost = |signal: &Signal| matches!(signal, Signal::TermLostAcrossWrite);
    assert_eq!(world.signals.count(lost), 1);
    world.fate(|_| Fate::Arrives);
    let leader = world.lead();
    settled(&world).await;
    assert_eq!((outcomes(&world), decided(&world)), (5, 1));
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stamp_that_the_log_does_not_hold_halts_the_leader() {
    let (world, leader) = with_agent(&json!({})).await;
    apply_spec(&world, 999_999, &log_id(&world));
    let end = leader.end().await;
    assert!(matches!(&end, LeaderEnd::Halted(why) if why.contains("999999")), "{end:?}");
    assert_eq!(world.signals.refusals(), [].into(), "it was seen before anything was sent");
    assert_eq!(world.get(SPEC).expect("untouched")["data"], json!({"from": "elsewhere"}));
}

#[tokio::test(start_paused = true)]
async fn an_object_of_another_installation_is_left_alone_and_named() {
    let mut world = World::new();
    let leader = world.lead();
    world.pass(Duration::from_secs(5)).await;
    apply_spec(&world, 7, "ffffffffffffffffffffffffffffffff");
    world.create(AGENTS, &agent("a", &json!({})));
    settled(&world).await;
    assert_eq!(world.get(SPEC).expect("theirs")["data"], json!({"from": "elsewhere"}));
    let foreign = |event: &&Event| {
        matches!(event, Event::ActionFailed { reason: FailureReason::ForeignLog, .. })
    };
    assert_eq!(world.log.events().iter().filter(foreign).count(), 1);
    let status = world.get(&format!("{AGENTS}/a")).expect("an agent")["status"].to_string();
    assert!(status.contains("ForeignLog"), "{status}");
    outcomes(&world);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_write_arrives_before_the_log_holds_what_it_rests_on() {
    let mut world = World::new();
    world.log.delay(150);
    let log = world.log.clone();
    let checked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = checked.clone();
    world.fate(move |request| {
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let stamp = body["metadata"]["annotations"]["rynxs.universe.ai/stamp"].as_str();
        if let Some(stamp) = stamp {
            let seq = stamp.parse::<u64>().expect("a number");
            assert!(log.holds(seq), "decision {seq} is not in the log yet");
            if body["spec"]["replicas"] == 1 {
                let uid = body["metadata"]["uid"].as_str().expect("an incarnation").to_owned();
                let known = log.events().into_iter().any(|event| {
                    matches!(event, Event::ActionApplied { uid: written, .. } if written.0 == uid)
                });
                assert!(known, "what runs is not in the log yet");
            }
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        Fate::Arrives
    });
    let leader = world.lead();
    world.create(AGENTS, &agent("a", &json!({})));
    world.until("a running runtime", |w| replicas(w) == Some(1)).await;
    assert_eq!(checked.load(std::sync::atomic::Ordering::Relaxed), 5);
    leader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_edit_during_a_write_waits_for_its_outcome() {
    let (world, leader) = with_agent(&json!({})).await;
    world.fate(|request| if request.method() == "PATCH" { Fate::Late(300) } else { Fate::Arrives });
    for n in 0..12 {
        let mode = if n % 2 == 0 { "Suspended" } else { "Running" };
        let team = format!("team-{n}");
        let patch = json!({"spec": {"operatingMode": mode, "team": team}});
        world.merge(&format!("{AGENTS}/a"), &patch);
        world.pass(Duration::from_millis(170)).await;
    }
    settled(&world).await;
    assert_eq!(replicas(&world), Some(1));
    let landed = world.writes().into_iter().filter(|write| {
        write.verb == "apply" && write.subresource.is_empty() && write.status_code < 300
    });
    assert_eq!(outcomes_so_far(&world), landed.count(), "every write has its outcome in the log");
    outcomes(&world);
    leader.stop().await;
}
