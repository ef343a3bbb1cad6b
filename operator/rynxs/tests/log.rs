//! `rynxs log` on good logs and on logs that somebody has damaged.

#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::path::Path;

use support::{LogBuilder, rynxs};

/// Three records of agents in two epochs.
fn log() -> LogBuilder {
    let mut log = LogBuilder::new();
    log.agent("ada");
    log.agent("bob");
    log.epoch("rynxs-1_b");
    log.agent("eve");
    log
}

fn verify(folder: &Path, more: &[&str]) -> (i32, String, String) {
    rynxs(&[&["log", "verify", folder.to_str().unwrap()], more].concat())
}

/// A folder with the log as objects, damaged.
fn damaged(damage: impl FnOnce(&Path)) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    log().write_objects(folder.path());
    damage(folder.path());
    let (code, _, error) = verify(folder.path(), &[]);
    (code, error)
}

#[test]
fn the_same_log_verifies_as_objects_and_as_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (objects, lines) = (folder.path().join("objects"), folder.path().join("lines"));
    std::fs::create_dir(&objects).unwrap();
    std::fs::create_dir(&lines).unwrap();
    log().write_objects(&objects);
    log().write_lines(&lines.join("0000000000.jsonl"));
    let mut heads = Vec::new();
    for place in [objects, lines] {
        let (code, result, error) = verify(&place, &["--output", "json"]);
        assert_eq!(code, 0, "{error}");
        let result: serde_json::Value = serde_json::from_str(&result).unwrap();
        assert_eq!(result["records"], 6);
        assert_eq!(result["epochs"], 2);
        assert_eq!(result["decisions"], 3);
        assert_eq!(result["decisions_not_rederivable"], 0);
        heads.push((result["head_hash"].clone(), result["state_hash"].clone()));
    }
    assert_eq!(heads[0], heads[1]);
}

#[test]
fn a_changed_byte_is_found_in_its_record() {
    let (code, error) = damaged(|folder| {
        let path = folder.join("0000000003.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"bob\"", "\"bot\"").replace("/bob", "/bot")).unwrap();
    });
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("record 3") && error.contains("hash"), "{error}");
}

#[test]
fn a_missing_record_is_a_hole() {
    let (code, error) =
        damaged(|folder| std::fs::remove_file(folder.join("0000000002.json")).unwrap());
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("record 2 is missing"), "{error}");
    let place = std::env::temp_dir().display().to_string();
    assert!(error.contains(&place) && error.contains("fix: keep every byte"), "{error}");
}

#[test]
fn swapped_records_do_not_continue_the_log() {
    let (code, error) = damaged(|folder| {
        let (two, three) = (folder.join("0000000002.json"), folder.join("0000000003.json"));
        let aside = folder.join("aside");
        std::fs::rename(&two, &aside).unwrap();
        std::fs::rename(&three, &two).unwrap();
        std::fs::rename(&aside, &three).unwrap();
    });
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("record 2") && error.contains("seq"), "{error}");
}

#[test]
fn a_foreign_file_among_the_records_is_named() {
    let (code, error) = damaged(|folder| std::fs::write(folder.join("notes.txt"), "x").unwrap());
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("notes.txt"), "{error}");
}

#[test]
fn a_cut_end_verifies_but_has_another_head() {
    let folder = tempfile::tempdir().unwrap();
    log().write_objects(folder.path());
    let head = |result: String| {
        serde_json::from_str::<serde_json::Value>(&result).unwrap()["head_hash"].clone()
    };
    let (_, whole, _) = verify(folder.path(), &["-o", "json"]);
    std::fs::remove_file(folder.path().join("0000000005.json")).unwrap();
    let (code, cut, error) = verify(folder.path(), &["-o", "json"]);
    assert_eq!(code, 0, "a chain alone cannot show it: {error}");
    assert_ne!(head(whole), head(cut));
}

