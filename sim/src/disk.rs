//! A disk that keeps what is durable apart from what was merely written, and loses the rest with
//! the power. Bytes are durable after a sync of their file, names after one of their directory.
//! What changes it, or makes something durable, is told in the stream; reads are not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use madsim::rand::{Rng, thread_rng};
use rynxs_judge::event::Event;
use rynxs_judge::history::{DiskOperation, DiskWork};
use rynxs_judge::{LogRecord, LogWrite};
use rynxs_operator::ports::{LockedFile, Storage, StorageError};

use crate::machine::{Machine, Process};
use crate::world::World;

/// How the names of the log's files end.
const SEGMENT: &str = ".jsonl";
/// A torn write ends at one of these.
const SECTOR: usize = 512;
/// Longest that one operation takes, milliseconds.
const SLOWEST_MS: u64 = 4;

/// A machine's disk; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<String, File>,
    locked: BTreeSet<String>,
    /// The next syncs fail, and the kernel forgets that anything is dirty.
    failing_syncs: u32,
    /// Bytes that still fit.
    free_bytes: Option<u64>,
    /// Records that were told of: a file that is copied is synced again.
    told: BTreeSet<String>,
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

type Problem = (ErrorKind, &'static str);

const MISSING: Problem = (ErrorKind::NotFound, "no such file");

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("files of a run fit into memory")
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds a disk")
    }

    pub(crate) fn fail_syncs(&self, count: u32) {
        self.lock().failing_syncs = count;
    }

    pub(crate) fn set_free_bytes(&self, free: Option<u64>) {
        self.lock().free_bytes = free;
    }

    /// The machine loses its power, and with it what was not durable; with `torn`, a part of what
    /// was written since the last sync survives all the same, up to some sector. A name that was
    /// not synced survives or not by itself, as a directory is written apart from its files.
    /// Returns what befell what was there.
    pub(crate) fn lose_power(&self, torn: bool) -> Vec<Event> {
        let mut state = self.lock();
        state.locked.clear();
        let files = std::mem::take(&mut state.files);
        let any = !files.is_empty();
        let mut lost = Vec::new();
        for (path, file) in files {
            let named = file.named || (torn && thread_rng().gen_bool(0.5));
            let bytes = match (named, &file.before) {
                (false, None) => {
                    let all = file.bytes.len();
                    lost.push(befell(DiskOperation::LosePower, &path, all, "and its name with it"));
                    continue;
                }
                (false, Some(before)) => {
                    let why = "and its new name, which another file has again";
                    lost.push(befell(DiskOperation::LosePower, &path, file.bytes.len(), why));
                    before.clone()
                }
                (true, _) => {
                    let kept = survive(&file, torn);
                    lost.extend(loss(&path, &file, kept.len()));
                    kept
                }
            };
            let sound = File { durable: bytes.clone(), bytes, named: true, ..File::default() };
            state.files.insert(path, sound);
        }
        if any && lost.is_empty() {
            lost.push(befell(DiskOperation::LosePower, "", 0, "nothing on it is lost"));
        }
        lost
    }

    /// Bytes of the log's last line, if it was cut off in its middle.
    pub(crate) fn torn(&self) -> Option<u64> {
        let state = self.lock();
        let mut segments = state.files.iter().filter(|(path, _)| path.ends_with(SEGMENT));
        segments.find_map(|(_, file)| {
            let line = file.bytes.iter().rev().take_while(|byte| **byte != b'\n').count();
            (line > 0).then_some(line as u64)
        })
    }

    /// A process ends without the machine: what it wrote stays, its locks go.
    pub(crate) fn release_locks(&self) {
        self.lock().locked.clear();
    }

    /// Flips one bit of the largest file, if there is one. What befell it.
    pub(crate) fn rot(&self) -> Option<Event> {
        let mut state = self.lock();
        let largest = state.files.iter_mut().max_by_key(|(_, file)| file.bytes.len());
        let (path, file) = largest.filter(|(_, file)| !file.bytes.is_empty())?;
        let at = thread_rng().gen_range(0..file.bytes.len());
        let bit = thread_rng().gen_range(0..8);
        file.bytes[at] ^= 1 << bit;
        file.durable.clone_from(&file.bytes);
        Some(befell(DiskOperation::Rot, path, 1, &format!("bit {bit} of byte {at} is another")))
    }

    /// All lines of a log's segments, in the order of their names.
    pub(crate) fn lines(&self, dir: &str) -> Vec<String> {
        let state = self.lock();
        let segment = |path: &str| parent(path) == dir && path.ends_with(".jsonl");
        let inside = state.files.iter().filter(|(path, _)| segment(path));
        inside
            .flat_map(|(_, file)| {
                let text = String::from_utf8_lossy(&file.bytes).into_owned();
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// What befell a disk without anybody's asking.
fn befell(operation: DiskOperation, path: &str, bytes: usize, outcome: &str) -> Event {
    Event::Disk(Box::new(DiskWork {
        replica: String::new(),
        operation,
        path: path.to_owned(),
        to: String::new(),
        bytes: bytes as u64,
        outcome: outcome.to_owned(),
    }))
}

/// What a file lost with the power, if it lost anything; a torn write leaves a part.
fn loss(path: &str, file: &File, kept: usize) -> Option<Event> {
    let lost = file.bytes.len().saturating_sub(kept);
    let torn = kept.saturating_sub(file.durable.len());
    let outcome = match torn {
        0 => String::new(),
        torn => format!("{torn} bytes that were not durable are left"),
    };
    let concerns = lost > 0 || torn > 0;
    concerns.then(|| befell(DiskOperation::LosePower, path, lost, &outcome))
}

/// What is left of a file's bytes.
fn survive(file: &File, torn: bool) -> Vec<u8> {
    let durable = file.durable.len().min(file.bytes.len());
    if !torn || file.bytes.len() <= durable {
        return file.durable.clone();
    }
    let new = thread_rng().gen_range(0..=file.bytes.len() - durable);
    let end = durable + new;
    // Whole sectors, but for the last bytes of the file.
    let end = if end == file.bytes.len() { end } else { (end / SECTOR * SECTOR).max(durable) };
    file.bytes[..end].to_vec()
}

/// What an operation adds to its line of the stream.
#[derive(Default)]
struct Told {
    to: String,
    bytes: usize,
    /// In place of the error that the process sees.
    outcome: String,
}

/// What the port calls an operation.
fn name(operation: DiskOperation) -> &'static str {
    match operation {
        DiskOperation::Append => "append",
        DiskOperation::Truncate => "truncate",
        DiskOperation::Rename => "rename",
        DiskOperation::SyncData => "sync_data",
        DiskOperation::SyncDir => "sync_dir",
        DiskOperation::Lock => "lock",
        DiskOperation::LosePower | DiskOperation::Rot => unreachable!("nobody asks for that"),
    }
}

/// A process's way to its machine's disk.
pub(crate) struct ProcessStorage {
    pub(crate) world: World,
    pub(crate) machine: Arc<Machine>,
    pub(crate) process: Arc<Process>,
}

impl ProcessStorage {
    /// Does something at once; the future tells of it a little later.
    fn operate<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        run: impl FnOnce(&mut State) -> Result<T, Problem>,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        if self.process.is_dead_after_await(&self.world, &self.machine) {
            return pending().boxed();
        }
        let done = run(&mut self.machine.disk.lock()).map_err(|(kind, message)| StorageError {
            operation,
            path: path.to_owned(),
            kind,
            message: message.to_owned(),
        });
        async move {
            let ms = thread_rng().gen_range(0..=SLOWEST_MS);
            madsim::time::sleep(Duration::from_millis(ms)).await;
            done
        }
        .boxed()
    }

    /// The same, told in the stream at once.
    fn change<T: Send + 'static>(
        &self,
        operation: DiskOperation,
        path: &str,
        run: impl FnOnce(&mut State, &mut Told) -> Result<T, Problem>,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        let mut work = None;
        let done = self.operate(name(operation), path, |state| {
            let mut told = Told::default();
            let done = run(state, &mut told);
            let outcome = match &done {
                Err((_, problem)) if told.outcome.is_empty() => (*problem).to_owned(),
                _ => told.outcome,
            };
            work = Some(DiskWork {
                replica: self.machine.name.clone(),
                operation,
                path: path.to_owned(),
                to: told.to,
                bytes: told.bytes as u64,
                outcome,
            });
            done
        });
        if let Some(work) = work {
            self.world.note(&self.machine.disk_name, Event::Disk(Box::new(work)));
        }
        done
    }

    /// Tells the stream of the records that a sync made durable.
    fn tell(&self, synced: &[u8]) {
        for line in String::from_utf8_lossy(synced).lines() {
            let Ok(record) = LogRecord::parse(line) else { continue };
            if !self.machine.disk.lock().told.insert(line.to_owned()) {
                continue;
            }
            let key = format!("{:010}.json", record.seq);
            let at_ns = crate::stream::now_ns();
            let write = LogWrite { key, text: line.to_owned(), status: 200, at_ns, message: None };
            self.world.log_written(&self.machine.disk_name, write);
        }
    }
}

