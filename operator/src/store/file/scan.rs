//! Opening: reads all segments, verifies the chain, and repairs the one damage that a crash makes.
//!
//! A put appends one line and syncs it before the next, so a crash can only damage the last line
//! of the last segment, and only if it was never acknowledged. Such a line is recognised by what a
//! crash does to it: its end is missing, or whole sectors of it were not written and read as zeros
//! (which no record holds). Any other difference, also in the last line, is no crash and refuses
//! to start: an acknowledged record must not be cut off for a flipped bit (I2).
//!
//! The last segment is written anew at every opening: what was verified goes into a second file,
//! which then takes the segment's name. So the repair is atomic, and a record that a failed sync
//! left in the page cache alone is on disk before anybody builds on it. What is cut off is noted
//! before (see `torn`), so that it is recorded whatever happens next.

use bytes::{Bytes, BytesMut};
use rynxs_core::chain::Chain;
use rynxs_core::ids::Seq;
use rynxs_core::record::{MAX_RECORD_BYTES, decode, sha256};

use super::error::OpenError;
use super::segment::{self, Name, Segments};
use super::torn::Tears;
use crate::ports::{Storage, StorageError};
use crate::store::TailRepair;

/// Read and written at once. More gains nothing, less costs a call each.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What is in the directory.
pub(super) struct Found {
    pub(super) segments: Segments,
    /// What was torn off and is not recorded yet.
    pub(super) repaired: Vec<TailRepair>,
}

pub(super) async fn scan(
    storage: &dyn Storage,
    dir: &str,
    shown_as: &str,
) -> Result<Found, OpenError> {
    let firsts = names(storage, dir, shown_as).await?;
    let mut reader =
        Reader { storage, dir, shown_as, chain: Chain::new(), segments: Segments::default() };
    let mut tears = Tears::read(storage, dir, shown_as).await?;
    for (at, &first) in firsts.iter().enumerate() {
        reader.begin(first)?;
        if at + 1 == firsts.len() {
            let mut renewed = Renewed::begin(storage, dir).await?;
            tears.before_cut(reader.segment(first, Some(&mut renewed)).await?).await?;
            renewed.take_name(&segment::path(dir, first)).await?;
            tears.after_cut().await?;
        } else {
            reader.segment(first, None).await?;
        }
    }
    let repaired = tears.unrecorded(newest_epoch(&reader.chain)).await?;
    Ok(Found { segments: reader.segments, repaired })
}

/// Record of the newest `EpochStarted`; record 0 is none.
fn newest_epoch(chain: &Chain) -> Option<Seq> {
    let began = chain.epoch()?.0 - chain.base()?;
    (began > 0).then_some(Seq(began))
}

