//! The frontier: how far clock rates may be apart until two replicas believe that they lead (I7),
//! for several lease settings; and that I1–I6 hold on the whole grid.
//!
//! A leader acts until R has passed on its own clock since its last renewal was sent; a standby
//! waits for L on its own clock. If the standby's clock runs faster than the leader's by the ratio
//! q, two can believe at the same moment only if `R·q > L`: the settings' inequality keeps a margin
//! of G and of both clocks' errors before that.

use crate::scenario::{AgentShape, Do, Scenario, Server, Settings, Way, Who};
use crate::trial::{Shown, trial};
use rynxs_judge::{Invariant, Verdict};

/// Ratios of rates on the grid, per cent.
pub const RATIOS: [u32; 11] = [100, 105, 110, 115, 125, 140, 150, 160, 180, 220, 300];
/// Renew deadlines on the grid, milliseconds, under a lease of 15 s; 10 s is the default.
pub const DEADLINES_MS: [u64; 4] = [6_000, 8_000, 10_000, 11_000];
/// L.
pub const LEASE_S: u64 = 15;
/// G.
const GRACE_MS: u64 = 3_000;

/// What one cell of the grid showed over its seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// R, milliseconds.
    pub deadline_ms: u64,
    /// How much faster the standby's clock runs than the leader's, per cent.
    pub ratio: u32,
    /// Runs.
    pub runs: u64,
    /// Runs in which two replicas believed that they lead at the same moment.
    pub two_leaders: u64,
    /// What else was wrong, and under which seed: must be nothing, anywhere.
    pub else_wrong: Vec<(u64, Shown)>,
}

impl Cell {
    /// Whether the settings promise a single leader here: `(R + G) × q < L`.
    #[must_use]
    pub fn is_promised(&self) -> bool {
        (self.deadline_ms + GRACE_MS) * u64::from(self.ratio) < LEASE_S * 1_000 * 100
    }

    /// Whether two leaders are to be expected at worst: `R × q > L`.
    #[must_use]
    pub fn is_beyond(&self) -> bool {
        self.deadline_ms * u64::from(self.ratio) > LEASE_S * 1_000 * 100
    }
}

/// A leader that is cut off from the API while its clock crawls and the others' run.
#[must_use]
pub fn scenario(deadline_ms: u64, ratio: u32) -> Scenario {
    // Half of the ratio on either side of true time.
    let root = (f64::from(ratio) / 100.0).sqrt();
    let ppm = |rate: f64| ((rate - 1.0) * 1e6) as i64;
    let settings = Settings {
        lease_s: Some(LEASE_S),
        renew_deadline_ms: Some(deadline_ms),
        stop_grace_ms: Some(GRACE_MS),
        clock_rate_error_ppm: Some(0),
        ..Settings::default()
    };
    let agent = |value| Do::ApplyAgent {
        name: "a".to_owned(),
        agent: AgentShape { value, ..AgentShape::default() },
    };
    let cut = |way| Do::Partition { who: Who::Leader, server: Server::Api, way, for_ms: 60_000 };
    let mut scenario = Scenario { settings, ..Scenario::default() }
        .at(0, agent(1))
        .at(25_000, Do::ClockRate { who: Who::All, rate_ppm: ppm(root) })
        .at(25_001, Do::ClockRate { who: Who::Leader, rate_ppm: ppm(1.0 / root) })
        .at(40_000, cut(Way::Both));
    for second in 41..70 {
        scenario = scenario.at(second * 1_000, agent(u32::try_from(second).unwrap_or(0)));
    }
    scenario
}

/// Runs one cell.
#[must_use]
pub fn cell(deadline_ms: u64, ratio: u32, seeds: std::ops::Range<u64>) -> Cell {
    let mut cell = Cell { deadline_ms, ratio, runs: 0, two_leaders: 0, else_wrong: Vec::new() };
    let scenario = scenario(deadline_ms, ratio);
    for seed in seeds {
        let trial = trial(&scenario, seed, false);
        cell.runs += 1;
        let two = trial.outcome.as_ref().is_some_and(|outcome| {
            let verdict = outcome.report.of(Invariant::I7OneLeader);
            matches!(verdict, Verdict::Excused { .. } | Verdict::Fail { .. })
                && !verdict.findings().is_empty()
        });
        cell.two_leaders += u64::from(two);
        match trial.shown {
            Shown::Green => {}
            other => cell.else_wrong.push((seed, other)),
        }
    }
    cell
}
