//! What records tell.

use rynxs_judge::{LogEvent, LogRecord};

use super::{
    ACTION_FAILED, BATCH, DRIFT, EXPIRED, JOB_DONE, JOB_LOST, KEPT_WORKSPACE, NEW_SETTINGS,
    NEW_UID, PENDING_TAKEN, SAME_POD, SUPERSEDED, TORN,
};
use std::collections::BTreeMap;

/// Decisions in one record that make it a batch.
const BATCH_OF: usize = 3;

/// What is remembered of the records so far.
#[derive(Default)]
pub(super) struct LogReader {
    epochs: Vec<(u64, String)>,
    settings: Option<serde_json::Value>,
    uids: BTreeMap<String, String>,
}

impl LogReader {
    /// Probes that an accepted record hits.
    pub(super) fn read(&mut self, record: &LogRecord) -> Vec<&'static str> {
        let mut hits = Vec::new();
        let decisions = record.events.iter().filter(|event| event.name == "ActionsDecided");
        if decisions.count() >= BATCH_OF {
            hits.push(BATCH);
        }
        for event in &record.events {
            self.event(record, event, &mut hits);
        }
        hits
    }

    fn event(&mut self, record: &LogRecord, event: &LogEvent, hits: &mut Vec<&'static str>) {
        let text = |path: &str| event.fields.pointer(path).and_then(serde_json::Value::as_str);
        match event.name.as_str() {
            "EpochStarted" => {
                let identity = text("/identity").unwrap_or_default();
                let pod = identity.split('_').next().unwrap_or_default().to_owned();
                if self.epochs.iter().any(|(_, known)| *known == pod) {
                    hits.push(SAME_POD);
                }
                let settings = event.fields.get("settings").cloned();
                if self.settings.is_some() && self.settings != settings {
                    hits.push(NEW_SETTINGS);
                }
                self.settings = settings;
                self.epochs.push((record.seq, pod));
            }
            "ActionApplied" => {
                let decision = event.number("decision").unwrap_or(u64::MAX);
                let begin = self.epochs.last().map_or(0, |(seq, _)| *seq);
                if decision < begin {
                    hits.push(PENDING_TAKEN);
                }
            }
            "ActionSuperseded" => hits.push(SUPERSEDED),
            "ActionFailed" => hits.push(ACTION_FAILED),
            "DriftObserved" => hits.push(DRIFT),
            "TailRepaired" => hits.push(TORN),
            "TimerFired" if text("/timer") == Some("Expiry") => hits.push(EXPIRED),
            "ChildObserved" => match text("/state/is") {
                Some("JobSucceeded") => hits.push(JOB_DONE),
                Some("JobLost") => hits.push(JOB_LOST),
                _ => {}
            },
            "AgentObserved" => {
                let (name, uid) = (text("/agent"), text("/uid"));
                let (name, uid) = (name.unwrap_or_default(), uid.unwrap_or_default());
                let before = self.uids.insert(name.to_owned(), uid.to_owned());
                if before.is_some_and(|before| before != uid) {
                    hits.push(NEW_UID);
                }
            }
            "ActionsDecided" => {
                let actions = event.fields.get("actions").and_then(serde_json::Value::as_array);
                let adopted = |action: &serde_json::Value| {
                    action.get("reason").and_then(serde_json::Value::as_str)
                        == Some("WorkspaceAdopted")
                };
                if actions.into_iter().flatten().any(adopted) {
                    hits.push(KEPT_WORKSPACE);
                }
            }
            _ => {}
        }
    }
}
