//! `rynxs-sim explore`: a campaign of random scenarios.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clap::Args;
use rynxs_judge::Invariant;
use rynxs_sim::explore::{Failure, Plan, Tally, explore};
use rynxs_sim::scenario::Scenario;
use rynxs_sim::scenario::strategy::{Bias, Size};
use rynxs_sim::shrink::shrink;
use rynxs_sim::trial::{Shown, trial_again};
use rynxs_sim::{probe, scenario};
use serde_json::{Value, json};

use super::again::{Again, Failed};
use super::files::{FOLDER, claim, comment, picture, replay, root, write, write_new};
use super::shrink::{REGRESSIONS, played};
use super::{Done, Exit, Trouble, duration};

/// Runs random scenarios until the time is over or one fails; a failure is shrunk, written down and
/// drawn.
///
/// One run in sixteen is made twice and compared byte for byte.
#[derive(Args, Debug)]
pub(crate) struct Explore {
    /// How long, as 90s, 20m or 2h; 60s by default, and without limit if --runs is given.
    #[arg(long, value_parser = duration)]
    time: Option<Duration>,
    /// End after so many runs, too.
    #[arg(long)]
    runs: Option<u64>,
    /// Threads; all cores by default.
    #[arg(long)]
    threads: Option<usize>,
    /// The seed of the first run; drawn from the clock by default, and printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Agents that are wanted from the beginning of every run on; the benchmark has 20.
    #[arg(long, default_value_t = Size::default().team)]
    team: u32,
    /// Most Agents that users of a run have to do with.
    #[arg(long, default_value_t = Size::default().agents)]
    agents: u32,
    /// Most steps of users in a run.
    #[arg(long, default_value_t = Size::default().edits)]
    edits: usize,
    /// Most faults of a run.
    #[arg(long, default_value_t = Size::default().faults)]
    faults: usize,
    /// Go on until so many runs have failed.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// A probe that was never hit does not fail the campaign: for short ones.
    #[arg(long)]
    any_probes: bool,
    /// Folder for what fails.
    #[arg(long, default_value = FOLDER)]
    out: PathBuf,
    /// Longest time for shrinking one failure.
    #[arg(long, default_value = "60s", value_parser = duration)]
    shrink_time: Duration,
    /// If a run violates one of these invariants among others, as I2,I5, shrink it as a case of
    /// that one; without it, of the first in their order.
    #[arg(long, value_delimiter = ',', value_parser = invariant)]
    about: Vec<Invariant>,
    /// What there is more of: mix (the usual), file (logs in files), sessions, rivals (two that may
    /// lead at once), tamper (somebody changes the log in the bucket).
    #[arg(long, default_value = "mix", value_parser = bias)]
    bias: Bias,
    /// Say on the last line, as JSON, what was found first, and the command that shows it again.
    #[arg(long)]
    json: bool,
}

/// Names on the command line.
const BIASES: [(&str, Bias); 5] = [
    ("mix", Bias::Mix),
    ("file", Bias::File),
    ("sessions", Bias::Sessions),
    ("rivals", Bias::Rivals),
    ("tamper", Bias::Tamper),
];
/// How long a campaign lasts if nothing is said about it.
const USUAL_TIME: Duration = Duration::from_secs(60);
/// Time between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);

impl Explore {
    pub(crate) fn run(&self) -> Done {
        if self.team == 0 || self.agents == 0 || self.edits == 0 {
            return Err(Trouble::usage("--team, --agents and --edits must be at least 1"));
        }
        let threads = self.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let seed = self.seed.unwrap_or_else(fresh_seed);
        let size = Size {
            team: self.team,
            agents: self.agents,
            edits: self.edits,
            faults: self.faults,
            bias: self.bias,
            ..Size::default()
        };
        let plan = Plan {
            seed,
            runs: self.runs.unwrap_or(u64::MAX),
            time: self.time.unwrap_or(if self.runs.is_some() { Duration::MAX } else { USUAL_TIME }),
            threads,
            size,
            failures: self.failures.max(1),
        };
        eprintln!("exploring from seed {seed} on {threads} threads");
        // Panics of runs are verdicts here, not noise between lines of progress.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let began = Instant::now();
        let told = Mutex::new(began);
        let tally = explore(&plan, |tally, _| {
            let mut told = told.lock().expect("progress does not panic");
            if told.elapsed() >= PROGRESS {
                *told = Instant::now();
                eprintln!("{}", progress(tally, began.elapsed()));
            }
        });
        say_part!("{}", table(&tally, began.elapsed(), threads));
        let exit = self.judge(&tally, seed);
        std::panic::set_hook(hook);
        exit
    }

