//! What was torn off the log and is not recorded in it yet: the file `torn` beside the segments.
//!
//! Cutting a torn line is durable before the next leader's `EpochStarted` says so, and a crash in
//! between must not make it forgotten. So a tear is noted, durably, before the cut, and stays noted
//! until the log has an epoch that began at the tear or behind it: every such record holds all
//! that was noted before. Equal bytes torn off twice are two tears, and one tear that is seen again
//! because its cut did not survive is one; the note says whether the cut is known to be durable,
//! which it is before anything else is appended.

use bytes::Bytes;
use rynxs_core::ids::{Hash, Seq};
use serde_json::{Value, json};

use super::error::OpenError;
use crate::ports::{Storage, StorageError};
use crate::store::TailRepair;

/// The notes.
const NOTES: &str = "torn";
/// The notes while they are being written.
const RENEWED: &str = "torn.renewed";
/// Notes are read at once; a tear takes about 130 bytes, and few go unrecorded.
const MAX_NOTES_BYTES: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tear {
    repair: TailRepair,
    /// Whether the cut is durable.
    cut: bool,
}

/// The notes of one log.
pub(super) struct Tears<'a> {
    storage: &'a dyn Storage,
    dir: &'a str,
    noted: Vec<Tear>,
}

impl<'a> Tears<'a> {
    /// Reads the notes.
    pub(super) async fn read(
        storage: &'a dyn Storage,
        dir: &'a str,
        shown_as: &str,
    ) -> Result<Self, OpenError> {
        let path = format!("{dir}/{NOTES}");
        let bytes = match storage.read(&path, 0, MAX_NOTES_BYTES).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind == std::io::ErrorKind::NotFound => Bytes::new(),
            Err(error) => return Err(error.into()),
        };
        let noted = parse(&bytes).ok_or_else(|| OpenError::Corrupt {
            file: format!("{shown_as}/{NOTES}"),
            offset: 0,
            expected: "notes of torn lines".to_owned(),
            found: "something else".to_owned(),
        })?;
        Ok(Self { storage, dir, noted })
    }

    /// Notes what is about to be cut off, if anything is.
    pub(super) async fn before_cut(&mut self, torn: Option<TailRepair>) -> Result<(), OpenError> {
        let Some(repair) = torn else { return Ok(()) };
        let tear = Tear { repair, cut: false };
        match self.noted.last_mut().filter(|last| !last.cut) {
            Some(last) if *last == tear => return Ok(()),
            // The same tear: less of it survived than was seen before.
            Some(last) => *last = tear,
            None => self.noted.push(tear),
        }
        self.write().await
    }

    /// The cut is durable, now or since an opening before.
    pub(super) async fn after_cut(&mut self) -> Result<(), OpenError> {
        match self.noted.last_mut().filter(|last| !last.cut) {
            None => Ok(()),
            Some(last) => {
                last.cut = true;
                self.write().await
            }
        }
    }

    /// Forgets what the log has recorded, as its newest epoch began at `newest_epoch`; returns the
    /// rest.
    pub(super) async fn unrecorded(
        mut self,
        newest_epoch: Option<Seq>,
    ) -> Result<Vec<TailRepair>, OpenError> {
        let before = self.noted.len();
        self.noted.retain(|tear| newest_epoch.is_none_or(|began| began < tear.repair.at));
        if self.noted.len() < before {
            self.write().await?;
        }
        Ok(self.noted.into_iter().map(|tear| tear.repair).collect())
    }

    /// Replaces the notes, all or nothing.
    async fn write(&self) -> Result<(), OpenError> {
        let path = format!("{}/{RENEWED}", self.dir);
        match self.storage.truncate(&path, 0).await {
            Err(error) if error.kind != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let notes: Value = self.noted.iter().map(note).collect();
        self.finish(&path, notes.to_string().into()).await.map_err(OpenError::from)
    }

    async fn finish(&self, path: &str, notes: Bytes) -> Result<(), StorageError> {
        self.storage.append(path, notes).await?;
        self.storage.sync_data(path).await?;
        self.storage.rename(path, &format!("{}/{NOTES}", self.dir)).await?;
        self.storage.sync_dir(self.dir).await
    }
}

fn note(tear: &Tear) -> Value {
    let TailRepair { at, bytes, sha256 } = tear.repair;
    json!({ "at": at.0, "bytes": bytes, "sha256": sha256.to_string(), "cut": tear.cut })
}

fn parse(bytes: &[u8]) -> Option<Vec<Tear>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let notes: Vec<Value> = serde_json::from_slice(bytes).ok()?;
    let tear = |note: &Value| {
        let sha256: Hash = serde_json::from_value(note["sha256"].clone()).ok()?;
        let at = Seq(note["at"].as_u64()?);
        let repair = TailRepair { at, bytes: note["bytes"].as_u64()?, sha256 };
        Some(Tear { repair, cut: note["cut"].as_bool()? })
    };
    notes.iter().map(tear).collect()
}
