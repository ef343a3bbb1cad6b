//! rynxs performs: informer, election, appender and effects, through four ports.

pub mod observe;
pub mod ports;
pub mod store;