    fn judge(&self, tally: &Tally, seed: u64) -> Done {
        let mut failed = Failed::default();
        let mut first = None;
        for failure in &tally.failures {
            // Whatever is in the way of writing it down is in the way of this run's campaign, too.
            let told = self.shrink(failure, &mut failed);
            let told = told.map_err(|trouble| trouble.again(self.command(failure.seed, 1)))?;
            first.get_or_insert(told);
        }
        let never = tally.never_hit();
        if failed.is_none() && !self.any_probes && !never.is_empty() {
            say!("\nprobes that were never hit: {}", never.join(", "));
            let command = self.command(seed, tally.runs);
            say!("{command}");
            failed.with(Exit::Unknown, command);
        }
        if self.json {
            let command = failed.command().map(ToString::to_string);
            let told = json!({"runs": tally.runs, "failure": first, "command": command});
            say!("{told}");
        }
        Ok(failed.exit())
    }

    /// Shrinks a failure, writes it down and draws it; what to tell programs of it.
    fn shrink(&self, failure: &Failure, failed: &mut Failed) -> Result<Value, Trouble> {
        say!("\nseed {}: {}", failure.seed, failure.shown);
        eprintln!("shrinking for at most {:?} …", self.shrink_time);
        let shown = failure.shown.clone().about(&self.about);
        let shrunk = shrink(&failure.scenario, failure.seed, &shown, self.shrink_time);
        let again = trial_again(&shrunk.scenario, shrunk.seed, failure.shown.takes_two());
        let folder = self.out.join(format!("{}-{}", claim(&failure.shown), failure.seed));
        let file = folder.join("scenario.yaml");
        write(&file, &scenario::write(&shrunk.scenario, &comment(&again, shrunk.seed)))?;
        let command = replay(&file, shrunk.seed, &failure.shown);
        let steps = shrunk.scenario.steps.len();
        say!("shrunk to {steps} steps in {} runs: {}", shrunk.runs, file.display());
        if let Some(outcome) = &again.outcome {
            say_part!("{}", outcome.report);
        }
        picture(&again, &folder, &command)?;
        self.keep(failure, &shrunk.scenario, shrunk.seed)?;
        say!("{command}");
        failed.with(Exit::of(&failure.shown), command);
        let mut told = told(&shown);
        told["seed"] = shrunk.seed.into();
        told["steps"] = steps.into();
        told["file"] = file.display().to_string().into();
        Ok(told)
    }

    /// Keeps a failure among the regressions, if this is a tree that has some: from now on
    /// `cargo test` plays it. What was asked to go elsewhere is not kept.
    fn keep(&self, failure: &Failure, left: &Scenario, seed: u64) -> Result<(), Trouble> {
        let Ok(root) = root(REGRESSIONS) else { return Ok(()) };
        let name = format!("{}-{}.yaml", claim(&failure.shown), failure.seed);
        let path = Path::new(REGRESSIONS).join(name);
        if self.out != Path::new(FOLDER) || root.join(&path).exists() {
            return Ok(());
        }
        let shown = failure.shown.to_string();
        let sentence = format!("Once {}", shown.lines().next().unwrap_or_default());
        let head = played(&sentence, &failure.shown, seed);
        write_new(&root.join(&path), &scenario::write(left, &head))?;
        say!("kept: {}", path.display());
        Ok(())
    }

