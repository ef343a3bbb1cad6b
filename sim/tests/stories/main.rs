//! Stories: scenarios with a name that says what must be true, played under several seeds.
//!
//! Each asserts that the report is green (or excused of what its fault may break, and of nothing
//! else), and that what it is about happened: a story whose event did not occur shows nothing.
//! `cargo test -p rynxs-sim split_brain` plays those about two leaders.

mod disks;
mod elections;
mod people;
mod play;
mod quiet;
mod servers;
mod sessions;
mod split_brain;
mod stores;
mod tampering;
