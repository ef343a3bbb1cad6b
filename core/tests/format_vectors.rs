//! The vectors under `docs/format/vectors/`: what every implementation of the format must accept
//! and refuse. Run with `UPDATE_GOLDEN=1` to write them anew; a diff is a change of the format.

#![allow(clippy::unwrap_used, reason = "a panic is this test's answer")]

mod log_builder;

use std::collections::BTreeMap;
use std::path::PathBuf;

use log_builder::{
    LogBuilder, agent_observed, body, edited, epoch_started, log_started, seal, writer,
};
use rynxs_core::chain::Chain;
use rynxs_core::decide;
use rynxs_core::event::{ChildState, Event, Trigger};
use rynxs_core::ids::{Epoch, Hash, Kind, LogId, Nonce, ObjectRef, Seq, Uid};
use rynxs_core::record::{EncodedEvent, Header, encode, sha256};
use rynxs_core::replay::Replayer;
use rynxs_core::resource::AgentSpec;
use rynxs_core::state::{Position, State};
use rynxs_core::time::WallMs;
use serde_json::{Value, json};

type Lines = Vec<Vec<u8>>;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/format/vectors")
}

fn batch() -> [Event; 4] {
    let object = |kind, name: &str| ObjectRef::new(kind, "default", name);
    [
        Event::CheckpointCreated { size: 2, root: sha256(b"root"), head: sha256(b"head") },
        Event::AgentDeleted { agent: object(Kind::Agent, "a"), uid: Uid::from("u-1") },
        Event::SessionDeleted { session: object(Kind::Session, "s"), uid: Uid::from("u-2") },
        Event::ChildObserved {
            object: object(Kind::Job, "s-run"),
            uid: Uid::from("u-3"),
            state: ChildState::JobSucceeded { at_ms: 1_790_000_002_500 },
        },
    ]
}

/// Every kind of character that a string or a key may hold.
fn texts() -> Event {
    let keys = ["\"", "A", "\u{1}", "é", "😀", "\\", "a b", "\u{7f}", "\u{2028}", "/"];
    let permissions: BTreeMap<_, _> = keys.iter().map(|key| ((*key).to_owned(), true)).collect();
    let team = "quote \" backslash \\ solidus / bell \u{7} \u{8}\u{c}\n\r\t \u{1f} é 😀 \u{2028}";
    Event::AgentObserved {
        agent: ObjectRef::new(Kind::Agent, "default", "texts"),
        uid: Uid::from("u-4"),
        generation: 9_223_372_036_854_775_807,
        spec: AgentSpec { team: Some(team.to_owned()), permissions, ..AgentSpec::default() },
        inherited: Vec::new(),
    }
}

fn successor() -> LogBuilder {
    let mut log = LogBuilder::default();
    let header = Header {
        seq: Seq::ZERO,
        prev_hash: Hash::ZERO,
        epoch: Epoch(7_000_000),
        writer: writer(1),
        nonce: Nonce([0xab; 16]),
        ts_ms: WallMs(0),
    };
    let event = Event::LogStarted {
        log_id: LogId::from("f0e0d0c0b0a090807060504030201000"),
        base: 7_000_000,
        predecessors: vec![LogId::from("000102030405060708090a0b0c0d0e0f")],
    };
    let record = encode(&header, &[EncodedEvent::new(&event)]);
    log.chain.push(&record.bytes).unwrap();
    log.lines.push(record.bytes.to_vec());
    log.epoch(1)
}

fn two_epochs() -> LogBuilder {
    LogBuilder::started(0)
        .epoch(1)
        .record(&[agent_observed("a", 1)])
        .epoch(2)
        .record(&[agent_observed("a", 2)])
}

