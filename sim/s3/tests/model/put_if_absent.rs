//! Put-if-absent: exactly one winner, ever; and the stores that get it wrong.

use futures::future::join_all;
use rynxs_s3::{Condition, ConditionalPuts, Options, Outcome, Write};

use crate::client::{BUCKET, code, get, put, put_absent, simple, with};

#[tokio::test]
async fn second_put_is_refused_and_changes_nothing() {
    let (model, client, clock) = simple();
    put_absent(&client, "events/0000000000.json", b"first").await.unwrap();
    let second = put_absent(&client, "events/0000000000.json", b"second").await;
    assert_eq!(second, Err("PreconditionFailed".to_owned()));
    assert_eq!(get(&client, "events/0000000000.json").await.unwrap(), b"first");

    let history = model.history();
    assert_eq!(history.len(), 2);
    assert_eq!(history[0].write, Write::Put);
    assert_eq!(history[0].condition, Some(Condition::Absent));
    assert_eq!(history[0].identity.as_deref(), Some("root"));
    assert_eq!(history[0].at_ms, clock.ms());
    assert_eq!(
        history[0].sha256,
        "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"
    );
    assert_eq!(
        history[0].outcome,
        Outcome::Applied { version: "null".to_owned(), replaced: false }
    );
    assert_eq!(history[1].bytes, "second");
    assert_eq!(
        history[1].outcome,
        Outcome::Refused { status: 412, code: "PreconditionFailed".to_owned() }
    );
}

#[tokio::test]
async fn twenty_at_once_have_one_winner_in_each_of_two_hundred_rounds() {
    let (model, client, _) = simple();
    for round in 0..200 {
        let key = format!("events/{round:010}.json");
        let bodies: Vec<String> = (0..20).map(|writer| format!("{round}/{writer}")).collect();
        let puts = bodies.iter().map(|body| put_absent(&client, &key, body.as_bytes()));
        let answers = join_all(puts).await;
        let winners: Vec<_> = (0..20).filter(|&writer| answers[writer].is_ok()).collect();
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(get(&client, &key).await.unwrap(), bodies[winners[0]].as_bytes());
        assert!(answers.iter().flat_map(Result::as_ref).count() == 1);
    }
    let applied = model.history().into_iter().filter(
        |attempt| matches!(attempt.outcome, Outcome::Applied { replaced, .. } if !replaced),
    );
    assert_eq!(applied.count(), 200);
}

#[tokio::test]
async fn store_that_ignores_the_condition_overwrites() {
    let options = Options {
        conditional_puts: ConditionalPuts::Ignored,
        ..Options::simple(BUCKET, "root", "root-secret")
    };
    let (model, client, _) = with(options);
    put_absent(&client, "k", b"first").await.unwrap();
    put_absent(&client, "k", b"second").await.unwrap();
    assert_eq!(get(&client, "k").await.unwrap(), b"second");
    let last = model.history().pop().unwrap();
    assert_eq!(last.outcome, Outcome::Applied { version: "null".to_owned(), replaced: true });
    assert_eq!(last.condition, Some(Condition::Absent));
}

#[tokio::test]
async fn racy_store_has_several_winners_at_once_and_looks_right_one_by_one() {
    let options = Options {
        conditional_puts: ConditionalPuts::Racy,
        ..Options::simple(BUCKET, "root", "root-secret")
    };
    let (_, client, _) = with(options);
    put_absent(&client, "alone", b"1").await.unwrap();
    assert_eq!(put_absent(&client, "alone", b"2").await, Err("PreconditionFailed".to_owned()));
    let answers = join_all((0..8).map(|_| put_absent(&client, "raced", b"x"))).await;
    assert!(answers.iter().filter(|answer| answer.is_ok()).count() > 1);
}

#[tokio::test]
async fn store_without_the_condition_says_so() {
    let options = Options {
        conditional_puts: ConditionalPuts::Unsupported,
        ..Options::simple(BUCKET, "root", "root-secret")
    };
    let (_, client, _) = with(options);
    assert_eq!(put_absent(&client, "k", b"x").await, Err("NotImplemented".to_owned()));
    put(&client, "k", b"x").await.unwrap();
}

#[tokio::test]
async fn if_match_replaces_only_what_was_seen() {
    let (_, client, _) = simple();
    put(&client, "k", b"1").await.unwrap();
    let head = client.head_object().bucket(BUCKET).key("k").send().await.unwrap();
    let put_match = |etag: &str, key: &str| {
        let body = aws_sdk_s3::primitives::ByteStream::from_static(b"2");
        client.put_object().bucket(BUCKET).key(key).if_match(etag).body(body).send()
    };
    let etag = head.e_tag().unwrap();
    put_match(etag, "k").await.unwrap();
    assert_eq!(code(put_match(etag, "k").await.unwrap_err()), "PreconditionFailed");
    assert_eq!(code(put_match(etag, "gone").await.unwrap_err()), "NoSuchKey");
}
