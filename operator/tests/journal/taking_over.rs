//! Takeover over a store: genesis, lineage, store checks, corruption, patience.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rynxs_core::append::{RACERS, TailRepair};
use rynxs_core::event::Event;
use rynxs_core::ids::{Epoch, Kind, ObjectRef, Seq};
use rynxs_core::record::sha256;
use rynxs_operator::observe::Signal;
use rynxs_operator::takeover::TakeoverEnd;

use crate::log::{agent, applied, verified};
use crate::store::Whim;
use crate::world::{World, beside};

type Records = BTreeMap<Seq, Vec<u8>>;

fn object(name: &str) -> ObjectRef {
    ObjectRef::new(Kind::Deployment, "default", name)
}

#[tokio::test(start_paused = true)]
async fn an_empty_store_becomes_a_log() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    let log = verified(&world.memory);
    assert_eq!(log.kinds, [["LogStarted"], ["EpochStarted"]]);
    assert_eq!((journal.epoch(), journal.acked()), (Epoch(1), Some(Seq(1))));
    let puts = world.memory.inner().puts.clone();
    let of = |seq| puts.iter().filter(|(at, _)| *at == Seq(seq)).count();
    assert_eq!(of(0), RACERS + 1, "raced, then tried once more");
    assert_eq!(of(1), RACERS);
}

