//! A bounded campaign of random scenarios under fresh seeds, and that a run is the same whoever
//! makes it: alone, in a batch, on one thread or two, in another process.

#![allow(clippy::disallowed_methods, reason = "its seed may be asked for")]
#![allow(clippy::disallowed_macros, reason = "its seed and counts are printed")]

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rynxs_sim::explore::{Plan, explore};
use rynxs_sim::fingerprint;
use rynxs_sim::scenario::strategy::{Size, draw};
use rynxs_sim::trial::trial;

/// What shows a failure again.
const SIMULATOR: &str = env!("CARGO_BIN_EXE_rynxs-sim");

/// Runs of one campaign of `cargo test`; a count, so that every machine makes the same ones.
const RUNS: u64 = 12;
/// A campaign that takes longer hangs.
const HANG: Duration = Duration::from_secs(600);

/// Whose code a campaign tries: its seed changes with them.
const ROOMS: [&str; 3] = ["HEAD:core", "HEAD:operator", "HEAD:sim"];

/// New for each state of the code, and the same for everybody who looks at that state;
/// `RYNXS_SIM_SEED` asks for another one. Outside a clone, the time.
fn seed() -> u64 {
    if let Some(seed) = std::env::var("RYNXS_SIM_SEED").ok().and_then(|text| text.parse().ok()) {
        return seed;
    }
    let trees = Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse"])
        .args(ROOMS)
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let hashes = trees.lines().map(|tree| u64::from_str_radix(tree.get(..12)?, 16).ok());
    match hashes.collect::<Option<Vec<u64>>>() {
        Some(hashes) if hashes.len() == ROOMS.len() => {
            hashes.into_iter().fold(0, |seed, hash| seed ^ hash)
        }
        _ => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
            u64::try_from(since.as_millis()).expect("for the next half billion years")
        }
    }
}

#[test]
fn random_scenarios_break_no_invariant() {
    let seed = seed();
    let size = Size::default();
    let plan = Plan { seed, runs: RUNS, time: HANG, threads: 2, size, failures: 1 };
    // Straight to the descriptor: what a passing test prints by macro is not shown.
    let mut told = std::io::stderr();
    let _ = writeln!(told, "campaign from seed {seed}");
    let tally = explore(&plan, |_, _| ());
    let _ = writeln!(
        told,
        "{} runs, {:?} of simulated time, {} take-overs, {} faults",
        tally.runs, tally.simulated, tally.takeovers, tally.faults
    );
    let failed: Vec<_> = tally
        .failures
        .iter()
        .map(|one| {
            let twice = if one.shown.takes_two() { " --twice" } else { "" };
            format!("{}\n{SIMULATOR} replay --seed {}{twice}", one.shown, one.seed)
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(tally.runs > 0 && tally.takeovers > 0, "nothing was tried");
}

const SEEDS: std::ops::Range<u64> = 100..104;

fn print_of(seed: u64) -> String {
    let trial = trial(&draw(seed, Size::default()), seed, false);
    let outcome = trial.outcome.unwrap_or_else(|| panic!("seed {seed}: {}", trial.shown));
    fingerprint(&outcome.lines)
}

#[test]
fn a_run_in_a_batch_is_the_run_alone() {
    let batch: Vec<_> = SEEDS.map(print_of).collect();
    // The last one of the batch, before all others.
    let alone = print_of(SEEDS.end - 1);
    assert_eq!(batch.last(), Some(&alone));
    let (evens, odds) = std::thread::scope(|scope| {
        let half =
            |first: usize| move || SEEDS.skip(first).step_by(2).map(print_of).collect::<Vec<_>>();
        let (evens, odds) = (scope.spawn(half(0)), scope.spawn(half(1)));
        (evens.join().expect("it runs"), odds.join().expect("it runs"))
    });
    let two: Vec<_> = (0..batch.len())
        .map(|index| if index % 2 == 0 { &evens[index / 2] } else { &odds[index / 2] })
        .collect();
    assert_eq!(batch.iter().collect::<Vec<_>>(), two);
}

#[test]
fn another_process_makes_the_same_run() {
    let seed = SEEDS.start;
    let replay = || {
        let output = Command::new(env!("CARGO_BIN_EXE_rynxs-sim"))
            .args(["replay", "--seed", &seed.to_string()])
            .output()
            .expect("the binary is built beside this test");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let print = text.lines().find_map(|line| line.strip_prefix("fingerprint "));
        print.unwrap_or_else(|| panic!("no fingerprint in {text}")).trim().to_owned()
    };
    let (one, two) = (replay(), replay());
    assert_eq!(one, two);
    assert_eq!(one, print_of(seed), "and in this process");
}
