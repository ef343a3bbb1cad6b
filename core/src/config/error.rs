//! A setting that cannot work, said so that a person can mend it.

use crate::error::ErrorKind;

/// One broken rule. `validate` returns all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} = {value}: {problem}; {fix}")]
pub struct ConfigError {
    /// The setting, by the name that the settings file and the chart use.
    pub setting: &'static str,
    /// Its value; never a secret.
    pub value: String,
    /// The rule, with its numbers and by how much it is broken.
    pub problem: String,
    /// What to write instead.
    pub fix: String,
}

impl ConfigError {
    /// What the caller does: say it and stay not ready.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Config
    }
}

/// Several errors as one text, one a line.
#[must_use]
pub fn list(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
