//! Properties of random histories.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{CONFIG_MAPS, World, config_map};

/// One step of a history over few names and few fields, so that steps meet.
#[derive(Clone, Debug)]
enum Op {
    Apply { manager: u8, name: u8, data: BTreeMap<u8, u8>, force: bool },
    Merge { name: u8, key: u8, value: Option<u8> },
    Label { name: u8, on: bool },
    Delete { name: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    let data = prop::collection::btree_map(0..4_u8, 0..3_u8, 0..4);
    prop_oneof![
        4 => (0..3_u8, 0..3_u8, data, any::<bool>())
            .prop_map(|(manager, name, data, force)| Op::Apply { manager, name, data, force }),
        2 => (0..3_u8, 0..4_u8, prop::option::of(0..3_u8))
            .prop_map(|(name, key, value)| Op::Merge { name, key, value }),
        1 => (0..3_u8, any::<bool>()).prop_map(|(name, on)| Op::Label { name, on }),
        1 => (0..3_u8).prop_map(|name| Op::Delete { name }),
    ]
}

fn path(name: u8) -> String {
    format!("{CONFIG_MAPS}/n{name}")
}

fn data(fields: &BTreeMap<u8, u8>) -> Value {
    fields.iter().map(|(k, v)| (format!("k{k}"), json!(v.to_string()))).collect()
}

fn run(world: &World, op: &Op) {
    match op {
        Op::Apply { manager, name, data: fields, force } => {
            let path = format!("{}?fieldManager=m{manager}&force={force}", path(*name));
            let body = config_map(&format!("n{name}"), data(fields));
            let method = http::Method::PATCH;
            let answer = world.request("", method, &path, crate::world::APPLY, Some(body));
            assert!(matches!(answer.code, 200 | 201 | 409), "{}", answer.body);
        }
        Op::Merge { name, key, value } => {
            let value = value.map_or(Value::Null, |v| json!(v.to_string()));
            let body = json!({"data": {format!("k{key}"): value}});
            assert!(matches!(world.merge(&path(*name), body).code, 200 | 404));
        }
        Op::Label { name, on } => {
            let value = if *on { json!("yes") } else { Value::Null };
            let body = json!({"metadata": {"labels": {"on": value}}});
            assert!(matches!(world.merge(&path(*name), body).code, 200 | 404));
        }
        Op::Delete { name } => {
            assert!(matches!(world.delete(&path(*name), None).code, 200 | 404));
        }
    }
}

/// Objects of a list by name, without what only lists leave out.
fn listed(world: &World, query: &str) -> (String, BTreeMap<String, Value>) {
    let list = world.get(&format!("{CONFIG_MAPS}?{query}")).expect(200);
    let rv = list.text("/metadata/resourceVersion").to_owned();
    let items = list.body["items"].as_array().cloned().unwrap_or_default();
    let by_name = items.into_iter().map(|mut item| {
        item["apiVersion"] = json!("v1");
        item["kind"] = json!("ConfigMap");
        (item["metadata"]["name"].as_str().unwrap_or_default().to_owned(), item)
    });
    (rv, by_name.collect())
}

/// Applies the events of a watch to a list's objects.
fn replay(objects: &mut BTreeMap<String, Value>, events: Vec<Option<Value>>) {
    let mut last = 0;
    for event in events {
        let event = event.expect("the watch goes on");
        let object = event["object"].clone();
        let rv = object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse().ok());
        let rv: u64 = rv.expect("a version");
        assert!(rv > last, "events come in order");
        last = rv;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap_or_default() {
            "ADDED" => assert!(objects.insert(name, object).is_none(), "{event}"),
            "MODIFIED" => assert!(objects.insert(name, object).is_some(), "{event}"),
            "DELETED" => assert!(objects.remove(&name).is_some(), "{event}"),
            other => panic!("{other}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_list_and_the_events_after_it_are_the_state(
        before in prop::collection::vec(op(), 0..12),
        after in prop::collection::vec(op(), 0..12),
        selected in any::<bool>(),
    ) {
        let world = World::new();
        let query = if selected { "labelSelector=on%3Dyes" } else { "" };
        before.iter().for_each(|op| run(&world, op));
        let (rv, mut objects) = listed(&world, query);
        after.iter().for_each(|op| run(&world, op));
        let mut watch =
            world.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={rv}&{query}"));
        replay(&mut objects, watch.drain());
        prop_assert_eq!(&objects, &listed(&world, query).1);
        // A list at the older version is what it was then.
        let exact = format!("{query}&resourceVersion={rv}&resourceVersionMatch=Exact");
        let mut again = listed(&world, &exact).1;
        let mut watch =
            world.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion={rv}&{query}"));
        replay(&mut again, watch.drain());
        prop_assert_eq!(again, objects);
    }

    #[test]
    fn pages_are_one_consistent_list(
        before in prop::collection::vec(op(), 0..12),
        between in prop::collection::vec(op(), 0..6),
    ) {
        let world = World::new();
        before.iter().for_each(|op| run(&world, op));
        let (_, whole) = listed(&world, "");
        let mut paged = BTreeMap::new();
        let mut next = String::new();
        loop {
            let list = world.get(&format!("{CONFIG_MAPS}?limit=1&continue={next}")).expect(200);
            for item in list.body["items"].as_array().cloned().unwrap_or_default() {
                let name = item["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                prop_assert_eq!(item["metadata"]["uid"].clone(), whole[&name]["metadata"]["uid"].clone());
                paged.insert(name, item["data"].clone());
            }
            between.iter().for_each(|op| run(&world, op));
            next = list.text("/metadata/continue").to_owned();
            if next.is_empty() {
                break;
            }
        }
        let expected: BTreeMap<_, _> =
            whole.into_iter().map(|(name, item)| (name, item["data"].clone())).collect();
        prop_assert_eq!(paged, expected);
    }

    #[test]
    fn an_apply_twice_is_an_apply_once(
        before in prop::collection::vec(op(), 0..12),
        fields in prop::collection::btree_map(0..4_u8, 0..3_u8, 0..4),
    ) {
        let world = World::new();
        before.iter().for_each(|op| run(&world, op));
        let mut body = config_map("n0", data(&fields));
        if fields.is_empty() {
            // An empty map is owned though it is not stored, so each apply takes it anew.
            body.as_object_mut().expect("an object").remove("data");
        }
        let once = world.apply("m0", &path(0), body.clone());
        world.wait(5_000);
        let twice = world.apply("m0", &path(0), body).expect(200);
        prop_assert_eq!(once.body, twice.body);
    }

    #[test]
    fn a_field_that_is_no_longer_applied_stays_exactly_if_another_owns_it(
        before in prop::collection::vec(op(), 0..16),
        kept in prop::collection::btree_map(0..4_u8, 0..3_u8, 0..4),
    ) {
        let world = World::new();
        before.iter().for_each(|op| run(&world, op));
        world.apply("m0", &path(0), config_map("n0", json!({"k0": "1", "k1": "1"})));
        let shared = world.get(&path(0)).expect(200).body;
        let owned_by_others = |key: &str| {
            let entries = shared["metadata"]["managedFields"].as_array().cloned();
            entries.unwrap_or_default().iter().any(|e| {
                let mine = e["manager"] == "m0" && e["operation"] == "Apply";
                !mine && !e["fieldsV1"]["f:data"][format!("f:{key}")].is_null()
            })
        };
        let wanted = data(&kept);
        let after = world.apply("m0", &path(0), config_map("n0", wanted.clone())).expect(200);
        for key in ["k0", "k1"] {
            let stays = !wanted[key].is_null() || owned_by_others(key);
            prop_assert_eq!(!after.body["data"][key].is_null(), stays, "{}", key);
        }
    }

    #[test]
    fn equal_histories_give_equal_bytes(ops in prop::collection::vec(op(), 0..24)) {
        let dump = || {
            let world = World::new();
            ops.iter().for_each(|op| run(&world, op));
            (world.get(CONFIG_MAPS).body, world.server.history())
        };
        prop_assert_eq!(dump(), dump());
    }
}
