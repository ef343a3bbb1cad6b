//! rynxs decides: records, chain, reducer, decisions, election and fencing as pure functions.
//!
//! Nothing here reads a clock, does I/O, spawns, draws randomness or looks at the environment:
//! time and random bytes are arguments. `docs/ARCHITECTURE.md` has the map of rooms.

pub mod append;
pub mod batch;
pub mod canonical;
pub mod chain;
pub mod config;
pub mod crd;
pub mod decide;
pub mod duration;
pub mod election;
pub mod error;
pub mod event;
pub mod genesis;
pub mod ids;
pub mod names;
pub mod projection;
pub mod record;
pub mod render;
pub mod replay;
pub mod resource;
pub mod state;
pub mod status;
pub mod takeover;
pub mod time;
