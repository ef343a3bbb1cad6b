//! The work of a session: it counts the words of its input, slowly.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::epoch::replace;

/// How often it looks whether it was asked to stop.
const LOOK: Duration = Duration::from_millis(50);
const USUAL_MS: u64 = 2_000;

/// One session.
pub(crate) struct Task {
    pub(crate) session: String,
    pub(crate) agent: String,
    pub(crate) epoch: u64,
    /// The file that holds its input.
    pub(crate) input: PathBuf,
    pub(crate) workspace: PathBuf,
    /// How long the work takes.
    pub(crate) time: Duration,
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With this result, which is in the workspace, too.
    Done(Value),
    /// It was asked to stop first.
    Stopped,
}

/// `AGENT_WORK_MS`, or the usual time.
pub(crate) fn time() -> Result<Duration> {
    let ms = match std::env::var("AGENT_WORK_MS") {
        Ok(text) => text
            .parse()
            .with_context(|| format!("AGENT_WORK_MS is {text:?}, and no number of milliseconds"))?,
        Err(_) => USUAL_MS,
    };
    Ok(Duration::from_millis(ms))
}

/// Returns when the process is asked to stop.
pub(crate) fn wait(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        sleep(LOOK);
    }
}

impl Task {
    /// Reads the input, works, and writes the result as the last thing. `runs` counts how often
    /// this session began in this workspace: a session that ran twice would show it.
    pub(crate) fn perform(&self, stop: &AtomicBool) -> Result<Outcome> {
        let input = fs::read(&self.input)
            .with_context(|| format!("cannot read the input {}", self.input.display()))?;
        let folder = self.workspace.join("results");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let runs = self.count(&folder)?;
        let until = Instant::now() + self.time;
        while Instant::now() < until {
            if stop.load(Ordering::Relaxed) {
                return Ok(Outcome::Stopped);
            }
            sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        }
        let words = String::from_utf8_lossy(&input).split_whitespace().count();
        let result = json!({
            "session": self.session,
            "agent": self.agent,
            "epoch": self.epoch,
            "input_sha256": hex(&Sha256::digest(&input)),
            "words": words,
            "runs": runs,
        });
        let path = folder.join(format!("{}.json", self.session));
        replace(&path, result.to_string().as_bytes())?;
        Ok(Outcome::Done(result))
    }

    fn count(&self, folder: &std::path::Path) -> Result<u64> {
        let path = folder.join(format!("{}.runs", self.session));
        let before = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        let runs = before.unwrap_or(0_u64) + 1;
        replace(&path, runs.to_string().as_bytes())?;
        Ok(runs)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
