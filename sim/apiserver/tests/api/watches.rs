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
