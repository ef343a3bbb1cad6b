//! Plays a story and shows what happened in it: probes, records, writes, by the stream alone.

#![allow(clippy::disallowed_methods, reason = "a run is written down if asked for")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Once;

use rynxs_judge::event::{Event, Line};
use rynxs_judge::history::{DiskOperation, DiskWork};
use rynxs_judge::{Invariant, LogEvent, LogRecord, ObjectWrite, Report, Verdict};
use rynxs_sim::scenario::{AgentShape, Do, SessionShape};
use rynxs_sim::trial::trial;
use rynxs_sim::{Scenario, fault, probe, scenario};
use serde_json::Value;

/// What one run showed.
pub(crate) struct Seen {
    pub(crate) seed: u64,
    pub(crate) lines: Vec<Line>,
    pub(crate) report: Report,
    hits: BTreeMap<&'static str, u64>,
}

/// An event of an accepted record.
pub(crate) struct Told {
    /// When the store took the record, milliseconds.
    pub(crate) at_ms: u64,
    pub(crate) writer: String,
    pub(crate) event: LogEvent,
}

static ANNOUNCED: Once = Once::new();

/// Lets whatever fails in a story, here or in the story's own claims, end with the command that
/// plays it again.
fn announce() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        // Runs have threads of their own, without a name: what panics there is a verdict.
        let thread = std::thread::current();
        let Some(name) = thread.name() else { return };
        // With one thread the tests run on the main one.
        let story = if name == "main" { String::new() } else { format!(" {name} -- --exact") };
        eprintln!("cargo test --workspace --test stories{story}");
    }));
}

/// Plays a scenario; every run must be green, excuses of its faults included.
pub(crate) fn play(story: &Scenario, seeds: Range<u64>) -> Vec<Seen> {
    ANNOUNCED.call_once(announce);
    seeds.map(|seed| play_once(story, seed)).collect()
}

fn play_once(story: &Scenario, seed: u64) -> Seen {
    let trial = trial(story, seed, false);
    let file = scenario::write(story, &format!("seed {seed}"));
    let shown = &trial.shown;
    let Some(outcome) = trial.outcome else { panic!("{shown}\n{file}") };
    if let Ok(folder) = std::env::var("RYNXS_SIM_OUT") {
        let name = std::thread::current().name().unwrap_or("story").replace("::", ".");
        let path = format!("{folder}/{name}.{seed}.jsonl");
        std::fs::write(path, rynxs_sim::text(&outcome.lines)).expect("the folder is there");
    }
    assert!(shown.is_green(), "{shown}\n{}\n{file}", outcome.report);
    explained(&outcome.lines);
    let hits = probe::hits(&outcome.lines);
    Seen { seed, lines: outcome.lines, report: outcome.report, hits }
}

/// Whatever meets a message is a fault of the table that began before, and a message that was sent.
fn explained(lines: &[Line]) {
    let (mut began, mut sent) = (BTreeSet::new(), BTreeSet::new());
    for line in lines {
        match &line.event {
            Event::FaultBegan { fault, .. } => {
                began.insert(fault);
            }
            Event::Sent { message, .. } => {
                sent.insert(message);
            }
            Event::FaultHit { message, fault, .. } => {
                assert!(fault::TABLE.iter().any(|row| row.fault == fault), "{line:?}");
                assert!(began.contains(fault) && sent.contains(message), "{line:?}");
            }
            _ => {}
        }
    }
}

/// Three replicas, and faults that end then at the latest.
pub(crate) fn until(heal_at_ms: u64) -> Scenario {
    Scenario { heal_at_ms, ..Scenario::default() }
}

/// A user's Agent.
pub(crate) fn agent(name: &str, value: u32) -> Do {
    agent_like(name, AgentShape { value, ..AgentShape::default() })
}

/// A user's Agent of this shape.
pub(crate) fn agent_like(name: &str, agent: AgentShape) -> Do {
    Do::ApplyAgent { name: name.to_owned(), agent }
}

/// A user's Session of the Agent `a`.
pub(crate) fn session(name: &str, max_s: u32) -> Do {
    let session = SessionShape { agent: "a".to_owned(), max_s, ..SessionShape::default() };
    Do::ApplySession { name: name.to_owned(), session }
}

impl Seen {
    /// How often a probe was hit.
    pub(crate) fn hits(&self, probe: &str) -> u64 {
        assert!(probe::CATALOGUE.iter().any(|known| known.name == probe), "no probe {probe}");
        self.hits.get(probe).copied().unwrap_or(0)
    }

