//! The command line: parse, run, say what failed, exit with a documented code.

mod completions;
mod crd;
mod exit;
mod log;
mod operator;
mod output;
mod settings;
mod values;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use exit::{Exit, Failure};
pub use log::{Next, Reader, Verified, open, verify};
pub use output::{Format, Output};
pub use values::Location;
#[cfg(feature = "demo")]
pub(crate) use values::duration as span;

/// Runs AI agents and their sessions on Kubernetes out of an event log that cannot fork.
///
/// Every observation, decision and outcome is a record of an append-only, hash-chained log in a
/// bucket or a local directory. Several replicas elect a leader; the log itself keeps a stale one
/// out. Also usable as `kubectl rynxs` if installed as kubectl-rynxs.
#[derive(Parser, Debug)]
#[command(name = "rynxs", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = Exit::table(), subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Operator(Box<operator::OperatorArgs>),
    #[cfg(feature = "demo")]
    Demo(crate::demo::DemoArgs),
    Log(Box<log::LogCommand>),
    Crd(crd::CrdArgs),
    Completions(completions::CompletionsArgs),
}

/// Parses the process' arguments, runs the command, reports a failure.
#[must_use]
pub fn main() -> ExitCode {
    let parsed = command_line().try_get_matches().and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // Help and version are answers, not mistakes.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return exit.into();
        }
    };
    match run(cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            failure.exit.into()
        }
    }
}

/// The command line; its help names variables and not their values, so that it is the same
/// everywhere and shows no secret.
fn command_line() -> clap::Command {
    fn hide(command: clap::Command) -> clap::Command {
        command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(hide)
    }
    hide(Cli::command())
}

fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Operator(args) => args.run(),
        #[cfg(feature = "demo")]
        Command::Demo(args) => crate::demo::run(&args),
        Command::Log(args) => args.run(),
        Command::Crd(args) => args.run(),
        Command::Completions(args) => args.run(command_line()),
    }
}

/// A runtime for a command; two threads carry the connections, the command itself runs on the
/// calling thread.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let failed = |error: std::io::Error| Failure::io("start the runtime", &error);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(failed)?;
    let inside = runtime.enter();
    // A write beyond the limit on file sizes (`ulimit -f`) kills a process that does not handle
    // this signal; with a handler the write fails like any other, and whoever wrote says so.
    let number = nix::sys::signal::Signal::SIGXFSZ as i32;
    // The handler stays when its listener is dropped.
    let kind = tokio::signal::unix::SignalKind::from_raw(number);
    drop(tokio::signal::unix::signal(kind).map_err(failed)?);
    drop(inside);
    Ok(runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command_line().debug_assert();
    }
}
