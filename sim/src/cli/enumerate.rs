//! `rynxs-sim enumerate`: one fault at every write of one replica.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use rynxs_sim::enumerate::{At, Plan, Reference, Wrong, enumerate, references};
use rynxs_sim::scenario;
use rynxs_sim::trial::Shown;

use super::again::{Again, Failed};
use super::files::{FOLDER, replay, write};
use super::{Done, Exit, Trouble};

/// Lets the leader of each reference scenario die before and after every write, and loses the
/// answer to every write; the end must always be that of the run without a fault.
#[derive(Args, Debug)]
pub(crate) struct Enumerate {
    /// The seed of scheduling and latencies.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Every so-manieth write only.
    #[arg(long, default_value_t = 1)]
    every: u32,
    /// This reference scenario only.
    #[arg(long, value_name = "NAME", value_parser = reference)]
    scenario: Option<&'static str>,
    /// This fault only: dies-before, dies-after or answer-lost.
    #[arg(long, value_name = "FAULT", value_parser = fault)]
    at: Option<At>,
    /// This write only, from 1.
    #[arg(long, value_name = "K", conflicts_with = "every")]
    write: Option<u32>,
    /// Threads; all cores by default.
    #[arg(long)]
    threads: Option<usize>,
    /// Folder for what fails.
    #[arg(long, default_value = FOLDER)]
    out: PathBuf,
}

impl Enumerate {
    pub(crate) fn run(&self) -> Done {
        let threads = self.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let plan = Plan { seed: self.seed, every: self.every, only: self.write, threads };
        let (mut failed, mut all) = (Failed::default(), 0);
        say!("{:<28}{:<36}{:>6}{:>8}{:>9}", "scenario", "fault", "runs", "wrong", "seconds");
        let wanted = |reference: &Reference| self.scenario.is_none_or(|it| it == reference.name);
        for reference in references().into_iter().filter(wanted) {
            for at in At::ALL.into_iter().filter(|at| self.at.is_none_or(|it| it == *at)) {
                let began = Instant::now();
                let found = match enumerate(&reference, at, &plan) {
                    Ok(found) => found,
                    Err(shown) => {
                        self.without_a_fault(&reference, &shown, &mut failed)?;
                        break;
                    }
                };
                let (runs, wrong) = (found.runs, found.wrong.len());
                all += runs;
                let seconds = began.elapsed().as_secs_f64();
                say!("{:<28}{:<36}{runs:>6}{wrong:>8}{seconds:>9.1}", reference.name, at.words());
                for wrong in &found.wrong {
                    self.tell(&reference, at, wrong, &mut failed)?;
                }
            }
        }
        if failed.is_none() && all == 0 {
            return Err(Trouble::environment("nothing was tried: no leader wrote that often"));
        }
        Ok(failed.told())
    }

    /// What is wrong with one run. To replay its scenario does not show that another end was due:
    /// the command is to make this one run here.
    fn tell(
        &self,
        reference: &Reference,
        at: At,
        wrong: &Wrong,
        failed: &mut Failed,
    ) -> Result<(), Trouble> {
        let name = format!("enumerate-{}-{}-{}.yaml", reference.name, at.name(), wrong.nth);
        let file = self.out.join(name);
        let comment = format!("{}\nseed {}", wrong.why, self.seed);
        write(&file, &scenario::write(&wrong.scenario, &comment))?;
        let command = Again::new("enumerate")
            .with("--scenario", reference.name)
            .with("--at", at.name())
            .with("--write", wrong.nth)
            .with("--seed", self.seed);
        say!("  {}: {}\n  {command}", file.display(), wrong.why);
        let green = wrong.shown == Shown::Green;
        failed.with(if green { Exit::Violation } else { Exit::of(&wrong.shown) }, command);
        Ok(())
    }

    /// The reference itself is not as it must be.
    fn without_a_fault(
        &self,
        reference: &Reference,
        shown: &Shown,
        failed: &mut Failed,
    ) -> Result<(), Trouble> {
        let file = self.out.join(format!("enumerate-{}.yaml", reference.name));
        let comment = format!("without a fault: {shown}\nseed {}", self.seed);
        write(&file, &scenario::write(&reference.scenario, &comment))?;
        say!("{} without a fault: {shown}", reference.name);
        failed.with(Exit::of(shown), replay(&file, self.seed, shown));
        Ok(())
    }
}

/// Reads the name of a reference scenario.
fn reference(text: &str) -> Result<&'static str, String> {
    let names: Vec<&str> = references().iter().map(|reference| reference.name).collect();
    let found = names.iter().find(|name| **name == text).copied();
    found.ok_or_else(|| format!("{text:?} is none of {}", names.join(", ")))
}

/// Reads the name of a fault.
fn fault(text: &str) -> Result<At, String> {
    let found = At::ALL.into_iter().find(|at| at.name() == text);
    found.ok_or_else(|| format!("{text:?} is none of {}", At::ALL.map(At::name).join(", ")))
}
