//! What a store holds: buckets, keys, and the versions of each key, newest last.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use s3s::dto::{ChecksumType, ETag, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use sha2::{Digest, Sha256};

use crate::checksum::Checksums;
use crate::history::History;
use crate::lock::{LockRule, Retention};
use crate::options::Options;
use crate::policy::Policy;

/// Version id of objects in buckets that keep no versions.
pub(crate) const NULL_VERSION: &str = "null";

pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) buckets: BTreeMap<String, Bucket>,
    pub(crate) history: History,
    /// Identity policies, in the order of `options.identities`.
    pub(crate) identity_policies: Vec<Vec<Policy>>,
    versions: u64,
}

impl State {
    pub(crate) fn new(options: Options, identity_policies: Vec<Vec<Policy>>) -> Self {
        let history = History::new(options.history_limit);
        Self { options, buckets: BTreeMap::new(), history, identity_policies, versions: 0 }
    }

    /// An id that no other version has; opaque, like the real ones.
    pub(crate) fn next_version_id(&mut self) -> String {
        let id = opaque(self.options.seed, "version", self.versions);
        self.versions += 1;
        id
    }

    pub(crate) fn bucket(&self, name: &str) -> S3Result<&Bucket> {
        self.buckets.get(name).ok_or_else(|| no_such_bucket(name))
    }

    pub(crate) fn bucket_mut(&mut self, name: &str) -> S3Result<&mut Bucket> {
        self.buckets.get_mut(name).ok_or_else(|| no_such_bucket(name))
    }
}

fn no_such_bucket(name: &str) -> S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist: {name}")
}

/// 32 hex digits that depend on seed, purpose and number alone.
pub(crate) fn opaque(seed: u64, purpose: &str, number: u64) -> String {
    let digest = Sha256::digest(format!("{seed}/{purpose}/{number}").as_bytes());
    digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn timestamp(ms: u64) -> Timestamp {
    Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_millis(ms))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versioning {
    Never,
    Enabled,
    Suspended,
}

#[derive(Clone)]
pub(crate) struct Bucket {
    pub(crate) created_ms: u64,
    pub(crate) versioning: Versioning,
    pub(crate) lock: Option<LockRule>,
    pub(crate) policy: Option<Policy>,
    pub(crate) keys: BTreeMap<String, Vec<Version>>,
}

impl Bucket {
    pub(crate) fn new(created_ms: u64, versioned: bool, object_lock: bool) -> Self {
        let versioning =
            if versioned || object_lock { Versioning::Enabled } else { Versioning::Never };
        let lock = object_lock.then(LockRule::default);
        Self { created_ms, versioning, lock, policy: None, keys: BTreeMap::new() }
    }

    /// The newest version of a key, marker or object.
    pub(crate) fn newest(&self, key: &str) -> Option<&Version> {
        self.keys.get(key)?.last()
    }

    /// The object that a plain GET sees.
    pub(crate) fn current(&self, key: &str) -> Option<(&Version, &Object)> {
        let version = self.newest(key)?;
        Some((version, version.object.as_ref()?))
    }

    /// One version by id, or the newest.
    pub(crate) fn version(&self, key: &str, id: Option<&str>) -> S3Result<&Version> {
        let found = match id {
            None => self.newest(key),
            Some(id) => self.keys.get(key).and_then(|all| all.iter().find(|v| v.id == id)),
        };
        found.ok_or_else(|| missing(key, id))
    }

    /// As [`Self::version`], to be changed.
    pub(crate) fn version_mut(&mut self, key: &str, id: Option<&str>) -> S3Result<&mut Version> {
        let found = self.keys.get_mut(key).and_then(|all| match id {
            None => all.last_mut(),
            Some(id) => all.iter_mut().find(|v| v.id == id),
        });
        found.ok_or_else(|| missing(key, id))
    }

    /// Puts a version on top; a `null` version replaces an older `null` one.
    pub(crate) fn push(&mut self, key: &str, version: Version) {
        let all = self.keys.entry(key.to_owned()).or_default();
        if version.id == NULL_VERSION {
            all.retain(|v| v.id != NULL_VERSION);
        }
        all.push(version);
    }

    /// Removes one version for good.
    pub(crate) fn remove(&mut self, key: &str, id: &str) -> Option<Version> {
        let all = self.keys.get_mut(key)?;
        let at = all.iter().position(|v| v.id == id)?;
        let gone = all.remove(at);
        if all.is_empty() {
            self.keys.remove(key);
        }
        Some(gone)
    }
}

pub(crate) fn missing(key: &str, id: Option<&str>) -> S3Error {
    match id {
        None => s3_error!(NoSuchKey, "The specified key does not exist: {key}"),
        Some(id) => S3Error::with_message(
            S3ErrorCode::NoSuchVersion,
            format!("The specified version does not exist: {key} {id}"),
        ),
    }
}

/// One version of a key: an object, or a delete marker.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) modified_ms: u64,
    /// None is a delete marker.
    pub(crate) object: Option<Object>,
}

#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    /// Quoted nowhere: the MD5 in hex.
    pub(crate) etag: String,
    pub(crate) checksums: Checksums,
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) retention: Option<Retention>,
    pub(crate) legal_hold: bool,
}

impl Object {
    pub(crate) fn etag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }

    pub(crate) fn checksum_type(&self) -> Option<ChecksumType> {
        self.checksums.any().then(|| ChecksumType::from_static(ChecksumType::FULL_OBJECT))
    }
}
