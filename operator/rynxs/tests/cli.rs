//! The command line as people see it: help and error texts, word for word.
//!
//! `TRYCMD=overwrite cargo test -p rynxs --test cli` writes what the binary says now.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::process::{Command, Stdio};

/// What the binary prints, without complaint.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_rynxs")).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_and_errors_are_what_the_golden_files_say() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}

#[test]
fn crd_prints_what_the_chart_installs() {
    let committed = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../helm/rynxs/crds");
        std::fs::read_to_string(format!("{folder}/{name}.universe.ai.yaml")).unwrap()
    };
    let documents = |text: &str| -> Vec<serde_json::Value> {
        use serde::Deserialize;
        serde_yaml_ng::Deserializer::from_str(text)
            .map(|document| serde_json::Value::deserialize(document).unwrap())
            .filter(|document| !document.is_null())
            .collect()
    };
    let both = [committed("agents"), committed("sessions")].map(|text| documents(&text)).concat();
    assert_eq!(both.len(), 2);
    assert_eq!(documents(&printed(&["crd"])), both);
    let list: serde_json::Value =
        serde_json::from_str(&printed(&["crd", "--output", "json"])).unwrap();
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"], serde_json::Value::from(both.clone()));
    let lines = printed(&["crd", "--output", "jsonl"]);
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, both);
    let table = printed(&["crd", "--output", "table"]);
    assert!(table.contains("agents.universe.ai") && table.contains("Session"), "{table}");
}

/// A shell reads the script, and is then asked what could follow.
#[test]
fn completions_are_scripts_that_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["completions", shell]);
        for word in ["operator", "demo", "verify", "show", "tail", "crd", "completions"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    let ask = r#"
        source "$1"
        COMP_WORDS=(rynxs log "") COMP_CWORD=2
        _rynxs rynxs "" log
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("rynxs.bash");
    std::fs::write(&script, printed(&["completions", "bash"])).unwrap();
    let bash = Command::new("bash").args(["-c", ask, "bash"]).arg(&script).output().unwrap();
    let said = String::from_utf8_lossy(&bash.stdout);
    for word in ["verify", "show", "tail"] {
        assert!(said.lines().any(|line| line == word), "{word} is not offered: {said}");
    }
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let mut crd = Command::new(env!("CARGO_BIN_EXE_rynxs"));
    let mut child = crd.arg("crd").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
