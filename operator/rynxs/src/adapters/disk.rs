//! A directory of a real disk.
//!
//! Durability is what the log file rests on (I2): `sync_data` is `fdatasync`, `sync_dir` is
//! `fsync` of the directory, and both go through the descriptor that wrote, because Linux reports
//! a failed write-back only once, to descriptors that were open when it happened.
//!
//! One thread does all the work, in the order of the calls: an append whose caller has given up
//! still lands before the truncate that was asked for after it, and never behind.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::{BoxFuture, FutureExt};
use nix::fcntl::{Flock, FlockArg};
use rynxs_operator::ports::{LockedFile, Storage, StorageError};

/// Files kept open for writing: the segment in use and its neighbours. The log has one writer
/// and rolls segments one at a time, so more are never in use.
const MAX_OPEN: usize = 8;

type Job = Box<dyn FnOnce() + Send>;

/// Files below one root directory.
#[derive(Clone)]
pub struct Disk {
    root: PathBuf,
    open: Arc<Mutex<BTreeMap<String, Arc<File>>>>,
    /// Unbounded, but its user is the log, which has one operation under way and drops few.
    queue: mpsc::Sender<Job>,
}

impl Disk {
    /// Files below `root`; the directory itself need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel::<Job>();
        // Ends when the last clone of this value is dropped.
        std::thread::Builder::new().name("rynxs-disk".to_owned()).spawn(move || {
            while let Ok(job) = jobs.recv() {
                job();
            }
        })?;
        Ok(Self { root: root.into(), open: Arc::default(), queue })
    }

    /// Puts an operation on a path below the root into the queue, now; the future only waits.
    fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        work: impl FnOnce(&Disk, &Path) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        let name = self.root.join(path).display().to_string();
        let (answer, done) = oneshot::channel();
        let (disk, path) = (self.clone(), path.to_owned());
        let job: Job = Box::new(move || {
            let result = disk.resolve(&path).and_then(|full| work(&disk, &full));
            // Nobody may wait any more; what was done stays done.
            let _ = answer.send(result);
        });
        let queued = self.queue.send(job);
        async move {
            let gone = || io::Error::other("the thread that works on the disk is gone");
            let result = match queued {
                Ok(()) => done.await.unwrap_or_else(|_| Err(gone())),
                Err(_) => Err(gone()),
            };
            result.map_err(|error| StorageError {
                operation,
                path: name,
                kind: error.kind(),
                message: error.to_string(),
            })
        }
        .boxed()
    }

    /// A path below the root; anything that would leave it is refused.
    fn resolve(&self, path: &str) -> io::Result<PathBuf> {
        let relative = Path::new(path);
        let inside = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if inside {
            Ok(self.root.join(relative))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "path leaves the log's directory"))
        }
    }

    /// The descriptor that writes to this file, opened once.
    fn writer(&self, path: &str, full: &Path, create: bool) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(path) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(OpenOptions::new().create(create).append(true).open(full)?);
        if open.len() >= MAX_OPEN {
            // Segments are named by their first seq: the smallest name is the oldest.
            open.pop_first();
        }
        open.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn forget(&self, path: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }
}

