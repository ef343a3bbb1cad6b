//! The file store on a disk that works, fills up, fails, or is shared.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use rynxs_core::error::ErrorKind;
use rynxs_core::ids::Seq;
use rynxs_operator::store::{
    ExistsOutcome, FaultCause, FileLogStore, GetOutcome, ListOutcome, LogStore, OpenError,
    PutOutcome,
};

use crate::disk::{Disk, Survivor};
use crate::log::records;

/// Small enough that a few records fill a segment.
pub(crate) const SEGMENT_BYTES: u64 = 1500;

pub(crate) async fn open(disk: &Disk) -> Result<FileLogStore, OpenError> {
    FileLogStore::open_with(Arc::new(disk.clone()), "log", "/var/lib/rynxs/log", SEGMENT_BYTES)
        .await
}

pub(crate) async fn put(store: &FileLogStore, seq: u64, record: &Bytes) -> PutOutcome {
    store.put(Seq(seq), record.clone()).await
}

/// A disk with a log of these records.
pub(crate) async fn written(records: &[Bytes]) -> Disk {
    let disk = Disk::default();
    let store = open(&disk).await.unwrap();
    for (seq, record) in (0..).zip(records) {
        assert_eq!(put(&store, seq, record).await, PutOutcome::Committed);
    }
    disk
}

#[tokio::test]
async fn segments_are_named_by_their_first_record_and_roll_at_the_limit() {
    let records = records(8);
    let disk = written(&records).await;
    let segments: Vec<_> =
        disk.names().into_iter().filter(|name| name.ends_with(".jsonl")).collect();
    assert!(segments.len() > 1, "{segments:?}");
    let mut seq = 0;
    for name in &segments {
        assert_eq!(*name, format!("log/{seq:010}.jsonl"));
        let bytes = disk.file(name);
        assert!(bytes.len() as u64 <= SEGMENT_BYTES);
        for line in bytes.strip_suffix(b"\n").unwrap().split(|&byte| byte == b'\n') {
            assert_eq!(line, records[seq]);
            seq += 1;
        }
    }
    assert_eq!(seq, records.len());
}

#[tokio::test]
async fn acknowledged_records_survive_the_loss_of_all_that_was_not_synced() {
    let records = records(8);
    let disk = written(&records).await.after_crash(Survivor::Nothing);
    let store = open(&disk).await.unwrap();
    assert_eq!(store.repaired(), []);
    for (seq, record) in (0..).zip(&records) {
        assert_eq!(store.get(Seq(seq)).await, GetOutcome::Found(record.to_vec()));
    }
}

#[tokio::test]
async fn second_process_is_told_who_is_in_the_way() {
    let disk = Disk::default();
    let first = open(&disk).await.unwrap();
    let error = open(&disk).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("log/lock is locked"), "{error}");
    drop(first);
    open(&disk).await.unwrap();
}

#[tokio::test]
async fn failed_sync_poisons_the_store_for_good() {
    let records = records(4);
    let disk = Disk::default();
    let store = open(&disk).await.unwrap();
    assert_eq!(put(&store, 0, &records[0]).await, PutOutcome::Committed);
    disk.fail_syncs(1);
    let PutOutcome::Unknown(fault) = put(&store, 1, &records[1]).await else {
        panic!("a failed sync proves nothing");
    };
    assert_eq!(fault.cause, FaultCause::Disk);
    // The disk works again, and is not believed.
    for (seq, record) in [(1, &records[1]), (1, &records[1]), (2, &records[2])] {
        let PutOutcome::Refused(fault) = put(&store, seq, record).await else {
            panic!("a poisoned store takes nothing");
        };
        assert!(fault.message.contains("Input/output error"), "{}", fault.message);
    }
    // What sits in the page cache alone is not shown, and not denied either.
    assert!(matches!(store.get(Seq(1)).await, GetOutcome::Unknown(_)));
    assert!(matches!(store.exists(Seq(1)).await, ExistsOutcome::Unknown(_)));
    assert!(matches!(store.first_key_after(Some(Seq(0))).await, ListOutcome::Unknown(_)));
    assert_eq!(store.get(Seq(0)).await, GetOutcome::Found(records[0].to_vec()));
}

