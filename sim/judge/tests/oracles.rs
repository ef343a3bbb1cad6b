//! Each oracle fails on the violation it is named after, and passes without it.

use rynxs_judge::history::LogObject;
use rynxs_judge::{History, Invariant, LogWrite, ObjectWrite, judge};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const OPERATOR: &str = "system:serviceaccount:rynxs:rynxs";
const BASE: u64 = 0;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A log under construction: every push is an accepted write.
struct Log {
    history: History,
    prev_hash: String,
    epoch: u64,
    writer: String,
}

impl Log {
    fn new() -> Self {
        let history = History { operator: OPERATOR.into(), ..History::default() };
        let mut log = Self { history, prev_hash: "0".repeat(64), epoch: BASE, writer: "a".into() };
        log.push(&[json!({"type": "LogStarted", "log_id": "l", "base": BASE})]);
        log
    }

    fn encode(&self, seq: u64, events: &[Value]) -> String {
        let body = json!({
            "epoch": self.epoch, "events": events, "nonce": format!("{seq:032x}"),
            "prev_hash": self.prev_hash, "seq": seq, "ts_ms": 1, "v": 1, "writer": self.writer,
        })
        .to_string();
        let hash = sha256(format!("rynxs.log.v1\n{body}").as_bytes());
        format!("{{\"event_hash\":\"{hash}\",\"record\":{body}}}")
    }

    fn push(&mut self, events: &[Value]) -> u64 {
        let seq = self.history.log_at_end.len() as u64;
        let text = self.encode(seq, events);
        self.prev_hash = text[15..79].to_owned();
        let key = format!("{seq:010}.json");
        self.history.log_writes.push(LogWrite {
            key: key.clone(),
            text: text.clone(),
            status: 200,
            ..LogWrite::default()
        });
        self.history.log_at_end.push(LogObject { key, text });
        seq
    }

    fn take_over(&mut self, writer: &str) -> u64 {
        let seq = self.history.log_at_end.len() as u64;
        self.epoch = BASE + seq;
        self.writer = writer.into();
        let (epoch, identity) = (self.epoch, &self.writer);
        self.push(&[json!({"type": "EpochStarted", "epoch": epoch, "identity": identity})])
    }

    fn decide(&mut self) -> u64 {
        let action = json!({"verb": "Create", "object": "ConfigMap/ns/x-spec"});
        self.push(&[json!({
            "type": "ActionsDecided", "subject": "Agent/ns/x", "actions": [action],
        })])
    }

    fn applied(&mut self, decision: u64) -> u64 {
        self.push(&[json!({
            "type": "ActionApplied", "decision": decision, "subject": "Agent/ns/x", "action": 0,
        })])
    }

    fn effect(&mut self, stamp: u64, status: u16) {
        self.history.object_writes.push(ObjectWrite {
            user: OPERATOR.into(),
            verb: "patch".into(),
            object: "ConfigMap/ns/x-spec".into(),
            uid: "u1".into(),
            stamp: Some(stamp.to_string()),
            log: Some("l".into()),
            status,
            ..ObjectWrite::default()
        });
    }

    fn failed(&self) -> Vec<Invariant> {
        judge(&self.history).failed()
    }
}

/// A run with two leaders in which everything holds.
fn sound() -> Log {
    let mut log = Log::new();
    log.take_over("a");
    let first = log.decide();
    log.effect(BASE + first, 201);
    log.applied(first);
    log.take_over("b");
    let second = log.decide();
    log.effect(BASE + second, 200);
    log.effect(BASE + first, 403);
    log.applied(second);
    log
}

#[test]
fn a_sound_history_is_green() {
    let report = judge(&sound().history);
    assert!(report.is_green(), "{report}");
}

#[test]
fn an_empty_history_is_unknown_not_green() {
    let report = judge(&History::default());
    assert!(!report.is_green());
    assert!(report.failed().is_empty());
}

