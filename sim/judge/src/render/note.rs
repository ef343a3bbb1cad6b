//! What each line of a stream means in a few words, and how much room it deserves.

use std::collections::BTreeSet;

use serde::Serialize;

use super::journey::Journey;
use super::lease::Belief;
use super::reading::Reading;
use super::words::{seconds, span, told};
use crate::event::{Event, Leg, Line};
use crate::history::{LogWrite, ObjectWrite};

/// How much room a line deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Routine that only counts.
    Noise,
    /// A part of something that another line tells.
    Minor,
    /// A row with its text.
    Row,
}

/// What kind of thing a line is, for its colour and its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tone {
    /// Nothing special.
    Plain,
    /// A write that took effect.
    Effect,
    /// A write or request that was refused.
    Refused,
    /// Something late, lost or stale.
    Odd,
    /// Lease and belief.
    Lease,
    /// A process's life and whatever breaks things.
    Fault,
    /// A person.
    User,
}

/// Wording and weight of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Who did it, which need not be where it happened.
    pub(super) actor: String,
    /// What happened, short.
    pub(super) text: String,
    /// How much room it deserves.
    pub(super) level: Level,
    /// Its kind.
    pub(super) tone: Tone,
    /// What it is one of when it is only counted.
    pub(super) sort: &'static str,
    /// The epoch that it belongs to.
    pub(super) epoch: Option<u64>,
}

impl Note {
    fn new(line: &Line, level: Level, tone: Tone, sort: &'static str, text: String) -> Self {
        Self { actor: line.node.clone(), text, level, tone, sort, epoch: None }
    }
}

/// The notes of all lines.
pub(super) fn notes(reading: &Reading<'_>) -> Vec<Note> {
    let mut probes: BTreeSet<&str> = BTreeSet::new();
    let mut hits: BTreeSet<(String, &str)> = BTreeSet::new();
    let mut notes: Vec<Note> = Vec::with_capacity(reading.lines.len());
    for (index, line) in reading.lines.iter().enumerate() {
        let mut note = note(reading, index);
        // What has been seen once is no news.
        if let Event::Probe { probe } = &line.event
            && !probes.insert(probe)
        {
            note.level = Level::Noise;
        }
        if let Event::FaultHit { fault, change, .. } = &line.event
            && change.is_empty()
            && note.level == Level::Row
            && !hits.insert((note.actor.clone(), fault))
        {
            note.level = Level::Minor;
        }
        notes.push(note);
    }
    notes
}

fn note(reading: &Reading<'_>, index: usize) -> Note {
    let line = &reading.lines[index];
    match &line.event {
        Event::Sent { .. }
        | Event::Arrived { .. }
        | Event::Answered { .. }
        | Event::Received { .. }
        | Event::Lost { .. } => message(reading, index),
        Event::FaultHit { fault, change, .. } => fault_hit(reading, index, fault, change),
        Event::Disk(work) => {
            let epoch = reading.disk_epochs.get(&index).copied();
            Note { epoch, ..super::disk::note(line, work) }
        }
        Event::Watched { message, kind, .. } if kind == "ERROR" => {
            let blame = reading.journeys.get(message).map(|journey| journey.blame(index));
            let text = format!("its watch ends with an error{}", blame.unwrap_or_default());
            Note::new(line, Level::Row, Tone::Refused, "line", text)
        }
        Event::Watched { kind, object, .. } => watched(reading, index, kind, object),
        Event::LogWrite(write) => log_write(reading, index, write),
        Event::ObjectWrite(write) => object_write(reading, index, write),
        Event::Guard { until_ns } => guard(reading, index, *until_ns),
        Event::Run(head) => {
            let names = head.replicas.join(", ");
            let text = format!("the run begins: seed {}, replicas {names}", head.seed);
            Note::new(line, Level::Row, Tone::Plain, "line", text)
        }
        _ => aftermath(line).unwrap_or_else(|| life(line)),
    }
}

