//! I1 and I3: exactly the right record continues a log.

mod log_builder;

use log_builder::{
    LogBuilder, agent_observed, body, edited, epoch_started, log_started, nonce, seal, writer,
};
use rynxs_core::chain::{Chain, ChainFault};
use rynxs_core::ids::{Epoch, Hash, Seq, WriterId};
use rynxs_core::record::{EncodedEvent, Header, RecordError, encode};

fn two_epochs() -> LogBuilder {
    LogBuilder::started(2_000_000)
        .epoch(1)
        .record(&[agent_observed("a", 1), agent_observed("b", 1)])
        .epoch(2)
        .record(&[agent_observed("a", 2)])
}

#[test]
fn a_log_is_read_from_its_bytes_alone() {
    let log = two_epochs();
    let mut chain = Chain::new();
    for (seq, line) in log.lines.iter().enumerate() {
        let record = chain.push(line).unwrap();
        assert_eq!(record.header.seq, Seq(seq as u64));
    }
    assert_eq!(chain, log.chain);
    assert_eq!(chain.base(), Some(2_000_000));
    assert_eq!(chain.epoch(), Some(Epoch(2_000_003)), "base + seq of the second EpochStarted");
    assert_eq!(chain.writer(), Some(&writer(2)));
    assert_eq!(chain.next_seq(), Seq(5));
}

/// Pushes one record behind `two_epochs` and returns why it was refused; the chain stays.
fn refused(bytes: &[u8]) -> ChainFault {
    let mut chain = two_epochs().chain;
    let before = chain.clone();
    let error = chain.push(bytes).expect_err("the record does not continue the log");
    assert_eq!(error.seq, Seq(5));
    assert_eq!(chain, before, "a refused record changes nothing");
    error.fault
}

#[test]
fn another_position_is_refused() {
    let log = two_epochs();
    let last = log.lines.last().unwrap();
    assert_eq!(refused(last), ChainFault::Seq { expected: Seq(5), found: Seq(4) });
    let next = log.next(&[agent_observed("a", 3)]);
    let skipped = edited(&next.bytes, "\"seq\":5", "\"seq\":6");
    assert_eq!(refused(&skipped), ChainFault::Seq { expected: Seq(5), found: Seq(6) });
}

#[test]
fn another_predecessor_is_refused() {
    let log = two_epochs();
    let next = log.next(&[agent_observed("a", 3)]);
    let head = log.chain.head_hash();
    let bytes = edited(&next.bytes, &head.to_string(), &Hash::ZERO.to_string());
    assert_eq!(refused(&bytes), ChainFault::PrevHash { expected: head, found: Hash::ZERO });
}

#[test]
fn a_second_writer_in_an_epoch_is_refused() {
    let log = two_epochs();
    let next = log.next(&[agent_observed("a", 3)]);
    let bytes = edited(&next.bytes, writer(2).as_str(), writer(1).as_str());
    let expected =
        ChainFault::Writer { epoch: Epoch(2_000_003), expected: writer(2), found: writer(1) };
    assert_eq!(refused(&bytes), expected);
}

#[test]
fn an_epoch_changes_only_at_its_own_record() {
    let log = two_epochs();
    let next = log.next(&[agent_observed("a", 3)]);
    for found in [2_000_001, 2_000_005] {
        let bytes = edited(&next.bytes, "\"epoch\":2000003", &format!("\"epoch\":{found}"));
        assert!(
            matches!(refused(&bytes), ChainFault::Epoch { expected: Epoch(2_000_003), found: f, .. }
                if f == Epoch(found))
        );
    }
}

fn epoch_record(header_epoch: u64, event_epoch: u64, identity: WriterId) -> Vec<u8> {
    let log = two_epochs();
    let header = Header {
        epoch: Epoch(header_epoch),
        ..log.chain.next_epoch_header(writer(3), nonce(Seq(5)), log.ts_ms())
    };
    let event = epoch_started(Epoch(event_epoch), identity);
    encode(&header, &[EncodedEvent::new(&event)]).bytes.to_vec()
}

