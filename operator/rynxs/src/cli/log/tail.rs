//! `rynxs log tail`: the newest events of a log, and those to come.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use rynxs_core::chain::Chain;
use rynxs_core::ids::Seq;

use crate::cli::exit::{Exit, Failure};

use super::show::{Printer, alone};
use super::{LogSource, Next};

/// How often a log is asked for its next record; a GET of a missing key costs nothing worth
/// counting at this rate.
const POLL: Duration = Duration::from_secs(1);

/// Show the newest events of a log, and follow it.
#[derive(Args, Debug)]
pub(super) struct TailArgs {
    #[command(flatten)]
    source: LogSource,
    /// How many of the newest records to show
    #[arg(long, short = 'n', default_value_t = 10, value_name = "N")]
    records: usize,
    /// Go on with what is appended, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

impl TailArgs {
    pub(super) async fn run(&self) -> Result<Exit, Failure> {
        let mut reader = self.source.open()?;
        let mut printer = Printer::new(self.source.output);
        let mut chain = Chain::new();
        let mut newest: VecDeque<Bytes> = VecDeque::new();
        while let Next::Record(bytes) = reader.next().await? {
            chain.push(&bytes).map_err(|error| reader.corrupt(&error))?;
            newest.push_back(bytes);
            if newest.len() > self.records {
                newest.pop_front();
            }
        }
        for bytes in newest {
            printer.record(&alone(&bytes)?, |_, _| true)?;
        }
        if !self.follow {
            if chain.next_seq() == Seq::ZERO {
                return Err(reader.empty());
            }
            return printer.end().map(|()| Exit::Done);
        }
        loop {
            match reader.next().await? {
                Next::Record(bytes) => {
                    let record = chain.push(&bytes).map_err(|error| reader.corrupt(&error))?;
                    printer.record(&record, |_, _| true)?;
                }
                Next::End => tokio::select! {
                    biased;
                    _ = tokio::signal::ctrl_c() => break,
                    () = tokio::time::sleep(POLL) => {}
                },
            }
        }
        printer.end()?;
        Ok(Exit::Done)
    }
}
