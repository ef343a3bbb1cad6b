//! `rynxs-sim planted`: the simulator's own test. Each bug is put into a copy of the tree, and the
//! simulator built from that copy must find it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use rynxs_sim::planted::{DETERMINISM, FOLDER, Planted, all};
use rynxs_sim::trial::trial_again;

use super::again::{Again, Failed};
use super::explore::told;
use super::files::{root, scenario, write};
use super::{Done, Exit, Trouble, duration};

/// Plants each bug of `sim/planted/` into a copy of the tree and hunts for it.
///
/// The copy and what is built from it stay under `target/planted/`, so that the next bug costs an
/// incremental build only.
#[derive(Args, Debug)]
pub(crate) struct Hunt {
    /// Only this bug; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// The Ith of N parts of all bugs, from 1, as 2/7.
    #[arg(long, value_parser = share)]
    share: Option<(usize, usize)>,
    /// Longest hunt for one bug, without its build and its shrinking.
    #[arg(long, default_value = "60s", value_parser = duration)]
    time_per_bug: Duration,
    /// Longest time for shrinking what was found.
    #[arg(long, default_value = "60s", value_parser = duration)]
    shrink_time: Duration,
    /// Leave the last bug planted in the copy, to look at it.
    #[arg(long)]
    keep: bool,
    /// Cargo's target folder for the copy; `target/planted/build` by default.
    #[arg(long)]
    build_dir: Option<PathBuf>,
    /// The seed of the first run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the table there as well, after each bug.
    #[arg(long)]
    table: Option<PathBuf>,
}

/// What became of one bug.
struct Row {
    bug: Planted,
    verdict: &'static str,
    caught: String,
    seeds: String,
    took: Duration,
    steps: String,
}

const FOUND: &str = "found";

impl Hunt {
    pub(crate) fn run(&self) -> Done {
        let root = root(FOLDER)?;
        let mut bugs = all(&root).map_err(Trouble::environment)?;
        if let Some(strange) = self.only.iter().find(|only| !bugs.iter().any(|b| b.name == **only))
        {
            return Err(Trouble::usage(format!("no {FOLDER}/{strange}.patch")));
        }
        bugs.retain(|bug| self.only.is_empty() || self.only.contains(&bug.name));
        if let Some((part, parts)) = self.share {
            let mut index = 0;
            bugs.retain(|_| {
                index += 1;
                index % parts == part % parts
            });
        }
        let place = root.join("target/planted");
        let build = self.build_dir.clone().unwrap_or_else(|| place.join("build"));
        let copy = Copied { root: &root, tree: place.join("tree"), build };
        let mut rows = Vec::new();
        for (index, bug) in bugs.iter().enumerate() {
            eprintln!("{} of {}: {}", index + 1, bugs.len(), bug.name);
            copy.renew()?;
            let row = self.hunt(&copy, bug)?;
            eprintln!("  {} {}", row.verdict, row.caught);
            rows.push(row);
            // Hours of work must not be lost with the terminal.
            if let Some(path) = &self.table {
                write(path, &table(&rows))?;
            }
        }
        if !self.keep {
            copy.renew()?;
        }
        say_part!("{}", table(&rows));
        let mut failed = Failed::default();
        for row in rows.iter().filter(|row| row.verdict != FOUND) {
            failed.with(Exit::Violation, self.command(&row.bug));
        }
        Ok(failed.told())
    }

    /// The command that hunts for one bug as this one does.
    fn command(&self, bug: &Planted) -> Again {
        let command = Again::new("planted")
            .with("--only", &bug.name)
            .with("--time-per-bug", format_args!("{}s", self.time_per_bug.as_secs()))
            .with("--shrink-time", format_args!("{}s", self.shrink_time.as_secs()))
            .with("--seed", self.seed);
        let Some(folder) = &self.build_dir else { return command };
        command.with("--build-dir", folder.display())
    }

