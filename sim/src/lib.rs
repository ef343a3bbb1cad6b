//! rynxs lies: a deterministic world in which the shipped operator runs.
//!
//! A run is a scenario and a seed. The operator's own requests, as encoded bytes, travel through
//! simulated time to the models of the Kubernetes API and of S3, and everything on the way lies;
//! the same scenario and seed give the same event stream, byte for byte.

#[cfg(not(madsim))]
compile_error!(
    "rynxs-sim needs `--cfg madsim`: .cargo/config.toml sets it, a RUSTFLAGS variable overrides \
     that; unset RUSTFLAGS or add `--cfg madsim` to it"
);

/// A run is millions of short-lived strings and JSON nodes: with the system's allocator they cost a
/// quarter of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod clock;
mod disk;
mod entropy;
pub mod enumerate;
pub mod explore;
pub mod fault;
pub mod frontier;
mod machine;
mod net;
pub mod planted;
pub mod probe;
pub mod scenario;
pub mod shrink;
mod stream;
pub mod trial;
mod verify;
mod world;

pub use scenario::Scenario;
pub use stream::{fingerprint, text};
pub use world::{Outcome, Stats, run};
