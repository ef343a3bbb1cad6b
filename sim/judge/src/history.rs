//! What the stores saw, in the order in which writes took effect.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Event, Line};

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

impl History {
    /// The writes of an event stream, in its order, without what else it says.
    #[must_use]
    pub fn from_lines(lines: &[Line]) -> Self {
        let mut history = Self::default();
        for line in lines {
            match &line.event {
                Event::Run(head) => history.operator.clone_from(&head.operator),
                Event::LogWrite(write) => {
                    history.log_writes.push(LogWrite { at_ns: line.t_ns, ..write.clone() });
                }
                Event::ObjectWrite(write) => {
                    let write = ObjectWrite { at_ns: line.t_ns, ..(**write).clone() };
                    history.object_writes.push(write);
                }
                Event::LogAtEnd(object) => history.log_at_end.push(object.clone()),
                _ => {}
            }
        }
        history.log_at_end.sort_by(|a, b| a.key.cmp(&b.key));
        history
    }
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogWrite {
    /// Key below the prefix.
    pub key: String,
    /// Exact bytes that were sent.
    pub text: String,
    /// Status that the store decided on, whether or not the answer arrived.
    pub status: u16,
    /// When, true nanoseconds since the start of the run; 0 if not known.
    #[serde(default)]
    pub at_ns: u64,
    /// The message that asked for it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<u64>,
}

impl LogWrite {
    /// Whether the store took the bytes.
    #[must_use]
    pub const fn took_effect(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

/// One attempt to write an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// When, true nanoseconds since the start of the run; 0 if not known.
    #[serde(default)]
    pub at_ns: u64,
    /// The message that asked for it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<u64>,
    /// `status`, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// Global resourceVersion after the attempt; 0 if not known.
    #[serde(default)]
    pub rv: u64,
    /// Whether the stored object changed: a no-op apply changes nothing.
    #[serde(default)]
    pub changed: bool,
    /// Whether the object is gone after it.
    #[serde(default)]
    pub removed: bool,
    /// The stored object after the write, if it changed and is still there.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "shared")]
    pub value: Option<Arc<Value>>,
}

impl ObjectWrite {
    /// Whether the server took the write.
    #[must_use]
    pub const fn took_effect(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

/// One thing that a disk did, or that befell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskWork {
    /// The replica that asked for it; empty if nobody did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub replica: String,
    /// What.
    pub operation: DiskOperation,
    /// The file or directory; empty if it was about no one of them.
    pub path: String,
    /// The new name of a renamed file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// Bytes that were written, that were to be made durable, that were cut off, lost or changed.
    pub bytes: u64,
    /// What came of it if it was not simply done, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome: String,
}

/// What a disk does, and what befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskOperation {
    /// Writes bytes behind those of a file.
    Append,
    /// Cuts a file.
    Truncate,
    /// Gives a file another name.
    Rename,
    /// Makes a file's bytes durable.
    SyncData,
    /// Makes a directory's names durable.
    SyncDir,
    /// Locks a file.
    Lock,
    /// Loses what was not durable.
    LosePower,
    /// Forgets what it was told to keep.
    Rot,
}

impl DiskWork {
    /// Whether a replica asked for it, and it was not done.
    #[must_use]
    pub fn failed(&self) -> bool {
        !self.replica.is_empty() && !self.outcome.is_empty()
    }
}

/// A shared value, written and read as the value itself.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Arc<Value>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_deref().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Arc<Value>>, D::Error> {
        Ok(Option::<Value>::deserialize(deserializer)?.map(Arc::new))
    }
}
