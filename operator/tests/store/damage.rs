//! Files that changed while nobody wrote: refused, in words that name the place.

use rynxs_core::error::ErrorKind;
use rynxs_core::ids::Seq;
use rynxs_operator::store::{GetOutcome, LogStore, OpenError};

use crate::disk::Disk;
use crate::file::{open, written};
use crate::log::records;

async fn refusal(disk: &Disk) -> OpenError {
    let error = open(disk).await.err().expect("damage is refused");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    error
}

#[tokio::test]
async fn every_flipped_bit_is_found_and_nothing_is_changed() {
    // The second record holds blanks and `@`, which one flipped bit turns into zero bytes: as the
    // last record it must not be taken for a torn one.
    for count in [2, 5] {
        let disk = written(&records(count)).await;
        for name in disk.names().into_iter().filter(|name| name.ends_with(".jsonl")) {
            flip_every_bit(&disk, &name).await;
        }
    }
}

async fn flip_every_bit(disk: &Disk, name: &str) {
    let sound = disk.file(name);
    for byte in 0..sound.len() {
        for bit in 0..8 {
            let damaged = disk.copy();
            let mut bytes = sound.clone();
            bytes[byte] ^= 1 << bit;
            damaged.set_file(name, bytes.clone());
            let error = open(&damaged).await.err();
            let Some(OpenError::Corrupt { file, .. }) = error else {
                panic!("{name}, byte {byte}, bit {bit}: {error:?}");
            };
            assert!(file.starts_with("/var/lib/rynxs/log/"));
            assert_eq!(damaged.file(name), bytes, "{name} was left as it was");
        }
    }
}

#[tokio::test]
async fn cut_at_any_byte_leaves_a_true_prefix_or_is_refused() {
    let records = records(4);
    let disk = written(&records).await;
    let name = disk.names().into_iter().rfind(|name| name.ends_with(".jsonl")).unwrap();
    let sound = disk.file(&name);
    for len in 0..sound.len() {
        let cut = disk.copy();
        cut.set_file(&name, sound[..len].to_vec());
        let store = open(&cut).await.unwrap_or_else(|error| panic!("cut to {len}: {error}"));
        let mut seq = 0;
        while let GetOutcome::Found(bytes) = store.get(Seq(seq)).await {
            assert_eq!(bytes, records[usize::try_from(seq).unwrap()]);
            seq += 1;
        }
        let whole_lines =
            sound[..len].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let torn = (len - whole_lines) as u64;
        for repair in store.repaired() {
            assert_eq!((repair.bytes, repair.at), (torn, Seq(seq)), "cut to {len}");
        }
    }
}

#[tokio::test]
async fn missing_segment_is_named() {
    let disk = written(&records(9)).await;
    let segments: Vec<_> =
        disk.names().into_iter().filter(|name| name.ends_with(".jsonl")).collect();
    assert!(segments.len() >= 3, "{segments:?}");
    for gone in &segments[..segments.len() - 1] {
        let damaged = disk.copy();
        damaged.remove(gone);
        let words = refusal(&damaged).await.to_string();
        assert!(words.contains(&format!("/var/lib/rynxs/{gone} missing?")), "{words}");
    }
}

#[tokio::test]
async fn swapped_lines_foreign_lines_and_strange_names_are_refused() {
    let records = records(3);
    let disk = written(&records).await;
    let name = "log/0000000000.jsonl";
    let join = |order: &[usize]| {
        let lines = order.iter().flat_map(|&at| [&records[at][..], b"\n"].concat());
        lines.collect::<Vec<u8>>()
    };
    for (order, words) in [
        (&[0, 2, 1][..], "record 1"),
        (&[0, 0, 1][..], "record 1"),
        (&[1, 2][..], "record 0"),
        (&[0, 1, 1][..], "record 2"),
    ] {
        let damaged = disk.copy();
        damaged.set_file(name, join(order));
        let error = refusal(&damaged).await.to_string();
        assert!(error.contains(words), "{error}");
        assert!(error.contains("put back an undamaged copy"), "{error}");
    }
    let strange = disk.copy();
    strange.set_file("log/0000000000 (copy).jsonl", Vec::new());
    refusal(&strange).await;
    let harmless = disk.copy();
    harmless.set_file("log/lost+found", Vec::new());
    open(&harmless).await.unwrap();
}

#[tokio::test]
async fn torn_line_in_an_older_segment_is_no_crash() {
    let disk = written(&records(9)).await;
    let name = "log/0000000000.jsonl";
    let sound = disk.file(name);
    disk.set_file(name, sound[..sound.len() - 10].to_vec());
    refusal(&disk).await;
}