#[tokio::test]
async fn full_disk_is_waited_out_without_leaving_a_torn_line() {
    let records = records(8);
    let disk = Disk::default();
    let store = open(&disk).await.unwrap();
    for (seq, record) in (0..).zip(&records) {
        for free in [0, 1, record.len() as u64] {
            disk.set_free_bytes(Some(free));
            let PutOutcome::Unknown(fault) = put(&store, seq, record).await else {
                panic!("record {seq} with {free} bytes free");
            };
            assert!(fault.message.contains("free some space"), "{}", fault.message);
            assert!(matches!(store.get(Seq(seq)).await, GetOutcome::Unknown(_)));
        }
        disk.set_free_bytes(None);
        assert_eq!(put(&store, seq, record).await, PutOutcome::Committed);
    }
    drop(store);
    let store = open(&disk).await.unwrap();
    assert_eq!(store.repaired(), []);
    assert_eq!(store.get(Seq(7)).await, GetOutcome::Found(records[7].to_vec()));
}

#[tokio::test]
async fn abandoned_put_is_settled_by_sending_it_again() {
    let records = records(4);
    for turns in 1..4 {
        let disk = Disk::default();
        let store = open(&disk).await.unwrap();
        assert_eq!(put(&store, 0, &records[0]).await, PutOutcome::Committed);
        disk.delay(turns);
        // Polled once: the append took effect, its answer is not awaited.
        assert_eq!(put(&store, 1, &records[1]).now_or_never(), None);
        disk.delay(0);
        assert!(matches!(store.get(Seq(1)).await, GetOutcome::Unknown(_)));
        assert_eq!(put(&store, 1, &records[1]).await, PutOutcome::Committed);
        assert_eq!(put(&store, 2, &records[2]).await, PutOutcome::Committed);
        drop(store);
        let store = open(&disk).await.unwrap();
        assert_eq!(store.get(Seq(2)).await, GetOutcome::Found(records[2].to_vec()));
    }
}

#[tokio::test]
async fn what_can_never_be_right_is_refused_before_it_is_written() {
    let records = records(4);
    let disk = Disk::default();
    let store = open(&disk).await.unwrap();
    let steps = disk.steps();
    for (seq, bytes, why) in [
        (1, records[1].clone(), "gap"),
        (0, Bytes::new(), "0 bytes"),
        (0, Bytes::from_static(b"{}\n{}"), "line end"),
    ] {
        let PutOutcome::Refused(fault) = store.put(Seq(seq), bytes).await else {
            panic!("{why}");
        };
        assert!(fault.message.contains(why), "{}", fault.message);
    }
    assert_eq!(disk.steps(), steps);
    assert_eq!(store.describe(), "file:///var/lib/rynxs/log");
}

#[tokio::test]
async fn record_that_a_failed_sync_left_in_the_cache_is_on_disk_once_it_is_shown() {
    let records = records(4);
    let disk = Disk::default();
    let store = open(&disk).await.unwrap();
    assert_eq!(put(&store, 0, &records[0]).await, PutOutcome::Committed);
    disk.fail_syncs(1);
    assert!(matches!(put(&store, 1, &records[1]).await, PutOutcome::Unknown(_)));
    drop(store);
    // The next term opens the log again: the cache shows the record, the disk has a hole.
    let store = open(&disk).await.unwrap();
    assert_eq!(store.get(Seq(1)).await, GetOutcome::Found(records[1].to_vec()));
    assert_eq!(put(&store, 2, &records[2]).await, PutOutcome::Committed);
    drop(store);
    let store = open(&disk.after_crash(Survivor::Nothing)).await.unwrap();
    for (seq, record) in (0..3).zip(&records) {
        assert_eq!(store.get(Seq(seq)).await, GetOutcome::Found(record.to_vec()));
    }
}

#[tokio::test]
async fn failed_sync_while_opening_is_no_log() {
    let disk = written(&records(3)).await;
    let before = disk.file("log/0000000000.jsonl");
    disk.fail_syncs(1);
    assert_eq!(open(&disk).await.err().unwrap().kind(), ErrorKind::Retry);
    assert_eq!(disk.file("log/0000000000.jsonl"), before);
    open(&disk).await.unwrap();
}
