//! The journal and the takeover over a store in memory that loses, delays, refuses and races, on a
//! clock that only the tests move.

mod appending;
mod batching;
mod log;
mod store;
mod taking_over;
mod world;
