//! Pictures of a run: deterministic, complete, and safe to open whatever the run's texts say.

mod page;
mod story;
mod terminal;
mod world;
