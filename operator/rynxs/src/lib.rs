//! rynxs connects: adapters to the real world, command line, telemetry, demo.
//!
//! The library exists so that tests can reach what the binary is made of; its interface is the
//! command line.

pub mod adapters;
pub mod cli;
#[cfg(feature = "demo")]
pub mod demo;
pub mod telemetry;
