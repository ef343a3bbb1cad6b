//! Every scenario that once failed, for ever: `sim/regressions/*.yaml`.
//!
//! A file begins with a comment: what it shows in a sentence, then, if the seed matters, a line
//! `seed N` for each. Without one it is played under seeds 1 to 3. A line `twice` lets runs be made
//! again and compared, as what failed was that the same run gave other bytes. `rynxs-sim shrink
//! --claim` writes such a file.

#![allow(clippy::disallowed_methods, reason = "regressions are files of the tree")]

use std::path::PathBuf;

use rynxs_sim::scenario;
use rynxs_sim::trial::trial_again;

/// What shows a failure again.
const SIMULATOR: &str = env!("CARGO_BIN_EXE_rynxs-sim");

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let entries = std::fs::read_dir(&folder).expect("the folder of the regressions is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths
}

fn comments(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim)
}

fn seeds(text: &str) -> Vec<u64> {
    let named: Vec<u64> =
        comments(text).filter_map(|comment| comment.strip_prefix("seed ")?.parse().ok()).collect();
    if named.is_empty() { vec![1, 2, 3] } else { named }
}

#[test]
fn whatever_failed_once_stays_green() {
    let files = files();
    assert!(!files.is_empty(), "no regression is kept");
    let mut wrong = Vec::new();
    for path in files {
        let name = path.display();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let scenario = scenario::read(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let twice = comments(&text).any(|comment| comment == "twice");
        for seed in seeds(&text) {
            let trial = trial_again(&scenario, seed, twice);
            if !trial.shown.is_green() {
                let twice = if trial.shown.takes_two() { " --twice" } else { "" };
                let command = format!("{SIMULATOR} replay {name} --seed {seed}{twice}");
                wrong.push(format!("{}\n{command}", trial.shown));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_is_a_scenario_and_says_what_it_shows() {
    for path in files() {
        let name = path.display();
        assert_eq!(path.extension().and_then(|ext| ext.to_str()), Some("yaml"), "{name}");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let first = text.lines().next().unwrap_or_default();
        let sentence = first.strip_prefix("# ").unwrap_or_default();
        assert!(sentence.ends_with('.') && sentence.contains(' '), "{name} begins with {first:?}");
        scenario::read(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn seeds_are_named_in_the_comment_or_the_first_three() {
    assert_eq!(seeds("# It fails.\n# seed 7\n# seed 12\nsteps: []\n"), [7, 12]);
    assert_eq!(seeds("# It fails.\nsteps: []\n# seed 9\n"), [1, 2, 3]);
}
