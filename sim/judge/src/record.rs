//! The judge's own reading of a record, apart from core's: a slip in one shows against the other.
//!
//! Written after `docs/format/README.md` alone, for I1. What is read here is in the one canonical
//! form that the format allows; everything else is a fault.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

const HASH_DOMAIN: &[u8] = b"rynxs.log.v1\n";
const HASH_FIELD: &str = "{\"event_hash\":\"";
const BODY_FIELD: &str = "\",\"record\":";
const HASH_DIGITS: usize = 64;
const NONCE_DIGITS: usize = 32;
/// 32 MiB.
const RECORD_MAX: usize = 32 << 20;
const EVENTS_MAX: usize = 65_536;
const WRITER_MAX: usize = 512;
const SEQ_MAX: u64 = 9_999_999_999;
/// Levels of objects and arrays below an event.
const DEPTH_MAX: usize = 64;

/// One event as the log has it.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEvent {
    /// Its `type`.
    pub name: String,
    /// All its fields.
    pub fields: Value,
    /// SHA-256 of its exact bytes.
    pub sha256: String,
}

impl LogEvent {
    /// A text field.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// A number field.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        self.fields.get(field).and_then(Value::as_u64)
    }

    /// The items of a list field; none if it is not there.
    pub fn list(&self, field: &str) -> impl Iterator<Item = &Value> {
        self.fields.get(field).and_then(Value::as_array).into_iter().flatten()
    }
}

/// One record as the log has it, its hash checked.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// Position.
    pub seq: u64,
    /// Hash of the record before it.
    pub prev_hash: String,
    /// Its own hash.
    pub hash: String,
    /// Epoch it claims.
    pub epoch: u64,
    /// Writer it claims.
    pub writer: String,
    /// Random bits of its append.
    pub nonce: String,
    /// Wall clock of the writer, Unix milliseconds.
    pub ts_ms: u64,
    /// Its events.
    pub events: Vec<LogEvent>,
}

/// Why a text is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The frame around hash and body is not there.
    #[error("not framed as a record")]
    Frame,
    /// The stored hash is not the hash of the body.
    #[error("hash of the body is {computed}, the record says {stored}")]
    Hash {
        /// What the bytes hash to.
        computed: String,
        /// What the record says.
        stored: String,
    },
    /// The body is not what a body must be.
    #[error("body: {0}")]
    Body(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    epoch: u64,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    nonce: String,
    prev_hash: String,
    seq: u64,
    ts_ms: u64,
    v: u64,
    writer: String,
}

/// SHA-256 of the parts in a row, as hex.
pub(crate) fn hex_sha256(parts: &[&[u8]]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let digit = |nibble: u8| char::from(HEX[usize::from(nibble)]);
    let bytes = hasher.finalize();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl LogRecord {
    /// Reads one record, and checks its form and its hash over the exact bytes.
    ///
    /// # Errors
    /// It is not a record; the fault says why.
    pub fn parse(text: &str) -> Result<Self, RecordFault> {
        let body_at = HASH_FIELD.len() + HASH_DIGITS + BODY_FIELD.len();
        let framed = text.is_char_boundary(HASH_FIELD.len() + HASH_DIGITS)
            && text.starts_with(HASH_FIELD)
            && text.get(HASH_FIELD.len() + HASH_DIGITS..body_at) == Some(BODY_FIELD)
            && text.ends_with('}');
        if !framed || text.len() <= body_at || text.len() > RECORD_MAX {
            return Err(RecordFault::Frame);
        }
        let stored = &text[HASH_FIELD.len()..HASH_FIELD.len() + HASH_DIGITS];
        let raw = &text[body_at..text.len() - 1];
        let computed = hex_sha256(&[HASH_DOMAIN, raw.as_bytes()]);
        if computed != stored {
            return Err(RecordFault::Hash { computed, stored: stored.to_owned() });
        }
        let body: Body<'_> = serde_json::from_str(raw).map_err(|error| fault(&error))?;
        body.check()?;
        if body.canonical() != raw {
            return Err(RecordFault::Body("not in canonical form".into()));
        }
        let events = body.events.iter().map(|raw| parse_event(raw)).collect::<Result<_, _>>()?;
        Ok(Self {
            seq: body.seq,
            prev_hash: body.prev_hash,
            hash: computed,
            epoch: body.epoch,
            writer: body.writer,
            nonce: body.nonce,
            ts_ms: body.ts_ms,
            events,
        })
    }

    /// The first event with this name.
    pub(crate) fn event(&self, name: &str) -> Option<&LogEvent> {
        self.events.iter().find(|event| event.name == name)
    }
}

fn fault(error: &serde_json::Error) -> RecordFault {
    RecordFault::Body(error.to_string())
}

impl Body<'_> {
    fn check(&self) -> Result<(), RecordFault> {
        let wrong = |what: &str| Err(RecordFault::Body(format!("{what} out of range")));
        match () {
            () if self.v != 1 => wrong("version"),
            () if !is_hex(&self.nonce, NONCE_DIGITS) => wrong("nonce"),
            () if !is_hex(&self.prev_hash, HASH_DIGITS) => wrong("prev_hash"),
            () if self.seq > SEQ_MAX => wrong("seq"),
            () if self.writer.len() > WRITER_MAX => wrong("writer"),
            () if self.events.is_empty() || self.events.len() > EVENTS_MAX => wrong("events"),
            () => Ok(()),
        }
    }

    /// The only text that a body with these values may have.
    fn canonical(&self) -> String {
        let events: Vec<&str> = self.events.iter().map(|event| event.get()).collect();
        format!(
            "{{\"epoch\":{},\"events\":[{}],\"nonce\":\"{}\",\"prev_hash\":\"{}\",\"seq\":{},\
             \"ts_ms\":{},\"v\":1,\"writer\":{}}}",
            self.epoch,
            events.join(","),
            self.nonce,
            self.prev_hash,
            self.seq,
            self.ts_ms,
            Value::from(self.writer.as_str()),
        )
    }
}

fn parse_event(raw: &RawValue) -> Result<LogEvent, RecordFault> {
    let text = raw.get();
    let fields: Value = serde_json::from_str(text).map_err(|error| fault(&error))?;
    let name = fields.get("type").and_then(Value::as_str);
    let name = name.ok_or_else(|| RecordFault::Body("event without a type".into()))?.to_owned();
    // Written again, a value in canonical form is the same text: the writer escapes as the format
    // asks, and what remains are the order of keys, fractions and depth.
    let again = fields.to_string();
    if !is_plain(&fields, DEPTH_MAX) || again != text {
        return Err(RecordFault::Body(format!("{name} not in canonical form")));
    }
    Ok(LogEvent { name, sha256: hex_sha256(&[text.as_bytes()]), fields })
}

/// Whether keys ascend, numbers are integers, and at most `depth` levels are below this one.
fn is_plain(value: &Value, depth: usize) -> bool {
    let below = |value: &Value| {
        let nests = value.is_object() || value.is_array();
        (!nests || depth > 0) && is_plain(value, depth.saturating_sub(1))
    };
    match value {
        Value::Object(fields) => {
            let ascending = fields.keys().zip(fields.keys().skip(1)).all(|(a, b)| a < b);
            ascending && fields.values().all(below)
        }
        Value::Array(items) => items.iter().all(below),
        Value::Number(number) => !number.is_f64(),
        _ => true,
    }
}