#[test]
fn an_epoch_is_base_plus_its_position() {
    let mut chain = two_epochs().chain;
    chain.push(&epoch_record(2_000_005, 2_000_005, writer(3))).unwrap();
    for (header, event) in
        [(2_000_004, 2_000_005), (2_000_005, 2_000_004), (2_000_006, 2_000_006), (5, 5)]
    {
        let fault = refused(&epoch_record(header, event, writer(3)));
        assert!(
            matches!(fault, ChainFault::Epoch { expected: Epoch(2_000_005), .. }),
            "{header} {event}: {fault:?}"
        );
    }
    let fault = refused(&epoch_record(2_000_005, 2_000_005, writer(4)));
    assert!(matches!(fault, ChainFault::Writer { .. }), "{fault:?}");
}

#[test]
fn markers_stand_only_where_they_belong() {
    let log = two_epochs();
    let misplaced = |index, kind: &str| ChainFault::Misplaced { index, kind: kind.to_owned() };
    let again = log.next(&[log_started(2_000_000)]);
    assert_eq!(refused(&again.bytes), misplaced(0, "LogStarted"));
    let second = log.next(&[agent_observed("a", 3), epoch_started(Epoch(2_000_005), writer(2))]);
    assert_eq!(refused(&second.bytes), misplaced(1, "EpochStarted"));
}

#[test]
fn a_log_starts_with_its_identity_alone() {
    let first = |bytes: &[u8]| Chain::new().push(bytes).unwrap_err().fault;
    let genesis = LogBuilder::started(0).lines.remove(0);
    let header = Header {
        seq: Seq(0),
        prev_hash: Hash::ZERO,
        epoch: Epoch(0),
        writer: writer(1),
        nonce: nonce(Seq(0)),
        ts_ms: log_builder::LogBuilder::default().ts_ms(),
    };
    let started = EncodedEvent::new(&log_started(0));
    let agent = EncodedEvent::new(&agent_observed("a", 1));
    let other = encode(&header, std::slice::from_ref(&agent));
    assert_eq!(first(&other.bytes), ChainFault::NotGenesis { found: "AgentObserved".to_owned() });
    let more = encode(&header, &[started, agent]);
    let found = "LogStarted, AgentObserved".to_owned();
    assert_eq!(first(&more.bytes), ChainFault::NotGenesis { found });
    let epoch = edited(&genesis, "\"epoch\":0", "\"epoch\":1");
    assert!(matches!(first(&epoch), ChainFault::Epoch { expected: Epoch(0), .. }));
    let base = (1 << 53) - 1;
    let body = body(&genesis)
        .replace("\"base\":0", &format!("\"base\":{base}"))
        .replace("\"epoch\":0", &format!("\"epoch\":{base}"));
    assert_eq!(first(&seal(&body)), ChainFault::Base { base });
}

#[test]
fn form_errors_say_where() {
    let log = two_epochs();
    let next = log.next(&[agent_observed("a", 3)]);
    let bytes = edited(&next.bytes, ",\"nonce\"", ",\"extra\":1,\"nonce\"");
    let ChainFault::Record(RecordError::Form { at, expected, found }) = refused(&bytes) else {
        panic!("not a form error")
    };
    assert_eq!(expected, "],\"nonce\":\"");
    assert_eq!(&bytes[at..at + 5], b"extra");
    assert!(found.contains("extra"), "{found}");
}

#[test]
fn a_later_format_version_is_named() {
    let log = two_epochs();
    let next = log.next(&[agent_observed("a", 3)]);
    let fault = refused(&edited(&next.bytes, "\"v\":1", "\"v\":2"));
    assert_eq!(fault, ChainFault::Record(RecordError::Version { found: 2, known: 1 }));
}
