//! Exit codes: what a script may rely on. `docs/exit-codes.md` is this table.

use std::fmt;
use std::process::ExitCode;

use rynxs_core::error::ErrorKind;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything that was asked for was done.
    Done,
    /// An invariant of this program is broken.
    Bug,
    /// The command line cannot be understood.
    Usage,
    /// A setting, a manifest or the installation is wrong.
    Config,
    /// The log is not what it must be.
    Corrupt,
    /// The log or the API server cannot be reached.
    Unreachable,
    /// Something that `rynxs demo` claims did not hold.
    Refuted,
    /// This machine refuses: port in use, no permission, disk full.
    Machine,
    /// Interrupted by a person.
    Interrupted,
}

impl Exit {
    /// Every code, in the order of its number.
    pub const ALL: [Exit; 9] = [
        Exit::Done,
        Exit::Bug,
        Exit::Usage,
        Exit::Config,
        Exit::Corrupt,
        Exit::Unreachable,
        Exit::Refuted,
        Exit::Machine,
        Exit::Interrupted,
    ];

    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Bug => 1,
            Exit::Usage => 2,
            Exit::Config => 3,
            Exit::Corrupt => 4,
            Exit::Unreachable => 5,
            Exit::Refuted => 6,
            Exit::Machine => 7,
            Exit::Interrupted => 130,
        }
    }

    /// What happened, and what to do about it.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "everything that was asked for was done",
            Exit::Bug => "an invariant of rynxs itself is broken: please report the message",
            Exit::Usage => "the command line cannot be understood: see --help",
            Exit::Config => {
                "a setting, a manifest or the installation is wrong: mend it, try again"
            }
            Exit::Corrupt => {
                "the log is not what it must be: keep every byte, find out who changed it"
            }
            Exit::Unreachable => "the log or the API server cannot be reached: try again later",
            Exit::Refuted => {
                "something that `rynxs demo` claims did not hold: please report its folder"
            }
            Exit::Machine => "this machine refuses: port in use, no permission, disk full",
            Exit::Interrupted => "interrupted by Ctrl-C or SIGTERM before the end",
        }
    }

    /// The table as `--help` shows it.
    #[must_use]
    pub fn table() -> String {
        use std::fmt::Write as _;
        let mut text = String::from("Exit codes:\n");
        for exit in Self::ALL {
            let _ = writeln!(text, "  {:<4} {}", exit.code(), exit.meaning());
        }
        text
    }

    /// The table as `docs/exit-codes.md` has it.
    #[must_use]
    pub fn markdown() -> String {
        use std::fmt::Write as _;
        let mut text = String::from(
            "# Exit codes of `rynxs`\n\n\
             Generated from `operator/rynxs/src/cli/exit.rs`; a test fails when it is stale.\n\n\
             | code | meaning |\n|---|---|\n",
        );
        for exit in Self::ALL {
            let _ = writeln!(text, "| {} | {} |", exit.code(), exit.meaning());
        }
        text
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Retry | ErrorKind::Conflict | ErrorKind::Fenced => Exit::Unreachable,
            ErrorKind::Invalid | ErrorKind::Config => Exit::Config,
            ErrorKind::Corrupt => Exit::Corrupt,
            ErrorKind::Bug => Exit::Bug,
        }
    }
}

/// Why a command failed, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong, with the file, the field, the value.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Failure {
    /// A failure without advice.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), fix: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// A file operation of this machine that failed.
    #[must_use]
    pub fn io(doing: &str, error: &std::io::Error) -> Self {
        let failure = Self::new(Exit::Machine, format!("{doing}: {error}"));
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                failure.fix("free some space, or choose another folder")
            }
            std::io::ErrorKind::FileTooLarge => {
                failure.fix("raise the limit on file sizes (ulimit -f), or choose another folder")
            }
            std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
                failure.fix("choose a path that this user may write")
            }
            std::io::ErrorKind::AddrInUse => failure
                .fix("another program listens there: choose another port, 0 takes a free one"),
            _ => failure,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.fix {
            Some(fix) => write!(f, "\n  fix: {fix}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_used_once() {
        let mut codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        codes.dedup();
        assert_eq!(codes.len(), Exit::ALL.len());
        assert!(codes.is_sorted());
    }

    #[test]
    fn the_documented_table_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/exit-codes.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, Exit::markdown()).unwrap();
        }
        let documented = std::fs::read_to_string(path).unwrap();
        assert_eq!(documented, Exit::markdown(), "UPDATE_DOCS=1 cargo test rewrites it");
    }
}
