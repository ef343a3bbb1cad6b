//! `rynxs-sim shrink`: a failing scenario, smaller.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rynxs_sim::scenario;
use rynxs_sim::shrink::shrink;
use rynxs_sim::trial::trial;

use super::files::{self, FOLDER, comment, write};
use super::replay::Which;
use super::{Done, Exit, Trouble, duration};

/// Makes a failing scenario smaller while it fails in the same way, and writes down what is left.
#[derive(Args, Debug)]
pub(crate) struct Shrink {
    #[command(flatten)]
    which: Which,
    /// Longest time for it.
    #[arg(long, default_value = "60s", value_parser = duration)]
    time: Duration,
    /// Where to write what is left; in `sim-failures` by default.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Shrink {
    pub(crate) fn run(&self) -> Done {
        let scenario = self.which.scenario()?;
        let first = trial(&scenario, self.which.seed, self.which.twice);
        if first.shown.is_green() {
            return Err(Trouble::environment("nothing to shrink: the run is green"));
        }
        eprintln!("{}; shrinking for at most {:?} …", first.shown, self.time);
        let shrunk = shrink(&scenario, self.which.seed, &first.shown, self.time);
        let again = trial(&shrunk.scenario, shrunk.seed, shrunk.shown.takes_two());
        let (before, after) = (scenario.steps.len(), shrunk.scenario.steps.len());
        eprintln!("{before} steps became {after}, in {} runs", shrunk.runs);
        let path = self.out.clone().unwrap_or_else(|| {
            let name = format!("{}-{}.yaml", files::claim(&shrunk.shown), shrunk.seed);
            Path::new(FOLDER).join(name)
        });
        write(&path, &scenario::write(&shrunk.scenario, &comment(&again, shrunk.seed)))?;
        say!("{}", files::replay(&path, shrunk.seed, &shrunk.shown));
        Ok(Exit::of(&shrunk.shown))
    }
}
