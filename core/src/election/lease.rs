//! What the election reads and writes of a `coordination.k8s.io/v1` Lease.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::ids::{Uid, WriterId};

/// Longest duration of a record that standbys respect: no valid setting of L is longer.
const LONGEST_RECORD: Duration = Duration::from_secs(3_600);

/// A Lease as the API server showed it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeaseView {
    /// Its incarnation.
    pub uid: Uid,
    /// Its version, opaque but for telling a late watch event from news.
    pub resource_version: String,
    /// `holderIdentity`; none or empty means that nobody holds it.
    pub holder: Option<WriterId>,
    /// `leaseDurationSeconds`.
    pub duration: Duration,
    /// `acquireTime`, microseconds since the Unix epoch by the holder's wall clock.
    pub acquire_us: Option<u64>,
    /// `renewTime`, likewise; compared for equality only.
    pub renew_us: Option<u64>,
    /// `leaseTransitions`: evidence, never a fence (it restarts when the Lease is created anew).
    pub transitions: u32,
    /// `preferredHolder`, set by a coordinator that wants another holder.
    pub preferred: Option<String>,
    /// The whole `metadata`, so that a replacing write keeps labels and annotations.
    pub metadata: Map<String, Value>,
}

impl LeaseView {
    /// Who holds it, if anybody.
    #[must_use]
    pub fn holder(&self) -> Option<&WriterId> {
        self.holder.as_ref().filter(|holder| !holder.as_str().is_empty())
    }

    /// How long a standby with its own `lease` setting leaves this record alone.
    #[must_use]
    pub fn patience(&self, lease: Duration) -> Duration {
        lease.max(self.duration.min(LONGEST_RECORD))
    }

    /// Whether this comes from before `version`, so far as versions can be ordered: they are etcd
    /// revisions, common to all incarnations. Unordered ones count as news.
    #[must_use]
    pub fn is_before(&self, version: &str) -> bool {
        is_before(&self.resource_version, version)
    }

    /// Whether anything that a holder writes differs.
    #[must_use]
    pub fn differs(&self, other: &LeaseView) -> bool {
        self.uid != other.uid
            || self.resource_version != other.resource_version
            || self.holder != other.holder
            || self.renew_us != other.renew_us
    }
}

/// Whether one resourceVersion is certainly older than another.
pub(super) fn is_before(version: &str, other: &str) -> bool {
    match (version.parse::<u128>(), other.parse::<u128>()) {
        (Ok(version), Ok(other)) => version < other,
        _ => false,
    }
}

/// Which Lease a write is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Replace exactly this incarnation and version, keeping its metadata.
    Replace {
        /// The incarnation.
        uid: Uid,
        /// The version: the write is refused if it is not the stored one.
        resource_version: String,
        /// Metadata to send back.
        metadata: Map<String, Value>,
    },
    /// Create it by an apply that is refused if the name is taken.
    Create,
}

/// A write of the Lease.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseWrite {
    /// Which Lease.
    pub target: Target,
    /// `holderIdentity`; empty on a release.
    pub holder: WriterId,
    /// `leaseDurationSeconds`.
    pub duration: Duration,
    /// `acquireTime`, microseconds since the Unix epoch.
    pub acquire_us: u64,
    /// `renewTime`, unique among the writes of this identity: the mark of the attempt.
    pub renew_us: u64,
    /// `leaseTransitions`.
    pub transitions: u32,
}
