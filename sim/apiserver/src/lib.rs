//! A model of the Kubernetes API server: `http::Request` in, `http::Response` out, over memory.
#![allow(dead_code, reason = "the server that calls these modules is written beside them")]

mod admission;
mod cel;
mod rbac;
mod resource;
mod schema;
mod shape;
mod status_error;

pub use rbac::RightUse;
