//! The Kubernetes API as this operator uses it, over the Network port.
//!
//! Every request has a time limit and a body limit, every answer is classified by what the caller
//! must do next, and nothing is retried here: whether a write may be sent again is decided where
//! its meaning is known. The only write to a managed object is [`StampedApply`], which cannot be
//! built without the decision it comes from (I4).

mod backoff;
mod client;
mod error;
mod event;
mod fields;
pub mod lease;
mod list;
mod resource;
mod seen;
mod status;
mod watch;
mod write;

pub use backoff::Backoff;
pub use client::{Answer, Call, KubeClient};
pub use error::{Fault, KubeError, Refusal};
pub use event::{EventKind, EventSink, Regarding};
pub use fields::without_others;
pub use list::{Listed, Selection};
pub use resource::{EVENTS, LEASES, RESOURCES, ResourceType, VERBS};
pub use status::StatusWrite;
pub(crate) use watch::WATCH_TIMEOUT_S;
pub use watch::{WatchError, WatchEvent, WatchStream};
pub use write::{
    ApplyError, Incarnation, MarkedDelete, Provenance, SessionDelete, StampedApply, Written,
};
