//! Watches deliver what happened, once, in order.

use serde_json::json;

use crate::world::{CONFIG_MAPS, World, config_map};

#[test]
fn a_watch_from_a_list_sees_every_later_change() {
    let world = World::new();
    world.post(CONFIG_MAPS, config_map("a", json!({}))).expect(201);
    let rv = world.get(CONFIG_MAPS).rv();
    world.post(CONFIG_MAPS, config_map("b", json!({}))).expect(201);
    let mut watch = world.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={rv}"));
    assert_eq!(watch.names(), ["ADDED b"]);
    world.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"k": "1"}})).expect(200);
    world.delete(&format!("{CONFIG_MAPS}/b"), None).expect(200);
    assert_eq!(watch.names(), ["MODIFIED a", "DELETED b"]);
    let mut all = world.watch(&format!("{CONFIG_MAPS}?watch=true"));
    assert_eq!(all.names(), ["ADDED a"]);
}

#[test]
fn a_label_that_comes_or_goes_is_an_arrival_or_a_departure() {
    let world = World::new();
    world.post(CONFIG_MAPS, config_map("a", json!({}))).expect(201);
    let mut watch = world.watch(&format!("{CONFIG_MAPS}?watch=true&labelSelector=on%3Dyes"));
    let path = format!("{CONFIG_MAPS}/a");
    world.merge(&path, json!({"metadata": {"labels": {"on": "yes"}}})).expect(200);
    world.merge(&path, json!({"data": {"k": "1"}})).expect(200);
    world.merge(&path, json!({"metadata": {"labels": {"on": "no"}}})).expect(200);
    world.merge(&path, json!({"data": {"k": "2"}})).expect(200);
    assert_eq!(watch.names(), ["ADDED a", "MODIFIED a", "DELETED a"]);
}

#[test]
fn history_that_is_gone_is_answered_expired() {
    let world = World::new();
    let rv = world.post(CONFIG_MAPS, config_map("a", json!({}))).expect(201).rv();
    world.post(CONFIG_MAPS, config_map("b", json!({}))).expect(201);
    world.server.compact();
    let mut watch = world.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={rv}"));
    let events = watch.drain();
    let error = events[0].as_ref().expect("an event");
    assert_eq!((&error["type"], &error["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(error["object"]["reason"], "Expired");
    assert_eq!(events.len(), 2, "the stream ends after it");
}

#[test]
fn bookmarks_come_by_time_and_the_deadline_ends_a_watch() {
    let world = World::new();
    let mut watch = world
        .watch(&format!("{CONFIG_MAPS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=90"));
    assert!(watch.names().is_empty());
    world.pass(61_000);
    let events = watch.drain();
    let bookmark = events[0].as_ref().expect("an event");
    assert_eq!(bookmark["type"], "BOOKMARK");
    let rv = world.get(CONFIG_MAPS).rv();
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], json!(rv.to_string()));
    world.pass(30_000);
    assert_eq!(watch.names().last().map(String::as_str), Some("end"));
}

#[test]
fn a_lagging_server_shows_the_past_to_watches_and_cached_lists_only() {
    let world = World::new();
    world.post(CONFIG_MAPS, config_map("a", json!({}))).expect(201);
    let lagging = world.behind(world.server.view(1));
    let mut watch = lagging.watch(&format!("{CONFIG_MAPS}?watch=true"));
    assert_eq!(watch.names(), ["ADDED a"]);
    lagging.server.hold();
    world.post(CONFIG_MAPS, config_map("b", json!({}))).expect(201);
    world.delete(&format!("{CONFIG_MAPS}/a"), None).expect(200);
    assert!(watch.names().is_empty());
    let names = |query: &str| {
        let list = lagging.get(&format!("{CONFIG_MAPS}{query}")).expect(200);
        let items = list.body["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|i| i["metadata"]["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("?resourceVersion=0"), ["a"]);
    assert_eq!(names(""), ["b"], "a consistent list is never stale");
    lagging.get(&format!("{CONFIG_MAPS}/a")).expect(404);
    let mut late = lagging.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion=0"));
    assert_eq!(late.names(), ["ADDED a"]);
    lagging.server.advance_by(1);
    assert_eq!(watch.names(), ["ADDED b"]);
    lagging.server.release();
    assert_eq!(watch.names(), ["DELETED a"]);
    assert_eq!(late.names(), ["ADDED b", "DELETED a"]);
}

#[test]
fn initial_events_end_with_a_marked_bookmark() {
    let world = World::new();
    world.post(CONFIG_MAPS, config_map("a", json!({}))).expect(201);
    let query = "watch=true&sendInitialEvents=true&allowWatchBookmarks=true";
    world.get(&format!("{CONFIG_MAPS}?{query}")).refused(
        422,
        "Invalid",
        "requires setting resourceVersionMatch to NotOlderThan",
    );
    let path = format!("{CONFIG_MAPS}?{query}&resourceVersionMatch=NotOlderThan");
    let events = world.watch(&path).drain();
    let kinds: Vec<_> =
        events.iter().flatten().map(|e| e["type"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["ADDED", "BOOKMARK"]);
    let bookmark = events[1].as_ref().expect("an event");
    let end = &bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"];
    assert_eq!(end, "true");
}

#[test]
fn a_waiting_watch_is_woken_by_a_write() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Count(AtomicUsize);
    impl futures::task::ArcWake for Count {
        fn wake_by_ref(this: &Arc<Self>) {
            this.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let world = World::new();
    let mut watch = world.watch(&format!("{CONFIG_MAPS}?watch=true"));
    let count = Arc::new(Count(AtomicUsize::new(0)));
    watch.poll_with(&futures::task::waker(Arc::clone(&count)));
    world.post("/api/v1/namespaces", json!({"metadata": {"name": "x"}})).expect(201);
    assert_eq!(count.0.load(Ordering::SeqCst), 0, "not by a write of another kind");
    world.post(CONFIG_MAPS, config_map("a", json!({}))).expect(201);
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
}
