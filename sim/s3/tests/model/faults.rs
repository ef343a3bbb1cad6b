//! Faults: what is applied, what is answered, and that the history knows both.

use std::sync::{Arc, Mutex};

use aws_sdk_s3::Client;
use futures::FutureExt;
use futures::channel::oneshot;
use rynxs_s3::{Faults, Lost, Outcome, Plan, Refusal, RequestInfo, S3Model};

use crate::client::{BUCKET, get, put_absent, recorded, simple};

/// Plans for the requests to come, in order; then nothing unusual.
struct Script(Mutex<Vec<Plan>>);

impl Script {
    fn set(model: &S3Model, mut plans: Vec<Plan>) {
        plans.reverse();
        model.set_faults(Arc::new(Self(Mutex::new(plans))));
    }
}

impl Faults for Script {
    fn plan(&self, request: &RequestInfo) -> Plan {
        assert_eq!(request.bucket, BUCKET);
        assert_eq!(request.access_key, "root");
        self.0.lock().unwrap().pop().unwrap_or(Plan::Proceed)
    }
}

async fn put(client: &Client) -> Result<(), String> {
    put_absent(client, "k", b"mine").await
}

#[tokio::test]
async fn refused_before_and_after_the_apply_look_alike_and_are_not() {
    let slow_down = || Refusal::new(503, "SlowDown");
    let (model, client, _) = simple();
    Script::set(&model, vec![Plan::Refuse(slow_down()), Plan::ApplyThenRefuse(slow_down())]);
    assert_eq!(put(&client).await, Err("SlowDown".to_owned()));
    assert!(model.objects(BUCKET).is_empty());
    assert!(model.history().is_empty());
    assert_eq!(put(&client).await, Err("SlowDown".to_owned()));
    assert_eq!(model.objects(BUCKET).len(), 1);
    let history = model.history();
    assert!(matches!(history[0].outcome, Outcome::Applied { .. }));
    assert!(!history[0].answered);
    assert_eq!(put(&client).await, Err("PreconditionFailed".to_owned()));
}

#[tokio::test]
async fn lost_answer_leaves_the_object_behind() {
    let (model, client, _) = simple();
    Script::set(
        &model,
        vec![
            Plan::ApplyThenLose(Lost::Reset),
            Plan::Lose(Lost::Reset),
            Plan::ApplyThenLose(Lost::Silence),
        ],
    );
    assert_eq!(put(&client).await, Err("dispatch failure".to_owned()));
    assert_eq!(model.object(BUCKET, "k").unwrap(), "mine");
    assert_eq!(put_absent(&client, "other", b"x").await, Err("dispatch failure".to_owned()));
    assert!(model.object(BUCKET, "other").is_none());
    assert!(put_absent(&client, "third", b"x").now_or_never().is_none());
    assert_eq!(model.object(BUCKET, "third").unwrap(), "x");
}

#[tokio::test]
async fn delayed_put_lands_late_and_loses_to_what_came_between() {
    let (model, client, clock) = simple();
    let (open, door) = oneshot::channel::<u64>();
    let door = async move { door.await.unwrap() }.boxed();
    Script::set(&model, vec![Plan::Delay(door, Box::new(Plan::Proceed))]);
    let late = tokio::spawn({
        let client = client.clone();
        async move { put(&client).await }
    });
    tokio::task::yield_now().await;
    assert!(model.objects(BUCKET).is_empty());
    put_absent(&client, "k", b"theirs").await.unwrap();
    open.send(clock.ms() + 5000).unwrap();
    assert_eq!(late.await.unwrap(), Err("PreconditionFailed".to_owned()));
    assert_eq!(get(&client, "k").await.unwrap(), b"theirs");
    assert_eq!(model.history().last().unwrap().at_ms, clock.ms() + 5000);
}

#[tokio::test]
async fn same_requests_get_the_same_bytes() {
    let run = || async {
        let (model, _, clock) = simple();
        let (client, tape) = recorded(&model, &clock);
        for key in ["a", "b", "a"] {
            let _ = put_absent(&client, key, b"x").await;
        }
        let mut put = client.put_object().bucket(BUCKET).key("c");
        for name in ["one", "two", "three", "four", "five", "six"] {
            put = put.metadata(name, name);
        }
        put.send().await.unwrap();
        let head = client.head_object().bucket(BUCKET).key("c").send().await.unwrap();
        assert_eq!(head.metadata().unwrap()["six"], "six");
        client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        assert_eq!(get(&client, "missing").await, Err("NoSuchKey".to_owned()));
        let answers = tape.lock().unwrap().clone();
        (answers, format!("{:?}", model.history()))
    };
    let (first, second) = (run().await, run().await);
    assert_eq!(first.0.len(), 7);
    assert_eq!(first, second);
}

#[tokio::test]
async fn tampering_changes_objects_and_not_the_history() {
    let (model, client, _) = simple();
    for key in ["a", "b"] {
        put_absent(&client, key, key.as_bytes()).await.unwrap();
    }
    let before = model.snapshot(BUCKET).unwrap();
    assert!(model.swap(BUCKET, "a", "b"));
    assert_eq!(get(&client, "a").await.unwrap(), b"b");
    assert!(model.overwrite(BUCKET, "a", "forged".into()));
    assert_eq!(get(&client, "a").await.unwrap(), b"forged");
    assert!(model.erase(BUCKET, "b"));
    assert!(!model.erase(BUCKET, "b"));
    assert_eq!(get(&client, "b").await, Err("NoSuchKey".to_owned()));
    model.restore(BUCKET, &before);
    assert_eq!(get(&client, "a").await.unwrap(), b"a");
    assert_eq!(model.history().len(), 2);
}
