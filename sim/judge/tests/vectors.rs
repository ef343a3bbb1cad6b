//! The judge's own reading of a log agrees with every vector of the format.

use std::fs;
use std::path::Path;

use rynxs_judge::history::LogObject;
use rynxs_judge::{History, Invariant, judge};
use serde_json::Value;

/// The log of a file of records, one a line; what is no UTF-8 cannot be in a history as it is.
fn history(file: &Path) -> History {
    let bytes = fs::read(file).expect("the vector is there");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let whole = text.strip_suffix('\n').unwrap_or(&text);
    let log_at_end = whole
        .split('\n')
        .enumerate()
        .map(|(seq, line)| LogObject { key: format!("{seq:010}.json"), text: line.to_owned() })
        .collect();
    History { log_at_end, ..History::default() }
}

#[test]
fn every_vector_is_accepted_or_refused_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format/vectors");
    let index = fs::read_to_string(folder.join("index.json")).expect("the index is there");
    let index: Vec<Value> = serde_json::from_str(&index).expect("the index is JSON");
    assert!(index.len() > 30, "only {} vectors", index.len());
    let mut wrong = Vec::new();
    for vector in &index {
        let file = vector["file"].as_str().expect("a file");
        let report = judge(&history(&folder.join(file)));
        let refused = [Invariant::I1Chain, Invariant::I3Epoch]
            .iter()
            .any(|invariant| report.of(*invariant).is_fail());
        if refused == (vector["verdict"]["valid"] == true) {
            wrong.push(format!("{file} ({}): {report}", vector["why"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
