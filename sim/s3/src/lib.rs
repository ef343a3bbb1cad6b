//! A model of S3: `http::Request` in, `http::Response` out, over an in-memory store.
//!
//! What the log's safety stands on is modelled exactly: put-if-absent decided and applied in one
//! step, read-after-write, versions, delete markers that re-open a key, object lock, checksums,
//! signatures, bucket policies and listings in key order. What lies about it is data too: stores
//! that ignore or race the condition, and faults asked for per request. The protocol itself
//! (parsing, SigV4, XML) is the `s3s` crate's.
//!
//! **Invariant: the model reads no clock and draws nothing.** Time is an argument of
//! [`S3Model::call`], ids come from the seed and a counter, maps are ordered: the same requests in
//! the same order get byte-identical answers.
//!
//! Not modelled, answered 501: multipart uploads, copies, tags, ACLs, lifecycle, replication.

mod access;
mod checksum;
mod condition;
mod fault;
mod history;
mod listing;
mod lock;
mod model;
mod options;
mod policy;
mod service;
mod state;
mod tamper;

pub use fault::{Faults, Lost, NoFaults, Plan, Refusal, RequestInfo};
pub use history::{Condition, Outcome, Write, WriteAttempt};
pub use model::{ConnectionReset, S3Model};
pub use options::{BucketOptions, ConditionalPuts, Dialect, Identity, Options, Session};
pub use tamper::Snapshot;
