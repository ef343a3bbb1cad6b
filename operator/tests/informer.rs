//! The reflector against scripted servers: every way in which a list or a watch can go wrong ends
//! with a cache that equals the cluster.
#![allow(missing_docs, reason = "tests are named by their claims")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rynxs_core::ids::{Hash, Kind, ObjectRef};
use rynxs_operator::informer::{Cache, Reflector};
use rynxs_operator::kube::{KubeClient, Selection};
use rynxs_operator::observe::Silent;
use serde_json::{Value, json};
use support::{Reply, Script, ports};

fn agent(name: &str, version: u64) -> Value {
    json!({"metadata": {
        "name": name, "namespace": "n", "uid": format!("uid-{name}"),
        "resourceVersion": version.to_string(), "generation": 1
    }})
}

fn list(version: u64, items: &[Value], next: &str) -> Reply {
    let body = json!({
        "metadata": {"resourceVersion": version.to_string(), "continue": next},
        "items": items,
    });
    Reply::Json(200, body.to_string())
}

fn event(r#type: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": r#type, "object": object}))
}

fn gone() -> Reply {
    Reply::Json(410, json!({"kind": "Status", "code": 410, "reason": "Expired"}).to_string())
}

/// Runs one reflector of Agents for `span` of virtual time; returns what the cache has and what was
/// asked.
async fn run(script: Vec<Reply>, span: Duration) -> (Vec<String>, Vec<String>) {
    let network = Script::new(script);
    let observer = Arc::new(Silent);
    let ports = ports(Arc::new(network.clone()), 1);
    let client = KubeClient::new(ports, observer.clone(), Duration::from_secs(5));
    let cache = Cache::new(|_, _| Hash::ZERO, observer);
    let selection = Selection { kind: Kind::Agent, namespace: None };
    let reflector = Reflector::new(client, cache.clone(), selection, RESYNC).run();
    let timeout = tokio::time::timeout(span, reflector).await;
    assert!(timeout.is_err(), "a reflector never ends");
    let names = cache.with(|entries| {
        entries.iter().map(|(object, e)| format!("{}@{}", object.key.name, e.version)).collect()
    });
    (names, network.seen())
}

const RESYNC: Duration = Duration::from_secs(100);
const LIST: &str = "GET /apis/universe.ai/v1alpha1/agents?&limit=500";

