//! The command line: results on stdout, progress on stderr, exit codes that scripts may rely on.

#![allow(clippy::disallowed_methods, reason = "people's files, terminal and time are real")]

/// A line of results.
macro_rules! say {
    () => { $crate::cli::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::out(format_args!("{}\n", format_args!($($text)*))) };
}

/// A part of a line of results.
macro_rules! say_part {
    ($($text:tt)*) => { $crate::cli::out(format_args!($($text)*)) };
}

mod again;
mod enumerate;
mod explore;
mod files;
mod frontier;
mod planted;
mod replay;
mod shrink;
mod tables;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use rynxs_sim::trial::Shown;

use self::again::Again;

/// Runs the shipped operator in a world that lies about clock, network, storage and servers, and
/// judges what became of the log and of the cluster.
///
/// Exit codes: 0 nothing wrong; 1 an invariant is violated, or the run panicked; 2 the command line
/// cannot be understood; 3 a file cannot be read or written, or a scenario cannot be run; 4 an
/// oracle could not tell, or a probe was never hit; 5 the same run gave other bytes. The last line
/// of every failure is the command that shows it again.
#[derive(Parser, Debug)]
#[command(name = "rynxs-sim", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Explore(explore::Explore),
    Enumerate(enumerate::Enumerate),
    Replay(replay::Replay),
    Shrink(shrink::Shrink),
    Timeline(replay::Timeline),
    Frontier(frontier::Frontier),
    Planted(planted::Hunt),
    Faults(tables::Faults),
    Probes(tables::Probes),
    Scenario(tables::Example),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing is wrong.
    Green = 0,
    /// An invariant is violated, or the run panicked.
    Violation = 1,
    /// The command line cannot be understood; clap says so itself.
    Usage = 2,
    /// A file or a scenario.
    Environment = 3,
    /// An oracle could not tell, or a probe was never hit.
    Unknown = 4,
    /// The same run gave other bytes.
    Nondeterminism = 5,
}

impl Exit {
    fn of(shown: &Shown) -> Self {
        match shown {
            Shown::Green => Self::Green,
            Shown::Violated(_) | Shown::Panicked(_) => Self::Violation,
            Shown::Unknown(_) => Self::Unknown,
            Shown::Differs(_) => Self::Nondeterminism,
            Shown::Refused(_) => Self::Environment,
        }
    }
}

/// Why a command could not do what was asked.
#[derive(Debug)]
pub(crate) struct Trouble {
    exit: Exit,
    text: String,
    /// What shows it again, if the same command line would not.
    command: Option<Again>,
}

impl Trouble {
    fn environment(text: impl Into<String>) -> Self {
        Self { exit: Exit::Environment, text: text.into(), command: None }
    }

    fn usage(text: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, text: text.into(), command: None }
    }

    /// The same, shown again by this command.
    fn again(self, command: Again) -> Self {
        Self { command: Some(command), ..self }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

type Done = Result<Exit, Trouble>;

/// Runs what was asked for.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    let done = match cli.command {
        Command::Explore(explore) => explore.run(),
        Command::Enumerate(enumerate) => enumerate.run(),
        Command::Replay(replay) => replay.run(),
        Command::Shrink(shrink) => shrink.run(),
        Command::Timeline(timeline) => timeline.run(),
        Command::Frontier(frontier) => frontier.run(),
        Command::Planted(hunt) => hunt.run(),
        Command::Faults(faults) => faults.run(),
        Command::Probes(probes) => probes.run(),
        Command::Scenario(example) => example.run(),
    };
    let exit = done.unwrap_or_else(|trouble| {
        eprintln!("error: {trouble}");
        eprintln!("{}", trouble.command.unwrap_or_else(Again::itself));
        trouble.exit
    });
    ExitCode::from(exit as u8)
}

/// A mistake in the command line, or a wish for help or the version, which clap tells alike.
fn not_understood(error: &clap::Error) -> ExitCode {
    // Nobody is left to hear that a message could not be written.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", Again::itself());
    ExitCode::from(Exit::Usage as u8)
}

/// Writes results. Whoever closed the pipe has read enough: that is no failure, and hides none.
fn out(text: fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = std::io::stdout().lock().write_fmt(text);
}

/// Reads `90s`, `20m`, `2h`.
fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is no duration: write 90s, 20m or 2h");
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let number: u64 = number.parse().map_err(|_| bad())?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(bad()),
    };
    Ok(Duration::from_secs(number.checked_mul(factor).ok_or_else(bad)?))
}
