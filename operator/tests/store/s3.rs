//! The S3 store over the model: what each trouble on the way is taken for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rynxs_core::config::{Checksum, Secret};
use rynxs_core::ids::Seq;
use rynxs_operator::observe::{PutError, Signal};
use rynxs_operator::store::{
    ExistsOutcome, FaultCause, GetOutcome, ListOutcome, Listed, LogStore, PutOutcome, S3LogStore,
};
use rynxs_s3::{ConditionalPuts, Faults, Identity, Lost, Plan, Refusal, RequestInfo, Session};

use crate::log::records;
use crate::wire::{BUCKET, Break, START_MS, World};

/// The same plan for every request.
struct Always(fn() -> Plan);

impl Faults for Always {
    fn plan(&self, _: &RequestInfo) -> Plan {
        (self.0)()
    }
}

async fn put(store: &S3LogStore) -> PutOutcome {
    store.put(Seq(0), records(1)[0].clone()).await
}

fn unknown(outcome: &PutOutcome) -> Option<FaultCause> {
    match outcome {
        PutOutcome::Unknown(fault) => Some(fault.cause),
        _ => None,
    }
}

fn refused(outcome: PutOutcome) -> (FaultCause, String) {
    match outcome {
        PutOutcome::Refused(fault) => (fault.cause, fault.message),
        other => panic!("{other:?} is no refusal"),
    }
}

#[tokio::test]
async fn same_calls_send_the_same_bytes() {
    let run = || async {
        let world = World::new();
        let store = world.store();
        for (seq, record) in (0..3).zip(records(3)) {
            assert_eq!(store.put(Seq(seq), record).await, PutOutcome::Committed);
            world.clock.advance(Duration::from_millis(1234));
        }
        store.get(Seq(1)).await;
        store.exists(Seq(3)).await;
        store.first_key_after(Some(Seq(0))).await;
        world.wire.sent()
    };
    let (first, second) = (run().await, run().await);
    assert_eq!(first.len(), 6, "no request but those asked for");
    assert_eq!(first, second);
}

#[tokio::test]
async fn put_is_conditional_checked_and_signed_and_goes_to_its_key() {
    let world = World::new();
    assert_eq!(put(&world.store()).await, PutOutcome::Committed);
    let sent = &world.wire.sent()[0];
    for part in [
        "http://minio.rynxs:9000/rynxs-events/events/0000000000.json",
        "\"if-none-match\": \"*\"",
        "\"x-amz-checksum-sha256\"",
        "\"content-type\": \"application/json\"",
        "AWS4-HMAC-SHA256 Credential=AKIATEST/",
    ] {
        assert!(sent.contains(part), "{part} in {sent}");
    }
    assert!(!sent.contains("aws-chunked"), "{sent}");
    let keys: Vec<_> = world.model.objects(BUCKET).into_keys().collect();
    assert_eq!(keys, ["events/0000000000.json"]);
    let off = World::new();
    let store = off.store_with(|settings| settings.checksum = Checksum::Off);
    assert_eq!(put(&store).await, PutOutcome::Committed);
    assert!(!off.wire.sent()[0].contains("x-amz-checksum"));
    assert!(!off.wire.sent()[0].contains("x-amz-sdk-checksum"));
}

#[tokio::test]
async fn one_call_is_one_request_whatever_the_answer() {
    let refusals: [(fn() -> Plan, FaultCause); 6] = [
        (|| Plan::Refuse(Refusal::new(503, "SlowDown")), FaultCause::Throttled),
        (|| Plan::Refuse(Refusal::new(500, "InternalError")), FaultCause::ServerError),
        (|| Plan::Refuse(Refusal::new(409, "ConditionalRequestConflict")), FaultCause::Conflict),
        (|| Plan::Refuse(Refusal::new(400, "RequestTimeout")), FaultCause::Timeout),
        (|| Plan::Refuse(Refusal::new(400, "ExpiredToken")), FaultCause::AccessDenied),
        (|| Plan::Lose(Lost::Reset), FaultCause::Connection),
    ];
    for (plan, cause) in refusals {
        let world = World::new();
        world.model.set_faults(Arc::new(Always(plan)));
        assert_eq!(unknown(&put(&world.store()).await), Some(cause));
        assert_eq!(world.wire.sent().len(), 1, "{cause:?}");
    }
}

