//! Files that runs leave: scenarios, streams, pictures.

use std::io::Write;
use std::path::{Path, PathBuf};

use rynxs_judge::render::{self, Highlight};
use rynxs_sim::trial::{Shown, Trial};
use rynxs_sim::{Scenario, scenario};

use super::Trouble;
use super::again::Again;

/// Folder for what fails, unless another one is named.
pub(crate) const FOLDER: &str = "sim-failures";

/// Reads a scenario's file.
pub(crate) fn scenario(path: &Path) -> Result<Scenario, Trouble> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Trouble::environment(format!("{}: {error}", path.display())))?;
    scenario::read(&text)
        .map_err(|error| Trouble::environment(format!("{}: {error}", path.display())))
}

/// The command that runs a scenario's file again, and shows what it showed.
pub(crate) fn replay(path: &Path, seed: u64, shown: &Shown) -> Again {
    with_two(Again::new("replay").word(path.display()).with("--seed", seed), shown)
}

/// A run's command, made twice if one run alone does not show it.
pub(crate) fn with_two(command: Again, shown: &Shown) -> Again {
    if shown.takes_two() { command.word("--twice") } else { command }
}

/// Writes a file, and its folder if need be.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    let trouble = |error| Trouble::environment(format!("{}: {error}", path.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(trouble)?;
    }
    std::fs::write(path, text).map_err(trouble)
}

/// Writes a file that is not there yet.
#[allow(clippy::disallowed_types, reason = "people's files are real")]
pub(crate) fn write_new(path: &Path, text: &str) -> Result<(), Trouble> {
    let trouble = |error| Trouble::environment(format!("{}: {error}", path.display()));
    let mut file = std::fs::File::create_new(path).map_err(trouble)?;
    file.write_all(text.as_bytes()).map_err(trouble)
}

/// The tree that the current folder is in, by a folder that it has.
pub(crate) fn root(has: &str) -> Result<PathBuf, Trouble> {
    let here = std::env::current_dir().map_err(|error| Trouble::environment(error.to_string()))?;
    let found = here.ancestors().find(|folder| folder.join(has).is_dir());
    found.map(Path::to_owned).ok_or_else(|| {
        Trouble::environment(format!("neither {} nor a folder above has {has}", here.display()))
    })
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

/// Writes the stream and its picture beside each other, and says where; a run that panicked left
/// nothing to draw.
pub(crate) fn picture(trial: &Trial, folder: &Path, command: &Again) -> Result<(), Trouble> {
    let Some(outcome) = &trial.outcome else {
        say!("no picture: nothing is left of the run");
        return Ok(());
    };
    let (title, command) = (&trial.shown.to_string(), &command.to_string());
    write(&folder.join("events.jsonl"), &rynxs_sim::text(&outcome.lines))?;
    let heading = render::Heading { title, command: Some(command), report: Some(&outcome.report) };
    let page = render::timeline_html(&outcome.lines, &highlights(trial), &heading);
    let path = folder.join("timeline.html");
    write(&path, &page)?;
    say!("picture: {}", path.display());
    Ok(())
}