fn life(line: &Line) -> Note {
    let row = |tone, text: String| Note::new(line, Level::Row, tone, "line", text);
    match &line.event {
        Event::Started => row(Tone::Plain, "starts".into()),
        Event::Killed { why } => row(Tone::Fault, format!("KILLED: {why}")),
        Event::Frozen => row(Tone::Fault, "FROZEN, its requests stay under way".into()),
        Event::Resumed => row(Tone::Fault, "goes on as if nothing had happened".into()),
        Event::Stopping => row(Tone::Plain, "is asked to stop".into()),
        Event::Exited { why, corrupt, bug } => {
            let halt = if *corrupt || *bug { "HALTS" } else { "ends" };
            row(Tone::Fault, format!("{halt}: {why}"))
        }
        Event::Clock { rate_ppm, mono_jump_ns, wall_jump_ms } => {
            let mono_ms = mono_jump_ns / 1_000_000;
            let jumps = *mono_jump_ns != 0 || *wall_jump_ms != 0;
            let changes = [
                (*mono_jump_ns != 0).then(|| format!("jumps by {mono_ms:+} ms")),
                (*wall_jump_ms != 0).then(|| format!("its wall clock by {wall_jump_ms:+} ms")),
                (!jumps || *rate_ppm != 0).then(|| format!("goes {rate_ppm:+} ppm off")),
            ];
            let changes: Vec<String> = changes.into_iter().flatten().collect();
            row(Tone::Fault, format!("its clock {}", changes.join(", ")))
        }
        Event::FaultBegan { fault, detail } => {
            row(Tone::Fault, format!("fault {fault}: {}", told(detail)))
        }
        Event::FaultEnded { fault } => row(Tone::Fault, format!("fault {fault} ends")),
        Event::Healed => row(Tone::Plain, "from here on nothing is broken any more".into()),
        Event::User { what } => row(Tone::User, told(what)),
        Event::Probe { probe } => {
            let text = format!("seen: {probe}");
            Note::new(line, Level::Row, Tone::Plain, "probe", text)
        }
        Event::Note { text } => row(Tone::Plain, text.clone()),
        _ => row(Tone::Plain, "the run ends".into()),
    }
}

/// Lines that are written when the run is over.
fn aftermath(line: &Line) -> Option<Note> {
    let new = |level, tone, sort, text| Some(Note::new(line, level, tone, sort, text));
    match &line.event {
        Event::LogAtEnd(object) => {
            let text = format!("at the end: {}, {} bytes", object.key, object.text.len());
            new(Level::Noise, Tone::Plain, "final record", text)
        }
        Event::Right { right, uses } => {
            let text = format!("right {right}: used {uses} times");
            new(Level::Noise, Tone::Plain, "right", text)
        }
        Event::RightRefused { what, times } => new(
            Level::Row,
            Tone::Refused,
            "line",
            format!("refused by the roles: {what}, {times}×"),
        ),
        Event::Replayed { fault, decisions } if fault.is_empty() => {
            let text = format!("the log is verified: {decisions} decisions derived again");
            new(Level::Row, Tone::Plain, "line", text)
        }
        Event::Replayed { fault, .. } => {
            new(Level::Row, Tone::Fault, "line", format!("the log does not verify: {fault}"))
        }
        Event::Torn { bytes } => {
            let text = format!("{bytes} bytes are left of the log's last line");
            new(Level::Row, Tone::Fault, "line", text)
        }
        Event::Tampered { how, detected: true } => {
            new(Level::Minor, Tone::Plain, "manipulation", format!("manipulation seen: {how}"))
        }
        Event::Tampered { how, .. } => {
            new(Level::Row, Tone::Fault, "line", format!("manipulation NOT seen: {how}"))
        }
        _ => None,
    }
}