#[tokio::test]
async fn applied_and_lost_is_unknown_and_the_same_bytes_again_find_themselves() {
    let plans: [fn() -> Plan; 2] = [
        || Plan::ApplyThenLose(Lost::Reset),
        || Plan::ApplyThenRefuse(Refusal::new(503, "SlowDown")),
    ];
    for plan in plans {
        let world = World::new();
        let store = world.store();
        world.model.set_faults(Arc::new(Always(plan)));
        assert!(unknown(&put(&store).await).is_some());
        world.model.set_faults(Arc::new(rynxs_s3::NoFaults));
        assert_eq!(put(&store).await, PutOutcome::AlreadyExists);
        assert_eq!(store.get(Seq(0)).await, GetOutcome::Found(records(1)[0].to_vec()));
    }
}

#[tokio::test]
async fn not_sent_and_unknown_are_kept_apart() {
    let world = World::new();
    let store = world.store();
    world.wire.break_next(Break::NotSent);
    assert_eq!(put(&store).await, PutOutcome::NotSent("connection refused".to_owned()));
    assert!(world.model.objects(BUCKET).is_empty());
    world.wire.break_next(Break::AnswerLost);
    assert_eq!(unknown(&put(&store).await), Some(FaultCause::Connection));
    assert_eq!(world.model.objects(BUCKET).len(), 1);
    world.wire.break_next(Break::NotSent);
    assert!(matches!(store.get(Seq(0)).await, GetOutcome::Unknown(_)));
    assert!(matches!(
        {
            world.wire.break_next(Break::NotSent);
            store.exists(Seq(0)).await
        },
        ExistsOutcome::Unknown(_)
    ));
    world.wire.break_next(Break::NotSent);
    assert!(matches!(store.first_key_after(None).await, ListOutcome::Unknown(_)));
}

#[tokio::test]
async fn silence_ends_at_the_request_timeout_of_our_clock() {
    let world = World::new();
    let store = world.store();
    world.wire.break_next(Break::Silence);
    world.clock.let_sleeps_end();
    assert_eq!(unknown(&put(&store).await), Some(FaultCause::Timeout));
    assert_eq!(world.observer.take(), [Signal::PutError(PutError::Timeout)]);
}

#[tokio::test]
async fn broken_and_short_bodies_are_no_answers() {
    let world = World::new();
    let store = world.store();
    assert_eq!(put(&store).await, PutOutcome::Committed);
    for what in [Break::BodyBroken, Break::BodyShort] {
        world.wire.break_next(what);
        assert!(matches!(store.get(Seq(0)).await, GetOutcome::Unknown(_)));
    }
}

#[tokio::test]
async fn answers_of_something_that_is_no_object_store_prove_nothing_good() {
    let page = |status: u16| {
        let body = Bytes::from_static(b"<html>hello</html>");
        http::Response::builder().status(status).body(body).unwrap()
    };
    let world = World::new();
    let store = world.store();
    world.wire.break_next(Break::Answer(page(200)));
    assert_eq!(unknown(&put(&store).await), Some(FaultCause::Connection));
    world.wire.break_next(Break::Answer(page(502)));
    assert_eq!(unknown(&put(&store).await), Some(FaultCause::ServerError));
    world.wire.break_next(Break::Answer(page(404)));
    assert!(matches!(store.get(Seq(0)).await, GetOutcome::Unknown(_)));
    world.wire.break_next(Break::Answer(page(404)));
    assert!(matches!(store.exists(Seq(0)).await, ExistsOutcome::Unknown(_)));
}

