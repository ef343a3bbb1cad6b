//! `docs/resources.md` explains every reason that a status or a decision can give.

use std::path::Path;

#[allow(clippy::disallowed_methods, reason = "a test reads and writes the files that it holds")]
fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The variants of an enum, or the values of text constants, between two lines of a source file.
fn words(source: &str, from: &str) -> Vec<String> {
    let (_, behind) = source.split_once(from).expect("it is in the source");
    let (body, _) = behind.split_once("\n}").expect("it ends");
    let word = |line: &str| {
        let line = line.trim();
        let text = match line.split_once(" = \"") {
            Some((_, value)) => value.trim_end_matches("\";"),
            None => line.strip_suffix(',')?,
        };
        let fine = text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.chars().all(char::is_alphanumeric);
        fine.then(|| text.to_owned())
    };
    body.lines().filter_map(word).collect()
}

#[test]
fn every_reason_is_explained() {
    let document = read("../docs/resources.md");
    let (status, event) = (read("src/status/mod.rs"), read("src/event.rs"));
    let mut all = words(&status, "pub mod reason {");
    assert!(all.len() > 20, "{all:?}");
    let decisions = words(&event, "pub enum Reason {");
    assert_eq!(decisions.len(), 13, "{decisions:?}");
    all.extend(decisions);
    all.extend(words(&event, "pub enum FailureReason {"));
    for word in all {
        assert!(document.contains(&format!("`{word}`")), "docs/resources.md: {word} is missing");
    }
}
