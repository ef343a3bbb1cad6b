//! `rynxs log show`: what a log says, one event per line.

use clap::Args;
use rynxs_core::chain::Chain;
use rynxs_core::record::{Record, decode};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Format, Output};

use super::{LogSource, Next};

/// Show the events of a log, oldest first.
///
/// Checks each record's hash and place in the chain on the way; `rynxs log verify` checks more.
#[derive(Args, Debug)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    source: LogSource,
    /// First record to show
    #[arg(long, default_value_t = 0, value_name = "SEQ")]
    from: u64,
    /// Last record to show
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    /// Only events of this type, for example ActionsDecided
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only events about this Agent or Session, as NAMESPACE/NAME
    #[arg(long, value_name = "NAMESPACE/NAME")]
    about: Option<String>,
}

/// One event with the record that it stands in.
#[derive(Serialize)]
struct Shown<'a> {
    seq: u64,
    index: usize,
    epoch: u64,
    writer: &'a str,
    ts_ms: u64,
    event: Box<RawValue>,
}

impl ShowArgs {
    pub(super) async fn run(&self) -> Result<Exit, Failure> {
        if let Some(to) = self.to.filter(|to| *to < self.from) {
            let from = self.from;
            let why = format!("--from {from} is behind --to {to}: no record is in between");
            return Err(Failure::new(Exit::Usage, why).fix("name the smaller position with --from"));
        }
        let mut reader = self.source.open()?;
        let mut printer = Printer::new(self.source.output);
        let mut chain = Chain::new();
        while let Next::Record(bytes) = reader.next().await? {
            let record = chain.push(&bytes).map_err(|error| reader.corrupt(&error))?;
            let seq = record.header.seq.0;
            if self.to.is_some_and(|to| seq > to) {
                break;
            }
            if seq >= self.from {
                printer.record(&record, |kind, event| self.wants(kind, event))?;
            }
        }
        printer.end()?;
        match chain.next_seq().0.checked_sub(1) {
            None => return Err(reader.empty()),
            Some(last) if printer.shown == 0 => {
                use std::io::Write as _;
                let at = reader.describe();
                let said = format!("no event matches; {at} was read up to record {last}");
                let _ = writeln!(std::io::stderr(), "{said}");
            }
            Some(_) => {}
        }
        Ok(Exit::Done)
    }

    fn wants(&self, kind: &str, event: &Value) -> bool {
        let typed = self.event_type.as_ref().is_none_or(|wanted| wanted == kind);
        typed
            && self.about.as_ref().is_none_or(|wanted| subjects(event).any(|s| is_about(s, wanted)))
    }
}

/// Whether `Kind/namespace/name` is the one wanted, given from any of its parts on.
fn is_about(subject: &str, wanted: &str) -> bool {
    subject.strip_suffix(wanted).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}

/// References to objects that an event is about, as `Kind/namespace/name`.
fn subjects(event: &Value) -> impl Iterator<Item = &str> {
    ["agent", "session", "subject", "object"]
        .into_iter()
        .filter_map(|field| event.get(field).and_then(Value::as_str))
}

/// Prints events of records in the form that was asked for.
pub(super) struct Printer<'a> {
    output: Output<'a>,
    header: bool,
    list: Vec<Value>,
    shown: u64,
}

