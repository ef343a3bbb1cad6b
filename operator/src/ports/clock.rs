//! Time as one replica sees it.

use futures::future::BoxFuture;
pub use rynxs_core::time::{Mono, WallMs};

/// Time. Leases are judged on `now()` alone.
pub trait Clock: Send + Sync {
    /// The monotonic clock; it goes on while the machine is suspended.
    fn now(&self) -> Mono;

    /// The wall clock.
    fn wall(&self) -> WallMs;

    /// Ends when `now() >= deadline`.
    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()>;
}
