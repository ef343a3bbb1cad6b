//! The judge's own reading of a record, apart from core's: a slip in one shows against the other.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

const HASH_DOMAIN: &[u8] = b"rynxs.log.v1\n";
const HASH_FIELD: &str = "{\"event_hash\":\"";
const BODY_FIELD: &str = "\",\"record\":";
const HASH_DIGITS: usize = 64;

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

fn hex_sha256(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl LogRecord {
    /// Reads one record and checks its hash over the exact bytes.
    pub fn parse(text: &str) -> Result<Self, RecordFault> {
        let body_at = HASH_FIELD.len() + HASH_DIGITS + BODY_FIELD.len();
        let framed = text.is_char_boundary(HASH_FIELD.len() + HASH_DIGITS)
            && text.starts_with(HASH_FIELD)
            && text.get(HASH_FIELD.len() + HASH_DIGITS..body_at) == Some(BODY_FIELD)
            && text.ends_with('}');
        if !framed || text.len() <= body_at {
            return Err(RecordFault::Frame);
        }
        let stored = &text[HASH_FIELD.len()..HASH_FIELD.len() + HASH_DIGITS];
        let raw = &text[body_at..text.len() - 1];
        let computed = hex_sha256(&[HASH_DOMAIN, raw.as_bytes()]);
        if computed != stored {
            return Err(RecordFault::Hash { computed, stored: stored.to_owned() });
        }
        let body: Body<'_> =
            serde_json::from_str(raw).map_err(|error| RecordFault::Body(error.to_string()))?;
        if body.v != 1 || body.nonce.len() != 32 || body.events.is_empty() || body.ts_ms == 0 {
            return Err(RecordFault::Body("version, nonce, time or events out of range".into()));
        }
        let events = body.events.iter().map(|raw| parse_event(raw)).collect::<Result<_, _>>()?;
        Ok(Self {
            seq: body.seq,
            prev_hash: body.prev_hash,
            hash: computed,
            epoch: body.epoch,
            writer: body.writer,
            events,
        })
    }
}

fn parse_event(raw: &RawValue) -> Result<LogEvent, RecordFault> {
    let fields: Value = serde_json::from_str(raw.get())
        .map_err(|error| RecordFault::Body(format!("event: {error}")))?;
    let name = fields
        .get("type")
        .and_then(Value::as_str)
        .ok_or_else(|| RecordFault::Body("event without a type".into()))?
        .to_owned();
    Ok(LogEvent { name, sha256: hex_sha256(&[raw.get().as_bytes()]), fields })
}
