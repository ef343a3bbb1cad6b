//! What an honest operator does not do to a story: silence, failures, and records of another hand.

use rynxs_core::event::Event as LogEvent;
use rynxs_judge::event::Event;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::story::Story;

impl Story {
    /// Nobody leads any more.
    pub(crate) fn stop_leading(&mut self) {
        let node = self.replica();
        self.say(&node, Event::Guard { until_ns: None });
        self.write_lease("");
        self.leads = false;
    }

    /// Time passes in which nobody does anything.
    pub(crate) fn skip(&mut self, ms: u64) {
        self.t_ms += ms;
    }

    /// The next pending action fails for good.
    pub(crate) fn fail(&mut self, reason: &str) {
        let (subject, pending) = self.next().expect("something is pending");
        self.record(vec![LogEvent::ActionFailed {
            decision: pending.decision,
            subject,
            action: pending.index,
            reason: serde_json::from_value(json!(reason)).expect("a reason"),
            message: String::new(),
        }]);
    }

    /// The body of the last record.
    pub(crate) fn last_record(&self) -> String {
        let text = &self.log.last().expect("there is a log").text;
        text[90..text.len() - 1].to_owned()
    }

    /// Puts another body in the place of the last record's, under its right hash.
    pub(crate) fn replace_last_record(&mut self, body: &str) {
        let bytes = Sha256::digest(format!("rynxs.log.v1\n{body}"));
        let hash: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("{{\"event_hash\":\"{hash}\",\"record\":{body}}}");
        self.log.last_mut().expect("there is a log").text.clone_from(&text);
        let line = self.lines.iter_mut().rev().find_map(|line| match &mut line.event {
            Event::LogWrite(write) => Some(write),
            _ => None,
        });
        line.expect("it was written").text = text;
    }
}
