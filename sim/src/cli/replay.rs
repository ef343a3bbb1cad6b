//! `rynxs-sim replay` and `timeline`: one run, again.

use std::path::PathBuf;

use clap::Args;
use rynxs_judge::event;
use rynxs_judge::render::{self, Highlight};
use rynxs_sim::scenario::strategy::{Size, draw};
use rynxs_sim::trial::{Shown, trial_again};
use rynxs_sim::{Scenario, fingerprint};

use super::again::Again;
use super::files::{self, highlights, picture, write};
use super::{Done, Exit, Trouble};

/// Which run.
#[derive(Args, Debug)]
pub(super) struct Which {
    /// The scenario's file; without one, the scenario that `explore` draws for the seed.
    file: Option<PathBuf>,
    /// The seed of scheduling and latencies.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Run it twice and compare all bytes; several times more if they are the same, as the order of
    /// a hash map shows by chance.
    #[arg(long)]
    pub(super) twice: bool,
}

impl Which {
    pub(super) fn scenario(&self) -> Result<Scenario, Trouble> {
        match &self.file {
            Some(path) => files::scenario(path),
            None => Ok(draw(self.seed, Size::default())),
        }
    }

    /// The command that shows this run again.
    fn command(&self, shown: &Shown) -> Again {
        match &self.file {
            Some(path) => files::replay(path, self.seed, shown),
            None => files::with_two(Again::new("replay").with("--seed", self.seed), shown),
        }
    }
}

/// Runs one scenario under one seed and prints the verdicts.
#[derive(Args, Debug)]
pub(crate) struct Replay {
    #[command(flatten)]
    which: Which,
    /// Print every event, a line each, a column for each node.
    #[arg(long)]
    events: bool,
    /// Print the replicas' own log lines to stderr, as `--log debug`.
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// Write events.jsonl and timeline.html there.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Replay {
    pub(crate) fn run(&self) -> Done {
        if let Some(level) = &self.log {
            let filter = tracing_subscriber::EnvFilter::try_new(level)
                .map_err(|error| Trouble::usage(format!("--log {level}: {error}")))?;
            // Without its time: the machine's clock means nothing in there.
            let lines = tracing_subscriber::fmt().without_time().with_env_filter(filter);
            lines.with_writer(std::io::stderr).init();
        }
        let scenario = self.which.scenario()?;
        let trial = trial_again(&scenario, self.which.seed, self.which.twice);
        if let Some(outcome) = &trial.outcome {
            if self.events {
                let color = std::env::var_os("NO_COLOR").is_none();
                let options = render::Options { color, ..render::Options::default() };
                say_part!("{}", render::terminal(&outcome.lines, &highlights(&trial), options));
            }
            say_part!("{}", outcome.report);
            say!("events       {}", outcome.lines.len());
            say!("fingerprint  {}", fingerprint(&outcome.lines));
        }
        say!("{}", trial.shown);
        let command = self.which.command(&trial.shown);
        if let Some(folder) = &self.out {
            picture(&trial, folder, &command)?;
        }
        if !trial.shown.is_green() {
            say!("{command}");
        }
        Ok(Exit::of(&trial.shown))
    }
}

/// Draws an event stream as one self-contained HTML page.
#[derive(Args, Debug)]
pub(crate) struct Timeline {
    /// `events.jsonl` of a run.
    events: PathBuf,
    /// The page.
    #[arg(long, default_value = "timeline.html")]
    out: PathBuf,
}

impl Timeline {
    pub(crate) fn run(&self) -> Done {
        let trouble =
            |error: String| Trouble::environment(format!("{}: {error}", self.events.display()));
        let text =
            std::fs::read_to_string(&self.events).map_err(|error| trouble(error.to_string()))?;
        let lines = event::read(&text).map_err(|error| trouble(error.to_string()))?;
        let report = rynxs_judge::judge_stream(&lines);
        let failed = report.verdicts.iter().filter(|(_, verdict)| verdict.is_fail());
        let highlights: Vec<Highlight> = failed
            .flat_map(|(invariant, verdict)| {
                let findings = verdict.findings().iter();
                findings.map(|finding| Highlight::of(*invariant, finding, finding.lines.clone()))
            })
            .collect();
        let title = self.events.display().to_string();
        let heading = render::Heading { title: &title, command: None, report: Some(&report) };
        write(&self.out, &render::timeline_html(&lines, &highlights, &heading))?;
        say_part!("{report}");
        say!("picture: {}", self.out.display());
        let exit = Exit::of(&rynxs_sim::trial::shown(&report));
        if exit != Exit::Green {
            say!("{}", Again::itself());
        }
        Ok(exit)
    }
}
