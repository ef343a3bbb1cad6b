//! The model as the shipped S3 client sees it: every request is built, signed and parsed by
//! `aws-sdk-s3`, every answer by the model; no socket between them.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod client;
mod faults;
mod listing;
mod locks;
mod policies;
mod put_if_absent;
mod reading;
mod signatures;
mod versions;
