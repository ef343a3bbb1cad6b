//! One oracle per invariant, each in the file named after it.

mod bounds;
pub(crate) mod facts;
mod i10_tamper;
mod i1_chain;
mod i2_durable;
mod i3_epoch;
mod i4_fenced;
mod i5_effects;
mod i5_intent;
mod i6_replay;
mod i7_one_leader;
mod i7_yields;
mod i8_converge;
mod i9_least_privilege;
mod lease;

use crate::event::{Event, Excuse, Line};
use crate::history::History;
use crate::verdict::{Finding, Invariant, Report, Verdict};
use facts::Facts;

pub use bounds::Bounds;
pub use i9_least_privilege::unused_rights;
pub use i10_tamper::{LOG_REFUSED, UNDETECTABLE};

/// Judges every invariant that a bare history of writes can show: I1 to I5.
#[must_use]
pub fn judge(history: &History) -> Report {
    let facts = Facts::of_history(history);
    Report { verdicts: of_writes(&facts).into() }
}

/// Judges all ten invariants by the event stream of a run.
///
/// What a fault of the run may break is excused, and shown as such.
#[must_use]
pub fn judge_stream(lines: &[Line]) -> Report {
    let facts = Facts::of_lines(lines);
    let mut verdicts: Vec<(Invariant, Verdict)> = of_writes(&facts).into();
    verdicts.extend([
        (Invariant::I6Replay, i6_replay::judge(&facts)),
        (Invariant::I7OneLeader, i7_one_leader::judge(&facts)),
        (Invariant::I8Converge, i8_converge::judge(&facts)),
        (Invariant::I9LeastPrivilege, i9_least_privilege::judge(&facts)),
        (Invariant::I10Tamper, i10_tamper::judge(&facts)),
    ]);
    let inexcusable = i7_yields::judge(&facts);
    let excuses = facts.head.map_or(&[][..], |head| &head.excused);
    for (invariant, verdict) in &mut verdicts {
        let of_it = excuses.iter().filter(|excuse| excuse.invariant == *invariant);
        let began = of_it.filter_map(|excuse| Some((began_at(&facts, excuse)?, excuse)));
        if let Some((since_ns, excuse)) = began.min_by_key(|(since_ns, _)| *since_ns) {
            let plain = std::mem::replace(verdict, Verdict::Pass { checked: 0 });
            // Two that led before the fault are not its doing. What is wrong with the log or the
            // cluster at the end has the place of what came to harm, which is older than the harm.
            let told = plain.findings().iter().filter(|_| *invariant == Invariant::I7OneLeader);
            let early = told.filter(|one| one.at_ns.is_some_and(|at| at < since_ns));
            let early: Vec<Finding> = early.cloned().collect();
            *verdict = match early.is_empty() {
                true => plain.excused(&excuse.fault),
                false => Verdict::Fail { findings: early },
            };
        }
        let stays = if *invariant == Invariant::I7OneLeader { &*inexcusable } else { &[] };
        if !stays.is_empty() {
            *verdict = Verdict::from_findings(stays.to_vec(), 0, "");
        }
    }
    Report { verdicts }
}

/// When a fault of the run began that excuses something; none if it never did. A clock beyond the
/// bound may be so from the start.
fn began_at(facts: &Facts<'_>, excuse: &Excuse) -> Option<u64> {
    let beyond = excuse.fault.strip_suffix("-beyond");
    let name = beyond.unwrap_or(&excuse.fault);
    let began = facts.lines.iter().find_map(|line| match &line.event {
        Event::FaultBegan { fault, .. } if fault == name => Some(line.t_ns),
        _ => None,
    });
    began.or(beyond.map(|_| 0))
}

fn of_writes(facts: &Facts<'_>) -> [(Invariant, Verdict); 5] {
    [
        (Invariant::I1Chain, i1_chain::judge(facts)),
        (Invariant::I2Durable, i2_durable::judge(facts)),
        (Invariant::I3Epoch, i3_epoch::judge(facts)),
        (Invariant::I4Fenced, i4_fenced::judge(facts)),
        (Invariant::I5Intent, i5_intent::judge(facts)),
    ]
}
