//! What the cluster looks like now: a cache of the few facts that decisions and writes need.
//!
//! One reflector per kind and namespace lists consistently and watches from there. The cache keeps
//! no whole objects, remembers only the latest state of each, and tells its reader which objects
//! changed; a reader that is slow sees fewer, newer states, never a longer queue.

mod cache;
mod entry;
mod reflector;

pub use cache::Cache;
pub use entry::{Entry, Facts, Managed, Owner, Project, Subject};
pub use reflector::{Reflector, selections};
