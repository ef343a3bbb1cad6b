//! The operator's only way out: time, network, disk and randomness.
//!
//! The operator spawns nothing and knows no runtime. Whoever hosts it gives it these four ports:
//! `rynxs` the real world, `rynxs-sim` a world that lies about all of them.

mod clock;
mod entropy;
mod network;
mod storage;

use std::sync::Arc;

pub use clock::{Clock, Mono, WallMs};
pub use entropy::Entropy;
pub use network::{Body, BodyError, NetError, Network, Service};
pub use storage::{LockedFile, Storage, StorageError};

/// The four ports together, cheap to clone.
#[derive(Clone)]
pub struct Ports {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The API server and the object store.
    pub network: Arc<dyn Network>,
    /// Disk.
    pub storage: Arc<dyn Storage>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
}