#[test]
fn a_changed_byte_breaks_the_chain() {
    let mut log = sound();
    let text = &mut log.history.log_at_end[2].text;
    *text = text.replace("x-spec", "y-spec");
    assert!(log.failed().contains(&Invariant::I1Chain));
}

#[test]
fn a_hole_breaks_the_chain() {
    let mut log = sound();
    log.history.log_at_end.remove(2);
    assert!(log.failed().contains(&Invariant::I1Chain));
}

#[test]
fn a_record_hashed_again_still_breaks_the_link_after_it() {
    let mut log = sound();
    let text = log.history.log_at_end[2].text.replace("x-spec", "y-spec");
    let body = &text[90..text.len() - 1];
    let hash = sha256(format!("rynxs.log.v1\n{body}").as_bytes());
    log.history.log_at_end[2].text = format!("{{\"event_hash\":\"{hash}\",\"record\":{body}}}");
    assert!(log.failed().contains(&Invariant::I1Chain));
}

#[test]
fn an_acknowledged_append_that_was_overwritten_is_lost() {
    let mut log = sound();
    let zombie = LogWrite { text: "other".into(), ..log.history.log_writes[3].clone() };
    log.history.log_at_end[3].text = zombie.text.clone();
    log.history.log_writes.push(zombie);
    assert_eq!(log.failed(), [Invariant::I1Chain, Invariant::I2Durable]);
}

#[test]
fn a_refused_zombie_append_harms_nothing() {
    let mut log = sound();
    let key = log.history.log_at_end[3].key.clone();
    log.history.log_writes.push(LogWrite {
        key,
        text: "zombie".into(),
        status: 412,
        ..LogWrite::default()
    });
    assert!(judge(&log.history).is_green());
}

#[test]
fn a_second_writer_in_an_epoch_is_found() {
    let mut log = sound();
    log.writer = "c".into();
    log.decide();
    assert_eq!(log.failed(), [Invariant::I3Epoch]);
}

#[test]
fn an_epoch_that_falls_is_found() {
    let mut log = sound();
    log.epoch -= 1;
    log.decide();
    assert!(log.failed().contains(&Invariant::I3Epoch));
}

#[test]
fn a_stale_write_that_takes_effect_is_found() {
    let mut log = sound();
    log.effect(BASE + 2, 200);
    assert_eq!(log.failed(), [Invariant::I4Fenced]);
}

#[test]
fn a_write_without_a_stamp_is_found() {
    let mut log = sound();
    log.effect(BASE + 2, 200);
    log.history.object_writes.last_mut().expect("just pushed").stamp = None;
    assert_eq!(log.failed(), [Invariant::I4Fenced]);
}

#[test]
fn two_decisions_under_one_stamp_are_found_unless_they_are_about_different_objects() {
    let decision = |subject: &str| {
        let object = subject.replace("Agent", "ConfigMap") + "-spec";
        let action = json!({"verb": "Create", "object": object});
        json!({"type": "ActionsDecided", "subject": subject, "actions": [action]})
    };
    let mut log = sound();
    log.push(&[decision("Agent/ns/y"), decision("Agent/ns/z")]);
    assert_eq!(log.failed(), []);
    log.push(&[decision("Agent/ns/y"), decision("Agent/ns/z"), decision("Agent/ns/y")]);
    assert_eq!(log.failed(), [Invariant::I4Fenced]);
}

#[test]
fn stamps_are_compared_as_numbers() {
    let mut log = sound();
    for _ in 0..8 {
        let decision = log.decide();
        log.effect(BASE + decision, 200);
        log.applied(decision);
    }
    assert!(judge(&log.history).is_green(), "{}", judge(&log.history));
}

#[test]
fn an_effect_that_nobody_decided_is_found() {
    let mut log = sound();
    log.effect(BASE + 1_000, 200);
    assert_eq!(log.failed(), [Invariant::I5Intent]);
}

#[test]
fn a_second_outcome_is_found() {
    let mut log = sound();
    log.applied(2);
    assert_eq!(log.failed(), [Invariant::I5Intent]);
}
