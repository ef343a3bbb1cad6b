//! Who gets in.

use std::time::Duration;

use aws_sdk_s3::config::Credentials;
use bytes::Bytes;
use rynxs_s3::{BucketOptions, Identity, Options, Session};

use crate::client::{BUCKET, Clock, client, get, put, simple, with};

#[tokio::test]
async fn wrong_keys_are_told_apart() {
    let (model, _, clock) = simple();
    for (access, secret, wanted) in [
        ("root", "wrong", "SignatureDoesNotMatch"),
        ("nobody", "root-secret", "InvalidAccessKeyId"),
    ] {
        let keys = Credentials::new(access, secret, None, None, "test");
        let client = client(&model, &clock, keys);
        assert_eq!(get(&client, "k").await, Err(wanted.to_owned()));
        assert_eq!(put(&client, "k", b"x").await, Err(wanted.to_owned()));
    }
    assert!(model.objects(BUCKET).is_empty());
}

#[tokio::test]
async fn unsigned_request_is_denied() {
    let (model, _, clock) = simple();
    let request = http::Request::get(format!("http://s3.test/{BUCKET}/k")).body(Bytes::new());
    let answer = model.call(clock.ms(), request.unwrap()).await;
    assert_eq!(answer.status(), 403);
    assert!(String::from_utf8_lossy(answer.body()).contains("<Code>AccessDenied</Code>"));
}

#[tokio::test]
async fn session_token_must_match_and_be_alive() {
    let mut identity = Identity::root("root", "root-secret");
    let clock = Clock::new();
    let session = Session { token: "token".to_owned(), expires_ms: clock.ms() + 60_000 };
    identity.session = Some(session);
    let options = Options {
        identities: vec![identity],
        buckets: vec![BucketOptions::new(BUCKET)],
        ..Options::default()
    };
    let (model, without, _) = with(options);
    assert_eq!(put(&without, "k", b"x").await, Err("InvalidToken".to_owned()));
    let keys =
        |token: &str| Credentials::new("root", "root-secret", Some(token.to_owned()), None, "test");
    let wrong = client(&model, &clock, keys("other"));
    assert_eq!(put(&wrong, "k", b"x").await, Err("InvalidToken".to_owned()));
    let right = client(&model, &clock, keys("token"));
    put(&right, "k", b"x").await.unwrap();
    clock.advance(Duration::from_secs(60));
    assert_eq!(put(&right, "k", b"x").await, Err("ExpiredToken".to_owned()));
}

#[tokio::test]
async fn signature_of_another_time_is_refused() {
    let (model, _, clock) = simple();
    let late = Clock::new();
    let keys = Credentials::new("root", "root-secret", None, None, "test");
    // The client's clock stands; the model's goes on.
    let stuck = crate::client::client_with_own_clock(&model, &clock, &late, keys);
    put(&stuck, "k", b"x").await.unwrap();
    clock.advance(Duration::from_secs(15 * 60 + 1));
    assert_eq!(put(&stuck, "k", b"x").await, Err("RequestTimeTooSkewed".to_owned()));
}
