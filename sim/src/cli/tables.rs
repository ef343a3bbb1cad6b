//! What there is: faults, probes, an example of a scenario.

use clap::Args;
use rynxs_sim::scenario::strategy::{Size, draw};
use rynxs_sim::{fault, probe, scenario};

use super::{Done, Exit};

/// Prints the table of faults: what each may break, and what must happen instead.
#[derive(Args, Debug)]
pub(crate) struct Faults {}

impl Faults {
    pub(crate) fn run(&self) -> Done {
        say!("{:<24}{:<56}{:<24}instead", "fault", "what", "may break");
        for row in fault::TABLE {
            let broken: Vec<_> = row
                .may_break
                .iter()
                .map(|invariant| invariant.to_string().split(' ').next().map(str::to_owned))
                .map(Option::unwrap_or_default)
                .collect();
            let broken = if broken.is_empty() { "nothing".to_owned() } else { broken.join(" ") };
            say!("{:<24}{:<56}{broken:<24}{}", row.fault, row.what, row.instead);
        }
        Ok(Exit::Green)
    }
}

/// Prints the catalogue of probes.
#[derive(Args, Debug)]
pub(crate) struct Probes {}

impl Probes {
    pub(crate) fn run(&self) -> Done {
        for probe in probe::CATALOGUE {
            say!("{:<44}{}", probe.name, probe.what);
        }
        Ok(Exit::Green)
    }
}

/// Prints the scenario that belongs to a seed, as a file to start from.
#[derive(Args, Debug)]
pub(crate) struct Example {
    /// Which one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Most steps of users and most faults.
    #[arg(long, default_value_t = 6)]
    steps: usize,
}

impl Example {
    pub(crate) fn run(&self) -> Done {
        let most = self.steps.max(1);
        let size = Size { agents: 3, edits: most, faults: most, ..Size::default() };
        let text = scenario::write(&draw(self.seed, size), &format!("drawn for {}", self.seed));
        say_part!("{text}");
        Ok(Exit::Green)
    }
}
