//! What the stores saw, in the order in which writes took effect.

use serde::{Deserialize, Serialize};

/// A whole run as the log store and the API server saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Attempts to write a log key.
    pub log_writes: Vec<LogWrite>,
    /// The log as it is at the end, ordered by key.
    pub log_at_end: Vec<LogObject>,
    /// Attempts to write a managed object.
    pub object_writes: Vec<ObjectWrite>,
    /// The user name under which the operator writes.
    pub operator: String,
}

/// One object of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogObject {
    /// Key below the prefix, for example `0000000007.json`.
    pub key: String,
    /// Exact bytes, as text: records are JSON.
    pub text: String,
}

/// One attempt to write a log key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogWrite {
    /// Key below the prefix.
    pub key: String,
    /// Exact bytes that were sent.
    pub text: String,
    /// Status that the store decided on, whether or not the answer arrived.
    pub status: u16,
}

impl LogWrite {
    /// Whether the store took the bytes.
    #[must_use]
    pub const fn took_effect(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

/// One attempt to write an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectWrite {
    /// Who wrote.
    pub user: String,
    /// `create`, `update`, `patch` or `delete`.
    pub verb: String,
    /// `Kind/namespace/name`.
    pub object: String,
    /// Incarnation after the write, or before it for a delete; empty if there was none.
    pub uid: String,
    /// The stamp of the object after the write, as text; none if it has none.
    pub stamp: Option<String>,
    /// Identity of the log in the object's annotations.
    pub log: Option<String>,
    /// Status that the server decided on.
    pub status: u16,
}

impl ObjectWrite {
    /// Whether the server took the write.
    #[must_use]
    pub const fn took_effect(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}
