//! rynxs lies: a deterministic world in which the shipped operator runs.
//!
//! A run is a scenario and a seed. The operator's own requests, as encoded bytes, travel through
//! simulated time to the models of the Kubernetes API and of S3; the same scenario and seed give
//! the same event stream, byte for byte.

#[cfg(not(madsim))]
compile_error!(
    "rynxs-sim needs `--cfg madsim`: .cargo/config.toml sets it, a RUSTFLAGS variable overrides \
     that; unset RUSTFLAGS or add `--cfg madsim` to it"
);

mod clock;
mod entropy;
mod history;
mod network;
mod no_disk;
mod scenario;
mod stream;
mod world;

pub use scenario::{Scenario, Step};
pub use stream::Stream;
pub use world::{Outcome, run};
