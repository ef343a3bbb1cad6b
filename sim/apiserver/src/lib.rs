//! A model of the Kubernetes API server: `http::Request` in, `http::Response` out, over memory.
//!
//! Why: the operator's claims (fencing, creates that are inert, nothing adopted) hold or break in
//! the API server's compare-and-swap. So the model answers what a real server answers (statuses,
//! reasons, conflicts, field ownership, watch events) and keeps the ground truth of every write.
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
pub use server::{ApiServer, Body, LoadError, Options, User};
