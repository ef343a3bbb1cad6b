//! Why a log in files could not be opened, in words that tell a person what to do.

use rynxs_core::error::ErrorKind;

use crate::ports::StorageError;

/// The log cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "{path} is locked: another process has this log open; a log in files has one writer, so \
         stop the other one, or keep the log in a bucket to run several replicas"
    )]
    Locked {
        /// The lock file.
        path: String,
    },
    /// The disk does not do what was asked.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What is there is not a log, or not all of one. Nothing was changed.
    #[error(
        "{file}, byte {offset}: {found}, expected {expected}; the log is damaged and was left as \
         it is: put back an undamaged copy of this file, or start a successor: \
         an empty directory with `--on-missing-log adopt`"
    )]
    Corrupt {
        /// The damaged file, as people call it.
        file: String,
        /// Where in it, bytes.
        offset: u64,
        /// What ought to be there.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl OpenError {
    /// What the caller does.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Locked { .. } => ErrorKind::Config,
            Self::Storage(error) => match error.kind {
                std::io::ErrorKind::PermissionDenied
                | std::io::ErrorKind::ReadOnlyFilesystem
                | std::io::ErrorKind::NotADirectory => ErrorKind::Config,
                _ => ErrorKind::Retry,
            },
            Self::Corrupt { .. } => ErrorKind::Corrupt,
        }
    }
}
