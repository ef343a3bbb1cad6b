//! The bucket's log as files in the demo's folder, as it grows.
//!
//! The embedded store is gone with the demo, and what it held with it. So its owner writes each
//! record to the folder before the answer to its PUT leaves: whatever a replica was told to be
//! stored is on disk (I2, for whoever looks afterwards), however the demo ends. A record appears
//! whole: it is written beside the folder and renamed into it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request};
use rynxs_s3::S3Model;

use crate::cli::Failure;

use super::trouble::Trouble;
use super::world::{BUCKET, PREFIX};

/// The copy; clones are one copy.
#[derive(Clone)]
pub struct Mirror {
    folder: PathBuf,
    /// Where a record is written before it has its name; one at a time.
    part: Arc<Mutex<PathBuf>>,
    trouble: Trouble,
}

impl Mirror {
    /// A copy in `folder`, which exists; what is not finished stands beside it.
    #[must_use]
    pub fn new(folder: PathBuf, trouble: Trouble) -> Self {
        let part = Arc::new(Mutex::new(folder.with_extension("part")));
        Self { folder, part, trouble }
    }

    /// The key of the log's record that a request writes.
    pub(super) fn key_put<T>(request: &Request<T>) -> Option<String> {
        let key =
            request.uri().path().strip_prefix('/')?.strip_prefix(BUCKET)?.strip_prefix('/')?;
        let ours = request.method() == Method::PUT && record(key).is_some();
        ours.then(|| key.to_owned())
    }

    /// Writes what the bucket has at this key. A failure ends the demo, not the store: the bucket
    /// has the record, and says so.
    pub(super) fn copy(&self, model: &S3Model, key: &str) {
        let (Some(name), Some(bytes)) = (record(key), model.object(BUCKET, key)) else { return };
        let part = self.part.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.folder.join(name);
        let written = std::fs::write(&*part, &bytes).and_then(|()| std::fs::rename(&*part, &path));
        if let Err(error) = written {
            self.trouble
                .report(Failure::io(&format!("copy the log to {}", path.display()), &error));
        }
    }

    /// What the folder lacks or has otherwise than the bucket, one line each.
    pub(super) fn differences(&self, model: &S3Model) -> Vec<String> {
        let mut found = Vec::new();
        for (key, bytes) in model.objects(BUCKET) {
            let Some(name) = record(&key) else { continue };
            let path = self.folder.join(name);
            if std::fs::read(&path).ok().as_deref() != Some(&bytes[..]) {
                found.push(format!("{} is not the bucket's {key}", path.display()));
            }
        }
        found
    }

    /// Where the copy is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// A record's name below the log's prefix.
fn record(key: &str) -> Option<&str> {
    key.strip_prefix(PREFIX)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_puts_of_records_are_copied() {
        let put = |method: Method, path: &str| {
            Mirror::key_put(&Request::builder().method(method).uri(path).body(()).unwrap())
        };
        let key = "events/0000000001.json";
        let path = format!("/{BUCKET}/{key}?x-id=PutObject");
        assert_eq!(put(Method::PUT, &path).as_deref(), Some(key));
        assert_eq!(put(Method::GET, &path), None);
        assert_eq!(put(Method::PUT, &format!("/{BUCKET}/preflight/x")), None);
        assert_eq!(put(Method::PUT, &format!("/other/{key}")), None);
    }
}
