//! rynxs connects: adapters to the real world, command line, telemetry, demo.

fn main() {}