impl Storage for Disk {
    fn create_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        self.run("create directory", path, |_, full| std::fs::create_dir_all(full))
    }

    fn list(&self, path: &str) -> BoxFuture<'static, Result<Vec<String>, StorageError>> {
        self.run("list", path, |_, full| {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(full)? {
                let name = entry?.file_name();
                names.push(name.into_string().map_err(|name| {
                    io::Error::new(io::ErrorKind::InvalidData, format!("name {name:?}"))
                })?);
            }
            names.sort();
            Ok(names)
        })
    }

    fn len(&self, path: &str) -> BoxFuture<'static, Result<u64, StorageError>> {
        self.run("read length of", path, |_, full| Ok(std::fs::metadata(full)?.len()))
    }

    fn read(
        &self,
        path: &str,
        offset: u64,
        len: usize,
    ) -> BoxFuture<'static, Result<Bytes, StorageError>> {
        self.run("read", path, move |_, full| {
            let file = File::open(full)?;
            let left = file.metadata()?.len().saturating_sub(offset);
            let mut bytes = vec![0; usize::try_from(left).unwrap_or(usize::MAX).min(len)];
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            bytes.truncate(filled);
            Ok(Bytes::from(bytes))
        })
    }

    fn append(&self, path: &str, bytes: Bytes) -> BoxFuture<'static, Result<(), StorageError>> {
        let name = path.to_owned();
        self.run("append to", path, move |disk, full| {
            disk.writer(&name, full, true)?.as_ref().write_all(&bytes)
        })
    }

    fn truncate(&self, path: &str, len: u64) -> BoxFuture<'static, Result<(), StorageError>> {
        let name = path.to_owned();
        self.run("truncate", path, move |disk, full| disk.writer(&name, full, false)?.set_len(len))
    }

    fn rename(&self, from: &str, to: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        let (old, new) = (from.to_owned(), to.to_owned());
        self.run("rename", from, move |disk, full| {
            let target = disk.resolve(&new)?;
            disk.forget(&old);
            disk.forget(&new);
            std::fs::rename(full, target)
        })
    }

    fn sync_data(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        let name = path.to_owned();
        self.run("sync", path, move |disk, full| disk.writer(&name, full, false)?.sync_data())
    }

    fn sync_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        self.run("sync directory", path, |_, full| File::open(full)?.sync_all())
    }

    fn lock(&self, path: &str) -> BoxFuture<'static, Result<LockedFile, StorageError>> {
        self.run("lock", path, |_, full| {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(full)?;
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => Ok(LockedFile::new(held)),
                Err((_, errno)) => Err(io::Error::from(errno)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    fn disk() -> (tempfile::TempDir, Disk) {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path()).unwrap();
        (folder, disk)
    }

    #[tokio::test]
    async fn appended_bytes_are_read_back_in_order_and_a_cut_removes_the_end() {
        let (_folder, disk) = disk();
        disk.create_dir("events").await.unwrap();
        disk.append("events/0.log", Bytes::from_static(b"one\n")).await.unwrap();
        disk.append("events/0.log", Bytes::from_static(b"two\n")).await.unwrap();
        disk.sync_data("events/0.log").await.unwrap();
        disk.sync_dir("events").await.unwrap();
        assert_eq!(disk.len("events/0.log").await.unwrap(), 8);
        assert_eq!(disk.read("events/0.log", 4, 100).await.unwrap(), "two\n");
        disk.truncate("events/0.log", 4).await.unwrap();
        disk.append("events/0.log", Bytes::from_static(b"three\n")).await.unwrap();
        assert_eq!(disk.read("events/0.log", 0, 100).await.unwrap(), "one\nthree\n");
        assert_eq!(disk.list("events").await.unwrap(), ["0.log"]);
    }

    #[tokio::test]
    async fn operations_take_effect_in_the_order_of_their_calls_even_if_dropped() {
        let (_folder, disk) = disk();
        disk.append("a", Bytes::from_static(b"kept ")).await.unwrap();
        for _ in 0..200 {
            drop(disk.append("a", Bytes::from_static(b"given up ")));
            let cut = disk.truncate("a", 5);
            let read = disk.read("a", 0, 100);
            assert_eq!(read.await.unwrap(), "kept ");
            cut.await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_append_after_a_rename_goes_to_a_new_file() {
        let (_folder, disk) = disk();
        disk.append("a", Bytes::from_static(b"old")).await.unwrap();
        disk.rename("a", "b").await.unwrap();
        disk.append("a", Bytes::from_static(b"new")).await.unwrap();
        assert_eq!(disk.read("b", 0, 10).await.unwrap(), "old");
        assert_eq!(disk.read("a", 0, 10).await.unwrap(), "new");
    }

    #[tokio::test]
    async fn a_second_lock_is_refused_until_the_first_is_dropped() {
        let (folder, disk) = disk();
        let held = disk.lock("lock").await.unwrap();
        let other = Disk::new(folder.path()).unwrap();
        let refused = other.lock("lock").await.err().unwrap();
        assert_eq!(refused.kind, ErrorKind::WouldBlock);
        drop(held);
        other.lock("lock").await.map(drop).unwrap();
    }

    #[tokio::test]
    async fn a_path_outside_the_root_is_refused() {
        let (_folder, disk) = disk();
        for path in ["../x", "/etc/hostname", "a/../../x"] {
            let refused = disk.read(path, 0, 1).await.unwrap_err();
            assert_eq!(refused.kind, ErrorKind::InvalidInput, "{path}");
        }
    }

    #[tokio::test]
    async fn a_sync_of_a_file_that_is_not_there_is_an_error_and_creates_nothing() {
        let (_folder, disk) = disk();
        assert_eq!(disk.sync_data("none").await.unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(disk.truncate("none", 0).await.unwrap_err().kind, ErrorKind::NotFound);
        assert!(disk.list("").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_full_disk_is_reported_as_such() {
        let disk = Disk::new("/dev").unwrap();
        let refused = disk.append("full", Bytes::from_static(b"x")).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::StorageFull);
    }
}