#[tokio::test(start_paused = true)]
async fn a_successor_goes_on_from_the_log() {
    let world = World::new();
    let first = world.take_over(1).await.unwrap();
    beside(&first, async {
        let seq = first.record(vec![agent("a", 1)]).unwrap();
        first.wait_acked(seq).await.unwrap();
        let outcome = first.with_state(|state| applied(state, Kind::Agent, "a")).unwrap();
        first.wait_acked(first.record(vec![outcome]).unwrap()).await.unwrap();
    })
    .await;
    let second = world.take_over(2).await.unwrap();
    assert_eq!(second.epoch(), Epoch(4));
    let live = second.with_state(|state| state.digest());
    assert_eq!(live, verified(&world.memory).state.digest(), "I6");
    let replayed = |s: &Signal| matches!(s, Signal::Replayed { records: 4, events: 5, .. });
    assert_eq!(world.heard.count(replayed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_empty_log_beside_stamped_objects_is_refused_unless_adopted() {
    let mut world = World::new();
    world.seen.managed(&object("a"), Some("41"), Some("lost")).unwrap();
    let end = world.take_over(1).await.err().unwrap();
    assert!(matches!(end, TakeoverEnd::Lineage(_)), "{end}");
    assert!(end.to_string().contains("memory://log is empty"), "{end}");
    assert!(world.memory.lines().is_empty(), "nothing was written");

    let mut world = World::new().adopting();
    world.seen.managed(&object("a"), Some("41"), Some("lost")).unwrap();
    let journal = world.take_over(1).await.unwrap();
    assert_eq!(journal.epoch(), Epoch(2_000_001));
    let log = verified(&world.memory);
    let Event::LogStarted { base, predecessors, .. } = &log.events[0] else { panic!() };
    assert_eq!((*base, predecessors.len()), (2_000_000, 1));
    // From now on the predecessor's stamps are known.
    world.take_over(2).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cut_log_is_refused_before_anything_is_written() {
    let mut world = World::new();
    let journal = world.take_over(1).await.unwrap();
    let log_id = journal.with_state(|state| state.log().unwrap().log_id.clone());
    drop(journal);
    let records = world.memory.lines().len();
    world.seen.managed(&object("a"), Some("7"), Some(log_id.as_str())).unwrap();
    let end = world.take_over(2).await.err().unwrap();
    assert!(end.to_string().contains("the log was cut"), "{end}");
    assert_eq!(world.memory.lines().len(), records);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_ignores_the_condition_is_refused() {
    let world = World::new();
    world.memory.plan([Whim::Unconditional; 3]);
    let end = world.take_over(1).await.err().unwrap();
    let TakeoverEnd::Config { why, .. } = &end else { panic!("{end}") };
    assert!(why.contains("does not make the condition atomic"), "{why}");

    let world = World::new();
    world.take_over(1).await.unwrap();
    world.memory.plan([Whim::Unconditional]);
    let end = world.take_over(2).await.err().unwrap();
    let TakeoverEnd::Config { why, .. } = &end else { panic!("{end}") };
    assert!(why.contains("ignores the condition"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_racer_does_not_delay_the_takeover_and_a_second_winner_is_still_found() {
    let slow = Duration::from_secs(20);
    let world = World::new();
    world.memory.plan([Whim::Slow(slow), Whim::Honest, Whim::Slow(slow)]);
    world.take_over(1).await.unwrap();
    assert!(world.elapsed() < Duration::from_secs(2), "{:?}", world.elapsed());

    // As long as nobody has won, every answer is waited for.
    let world = World::new();
    world.memory.plan([Whim::LostRequest, Whim::LostRequest, Whim::Slow(slow)]);
    world.take_over(1).await.unwrap();
    assert!(world.elapsed() > slow);
    let of_genesis = world.memory.inner().puts.iter().filter(|(at, _)| *at == Seq(0)).count();
    assert_eq!(of_genesis, RACERS + 1, "raced, then tried once more");

    let world = World::new();
    let soon = Duration::from_millis(900);
    world.memory.plan([Whim::Honest, Whim::Honest, Whim::SlowUnconditional(soon)]);
    let end = world.take_over(1).await.err().unwrap();
    assert!(end.to_string().contains("does not make the condition atomic"), "{end}");
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_store_is_asked_again() {
    let world = World::new();
    world.memory.inner().dead = true;
    let memory = world.memory.clone();
    let (journal, ()) = futures::join!(world.take_over(1), async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(memory.lines().is_empty());
        memory.inner().dead = false;
    });
    assert_eq!(journal.unwrap().epoch(), Epoch(1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_appended_without_the_lease() {
    let world = World::new();
    let leads = AtomicBool::new(false);
    let end = world.take_over_while(1, &|| leads.load(Ordering::SeqCst)).await.err().unwrap();
    assert_eq!(end, TakeoverEnd::NotLeading);
    assert!(world.memory.inner().puts.is_empty());
}

#[tokio::test(start_paused = true)]
async fn ambiguous_answers_end_in_one_epoch() {
    let world = World::new();
    world.memory.plan([
        Whim::LostAnswer,
        Whim::LostRequest,
        Whim::Late(Duration::from_millis(5)),
        Whim::LostRequest,
        Whim::Honest,
        Whim::LostAnswer,
        Whim::LostAnswer,
        Whim::LostAnswer,
    ]);
    let journal = world.take_over(1).await.unwrap();
    assert_eq!(journal.epoch(), Epoch(1));
    world.memory.deliver_all();
    assert_eq!(verified(&world.memory).kinds.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_record_of_the_old_leader_is_built_upon() {
    let world = World::new();
    let old = world.take_over(1).await.unwrap();
    // The old leader's put arrives while the new one reads: before its EpochStarted.
    world.memory.plan([Whim::Late(Duration::from_millis(45))]);
    old.record(vec![agent("a", 1)]).unwrap();
    let half = tokio::time::timeout(Duration::from_millis(11), old.run());
    assert!(half.await.is_err());
    let new = world.take_over(2).await.unwrap();
    assert_eq!(new.epoch(), Epoch(3));
    assert!(new.with_state(|state| state.agents().next().is_some()), "adopted");
    let log = verified(&world.memory);
    assert_eq!(log.kinds[2], ["AgentObserved", "ActionsDecided"]);
}

#[tokio::test(start_paused = true)]
async fn two_candidates_get_two_epochs() {
    let world = World::new();
    let (one, two) = futures::join!(world.take_over(1), world.take_over(2));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.epoch(), two.epoch());
    assert_eq!(verified(&world.memory).kinds.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn damage_is_named_with_its_place() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    beside(&journal, async {
        for n in 1..5 {
            journal.wait_acked(journal.record(vec![agent("a", n)]).unwrap()).await.unwrap();
        }
    })
    .await;
    let good = world.memory.inner().records.clone();
    let refused = async |change: &dyn Fn(&mut Records), words| {
        let mut records = good.clone();
        change(&mut records);
        world.memory.inner().records = records;
        let end = world.take_over(2).await.err().unwrap();
        assert!(matches!(end, TakeoverEnd::Corrupt { .. }), "{end}");
        assert!(end.to_string().contains(words), "{words} is missing in: {end}");
    };
    refused(&|records| records.get_mut(&Seq(3)).unwrap()[200] ^= 1, "record 3: event_hash").await;
    refused(&|records| drop(records.remove(&Seq(3))), "record 3 is missing").await;
    refused(&|records| drop(records.remove(&Seq(0))), "record 0 is missing").await;
    let swap = |records: &mut Records| {
        let (three, four) = (records[&Seq(3)].clone(), records[&Seq(4)].clone());
        records.insert(Seq(3), four);
        records.insert(Seq(4), three);
    };
    refused(&swap, "record 3: its seq is 4, expected 3").await;
    world.memory.inner().foreign = Some("events/notes.txt".to_owned());
    refused(&|_| {}, "events/notes.txt").await;
}

#[tokio::test(start_paused = true)]
async fn a_torn_tail_is_recorded_once() {
    let world = World::new();
    world.take_over(1).await.unwrap();
    let torn = |at| TailRepair { at: Seq(at), bytes: 9, sha256: sha256(b"torn line") };
    world.memory.inner().repaired = vec![torn(2)];
    world.take_over(2).await.unwrap();
    world.take_over(3).await.unwrap();
    // The same bytes torn off again are another tear.
    world.memory.inner().repaired = vec![torn(2), torn(4), torn(4)];
    world.take_over(4).await.unwrap();
    let log = verified(&world.memory);
    assert_eq!(log.kinds[2], ["EpochStarted", "TailRepaired"]);
    assert_eq!(log.kinds[3], ["EpochStarted"]);
    assert_eq!(log.kinds[4], ["EpochStarted", "TailRepaired", "TailRepaired"]);
}

#[tokio::test(start_paused = true)]
async fn a_torn_first_record_is_recorded_with_the_first_epoch() {
    let world = World::new();
    let torn = TailRepair { at: Seq(0), bytes: 9, sha256: sha256(b"torn line") };
    world.memory.inner().repaired = vec![torn];
    world.take_over(1).await.unwrap();
    let log = verified(&world.memory);
    assert_eq!(log.kinds[..2], [vec!["LogStarted"], vec!["EpochStarted", "TailRepaired"]]);
}
