//! `rynxs log verify`: chain, events, reduced state and every decision, from record 0 to the end.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rynxs_core::chain::Chain;
use rynxs_core::replay::Replayer;
use serde::Serialize;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Format, Output};

use super::{LogSource, Next, Reader};

/// Verify a whole log: every hash, every epoch, every decision.
///
/// Reads every record, checks the hash chain (I1) and the epochs (I3), reduces the events and
/// makes every decision again from the state before it (I6). A decision made by a version of the
/// decision functions that this binary does not carry is counted as not re-derivable here.
///
/// The chain alone cannot show that the end of a log was cut off: compare the head with what you
/// know from elsewhere, for example with status.logHead of an Agent.
#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    source: LogSource,
}

/// What a verified log says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Where it is.
    pub log: String,
    /// Its identity.
    pub log_id: String,
    /// Records.
    pub records: u64,
    /// Events.
    pub events: u64,
    /// Epochs, the leaders' terms.
    pub epochs: u64,
    /// Decisions made again with the same result.
    pub decisions: u64,
    /// Decisions of a version that this binary does not carry.
    pub decisions_not_rederivable: u64,
    /// Position of the last record.
    pub head_seq: u64,
    /// Hash of the last record.
    pub head_hash: String,
    /// Hash of the reduced state.
    pub state_hash: String,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// What is odd without being wrong.
    pub notes: Vec<String>,
}

/// Verifies a log from its beginning; also returns the state that it reduces to. `watch` hears of
/// every record with the number of records and events so far.
pub async fn verify(
    reader: &mut Reader,
    mut watch: impl FnMut(u64, u64),
) -> Result<(Verified, Replayer), Failure> {
    let began = Instant::now();
    let mut chain = Chain::new();
    let mut replay = Replayer::new();
    let (mut records, mut events) = (0_u64, 0_u64);
    while let Next::Record(bytes) = reader.next().await? {
        let record = chain.push(&bytes).map_err(|error| reader.corrupt(&error))?;
        records += 1;
        events += record.event_count() as u64;
        replay
            .push(&record)
            .map_err(|error| reader.corrupt(&format!("record {}: {error}", records - 1)))?;
        watch(records, events);
    }
    let notes = reader.check_end().await?.into_iter().collect();
    if records == 0 {
        return Err(reader.empty());
    }
    let counts = replay.counts();
    let verified = Verified {
        log: reader.describe(),
        log_id: chain.log_id().map(ToString::to_string).unwrap_or_default(),
        records,
        events,
        epochs: counts.epochs,
        decisions: counts.decisions,
        decisions_not_rederivable: counts.not_rederivable,
        head_seq: records - 1,
        head_hash: chain.head_hash().to_string(),
        state_hash: replay.state().digest().to_string(),
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        notes,
    };
    Ok((verified, replay))
}

impl VerifyArgs {
    pub(super) async fn run(&self) -> Result<Exit, Failure> {
        let mut reader = self.source.open()?;
        let progress = Progress::new();
        let (verified, _) =
            verify(&mut reader, |records, events| progress.at(records, events)).await?;
        progress.end();
        let mut output = Output::stdout(self.source.output);
        match output.format() {
            Format::Table => output.text(&verified.to_string())?,
            Format::Json | Format::Jsonl => output.json(&verified)?,
        }
        Ok(Exit::Done)
    }
}

impl std::fmt::Display for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = self.events.saturating_mul(1000) / self.took_ms.max(1);
        writeln!(f, "log         {} ({})", self.log, self.log_id)?;
        writeln!(f, "records     {}", self.records)?;
        writeln!(f, "events      {}", self.events)?;
        writeln!(f, "epochs      {}", self.epochs)?;
        write!(f, "decisions   {} made again, all the same", self.decisions)?;
        if self.decisions_not_rederivable > 0 {
            write!(f, "; {} not re-derivable here", self.decisions_not_rederivable)?;
        }
        writeln!(f)?;
        writeln!(f, "head        {} {}", self.head_seq, self.head_hash)?;
        writeln!(f, "state       {}", self.state_hash)?;
        writeln!(f, "took        {} ms, {rate} events/s", self.took_ms)?;
        for note in &self.notes {
            writeln!(f, "note        {note}")?;
        }
        writeln!(f, "verified    chain, epochs, state and decisions hold from record 0 to the head")
    }
}

/// A spinner on a terminal, nothing elsewhere.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(Some(bar))
    }

    fn at(&self, records: u64, events: u64) {
        if let Some(bar) = &self.0
            && records.is_multiple_of(256)
        {
            bar.set_message(format!("{records} records, {events} events"));
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
