//! `rynxs completions`.

use clap::Args;
use clap_complete::Shell;

use super::exit::{Exit, Failure};
use super::output::{Format, Output};

/// Print a shell's completion script
///
/// For bash, put it where bash looks for it:
///
///   rynxs completions bash > ~/.local/share/bash-completion/completions/rynxs
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(super) struct CompletionsArgs {
    /// Whose script
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(&self, mut command: clap::Command) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "rynxs", &mut script);
        let script = String::from_utf8_lossy(&script);
        Output::stdout(Format::Table).text(&script)?;
        Ok(Exit::Done)
    }
}
