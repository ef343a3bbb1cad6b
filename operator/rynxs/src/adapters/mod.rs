//! The four ports on the real world: Linux clocks, TLS connections, a disk, the kernel's entropy.
//!
//! Nothing here decides anything. What an adapter owes the operator is the truth: a clock that
//! goes on during suspend, bytes that are on the disk when it says so, and an error that says
//! `NotSent` only when no byte of the request can have left this machine (I2, I4).

mod clock;
mod disk;
mod entropy;
mod kubernetes;
mod network;
mod object_store;

pub use clock::BootClock;
pub use disk::Disk;
pub use entropy::OsEntropy;
pub use kubernetes::{Kubernetes, KubernetesError, KubernetesOptions};
pub use network::RealNetwork;
pub use object_store::{ObjectStore, ObjectStoreError, ObjectStoreOptions};
