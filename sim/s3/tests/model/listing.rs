//! Listings through the client's own paginator.

use crate::client::{BUCKET, code, put, simple};

#[tokio::test]
async fn two_thousand_five_hundred_keys_come_in_three_sorted_pages() {
    let (_, client, _) = simple();
    for seq in 0..2500 {
        put(&client, &format!("events/{seq:010}.json"), b"x").await.unwrap();
    }
    put(&client, "other/key", b"x").await.unwrap();
    let list = client.list_objects_v2().bucket(BUCKET).prefix("events/");
    let mut pages = list.into_paginator().send();
    let (mut sizes, mut keys) = (Vec::new(), Vec::new());
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert_eq!(page.key_count(), Some(i32::try_from(page.contents().len()).unwrap()));
        sizes.push(page.contents().len());
        keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
    }
    assert_eq!(sizes, [1000, 1000, 500]);
    let wanted: Vec<_> = (0..2500).map(|seq| format!("events/{seq:010}.json")).collect();
    assert_eq!(keys, wanted);
}

#[tokio::test]
async fn first_key_after_is_exact() {
    let (_, client, _) = simple();
    for key in ["events/0000000000.json", "events/0000000001.json", "events/x", "events2/0"] {
        put(&client, key, b"x").await.unwrap();
    }
    for (after, wanted) in [
        ("events/0000000000.json", Some("events/0000000001.json")),
        ("events/0000000001.json", Some("events/x")),
        ("events/x", None),
        ("", Some("events/0000000000.json")),
    ] {
        let list = client.list_objects_v2().bucket(BUCKET).prefix("events/").max_keys(1);
        let list = list.start_after(after).send().await.unwrap();
        assert_eq!(list.contents().first().and_then(|object| object.key()), wanted, "{after}");
    }
}

#[tokio::test]
async fn delimiter_rolls_keys_up_in_both_versions_of_the_call() {
    let (_, client, _) = simple();
    for key in ["a/1", "a/2", "b", "c/1"] {
        put(&client, key, b"x").await.unwrap();
    }
    let two = client.list_objects_v2().bucket(BUCKET).delimiter("/").send().await.unwrap();
    let prefixes = |all: &[aws_sdk_s3::types::CommonPrefix]| -> Vec<String> {
        all.iter().map(|prefix| prefix.prefix().unwrap().to_owned()).collect()
    };
    assert_eq!(prefixes(two.common_prefixes()), ["a/", "c/"]);
    assert_eq!(two.contents().len(), 1);
    let one = client.list_objects().bucket(BUCKET).delimiter("/").max_keys(1).send().await.unwrap();
    assert_eq!(prefixes(one.common_prefixes()), ["a/"]);
    let next = client.list_objects().bucket(BUCKET).delimiter("/");
    let next = next.marker(one.next_marker().unwrap()).send().await.unwrap();
    assert_eq!(prefixes(next.common_prefixes()), ["c/"]);
    assert_eq!(next.contents()[0].key(), Some("b"));
}

#[tokio::test]
async fn wrong_token_and_wrong_limit_are_refused() {
    let (_, client, _) = simple();
    let list = client.list_objects_v2().bucket(BUCKET);
    let wrong = list.clone().continuation_token("???").send().await.unwrap_err();
    assert_eq!(code(wrong), "InvalidArgument");
    assert_eq!(code(list.clone().max_keys(-1).send().await.unwrap_err()), "InvalidArgument");
    let none = list.max_keys(0).send().await.unwrap();
    assert!(none.contents().is_empty());
    assert_eq!(none.is_truncated(), Some(false));
}
