//! A disk in memory that keeps what is durable apart from what was merely written, and can lose
//! power at any step.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use rynxs_operator::ports::{LockedFile, Storage, StorageError};

/// A disk; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    locked: BTreeSet<String>,
    /// Changing operations so far.
    steps: u64,
    /// From this step on nothing works: the power is gone.
    off_at: Option<u64>,
    /// Whether the step at which the power goes still takes effect, unacknowledged.
    last_step_lands: bool,
    /// The next syncs fail, and the kernel forgets that anything is dirty.
    failing_syncs: u32,
    /// Bytes that still fit.
    free_bytes: Option<u64>,
    /// Turns of the executor that each operation takes after it took effect.
    delay: u32,
}

#[derive(Clone, Default)]
struct File {
    /// What reads show.
    bytes: Vec<u8>,
    /// What survives for certain.
    durable: Vec<u8>,
    /// Whether the name survives for certain.
    named: bool,
    /// Parts that a failed sync forgot: no later sync writes them.
    forgotten: Vec<(usize, usize)>,
    /// What stood under this name, for certain, before a rename that is not durable yet.
    before: Option<Vec<u8>>,
}

impl File {
    fn sound(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), bytes, named: true, ..Self::default() }
    }
}

/// What a loss of power leaves of what was not durable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survivor {
    /// Nothing: neither bytes nor names.
    Nothing,
    /// Everything that was written.
    Everything,
    /// Names, and this many bytes of each append.
    Prefix(usize),
    /// Names and lengths; of the new bytes only every other sector, beginning with this one.
    Sectors(u64),
}

impl Disk {
    /// Loses the power at a step; whether the step itself still lands.
    pub(crate) fn lose_power_at(&self, step: u64, lands: bool) {
        let mut state = self.0.lock().unwrap();
        state.off_at = Some(step);
        state.last_step_lands = lands;
    }

    pub(crate) fn fail_syncs(&self, count: u32) {
        self.0.lock().unwrap().failing_syncs = count;
    }

    pub(crate) fn set_free_bytes(&self, free: Option<u64>) {
        self.0.lock().unwrap().free_bytes = free;
    }

    pub(crate) fn delay(&self, turns: u32) {
        self.0.lock().unwrap().delay = turns;
    }

    pub(crate) fn steps(&self) -> u64 {
        self.0.lock().unwrap().steps
    }

    /// The disk after the power came back.
    pub(crate) fn after_crash(&self, survivor: Survivor) -> Disk {
        let state = self.0.lock().unwrap();
        let mut files = BTreeMap::new();
        for (path, file) in &state.files {
            let bytes = match (file.named, survivor, &file.before) {
                (false, Survivor::Nothing, None) => continue,
                (false, Survivor::Nothing, Some(before)) => before.clone(),
                _ => survive(file, survivor),
            };
            files.insert(path.clone(), File::sound(bytes));
        }
        Disk(Arc::new(Mutex::new(State { files, ..State::default() })))
    }

    /// A copy that shares nothing.
    pub(crate) fn copy(&self) -> Disk {
        self.after_crash(Survivor::Everything)
    }

    pub(crate) fn file(&self, path: &str) -> Vec<u8> {
        self.0.lock().unwrap().files[path].bytes.clone()
    }

    pub(crate) fn set_file(&self, path: &str, bytes: Vec<u8>) {
        self.0.lock().unwrap().files.insert(path.to_owned(), File::sound(bytes));
    }

    pub(crate) fn remove(&self, path: &str) {
        self.0.lock().unwrap().files.remove(path).unwrap();
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().files.keys().cloned().collect()
    }

    /// Runs a changing operation now; the future only tells of it.
    fn change<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        change: impl FnOnce(&mut State) -> Result<T, (ErrorKind, &'static str)>,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        let mut state = self.0.lock().unwrap();
        let step = state.steps;
        state.steps += 1;
        let off = state.off_at.is_some_and(|at| step >= at);
        let lands = !off || (state.off_at == Some(step) && state.last_step_lands);
        let landed = lands.then(|| change(&mut state));
        let delay = state.delay;
        // A lock that nobody hears of is released, which takes the state again.
        drop(state);
        let done = match landed {
            Some(done) if !off => done,
            _ => Err((ErrorKind::Other, "the power is gone")),
        };
        self.answer(operation, path, done, delay)
    }

    fn look<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        look: impl FnOnce(&State) -> Result<T, (ErrorKind, &'static str)>,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        let state = self.0.lock().unwrap();
        self.answer(operation, path, look(&state), state.delay)
    }

    fn answer<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        done: Result<T, (ErrorKind, &'static str)>,
        delay: u32,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        let path = path.to_owned();
        let done = done.map_err(|(kind, message)| StorageError {
            operation,
            path,
            kind,
            message: message.to_owned(),
        });
        Box::pin(async move {
            for _ in 0..delay {
                tokio::task::yield_now().await;
            }
            done
        })
    }
}

