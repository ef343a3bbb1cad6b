//! What the log costs: encoding a record, and verifying 100,000 events beside the least that any
//! verifier must do with the same bytes in the same run: hash them, parse and hash them.
//!
//! To reach: verification at 80 % of bare parse and hash or better, and 1,000,000 events per second
//! on batched records. `Elements/s` in criterion's output are events. What `rynxs log verify` does
//! beyond the chain, reducing the log and making every decision again, is measured on the log of
//! agents that come and converge.

mod driver;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use driver::Driver;
use rynxs_core::chain::Chain;
use rynxs_core::decide::LOGIC;
use rynxs_core::event::{DecisionSettings, Event};
use rynxs_core::ids::{Epoch, Hash, Kind, LogId, Nonce, ObjectRef, Seq, Uid, WriterId};
use rynxs_core::record::{EncodedEvent, EncodedRecord, Header, encode, sha256};
use rynxs_core::replay::Replayer;
use rynxs_core::time::WallMs;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

const EVENTS: u64 = 100_000;

/// The commonest event: an action's outcome, 300 bytes.
fn outcome(n: u64) -> Event {
    Event::ActionApplied {
        decision: Seq(n / 5),
        subject: ObjectRef::new(Kind::Agent, "default", format!("agent-{n}")),
        action: u32::try_from(n % 5).expect("below five"),
        uid: Uid(format!("3f8b1c1e-6b7a-4c57-9d0e-{n:012}")),
        projection: sha256(&n.to_le_bytes()),
    }
}

fn writer() -> WriterId {
    WriterId::from("rynxs-0_3f8b1c1e-6b7a-4c57-9d0e-0123456789ab")
}

/// A log whose first epoch has begun.
fn begun() -> (Chain, Vec<EncodedRecord>) {
    let started = Event::LogStarted {
        log_id: LogId::from("000102030405060708090a0b0c0d0e0f"),
        base: 0,
        predecessors: Vec::new(),
    };
    let header = Header {
        seq: Seq::ZERO,
        prev_hash: Hash::ZERO,
        epoch: Epoch(0),
        writer: writer(),
        nonce: Nonce([1; 16]),
        ts_ms: WallMs(1_790_000_000_000),
    };
    let mut lines = vec![encode(&header, &[EncodedEvent::new(&started)])];
    let mut chain = Chain::new();
    chain.push(&lines[0].bytes).expect("a log starts");
    let header = chain.next_epoch_header(writer(), Nonce([2; 16]), WallMs(1_790_000_000_000));
    let epoch = Event::EpochStarted {
        epoch: header.epoch,
        identity: writer(),
        build: "0.1.0".to_owned(),
        logic: LOGIC,
        settings: DecisionSettings {
            default_image: "ghcr.io/rynxs/agent:v0.1.0".to_owned(),
            default_storage_class: String::new(),
            session_max_duration_s: 86_400,
        },
    };
    lines.push(encode(&header, &[EncodedEvent::new(&epoch)]));
    chain.push(&lines[1].bytes).expect("an epoch starts");
    (chain, lines)
}

/// A log of `EVENTS` outcomes, `batch` to a record.
fn log(batch: u64) -> Vec<EncodedRecord> {
    let (mut chain, mut lines) = begun();
    for first in (0..EVENTS).step_by(usize::try_from(batch).expect("small")) {
        let events: Vec<_> =
            (first..first + batch).map(|n| EncodedEvent::new(&outcome(n))).collect();
        let header = chain.next_header(Nonce([3; 16]), WallMs(1_790_000_000_000 + first));
        let record = encode(&header, &events);
        chain.push(&record.bytes).expect("it continues the log");
        lines.push(record);
    }
    lines
}

