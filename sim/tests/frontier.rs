//! A corner of the frontier: one leader within what the settings promise, two where clocks are far
//! beyond it, and nothing else broken in either. `rynxs-sim frontier` makes the whole grid.

use rynxs_sim::frontier::{Cell, cell};

/// What shows a failure again.
const SIMULATOR: &str = env!("CARGO_BIN_EXE_rynxs-sim");

/// R of the default settings.
const DEADLINE_MS: u64 = 10_000;
const SEEDS: std::ops::Range<u64> = 1..3;

/// A cell in which I1–I6 and I8–I10 hold, whatever becomes of I7.
fn sound(ratio: u32) -> Cell {
    let cell = cell(DEADLINE_MS, ratio, SEEDS);
    let wrong: Vec<_> = cell
        .else_wrong
        .iter()
        .map(|(seed, shown)| {
            let place = format!("--deadline-ms {DEADLINE_MS} --ratio {ratio} --seeds 1");
            format!("seed {seed}: {shown}\n{SIMULATOR} frontier {place} --seed {seed}")
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    cell
}

#[test]
fn one_leader_is_one_within_what_is_promised() {
    // The last ratio of the grid for which (R + G) × q < L.
    let cell = sound(115);
    assert!(cell.is_promised());
    assert_eq!((cell.runs, cell.two_leaders), (2, 0));
}

#[test]
fn two_lead_far_beyond_it_and_the_log_holds() {
    let cell = sound(300);
    assert!(cell.is_beyond() && !cell.is_promised());
    assert_eq!((cell.runs, cell.two_leaders), (2, 2), "I7 must be seen to break");
}
