//! From the bytes of a record to its header and its events.

use sha2::{Digest, Sha256};

use super::error::RecordError;
use super::scan::{EventSpan, Scan, Scanner, event_kind, excerpt};
use super::text::sha256;
use super::{DOMAIN, Header, MAX_EVENTS, MAX_RECORD_BYTES, MAX_WRITER_BYTES, VERSION};
use crate::event::Event;
use crate::ids::{Epoch, Hash, Nonce, Seq, WriterId};
use crate::time::WallMs;

/// What stands before the hash.
pub(super) const BEFORE_HASH: &str = "{\"event_hash\":\"";
/// What stands between the hash and the body.
pub(super) const BEFORE_BODY: &str = "\",\"record\":";
/// Offset of the hash's hex digits.
pub(super) const HASH_AT: usize = BEFORE_HASH.len();
/// Offset behind the hash.
pub(super) const HASH_END: usize = HASH_AT + 64;
/// Offset of the body: everything from here to before the last byte was hashed.
pub(super) const BODY_AT: usize = HASH_END + BEFORE_BODY.len();

/// A verified record that borrows its events from the stored bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it says besides its events.
    pub header: Header,
    /// Its hash, which its bytes were checked against.
    pub hash: Hash,
    text: &'a str,
    spans: Vec<EventSpan>,
}

/// One event of a record, not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawEvent<'a> {
    /// Its exact bytes.
    pub json: &'a str,
    /// Its `type`.
    pub kind: &'a str,
}

impl RawEvent<'_> {
    /// SHA-256 of its exact bytes: what a decision's trigger names it by.
    #[must_use]
    pub fn sha256(&self) -> Hash {
        sha256(self.json.as_bytes())
    }
}

impl<'a> Record<'a> {
    /// Number of events, at least one.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.spans.len()
    }

    /// The event at an index.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn raw_event(&self, index: usize) -> RawEvent<'a> {
        let span = self.spans[index];
        RawEvent { json: &self.text[span.start..span.end], kind: event_kind(self.text, span) }
    }

    /// All events, not parsed.
    pub fn raw_events(&self) -> impl ExactSizeIterator<Item = RawEvent<'a>> + '_ {
        (0..self.spans.len()).map(|index| self.raw_event(index))
    }

    /// SHA-256 of the exact bytes of the event at an index.
    #[must_use]
    pub fn event_sha256(&self, index: usize) -> Hash {
        self.raw_event(index).sha256()
    }

    /// Parses the event at an index.
    pub fn event(&self, index: usize) -> Result<Event, RecordError> {
        let raw = self.raw_event(index);
        serde_json::from_str(raw.json).map_err(|error| RecordError::Event {
            index,
            kind: raw.kind.to_owned(),
            message: error.to_string(),
        })
    }

    /// Parses all events.
    pub fn events(&self) -> Result<Vec<Event>, RecordError> {
        (0..self.spans.len()).map(|index| self.event(index)).collect()
    }
}

/// Reads one record, without a line end behind it: its form and its hash. Whether it continues a
/// log is for [`crate::chain::Chain`] to say, and whether its events are ones that this build
/// knows is known once they are parsed.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, RecordError> {
    read(bytes).map_err(|error| *error)
}

fn read(bytes: &[u8]) -> Scan<Record<'_>> {
    if bytes.len() > MAX_RECORD_BYTES {
        let error = RecordError::TooLarge { len: bytes.len(), limit: MAX_RECORD_BYTES };
        return Err(Box::new(error));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| RecordError::Form {
        at: error.valid_up_to(),
        expected: "UTF-8",
        found: excerpt(bytes, error.valid_up_to()),
    })?;
    let mut scan = Scanner::new(text);
    scan.literal(BEFORE_HASH)?;
    let stored = hash(&mut scan)?;
    scan.literal(BEFORE_BODY)?;
    let body = match bytes.split_last() {
        Some((b'}', _)) if bytes.len() > BODY_AT => &bytes[BODY_AT..bytes.len() - 1],
        _ => return Err(scan.error_at(bytes.len().saturating_sub(1), "`}` at the end")),
    };
    // The hash before the form: of damaged bytes it says more that they changed than what they
    // happen to look like now.
    let computed = Hash(Sha256::new().chain_update(DOMAIN).chain_update(body).finalize().into());
    if computed != stored {
        return Err(Box::new(RecordError::Hash { stored, computed }));
    }
    let (header, spans) = read_body(&mut scan).map_err(|error| other_version(body, error))?;
    Ok(Record { header, hash: stored, text, spans })
}

fn read_body(scan: &mut Scanner<'_>) -> Scan<(Header, Vec<EventSpan>)> {
    scan.literal("{\"epoch\":")?;
    let epoch = Epoch(scan.unsigned()?);
    scan.literal(",\"events\":[")?;
    let mut spans = Vec::with_capacity(4);
    loop {
        if spans.len() == MAX_EVENTS {
            return Err(Box::new(RecordError::TooManyEvents { limit: MAX_EVENTS }));
        }
        spans.push(scan.event()?);
        if !scan.take(b',') {
            break;
        }
    }
    scan.literal("],\"nonce\":\"")?;
    let nonce_at = scan.position();
    let nonce = Nonce::from_hex(scan.fixed(32, NONCE)?);
    let nonce = nonce.ok_or_else(|| scan.error_at(nonce_at, NONCE))?;
    scan.literal("\",\"prev_hash\":\"")?;
    let prev_hash = hash(scan)?;
    scan.literal("\",\"seq\":")?;
    let seq = Seq(scan.unsigned()?);
    scan.literal(",\"ts_ms\":")?;
    let ts_ms = WallMs(scan.unsigned()?);
    scan.literal(",\"v\":")?;
    let version_at = scan.position();
    if scan.unsigned()? != VERSION {
        return Err(scan.error_at(version_at, "1"));
    }
    scan.literal(",\"writer\":")?;
    let writer_at = scan.position();
    let writer = WriterId(scan.text_value()?.into_owned());
    if writer.0.len() > MAX_WRITER_BYTES {
        return Err(scan.error_at(writer_at, "a writer of at most 512 bytes"));
    }
    scan.literal("}}")?;
    scan.end()?;
    Ok((Header { seq, prev_hash, epoch, writer, nonce, ts_ms }, spans))
}

const NONCE: &str = "32 lower-case hex digits";

fn hash(scan: &mut Scanner<'_>) -> Scan<Hash> {
    const HASH: &str = "64 lower-case hex digits";
    let at = scan.position();
    let text = scan.fixed(64, HASH)?;
    Hash::from_hex(text).ok_or_else(|| scan.error_at(at, HASH))
}

/// A record of a later version may differ anywhere; say that rather than where.
#[cold]
fn other_version(body: &[u8], error: Box<RecordError>) -> Box<RecordError> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        v: u64,
    }
    match serde_json::from_slice::<Versioned>(body) {
        Ok(Versioned { v }) if v != VERSION => {
            Box::new(RecordError::Version { found: v, known: VERSION })
        }
        _ => error,
    }
}