    fn hunt(&self, copy: &Copied<'_>, bug: &Planted) -> Result<Row, Trouble> {
        let row = |verdict| Row {
            bug: bug.clone(),
            verdict,
            caught: String::new(),
            seeds: String::new(),
            took: Duration::ZERO,
            steps: String::new(),
        };
        if !copy.apply(bug)? {
            return Ok(row("DOES NOT APPLY"));
        }
        let Some(binary) = copy.build()? else { return Ok(row("DOES NOT BUILD")) };
        let began = Instant::now();
        let mut explore = Command::new(binary);
        // A small team: a bug needs more runs of a large one, and each takes longer.
        explore.args(["explore", "--json", "--any-probes", "--failures", "1", "--team", "1"]);
        explore.args(["--runs", &bug.budget.to_string(), "--seed", &self.seed.to_string()]);
        explore.args(["--time", &format!("{}s", self.time_per_bug.as_secs())]);
        explore.args(["--shrink-time", &format!("{}s", self.shrink_time.as_secs())]);
        explore.arg("--out").arg(copy.tree.with_file_name("failures").join(&bug.name));
        let about: Vec<&str> =
            bug.expected.iter().map(String::as_str).filter(|what| *what != DETERMINISM).collect();
        if !about.is_empty() {
            explore.args(["--about", &about.join(",")]);
        }
        if let Some(bias) = &bug.bias {
            explore.args(["--bias", bias]);
        }
        let output = explore.output().map_err(|error| Trouble::environment(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        let told: serde_json::Value = serde_json::from_str(last).map_err(|error| {
            Trouble::environment(format!("the hunt for {} told nothing: {error}", bug.name))
        })?;
        let took = began.elapsed();
        let seeds = told["runs"].to_string();
        let failure = &told["failure"];
        let steps = failure["steps"].as_u64().map(|steps| steps.to_string()).unwrap_or_default();
        let (verdict, caught) = judge(bug, failure);
        let without = fails_without(failure)?;
        let verdict = if without { "FAILS WITHOUT IT" } else { verdict };
        Ok(Row { seeds, took, steps, caught, ..row(verdict) })
    }
}

/// Whether the scenario that was found fails in this very binary, too, in which nothing is planted.
fn fails_without(failure: &serde_json::Value) -> Result<bool, Trouble> {
    let (Some(file), Some(seed)) = (failure["file"].as_str(), failure["seed"].as_u64()) else {
        return Ok(false);
    };
    let twice = failure["kind"] == "differs";
    // A shrunk scenario may be too small for some oracle: it is about the same words only.
    let without = told(&trial_again(&scenario(Path::new(file))?, seed, twice).shown);
    let shares = |name: &serde_json::Value| {
        failure["invariants"].as_array().is_some_and(|found| found.contains(name))
    };
    let invariants = without["invariants"].as_array().is_some_and(|all| all.iter().any(shares));
    Ok(without["kind"] == failure["kind"] && (without["kind"] != "violated" || invariants))
}

/// What the failure says about the bug.
fn judge(bug: &Planted, failure: &serde_json::Value) -> (&'static str, String) {
    let invariants: Vec<&str> = failure["invariants"]
        .as_array()
        .map(|all| all.iter().filter_map(serde_json::Value::as_str).collect())
        .unwrap_or_default();
    let expects = |what: &str| bug.expected.iter().any(|expected| expected == what);
    match failure["kind"].as_str() {
        None => ("NOT FOUND", String::new()),
        Some("violated") => {
            // The first one is the one that the shrunk scenario still violates.
            let right = invariants.first().is_some_and(|kept| expects(kept));
            (if right { FOUND } else { "WRONG INVARIANT" }, invariants.join(" "))
        }
        Some("differs") => {
            let verdict = if expects(DETERMINISM) { FOUND } else { "WRONG INVARIANT" };
            (verdict, DETERMINISM.to_owned())
        }
        Some("panicked") => ("ONLY A PANIC", "panic".to_owned()),
        Some(other) => ("WRONG INVARIANT", other.to_owned()),
    }
}

/// The copy of the tree.
struct Copied<'a> {
    root: &'a Path,
    tree: PathBuf,
    build: PathBuf,
}

impl Copied<'_> {
    /// Makes the copy as the tree is. A file that is the same stays, so that it is not built again.
    fn renew(&self) -> Result<(), Trouble> {
        let listed = Command::new("git").arg("-C").arg(self.root).args(["ls-files", "-z"]).output();
        let listed = listed.map_err(|error| Trouble::environment(format!("git: {error}")))?;
        if !listed.status.success() {
            return Err(Trouble::environment("git ls-files failed: this is no checkout"));
        }
        for name in String::from_utf8_lossy(&listed.stdout).split('\0') {
            // Cargo joins its settings over all parent folders: the tree's own hold already.
            if name.is_empty() || name.starts_with(".cargo/") {
                continue;
            }
            let (from, to) = (self.root.join(name), self.tree.join(name));
            // A file that was deleted and is still tracked.
            let Ok(bytes) = std::fs::read(&from) else { continue };
            if std::fs::read(&to).is_ok_and(|known| known == bytes) {
                continue;
            }
            let folder = to.parent().unwrap_or(&self.tree);
            let copied = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&to, bytes));
            copied.map_err(|e| Trouble::environment(format!("{}: {e}", to.display())))?;
        }
        Ok(())
    }

    fn apply(&self, bug: &Planted) -> Result<bool, Trouble> {
        let patch = self.root.join(FOLDER).join(format!("{}.patch", bug.name));
        // Within a checkout git would look for the files at that checkout's root.
        let above = self.tree.parent().unwrap_or(self.root);
        let status = Command::new("git")
            .current_dir(&self.tree)
            .env("GIT_CEILING_DIRECTORIES", above)
            .args(["apply", "-C1"])
            .arg(&patch)
            .status();
        status
            .map(|status| status.success())
            .map_err(|error| Trouble::environment(format!("git: {error}")))
    }

    /// Builds the simulator from the copy; none if it does not compile.
    fn build(&self) -> Result<Option<PathBuf>, Trouble> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let level = std::env::var("CARGO_PROFILE_DEV_OPT_LEVEL").unwrap_or_else(|_| "2".to_owned());
        let status = Command::new(cargo)
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.build)
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", level)
            .args(["build", "--quiet", "--package", "rynxs-sim"])
            .status();
        let built = status.map_err(|error| Trouble::environment(format!("cargo: {error}")))?;
        Ok(built.success().then(|| self.build.join("debug/rynxs-sim")))
    }
}

