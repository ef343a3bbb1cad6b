//! Power lost at every step of a log's life, with everything that a disk may keep of it.

use bytes::Bytes;
use rynxs_core::ids::Seq;
use rynxs_operator::store::{GetOutcome, LogStore, PutOutcome};

use crate::disk::{Disk, Survivor};
use crate::file::{open, put};
use crate::log::records;

const COUNT: u64 = 7;

/// Writes until the power goes; how many records were acknowledged.
async fn write(disk: &Disk, records: &[Bytes]) -> u64 {
    let Ok(store) = open(disk).await else { return 0 };
    for (seq, record) in (0..).zip(records) {
        if put(&store, seq, record).await != PutOutcome::Committed {
            return seq;
        }
    }
    records.len() as u64
}

/// What is there must be a prefix of what was sent, with all that was acknowledged; and the log
/// must go on.
async fn check(disk: &Disk, records: &[Bytes], acknowledged: u64, case: &str) {
    let store = open(disk).await.unwrap_or_else(|error| panic!("{case}: {error}"));
    let mut tail = 0;
    while let GetOutcome::Found(bytes) = store.get(Seq(tail)).await {
        assert_eq!(bytes, records[usize::try_from(tail).unwrap()], "{case}: record {tail}");
        tail += 1;
    }
    assert!(tail >= acknowledged, "{case}: {acknowledged} were acknowledged, {tail} are there");
    assert!(tail <= acknowledged + 1, "{case}: only one was under way");
    let torn = store.repaired();
    assert!(torn.len() <= 1 && torn.iter().all(|torn| torn.at == Seq(tail)), "{case}: {torn:?}");
    for (seq, record) in (0..).zip(records).skip(usize::try_from(tail).unwrap()) {
        assert_eq!(put(&store, seq, record).await, PutOutcome::Committed, "{case}: record {seq}");
    }
    drop(store);
    let again = open(disk).await.unwrap_or_else(|error| panic!("{case}, again: {error}"));
    // Record 1 begins the only epoch: what was torn off up to there is recorded in it.
    let unrecorded: Vec<_> = torn.into_iter().filter(|torn| torn.at > Seq(1)).collect();
    assert_eq!(again.repaired(), unrecorded, "{case}: kept until recorded, and repaired once");
    assert!(matches!(again.get(Seq(COUNT - 1)).await, GetOutcome::Found(_)), "{case}");
}

fn survivors(longest: usize) -> Vec<Survivor> {
    let mut all =
        vec![Survivor::Nothing, Survivor::Everything, Survivor::Sectors(0), Survivor::Sectors(1)];
    // Every length around the ends of a line, some in between.
    let edges = (0..4).chain(longest - 3..=longest + 1);
    all.extend(edges.chain((4..longest - 3).step_by(37)).map(Survivor::Prefix));
    all
}

#[tokio::test]
async fn acknowledged_records_outlive_a_crash_at_every_step() {
    let records = records(COUNT);
    let longest = records.iter().map(Bytes::len).max().unwrap();
    let whole = Disk::default();
    assert_eq!(write(&whole, &records).await, COUNT);
    let mut cases = 0;
    for step in 0..whole.steps() {
        for lands in [false, true] {
            let disk = Disk::default();
            disk.lose_power_at(step, lands);
            let acknowledged = write(&disk, &records).await;
            assert!(acknowledged < COUNT, "the power went before the end");
            for survivor in survivors(longest) {
                let case = format!("step {step} (lands: {lands}), {survivor:?}");
                check(&disk.after_crash(survivor), &records, acknowledged, &case).await;
                cases += 1;
            }
        }
    }
    assert!(cases > 500, "{cases} cases");
}

#[tokio::test]
async fn crash_during_the_repair_of_a_crash_loses_nothing_more() {
    let records = records(COUNT);
    let whole = Disk::default();
    write(&whole, &records).await;
    // The last step at which an append lands and its sync does not: its line can be torn.
    let mut found = None;
    for step in (0..whole.steps()).rev() {
        let disk = Disk::default();
        disk.lose_power_at(step, true);
        let acknowledged = write(&disk, &records).await;
        let torn = disk.after_crash(Survivor::Prefix(100));
        let repair = open(&torn.copy()).await.unwrap().repaired();
        if let [repair] = repair[..] {
            assert_eq!(repair.bytes, 100);
            found = Some((torn, acknowledged));
            break;
        }
    }
    let (torn, acknowledged) = found.expect("some append can be torn");
    let whole = torn.copy();
    let repair = open(&whole).await.unwrap().repaired();
    for step in 0..=whole.steps() {
        for lands in [false, true] {
            let once_more = torn.copy();
            once_more.lose_power_at(step, lands);
            drop(open(&once_more).await);
            let opened = open(&once_more.copy()).await.unwrap();
            assert_eq!(opened.repaired(), repair, "step {step} (lands: {lands})");
            for survivor in [Survivor::Nothing, Survivor::Everything] {
                let case = format!("repair step {step} (lands: {lands}), {survivor:?}");
                let disk = once_more.after_crash(survivor);
                check(&disk, &records, acknowledged, &case).await;
            }
        }
    }
}
