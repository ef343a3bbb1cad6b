//! The story as it happens, on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Tells what happens, with the time since the beginning.
pub struct Story {
    began: Instant,
    bold: bool,
    quiet: bool,
}

impl Story {
    /// Begins now; `quiet` tells nothing.
    #[must_use]
    pub fn begin(quiet: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { began: Instant::now(), bold: !plain && std::io::stderr().is_terminal(), quiet }
    }

    /// Time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A new chapter.
    pub fn chapter(&self, title: &str) {
        let (on, off) = if self.bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.write(&format!("\n{on}{title}{off}\n"));
    }

    /// Something happened.
    pub fn tell(&self, what: impl AsRef<str>) {
        let at = self.began.elapsed().as_secs_f64();
        self.write(&format!("{at:>7.2}s  {}\n", what.as_ref()));
    }

    fn write(&self, text: &str) {
        if !self.quiet {
            // Who closes the pipe does not want to hear it.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

/// A span as people say it.
#[must_use]
pub fn span(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
