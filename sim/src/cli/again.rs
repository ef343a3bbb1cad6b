//! The command that shows a failure again: the last line of whatever ends with another code than 0.

use std::fmt;

use super::Exit;

/// A command line of this program, which a shell takes as it is printed.
#[derive(Clone, Debug)]
pub(crate) struct Again(Vec<String>);

impl Again {
    /// One of this program's commands. The program is called as it was: what was built from another
    /// tree may not fail.
    pub(crate) fn new(verb: &str) -> Self {
        let program = std::env::args_os().next();
        let program = program.map_or("rynxs-sim".into(), |name| name.to_string_lossy().into());
        Self(vec![program, verb.to_owned()])
    }

    /// The command line that this process was started with.
    pub(crate) fn itself() -> Self {
        Self(std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect())
    }

    /// With one more word.
    pub(crate) fn word(mut self, word: impl fmt::Display) -> Self {
        self.0.push(word.to_string());
        self
    }

    /// With an option and its value.
    pub(crate) fn with(self, option: &str, value: impl fmt::Display) -> Self {
        self.word(option).word(value)
    }
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(|word| quoted(word)).collect();
        f.write_str(&words.join(" "))
    }
}

/// A word as a shell must read it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// How far a command got: the exit code, and the last failure's command. The two belong together,
/// so that whoever copies the command sees that very code.
#[derive(Debug, Default)]
pub(crate) struct Failed(Option<(Exit, Again)>);

impl Failed {
    /// One more failure.
    pub(crate) fn with(&mut self, exit: Exit, command: Again) {
        self.0 = Some((exit, command));
    }

    /// Whether nothing failed.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The last failure's command.
    pub(crate) fn command(&self) -> Option<&Again> {
        self.0.as_ref().map(|(_, command)| command)
    }

    /// Prints the command, and gives the code to end with.
    pub(crate) fn told(self) -> Exit {
        self.command().inspect(|command| say!("{command}"));
        self.exit()
    }

    /// The code to end with, if the command is told already.
    pub(crate) fn exit(&self) -> Exit {
        self.0.as_ref().map_or(Exit::Green, |(exit, _)| *exit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for (word, expected) in [
            ("sim-failures/i7-one-leader-3/scenario.yaml", None),
            ("", Some("''")),
            ("a file.yaml", Some("'a file.yaml'")),
            ("it's $HOME", Some(r"'it'\''s $HOME'")),
        ] {
            assert_eq!(quoted(word), expected.unwrap_or(word));
        }
    }
}
