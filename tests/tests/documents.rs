//! Documents speak of what is there: every path that they name exists.

use rynxs_tests::{root, text_of, tracked_files};

const ROOTS: [&str; 8] =
    ["core/", "operator/", "sim/", "chaos/", "tests/", "helm/", "docs/", "examples/"];

/// Code spans of a Markdown text that look like paths of this checkout.
fn paths_in(text: &str) -> Vec<&str> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|span| ROOTS.iter().any(|root| span.starts_with(root)))
        .filter(|span| !span.contains([' ', '*', '{', '\n']))
        .collect()
}

#[test]
fn code_spans_that_are_paths_are_found() {
    assert_eq!(paths_in("see `core/src/lib.rs` and `cargo run`"), ["core/src/lib.rs"]);
}

#[test]
fn every_path_named_in_a_document_exists() {
    let documents: Vec<_> = tracked_files()
        .into_iter()
        .filter(|file| file.extension().is_some_and(|ext| ext == "md"))
        .collect();
    let mut named = 0;
    let mut missing = Vec::new();
    for file in &documents {
        for path in paths_in(&text_of(file)) {
            named += 1;
            if !root().join(path).exists() {
                missing.push(format!("{}: {path}", file.display()));
            }
        }
    }
    assert!(named > 10, "only {named} paths found in {} documents", documents.len());
    assert!(missing.is_empty(), "paths that do not exist:\n  {}", missing.join("\n  "));
}
