//! Makes a failing scenario smaller as long as it fails in the same way.
//!
//! First whole parts go (steps by halves, then one by one; replicas, views, clocks, settings), then
//! what is left gets simpler (earlier, shorter, rounder). A candidate counts if the *same*
//! invariant is violated, under the seed at hand or one of a few more: a scenario whose failure
//! depends on one seed's luck would not survive the next change of the code. What only a second run
//! shows, that it gives other bytes, is looked for in two runs each.

use std::time::{Duration, Instant};

use crate::scenario::{Do, Scenario, Who};
use crate::trial::{Shown, trial};

/// Seeds tried for each candidate: the one that failed and some neighbours.
const SEEDS_PER_CANDIDATE: u64 = 3;
/// Values below this are not worth a run, milliseconds.
const FINE_MS: u64 = 250;

/// A shrunk failure.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smaller scenario.
    pub scenario: Scenario,
    /// A seed under which it fails.
    pub seed: u64,
    /// What it shows.
    pub shown: Shown,
    /// Runs that it took.
    pub runs: u64,
}

struct Shrinker {
    best: Shrunk,
    until: Instant,
}

/// Shrinks a failing scenario for at most `budget` of real time.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "a shrinker's budget is real time")]
pub fn shrink(scenario: &Scenario, seed: u64, shown: &Shown, budget: Duration) -> Shrunk {
    let best = Shrunk { scenario: scenario.clone(), seed, shown: shown.clone(), runs: 0 };
    let mut shrinker = Shrinker { best, until: Instant::now() + budget };
    loop {
        let before = shrinker.best.scenario.clone();
        shrinker.drop_steps();
        shrinker.drop_parts();
        shrinker.simplify_steps();
        shrinker.pull_together();
        if shrinker.best.scenario == before || shrinker.is_out_of_time() {
            return shrinker.best;
        }
    }
}

impl Shrinker {
    #[allow(clippy::disallowed_methods, reason = "a shrinker's budget is real time")]
    fn is_out_of_time(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Keeps the candidate if it fails like the original.
    fn keep(&mut self, candidate: Scenario) -> bool {
        if candidate == self.best.scenario || candidate.check().is_err() || self.is_out_of_time() {
            return false;
        }
        for step in 0..SEEDS_PER_CANDIDATE {
            let seed = self.best.seed.wrapping_add(step);
            self.best.runs += 1;
            let shown = trial(&candidate, seed, self.best.shown.takes_two()).shown;
            if shown.is_like(&self.best.shown) {
                self.best.scenario = candidate;
                self.best.seed = seed;
                return true;
            }
        }
        false
    }

    /// Halves, quarters, … single steps.
    fn drop_steps(&mut self) {
        let mut chunk = self.best.scenario.steps.len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            while at < self.best.scenario.steps.len() {
                let mut candidate = self.best.scenario.clone();
                let end = (at + chunk).min(candidate.steps.len());
                candidate.steps.drain(at..end);
                if !self.keep(candidate) {
                    at += chunk;
                }
            }
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
        }
    }

    /// Topology and settings: everything that can be as by default.
    fn drop_parts(&mut self) {
        let plain = Scenario::default();
        let parts: [&dyn Fn(&mut Scenario); 7] = [
            &|s| s.clocks.clear(),
            &|s| s.settings = plain.settings.clone(),
            &|s| s.api_views = 1,
            &|s| s.latency_ms = plain.latency_ms,
            &|s| s.heal_at_ms = 0,
            &|s| s.core.clear(),
            &|s| s.replicas = s.replicas.saturating_sub(1).max(1),
        ];
        for part in parts {
            let mut candidate = self.best.scenario.clone();
            part(&mut candidate);
            while self.keep(candidate.clone()) {
                part(&mut candidate);
            }
        }
    }

    /// Each step by itself: plainer shapes, shorter spans, whom it is about.
    fn simplify_steps(&mut self) {
        for index in 0..self.best.scenario.steps.len() {
            for simpler in simpler(&self.best.scenario.steps[index].what) {
                let mut candidate = self.best.scenario.clone();
                candidate.steps[index].what = simpler;
                self.keep(candidate);
            }
        }
    }

    /// Less time before and between the steps.
    fn pull_together(&mut self) {
        for index in 0..self.best.scenario.steps.len() {
            let steps = &self.best.scenario.steps;
            let from = index.checked_sub(1).map_or(0, |before| steps[before].at_ms);
            let gap = steps[index].at_ms - from;
            for shorter in [0, 1_000, 10_000, gap / 2] {
                if gap < shorter + FINE_MS {
                    continue;
                }
                let mut candidate = self.best.scenario.clone();
                for step in &mut candidate.steps[index..] {
                    step.at_ms -= gap - shorter;
                }
                candidate.heal_at_ms = candidate.heal_at_ms.saturating_sub(gap - shorter);
                if self.keep(candidate) {
                    break;
                }
            }
        }
    }
}

/// Simpler forms of a step, the simplest first.
fn simpler(what: &Do) -> Vec<Do> {
    let mut forms = Vec::new();
    match what {
        Do::ApplyAgent { name, agent } | Do::RecreateAgent { name, agent } => {
            let mut plainer = crate::scenario::AgentShape::default();
            forms.push(Do::ApplyAgent { name: name.clone(), agent: plainer.clone() });
            plainer.value = agent.value.min(1);
            plainer.suspended = agent.suspended;
            forms.push(Do::ApplyAgent { name: name.clone(), agent: plainer });
        }
        Do::ApplySession { name, session } => {
            let plainer =
                crate::scenario::SessionShape { agent: session.agent.clone(), ..<_>::default() };
            forms.push(Do::ApplySession { name: name.clone(), session: plainer });
        }
        _ => {}
    }
    let json = serde_json::to_value(what).expect("a step is plain data");
    for field in ["for_ms", "back_after_ms", "more_ms", "per_mille", "pause_ms", "nth"] {
        let Some(value) = json.get(field).and_then(serde_json::Value::as_u64) else { continue };
        let candidates: &[u64] = match field {
            "per_mille" => &[1_000, 500],
            "nth" => &[1, 2],
            _ => &[1_000, 5_000, 20_000],
        };
        for simple in candidates.iter().filter(|simple| **simple != value) {
            if field != "per_mille" && *simple > value {
                continue;
            }
            let mut plainer = json.clone();
            plainer[field] = serde_json::json!(simple);
            forms.extend(serde_json::from_value(plainer).ok());
        }
    }
    if what.who().is_some_and(|who| who != Who::Leader) {
        let mut plainer = json;
        plainer["who"] = serde_json::json!("leader");
        forms.extend(serde_json::from_value(plainer).ok());
    }
    forms
}
