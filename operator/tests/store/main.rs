//! The log's stores: one suite for both, the S3 store over the S3 model, the file store over a
//! disk that loses power at every step.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod conformance;
mod crash;
mod damage;
mod disk;
mod file;
mod log;
mod s3;
mod wire;
