//! Documents speak of what is there: every path and every test that they name exists, and each
//! invariant has its row among the guarantees.

use rynxs_tests::{root, text_of, tracked_files};

const ROOTS: [&str; 9] =
    ["core/", "operator/", "sim/", "chaos/", "tests/", "helm/", "docs/", "examples/", "kind/"];

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

/// Code spans that look like the name of a test: a sentence with underscores.
fn tests_in(text: &str) -> Vec<&str> {
    let spans = text.split('`').skip(1).step_by(2);
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    spans
        .filter(|span| span.chars().all(word) && !span.starts_with("rynxs_"))
        .filter(|span| span.matches('_').count() >= 3)
        .collect()
}

#[test]
fn every_test_named_in_a_document_exists() {
    assert_eq!(tests_in("see `a_test_is_named` and `a_field`"), ["a_test_is_named"]);
    let files = tracked_files();
    let with = |ext: &'static str| {
        files.iter().filter(move |file| file.extension().is_some_and(|found| found == ext))
    };
    let code: String = with("rs").map(|file| text_of(file)).collect();
    let mut named = 0;
    let mut missing = Vec::new();
    for file in with("md") {
        for test in tests_in(&text_of(file)) {
            named += 1;
            if !code.contains(&format!("fn {test}(")) {
                missing.push(format!("{}: {test}", file.display()));
            }
        }
    }
    assert!(named > 20, "only {named} tests found");
    assert!(missing.is_empty(), "tests that do not exist:\n  {}", missing.join("\n  "));
}

#[test]
fn every_invariant_says_what_it_promises_assumes_and_leaves_open_and_what_checks_it() {
    let document = text_of("docs/guarantees.md".as_ref());
    for number in 1..=10 {
        let start = format!("| I{number} ");
        let rows: Vec<&str> = document.lines().filter(|line| line.starts_with(&start)).collect();
        let [row] = rows[..] else { panic!("I{number} has {} rows", rows.len()) };
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, promised, _assumed, checked, open] = cells[..] else { panic!("{row}") };
        assert!(!promised.is_empty() && !open.is_empty(), "{row}");
        assert!(!tests_in(checked).is_empty(), "I{number} is checked by no test");
    }
}
