//! Builds logs for tests: right ones through the library, wrong ones by hand-written bodies that
//! are sealed with a hash of their own.

#![allow(dead_code, reason = "each test binary uses its own part of the builder")]

use rynxs_core::chain::Chain;
use rynxs_core::event::{DecisionSettings, Event};
use rynxs_core::ids::{Epoch, Hash, Kind, LogId, Nonce, ObjectRef, Seq, Uid, WriterId};
use rynxs_core::record::{EncodedEvent, EncodedRecord, Header, encode};
use rynxs_core::resource::AgentSpec;
use rynxs_core::time::WallMs;
use sha2::{Digest, Sha256};

/// A log under construction.
#[derive(Default)]
pub(crate) struct LogBuilder {
    pub(crate) chain: Chain,
    pub(crate) lines: Vec<Vec<u8>>,
}

pub(crate) fn writer(term: u64) -> WriterId {
    WriterId(format!("rynxs-0_00000000-0000-4000-8000-{term:012}"))
}

pub(crate) fn nonce(seq: Seq) -> Nonce {
    Nonce((u128::from(seq.0) + 1).to_be_bytes())
}

pub(crate) fn settings() -> DecisionSettings {
    DecisionSettings {
        default_image: "ghcr.io/rynxs/agent:0.1.0".to_owned(),
        default_storage_class: String::new(),
        session_max_duration_s: 86_400,
    }
}

pub(crate) fn log_started(base: u64) -> Event {
    Event::LogStarted {
        log_id: LogId::from("000102030405060708090a0b0c0d0e0f"),
        base,
        predecessors: Vec::new(),
    }
}

pub(crate) fn epoch_started(epoch: Epoch, identity: WriterId) -> Event {
    Event::EpochStarted {
        epoch,
        identity,
        build: "0.1.0".to_owned(),
        logic: 1,
        settings: settings(),
    }
}

pub(crate) fn agent_observed(name: &str, generation: i64) -> Event {
    Event::AgentObserved {
        agent: ObjectRef::new(Kind::Agent, "default", name),
        uid: Uid(format!("uid-of-{name}")),
        generation,
        spec: AgentSpec::default(),
        inherited: Vec::new(),
    }
}

impl LogBuilder {
    /// A log with its first record.
    pub(crate) fn started(base: u64) -> Self {
        let mut log = Self::default();
        let header = Header {
            seq: Seq::ZERO,
            prev_hash: Hash::ZERO,
            epoch: Epoch(base),
            writer: writer(1),
            nonce: nonce(Seq::ZERO),
            ts_ms: WallMs(1_790_000_000_000),
        };
        let record = encode(&header, &[EncodedEvent::new(&log_started(base))]);
        log.push(&record.bytes);
        log
    }

    /// The next record's time.
    pub(crate) fn ts_ms(&self) -> WallMs {
        WallMs(1_790_000_000_000 + 1_000 * self.chain.next_seq().0)
    }

    /// Opens an epoch for term `term`.
    pub(crate) fn epoch(mut self, term: u64) -> Self {
        let seq = self.chain.next_seq();
        let header = self.chain.next_epoch_header(writer(term), nonce(seq), self.ts_ms());
        let event = epoch_started(header.epoch, writer(term));
        let record = encode(&header, &[EncodedEvent::new(&event)]);
        self.push(&record.bytes);
        self
    }

    /// Encodes the next record without adding it.
    pub(crate) fn next(&self, events: &[Event]) -> EncodedRecord {
        let seq = self.chain.next_seq();
        let header = self.chain.next_header(nonce(seq), self.ts_ms());
        encode(&header, &events.iter().map(EncodedEvent::new).collect::<Vec<_>>())
    }

    /// Adds a record of these events.
    pub(crate) fn record(mut self, events: &[Event]) -> Self {
        let record = self.next(events);
        self.push(&record.bytes);
        self
    }

    fn push(&mut self, bytes: &[u8]) {
        self.chain.push(bytes).expect("the builder builds right records");
        self.lines.push(bytes.to_vec());
    }
}

/// Wraps a body with its right hash, whatever the body says.
pub(crate) fn seal(body: &str) -> Vec<u8> {
    let hash = Sha256::digest([b"rynxs.log.v1\n".as_slice(), body.as_bytes()].concat());
    format!("{{\"event_hash\":\"{}\",\"record\":{body}}}", hex::encode(hash)).into_bytes()
}

/// The body of a record.
pub(crate) fn body(bytes: &[u8]) -> String {
    String::from_utf8(bytes[90..bytes.len() - 1].to_vec()).expect("records are UTF-8")
}

/// A record whose body had one text replaced and was sealed again.
pub(crate) fn edited(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let body = body(bytes);
    assert!(body.contains(from), "{body} has no {from}");
    seal(&body.replacen(from, to, 1))
}
