//! I9: every request allowed by the chart's roles, every rule used.
//!
//! One run uses a few rules; that every rule is used is a claim about many runs together
//! ([`unused_rights`]).

use std::collections::BTreeMap;

use super::facts::Facts;
use crate::event::{Event, Line};
use crate::verdict::{Finding, Verdict};

/// No request was refused by the roles.
pub(super) fn judge(facts: &Facts<'_>) -> Verdict {
    let mut findings = Vec::new();
    let mut checked = 0;
    for (place, line) in facts.placed() {
        match &line.event {
            Event::Right { uses, .. } => checked += uses,
            Event::RightRefused { what, times } if *times > 0 => {
                let found = format!("refused {times} times");
                findings.push(Finding::new(what, "a right for every request", found).at(place));
            }
            _ => {}
        }
    }
    Verdict::from_findings(findings, checked, "no right was seen in use")
}

/// The rights that none of these runs needed, in alphabetical order; over a whole campaign there
/// should be none.
pub fn unused_rights<'a>(runs: impl IntoIterator<Item = &'a [Line]>) -> Vec<String> {
    let mut uses: BTreeMap<&str, u64> = BTreeMap::new();
    for line in runs.into_iter().flatten() {
        if let Event::Right { right, uses: times } = &line.event {
            *uses.entry(right).or_default() += times;
        }
    }
    uses.into_iter().filter(|(_, uses)| *uses == 0).map(|(right, _)| right.to_owned()).collect()
}