/// Reads `2/7`.
fn share(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('/').and_then(|(part, parts)| {
        let both = (part.parse().ok()?, parts.parse().ok()?);
        (1..=both.1).contains(&both.0).then_some(both)
    });
    parsed.ok_or_else(|| format!("{text:?} is no share: write 2/7"))
}

/// The rows as a table, in Markdown, and below it the medians.
fn table(rows: &[Row]) -> String {
    let mut text = "| bug | verdict | caught by | expected | seeds | seconds | steps |\n\
                    |---|---|---|---|--:|--:|--:|\n"
        .to_owned();
    for row in rows {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {:.0} | {} |\n",
            row.bug.name,
            row.verdict,
            row.caught,
            row.bug.expected.join(", "),
            row.seeds,
            row.took.as_secs_f64(),
            row.steps
        ));
    }
    let found: Vec<&Row> = rows.iter().filter(|row| row.verdict == FOUND).collect();
    let mut seconds: Vec<u64> = found.iter().map(|row| row.took.as_secs()).collect();
    let mut steps: Vec<u64> = found.iter().filter_map(|row| row.steps.parse().ok()).collect();
    seconds.sort_unstable();
    steps.sort_unstable();
    if let (Some(time), Some(step)) = (seconds.get(seconds.len() / 2), steps.get(steps.len() / 2)) {
        let (found, all) = (found.len(), rows.len());
        text.push_str(&format!(
            "\n{found} of {all} found; median {time} s with shrinking, {step} steps\n"
        ));
    }
    text
}
