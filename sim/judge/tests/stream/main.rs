//! Each oracle fails on streams that violate what it is named after, and on nothing else.

#![allow(missing_docs, reason = "a test")]

mod clean;
mod cluster;
mod converge;
mod ends;
mod forged;
mod format;
mod intent;
mod replay;
mod story;
mod writes;

use rynxs_judge::{Finding, Invariant};
use story::Story;

/// The story violates this and nothing else; returns what was found.
fn only(story: &Story, invariant: Invariant) -> Vec<Finding> {
    let report = story.report();
    assert_eq!(report.failed(), [invariant], "{report}");
    report.of(invariant).findings().to_vec()
}