/// As a leader writes it: each observation with the decision that follows from it. This one holds
/// for `rynxs log verify` too.
fn decided() -> LogBuilder {
    let mut state = State::new();
    let mut log = LogBuilder::started(0);
    state.apply(Position::new(Seq(0), 0), &log_started(0)).unwrap();
    for (term, name) in [(1, "a"), (2, "b")] {
        let at = log.chain.next_seq();
        log = log.epoch(term);
        let opened = epoch_started(log.chain.epoch().unwrap(), writer(term));
        state.apply(Position::new(at, 0), &opened).unwrap();

        let seq = log.chain.next_seq();
        let observed = agent_observed(name, 1);
        let trigger = Trigger { seq, index: 0, sha256: EncodedEvent::new(&observed).sha256() };
        state.apply(Position::new(seq, 0), &observed).unwrap();
        let mut events = vec![observed];
        for follow_up in decide::follow_ups(&state, trigger, &events[0]) {
            let index = u32::try_from(events.len()).unwrap();
            state.apply(Position::new(seq, index), &follow_up).unwrap();
            events.push(follow_up);
        }
        log = log.record(&events);
    }
    log
}

fn valid() -> Vec<(&'static str, &'static str, Lines)> {
    let lines = |log: LogBuilder| log.lines;
    vec![
        ("genesis", "one LogStarted alone", lines(LogBuilder::started(0))),
        ("epoch", "the first EpochStarted, at record 1", lines(LogBuilder::started(0).epoch(1))),
        (
            "two_epochs",
            "a second leader takes over at record 3; form and chain alone, as nothing is decided",
            lines(two_epochs()),
        ),
        (
            "decided",
            "two leaders, and the decisions that follow from what they observed",
            lines(decided()),
        ),
        ("successor", "stamps start at a base, a predecessor is named", lines(successor())),
        (
            "batch",
            "several events in one record",
            lines(LogBuilder::started(0).epoch(1).record(&batch())),
        ),
        (
            "texts",
            "escapes, and keys that sort by what they say, not by their escapes",
            lines(LogBuilder::started(0).epoch(1).record(&[texts()])),
        ),
        ("tail_repaired", "an EpochStarted that records what was cut off a local file", {
            let log = LogBuilder::started(0).epoch(1);
            let seq = log.chain.next_seq();
            let nonce = log_builder::nonce(seq);
            let header = log.chain.next_epoch_header(writer(2), nonce, log.ts_ms());
            let repaired = Event::TailRepaired { bytes: 17, sha256: sha256(b"torn") };
            let events = [epoch_started(header.epoch, writer(2)), repaired];
            let record = encode(&header, &events.map(|event| EncodedEvent::new(&event)));
            let mut lines = log.lines;
            lines.push(record.bytes.to_vec());
            lines
        }),
    ]
}

/// Logs that are right up to their last line.
fn invalid() -> Vec<(&'static str, &'static str, Lines)> {
    let mut all = Vec::new();
    wrong_forms(&mut all);
    wrong_places(&mut all);
    all
}

fn behind(mut lines: Lines, last: Vec<u8>) -> Lines {
    lines.push(last);
    lines
}

fn wrong_forms(all: &mut Vec<(&'static str, &'static str, Lines)>) {
    let log = LogBuilder::started(0).epoch(1);
    let good = log.next(&batch()).bytes.to_vec();
    let mut add = |name, why, last: Vec<u8>| all.push((name, why, behind(log.lines.clone(), last)));
    let edit = |from: &str, to: &str| edited(&good, from, to);
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    add("flipped_bit", "one bit of the body is not what was hashed", flipped);
    add("cut_line", "the last line ends early", good[..good.len() - 20].to_vec());
    add("carriage_return", "a byte behind the record", [&good[..], b"\r"].concat());
    let upper = String::from_utf8(good.clone()).unwrap();
    let digits = upper[15..79].to_ascii_uppercase();
    add(
        "upper_case_hash",
        "hex digits are lower case",
        upper.replace(&upper[15..79], &digits).into(),
    );
    add("white_space", "the form is compact", edit("\"seq\":2", "\"seq\": 2"));
    add("white_space_in_event", "so are events", edit("{\"agent\"", "{ \"agent\""));
    add("unsorted_keys", "keys are sorted", {
        let (from, to) = ("\"seq\":2,\"ts_ms\":1790000002000", "\"ts_ms\":1790000002000,\"seq\":2");
        edit(from, to)
    });
    add("unsorted_keys_in_event", "so are those of events", {
        let (from, to) = (
            "\"type\":\"AgentDeleted\",\"uid\":\"u-1\"",
            "\"uid\":\"u-1\",\"type\":\"AgentDeleted\"",
        );
        edit(from, to)
    });
    add("repeated_key", "a key stands once", edit("\"size\":2", "\"size\":2,\"size\":2"));
    add("unknown_key", "the body has eight keys", edit(",\"nonce\"", ",\"extra\":0,\"nonce\""));
    add("missing_key", "and all of them", edit("\"ts_ms\":1790000002000,", ""));
    add("leading_zero", "integers are in their shortest form", edit("\"seq\":2", "\"seq\":02"));
    add("fraction", "numbers are integers", edit("\"size\":2", "\"size\":2.0"));
    add("exponent", "numbers are integers", edit("\"size\":2", "\"size\":2e0"));
    add("too_large", "of at most 64 bits", edit("\"size\":2", "\"size\":18446744073709551616"));
    add("needless_escape", "escapes are the shortest", edit("\"u-1\"", "\"\\u0075-1\""));
    add("no_type", "an event has a type", edit("\"type\":\"AgentDeleted\",", ""));
    let body = body(&good);
    let (start, end) = (body.find('[').unwrap(), body.rfind(']').unwrap());
    add("no_event", "a record has an event", seal(&format!("{}{}", &body[..=start], &body[end..])));
    add("later_version", "this is version 1", edit("\"v\":1", "\"v\":2"));
    add("not_utf8", "the text is UTF-8", {
        let at = good.windows(3).position(|w| w == b"u-1").unwrap();
        let mut body = good[90..good.len() - 1].to_vec();
        body[at - 90] = 0xff;
        seal_bytes(&body)
    });
}

