//! `rynxs-sim`: find a way to split the brain, shrink it, look at it.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    rynxs_sim::trial::deep(cli::main)
}
