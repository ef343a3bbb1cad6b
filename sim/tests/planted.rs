//! What can be said of the planted bugs without building them: `rynxs-sim planted` does the rest.

use std::path::Path;
use std::process::Command;

use rynxs_sim::planted::{FOLDER, all};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace")
}

#[test]
fn there_are_at_least_thirty_planted_bugs_and_each_says_what_must_catch_it() {
    let bugs = all(root()).expect("every patch has a head");
    assert!(bugs.len() >= 30, "{} planted bugs", bugs.len());
    for bug in &bugs {
        assert!(bug.bug.ends_with('.'), "{}: the bug is told in a sentence", bug.name);
        let bias = bug.bias.as_deref().unwrap_or("mix");
        assert!(
            ["mix", "file", "sessions", "rivals", "tamper"].contains(&bias),
            "{}: scenario {bias}",
            bug.name
        );
    }
}

#[test]
fn every_planted_bug_applies_to_the_tree() {
    let mut refused = Vec::new();
    for bug in all(root()).expect("every patch has a head") {
        let patch = root().join(FOLDER).join(format!("{}.patch", bug.name));
        let output = Command::new("git")
            .current_dir(root())
            .args(["apply", "--check", "-C1"])
            .arg(&patch)
            .output()
            .expect("git is needed to try the planted bugs, and is not to be had");
        if !output.status.success() {
            refused.push(format!("{}: {}", bug.name, String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(refused.is_empty(), "mend these patches:\n{}", refused.join("\n"));
}