    /// The command that makes so many of these runs again, from this seed.
    fn command(&self, seed: u64, runs: u64) -> Again {
        let named = |(_, bias): &(&str, Bias)| *bias == self.bias;
        let bias = BIASES.into_iter().find(named).map_or("mix", |(name, _)| name);
        let usual = Size::default();
        let options = [
            ("--bias", bias.to_owned(), "mix".to_owned()),
            ("--team", self.team.to_string(), usual.team.to_string()),
            ("--agents", self.agents.to_string(), usual.agents.to_string()),
            ("--edits", self.edits.to_string(), usual.edits.to_string()),
            ("--faults", self.faults.to_string(), usual.faults.to_string()),
            ("--out", self.out.display().to_string(), FOLDER.to_owned()),
        ];
        let told = options.into_iter().filter(|(_, value, usual)| value != usual);
        let mut command = Again::new("explore").with("--seed", seed).with("--runs", runs);
        if !self.about.is_empty() {
            let about: Vec<String> = self.about.iter().map(|one| one.number()).collect();
            command = command.with("--about", about.join(","));
        }
        told.fold(command, |command, (option, value, _)| command.with(option, value))
    }
}

/// What a run showed, for programs: its kind, and the invariants that it violated, first the one
/// that a shrinker keeps.
pub(super) fn told(shown: &Shown) -> Value {
    let (kind, invariants) = match shown {
        Shown::Violated(invariants) => ("violated", invariants.as_slice()),
        Shown::Differs(_) => ("differs", &[][..]),
        Shown::Panicked(_) => ("panicked", &[][..]),
        Shown::Unknown(_) => ("unknown", &[][..]),
        Shown::Green => ("green", &[][..]),
        Shown::Refused(_) => ("refused", &[][..]),
    };
    let invariants: Vec<String> = invariants.iter().map(|one| one.number()).collect();
    json!({"kind": kind, "invariants": invariants})
}

/// Reads the number of an invariant.
fn invariant(text: &str) -> Result<Invariant, String> {
    Invariant::numbered(text).ok_or_else(|| format!("{text:?} is none of I1 to I10"))
}

/// Reads the name of a bias.
fn bias(text: &str) -> Result<Bias, String> {
    let found = BIASES.into_iter().find(|(name, _)| *name == text);
    found.map(|(_, bias)| bias).ok_or_else(|| {
        let names = BIASES.map(|(name, _)| name);
        format!("{text:?} is none of {}", names.join(", "))
    })
}

/// A seed that nobody chose.
fn fresh_seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| u64::try_from(since.as_millis()).unwrap_or(1))
}

fn progress(tally: &Tally, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let hit = tally.probes.values().filter(|hits| **hits > 0).count();
    format!(
        "{:4.0}s  {} runs ({:.1}/s)  {:.0} simulated s/s  {} take-overs  {} faults  {} of {} \
         probes  {} failed",
        seconds,
        tally.runs,
        tally.runs as f64 / seconds,
        tally.simulated.as_secs_f64() / seconds,
        tally.takeovers,
        tally.faults,
        hit,
        probe::CATALOGUE.len(),
        tally.failures.len(),
    )
}

fn table(tally: &Tally, took: Duration, threads: usize) -> String {
    let mut text = String::new();
    let seconds = took.as_secs_f64() * threads as f64;
    let mut row = |name: &str, value: String| text.push_str(&format!("{name:<28}{value}\n"));
    row("runs", format!("{} ({} of them twice)", tally.runs, tally.twice));
    row("simulated time", format!("{:.0} s", tally.simulated.as_secs_f64()));
    row("simulated s per core and s", format!("{:.0}", tally.simulated.as_secs_f64() / seconds));
    row("requests of replicas", tally.requests.to_string());
    row("take-overs", tally.takeovers.to_string());
    row("faults", tally.faults.to_string());
    row("failed", tally.failures.len().to_string());
    let unused = tally.unused_rights();
    row("rights never needed", format!("{} {}", unused.len(), unused.join(", ")));
    text.push_str("\nprobe                                           hits\n");
    for probe in probe::CATALOGUE {
        let hits = tally.probes.get(probe.name).copied().unwrap_or(0);
        text.push_str(&format!("{:<44}{hits:>8}\n", probe.name));
    }
    text
}