#[test]
fn a_torn_last_line_is_noted_and_a_torn_line_before_others_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("0000000000.jsonl");
    log().write_lines(&first);
    let whole = std::fs::read(&first).unwrap();
    std::fs::write(&first, &whole[..whole.len() - 10]).unwrap();
    let (code, result, error) = verify(folder.path(), &[]);
    assert_eq!(code, 0, "{error}");
    assert!(result.contains("a line without an end"), "{result}");
    std::fs::write(folder.path().join("0000000006.jsonl"), "x\n").unwrap();
    let (code, _, error) = verify(folder.path(), &[]);
    assert_eq!(code, 4, "{error}");
    assert!(error.contains("0000000000.jsonl"), "{error}");
}

#[test]
fn an_empty_folder_holds_no_log() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, error) = verify(folder.path(), &[]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("there is no record"), "{error}");
}

#[test]
fn show_and_tail_say_that_there_is_no_log_and_where_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    std::fs::create_dir(&log).unwrap();
    for command in ["verify", "show", "tail"] {
        let (code, _, error) = rynxs(&["log", command, folder.path().to_str().unwrap()]);
        assert_eq!(code, 3, "{command}: {error}");
        assert!(error.contains("there is no record"), "{command}: {error}");
        assert!(error.contains(log.to_str().unwrap()), "{command}: {error}");
    }
}

#[test]
fn show_and_tail_name_the_place_of_a_damaged_record() {
    let folder = tempfile::tempdir().unwrap();
    log().write_objects(folder.path());
    let cut = folder.path().join("0000000005.json");
    let whole = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &whole[..whole.len() - 10]).unwrap();
    let place = folder.path().to_str().unwrap();
    for command in ["verify", "show", "tail"] {
        let (code, _, error) = rynxs(&["log", command, place]);
        assert_eq!(code, 4, "{command}: {error}");
        let named = error.contains(place) && error.contains("record 5") && error.contains("fix:");
        assert!(named, "{command}: {error}");
    }
}

#[test]
fn a_file_that_is_no_segment_is_named() {
    let folder = tempfile::tempdir().unwrap();
    log().write_lines(&folder.path().join("mine.jsonl"));
    let (code, _, error) = verify(folder.path(), &[]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("mine.jsonl") && error.contains("0000000000.jsonl"), "{error}");
}

#[test]
fn show_says_that_nothing_matches() {
    let folder = tempfile::tempdir().unwrap();
    log().write_objects(folder.path());
    let place = folder.path().to_str().unwrap();
    for filter in [["--about", "default/nobody"], ["--type", "Nope"], ["--about", "lt/bob"]] {
        let (code, shown, error) = rynxs(&[&["log", "show", place][..], &filter].concat());
        assert_eq!((code, shown.as_str()), (0, ""), "{filter:?}");
        assert!(error.contains("no event matches") && error.contains("record 5"), "{error}");
    }
}

#[test]
fn show_prints_the_events_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    log().write_objects(folder.path());
    let place = folder.path().to_str().unwrap();
    let (code, table, error) = rynxs(&["log", "show", place, "--about", "default/bob"]);
    assert_eq!(code, 0, "{error}");
    assert!(table.contains("AgentObserved") && table.contains("default/bob"), "{table}");
    assert!(!table.contains("default/ada"), "{table}");
    let (_, lines, _) =
        rynxs(&["log", "show", place, "-o", "jsonl", "--type", "ActionsDecided", "--from", "3"]);
    let events: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 2, "{lines}");
    assert!(events.iter().all(|shown| shown["event"]["type"] == "ActionsDecided"), "{lines}");
}

#[test]
fn tail_prints_the_newest_records_only() {
    let folder = tempfile::tempdir().unwrap();
    log().write_objects(folder.path());
    let place = folder.path().to_str().unwrap();
    let (code, lines, error) = rynxs(&["log", "tail", place, "-n", "1", "-o", "jsonl"]);
    assert_eq!(code, 0, "{error}");
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["seq"], 5, "{lines}");
    assert!(lines.lines().count() >= 2, "{lines}");
}
