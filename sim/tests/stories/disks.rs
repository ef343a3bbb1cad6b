//! A log in files, on a disk that loses, refuses and rots.

use rynxs_judge::Invariant;
use rynxs_judge::event::Event;
use rynxs_judge::history::DiskOperation::{self, Append, LosePower, Rot, SyncData, SyncDir};
use rynxs_sim::Scenario;
use rynxs_sim::scenario::{Do, StoreKind};

use crate::play::{Seen, agent, play, until};

fn on_disk() -> Scenario {
    Scenario { replicas: 1, store: StoreKind::File, ..until(120_000) }
        .at(0, agent("a", 1))
        .at(0, agent("b", 1))
}

#[test]
fn a_power_loss_tears_the_last_line() {
    // The power goes while records are on their way to the disk. Whoever led stays out for L and a
    // grace after that.
    let mut story = Scenario { heal_at_ms: 190_000, ..on_disk() };
    for time in 0_u32..4 {
        let at = 25_000 + u64::from(time) * 40_000;
        for agents in 0..8 {
            story = story.at(at, agent(&format!("a{agents}"), time + 1));
        }
        let lost = Do::PowerLoss { torn: true, back_after_ms: 1_000 };
        story = story.at(at + 25 + 7 * u64::from(time), lost);
    }
    let all = play(&story, 1..7);
    for seen in &all {
        seen.excuses_only(&[]);
        seen.must_hit("file-log-led");
    }
    for seen in &all {
        assert!(seen.disk(LosePower).len() >= 4, "seed {}: the power went 4 times", seen.seed);
    }
    let left = |seen: &Seen| {
        let torn = seen.disk(LosePower).into_iter().filter(|work| work.outcome.contains("left"));
        torn.count() as u64
    };
    let told: u64 = all.iter().map(left).sum();
    let torn: u64 = all.iter().map(|seen| seen.hits("torn-line-repaired")).sum();
    assert!(torn > 0, "no line was torn");
    assert!(told >= torn, "{torn} lines were torn, and the disk told of {told}");
}

#[test]
fn a_power_loss_keeps_what_was_acknowledged() {
    let lost = |torn| Do::PowerLoss { torn, back_after_ms: 1_000 };
    let story = on_disk()
        .at(25_000, agent("a", 2))
        .at(25_040, lost(false))
        .at(60_000, agent("a", 3))
        .at(60_030, lost(false));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        assert!(seen.epochs().len() >= 3, "seed {}: {:?}", seen.seed, seen.epochs());
    }
}

#[test]
fn a_failed_fsync_is_never_retried() {
    let story = on_disk().at(20_000, Do::FailSyncs { count: 1 }).at(20_001, agent("a", 2));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        // The store is not believed any more: it is opened again, and a new epoch begins on what
        // is durable.
        assert_eq!(seen.epochs().len(), 2, "seed {}: {:?}", seen.seed, seen.epochs());
        let failed = seen.disk(SyncData).into_iter().filter(|work| work.failed());
        assert_eq!(failed.count(), 1, "seed {}: the disk tells of it", seen.seed);
    }
}

#[test]
fn a_full_disk_is_survived() {
    let story = on_disk()
        .at(20_000, Do::FillDisk { free_bytes: 100, for_ms: 30_000 })
        .at(20_001, agent("a", 2));
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        let early = seen
            .writes("ConfigMap/agents/a-spec")
            .any(|(at, write)| (20_001..50_000).contains(&at) && write.changed);
        assert!(!early, "seed {}: nothing is done that is not recorded", seen.seed);
        let full = seen.disk(Append).into_iter().filter(|work| work.outcome.contains("no space"));
        assert!(full.count() > 0, "seed {}: the disk tells of it", seen.seed);
    }
}

#[test]
fn bit_rot_refuses_to_start() {
    let story = on_disk().at(20_000, Do::BitRot { back_after_ms: 1_000 });
    let broken = [
        Invariant::I1Chain,
        Invariant::I2Durable,
        Invariant::I3Epoch,
        Invariant::I5Intent,
        Invariant::I6Replay,
        Invariant::I8Converge,
    ];
    for seen in play(&story, 1..5) {
        seen.excuses_only(&broken);
        assert!(!seen.halted().is_empty(), "seed {}: it started", seen.seed);
        assert_eq!(seen.disk(Rot).len(), 1, "seed {}: the disk tells of it", seen.seed);
        assert!(seen.epochs().len() == 1, "seed {}: {:?}", seen.seed, seen.epochs());
    }
}

#[test]
fn the_stream_tells_what_made_each_record_durable() {
    for seen in play(&on_disk(), 1..3) {
        let mut last: Option<(&str, DiskOperation, u64)> = None;
        let mut records = 0;
        for line in &seen.lines {
            match &line.event {
                Event::Disk(work) => {
                    assert_eq!((line.node.as_str(), work.replica.as_str()), ("disk-0", "rynxs-0"));
                    assert!(!work.failed(), "seed {}: {work:?}", seen.seed);
                    last = Some((&work.path, work.operation, work.bytes));
                }
                Event::LogWrite(write) => {
                    let bytes = write.text.len() as u64 + 1;
                    let (path, operation, synced) = last.expect("the disk worked before");
                    assert!(path.ends_with(".jsonl"), "seed {}: {path}", seen.seed);
                    assert_eq!((operation, synced), (SyncData, bytes), "seed {}", seen.seed);
                    assert_eq!(line.node, "disk-0");
                    records += 1;
                }
                _ => {}
            }
        }
        let appends = seen.disk(Append).len();
        assert!(records > 5 && appends >= records, "{records} records, {appends} appends");
        assert!(!seen.disk(SyncDir).is_empty(), "seed {}: names are made durable", seen.seed);
    }
}
