//! rynxs performs: informer, election, appender and effects, through four ports.

pub mod cooldown;
pub mod election;
#[cfg(test)]
mod fixtures;
pub mod guard;
pub mod informer;
pub mod journal;
pub mod kube;
pub mod leader;
pub mod leadership;
pub mod observe;
pub mod ports;
pub mod replica;
pub mod run;
pub mod store;
pub mod takeover;

pub use replica::run;
