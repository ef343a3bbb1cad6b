//! A valid log to store: a first record, an epoch, and records whose texts hold all that is odd.

use bytes::Bytes;
use rynxs_core::event::{DecisionSettings, Event, Timer};
use rynxs_core::ids::{Epoch, Hash, Kind, Nonce, ObjectRef, Seq, Uid, WriterId};
use rynxs_core::record::{EncodedEvent, Header, encode};
use rynxs_core::time::WallMs;

/// The first `count` records of one log.
pub(crate) fn records(count: u64) -> Vec<Bytes> {
    let writer = WriterId::from("rynxs-0_5b0c2b1e");
    let mut prev_hash = Hash::ZERO;
    let mut all = Vec::new();
    for seq in 0..count {
        let header = Header {
            seq: Seq(seq),
            prev_hash,
            epoch: if seq == 0 { Epoch(0) } else { Epoch(1) },
            writer: writer.clone(),
            nonce: Nonce([u8::try_from(seq % 251).unwrap(); 16]),
            ts_ms: WallMs(1_795_341_600_000 + seq),
        };
        let record = encode(&header, &[EncodedEvent::new(&event(seq, &writer))]);
        prev_hash = record.hash;
        all.push(Bytes::copy_from_slice(&record.bytes));
    }
    all
}

fn event(seq: u64, writer: &WriterId) -> Event {
    match seq {
        0 => Event::LogStarted {
            log_id: "0123456789abcdef0123456789abcdef".into(),
            base: 0,
            predecessors: Vec::new(),
        },
        1 => Event::EpochStarted {
            epoch: Epoch(1),
            identity: writer.clone(),
            build: "0.1.0".to_owned(),
            logic: 1,
            settings: DecisionSettings {
                // `@`, blanks and letters one bit away from control characters.
                default_image: "ghcr.io/rynxs/agent @sha256:JJ ** zz".to_owned(),
                default_storage_class: String::new(),
                session_max_duration_s: 86_400,
            },
        },
        _ => Event::TimerFired {
            subject: ObjectRef::new(Kind::Session, "team-a", format!("session-{seq}")),
            uid: Uid::from("0f8fad5b-d9cb-469f-a165-70867728950e"),
            timer: Timer::Expiry,
            due_ms: 1_795_341_600_000 + seq,
        },
    }
}
