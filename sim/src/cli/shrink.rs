//! `rynxs-sim shrink`: a failing scenario, smaller; and where it is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rynxs_sim::scenario;
use rynxs_sim::shrink::shrink;
use rynxs_sim::trial::{Shown, trial_again};

use super::files::{self, FOLDER, comment, root, write, write_new};
use super::replay::Which;
use super::{Done, Exit, Trouble, duration};

/// Where scenarios that once failed are kept, below the workspace's root.
pub(super) const REGRESSIONS: &str = "sim/regressions";

/// Makes a failing scenario smaller while it fails in the same way, and writes down what is left.
#[derive(Args, Debug)]
pub(crate) struct Shrink {
    #[command(flatten)]
    which: Which,
    /// Longest time for it.
    #[arg(long, default_value = "60s", value_parser = duration)]
    time: Duration,
    /// Where to write what is left; in `sim-failures` by default.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Keep what is left for ever, in `sim/regressions`, under the claim that it refutes:
    /// a-deleted-claim-holds-up-nothing.
    #[arg(long, conflicts_with = "out", value_parser = claim)]
    claim: Option<String>,
}

impl Shrink {
    pub(crate) fn run(&self) -> Done {
        // Before a minute of shrinking, not after it.
        let kept = self.claim.as_deref().map(place).transpose()?;
        let scenario = self.which.scenario()?;
        let first = trial_again(&scenario, self.which.seed, self.which.twice);
        if first.shown.is_green() {
            return Err(Trouble::environment("nothing to shrink: the run is green"));
        }
        eprintln!("{}; shrinking for at most {:?} …", first.shown, self.time);
        let shrunk = shrink(&scenario, self.which.seed, &first.shown, self.time);
        let again = trial_again(&shrunk.scenario, shrunk.seed, shrunk.shown.takes_two());
        let (before, after) = (scenario.steps.len(), shrunk.scenario.steps.len());
        eprintln!("{before} steps became {after}, in {} runs", shrunk.runs);
        let text = |comment: &str| scenario::write(&shrunk.scenario, comment);
        let path = match (&self.claim, kept) {
            (Some(claim), Some(path)) => {
                write_new(&path, &text(&head(claim, &shrunk.shown, shrunk.seed)))?;
                path
            }
            _ => {
                let path = self.out.clone().unwrap_or_else(|| {
                    let name = format!("{}-{}.yaml", files::claim(&shrunk.shown), shrunk.seed);
                    Path::new(FOLDER).join(name)
                });
                write(&path, &text(&comment(&again, shrunk.seed)))?;
                path
            }
        };
        say!("{}", files::replay(&path, shrunk.seed, &shrunk.shown));
        Ok(Exit::of(&shrunk.shown))
    }
}

/// The file of a claim, which must not be there yet.
fn place(claim: &str) -> Result<PathBuf, Trouble> {
    let root = root(REGRESSIONS)?;
    let path = root.join(REGRESSIONS).join(format!("{claim}.yaml"));
    let here = std::env::current_dir().unwrap_or_default();
    let path = path.strip_prefix(&here).map(Path::to_owned).unwrap_or(path);
    if path.exists() {
        let path = path.display();
        let text = format!("{path} is there already, and is kept: name this claim otherwise");
        return Err(Trouble::environment(text));
    }
    Ok(path)
}

/// The comment at the head of a file that is kept: the claim in a sentence, and how it is run.
fn head(claim: &str, shown: &Shown, seed: u64) -> String {
    let mut sentence = claim.replace('-', " ");
    sentence[..1].make_ascii_uppercase();
    played(&sentence, shown, seed)
}

/// A sentence, and how it is run.
pub(super) fn played(sentence: &str, shown: &Shown, seed: u64) -> String {
    let twice = if shown.takes_two() { "\ntwice" } else { "" };
    format!("{sentence}.\nseed {seed}{twice}")
}

/// Reads a claim: a sentence's words, in small letters, with dashes between.
fn claim(text: &str) -> Result<String, String> {
    let is_word = |word: &str| {
        let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        !word.is_empty() && word.chars().all(small)
    };
    let words: Vec<&str> = text.split('-').collect();
    if words.len() > 1 && words.into_iter().all(is_word) {
        return Ok(text.to_owned());
    }
    Err("write the words of a sentence: a-deleted-claim-holds-up-nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_the_words_of_a_sentence() {
        for text in ["a-claim-holds", "i7-holds"] {
            assert_eq!(claim(text).as_deref(), Ok(text));
        }
        for text in ["", "claim", "A-claim", "a--claim", "a claim", "../a-claim", "a-claim.yaml"] {
            assert!(claim(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_head_says_the_claim_the_seed_and_whether_two_runs_show_it() {
        let once = Shown::Panicked(String::new());
        assert_eq!(head("a-b-holds", &once, 7), "A b holds.\nseed 7");
        let twice = Shown::Differs(String::new());
        assert_eq!(head("a-b-holds", &twice, 7), "A b holds.\nseed 7\ntwice");
    }
}
