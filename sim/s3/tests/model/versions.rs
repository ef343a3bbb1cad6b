//! Versions, delete markers, and what they do to put-if-absent.

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use rynxs_s3::{BucketOptions, Identity, Options, S3Model, Write};

use crate::client::{BUCKET, Clock, code, get, put, put_absent, with};

fn versioned() -> (S3Model, Client, Clock) {
    with(Options {
        identities: vec![Identity::root("root", "root-secret")],
        buckets: vec![BucketOptions { versioned: true, ..BucketOptions::new(BUCKET) }],
        ..Options::default()
    })
}

/// Key, version, whether the newest; versions then markers.
async fn list(client: &Client, max: i32) -> (Vec<(String, String, bool)>, usize) {
    let (mut versions, mut markers) = (Vec::new(), 0);
    let (mut key, mut id) = (None, None);
    loop {
        let list = client.list_object_versions().bucket(BUCKET).max_keys(max);
        let page = list.set_key_marker(key).set_version_id_marker(id).send().await.unwrap();
        markers += page.delete_markers().len();
        for version in page.versions() {
            versions.push((
                version.key().unwrap().to_owned(),
                version.version_id().unwrap().to_owned(),
                version.is_latest().unwrap(),
            ));
        }
        if page.is_truncated() != Some(true) {
            return (versions, markers);
        }
        key = page.next_key_marker().map(str::to_owned);
        id = page.next_version_id_marker().map(str::to_owned);
    }
}

#[tokio::test]
async fn marker_reopens_the_key_and_the_listing_of_versions_shows_it() {
    let (model, client, _) = versioned();
    put_absent(&client, "k", b"first").await.unwrap();
    assert_eq!(put_absent(&client, "k", b"no").await, Err("PreconditionFailed".to_owned()));
    let deleted = client.delete_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(deleted.delete_marker(), Some(true));
    assert_eq!(get(&client, "k").await, Err("NoSuchKey".to_owned()));
    put_absent(&client, "k", b"second").await.unwrap();
    assert_eq!(get(&client, "k").await.unwrap(), b"second");
    let writes: Vec<_> = model.history().into_iter().map(|attempt| attempt.write).collect();
    assert_eq!(writes, [Write::Put, Write::Put, Write::Delete, Write::Put]);

    for max in 1..=4 {
        let (versions, markers) = list(&client, max).await;
        let latest: Vec<_> = versions.iter().map(|(_, _, latest)| *latest).collect();
        assert_eq!((latest, markers), (vec![true, false], 1), "pages of {max}");
    }
}

#[tokio::test]
async fn old_versions_are_read_and_removed_by_id() {
    let (_, client, _) = versioned();
    let first = put(&client, "k", b"first").await.unwrap();
    let second = put(&client, "k", b"second").await.unwrap();
    assert_ne!(first, second);
    let old = client.get_object().bucket(BUCKET).key("k").version_id(&first).send().await.unwrap();
    assert_eq!(old.body.collect().await.unwrap().to_vec(), b"first");
    client.delete_object().bucket(BUCKET).key("k").version_id(&second).send().await.unwrap();
    assert_eq!(get(&client, "k").await.unwrap(), b"first");
    let gone = client.get_object().bucket(BUCKET).key("k").version_id(&second).send().await;
    assert_eq!(code(gone.unwrap_err()), "NoSuchVersion");
}

#[tokio::test]
async fn removing_a_marker_brings_the_object_back() {
    let (_, client, _) = versioned();
    put(&client, "k", b"first").await.unwrap();
    let marker = client.delete_object().bucket(BUCKET).key("k").send().await.unwrap();
    let id = marker.version_id().unwrap();
    let read = client.get_object().bucket(BUCKET).key("k").version_id(id).send().await;
    assert_eq!(code(read.unwrap_err()), "MethodNotAllowed");
    client.delete_object().bucket(BUCKET).key("k").version_id(id).send().await.unwrap();
    assert_eq!(get(&client, "k").await.unwrap(), b"first");
}

#[tokio::test]
async fn batch_delete_says_what_became_of_each() {
    let (_, client, _) = versioned();
    put(&client, "a", b"x").await.unwrap();
    let key = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
    let delete = Delete::builder().objects(key("a")).objects(key("b")).build().unwrap();
    let output = client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!(output.deleted().len(), 2);
    assert!(output.errors().is_empty());
    assert_eq!(get(&client, "a").await, Err("NoSuchKey".to_owned()));
}
