//! A log in local files: the same records, one a line, in segment files named by their first seq.
//!
//! Owns the file half of I2. A put appends one line, makes it durable, and only then says
//! `Committed`. Three rules keep that word true:
//! - A failed sync poisons the store: the kernel may have dropped the bytes and forgotten that it
//!   did, so a second sync that succeeds proves nothing (<https://lwn.net/Articles/752063/>). The
//!   next opening writes the last segment anew, so what it shows is on disk again.
//! - Whatever a failed or abandoned append left behind is cut off before the next one.
//! - Reads show durable records alone, never what merely sits in the page cache.
//!
//! One process writes: an exclusive lock is held as long as the store lives.

mod error;
mod scan;
mod segment;
mod torn;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::lock::Mutex;
use rynxs_core::ids::Seq;
use rynxs_core::record::MAX_RECORD_BYTES;

pub use self::error::OpenError;
use self::segment::Segments;
use super::{
    ExistsOutcome, Fault, FaultCause, GetOutcome, ListOutcome, Listed, LogStore, PutOutcome,
    TailRepair,
};
use crate::ports::{LockedFile, Storage, StorageError};

/// A segment is closed before it would grow beyond this. Large enough that a year of an idle
/// cluster is one file, small enough to be copied and read at once.
pub const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// A log in a directory of segment files.
pub struct FileLogStore {
    storage: Arc<dyn Storage>,
    dir: String,
    shown_as: String,
    segment_bytes: u64,
    repaired: Vec<TailRepair>,
    /// Held across the I/O of a put: lines must not interleave.
    state: Mutex<State>,
    _lock: LockedFile,
}

struct State {
    /// Durable records alone.
    segments: Segments,
    /// Something may stand behind the durable records: an append failed, or its caller left.
    dirty: bool,
    /// Why no append will ever be taken again.
    poisoned: Option<Fault>,
}

impl FileLogStore {
    /// Opens the log in `dir`, or begins one: takes the lock, verifies every record, cuts off a
    /// torn last line. `shown_as` is what people call the place, for example
    /// `/var/lib/rynxs/log`.
    pub async fn open(
        storage: Arc<dyn Storage>,
        dir: &str,
        shown_as: &str,
    ) -> Result<Self, OpenError> {
        Self::open_with(storage, dir, shown_as, SEGMENT_BYTES).await
    }

    /// As [`Self::open`], with segments of another size.
    pub async fn open_with(
        storage: Arc<dyn Storage>,
        dir: &str,
        shown_as: &str,
        segment_bytes: u64,
    ) -> Result<Self, OpenError> {
        let lock = prepare(storage.as_ref(), dir).await?;
        let found = scan::scan(storage.as_ref(), dir, shown_as).await?;
        Ok(Self {
            storage,
            dir: dir.to_owned(),
            shown_as: shown_as.to_owned(),
            segment_bytes,
            repaired: found.repaired,
            state: Mutex::new(State { segments: found.segments, dirty: false, poisoned: None }),
            _lock: lock,
        })
    }

    fn path(&self, first: Seq) -> String {
        segment::path(&self.dir, first)
    }

    async fn put_line(&self, seq: Seq, bytes: Bytes) -> PutOutcome {
        let mut state = self.state.lock().await;
        let next = state.segments.next_seq();
        if seq < next {
            return PutOutcome::AlreadyExists;
        }
        if let Some(fault) = &state.poisoned {
            return PutOutcome::Refused(fault.clone());
        }
        if let Some(why) = unusable(seq, next, &bytes) {
            return PutOutcome::Refused(Fault::new(FaultCause::Rejected, why));
        }
        match self.write(&mut state, seq, &bytes).await {
            Ok(()) => PutOutcome::Committed,
            Err(fault) => PutOutcome::Unknown(fault),
        }
    }

    /// Appends one line and makes it durable. An error leaves open whether it is there.
    async fn write(&self, state: &mut State, seq: Seq, record: &[u8]) -> Result<(), Fault> {
        let line_bytes = record.len() as u64 + 1;
        let full = |bytes: u64| bytes > 0 && bytes + line_bytes > self.segment_bytes;
        let (first, durable_bytes) = match state.segments.last() {
            Some(last) if !full(last.bytes()) => (last.first(), last.bytes()),
            _ => (seq, 0),
        };
        let path = self.path(first);
        if state.dirty {
            self.cut(&path, durable_bytes).await.map_err(|error| state.fail(error))?;
        }
        // From here on the future may be dropped at any await: what it leaves behind is dirt.
        state.dirty = true;
        let mut line = BytesMut::with_capacity(record.len() + 1);
        line.extend_from_slice(record);
        line.extend_from_slice(b"\n");
        let appended = self.storage.append(&path, line.freeze()).await;
        appended.map_err(|error| state.fail(error))?;
        let synced = self.storage.sync_data(&path).await;
        synced.map_err(|error| state.poison(error))?;
        if durable_bytes == 0 {
            let named = self.storage.sync_dir(&self.dir).await;
            named.map_err(|error| state.poison(error))?;
        }
        state.dirty = false;
        state.segments.push(first, line_bytes);
        Ok(())
    }