#[tokio::test]
async fn wrong_settings_are_told_with_place_and_fix() {
    type Change = fn(&mut rynxs_core::config::S3Store);
    let cases: [(Change, FaultCause, &str); 3] = [
        (
            |settings| settings.bucket = "other-bucket".to_owned(),
            FaultCause::NoSuchBucket,
            "create bucket other-bucket",
        ),
        (
            |settings| settings.secret_key = Secret::new("wrong"),
            FaultCause::AccessDenied,
            "secret key does not belong",
        ),
        (
            |settings| settings.access_key = Secret::new("AKIAOTHER"),
            FaultCause::AccessDenied,
            "no such access key",
        ),
    ];
    for (change, cause, words) in cases {
        let world = World::new();
        let store = world.store_with(change);
        let (found, message) = refused(put(&store).await);
        assert_eq!(found, cause);
        assert!(message.contains(words), "{message}");
        assert!(message.contains("http://minio.rynxs:9000"), "{message}");
        assert!(!message.contains("wrong"), "a secret in {message}");
        assert!(matches!(store.first_key_after(None).await, ListOutcome::Refused(_)));
        assert!(matches!(store.exists(Seq(0)).await, ExistsOutcome::Refused(_)));
        assert!(matches!(store.get(Seq(0)).await, GetOutcome::Refused(_)));
    }
}

#[tokio::test]
async fn store_without_conditions_is_refused_by_name() {
    let world = World::with(|options| options.conditional_puts = ConditionalPuts::Unsupported);
    let (cause, message) = refused(put(&world.store()).await);
    assert_eq!(cause, FaultCause::Rejected);
    assert!(message.contains("If-None-Match"), "{message}");
}

#[tokio::test]
async fn session_token_is_sent_and_its_end_is_not_a_refusal() {
    let world = World::with(|options| {
        let mut identity = Identity::root("AKIATEST", "secret");
        let session = Session { token: "token".to_owned(), expires_ms: START_MS + 1000 };
        identity.session = Some(session);
        options.identities = vec![identity];
    });
    let store = world.store_with(|settings| settings.session_token = Some(Secret::new("token")));
    assert_eq!(put(&store).await, PutOutcome::Committed);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(unknown(&put(&store).await), Some(FaultCause::AccessDenied));
}

#[tokio::test]
async fn foreign_keys_are_shown_and_a_folder_marker_is_not() {
    let world = World::new();
    let store = world.store();
    assert!(world.model.overwrite(BUCKET, "events/", Bytes::new()));
    assert!(world.model.overwrite(BUCKET, "events2/0000000000.json", Bytes::new()));
    assert_eq!(store.first_key_after(None).await, ListOutcome::Next(None));
    assert_eq!(put(&store).await, PutOutcome::Committed);
    assert!(world.model.overwrite(BUCKET, "events/0000000000.json.bak", Bytes::new()));
    let foreign = Listed::Foreign("events/0000000000.json.bak".to_owned());
    assert_eq!(store.first_key_after(Some(Seq(0))).await, ListOutcome::Next(Some(foreign)));
    assert_eq!(store.describe(), "s3://rynxs-events/events");
}

#[tokio::test]
async fn every_put_that_is_not_answered_by_200_is_counted_once() {
    let world = World::new();
    let store = world.store();
    assert_eq!(put(&store).await, PutOutcome::Committed);
    assert_eq!(world.observer.take(), []);
    assert_eq!(put(&store).await, PutOutcome::AlreadyExists);
    assert_eq!(world.observer.take(), [Signal::PutError(PutError::PreconditionFailed)]);
    world.model.set_faults(Arc::new(Always(|| Plan::Refuse(Refusal::new(403, "AccessDenied")))));
    put(&store).await;
    assert_eq!(world.observer.take(), [Signal::PutError(PutError::AccessDenied)]);
}

#[tokio::test]
async fn an_empty_object_is_there_and_a_name_that_sounds_like_its_answer_is_not() {
    let world = World::new();
    assert!(world.model.overwrite(BUCKET, "events/0000000000.json", Bytes::new()));
    assert_eq!(world.store().exists(Seq(0)).await, ExistsOutcome::Yes);
    let store = world.store_with(|settings| settings.prefix = "InvalidRange".to_owned());
    assert_eq!(store.exists(Seq(0)).await, ExistsOutcome::No);
    world.model.set_faults(Arc::new(Always(|| Plan::Refuse(Refusal::new(403, "AccessDenied")))));
    assert!(matches!(store.exists(Seq(0)).await, ExistsOutcome::Refused(_)));
}