/// First records of all segments, in order.
async fn names(storage: &dyn Storage, dir: &str, shown_as: &str) -> Result<Vec<Seq>, OpenError> {
    let mut firsts = Vec::new();
    for name in storage.list(dir).await? {
        match segment::parse(&name) {
            Name::Segment(first) => firsts.push(first),
            Name::Strange => {
                return Err(OpenError::Corrupt {
                    file: format!("{shown_as}/{name}"),
                    offset: 0,
                    expected: "segments to be named by ten digits".to_owned(),
                    found: "another name".to_owned(),
                });
            }
            Name::Other => {}
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

struct Reader<'a> {
    storage: &'a dyn Storage,
    dir: &'a str,
    shown_as: &'a str,
    chain: Chain,
    segments: Segments,
}

impl Reader<'_> {
    fn corrupt(
        &self,
        first: Seq,
        offset: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> OpenError {
        let file = segment::path(self.shown_as, first);
        OpenError::Corrupt { file, offset, expected: expected.into(), found: found.into() }
    }

    fn begin(&mut self, first: Seq) -> Result<(), OpenError> {
        let next = self.segments.next_seq();
        if first != next {
            let missing = segment::path(self.shown_as, next);
            return Err(self.corrupt(
                first,
                0,
                format!("a segment that begins with record {next} (is {missing} missing?)"),
                format!("a segment named for record {first}"),
            ));
        }
        self.segments.open(first);
        Ok(())
    }

    /// Reads one segment; the last one is copied as far as it is whole.
    async fn segment(
        &mut self,
        first: Seq,
        mut copy: Option<&mut Renewed<'_>>,
    ) -> Result<Option<TailRepair>, OpenError> {
        let path = segment::path(self.dir, first);
        let mut line = BytesMut::new();
        let mut read_bytes = 0;
        loop {
            let chunk = self.storage.read(&path, read_bytes, CHUNK_BYTES).await?;
            if chunk.is_empty() {
                break;
            }
            read_bytes += chunk.len() as u64;
            let mut rest = &chunk[..];
            while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
                line.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                let offset = self.durable_bytes();
                if let Err(error) = self.take(first, &line) {
                    let torn = copy.is_some()
                        && rest.is_empty()
                        && has_unwritten_sectors(offset, &line)
                        && self.storage.read(&path, read_bytes, 1).await?.is_empty();
                    if !torn {
                        return Err(error);
                    }
                    line.extend_from_slice(b"\n");
                    return Ok(Some(self.torn(first, &line)));
                }
                if let Some(copy) = copy.as_deref_mut() {
                    copy.line(&line).await?;
                }
                line.clear();
            }
            line.extend_from_slice(rest);
            if line.len() > MAX_RECORD_BYTES {
                let found = format!("a line of more than {MAX_RECORD_BYTES} bytes");
                return Err(self.corrupt(first, self.durable_bytes(), "a record", found));
            }
        }
        if line.is_empty() {
            return Ok(None);
        }
        self.unfinished(first, &line, copy).await
    }

    /// Bytes of the current segment that hold verified records.
    fn durable_bytes(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.bytes())
    }

    /// Takes a line as the next record.
    fn take(&mut self, first: Seq, line: &[u8]) -> Result<(), OpenError> {
        let next = self.chain.next_seq();
        match self.chain.push(line) {
            Ok(_) => {
                self.segments.push(first, line.len() as u64 + 1);
                Ok(())
            }
            Err(error) => {
                let expected = format!("record {next} of this log");
                Err(self.corrupt(first, self.durable_bytes(), expected, error.to_string()))
            }
        }
    }

    /// The last line has no end.
    async fn unfinished(
        &mut self,
        first: Seq,
        line: &[u8],
        copy: Option<&mut Renewed<'_>>,
    ) -> Result<Option<TailRepair>, OpenError> {
        let offset = self.durable_bytes();
        let Some(copy) = copy else {
            let expected = "a line end before the next segment begins";
            return Err(self.corrupt(first, offset, expected, "the end of the file"));
        };
        if decode(line).is_ok() {
            // All of the record arrived but its line end: the record is kept, and ended.
            self.take(first, line)?;
            copy.line(line).await?;
            return Ok(None);
        }
        if let Some((&end, record)) = line.split_last()
            && end != 0
            && decode(record).is_ok()
        {
            // The record is whole and a byte follows: a line end that is now another byte.
            let at = offset + record.len() as u64;
            return Err(self.corrupt(first, at, "a line end", format!("byte 0x{end:02x}")));
        }
        Ok(Some(self.torn(first, line)))
    }

    /// A torn last line: it is not copied, and so it is gone once the copy has the name.
    fn torn(&self, first: Seq, torn: &[u8]) -> TailRepair {
        tracing::warn!(
            file = %segment::path(self.shown_as, first),
            offset = self.durable_bytes(),
            bytes = torn.len(),
            "cutting off a torn last line; it was never acknowledged"
        );
        TailRepair { at: self.chain.next_seq(), bytes: torn.len() as u64, sha256: sha256(torn) }
    }
}

/// The copy of the last segment.
struct Renewed<'a> {
    storage: &'a dyn Storage,
    dir: &'a str,
    path: String,
    buffer: BytesMut,
}

impl<'a> Renewed<'a> {
    async fn begin(storage: &'a dyn Storage, dir: &'a str) -> Result<Self, StorageError> {
        let path = format!("{dir}/{}", segment::RENEWED);
        match storage.truncate(&path, 0).await {
            Err(error) if error.kind != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(Self { storage, dir, path, buffer: BytesMut::new() }),
        }
    }

    async fn line(&mut self, line: &[u8]) -> Result<(), StorageError> {
        self.buffer.extend_from_slice(line);
        self.buffer.extend_from_slice(b"\n");
        if self.buffer.len() < CHUNK_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), StorageError> {
        let bytes: Bytes = self.buffer.split().freeze();
        self.storage.append(&self.path, bytes).await
    }

    /// Makes the copy durable, then puts it in the segment's place.
    async fn take_name(mut self, segment: &str) -> Result<(), StorageError> {
        // Also when there is nothing to write: the file must exist.
        self.flush().await?;
        self.storage.sync_data(&self.path).await?;
        self.storage.rename(&self.path, segment).await?;
        self.storage.sync_dir(self.dir).await
    }
}

/// Disks write sectors whole; larger ones begin and end at multiples of this, too.
const SECTOR_BYTES: u64 = 512;

/// Whether a line that has an end holds zeros, and only where whole sectors were not written. One
/// zeroed byte elsewhere is a flipped bit, not a crash.
fn has_unwritten_sectors(offset: u64, line: &[u8]) -> bool {
    let at_sector = |index: usize| (offset + index as u64).is_multiple_of(SECTOR_BYTES);
    let mut any = false;
    for (index, pair) in line.windows(2).enumerate() {
        let turns = (pair[0] == 0) != (pair[1] == 0);
        any |= pair[0] == 0 || pair[1] == 0;
        if turns && !at_sector(index + 1) {
            return false;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::has_unwritten_sectors;

    #[test]
    fn zeros_are_a_crash_only_between_sectors() {
        let mut line = vec![b'x'; 2000];
        assert!(!has_unwritten_sectors(100, &line));
        line[412..924].fill(0);
        assert!(has_unwritten_sectors(100, &line), "one sector");
        assert!(!has_unwritten_sectors(101, &line), "not where sectors are");
        line[..924].fill(0);
        assert!(has_unwritten_sectors(100, &line), "from the line's start");
        line[950] = 0;
        assert!(!has_unwritten_sectors(100, &line), "and a flipped bit beside it");
    }
}