    /// Cuts a segment back to its durable bytes; a segment that was never created has none.
    async fn cut(&self, path: &str, durable_bytes: u64) -> Result<(), StorageError> {
        match self.storage.truncate(path, durable_bytes).await {
            Err(error) if error.kind == std::io::ErrorKind::NotFound && durable_bytes == 0 => {
                Ok(())
            }
            other => other,
        }
    }

    async fn read_line(&self, seq: Seq) -> GetOutcome {
        let place = {
            let state = self.state.lock().await;
            match state.segments.locate(seq) {
                Some(place) => place,
                None => return state.absent().map_or(GetOutcome::Missing, GetOutcome::Unknown),
            }
        };
        let path = self.path(place.first);
        let mut bytes = Vec::with_capacity(place.len);
        while bytes.len() < place.len {
            let offset = place.offset + bytes.len() as u64;
            match self.storage.read(&path, offset, place.len - bytes.len()).await {
                Ok(part) if part.is_empty() => {
                    let why = format!("{path} ends before record {seq} does: it was cut");
                    return GetOutcome::Refused(Fault::new(FaultCause::Disk, why));
                }
                Ok(part) => bytes.extend_from_slice(&part),
                Err(error) => {
                    return GetOutcome::Unknown(Fault::new(FaultCause::Disk, error.to_string()));
                }
            }
        }
        GetOutcome::Found(bytes)
    }
}

impl State {
    /// A failed write. Only a full disk may pass; everything else is a disk not to be trusted.
    fn fail(&mut self, error: StorageError) -> Fault {
        use std::io::ErrorKind;
        match error.kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Fault::new(
                FaultCause::ServerError,
                format!("{error}; free some space: the append is tried again"),
            ),
            _ => self.poison(error),
        }
    }

    fn poison(&mut self, error: StorageError) -> Fault {
        let fault = Fault::new(
            FaultCause::Disk,
            format!(
                "{error}; what was written last may not be durable, so this log takes no more \
                 appends: look at the disk, then open it again"
            ),
        );
        self.poisoned = Some(fault.clone());
        fault
    }

    /// What is known of a record that is not durable: nothing, if something may stand there.
    fn absent(&self) -> Option<Fault> {
        if let Some(fault) = &self.poisoned {
            return Some(fault.clone());
        }
        let why = "an append of this process has not been settled";
        self.dirty.then(|| Fault::new(FaultCause::ServerError, why))
    }
}

async fn prepare(storage: &dyn Storage, dir: &str) -> Result<LockedFile, OpenError> {
    storage.create_dir(dir).await?;
    // The directory's own name must survive, too, before anything in it is called durable.
    let parent = dir.rsplit_once('/').map_or("", |(parent, _)| parent);
    storage.sync_dir(parent).await?;
    let path = format!("{dir}/{}", segment::LOCK);
    storage.lock(&path).await.map_err(|error| {
        if error.kind == std::io::ErrorKind::WouldBlock {
            OpenError::Locked { path }
        } else {
            OpenError::Storage(error)
        }
    })
}

/// Why a put can never be right, whatever the disk does.
fn unusable(seq: Seq, next: Seq, bytes: &[u8]) -> Option<String> {
    if seq > next {
        return Some(format!("record {seq} would leave a gap: the next one is {next}"));
    }
    if bytes.is_empty() || bytes.len() > MAX_RECORD_BYTES {
        return Some(format!("record {seq} has {} bytes", bytes.len()));
    }
    if bytes.contains(&b'\n') {
        return Some(format!("record {seq} holds a line end"));
    }
    None
}

impl LogStore for FileLogStore {
    fn put(&self, seq: Seq, bytes: Bytes) -> BoxFuture<'_, PutOutcome> {
        Box::pin(self.put_line(seq, bytes))
    }

    fn get(&self, seq: Seq) -> BoxFuture<'_, GetOutcome> {
        Box::pin(self.read_line(seq))
    }

    fn exists(&self, seq: Seq) -> BoxFuture<'_, ExistsOutcome> {
        Box::pin(async move {
            let state = self.state.lock().await;
            if seq < state.segments.next_seq() {
                return ExistsOutcome::Yes;
            }
            state.absent().map_or(ExistsOutcome::No, ExistsOutcome::Unknown)
        })
    }

    fn first_key_after(&self, seq: Option<Seq>) -> BoxFuture<'_, ListOutcome> {
        Box::pin(async move {
            let state = self.state.lock().await;
            let wanted = seq.map_or(Seq::ZERO, Seq::next);
            if wanted < state.segments.next_seq() {
                return ListOutcome::Next(Some(Listed::Record(wanted)));
            }
            state.absent().map_or(ListOutcome::Next(None), ListOutcome::Unknown)
        })
    }

    fn describe(&self) -> String {
        format!("file://{}", self.shown_as)
    }

    fn repaired(&self) -> Vec<TailRepair> {
        self.repaired.clone()
    }
}
