//! The run's event stream, and a fingerprint over its bytes.

use std::sync::{Arc, Mutex};

use madsim::time::TimeHandle;
use rynxs_judge::event::{Event, Line};
use sha2::{Digest, Sha256};

/// Events of a run, at most; a run of the usual size has some thousands.
const MOST_LINES: usize = 100_000;

/// The stream of one run while it is written; clones write to the same one.
#[derive(Clone, Default)]
pub(crate) struct Stream {
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Stream {
    /// Adds what happens at this moment.
    ///
    /// # Panics
    /// At more events than any run needs: somebody does the same again and again without a wait,
    /// and a run of so much simulated time would never end.
    pub(crate) fn push(&self, node: &str, event: Event) {
        let line = Line { t_ns: now_ns(), node: node.to_owned(), event };
        let count = {
            let mut lines = self.lines.lock().expect("no writer panics while it holds the lines");
            lines.push(line);
            lines.len()
        };
        assert!(count < MOST_LINES, "{MOST_LINES} events and no end: {node} does not come to rest");
    }

    /// All lines so far; the stream is empty afterwards.
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.lines.lock().expect("no writer panics while it holds the lines"))
    }
}

/// True time since the start of the run, nanoseconds.
pub(crate) fn now_ns() -> u64 {
    u64::try_from(TimeHandle::current().elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A finished stream as the text of `events.jsonl`.
#[must_use]
pub fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(&serde_json::to_string(line).expect("a line is plain data"));
        text.push('\n');
    }
    text
}

/// SHA-256 of the text of `events.jsonl`, as hex: equal streams, equal fingerprints.
#[must_use]
pub fn fingerprint(lines: &[Line]) -> String {
    let mut hasher = Sha256::new();
    for line in lines {
        hasher.update(serde_json::to_vec(line).expect("a line is plain data"));
        hasher.update(b"\n");
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
