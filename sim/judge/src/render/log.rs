//! What the attempts to write the log say, read leniently: a picture must show a bad log too.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::event::{Event, Line};

/// Sorts of events of one record that a row names.
const SHOWN: usize = 3;

/// What is in one attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Position.
    pub(super) seq: Option<u64>,
    /// Epoch that it claims.
    pub(super) epoch: Option<u64>,
    /// Types of its events.
    pub(super) events: Vec<String>,
    /// The Agent, Session or object that its first event is about.
    pub(super) about: Option<String>,
    /// The log's base, if it says so.
    base: Option<u64>,
}

impl Entry {
    /// Whether a term begins with it.
    pub(super) fn starts_epoch(&self) -> bool {
        self.events.iter().any(|event| event == "EpochStarted" || event == "LogStarted")
    }

    /// Its events in a few words.
    pub(super) fn summary(&self) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for event in &self.events {
            match counts.last_mut() {
                Some((name, count)) if name == event => *count += 1,
                _ => counts.push((event, 1)),
            }
        }
        let parts = counts.iter().map(|(name, count)| match count {
            1 => (*name).to_owned(),
            _ => format!("{name} ×{count}"),
        });
        let shown: Vec<String> = parts.take(SHOWN).collect();
        let more = if counts.len() > SHOWN { " + …" } else { "" };
        let about = self.about.as_deref().and_then(|about| about.rsplit('/').next());
        let about = about.map_or(String::new(), |about| format!(", {about}"));
        format!("{}{more}{about}", shown.join(" + "))
    }

    fn read(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let record = value.get("record").unwrap_or(&value);
        let number = |value: &Value, field: &str| value.get(field).and_then(Value::as_u64);
        let events = record.get("events").and_then(Value::as_array).into_iter().flatten();
        let mut entry = Self {
            seq: number(record, "seq"),
            epoch: number(record, "epoch").or_else(|| epoch_in(text)),
            ..Self::default()
        };
        for event in events {
            let name = event.get("type").and_then(Value::as_str).unwrap_or("?").to_owned();
            entry.base = entry.base.or_else(|| match name.as_str() {
                "LogStarted" => number(event, "base"),
                "EpochStarted" => entry.epoch?.checked_sub(entry.seq?),
                _ => None,
            });
            let about = ["agent", "session", "object", "subject"]
                .iter()
                .find_map(|field| event.get(field).and_then(Value::as_str));
            entry.about = entry.about.or_else(|| about.map(str::to_owned));
            entry.events.push(name);
        }
        entry
    }
}

/// The epoch of a text that is no JSON.
fn epoch_in(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("\"epoch\":")?;
    let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The log as the run wrote it.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Every attempt, by its line.
    pub(super) entries: BTreeMap<usize, Entry>,
    /// Lines of accepted attempts, by key.
    pub(super) accepted: BTreeMap<String, usize>,
    /// Lines at which an epoch began, by epoch.
    pub(super) epochs: BTreeMap<u64, usize>,
    by_seq: BTreeMap<u64, usize>,
    base: u64,
}

impl Log {
    /// Reads the attempts of a stream.
    pub(super) fn of(lines: &[Line]) -> Self {
        let mut log = Self::default();
        for (index, line) in lines.iter().enumerate() {
            let Event::LogWrite(write) = &line.event else { continue };
            let entry = Entry::read(&write.text);
            if write.took_effect() {
                log.accepted.entry(write.key.clone()).or_insert(index);
                log.base = entry.base.unwrap_or(log.base);
                if let Some(seq) = entry.seq {
                    log.by_seq.entry(seq).or_insert(index);
                }
                if let (Some(epoch), true) = (entry.epoch, entry.starts_epoch()) {
                    log.epochs.entry(epoch).or_insert(index);
                }
            }
            log.entries.insert(index, entry);
        }
        log
    }

    /// The epoch in which the decision of a stamp was made.
    pub(super) fn epoch_of_stamp(&self, stamp: u64) -> Option<u64> {
        self.epochs.range(..=stamp).next_back().map(|(epoch, _)| *epoch)
    }

    /// The line at which the decision of a stamp was accepted.
    pub(super) fn decision_of_stamp(&self, stamp: u64) -> Option<usize> {
        self.by_seq.get(&stamp.checked_sub(self.base)?).copied()
    }

    /// The highest epoch that began before a line.
    pub(super) fn epoch_at(&self, index: usize) -> Option<u64> {
        self.epochs.iter().filter(|(_, line)| **line < index).map(|(epoch, _)| *epoch).max()
    }
}
