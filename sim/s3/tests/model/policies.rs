//! Bucket policies as the guard that a log's bucket should have.

use aws_sdk_s3::config::Credentials;
use rynxs_s3::{BucketOptions, Dialect, Identity, Options};

use crate::client::{BUCKET, client, code, get, put, put_absent, with};

const WRITER: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
    "Action":["s3:PutObject","s3:GetObject","s3:ListBucket","s3:DeleteObject"],
    "Resource":["arn:aws:s3:::rynxs-events","arn:aws:s3:::rynxs-events/*"]}]}"#;

const GUARD: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Sid":"NoDelete","Effect":"Deny","Principal":"*",
     "Action":["s3:DeleteObject","s3:DeleteObjectVersion"],
     "Resource":"arn:aws:s3:::rynxs-events/events/*"},
    {"Sid":"OnlyIfAbsent","Effect":"Deny","Principal":"*","Action":"s3:PutObject",
     "Resource":"arn:aws:s3:::rynxs-events/events/*",
     "Condition":{"Null":{"s3:if-none-match":"true"}}}]}"#;

fn options() -> Options {
    Options {
        identities: vec![
            Identity::root("root", "root-secret"),
            Identity::user("writer", "writer", "writer-secret", WRITER),
        ],
        buckets: vec![BucketOptions::new(BUCKET)],
        ..Options::default()
    }
}

#[tokio::test]
async fn guarded_prefix_takes_conditional_puts_alone_and_no_deletes() {
    let (model, root, clock) = with(options());
    root.put_bucket_policy().bucket(BUCKET).policy(GUARD).send().await.unwrap();
    let keys = Credentials::new("writer", "writer-secret", None, None, "test");
    let writer = client(&model, &clock, keys);
    put_absent(&writer, "events/0", b"x").await.unwrap();
    assert_eq!(put(&writer, "events/1", b"x").await, Err("AccessDenied".to_owned()));
    assert_eq!(put(&root, "events/1", b"x").await, Err("AccessDenied".to_owned()));
    put(&writer, "checkpoints/1", b"x").await.unwrap();
    let delete = |key| writer.delete_object().bucket(BUCKET).key(key).send();
    assert_eq!(code(delete("events/0").await.unwrap_err()), "AccessDenied");
    delete("checkpoints/1").await.unwrap();
    assert_eq!(get(&writer, "events/0").await.unwrap(), b"x");
    let denied = model.history().into_iter().filter(|attempt| attempt.identity.is_none()).count();
    // Two puts, one delete, and the policy itself, which is no write of an object.
    assert_eq!(denied, 4);
}

#[tokio::test]
async fn user_may_do_what_its_policy_says_and_no_more() {
    let (model, _, clock) = with(options());
    let keys = Credentials::new("writer", "writer-secret", None, None, "test");
    let writer = client(&model, &clock, keys);
    let policy = writer.put_bucket_policy().bucket(BUCKET).policy(GUARD).send().await;
    assert_eq!(code(policy.unwrap_err()), "AccessDenied");
    let bucket = writer.create_bucket().bucket("mine").send().await;
    assert_eq!(code(bucket.unwrap_err()), "AccessDenied");
    let versions = writer.list_object_versions().bucket(BUCKET).send().await;
    assert_eq!(code(versions.unwrap_err()), "AccessDenied");
}

#[tokio::test]
async fn minio_refuses_the_condition_key_that_it_does_not_know() {
    let (_, root, _) = with(Options { dialect: Dialect::Minio, ..options() });
    let put = root.put_bucket_policy().bucket(BUCKET).policy(GUARD).send().await;
    assert_eq!(code(put.unwrap_err()), "MalformedPolicy");
}

#[tokio::test]
async fn policy_is_read_back_and_removed() {
    let (_, root, _) = with(options());
    let none = root.get_bucket_policy().bucket(BUCKET).send().await.unwrap_err();
    assert_eq!(code(none), "NoSuchBucketPolicy");
    root.put_bucket_policy().bucket(BUCKET).policy(GUARD).send().await.unwrap();
    let read = root.get_bucket_policy().bucket(BUCKET).send().await.unwrap();
    assert_eq!(read.policy(), Some(GUARD));
    root.delete_bucket_policy().bucket(BUCKET).send().await.unwrap();
    put(&root, "events/1", b"x").await.unwrap();
}
