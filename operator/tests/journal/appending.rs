//! What the journal makes of every answer (I2), and how it ends.

use std::time::Duration;

use proptest::prelude::*;
use rynxs_core::ids::{Epoch, Kind, Seq, WriterId};
use rynxs_core::record::decode;
use rynxs_operator::journal::{Journal, JournalEnd};
use rynxs_operator::observe::{RefusedBy, Signal};

use crate::log::{agent, applied, session, verified};
use crate::store::Whim;
use crate::world::{World, beside, end_of};

#[tokio::test(start_paused = true)]
async fn own_write_is_recognised_after_a_lost_answer() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    world.memory.plan([Whim::LostAnswer]);
    beside(&journal, async {
        let seq = journal.record(vec![agent("a", 1)]).unwrap();
        journal.wait_acked(seq).await.unwrap();
    })
    .await;
    verified(&world.memory);
    assert_eq!(world.heard.count(|s| *s == Signal::AppendUnknown), 1);
    let puts = world.memory.inner().puts.clone();
    let [.., one, two] = &puts[..] else { panic!("two puts") };
    assert_eq!(one, two, "the same bytes under the same key");
}

#[tokio::test(start_paused = true)]
async fn never_advances_while_unknown() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    world.memory.plan([Whim::LostRequest, Whim::NotSent, Whim::Forbidden, Whim::LostRequest]);
    beside(&journal, async {
        let seq = journal.record(vec![agent("a", 1)]).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let later = journal.record(vec![agent("b", 1)]).unwrap();
        assert_eq!(later, seq.next());
        journal.wait_acked(later).await.unwrap();
    })
    .await;
    let puts = world.memory.inner().puts.clone();
    let first_later = puts.iter().position(|(seq, _)| *seq == Seq(3)).unwrap();
    let tries: Vec<_> = puts.iter().filter(|(seq, _)| *seq == Seq(2)).collect();
    assert_eq!(tries.len(), 5);
    assert!(tries.iter().all(|put| put.1 == tries[0].1), "equal bytes at every attempt");
    assert!(puts[first_later..].iter().all(|(seq, _)| *seq == Seq(3)), "only once it is settled");
}

#[tokio::test(start_paused = true)]
async fn stale_epoch_writer_is_fenced() {
    let world = World::new();
    let old = world.take_over(1).await.unwrap();
    let new = world.take_over(2).await.unwrap();
    let seq = old.record(vec![agent("a", 1)]).unwrap();
    let waiting = old.wait_acked(seq);
    let (end, waited) = futures::join!(end_of(&old), waiting);
    let writer = WriterId::from("rynxs-2");
    assert_eq!(end, JournalEnd::Fenced { epoch: Epoch(2), writer });
    waited.unwrap_err();
    old.record(vec![agent("b", 1)]).unwrap_err();
    assert_eq!(world.heard.count(|s| *s == Signal::StaleWriteRefused(RefusedBy::Log)), 1);
    assert_eq!(new.epoch(), Epoch(2));
    let log = verified(&world.memory);
    assert_eq!(log.kinds.len(), 3, "nothing of the old leader landed");
}

