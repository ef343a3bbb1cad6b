//! The run's event stream: one JSON line per thing that happened, and a fingerprint over all bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// One line of `events.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    /// True time since the start, nanoseconds.
    t_ns: u64,
    /// Where it happened.
    node: &'a str,
    /// What happened.
    event: &'a str,
    /// Details.
    detail: &'a str,
}

#[derive(Default)]
struct Lines {
    text: String,
    count: u64,
}

/// The stream of one run; clones write to the same one.
#[derive(Clone, Default)]
pub struct Stream {
    lines: Arc<Mutex<Lines>>,
}

impl Stream {
    /// Adds one line.
    pub(crate) fn push(&self, at: Duration, node: &str, event: &str, detail: &str) {
        let t_ns = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        let line = serde_json::to_string(&Line { t_ns, node, event, detail })
            .expect("a line is three texts and a number");
        let mut lines = self.lines.lock().expect("no writer panics while it holds the lines");
        lines.text.push_str(&line);
        lines.text.push('\n');
        lines.count += 1;
    }

    /// The whole stream, as it is written to `events.jsonl`.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.lock().expect("no writer panics while it holds the lines").text.clone()
    }

    /// Number of lines.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.lines.lock().expect("no writer panics while it holds the lines").count
    }

    /// Whether nothing happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 of all bytes, as hex: equal streams, equal fingerprints.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Sha256::digest(self.text().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
