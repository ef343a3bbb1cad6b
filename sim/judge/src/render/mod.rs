//! Pictures of a run, as pure functions of its event stream: columns for a terminal, and one HTML
//! file with a space-time diagram.
//!
//! They judge nothing. What is wrong comes in as [`Highlight`]s; a picture shows where it stands in
//! the run and what led to it, so that a stranger sees within a minute what happened.

mod arrow;
mod bar;
mod cause;
mod disk;
mod journey;
mod label;
mod lane;
mod lease;
mod log;
mod note;
mod reading;
mod terminal;
mod timeline;
mod words;

pub use terminal::{Options, terminal};
pub use timeline::{Heading, timeline_html};

use crate::verdict::{Finding, Invariant};

/// A violation and the lines of the stream that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Highlight {
    /// The invariant as people call it, for example `I4 fenced`.
    pub invariant: String,
    /// Indices into the stream; the last one shows the violation, the others what it contradicts.
    pub lines: Vec<usize>,
    /// What is wrong: `place: expected …, found …`.
    pub text: String,
}

impl Highlight {
    /// The highlight of a finding that stands at these lines.
    #[must_use]
    pub fn of(invariant: Invariant, finding: &Finding, lines: Vec<usize>) -> Self {
        Self { invariant: invariant.to_string(), lines, text: finding.to_string() }
    }
}