impl Storage for ProcessStorage {
    fn create_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        self.operate("create_dir", path, |_| Ok(()))
    }

    fn list(&self, path: &str) -> BoxFuture<'static, Result<Vec<String>, StorageError>> {
        self.operate("list", path, |state| {
            let inside = state.files.keys().filter(|file| parent(file) == path);
            Ok(inside.map(|file| file[path.len() + 1..].to_owned()).collect())
        })
    }

    fn len(&self, path: &str) -> BoxFuture<'static, Result<u64, StorageError>> {
        self.operate("len", path, |state| {
            state.files.get(path).map(|file| file.bytes.len() as u64).ok_or(MISSING)
        })
    }

    fn read(
        &self,
        path: &str,
        offset: u64,
        len: usize,
    ) -> BoxFuture<'static, Result<Bytes, StorageError>> {
        self.operate("read", path, |state| {
            let bytes = &state.files.get(path).ok_or(MISSING)?.bytes;
            let start = index(offset).min(bytes.len());
            let end = (start + len).min(bytes.len());
            Ok(Bytes::copy_from_slice(&bytes[start..end]))
        })
    }

    fn append(&self, path: &str, bytes: Bytes) -> BoxFuture<'static, Result<(), StorageError>> {
        self.change(DiskOperation::Append, path, |state, told| {
            let wanted = bytes.len() as u64;
            let fits = state.free_bytes.unwrap_or(wanted).min(wanted);
            told.bytes = index(fits);
            let file = state.files.entry(path.to_owned()).or_default();
            file.bytes.extend_from_slice(&bytes[..index(fits)]);
            if let Some(free) = &mut state.free_bytes {
                *free -= fits;
            }
            if fits < wanted {
                told.outcome = format!("no space left on device, {fits} of {wanted} bytes fit");
                return Err((ErrorKind::StorageFull, "no space left on device"));
            }
            Ok(())
        })
    }

    fn truncate(&self, path: &str, len: u64) -> BoxFuture<'static, Result<(), StorageError>> {
        self.change(DiskOperation::Truncate, path, |state, told| {
            let file = state.files.get_mut(path).ok_or(MISSING)?;
            let len = index(len);
            told.bytes = file.bytes.len().saturating_sub(len);
            file.bytes.truncate(len);
            file.forgotten.retain(|&(start, _)| start < len);
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        self.change(DiskOperation::Rename, from, |state, told| {
            to.clone_into(&mut told.to);
            let file = state.files.remove(from).ok_or(MISSING)?;
            told.bytes = file.bytes.len();
            let before = state.files.get(to).map(|old| old.durable.clone());
            state.files.insert(to.to_owned(), File { named: false, before, ..file });
            Ok(())
        })
    }

    fn sync_data(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        let mut synced = Vec::new();
        let done = self.change(DiskOperation::SyncData, path, |state, told| {
            let file = state.files.get_mut(path).ok_or(MISSING)?;
            told.bytes = file.bytes.len().saturating_sub(file.durable.len());
            if state.failing_syncs > 0 {
                state.failing_syncs -= 1;
                told.outcome = "Input/output error, and the disk forgets them".to_owned();
                file.forgotten.push((file.durable.len(), file.bytes.len()));
                return Err((ErrorKind::Other, "Input/output error"));
            }
            synced = file.bytes.get(file.durable.len()..).unwrap_or_default().to_vec();
            file.durable = file.bytes.clone();
            for &(start, end) in &file.forgotten {
                file.durable[start..end.min(file.bytes.len())].fill(0);
            }
            Ok(())
        });
        self.tell(&synced);
        done
    }

    fn sync_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        self.change(DiskOperation::SyncDir, path, |state, _| {
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
        let (disk, owned) = (self.machine.disk.clone(), path.to_owned());
        let process = Arc::clone(&self.process);
        self.change(DiskOperation::Lock, path, |state, _| {
            if !state.locked.insert(owned.clone()) {
                return Err((ErrorKind::WouldBlock, "locked"));
            }
            Ok(LockedFile::new(Unlock { disk, path: owned, process }))
        })
    }
}

struct Unlock {
    disk: Disk,
    path: String,
    process: Arc<Process>,
}

impl Drop for Unlock {
    /// The locks of a killed process went with it; its successor may hold them by now.
    fn drop(&mut self) {
        if !self.process.is_dead() {
            self.disk.lock().locked.remove(&self.path);
        }
    }
}
