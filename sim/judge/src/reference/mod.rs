//! The judge's own idea of what is right, made from specs and raw records alone.
//!
//! Nothing here calls core's reducer, decisions, renderers or validation: it repeats in its own
//! words what the documents promise, so that a slip there shows as a difference here (I6, I8).

mod agent;
mod book;
mod cluster;
mod compare;
mod names;
mod quantity;
mod session;
mod spec;
mod time;
mod wanted;

pub(crate) use book::Book;
pub use cluster::Cluster;
pub(crate) use compare::difference;
pub(crate) use names::{
    LOG, RETAINED_FOR, annotation, generation, is_deleting, is_inert, is_managed, is_marked,
    kind_of, owner_uid, stamp_of, uid_of,
};
pub(crate) use time::unix_ms;