fn seal_bytes(body: &[u8]) -> Vec<u8> {
    let hash = sha256(&[b"rynxs.log.v1\n", body].concat());
    [format!("{{\"event_hash\":\"{hash}\",\"record\":").as_bytes(), body, b"}"].concat()
}

fn wrong_places(all: &mut Vec<(&'static str, &'static str, Lines)>) {
    let log = two_epochs();
    let good = log.next(&[agent_observed("a", 3)]).bytes.to_vec();
    let head = log.chain.head_hash().to_string();
    let mut add = |name, why, last: Vec<u8>| all.push((name, why, behind(log.lines.clone(), last)));
    let edit = |from: &str, to: &str| edited(&good, from, to);
    add("gap", "seq is dense", edit("\"seq\":5", "\"seq\":6"));
    add("repeated_record", "seq is dense", log.lines[4].clone());
    add("wrong_prev_hash", "a record names its predecessor", edit(&head, &Hash::ZERO.to_string()));
    add("second_writer", "an epoch has one writer", edit(writer(2).as_str(), writer(1).as_str()));
    add("epoch_falls", "epochs never fall", edit("\"epoch\":3", "\"epoch\":1"));
    add("epoch_rises", "an epoch opens with EpochStarted", edit("\"epoch\":3", "\"epoch\":5"));
    let epoch = |header_epoch, event_epoch, identity| {
        let seq = log.chain.next_seq();
        let nonce = log_builder::nonce(seq);
        let header = log.chain.next_epoch_header(writer(3), nonce, log.ts_ms());
        let header = Header { epoch: Epoch(header_epoch), ..header };
        let event = EncodedEvent::new(&epoch_started(Epoch(event_epoch), identity));
        encode(&header, &[event]).bytes.to_vec()
    };
    add("epoch_is_not_seq", "an epoch is base + seq", epoch(6, 6, writer(3)));
    add("epoch_disagrees", "in the header and in the event", epoch(5, 4, writer(3)));
    add("identity_disagrees", "the epoch's writer is its identity", epoch(5, 5, writer(4)));
    add(
        "epoch_started_second",
        "EpochStarted stands first",
        log.next(&[agent_observed("a", 3), epoch_started(Epoch(5), writer(2))]).bytes.to_vec(),
    );
    add(
        "log_started_again",
        "LogStarted stands only in record 0",
        log.next(&[log_started(0)]).bytes.to_vec(),
    );
    let genesis = LogBuilder::started(0).lines.remove(0);
    let mut first = |name, why, line: Vec<u8>| all.push((name, why, vec![line]));
    first(
        "genesis_epoch",
        "the epoch of record 0 is the base",
        edited(&genesis, "\"epoch\":0", "\"epoch\":1"),
    );
    let mut other = Chain::new();
    other.push(&genesis).unwrap();
    let header = other.next_header(Nonce([1; 16]), WallMs(0));
    let header = Header { seq: Seq(0), prev_hash: Hash::ZERO, ..header };
    let agent = EncodedEvent::new(&agent_observed("a", 1));
    first("not_a_log", "a log starts with LogStarted", encode(&header, &[agent]).bytes.to_vec());
}

