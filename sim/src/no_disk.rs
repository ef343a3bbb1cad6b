//! A machine without a disk: these replicas keep their log in the object store.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use rynxs_operator::ports::{LockedFile, Storage, StorageError};

/// Refuses every operation; a replica that touches the disk in an S3 run is wrong.
pub(crate) struct NoDisk;

fn refuse<T: Send + 'static>(
    operation: &'static str,
    path: &str,
) -> BoxFuture<'static, Result<T, StorageError>> {
    let error = StorageError {
        operation,
        path: path.to_owned(),
        kind: std::io::ErrorKind::Unsupported,
        message: "this machine has no disk".to_owned(),
    };
    async move { Err(error) }.boxed()
}

impl Storage for NoDisk {
    fn create_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        refuse("create_dir", path)
    }

    fn list(&self, path: &str) -> BoxFuture<'static, Result<Vec<String>, StorageError>> {
        refuse("list", path)
    }

    fn len(&self, path: &str) -> BoxFuture<'static, Result<u64, StorageError>> {
        refuse("len", path)
    }

    fn read(
        &self,
        path: &str,
        _: u64,
        _: usize,
    ) -> BoxFuture<'static, Result<Bytes, StorageError>> {
        refuse("read", path)
    }

    fn append(&self, path: &str, _: Bytes) -> BoxFuture<'static, Result<(), StorageError>> {
        refuse("append", path)
    }

    fn truncate(&self, path: &str, _: u64) -> BoxFuture<'static, Result<(), StorageError>> {
        refuse("truncate", path)
    }

    fn rename(&self, from: &str, _: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        refuse("rename", from)
    }

    fn sync_data(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        refuse("sync_data", path)
    }

    fn sync_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>> {
        refuse("sync_dir", path)
    }

    fn lock(&self, path: &str) -> BoxFuture<'static, Result<LockedFile, StorageError>> {
        refuse("lock", path)
    }
}