/// The log of so many agents from nothing to converged, 7 events each, a record for each fact and
/// what follows from it.
fn log_of_agents(agents: usize) -> (Vec<EncodedRecord>, u64) {
    let mut driver = Driver { kept: Some(Vec::new()), ..Driver::new() };
    (0..agents).for_each(|i| driver.converge(i, 1, "blue"));
    let (mut chain, mut lines) = begun();
    let kept = driver.kept.unwrap_or_default();
    for events in kept.chunk_by(|(a, _), (b, _)| a.seq == b.seq) {
        let encoded: Vec<_> = events.iter().map(|(_, event)| EncodedEvent::new(event)).collect();
        let header = chain.next_header(Nonce([3; 16]), WallMs(1_790_000_000_000));
        let record = encode(&header, &encoded);
        chain.push(&record.bytes).expect("it continues the log");
        lines.push(record);
    }
    (lines, driver.events)
}

/// The least typed view of a record.
#[derive(Deserialize)]
struct Bare<'a> {
    event_hash: &'a str,
    #[serde(borrow)]
    record: BareBody<'a>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "parsed, as any verifier must")]
struct BareBody<'a> {
    epoch: u64,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    nonce: &'a str,
    prev_hash: &'a str,
    seq: u64,
    ts_ms: u64,
    v: u64,
    writer: &'a str,
}

fn body_hash(bytes: &[u8]) -> [u8; 32] {
    let body = &bytes[90..bytes.len() - 1];
    Sha256::new().chain_update(b"rynxs.log.v1\n").chain_update(body).finalize().into()
}

fn parse_and_hash(lines: &[EncodedRecord]) {
    for line in lines {
        let bare: Bare<'_> = serde_json::from_slice(&line.bytes).expect("JSON");
        black_box((&bare.record, bare.event_hash, body_hash(&line.bytes)));
    }
}

fn check_chain(lines: &[EncodedRecord]) {
    let mut chain = Chain::new();
    for line in lines {
        black_box(chain.push(&line.bytes).expect("a right log"));
    }
}

fn verify(c: &mut Criterion) {
    for (name, batch) in [("batches of 100", 100), ("single events", 1)] {
        let lines = log(batch);
        let mut group = c.benchmark_group(format!("verify 100k events, {name}"));
        group.sample_size(20).throughput(Throughput::Elements(EVENTS));
        group.bench_function("bare SHA-256", |b| {
            b.iter(|| lines.iter().for_each(|line| _ = black_box(body_hash(&line.bytes))));
        });
        group.bench_function("bare parse + SHA-256", |b| {
            b.iter(|| parse_and_hash(&lines));
        });
        group.bench_function("chain", |b| {
            b.iter(|| check_chain(&lines));
        });
        group.finish();
    }
}

fn proof(c: &mut Criterion) {
    let (lines, events) = log_of_agents(2_000);
    let mut group = c.benchmark_group("verify the log of 2,000 agents");
    group.sample_size(10).throughput(Throughput::Elements(events));
    group.bench_function("bare parse + SHA-256", |b| {
        b.iter(|| parse_and_hash(&lines));
    });
    group.bench_function("chain", |b| {
        b.iter(|| check_chain(&lines));
    });
    group.bench_function("chain, reducer, every decision made again", |b| {
        b.iter(|| {
            let (mut chain, mut replay) = (Chain::new(), Replayer::new());
            for line in &lines {
                let record = chain.push(&line.bytes).expect("a right log");
                replay.push(&record).expect("decisions of this binary");
            }
            assert!(replay.counts().decisions >= 2_000, "nothing was made again");
        });
    });
    group.finish();
}

fn encoding(c: &mut Criterion) {
    let events: Vec<_> = (0..100).map(outcome).collect();
    let header = Header {
        seq: Seq(7),
        prev_hash: Hash::ZERO,
        epoch: Epoch(3),
        writer: writer(),
        nonce: Nonce([1; 16]),
        ts_ms: WallMs(1_790_000_000_000),
    };
    let mut group = c.benchmark_group("encode + hash");
    for size in [1usize, 100] {
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(format!("a record of {size} event(s)"), |b| {
            b.iter(|| {
                let encoded: Vec<_> = events[..size].iter().map(EncodedEvent::new).collect();
                black_box(encode(&header, &encoded))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, encoding, verify, proof);
criterion_main!(benches);
