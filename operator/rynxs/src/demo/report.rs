//! What a demo has shown, as a short table or as JSON.

use serde::Serialize;

use crate::cli::Verified;

use super::compare::Comparison;
use super::idle::{Idle, Sent};
use super::story::span;
use super::zombie::Zombie;

/// One take-over, measured from outside.
#[derive(Clone, Debug, Serialize)]
pub struct TakeOver {
    /// What happened to the leader before.
    pub cause: &'static str,
    /// The new epoch.
    pub epoch: u64,
    /// From the cause to the new `EpochStarted` in the log, milliseconds.
    pub to_epoch_ms: u64,
    /// From the cause to the first write that an edit made after it has led to, milliseconds.
    pub to_write_ms: Option<u64>,
}

/// Writes that were refused, by who refused them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Refused {
    /// By the log: 412.
    pub log: u64,
    /// By optimistic concurrency: 409.
    pub resource_version: u64,
    /// By an admission policy: 403.
    pub policy: u64,
}

/// Everything that was measured and checked.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Replicas started.
    pub replicas: u32,
    /// Agents and Sessions at the end.
    pub resources: usize,
    /// From the first apply until everything was ready, milliseconds.
    pub ready_ms: u64,
    /// Every take-over.
    pub take_overs: Vec<TakeOver>,
    /// The zombie's part, if it was played.
    pub zombie: Option<Zombie>,
    /// What went on while there was nothing to do, if that was measured.
    pub idle: Option<Idle>,
    /// Refused writes, counted in the embedded servers.
    pub refused: Refused,
    /// Torn last lines that were cut off and recorded.
    pub repaired: u64,
    /// The most memory that one of the replicas has held, KiB, where that can be told.
    pub peak_memory_kib: Option<u64>,
    /// The verified log.
    pub log: Verified,
    /// Live objects against the log's state.
    pub comparison: Comparison,
    /// Where everything is.
    pub folder: String,
    /// Every claim that did not hold.
    pub refuted: Vec<String>,
    /// How long everything took, milliseconds.
    pub took_ms: u64,
}

impl Report {
    /// Two columns for people.
    #[must_use]
    pub fn table(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<18} {value}");
        };
        row("replicas", self.replicas.to_string());
        row(
            "resources",
            format!("{} Agents and Sessions, ready after {}", self.resources, ms(self.ready_ms)),
        );
        row("log", format!("{} records, {} events", self.log.records, self.log.events));
        row("epochs", self.log.epochs.to_string());
        for take_over in &self.take_overs {
            let write = take_over.to_write_ms.map(|t| format!(", first write after {}", ms(t)));
            row(
                "take-over",
                format!(
                    "{}: new epoch after {}{}",
                    take_over.cause,
                    ms(take_over.to_epoch_ms),
                    write.unwrap_or_default()
                ),
            );
        }
        row(
            "refused writes",
            format!(
                "{} by the log (412), {} by resourceVersion (409), {} by policy (403)",
                self.refused.log, self.refused.resource_version, self.refused.policy
            ),
        );
        if let Some(kib) = self.peak_memory_kib {
            row("memory", format!("{} MiB, the largest replica at its peak", kib.div_ceil(1024)));
        }
        if self.repaired > 0 {
            row("repaired", format!("{} torn line, recorded in the log", self.repaired));
        }
        row(
            "verified",
            format!(
                "chain, epochs, {} decisions made again, in {}",
                self.log.decisions,
                ms(self.log.took_ms)
            ),
        );
        row(
            "live against log",
            format!(
                "{} objects, {} differences",
                self.comparison.objects,
                self.comparison.differences.len()
            ),
        );
        row("head", format!("{} {}", self.log.head_seq, self.log.head_hash));
        if let Some(idle) = &self.idle {
            row("idle", format!("{}: {} records appended", ms(idle.span_ms), idle.records));
            for Sent { kind, count } in &idle.requests {
                let rate = idle.a_minute(*count);
                row("", format!("{count:>5} {} {}, {rate:.1} a minute", kind.verb, kind.resource));
            }
        }
        row("took", ms(self.took_ms));
        for claim in &self.refuted {
            row("REFUTED", claim.clone());
        }
        text
    }
}

fn ms(milliseconds: u64) -> String {
    span(std::time::Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let log = Verified {
            log: "log".into(),
            log_id: "id".into(),
            records: 62,
            events: 580,
            epochs: 3,
            decisions: 70,
            decisions_not_rederivable: 0,
            head_seq: 61,
            head_hash: "ab12".into(),
            state_hash: "cd34".into(),
            took_ms: 40,
            notes: Vec::new(),
        };
        let take_over =
            TakeOver { cause: "killed", epoch: 40, to_epoch_ms: 8_100, to_write_ms: Some(8_400) };
        Report {
            replicas: 3,
            resources: 12,
            ready_ms: 900,
            take_overs: vec![take_over],
            zombie: None,
            idle: None,
            refused: Refused { log: 1, resource_version: 12, policy: 2 },
            repaired: 1,
            peak_memory_kib: Some(22_000),
            log,
            comparison: Comparison { objects: 75, differences: Vec::new() },
            folder: "demo".into(),
            refuted: vec!["something".into()],
            took_ms: 25_700,
        }
    }

    #[test]
    fn the_table_says_everything_that_was_measured() {
        let expected = "  replicas           3
  resources          12 Agents and Sessions, ready after 900 ms
  log                62 records, 580 events
  epochs             3
  take-over          killed: new epoch after 8.1 s, first write after 8.4 s
  refused writes     1 by the log (412), 12 by resourceVersion (409), 2 by policy (403)
  memory             22 MiB, the largest replica at its peak
  repaired           1 torn line, recorded in the log
  verified           chain, epochs, 70 decisions made again, in 40 ms
  live against log   75 objects, 0 differences
  head               61 ab12
  took               25.7 s
  REFUTED            something
";
        assert_eq!(report().table(), expected);
    }
}
