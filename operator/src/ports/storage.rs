//! The file operations that a durable log needs, and nothing else.

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;

/// A file operation that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageError {
    /// What was done, for example `append`.
    pub operation: &'static str,
    /// To which path.
    pub path: String,
    /// What went wrong.
    pub kind: std::io::ErrorKind,
    /// The system's words.
    pub message: String,
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.path, self.message)
    }
}

impl std::error::Error for StorageError {}

/// Disk. Paths are relative to the root that the host chose, `/`-separated.
///
/// Durability is explicit: bytes survive a crash only after `sync_data` of the file, a name only
/// after `sync_dir` of its directory.
///
/// Operations take effect in the order in which they were called, also those whose futures were
/// dropped: an append that its caller gave up must not land behind a later truncate.
pub trait Storage: Send + Sync {
    /// Creates a directory and its parents; fine if it exists.
    fn create_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>>;

    /// Names in a directory, sorted.
    fn list(&self, path: &str) -> BoxFuture<'static, Result<Vec<String>, StorageError>>;

    /// Length of a file, bytes.
    fn len(&self, path: &str) -> BoxFuture<'static, Result<u64, StorageError>>;

    /// Reads up to `len` bytes from `offset`; fewer only at the end of the file.
    fn read(
        &self,
        path: &str,
        offset: u64,
        len: usize,
    ) -> BoxFuture<'static, Result<Bytes, StorageError>>;

    /// Appends bytes, creating the file if need be.
    fn append(&self, path: &str, bytes: Bytes) -> BoxFuture<'static, Result<(), StorageError>>;

    /// Cuts a file to `len` bytes.
    fn truncate(&self, path: &str, len: u64) -> BoxFuture<'static, Result<(), StorageError>>;

    /// Renames a file within the root.
    fn rename(&self, from: &str, to: &str) -> BoxFuture<'static, Result<(), StorageError>>;

    /// Makes a file's bytes durable (`fdatasync`).
    fn sync_data(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>>;

    /// Makes a directory's names durable.
    fn sync_dir(&self, path: &str) -> BoxFuture<'static, Result<(), StorageError>>;

    /// Takes an exclusive lock, held until the value is dropped; `WouldBlock` if another process
    /// has it.
    fn lock(&self, path: &str) -> BoxFuture<'static, Result<LockedFile, StorageError>>;
}

/// An exclusive lock; dropping it releases the lock.
pub struct LockedFile(#[allow(dead_code, reason = "held for its Drop")] Box<dyn Send + Sync>);

impl LockedFile {
    /// Wraps whatever releases the lock when dropped.
    #[must_use]
    pub fn new(holder: impl Send + Sync + 'static) -> Self {
        Self(Box::new(holder))
    }
}