fn watch_from(version: u64) -> String {
    format!(
        "GET /apis/universe.ai/v1alpha1/agents?&watch=true&timeoutSeconds=60\
         &allowWatchBookmarks=true&resourceVersion={version}"
    )
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_page_by_page_and_the_watch_continues_from_it() {
    let (names, seen) = run(
        vec![
            list(7, &[agent("a", 3)], "token"),
            list(7, &[agent("b", 5)], ""),
            Reply::Watch(vec![event("ADDED", &agent("c", 9))]),
        ],
        Duration::from_secs(5),
    )
    .await;
    assert_eq!(names, ["a@3", "b@5", "c@9"]);
    assert_eq!(seen[0], LIST);
    assert!(seen[1].contains("continue=token"), "{}", seen[1]);
    assert_eq!(seen[2], watch_from(7));
}

#[tokio::test(start_paused = true)]
async fn an_expired_watch_leads_to_a_new_list_that_shows_what_was_missed() {
    for expired in
        [gone(), Reply::Watch(vec![event("ERROR", &json!({"code": 410, "reason": "Expired"}))])]
    {
        let (names, seen) = run(
            vec![
                list(7, &[agent("a", 3), agent("b", 5)], ""),
                expired,
                list(20, &[agent("b", 15)], ""),
            ],
            Duration::from_secs(2),
        )
        .await;
        assert_eq!(names, ["b@15"]);
        assert_eq!(seen[2], LIST);
        assert_eq!(seen[3], watch_from(20));
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_leads_to_a_new_list_instead_of_hiding_what_follows() {
    let nameless = event("MODIFIED", &json!({"metadata": {"resourceVersion": "12"}}));
    let endless = "x".repeat(5 << 20);
    for poison in [nameless, "{\"type\":\"ADDED\",\"obj\n".to_owned(), endless] {
        let (names, seen) = run(
            vec![
                list(7, &[agent("a", 3)], ""),
                Reply::Watch(vec![event("ADDED", &agent("b", 9)), poison]),
                list(20, &[agent("a", 3), agent("b", 15)], ""),
                Reply::Watch(vec![event("ADDED", &agent("c", 21))]),
            ],
            Duration::from_secs(5),
        )
        .await;
        assert_eq!(names, ["a@3", "b@15", "c@21"]);
        assert_eq!(seen[2..], [LIST.to_owned(), watch_from(20)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_watches_can_never_be_read_is_asked_for_lists_with_growing_waits() {
    let poisoned = || Reply::Watch(vec!["{}\n".to_owned()]);
    let script = (0..1_000).flat_map(|_| [list(7, &[], ""), poisoned()]).collect();
    let (_, seen) = run(script, Duration::from_secs(60)).await;
    assert!((4..20).contains(&seen.len()), "{} requests in a minute", seen.len());
}

#[tokio::test(start_paused = true)]
async fn what_a_watch_never_told_is_seen_by_the_list_of_the_next_resync() {
    let (names, seen) = run(
        vec![
            list(7, &[agent("a", 3), agent("b", 5)], ""),
            Reply::Watch(Vec::new()),
            Reply::Watch(Vec::new()),
            list(20, &[agent("b", 5)], ""),
            Reply::Watch(Vec::new()),
        ],
        RESYNC + Duration::from_secs(1),
    )
    .await;
    assert_eq!(names, ["b@5"]);
    assert_eq!(seen[3..], [LIST.to_owned(), watch_from(20)]);
}

#[tokio::test(start_paused = true)]
async fn a_resync_that_fails_leaves_the_watch_where_it_was() {
    let (names, seen) = run(
        vec![
            list(7, &[agent("a", 3)], ""),
            Reply::Watch(Vec::new()),
            Reply::Watch(Vec::new()),
            Reply::Json(500, "oops".to_owned()),
            Reply::Watch(vec![event("ADDED", &agent("b", 9))]),
            list(20, &[agent("b", 9)], ""),
            Reply::Watch(Vec::new()),
        ],
        RESYNC + Duration::from_secs(40),
    )
    .await;
    assert_eq!(names, ["b@9"]);
    assert_eq!(seen[3..], [LIST.to_owned(), watch_from(7), LIST.to_owned(), watch_from(20)]);
}

#[tokio::test(start_paused = true)]
async fn a_list_with_an_object_that_cannot_be_read_does_not_make_it_absent() {
    let nameless = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u"}});
    let (names, seen) = run(
        vec![
            list(7, &[agent("a", 3)], ""),
            Reply::Watch(Vec::new()),
            Reply::Watch(Vec::new()),
            list(20, &[nameless], ""),
            Reply::Watch(Vec::new()),
        ],
        RESYNC + Duration::from_secs(1),
    )
    .await;
    assert_eq!(names, ["a@3"]);
    assert_eq!(seen[4], watch_from(7));
}

#[tokio::test(start_paused = true)]
async fn a_continuation_that_expires_starts_the_list_over() {
    let (names, seen) = run(
        vec![list(7, &[agent("a", 3)], "token"), gone(), list(9, &[agent("b", 8)], "")],
        Duration::from_secs(2),
    )
    .await;
    assert_eq!(names, ["b@8"], "a list pieced together from two points in time is not consistent");
    assert_eq!(seen[2], LIST);
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_is_opened_again_where_it_broke() {
    let bookmark = event("BOOKMARK", &json!({"metadata": {"resourceVersion": "30"}}));
    let (names, seen) = run(
        vec![
            list(7, &[], ""),
            Reply::WatchBreaks(vec![event("ADDED", &agent("a", 12)), bookmark]),
            Reply::Watch(vec![event("DELETED", &agent("a", 31))]),
        ],
        Duration::from_secs(10),
    )
    .await;
    assert!(names.is_empty());
    assert_eq!(seen[2], watch_from(30));
}

#[tokio::test(start_paused = true)]
async fn repeated_and_old_events_bring_nothing_back() {
    let (names, _) = run(
        vec![
            list(7, &[agent("a", 3)], ""),
            Reply::Watch(vec![
                event("DELETED", &agent("a", 9)),
                event("ADDED", &agent("a", 3)),
                event("MODIFIED", &agent("b", 12)),
                event("MODIFIED", &agent("b", 11)),
            ]),
        ],
        Duration::from_secs(2),
    )
    .await;
    assert_eq!(names, ["b@12"]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_watch_is_given_up_after_its_time() {
    let (_, seen) =
        run(vec![list(7, &[], ""), Reply::Watch(Vec::new())], Duration::from_secs(70)).await;
    assert_eq!(seen, [LIST.to_owned(), watch_from(7), watch_from(7)]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_every_watch_at_once_is_not_asked_in_a_busy_loop() {
    let script = std::iter::once(list(7, &[], ""))
        .chain((0..1_000).map(|_| Reply::WatchEnds(Vec::new())))
        .collect();
    let (_, seen) = run(script, Duration::from_secs(60)).await;
    assert!((4..20).contains(&seen.len()), "{} requests in a minute", seen.len());
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_server_is_asked_again_with_growing_waits() {
    let script = vec![
        Reply::Broken,
        Reply::Silence,
        Reply::Json(429, json!({"details": {"retryAfterSeconds": 20}}).to_string()),
        Reply::Json(500, "oops".to_owned()),
        list(7, &[agent("a", 3)], ""),
        Reply::Watch(Vec::new()),
    ];
    let (names, seen) = run(script, Duration::from_secs(45)).await;
    assert_eq!(names, ["a@3"]);
    assert_eq!(seen.iter().filter(|request| *request == LIST).count(), 5);
}

#[tokio::test(start_paused = true)]
async fn two_reads_of_one_object_agree_on_its_key() {
    let cache = Cache::new(|_, _| Hash::ZERO, Arc::new(Silent));
    let (object, _) = cache.read(Kind::Agent, &agent("a", 3)).expect("a stored object");
    assert_eq!(object, ObjectRef::new(Kind::Agent, "n", "a"));
}
