//! Ground truth: every attempt to write, accepted or refused, as the server saw it.
//!
//! The built-in controllers and collectors are users like others. Only Events that expire and
//! objects that go with their definition are no attempts of anybody.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;

/// One attempt to write one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Dense number of this attempt, from 0.
    pub number: u64,
    /// When it was handled, milliseconds.
    pub at_ms: u64,
    /// The global resourceVersion after the attempt.
    pub rv: u64,
    /// Who asked.
    pub user: String,
    /// `create`, `update`, `patch`, `apply` or `delete`; a deleted collection counts by object.
    pub verb: String,
    /// `status`, or empty.
    pub subresource: String,
    /// API group, empty for the core group.
    pub group: String,
    /// Plural name of the resource.
    pub resource: String,
    /// Kind.
    pub kind: String,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Object name.
    pub name: String,
    /// Uid of the object before or after; empty if there never was one.
    pub uid: String,
    /// Value of the stamp annotation in the stored object before.
    pub stamp_before: Option<String>,
    /// Value of the stamp annotation in the stored object after.
    pub stamp: Option<String>,
    /// Value of the stamp annotation in the request body (applies and creates), also when refused.
    pub stamp_sent: Option<String>,
    /// HTTP status code of the answer.
    pub status_code: u16,
    /// `reason` of the answer's Status, empty on success.
    pub reason: String,
    /// Whether the stored object changed (a no-op apply and a dry run change nothing).
    pub changed: bool,
    /// Whether the object is gone after it.
    pub removed: bool,
    /// The stored object after it, if it is there.
    pub object: Option<Arc<Value>>,
}

/// The newest attempts, up to a bound.
#[derive(Debug)]
pub(crate) struct History {
    writes: VecDeque<Write>,
    bound: usize,
    next: u64,
}

impl History {
    pub(crate) fn new(bound: usize) -> Self {
        Self { writes: VecDeque::new(), bound, next: 0 }
    }

    pub(crate) fn push(&mut self, mut write: Write) {
        write.number = self.next;
        self.next += 1;
        self.writes.push_back(write);
        while self.writes.len() > self.bound {
            self.writes.pop_front();
        }
    }

    /// Attempts with a number of at least `from`.
    pub(crate) fn since(&self, from: u64) -> Vec<Write> {
        let first = self.next - self.writes.len() as u64;
        let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        self.writes.iter().skip(skip).cloned().collect()
    }
}
