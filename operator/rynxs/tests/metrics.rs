//! `docs/metrics.md` and the binary say the same of every metric, and no document, alert or chart
//! names one that is not exported.
#![allow(missing_docs, reason = "tests are named by their claims")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rynxs::telemetry::Metrics;

/// Metrics that users were promised, with the labels that they were promised.
const PROMISED: [(&str, &[&str]); 9] = [
    ("rynxs_events_total", &["event_type"]),
    ("rynxs_reconcile_duration_seconds", &["resource_type"]),
    ("rynxs_leader_election_status", &[]),
    ("rynxs_leader_election_transitions_total", &[]),
    ("rynxs_leader_election_failures_total", &["reason"]),
    ("rynxs_replay_duration_seconds", &[]),
    ("rynxs_checkpoint_create_duration_seconds", &[]),
    ("rynxs_checkpoint_verify_failures_total", &[]),
    ("rynxs_s3_put_errors_total", &["error_type"]),
];

/// Where names of metrics may stand.
const PLACES: [&str; 4] = ["README.md", "docs", "helm", "examples"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/metrics.md")).expect("the document")
}

/// The cells of every row of every table whose first cell is a code span.
fn rows(document: &str) -> Vec<Vec<String>> {
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let line = line.trim_matches('|');
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

/// The code spans of a cell.
fn spans(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

#[test]
fn the_document_lists_exactly_the_metrics_that_are_exported() {
    let document = document();
    let listed: BTreeMap<String, Vec<String>> = rows(&document)
        .into_iter()
        .filter(|row| row[0].starts_with("`rynxs_"))
        .map(|row| (spans(&row[0])[0].clone(), row[1..].to_vec()))
        .collect();
    let metrics = Metrics::new();
    let mut exported = BTreeSet::new();
    for metric in metrics.described() {
        let [kind, labels, unit, meaning] =
            &listed.get(&metric.name).unwrap_or_else(|| panic!("{} is missing", metric.name))[..]
        else {
            panic!("{}: name, type, labels, unit, meaning", metric.name);
        };
        let names: Vec<&str> = metric.labels.iter().map(|(name, _)| *name).collect();
        assert_eq!(kind, metric.kind, "{}", metric.name);
        assert_eq!(spans(labels), names, "{}", metric.name);
        assert_eq!(*meaning, metric.help, "{}", metric.name);
        assert_eq!(unit == "seconds", metric.name.ends_with("_seconds"), "{}", metric.name);
        assert!(!unit.is_empty(), "{}", metric.name);
        exported.insert(metric.name.clone());
    }
    let unknown: Vec<&String> = listed.keys().filter(|name| !exported.contains(*name)).collect();
    assert!(unknown.is_empty(), "not exported: {unknown:?}");
}

#[test]
fn the_document_lists_exactly_the_values_that_labels_can_have() {
    let document = document();
    let listed: BTreeMap<String, Vec<String>> = rows(&document)
        .into_iter()
        .filter(|row| row.len() == 2)
        .map(|row| (spans(&row[0])[0].clone(), spans(&row[1])))
        .collect();
    let mut exported = BTreeMap::new();
    for metric in Metrics::new().described() {
        for (name, values) in &metric.labels {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            let before = exported.insert((*name).to_owned(), values.clone());
            assert!(before.is_none_or(|before| before == values), "{name} means two things");
        }
    }
    // The one value that every build has of its own.
    exported.insert("version".to_owned(), Vec::new());
    assert_eq!(listed, exported);
}

#[test]
fn what_is_described_is_what_the_registry_exports() {
    let metrics = Metrics::new();
    let text = metrics.render();
    let exported: BTreeSet<(&str, &str)> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let described: BTreeSet<(&str, &str)> =
        metrics.described().iter().map(|metric| (metric.name.as_str(), metric.kind)).collect();
    let quiet: Vec<_> = described.difference(&exported).collect();
    assert_eq!(quiet, [&("rynxs_kubernetes_requests_total", "counter")], "no series before one");
    assert!(exported.is_subset(&described));
}

#[test]
fn every_promised_metric_is_exported_with_its_labels() {
    let metrics = Metrics::new();
    for (name, labels) in PROMISED {
        let metric = metrics.described().iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not exported"));
        let names: Vec<&str> = metric.labels.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, labels, "{name}");
    }
}

fn files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("a folder of this checkout") {
            files(&entry.expect("an entry").path(), found);
        }
    } else {
        found.push(path.to_owned());
    }
}

#[test]
fn no_document_and_no_chart_names_a_metric_that_is_not_exported() {
    let metrics = Metrics::new();
    let names: Vec<&str> = metrics.described().iter().map(|metric| metric.name.as_str()).collect();
    let mut all = Vec::new();
    PLACES.iter().for_each(|place| files(&root().join(place), &mut all));
    let mut named = 0;
    for file in all {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("rynxs_") && !is_ours(word)) {
            let series = ["_bucket", "_sum", "_count"].map(|end| word.strip_suffix(end));
            let known =
                series.into_iter().flatten().chain([word]).any(|name| names.contains(&name));
            assert!(known, "{}: {word} is not exported", file.display());
            named += 1;
        }
    }
    assert!(named >= names.len(), "only {named} names found");
}

/// Crates of this workspace, as log directives name them.
fn is_ours(word: &str) -> bool {
    let rooms = ["core", "operator", "apiserver", "s3", "judge", "sim", "chaos", "tests"];
    rooms.iter().any(|room| word.strip_prefix("rynxs_") == Some(room))
}