/// What this implementation says of a log.
fn verdict(lines: &[Vec<u8>]) -> Value {
    let mut chain = Chain::new();
    for (number, line) in lines.iter().enumerate() {
        if let Err(error) = chain.push(line) {
            return json!({ "valid": false, "record": number, "error": error.to_string() });
        }
    }
    let point = chain.point().expect("no vector is empty");
    json!({
        "valid": true,
        "records": lines.len(),
        "log_id": point.log_id,
        "base": point.base,
        "epoch": point.epoch,
        "head": point.head_hash,
        "decisions": decisions(lines),
    })
}

/// What the decision proof says of a valid log: a check of its own, beyond the format.
fn decisions(lines: &[Vec<u8>]) -> Value {
    let (mut chain, mut replay) = (Chain::new(), Replayer::new());
    for (number, line) in lines.iter().enumerate() {
        if let Err(error) = replay.push(&chain.push(line).unwrap()) {
            return json!({ "proven": false, "record": number, "error": error.to_string() });
        }
    }
    json!({ "proven": true, "made_again": replay.counts().decisions })
}

#[allow(clippy::disallowed_methods, reason = "a test reads and writes the files that it holds")]
#[test]
fn vectors_are_accepted_and_refused_as_documented() {
    #[allow(clippy::disallowed_methods, reason = "the way to write golden files anew")]
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut index = Vec::new();
    let mut files = BTreeMap::new();
    for (folder, logs) in [("valid", valid()), ("invalid", invalid())] {
        for (name, why, lines) in logs {
            let file = format!("{folder}/{name}.jsonl");
            let verdict = verdict(&lines);
            assert_eq!(verdict["valid"], folder == "valid", "{file}: {verdict}");
            if folder == "invalid" {
                assert_eq!(
                    verdict["record"],
                    lines.len() - 1,
                    "{file}: only its last line is wrong"
                );
            }
            index.push(json!({ "file": file, "why": why, "verdict": verdict }));
            let content = lines.iter().flat_map(|line| [line, b"\n".as_slice()]).flatten();
            let content: Vec<u8> = content.copied().collect();
            assert!(files.insert(file.clone(), content).is_none(), "{file} twice");
        }
    }
    let text = serde_json::to_string_pretty(&index).unwrap() + "\n";
    files.insert("index.json".to_owned(), text.into_bytes());
    for (file, content) in &files {
        let path = directory().join(file);
        if update {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, content).unwrap();
        }
        let stored = std::fs::read(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(
            stored == *content,
            "{file} differs from what is written now; if the format is meant to change, run with \
             UPDATE_GOLDEN=1 and look at the diff"
        );
    }
    let mut stored = Vec::new();
    for folder in ["valid", "invalid"] {
        for entry in std::fs::read_dir(directory().join(folder)).unwrap() {
            stored.push(format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy()));
        }
    }
    let orphan = stored.iter().find(|file| !files.contains_key(*file));
    assert_eq!(orphan, None, "a vector that nothing writes");
}

#[test]
fn the_vector_with_decisions_passes_the_decision_proof_and_one_without_does_not() {
    assert_eq!(decisions(&decided().lines), json!({ "proven": true, "made_again": 2 }));
    assert_eq!(decisions(&two_epochs().lines)["proven"], false);
}

#[allow(clippy::disallowed_methods, reason = "a test reads and writes the files that it holds")]
#[test]
fn vectors_are_read_from_their_files_alone() {
    let index = std::fs::read(directory().join("index.json")).unwrap();
    let index: Vec<Value> = serde_json::from_slice(&index).unwrap();
    assert!(index.len() > 30);
    for entry in index {
        let file = entry["file"].as_str().unwrap();
        let content = std::fs::read(directory().join(file)).unwrap();
        let content = content.strip_suffix(b"\n").unwrap();
        let lines: Vec<Vec<u8>> =
            content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        assert_eq!(verdict(&lines), entry["verdict"], "{file}");
    }
}