fn survive(file: &File, survivor: Survivor) -> Vec<u8> {
    // Bytes cut off by a truncate that was not synced may come back.
    let old = file.durable.len().min(file.bytes.len());
    match survivor {
        Survivor::Nothing => file.durable.clone(),
        // The page cache: forgotten parts are in it, too.
        Survivor::Everything => file.bytes.clone(),
        Survivor::Prefix(len) => file.bytes[..(old + len).min(file.bytes.len())].to_vec(),
        Survivor::Sectors(parity) => {
            let written = |(at, byte): (usize, &u8)| {
                let kept = at < old || (at as u64 / 512) % 2 == parity;
                if kept { *byte } else { 0 }
            };
            file.bytes.iter().enumerate().map(written).collect()
        }
    }
}

const MISSING: (ErrorKind, &str) = (ErrorKind::NotFound, "no such file");

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl Storage for Disk {
    fn create_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        self.change("create_dir", path, |_| Ok(()))
    }

    fn list(&self, path: &str) -> BoxFuture<'static, Result<Vec<String>, StorageError>> {
        self.look("list", path, |state| {
            let inside = state.files.keys().filter(|file| parent(file) == path);
            Ok(inside.map(|file| file[path.len() + 1..].to_owned()).collect())
        })
    }

    fn len(&self, path: &str) -> BoxFuture<'static, Result<u64, StorageError>> {
        self.look("len", path, |state| {
            state.files.get(path).map(|file| file.bytes.len() as u64).ok_or(MISSING)
        })
    }

    fn read(
        &self,
        path: &str,
        offset: u64,
        len: usize,
    ) -> BoxFuture<'static, Result<Bytes, StorageError>> {
        self.look("read", path, |state| {
            let bytes = &state.files.get(path).ok_or(MISSING)?.bytes;
            let start = usize::try_from(offset).unwrap().min(bytes.len());
            let end = (start + len).min(bytes.len());
            Ok(Bytes::copy_from_slice(&bytes[start..end]))
        })
    }

    fn append(&self, path: &str, bytes: Bytes) -> BoxFuture<'static, Result<(), StorageError>> {
        self.change("append", path, |state| {
            let wanted = bytes.len() as u64;
            let fits = state.free_bytes.unwrap_or(wanted).min(wanted);
            let file = state.files.entry(path.to_owned()).or_default();
            file.bytes.extend_from_slice(&bytes[..usize::try_from(fits).unwrap()]);
            if let Some(free) = &mut state.free_bytes {
                *free -= fits;
            }
            if fits < wanted {
                return Err((ErrorKind::StorageFull, "no space left on device"));
            }
            Ok(())
        })
    }

    fn truncate(&self, path: &str, len: u64) -> BoxFuture<'static, Result<(), StorageError>> {
        self.change("truncate", path, |state| {
            let file = state.files.get_mut(path).ok_or(MISSING)?;
            let len = usize::try_from(len).unwrap();
            file.bytes.truncate(len);
            file.forgotten.retain(|&(start, _)| start < len);
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        self.change("rename", from, |state| {
            let file = state.files.remove(from).ok_or(MISSING)?;
            let before = state.files.get(to).map(|old| old.durable.clone());
            state.files.insert(to.to_owned(), File { named: false, before, ..file });
            Ok(())
        })
    }

    fn sync_data(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        self.change("sync_data", path, |state| {
            let file = state.files.get_mut(path).ok_or(MISSING)?;
            if state.failing_syncs > 0 {
                state.failing_syncs -= 1;
                file.forgotten.push((file.durable.len(), file.bytes.len()));
                return Err((ErrorKind::Other, "Input/output error"));
            }
            file.durable = file.bytes.clone();
            for &(start, end) in &file.forgotten {
                file.durable[start..end.min(file.bytes.len())].fill(0);
            }
            Ok(())
        })
    }

    fn sync_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        self.change("sync_dir", path, |state| {
            for (name, file) in &mut state.files {
                if parent(name) == path {
                    file.named = true;
                    file.before = None;
                }
            }
            Ok(())
        })
    }

    fn lock(&self, path: &str) -> BoxFuture<'static, Result<LockedFile, StorageError>> {
        let disk = self.0.clone();
        let owned = path.to_owned();
        self.change("lock", path, |state| {
            if !state.locked.insert(owned.clone()) {
                return Err((ErrorKind::WouldBlock, "locked"));
            }
            Ok(LockedFile::new(Unlock(disk, owned)))
        })
    }
}

struct Unlock(Arc<Mutex<State>>, String);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0.lock().unwrap().locked.remove(&self.1);
    }
}
