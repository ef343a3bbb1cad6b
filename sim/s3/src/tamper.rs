//! The hand that no API call shows: reads and changes what is stored, past every rule.
//!
//! For oracles, which compare what was acknowledged with what is there, and for the nemesis, which
//! must be caught at it (I10). Nothing here enters the history.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::access::lock;
use crate::checksum::{Checksums, hex, md5};
use crate::model::S3Model;
use crate::state::{Bucket, Object, State, Version};

/// The whole of one bucket at one time, to be put back later.
#[derive(Clone)]
pub struct Snapshot(Bucket);

impl S3Model {
    /// Current objects of a bucket by key; empty if there is no such bucket.
    #[must_use]
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Bytes> {
        let state = lock(&self.state);
        let Some(bucket) = state.buckets.get(bucket) else { return BTreeMap::new() };
        let keys = bucket.keys.keys();
        keys.filter_map(|key| Some((key.clone(), bucket.current(key)?.1.bytes.clone()))).collect()
    }

    /// How many current objects a bucket has.
    #[must_use]
    pub fn count(&self, bucket: &str) -> usize {
        let state = lock(&self.state);
        let Some(bucket) = state.buckets.get(bucket) else { return 0 };
        bucket.keys.keys().filter(|key| bucket.current(key).is_some()).count()
    }

    /// One current object.
    #[must_use]
    pub fn object(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let state = lock(&self.state);
        Some(state.buckets.get(bucket)?.current(key)?.1.bytes.clone())
    }

    /// Removes a key and all its versions; whether there was one.
    pub fn erase(&self, bucket: &str, key: &str) -> bool {
        self.change(bucket, |bucket| bucket.keys.remove(key).is_some())
    }

    /// Writes bytes over the newest version of a key, or makes it.
    pub fn overwrite(&self, bucket: &str, key: &str, bytes: Bytes) -> bool {
        self.change(bucket, |bucket| {
            let newest = bucket.keys.get_mut(key).and_then(|versions| versions.last_mut());
            let etag = hex(&md5(&bytes));
            match newest.and_then(|version| version.object.as_mut()) {
                Some(object) => {
                    object.bytes = bytes.clone();
                    object.etag = etag;
                    object.checksums = Checksums::default();
                }
                None => bucket.push(key, plain(bytes.clone(), etag)),
            }
            true
        })
    }

    /// Swaps the contents of two keys; whether both were there.
    pub fn swap(&self, bucket: &str, one: &str, other: &str) -> bool {
        self.change(bucket, |bucket| {
            let (Some(first), Some(second)) =
                (bucket.keys.get(one).cloned(), bucket.keys.get(other).cloned())
            else {
                return false;
            };
            bucket.keys.insert(one.to_owned(), second);
            bucket.keys.insert(other.to_owned(), first);
            true
        })
    }

    /// Everything that a bucket holds now.
    #[must_use]
    pub fn snapshot(&self, bucket: &str) -> Option<Snapshot> {
        lock(&self.state).buckets.get(bucket).cloned().map(Snapshot)
    }

    /// Puts a bucket back to what it was: the rollback.
    pub fn restore(&self, bucket: &str, snapshot: &Snapshot) {
        lock(&self.state).buckets.insert(bucket.to_owned(), snapshot.0.clone());
    }

    fn change(&self, bucket: &str, change: impl FnOnce(&mut Bucket) -> bool) -> bool {
        let mut state = lock(&self.state);
        let state: &mut State = &mut state;
        state.buckets.get_mut(bucket).is_some_and(change)
    }
}

fn plain(bytes: Bytes, etag: String) -> Version {
    let object = Object {
        bytes,
        etag,
        checksums: Checksums::default(),
        content_type: None,
        metadata: BTreeMap::new(),
        retention: None,
        legal_hold: false,
    };
    Version { id: crate::state::NULL_VERSION.to_owned(), modified_ms: 0, object: Some(object) }
}
