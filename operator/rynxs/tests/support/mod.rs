//! Builds real logs record by record, as a leader would, and runs the binary on them.

#![allow(clippy::unwrap_used, reason = "a test: what it unwraps is its claim")]

use std::path::Path;
use std::process::{Command, Output};

use rynxs_core::chain::Chain;
use rynxs_core::config::Config;
use rynxs_core::decide;
use rynxs_core::event::{Event, Trigger};
use rynxs_core::ids::{Epoch, Hash, Key, LogId, Nonce, Seq, Uid, WriterId};
use rynxs_core::record::{EncodedEvent, Header, encode, object_name};
use rynxs_core::resource::AgentSpec;
use rynxs_core::state::{Position, State};
use rynxs_core::time::WallMs;

/// A log in the making.
pub struct LogBuilder {
    chain: Chain,
    state: State,
    records: Vec<Vec<u8>>,
}

impl LogBuilder {
    /// A log with its first record and one epoch.
    pub fn new() -> Self {
        let mut log = Self { chain: Chain::new(), state: State::new(), records: Vec::new() };
        let header = Header {
            seq: Seq::ZERO,
            prev_hash: Hash::ZERO,
            epoch: Epoch(0),
            writer: WriterId::from("rynxs-0_a"),
            nonce: Nonce([7; 16]),
            ts_ms: WallMs(1_767_225_600_000),
        };
        let log_id = LogId("0123456789abcdef0123456789abcdef".to_owned());
        log.push(&header, vec![Event::LogStarted { log_id, base: 0, predecessors: Vec::new() }]);
        log.epoch("rynxs-0_a");
        log
    }

    /// A new leader.
    pub fn epoch(&mut self, identity: &str) {
        let header =
            self.chain.next_epoch_header(WriterId::from(identity), Nonce([8; 16]), self.now());
        let started = Event::EpochStarted {
            epoch: header.epoch,
            identity: header.writer.clone(),
            build: "test".to_owned(),
            logic: decide::LOGIC,
            settings: Config::default().decisions,
        };
        self.push(&header, vec![started]);
    }

    /// An agent was seen; the decision about it follows in the same record.
    pub fn agent(&mut self, name: &str) {
        let header = self.chain.next_header(Nonce([9; 16]), self.now());
        let (key, uid) = (Key::new("default", name), Uid(format!("uid-{name}")));
        self.push(&header, vec![decide::agent_observed(&key, &uid, 1, AgentSpec::default())]);
    }

    fn now(&self) -> WallMs {
        WallMs(1_767_225_600_000 + self.chain.next_seq().0 * 1_000)
    }

    fn push(&mut self, header: &Header, facts: Vec<Event>) {
        let mut encoded = Vec::new();
        for fact in facts {
            let index = u32::try_from(encoded.len()).unwrap();
            let written = EncodedEvent::new(&fact);
            let trigger = Trigger { seq: header.seq, index, sha256: written.sha256() };
            self.state.apply(Position::new(header.seq, index), &fact).unwrap();
            encoded.push(written);
            for follow_up in decide::follow_ups(&self.state, trigger, &fact) {
                let at = Position::new(header.seq, u32::try_from(encoded.len()).unwrap());
                self.state.apply(at, &follow_up).unwrap();
                encoded.push(EncodedEvent::new(&follow_up));
            }
        }
        let record = encode(header, &encoded);
        self.chain.push(&record.bytes).unwrap();
        self.records.push(record.bytes.to_vec());
    }

    /// Writes the log as copies of a bucket's keys.
    pub fn write_objects(&self, folder: &Path) {
        for (seq, record) in (0..).zip(&self.records) {
            std::fs::write(folder.join(object_name(Seq(seq))), record).unwrap();
        }
    }

    /// Writes the log as one segment of a local log.
    pub fn write_lines(&self, file: &Path) {
        let mut lines = Vec::new();
        for record in &self.records {
            lines.extend_from_slice(record);
            lines.push(b'\n');
        }
        std::fs::write(file, lines).unwrap();
    }
}

/// Runs `rynxs`; returns its exit code, standard output and standard error.
pub fn rynxs(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_rynxs")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}
