//! From events to the bytes of a record.

use sha2::{Digest, Sha256};

use super::scan::{Scanner, event_kind};
use super::text::{sha256, write_string};
use super::{
    DOMAIN, EncodedRecord, Header, MAX_EVENTS, MAX_OVERHEAD_BYTES, MAX_RECORD_BYTES, MAX_SEQ,
    MAX_WRITER_BYTES, VERSION,
};
use crate::canonical;
use crate::event::Event;
use crate::ids::Hash;

/// One event as it stands in a record; encoded once, hashed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedEvent {
    json: Box<str>,
    sha256: Hash,
    kind: &'static str,
}

impl EncodedEvent {
    /// The canonical form of an event.
    #[must_use]
    pub fn new(event: &Event) -> Self {
        let value = serde_json::to_value(event).expect("keys are strings and numbers are finite");
        let json = String::from_utf8(canonical::bytes(&value)).expect("JSON is UTF-8");
        let json = json.into_boxed_str();
        // A record that no reader accepts must never be written, so the reader's own check runs
        // on every event: about a fifth of the cost of serialising it.
        let mut scanner = Scanner::new(&json);
        let written = scanner.event().expect("an event's canonical JSON passes the reader's check");
        let kind = event.kind();
        assert_eq!(event_kind(&json, written), kind, "an event's `type` is its variant's name");
        let sha256 = sha256(json.as_bytes());
        Self { json, sha256, kind }
    }

    /// Its canonical JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// SHA-256 of its canonical JSON: what a decision's trigger names it by.
    #[must_use]
    pub fn sha256(&self) -> Hash {
        self.sha256
    }

    /// Its `type`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Bytes that it takes in a record, with the comma before it.
    #[must_use]
    pub fn stored_len(&self) -> usize {
        self.json.len() + 1
    }
}

/// Encodes one record. Its bytes are a function of the arguments alone.
///
/// # Panics
/// If there is no event, or more than the format's limits allow: `batch` never lets that happen.
#[must_use]
pub fn encode(header: &Header, events: &[EncodedEvent]) -> EncodedRecord {
    assert!(!events.is_empty(), "a record holds at least one event");
    assert!(events.len() <= MAX_EVENTS, "a record holds at most {MAX_EVENTS} events");
    assert!(header.seq <= MAX_SEQ, "position {} has more than ten digits", header.seq);
    assert!(header.writer.0.len() <= MAX_WRITER_BYTES, "a writer has at most 512 bytes");
    let events_len: usize = events.iter().map(EncodedEvent::stored_len).sum();
    let mut out = String::with_capacity(MAX_OVERHEAD_BYTES + events_len);
    out.push_str(super::decode::BEFORE_HASH);
    // Replaced below, when the body is known.
    out.push_str(&Hash::ZERO.to_string());
    out.push_str(super::decode::BEFORE_BODY);
    push_body(header, events, &mut out);
    let body = &out.as_bytes()[super::decode::BODY_AT..];
    let hash = Hash(Sha256::new().chain_update(DOMAIN).chain_update(body).finalize().into());
    out.replace_range(super::decode::HASH_AT..super::decode::HASH_END, &hash.to_string());
    out.push('}');
    assert!(out.len() <= MAX_RECORD_BYTES, "a record has at most {MAX_RECORD_BYTES} bytes");
    EncodedRecord { seq: header.seq, hash, bytes: out.into_bytes().into() }
}

fn push_body(header: &Header, events: &[EncodedEvent], out: &mut String) {
    out.push_str("{\"epoch\":");
    out.push_str(&header.epoch.to_string());
    out.push_str(",\"events\":[");
    for (i, event) in events.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&event.json);
    }
    out.push_str("],\"nonce\":\"");
    out.push_str(&header.nonce.to_string());
    out.push_str("\",\"prev_hash\":\"");
    out.push_str(&header.prev_hash.to_string());
    out.push_str("\",\"seq\":");
    out.push_str(&header.seq.to_string());
    out.push_str(",\"ts_ms\":");
    out.push_str(&header.ts_ms.0.to_string());
    out.push_str(",\"v\":");
    out.push_str(&VERSION.to_string());
    out.push_str(",\"writer\":");
    write_string(header.writer.as_str(), out);
    out.push('}');
}
