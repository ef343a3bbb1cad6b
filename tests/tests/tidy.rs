//! The style's limits, as a test: `docs/ARCHITECTURE.md` says why each of them is there.

use std::path::Path;

use rynxs_tests::{text_of, tracked_files};

const FILE_LINES_MAX: usize = 600;
const LINE_COLUMNS_MAX: usize = 100;
/// Of a line of code with a literal in it, which the formatter leaves alone.
const LITERAL_COLUMNS_MAX: usize = 120;
const ROOMS: [&str; 6] = ["core/", "operator/", "sim/", "chaos/", "tests/", "kind/agent/"];

fn rust_files() -> Vec<std::path::PathBuf> {
    let files: Vec<_> = tracked_files()
        .into_iter()
        .filter(|file| file.extension().is_some_and(|ext| ext == "rs"))
        .collect();
    assert!(files.len() > 20, "only {} Rust files found", files.len());
    files
}

fn assert_none(findings: &[String], what: &str) {
    assert!(findings.is_empty(), "{what}:\n  {}", findings.join("\n  "));
}

#[test]
fn rust_files_live_in_a_room() {
    let strays: Vec<_> = rust_files()
        .iter()
        .filter(|file| !ROOMS.iter().any(|room| file.starts_with(room)))
        .map(|file| file.display().to_string())
        .collect();
    assert_none(&strays, "Rust files outside the rooms");
}

#[test]
fn files_stay_short_enough_to_read() {
    let long: Vec<_> = rust_files()
        .iter()
        .map(|file| (file, text_of(file).lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(file, lines)| format!("{}: {lines} lines, limit {FILE_LINES_MAX}", file.display()))
        .collect();
    assert_none(&long, "files that hold more than one noun");
}

#[test]
fn lines_fit_the_column_limit() {
    let mut wide = Vec::new();
    for file in rust_files() {
        for (index, line) in text_of(&file).lines().enumerate() {
            let columns = line.chars().count();
            let is_literal = line.contains('"') && !line.trim_start().starts_with("//");
            let limit = if is_literal { LITERAL_COLUMNS_MAX } else { LINE_COLUMNS_MAX };
            // A URL cannot be broken.
            if columns > limit && !line.contains("://") {
                wide.push(format!("{}:{}: {columns} columns", file.display(), index + 1));
            }
        }
    }
    assert_none(&wide, "lines over 100 columns");
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> = rust_files()
        .iter()
        .filter(|file| !text_of(file).trim_start().starts_with("//!"))
        .map(|file| file.display().to_string())
        .collect();
    assert_none(&silent, "files that do not open with `//!`");
}

#[test]
fn no_file_is_named_after_nothing() {
    let vague = ["utils", "util", "helpers", "helper", "manager", "common", "misc"];
    let found: Vec<_> = rust_files()
        .iter()
        .filter(|file| {
            file.iter().any(|part| {
                let part = Path::new(part).file_stem().unwrap_or_default().to_string_lossy();
                vague.contains(&part.as_ref())
            })
        })
        .map(|file| file.display().to_string())
        .collect();
    assert_none(&found, "names that say nothing");
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    // Written in halves so that this file does not find itself.
    let markers =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["todo", "!("], ["unimplemented", "!("]]
            .map(|halves| halves.concat());
    let ignored = ["#[ig", "nore"].concat();
    let mut found = Vec::new();
    for file in rust_files() {
        for (index, line) in text_of(&file).lines().enumerate() {
            let marked = markers.iter().any(|marker| line.contains(marker.as_str()));
            if marked || line.contains(&ignored) {
                found.push(format!("{}:{}: {}", file.display(), index + 1, line.trim()));
            }
        }
    }
    assert_none(&found, "left for later");
}

#[test]
fn racing_futures_is_biased() {
    // An unbiased select draws its order from the operating system.
    let allowed = ["select_biased!", "biased;"];
    let mut found = Vec::new();
    for file in rust_files() {
        if !file.starts_with("core/")
            && !file.starts_with("operator/src")
            && !file.starts_with("sim/")
        {
            continue;
        }
        for (index, line) in text_of(&file).lines().enumerate() {
            let races = line.contains("select!") && !line.trim_start().starts_with("//");
            if races && !allowed.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", file.display(), index + 1, line.trim()));
            }
        }
    }
    assert_none(&found, "`select!` without a fixed order");
}

#[test]
fn the_models_and_the_core_have_no_random_order() {
    let rooms = ["core/src", "operator/src", "sim/"];
    let banned = [["Hash", "Map"], ["Hash", "Set"]].map(|halves| halves.concat());
    let mut found = Vec::new();
    for file in rust_files() {
        if !rooms.iter().any(|room| file.starts_with(room)) {
            continue;
        }
        for (index, line) in text_of(&file).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if banned.iter().any(|name| code.contains(name.as_str())) && !line.contains("order:") {
                found.push(format!("{}:{}: {}", file.display(), index + 1, line.trim()));
            }
        }
    }
    assert_none(&found, "collections whose order differs between runs (say `order:` why not)");
}
