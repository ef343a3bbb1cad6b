//! What an append to the file store costs, beside the bare write and `fdatasync` that it cannot do
//! without, on the same disk in the same run.

#![allow(
    clippy::disallowed_types,
    clippy::expect_used,
    reason = "a benchmark is its own host: it gives the store a real disk"
)]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::future::BoxFuture;
use rynxs_core::ids::Seq;
use rynxs_operator::ports::{LockedFile, Storage, StorageError};
use rynxs_operator::store::{FileLogStore, LogStore, PutOutcome};

/// A record with one observation is about this long.
const RECORD_BYTES: usize = 600;

/// A directory, without threads between: both sides of the comparison call the kernel directly.
struct Disk {
    root: PathBuf,
    open: Mutex<BTreeMap<String, Arc<File>>>,
}

impl Disk {
    fn writer(&self, path: &str) -> std::io::Result<Arc<File>> {
        let mut open = self.open.lock().expect("one thread");
        if let Some(file) = open.get(path) {
            return Ok(file.clone());
        }
        let file = OpenOptions::new().create(true).append(true).open(self.root.join(path))?;
        let file = Arc::new(file);
        open.insert(path.to_owned(), file.clone());
        Ok(file)
    }
}

fn done<T: Send + 'static>(
    operation: &'static str,
    path: &str,
    result: std::io::Result<T>,
) -> BoxFuture<'static, Result<T, StorageError>> {
    let result = result.map_err(|error| StorageError {
        operation,
        path: path.to_owned(),
        kind: error.kind(),
        message: error.to_string(),
    });
    Box::pin(std::future::ready(result))
}

fn names(dir: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

impl Storage for Disk {
    fn create_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        done("create_dir", path, std::fs::create_dir_all(self.root.join(path)))
    }

    fn list(&self, path: &str) -> BoxFuture<'static, Result<Vec<String>, StorageError>> {
        done("list", path, names(&self.root.join(path)))
    }

    fn len(&self, path: &str) -> BoxFuture<'static, Result<u64, StorageError>> {
        done("len", path, std::fs::metadata(self.root.join(path)).map(|data| data.len()))
    }

    fn read(
        &self,
        path: &str,
        offset: u64,
        len: usize,
    ) -> BoxFuture<'static, Result<Bytes, StorageError>> {
        let read = || {
            let mut bytes = vec![0; len];
            let read = File::open(self.root.join(path))?.read_at(&mut bytes, offset)?;
            bytes.truncate(read);
            Ok(Bytes::from(bytes))
        };
        done("read", path, read())
    }

    fn append(&self, path: &str, bytes: Bytes) -> BoxFuture<'static, Result<(), StorageError>> {
        done("append", path, self.writer(path).and_then(|file| (&*file).write_all(&bytes)))
    }

    fn truncate(&self, path: &str, len: u64) -> BoxFuture<'static, Result<(), StorageError>> {
        let cut = OpenOptions::new().write(true).open(self.root.join(path));
        done("truncate", path, cut.and_then(|file| file.set_len(len)))
    }

    fn rename(&self, from: &str, to: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        self.open.lock().expect("one thread").clear();
        done("rename", from, std::fs::rename(self.root.join(from), self.root.join(to)))
    }

    fn sync_data(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        done("sync_data", path, self.writer(path).and_then(|file| file.sync_data()))
    }

    fn sync_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        done("sync_dir", path, File::open(self.root.join(path)).and_then(|dir| dir.sync_all()))
    }

    fn lock(&self, path: &str) -> BoxFuture<'static, Result<LockedFile, StorageError>> {
        done("lock", path, File::create(self.root.join(path)).map(LockedFile::new))
    }
}

fn append(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let record = Bytes::from(vec![b'x'; RECORD_BYTES]);
    let mut group = criterion.benchmark_group("append_600_bytes");
    group.throughput(Throughput::Elements(1));

    let path = folder.path().join("bare");
    let bare = OpenOptions::new().create(true).append(true).open(path).expect("a writable disk");
    let mut line = record.to_vec();
    line.push(b'\n');
    group.bench_function("write_and_fdatasync", |bencher| {
        bencher.iter(|| {
            (&bare).write_all(black_box(&line)).expect("room on the disk");
            bare.sync_data().expect("a disk that syncs");
        });
    });

    let disk = Disk { root: folder.path().to_owned(), open: Mutex::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let store = runtime
        .block_on(FileLogStore::open(Arc::new(disk), "log", "log"))
        .expect("an empty directory is a log");
    let mut seq = 0;
    group.bench_function("file_store_put", |bencher| {
        bencher.iter(|| {
            let outcome = runtime.block_on(store.put(Seq(seq), black_box(record.clone())));
            assert_eq!(outcome, PutOutcome::Committed);
            seq += 1;
        });
    });
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
