//! A campaign: random scenarios on all threads, until time or runs are used up or one fails.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::probe;
use crate::scenario::Scenario;
use crate::scenario::strategy::{Size, draw};
use crate::trial::{Shown, deep, trial};
use crate::world::Stats;

/// One run in so many is made twice and compared.
pub const TWICE_IN: u64 = 16;

/// What a campaign does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed of the first run; the others follow.
    pub seed: u64,
    /// Ends after so many runs.
    pub runs: u64,
    /// Ends after this time.
    pub time: Duration,
    /// Threads.
    pub threads: usize,
    /// How much happens in a run.
    pub size: Size,
    /// Go on after a failure, to this many.
    pub failures: usize,
}

/// A run that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its scenario.
    pub scenario: Scenario,
    /// Its seed.
    pub seed: u64,
    /// What it showed.
    pub shown: Shown,
}

/// What a campaign showed.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Of these, made twice.
    pub twice: u64,
    /// Their statistics, added up.
    pub simulated: Duration,
    /// Requests of replicas.
    pub requests: u64,
    /// Epochs that began.
    pub takeovers: u64,
    /// Faults that began.
    pub faults: u64,
    /// How often each probe was hit.
    pub probes: BTreeMap<&'static str, u64>,
    /// Rights of the roles, and how often each was needed.
    pub rights: BTreeMap<String, u64>,
    /// Runs that failed.
    pub failures: Vec<Failure>,
}

impl Tally {
    fn add(&mut self, stats: Stats, lines: &[rynxs_judge::event::Line]) {
        self.simulated += Duration::from_nanos(stats.simulated_ns);
        self.requests += stats.requests;
        self.takeovers += stats.takeovers;
        self.faults += stats.faults;
        for (name, hits) in probe::hits(lines) {
            *self.probes.entry(name).or_default() += hits;
        }
        for line in lines.iter().rev() {
            if let rynxs_judge::event::Event::Right { right, uses } = &line.event {
                *self.rights.entry(right.clone()).or_default() += uses;
            }
        }
    }

    /// Probes that were never hit: what they stand for was not tried.
    #[must_use]
    pub fn never_hit(&self) -> Vec<&'static str> {
        let hit = |name: &&&str| self.probes.get(**name).is_none_or(|hits| *hits == 0);
        probe::CATALOGUE.iter().map(|probe| &probe.name).filter(hit).copied().collect()
    }

    /// Rights that no request needed.
    #[must_use]
    pub fn unused_rights(&self) -> Vec<&str> {
        self.rights
            .iter()
            .filter(|(_, uses)| **uses == 0)
            .map(|(right, _)| right.as_str())
            .collect()
    }
}

/// Runs a campaign; `watch` hears of the tally now and then.
#[allow(clippy::disallowed_methods, reason = "a campaign's time is real")]
pub fn explore(plan: &Plan, watch: impl Fn(&Tally, Duration) + Sync) -> Tally {
    let tally = Mutex::new(Tally::default());
    let (next, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..plan.threads.max(1) {
            let work = || {
                while !ended.load(Ordering::SeqCst) && began.elapsed() < plan.time {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    if index >= plan.runs {
                        break;
                    }
                    let enough = one(plan, index, &tally);
                    watch(&hold(&tally), began.elapsed());
                    if enough {
                        ended.store(true, Ordering::SeqCst);
                    }
                }
            };
            scope.spawn(move || deep(work));
        }
    });
    tally.into_inner().expect("no thread panics while it holds the tally")
}

fn hold(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().expect("no thread panics while it holds the tally")
}

/// One run; whether there are failures enough.
fn one(plan: &Plan, index: u64, tally: &Mutex<Tally>) -> bool {
    let seed = plan.seed.wrapping_add(index);
    let scenario = draw(seed, plan.size);
    let twice = index.is_multiple_of(TWICE_IN);
    let trial = trial(&scenario, seed, twice);
    let mut tally = hold(tally);
    tally.runs += 1;
    tally.twice += u64::from(twice);
    if let Some(outcome) = &trial.outcome {
        tally.add(outcome.stats, &outcome.lines);
    }
    if !trial.shown.is_green() {
        tally.failures.push(Failure { scenario, seed, shown: trial.shown });
    }
    tally.failures.len() >= plan.failures
}
