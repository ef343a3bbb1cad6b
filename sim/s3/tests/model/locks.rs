//! Object lock: a version that must stay, stays.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockLegalHold,
    ObjectLockLegalHoldStatus, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode,
    ObjectLockRule,
};
use rynxs_s3::{BucketOptions, Identity, Options, S3Model};

use crate::client::{BUCKET, Clock, code, get, put, put_absent, simple, with};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn locked() -> (S3Model, Client, Clock) {
    with(Options {
        identities: vec![Identity::root("root", "root-secret")],
        buckets: vec![BucketOptions { object_lock: true, ..BucketOptions::new(BUCKET) }],
        ..Options::default()
    })
}

async fn delete_version(client: &Client, id: &str, bypass: bool) -> Result<(), String> {
    let delete = client.delete_object().bucket(BUCKET).key("k").version_id(id);
    delete.bypass_governance_retention(bypass).send().await.map(drop).map_err(code)
}

async fn put_retained(client: &Client, clock: &Clock, mode: ObjectLockMode) -> String {
    let until = DateTime::from_millis(i64::try_from(clock.ms()).unwrap() + 86_400_000);
    let put = client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"abc"));
    let put = put.object_lock_mode(mode).object_lock_retain_until_date(until);
    let put = put.checksum_sha256("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    put.send().await.unwrap().version_id().unwrap().to_owned()
}

#[tokio::test]
async fn compliance_holds_against_everybody_until_its_time_is_over() {
    let (_, client, clock) = locked();
    let id = put_retained(&client, &clock, ObjectLockMode::Compliance).await;
    for bypass in [false, true] {
        assert_eq!(delete_version(&client, &id, bypass).await, Err("AccessDenied".to_owned()));
    }
    clock.advance(DAY);
    delete_version(&client, &id, false).await.unwrap();
}

#[tokio::test]
async fn governance_yields_to_bypass() {
    let (_, client, clock) = locked();
    let id = put_retained(&client, &clock, ObjectLockMode::Governance).await;
    assert_eq!(delete_version(&client, &id, false).await, Err("AccessDenied".to_owned()));
    delete_version(&client, &id, true).await.unwrap();
}

#[tokio::test]
async fn legal_hold_has_no_end_but_its_removal() {
    let (_, client, clock) = locked();
    let id = put(&client, "k", b"x").await.unwrap();
    let hold = |status| {
        let hold = ObjectLockLegalHold::builder().status(status).build();
        client.put_object_legal_hold().bucket(BUCKET).key("k").legal_hold(hold).send()
    };
    hold(ObjectLockLegalHoldStatus::On).await.unwrap();
    clock.advance(DAY * 1000);
    assert_eq!(delete_version(&client, &id, true).await, Err("AccessDenied".to_owned()));
    hold(ObjectLockLegalHoldStatus::Off).await.unwrap();
    delete_version(&client, &id, false).await.unwrap();
}

#[tokio::test]
async fn marker_over_a_locked_version_still_reopens_the_key() {
    let (_, client, clock) = locked();
    let id = put_retained(&client, &clock, ObjectLockMode::Compliance).await;
    client.delete_object().bucket(BUCKET).key("k").send().await.unwrap();
    put_absent(&client, "k", b"forged").await.unwrap();
    assert_eq!(get(&client, "k").await.unwrap(), b"forged");
    let kept = client.get_object().bucket(BUCKET).key("k").version_id(id).send().await.unwrap();
    assert_eq!(kept.body.collect().await.unwrap().to_vec(), b"abc");
}

#[tokio::test]
async fn default_retention_is_put_on_and_wants_a_checksum() {
    let (_, client, _) = locked();
    let retention = DefaultRetention::builder().mode(ObjectLockRetentionMode::Governance).days(1);
    let rule = ObjectLockRule::builder().default_retention(retention.build()).build();
    let lock = ObjectLockConfiguration::builder()
        .object_lock_enabled(ObjectLockEnabled::Enabled)
        .rule(rule)
        .build();
    let put_lock = client.put_object_lock_configuration().bucket(BUCKET);
    put_lock.object_lock_configuration(lock).send().await.unwrap();
    assert_eq!(put(&client, "k", b"abc").await, Err("InvalidRequest".to_owned()));
    let put = client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"abc"));
    let put = put.checksum_sha256("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    put.send().await.unwrap();
    let held = client.get_object_retention().bucket(BUCKET).key("k").send().await.unwrap();
    let mode = held.retention().and_then(|retention| retention.mode());
    assert_eq!(mode, Some(&ObjectLockRetentionMode::Governance));
}

#[tokio::test]
async fn retention_is_lengthened_by_anybody_and_shortened_by_bypass_alone() {
    let (_, client, clock) = locked();
    put_retained(&client, &clock, ObjectLockMode::Governance).await;
    let retain = |days: i64, bypass: bool| {
        let until = DateTime::from_millis(i64::try_from(clock.ms()).unwrap() + days * 86_400_000);
        let retention = ObjectLockRetention::builder()
            .mode(ObjectLockRetentionMode::Governance)
            .retain_until_date(until)
            .build();
        let put = client.put_object_retention().bucket(BUCKET).key("k").retention(retention);
        put.bypass_governance_retention(bypass).send()
    };
    retain(3, false).await.unwrap();
    assert_eq!(code(retain(2, false).await.unwrap_err()), "AccessDenied");
    retain(2, true).await.unwrap();
}

#[tokio::test]
async fn bucket_without_object_lock_refuses_to_lock() {
    let (_, client, clock) = simple();
    let until = DateTime::from_millis(i64::try_from(clock.ms()).unwrap() + 1000);
    let put = client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"abc"));
    let put = put.object_lock_mode(ObjectLockMode::Governance).object_lock_retain_until_date(until);
    assert_eq!(code(put.send().await.unwrap_err()), "InvalidRequest");
}
