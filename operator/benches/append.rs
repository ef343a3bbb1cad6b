//! What an append to the file store costs beside the least that durability costs: one write of the
//! same bytes and one fdatasync. `Elements/s` in criterion's output are events.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "measures a real disk")]

use std::fs::{self, OpenOptions};
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::future::{BoxFuture, ready};
use rynxs_core::event::Event;
use rynxs_core::ids::{Epoch, Hash, Kind, LogId, Nonce, ObjectRef, Seq, Uid, WriterId};
use rynxs_core::record::{EncodedEvent, EncodedRecord, Header, encode, sha256};
use rynxs_core::time::WallMs;
use rynxs_operator::ports::{LockedFile, Storage, StorageError};
use rynxs_operator::store::{FileLogStore, LogStore, PutOutcome};

/// A directory of the real disk; every operation is done before its future is returned.
struct Disk(PathBuf);

impl Disk {
    fn answer<T: Send + 'static>(
        &self,
        operation: &'static str,
        path: &str,
        result: std::io::Result<T>,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        Box::pin(ready(result.map_err(|error| StorageError {
            operation,
            path: path.to_owned(),
            kind: error.kind(),
            message: error.to_string(),
        })))
    }
}

type Answer<T> = BoxFuture<'static, Result<T, StorageError>>;

impl Storage for Disk {
    fn create_dir(&self, path: &str) -> Answer<()> {
        self.answer("create_dir", path, fs::create_dir_all(self.0.join(path)))
    }

    fn list(&self, path: &str) -> Answer<Vec<String>> {
        let names = fs::read_dir(self.0.join(path)).map(|entries| {
            let mut names: Vec<_> = entries
                .filter_map(Result::ok)
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        });
        self.answer("list", path, names)
    }

    fn len(&self, path: &str) -> Answer<u64> {
        self.answer("len", path, fs::metadata(self.0.join(path)).map(|found| found.len()))
    }

    fn read(&self, path: &str, offset: u64, len: usize) -> Answer<Bytes> {
        let read = || {
            let mut file = OpenOptions::new().read(true).open(self.0.join(path))?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(len as u64).read_to_end(&mut bytes)?;
            Ok(bytes.into())
        };
        self.answer("read", path, read())
    }

    fn append(&self, path: &str, bytes: Bytes) -> Answer<()> {
        let append = || {
            let mut file = OpenOptions::new().append(true).create(true).open(self.0.join(path))?;
            file.write_all(&bytes)
        };
        self.answer("append", path, append())
    }

    fn truncate(&self, path: &str, len: u64) -> Answer<()> {
        let truncate = || OpenOptions::new().write(true).open(self.0.join(path))?.set_len(len);
        self.answer("truncate", path, truncate())
    }

    fn rename(&self, from: &str, to: &str) -> Answer<()> {
        self.answer("rename", from, fs::rename(self.0.join(from), self.0.join(to)))
    }

    fn sync_data(&self, path: &str) -> Answer<()> {
        let sync = || OpenOptions::new().append(true).open(self.0.join(path))?.sync_data();
        self.answer("sync_data", path, sync())
    }

    fn sync_dir(&self, path: &str) -> Answer<()> {
        let sync = || OpenOptions::new().read(true).open(self.0.join(path))?.sync_all();
        self.answer("sync_dir", path, sync())
    }

    fn lock(&self, path: &str) -> Answer<LockedFile> {
        let lock = || {
            let file = OpenOptions::new().append(true).create(true).open(self.0.join(path))?;
            file.try_lock()?;
            Ok(LockedFile::new(file))
        };
        self.answer("lock", path, lock())
    }
}

/// Records of a log, one after the other.
struct Records {
    seq: Seq,
    prev_hash: Hash,
}

impl Records {
    fn next(&mut self, events: &[EncodedEvent]) -> EncodedRecord {
        let header = Header {
            seq: self.seq,
            prev_hash: self.prev_hash,
            epoch: Epoch(0),
            writer: WriterId::from("rynxs-0_3f8b1c1e-6b7a-4c57-9d0e-0123456789ab"),
            nonce: Nonce([1; 16]),
            ts_ms: WallMs(1_790_000_000_000),
        };
        let record = encode(&header, events);
        self.seq = self.seq.next();
        self.prev_hash = record.hash;
        record
    }
}

fn outcome(n: u64) -> EncodedEvent {
    EncodedEvent::new(&Event::ActionApplied {
        decision: Seq(n / 5),
        subject: ObjectRef::new(Kind::Agent, "default", format!("agent-{n}")),
        action: 0,
        uid: Uid(format!("3f8b1c1e-6b7a-4c57-9d0e-{n:012}")),
        projection: sha256(&n.to_le_bytes()),
    })
}

fn appends(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let started = Event::LogStarted {
        log_id: LogId::from("000102030405060708090a0b0c0d0e0f"),
        base: 0,
        predecessors: Vec::new(),
    };
    for size in [1u64, 100] {
        let events: Vec<_> = (0..size).map(outcome).collect();
        let directory = tempfile::tempdir().expect("a directory");
        let mut group = c.benchmark_group(format!("append a record of {size} event(s) to a file"));
        group.sample_size(20).throughput(Throughput::Elements(size));

        let mut records = Records { seq: Seq::ZERO, prev_hash: Hash::ZERO };
        let path = directory.path().join("bare");
        let mut file = OpenOptions::new().append(true).create(true).open(path).expect("a file");
        group.bench_function("bare write + fdatasync", |b| {
            b.iter_batched(
                || records.next(&events),
                |record| {
                    file.write_all(&record.bytes).and_then(|()| file.sync_data()).expect("a disk");
                },
                BatchSize::PerIteration,
            );
        });

        let mut records = Records { seq: Seq::ZERO, prev_hash: Hash::ZERO };
        let disk: Arc<dyn Storage> = Arc::new(Disk(directory.path().to_owned()));
        let store = runtime
            .block_on(FileLogStore::open(disk, "log", "the benchmark's log"))
            .expect("an empty log");
        let first = records.next(&[EncodedEvent::new(&started)]);
        let put = |record: EncodedRecord| {
            let outcome = runtime.block_on(store.put(record.seq, Bytes::from_owner(record.bytes)));
            assert_eq!(black_box(outcome), PutOutcome::Committed);
        };
        put(first);
        group.bench_function("file store", |b| {
            b.iter_batched(|| records.next(&events), put, BatchSize::PerIteration);
        });
        group.finish();
    }
}

criterion_group!(benches, appends);
criterion_main!(benches);