#[tokio::test(start_paused = true)]
async fn a_second_writer_in_the_epoch_halts() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    let twin = world.take_over(2).await.unwrap();
    // A record of our own epoch that we never wrote: only a broken installation has that.
    let forged = String::from_utf8(world.memory.lines()[1].clone()).unwrap();
    world.memory.inner().records.remove(&Seq(2));
    world.memory.inner().records.insert(Seq(2), forged.into_bytes());
    drop(twin);
    journal.record(vec![agent("a", 1)]).unwrap();
    let end = end_of(&journal).await;
    assert!(
        matches!(&end, JournalEnd::Halt(why) if why.contains("says that it is number 1")),
        "{end}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_leadership_and_takeover_settles_it() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    world.memory.plan([Whim::Late(Duration::from_secs(100))]);
    world.memory.plan(std::iter::repeat_n(Whim::LostRequest, 200));
    let before = world.elapsed();
    journal.record(vec![agent("a", 1)]).unwrap();
    let end = end_of(&journal).await;
    assert!(matches!(end, JournalEnd::Undecided { unknown: true, .. }), "{end}");
    let took = world.elapsed() - before;
    let deadline = world.config.append.deadline;
    assert!(took >= deadline && took < deadline + Duration::from_secs(1), "{took:?}");
    world.memory.inner().whims.clear();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let next = world.take_over(2).await.unwrap();
    assert_eq!(next.epoch(), Epoch(3), "behind the record that landed late");
    assert!(next.with_state(|state| state.agents().next().is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_the_first_attempt_is_said_clearly() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    world.memory.plan([Whim::Forbidden]);
    journal.record(vec![agent("a", 1)]).unwrap();
    let end = end_of(&journal).await;
    assert!(matches!(&end, JournalEnd::Config(fault) if fault.message == "403"), "{end}");
}

#[tokio::test(start_paused = true)]
async fn a_fact_that_does_not_fit_ends_the_journal() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    journal.record(vec![agent("a", 2)]).unwrap();
    let closed = journal.record(vec![agent("a", 1)]).unwrap_err();
    assert!(matches!(&closed.0, JournalEnd::Bug(_)), "{closed}");
    assert_eq!(end_of(&journal).await, closed.0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_pump_leaves_nobody_waiting() {
    let world = World::new();
    let journal = world.take_over(1).await.unwrap();
    let seq = journal.record(vec![agent("a", 1)]).unwrap();
    let pump = journal.run();
    let waiting = journal.wait_acked(seq);
    let half = tokio::time::timeout(Duration::from_millis(3), pump);
    let (dropped, waited) = futures::join!(half, waiting);
    assert!(dropped.is_err(), "in the middle of the put");
    assert_eq!(waited.unwrap_err().0, JournalEnd::Dropped);
}

fn whims() -> impl Strategy<Value = Vec<Whim>> {
    let one = prop_oneof![
        4 => Just(Whim::Honest),
        2 => Just(Whim::LostAnswer),
        2 => Just(Whim::LostRequest),
        2 => (0u64..4_000).prop_map(|ms| Whim::Late(Duration::from_millis(ms))),
        1 => Just(Whim::NotSent),
    ];
    prop::collection::vec(one, 0..60)
}

/// Agents and Sessions come, change, and their actions end, at random moments.
async fn live(journal: &Journal, steps: &[(u8, u8)]) {
    let names = ["a", "b", "s1", "s2", "s3", "s4"];
    let mut generations = [0; 6];
    for (what, pause_ms) in steps {
        let index = usize::from(what % 6);
        let name = names[index];
        let kind = if index < 2 { Kind::Agent } else { Kind::Session };
        let fact = journal.with_state(|state| {
            let outcome = applied(state, kind, name).filter(|_| what % 5 > 0);
            outcome.unwrap_or_else(|| {
                generations[index] += 1;
                match kind {
                    Kind::Agent => agent(name, generations[index]),
                    // s4 is b's, the others are a's.
                    _ => session(state, names[index / 5], name, generations[index]),
                }
            })
        });
        if let Err(closed) = journal.record(vec![fact]) {
            assert!(!matches!(closed.0, JournalEnd::Bug(_)), "{closed}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(u64::from(*pause_ms % 40))).await;
    }
    let _ = journal.wait_acked(journal.head()).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_the_store_does_the_log_is_what_was_acknowledged(
        whims in whims(),
        steps in prop::collection::vec(any::<(u8, u8)>(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let world = World::new();
            let journal = world.take_over(1).await.unwrap();
            world.memory.plan(whims);
            {
                let pump = std::pin::pin!(journal.run());
                let steps = std::pin::pin!(live(&journal, &steps));
                futures::future::select(pump, steps).await;
            }
            let acked = journal.acked_head();
            world.memory.deliver_all();
            let log = verified(&world.memory);
            let lines = world.memory.lines();
            let stored = decode(&lines[usize::try_from(acked.0.0).unwrap()]).unwrap();
            assert_eq!(stored.hash, acked.1, "I2: what was acknowledged is in the log");
            if journal.head() == acked.0 {
                let live = journal.with_state(|state| state.digest());
                assert_eq!(live, log.state.digest(), "I6: replay gives the live state");
            }
            world.memory.inner().whims.clear();
            let next = world.take_over(2).await.unwrap();
            assert_eq!(next.epoch().0, log.chain.next_seq().0, "base is 0");
            verified(&world.memory);
        });
    }
}