impl Printer<'_> {
    pub(super) fn new(format: Format) -> Self {
        Self { output: Output::stdout(format), header: false, list: Vec::new(), shown: 0 }
    }

    /// Prints the events of a record that are wanted.
    pub(super) fn record(
        &mut self,
        record: &Record<'_>,
        wants: impl Fn(&str, &Value) -> bool,
    ) -> Result<(), Failure> {
        for (index, raw) in record.raw_events().enumerate() {
            let broken = |error: serde_json::Error| {
                Failure::new(Exit::Corrupt, format!("record {}: {error}", record.header.seq))
            };
            let event: Value = serde_json::from_str(raw.json).map_err(broken)?;
            if !wants(raw.kind, &event) {
                continue;
            }
            self.shown += 1;
            if self.output.format() == Format::Table {
                self.line(record, index, raw.kind, &event)?;
                continue;
            }
            let shown = Shown {
                seq: record.header.seq.0,
                index,
                epoch: record.header.epoch.0,
                writer: record.header.writer.as_str(),
                ts_ms: record.header.ts_ms.0,
                event: RawValue::from_string(raw.json.to_owned()).map_err(broken)?,
            };
            if self.output.format() == Format::Jsonl {
                self.output.json(&shown)?;
            } else {
                self.list.push(serde_json::to_value(&shown).map_err(broken)?);
            }
        }
        Ok(())
    }

    fn line(
        &mut self,
        record: &Record<'_>,
        index: usize,
        kind: &str,
        event: &Value,
    ) -> Result<(), Failure> {
        if !self.header {
            self.header = true;
            self.output.text(&format!(
                "{:<10} {:<10} {:<20} {:<17} {}\n",
                "SEQ", "EPOCH", "TIME", "EVENT", "WHAT"
            ))?;
        }
        let at = jiff::Timestamp::from_millisecond(
            i64::try_from(record.header.ts_ms.0).unwrap_or(i64::MAX),
        );
        let at = at.map(|at| format!("{at:.0}")).unwrap_or_default();
        let place = format!("{}.{index}", record.header.seq);
        let what = summary(kind, event);
        self.output
            .text(&format!("{place:<10} {:<10} {at:<20} {kind:<17} {what}\n", record.header.epoch))
    }

    /// Prints what had to wait for the end.
    pub(super) fn end(&mut self) -> Result<(), Failure> {
        if self.output.format() == Format::Json {
            let list = std::mem::take(&mut self.list);
            self.output.json(&list)?;
        }
        Ok(())
    }
}

/// An event in a few words.
fn summary(kind: &str, event: &Value) -> String {
    let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or_default();
    let number = |field: &str| event.get(field).and_then(Value::as_u64).unwrap_or_default();
    let about = subjects(event).next().unwrap_or_default();
    match kind {
        "LogStarted" => format!("log {} base {}", text("log_id"), number("base")),
        "EpochStarted" => format!("{} build {}", text("identity"), text("build")),
        "AgentObserved" | "SessionObserved" => {
            format!("{about} generation {}", number("generation"))
        }
        "ChildObserved" => format!("{about} {}", event["state"]["is"].as_str().unwrap_or_default()),
        "DriftObserved" => format!("{about} {}", event["drift"]["is"].as_str().unwrap_or_default()),
        "TimerFired" => format!("{about} {}", text("timer")),
        "ActionsDecided" => {
            let actions = event["actions"].as_array().cloned().unwrap_or_default();
            let actions: Vec<String> = actions.iter().map(action).collect();
            format!(
                "{about}: {}",
                if actions.is_empty() { "nothing".to_owned() } else { actions.join(", ") }
            )
        }
        "ActionApplied" => {
            format!("{about} decision {} action {}", number("decision"), number("action"))
        }
        "ActionFailed" => format!(
            "{about} decision {} action {}: {} ({})",
            number("decision"),
            number("action"),
            text("reason"),
            text("message")
        ),
        "ActionSuperseded" => {
            format!("{about} decision {} by {}", number("decision"), number("by"))
        }
        "CheckpointCreated" => format!("{} records, root {}", number("size"), text("root")),
        "TailRepaired" => format!("{} bytes cut off", number("bytes")),
        _ => about.to_owned(),
    }
}

fn action(action: &Value) -> String {
    let text = |field: &str| action.get(field).and_then(Value::as_str).unwrap_or_default();
    format!("{} {} ({})", text("verb"), text("object"), text("reason"))
}

/// Decodes a record without its chain.
pub(super) fn alone(bytes: &[u8]) -> Result<Record<'_>, Failure> {
    decode(bytes).map_err(|error| Failure::new(Exit::Corrupt, error.to_string()))
}
