//! rynxs-chaos breaks a real cluster and judges it with the oracles of the simulator.

fn main() {}
