//! Files that runs leave: scenarios, streams, pictures.

use std::path::{Path, PathBuf};

use rynxs_judge::render::{self, Highlight};
use rynxs_sim::trial::{Shown, Trial};
use rynxs_sim::{Scenario, scenario};

use super::Trouble;

/// Reads a scenario's file.
pub(crate) fn scenario(path: &Path) -> Result<Scenario, Trouble> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Trouble::environment(format!("{}: {error}", path.display())))?;
    scenario::read(&text)
        .map_err(|error| Trouble::environment(format!("{}: {error}", path.display())))
}

/// Writes a file, and its folder if need be.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    let trouble = |error| Trouble::environment(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(trouble)?;
    }
    std::fs::write(path, text).map_err(trouble)
}

/// What a failing scenario's file is called: the claim that it refutes.
pub(crate) fn claim(shown: &Shown) -> String {
    let text = match shown {
        Shown::Violated(invariants) => {
            invariants.first().map_or_else(|| "violated".to_owned(), ToString::to_string)
        }
        Shown::Unknown(_) => "unknown".to_owned(),
        Shown::Panicked(_) => "panicked".to_owned(),
        Shown::Differs(_) => "nondeterministic".to_owned(),
        Shown::Green | Shown::Refused(_) => "run".to_owned(),
    };
    text.to_lowercase().replace(' ', "-")
}

/// The comment at the head of a failing scenario's file.
pub(crate) fn comment(trial: &Trial, seed: u64) -> String {
    let mut text = format!("{}\nseed {seed}\n", trial.shown);
    for highlight in highlights(trial) {
        text.push_str(&format!("{}: {}\n", highlight.invariant, highlight.text));
    }
    text.lines().take(12).collect::<Vec<_>>().join("\n")
}

/// The findings of a trial, for the renderers.
pub(crate) fn highlights(trial: &Trial) -> Vec<Highlight> {
    let Some(outcome) = &trial.outcome else { return Vec::new() };
    let verdicts = outcome.report.verdicts.iter();
    verdicts
        .flat_map(|(invariant, verdict)| {
            let findings = if verdict.is_fail() { verdict.findings() } else { &[] };
            findings.iter().map(|finding| Highlight::of(*invariant, finding, finding.lines.clone()))
        })
        .collect()
}

/// Writes the stream and its picture beside each other; returns the picture's path.
pub(crate) fn picture(
    trial: &Trial,
    folder: &Path,
    title: &str,
    command: &str,
) -> Result<PathBuf, Trouble> {
    let Some(outcome) = &trial.outcome else {
        return Err(Trouble::environment(format!("there is no run to draw: {}", trial.shown)));
    };
    write(&folder.join("events.jsonl"), &rynxs_sim::text(&outcome.lines))?;
    let heading = render::Heading { title, command: Some(command), report: Some(&outcome.report) };
    let page = render::timeline_html(&outcome.lines, &highlights(trial), &heading);
    let path = folder.join("timeline.html");
    write(&path, &page)?;
    Ok(path)
}
