//! A model of the Kubernetes API server: `http::Request` in, `http::Response` out, over memory.
//!
//! Why: the operator's claims (fencing, creates that are inert, nothing adopted) hold or break in
//! the API server's compare-and-swap. So the model answers what a real server answers (statuses,
//! reasons, conflicts, field ownership, watch events) and keeps the ground truth of every write.
//!
//! Modelled: every verb on the resources in `registry/builtin.rs` and on those of CRDs; server-side
//! apply with field ownership, the three other patches; selectors, pages, exact and cached reads,
//! watches with bookmarks and 410; finalizers, owner references, namespaces; defaults, canonical
//! quantities, dropped empties, unknown fields; schemas and CEL rules of CRDs;
//! ValidatingAdmissionPolicies; roles; discovery, OpenAPI and tables for `kubectl`; the small part
//! of the built-in controllers that matters; API servers whose watch caches lag.
//! Not modelled: kubelets, schedulers, networks, volumes, webhooks, quotas, priority and fairness,
//! protobuf, conversion between versions other than by `apiVersion`, audit, `exec` and `logs`,
//! `scale`, admission plugins other than namespace life cycle, claim protection and policies.
//! Answers are compared with those of a real server in `tests/conversations`.
//!
//! [`ApiServer::handle`] is synchronous and never blocks; it knows no clock, no runtime and no
//! operating system. Equal options, requests and times give equal bytes: uids and tokens are
//! made from the seed and a counter.

mod admission;
mod apply;
mod cel;
mod controllers;
mod convert;
mod defaults;
mod discovery;
mod expiry;
mod fault;
mod gc;
mod history;
mod object;
mod protobuf;
mod rbac;
mod registry;
mod request;
mod resource;
mod rest;
mod schema;
mod selector;
mod server;
mod shape;
mod status_error;
mod store;
mod table;
mod types;
mod validate;
mod watch;

pub use fault::Fault;
pub use history::Write;
pub use rbac::RightUse;
pub use server::{ApiServer, Body, LoadError, Options, User, documents};