/// What a routine message is one of.
fn sort_of(journey: &Journey<'_>) -> &'static str {
    match () {
        () if journey.is_about_lease() && journey.is_read() => "lease read",
        () if journey.is_about_lease() => "renewal",
        () if journey.target.contains("/events") && journey.method == "POST" => "remark",
        () if journey.is_read() => "read",
        () => "message",
    }
}

fn message(reading: &Reading<'_>, index: usize) -> Note {
    let line = &reading.lines[index];
    let unknown = Journey::default();
    let journey = reading.journey(index).unwrap_or(&unknown);
    let what = journey.what();
    let troubled = journey.is_troubled();
    let left_ns = journey.sent.map_or(line.t_ns, |sent| reading.lines[sent].t_ns);
    let after = span(line.t_ns.saturating_sub(left_ns));
    let late = journey.late.contains(&index);
    let blame = journey.blame(index);
    let text = match &line.event {
        Event::Sent { .. } => sent_text(reading, journey, &what),
        Event::Arrived { .. } if late => {
            let why = journey.meanwhile.last().map_or("", |absence| {
                match reading.lines[*absence].event {
                    Event::Frozen => "; sender frozen",
                    _ => "; sender dead",
                }
            });
            format!("LATE {what} arrives, {after} after it left{why}{blame}")
        }
        Event::Arrived { .. } => format!("{what} reaches {}", line.node),
        Event::Answered { status, .. } => {
            format!("{what}: {} answers {status}{blame}", line.node)
        }
        Event::Received { status: 0, .. } => {
            format!("{what}: connection broken, unknown whether it was done{blame}")
        }
        Event::Received { status, .. } => format!("{what}: hears {status} after {after}{blame}"),
        Event::Lost { leg: Leg::Request, .. } => format!("{what} is LOST on its way{blame}"),
        _ => format!("the answer to {what} is LOST{blame}"),
    };
    let routine = journey.is_about_lease() || journey.is_read() || sort_of(journey) == "remark";
    let changes_holder = journey.effects.iter().any(|effect| reading.holders.contains_key(effect));
    let duel = journey.is_about_lease() && journey.status == Some(409) && journey.faults.is_empty();
    let level = match &line.event {
        Event::Lost { .. } => Level::Row,
        Event::Arrived { .. } if late => Level::Row,
        Event::Received { .. } if troubled && !duel => Level::Row,
        Event::Sent { .. } if !journey.late.is_empty() || journey.lost.is_some() => Level::Row,
        _ if routine && !troubled && !changes_holder => Level::Noise,
        _ => Level::Minor,
    };
    let tone = match &line.event {
        Event::Lost { .. } => Tone::Odd,
        Event::Arrived { .. } | Event::Sent { .. } if !journey.late.is_empty() => Tone::Odd,
        Event::Received { status, .. } | Event::Answered { status, .. }
            if *status == 0 || *status >= 400 =>
        {
            Tone::Refused
        }
        _ => Tone::Plain,
    };
    let actor = if journey.from.is_empty() { line.node.clone() } else { journey.from.to_owned() };
    let epoch = journey.effects.first().and_then(|effect| epoch_of(reading, *effect));
    Note { actor, epoch, ..Note::new(line, level, tone, sort_of(journey), text) }
}

/// What met a fault; the line of what came of it tells more, if that is a row.
fn fault_hit(reading: &Reading<'_>, index: usize, fault: &str, change: &str) -> Note {
    let line = &reading.lines[index];
    let unknown = Journey::default();
    let journey = reading.journey(index).unwrap_or(&unknown);
    let (what, telling) = match change {
        "" => (journey.what(), !journey.is_troubled()),
        _ => (change.to_owned(), change.contains(" Agent/") || change.contains(" Session/")),
    };
    let level = if telling { Level::Row } else { Level::Minor };
    let text = format!("{what} meets the fault {fault}");
    let actor = if journey.from.is_empty() { &line.node } else { journey.from };
    Note { actor: actor.to_owned(), ..Note::new(line, level, Tone::Odd, "fault hit", text) }
}

fn sent_text(reading: &Reading<'_>, journey: &Journey<'_>, what: &str) -> String {
    let left_ns = journey.sent.map_or(0, |sent| reading.lines[sent].t_ns);
    match (journey.lost, journey.late.last(), journey.status) {
        (Some(_), ..) | (None, None, None) => format!("sends {what}"),
        (None, Some(late), _) => {
            let under_way = span(reading.lines[*late].t_ns.saturating_sub(left_ns));
            format!("sends {what}, under way for {under_way}")
        }
        (None, None, Some(status)) => format!("{what} → {status}"),
    }
}

/// The epoch that a write belongs to.
fn epoch_of(reading: &Reading<'_>, index: usize) -> Option<u64> {
    match &reading.lines[index].event {
        Event::LogWrite(_) => reading.log.entries.get(&index)?.epoch,
        Event::ObjectWrite(write) => {
            reading.log.epoch_of_stamp(write.stamp.as_deref()?.parse().ok()?)
        }
        _ => None,
    }
}

fn watched(reading: &Reading<'_>, index: usize, kind: &str, object: &str) -> Note {
    let line = &reading.lines[index];
    let new = |level, tone, sort, text| Note::new(line, level, tone, sort, text);
    match kind {
        "BOOKMARK" => new(Level::Noise, Tone::Plain, "bookmark", "bookmark".into()),
        _ if object.starts_with("Lease/") => {
            let text = format!("sees the Lease {kind}");
            new(Level::Noise, Tone::Lease, "lease read", text)
        }
        _ if object.starts_with("Agent/") || object.starts_with("Session/") => {
            new(Level::Minor, Tone::Plain, "watch event", format!("sees {object} {kind}"))
        }
        _ => new(Level::Noise, Tone::Plain, "watch event", format!("sees {object} {kind}")),
    }
}

/// Method and place of the request behind a write, or else what is known without it.
fn asked(reading: &Reading<'_>, index: usize, otherwise: &str) -> String {
    match reading.journey(index) {
        Some(journey) if journey.sent.is_some() => journey.what(),
        _ => otherwise.to_owned(),
    }
}

fn log_write(reading: &Reading<'_>, index: usize, write: &LogWrite) -> Note {
    let line = &reading.lines[index];
    let sender = reading.journey(index).map(|journey| journey.from).filter(|from| !from.is_empty());
    let owner = reading.owners.get(line.node.as_str()).copied();
    let actor = sender.or(owner).unwrap_or(&line.node).to_owned();
    let empty = super::log::Entry::default();
    let entry = reading.log.entries.get(&index).unwrap_or(&empty);
    let asked = asked(reading, index, &format!("PUT {}", write.key));
    let reigning = reading.log.epoch_at(index);
    let zombie = entry.epoch.is_some() && entry.epoch < reigning;
    let mut text = match owner {
        Some(_) => format!("{} is durable", write.key),
        None => format!("{asked} → {}", write.status),
    };
    if !write.took_effect() {
        text += if zombie { " (zombie)" } else { "" };
        if let (412, Some(held)) = (write.status, reading.log.accepted.get(&write.key)) {
            let held = reading.log.entries.get(held).and_then(|entry| entry.epoch);
            text += &held.map_or(String::new(), |held| format!(": epoch {held} holds the key"));
        }
    } else if entry.starts_epoch() {
        let epoch = entry.epoch.unwrap_or_default();
        text += &format!(": EPOCH {epoch} begins");
    } else {
        text += &format!(": {}", entry.summary());
        text += if zombie { " (ZOMBIE)" } else { "" };
    }
    let tone = if write.took_effect() { Tone::Effect } else { Tone::Refused };
    Note { actor, epoch: entry.epoch, ..Note::new(line, Level::Row, tone, "append", text) }
}

fn object_write(reading: &Reading<'_>, index: usize, write: &ObjectWrite) -> Note {
    let line = &reading.lines[index];
    let sender = reading.journey(index).map(|journey| journey.from).filter(|from| !from.is_empty());
    // A request may set off writes of the cluster's own controllers, too.
    let by_operator = match reading.operator {
        "" => sender.is_some(),
        operator => write.user == operator,
    };
    let actor = sender.filter(|_| by_operator).unwrap_or(&write.user).to_owned();
    if write.object.starts_with("Lease/") {
        return Note { actor, ..lease_write(reading, index, write) };
    }
    let status = if write.subresource.is_empty() { "" } else { " status" };
    let verb = write.verb.to_uppercase();
    let mut text = format!("{verb} {}{status} → {}", write.object, write.status);
    match (&write.stamp, reading.stale.get(&index)) {
        (Some(stamp), Some(newest)) => {
            let sign = if write.took_effect() { "ZOMBIE" } else { "zombie" };
            text += &format!(" ({sign}): stamp {stamp}, newest is {newest}");
        }
        (Some(stamp), None) => text += &format!(": stamp {stamp}"),
        (None, _) if write.removed => text += ": gone",
        (None, _) => {}
    }
    let system = write.user.starts_with("system:") && !by_operator;
    let (level, sort) = match () {
        () if reading.stale.contains_key(&index) => (Level::Row, "write"),
        () if system => (Level::Noise, "controller write"),
        () if write.object.starts_with("Event/") => (Level::Noise, "remark"),
        () if write.took_effect() && (!status.is_empty() || !write.changed) => {
            (Level::Minor, "write")
        }
        () => (Level::Row, "write"),
    };
    let tone = match () {
        () if !write.took_effect() => Tone::Refused,
        () if !by_operator => Tone::User,
        () if reading.stale.contains_key(&index) => Tone::Odd,
        () => Tone::Effect,
    };
    let epoch = epoch_of(reading, index);
    Note { actor, epoch, ..Note::new(line, level, tone, sort, text) }
}

fn lease_write(reading: &Reading<'_>, index: usize, write: &ObjectWrite) -> Note {
    let line = &reading.lines[index];
    let (level, text) = match reading.holders.get(&index) {
        Some(change) => {
            let before = change.before.as_deref();
            let text = match (&change.node, before) {
                (Some(node), Some(before)) => {
                    format!("TAKES the Lease from {before}{}", for_whom(reading, index, node))
                }
                (Some(node), None) => {
                    format!("TAKES the Lease{}", for_whom(reading, index, node))
                }
                (None, Some(before)) => format!("the Lease of {before} is given up"),
                (None, None) => "nobody holds the Lease".into(),
            };
            (Level::Row, text)
        }
        None if write.took_effect() => (Level::Noise, "the Lease is renewed".into()),
        None => (Level::Minor, format!("write of the Lease → {}", write.status)),
    };
    Note::new(line, level, Tone::Lease, "renewal", text)
}

/// Whom a write of the Lease names, if not its writer.
fn for_whom(reading: &Reading<'_>, index: usize, node: &str) -> String {
    match reading.journey(index) {
        Some(journey) if journey.from == node => String::new(),
        _ => format!(" for {node}"),
    }
}

fn guard(reading: &Reading<'_>, index: usize, until_ns: Option<u64>) -> Note {
    let line = &reading.lines[index];
    let until = until_ns.map(seconds).unwrap_or_default();
    let (level, text) = match reading.beliefs.get(&index) {
        Some(Belief::Begins) => {
            (Level::Row, format!("believes that it LEADS, until {until} s at least"))
        }
        Some(Belief::Ends) => (Level::Row, "no longer believes that it leads".into()),
        Some(Belief::Over) => (Level::Minor, "closes its guard, whose time was over".into()),
        _ => (Level::Noise, format!("believes that it leads until {until} s")),
    };
    Note::new(line, level, Tone::Lease, "renewal", text)
}
