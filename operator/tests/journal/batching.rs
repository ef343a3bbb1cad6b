//! Group commit: what shares a record, and when it is sent.

use std::time::Duration;

use rynxs_core::ids::{Kind, Seq};
use rynxs_operator::observe::{Queue, Signal};

use crate::log::{agent, applied, session, verified};
use crate::world::{World, beside};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_fact_and_what_follows_from_it_commit_together() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    beside(&journal, async {
        let seq = journal.record(vec![agent("a", 1)]).unwrap();
        assert_eq!(seq, Seq(2));
        journal.wait_acked(seq).await.unwrap();
    })
    .await;
    let log = verified(&world.memory);
    assert_eq!(log.kinds[2], ["AgentObserved", "ActionsDecided"]);
    assert_eq!(journal.with_state(|state| state.digest()), log.state.digest(), "I6");
    assert_eq!(journal.acked_head(), (Seq(2), log.chain.head_hash()));
}

#[tokio::test(start_paused = true)]
async fn an_idle_log_adds_no_latency() {
    let mut world = World::new();
    world.config.append.flush_delay = 25 * MS;
    let journal = world.take_over(1).await.unwrap();
    beside(&journal, async {
        let before = world.elapsed();
        let seq = journal.record(vec![agent("a", 1)]).unwrap();
        journal.wait_acked(seq).await.unwrap();
        assert_eq!(world.elapsed() - before, 10 * MS, "one put");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn while_a_put_is_in_flight_the_next_record_fills() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    let puts_before = world.memory.inner().puts.len();
    world.memory.inner().max_in_flight = 0;
    beside(&journal, async {
        let first = journal.record(vec![agent("first", 1)]).unwrap();
        tokio::time::sleep(MS).await;
        let mut last = first;
        for n in 0..20 {
            last = journal.record(vec![agent(&format!("a{n}"), 1)]).unwrap();
        }
        assert_eq!((first, last), (Seq(2), Seq(3)));
        assert_eq!(journal.acked(), Some(Seq(1)));
        assert_eq!(journal.head(), Seq(3));
        journal.wait_acked(last).await.unwrap();
    })
    .await;
    assert_eq!(world.memory.inner().puts.len() - puts_before, 2);
    assert_eq!(world.memory.inner().max_in_flight, 1, "one put at a time");
    assert_eq!(verified(&world.memory).kinds[3].len(), 40);
    assert_eq!(world.heard.count(|s| *s == Signal::EventAppended("AgentObserved")), 21);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_opened_in_flight_waits_for_the_flush_delay() {
    let mut world = World::new();
    world.config.append.flush_delay = 25 * MS;
    let journal = world.take_over(1).await.unwrap();
    beside(&journal, async {
        let start = world.elapsed();
        journal.record(vec![agent("a", 1)]).unwrap();
        tokio::time::sleep(MS).await;
        let early = journal.record(vec![agent("b", 1)]).unwrap();
        tokio::time::sleep(20 * MS).await;
        let late = journal.record(vec![agent("c", 1)]).unwrap();
        assert_eq!(early, late, "still open, though nothing is in flight");
        journal.wait_acked(late).await.unwrap();
        assert_eq!(world.elapsed() - start, 36 * MS, "1 + 25 to open, 10 to put");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_full_record_does_not_wait() {
    let mut world = World::new();
    world.config.append.flush_delay = 1_000 * MS;
    world.config.append.max_events = 4;
    let journal = world.take_over(1).await.unwrap();
    beside(&journal, async {
        let start = world.elapsed();
        journal.record(vec![agent("a", 1)]).unwrap();
        tokio::time::sleep(MS).await;
        let last = journal.record(vec![agent("b", 1), agent("c", 1)]).unwrap();
        assert_eq!(journal.record(vec![agent("d", 1)]).unwrap(), last.next());
        journal.wait_acked(last).await.unwrap();
        assert_eq!(world.elapsed() - start, 20 * MS, "two puts");
    })
    .await;
    let log = verified(&world.memory);
    assert_eq!(log.kinds[3].len(), 4, "at the limit");
}

#[tokio::test(start_paused = true)]
async fn a_record_closes_before_a_second_decision_about_one_agent() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    beside(&journal, async {
        journal.record(vec![agent("first", 1)]).unwrap();
        tokio::time::sleep(MS).await;
        let one = journal.record(vec![agent("a", 1), agent("b", 1)]).unwrap();
        let two = journal.record(vec![agent("a", 2)]).unwrap();
        assert_eq!(two, one.next());
        let three = journal.record(vec![agent("b", 2), agent("a", 3)]).unwrap();
        assert_eq!(three, two.next());
        journal.wait_acked(three).await.unwrap();
    })
    .await;
    let log = verified(&world.memory);
    assert_eq!(journal.with_state(|state| state.digest()), log.state.digest(), "I6");
}

#[tokio::test(start_paused = true)]
async fn an_agent_and_its_sessions_are_one_family() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    beside(&journal, async {
        let start = |name: &str| journal.with_state(|state| session(state, "a", name, 1));
        let ack = async |seq| journal.wait_acked(seq).await.unwrap();
        ack(journal.record(vec![agent("a", 1), agent("b", 1)]).unwrap()).await;
        journal.record(vec![agent("first", 1)]).unwrap();
        tokio::time::sleep(MS).await;
        // Room for two: the third waits, and is decided about when one of them is gone.
        let one = journal.record(vec![start("s1")]).unwrap();
        let two = journal.record(vec![start("s2")]).unwrap();
        let three = journal.record(vec![start("s3")]).unwrap();
        assert!(one < two && two < three, "each may start another one of the agent's");
        let other = journal.with_state(|state| session(state, "b", "t1", 1));
        assert_eq!(journal.record(vec![other]).unwrap(), three, "another agent's do not mind");
        let gone = rynxs_core::event::Event::SessionDeleted {
            session: rynxs_core::ids::ObjectRef::new(Kind::Session, "default", "s1"),
            uid: "uid-of-s1".into(),
        };
        let four = journal.record(vec![gone]).unwrap();
        ack(journal.record(vec![agent("a", 2)]).unwrap()).await;
        assert_eq!(four, three, "nothing about a was decided in that record");
    })
    .await;
    let log = verified(&world.memory);
    let third = log.events.iter().any(|event| match event {
        rynxs_core::event::Event::ActionsDecided { subject, .. } => subject.key.name == "s3",
        _ => false,
    });
    assert!(third, "the waiting session was started");
}

#[tokio::test(start_paused = true)]
async fn outcomes_share_records_freely() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    beside(&journal, async {
        let seq = journal.record(vec![agent("a", 1), agent("b", 1)]).unwrap();
        journal.wait_acked(seq).await.unwrap();
        journal.record(vec![agent("first", 1)]).unwrap();
        tokio::time::sleep(MS).await;
        let mut records = std::collections::BTreeSet::new();
        for name in ["a", "b", "a", "b", "a", "b"] {
            let outcome = journal.with_state(|state| applied(state, Kind::Agent, name)).unwrap();
            records.insert(journal.record(vec![outcome]).unwrap());
        }
        assert_eq!(records.len(), 1);
        journal.wait_acked(journal.head()).await.unwrap();
    })
    .await;
    verified(&world.memory);
    assert!(world.heard.count(|s| matches!(s, Signal::QueueDepth(Queue::Journal, _))) > 0);
}

#[tokio::test(start_paused = true)]
async fn the_queue_has_a_limit() {
    let mut world = World::new();
    world.config.append.max_events = 1;
    let journal = world.take_over(1).await.unwrap();
    let mut refused = None;
    for n in 0..2_000 {
        if let Err(closed) = journal.record(vec![agent(&format!("a{n}"), 1)]) {
            refused = Some((n, closed.to_string()));
            break;
        }
    }
    let (n, why) = refused.expect("2,000 is over the limit");
    assert_eq!(n, rynxs_operator::journal::MAX_QUEUED_RECORDS);
    assert!(why.contains("1025 records wait"), "{why}");
    assert!(world.heard.count(|s| *s == Signal::QueueFull(Queue::Journal)) > 0);
}