    /// The story's event, which must have occurred.
    pub(crate) fn must_hit(&self, probe: &str) {
        let all = &self.hits;
        assert!(self.hits(probe) > 0, "seed {}: {probe} did not happen, but {all:?}", self.seed);
    }

    /// The only invariants that may be excused here; the others passed.
    pub(crate) fn excuses_only(&self, excused: &[Invariant]) {
        for (invariant, verdict) in &self.report.verdicts {
            let fine = verdict.is_pass() || excused.contains(invariant);
            assert!(fine, "seed {}: {invariant} did not pass:\n{}", self.seed, self.report);
        }
    }

    /// Whether an invariant is broken, whoever excuses it.
    pub(crate) fn is_broken(&self, invariant: Invariant) -> bool {
        match self.report.of(invariant) {
            Verdict::Fail { findings } | Verdict::Excused { findings, .. } => !findings.is_empty(),
            Verdict::Pass { .. } | Verdict::Unknown { .. } => false,
        }
    }

    /// The events of all accepted records with this name, in the order of the log.
    pub(crate) fn told(&self, name: &str) -> Vec<Told> {
        let mut told = Vec::new();
        for line in &self.lines {
            let Event::LogWrite(write) = &line.event else { continue };
            let Ok(record) = LogRecord::parse(&write.text) else { continue };
            if write.took_effect() {
                let events = record.events.into_iter().filter(|event| event.name == name);
                told.extend(events.map(|event| Told {
                    at_ms: line.t_ns / 1_000_000,
                    writer: record.writer.clone(),
                    event,
                }));
            }
        }
        told
    }

    /// The epochs that began, with the pod that began each.
    pub(crate) fn epochs(&self) -> Vec<(u64, String)> {
        let pod = |told: &Told| told.writer.split('_').next().unwrap_or_default().to_owned();
        self.told("EpochStarted").iter().map(|told| (told.at_ms, pod(told))).collect()
    }

    /// Attempts to write objects whose `Kind/namespace/name` begins so.
    pub(crate) fn writes<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (u64, &'a ObjectWrite)> {
        self.lines.iter().filter_map(move |line| match &line.event {
            Event::ObjectWrite(write) if write.object.starts_with(prefix) => {
                Some((line.t_ns / 1_000_000, &**write))
            }
            _ => None,
        })
    }

    /// An object as it is at the end.
    pub(crate) fn at_end(&self, object: &str) -> Option<Value> {
        let mut last = None;
        for (_, write) in self.writes(object).filter(|(_, write)| write.object == object) {
            if write.removed {
                last = None;
            } else if let Some(value) = &write.value {
                last = Some((**value).clone());
            }
        }
        last
    }

    /// What the disk did, or what befell it, of one kind.
    pub(crate) fn disk(&self, operation: DiskOperation) -> Vec<&DiskWork> {
        let works = self.lines.iter().filter_map(|line| match &line.event {
            Event::Disk(work) if work.operation == operation => Some(&**work),
            _ => None,
        });
        works.collect()
    }

    /// The messages that met a fault.
    pub(crate) fn met(&self, fault: &str) -> BTreeSet<u64> {
        let hits = self.lines.iter().filter_map(|line| match &line.event {
            Event::FaultHit { message, fault: name, .. } if name == fault => Some(*message),
            _ => None,
        });
        hits.collect()
    }

    /// All answers with this status at servers of this name were this fault's doing, and there
    /// were some.
    pub(crate) fn blames(&self, fault: &str, server: &str, status: u16) {
        let hits = self.met(fault);
        let answers = self.lines.iter().filter_map(|line| match &line.event {
            Event::Answered { message, status: given } if *given == status => {
                line.node.starts_with(server).then_some(*message)
            }
            _ => None,
        });
        let answers: BTreeSet<u64> = answers.collect();
        assert!(!answers.is_empty(), "seed {}: no {status} by {server}", self.seed);
        let blameless = answers.difference(&hits).collect::<Vec<_>>();
        assert!(blameless.is_empty(), "seed {}: nobody explains {blameless:?}", self.seed);
    }

    /// When each event for which this holds happened, milliseconds.
    pub(crate) fn when(&self, holds: impl Fn(&Line) -> bool) -> Vec<u64> {
        self.lines.iter().filter(|line| holds(line)).map(|line| line.t_ns / 1_000_000).collect()
    }

    /// In whose words processes ended over a log that is not what it must be.
    pub(crate) fn halted(&self) -> Vec<&str> {
        let halts = self.lines.iter().filter_map(|line| match &line.event {
            Event::Exited { corrupt: true, why, .. } => Some(why.as_str()),
            _ => None,
        });
        halts.collect()
    }
}
