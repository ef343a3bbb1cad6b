//! `rynxs-sim enumerate`: one fault at every write of the leader.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use rynxs_sim::enumerate::{At, Plan, enumerate, references};
use rynxs_sim::scenario;

use super::files::write;
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
    /// Threads; all cores by default.
    #[arg(long)]
    threads: Option<usize>,
    /// Folder for what fails.
    #[arg(long, default_value = "sim-failures")]
    out: PathBuf,
}

impl Enumerate {
    pub(crate) fn run(&self) -> Done {
        let threads = self.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let plan = Plan { seed: self.seed, every: self.every, threads };
        let mut commands = Vec::new();
        say!("{:<28}{:<36}{:>6}{:>8}{:>9}", "scenario", "fault", "runs", "wrong", "seconds");
        for reference in references() {
            for at in At::ALL {
                let began = Instant::now();
                let found = enumerate(&reference, at, &plan).map_err(Trouble::environment)?;
                let (runs, wrong) = (found.runs, found.wrong.len());
                let seconds = began.elapsed().as_secs_f64();
                say!("{:<28}{:<36}{runs:>6}{wrong:>8}{seconds:>9.1}", reference.name, at.words());
                for wrong in found.wrong {
                    let name = format!("enumerate-{}-{}.yaml", reference.name, commands.len());
                    let file = self.out.join(name);
                    let comment = format!("{}\nseed {}", wrong.why, wrong.seed);
                    write(&file, &scenario::write(&wrong.scenario, &comment))?;
                    say!("  {}", wrong.why);
                    let file = file.display();
                    commands.push(format!("rynxs-sim replay {file} --seed {}", wrong.seed));
                }
            }
        }
        commands.iter().for_each(|command| say!("{command}"));
        Ok(if commands.is_empty() { Exit::Green } else { Exit::Violation })
    }
}
