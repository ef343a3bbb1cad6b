//! A run as columns of text: one line an event, one column a node, time downward.
//!
//! Routine (renewals, bookmarks, reads, the steps of a message that went well) is counted instead
//! of shown; the last line says how much that was, so nothing disappears silently.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Highlight;
use super::lane::Role;
use super::note::{Level, Note, Tone};
use super::reading::Reading;
use super::words::{count, meaning, seconds, span};
use crate::event::{Event, Line};

/// How the columns are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether to use ANSI colours; a caller that sees `NO_COLOR` says no.
    pub color: bool,
    /// Columns of the terminal; longer texts are cut. At least 60 are used.
    pub width: usize,
    /// Whether to show only what led to the highlights.
    pub past_only: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { color: false, width: 100, past_only: false }
    }
}

const WIDTH_MIN: usize = 60;
/// A stretch without a shown line that is at least this long gets a line that says so.
const GAP_NS: u64 = 2_000_000_000;
const SIGNS: &str = "┃ believes that it leads  ░ frozen  ◆ lease  ▲ fault  ● done  ○ refused  \
                     ! late or lost";
const RED: &str = "1;31";
const FAINT: &str = "2";
/// Colours of replicas that stay apart for colour-blind people, on dark and on light.
const REPLICAS: [&str; 5] = ["38;5;33", "38;5;172", "38;5;36", "38;5;170", "38;5;103"];

/// Prints a run.
#[must_use]
pub fn terminal(lines: &[Line], highlights: &[Highlight], options: Options) -> String {
    let reading = Reading::of(lines);
    let mut found: BTreeMap<usize, Vec<&Highlight>> = BTreeMap::new();
    for highlight in highlights {
        if let Some(last) = highlight.lines.iter().rfind(|line| **line < lines.len()) {
            found.entry(*last).or_default().push(highlight);
        }
    }
    let marked: BTreeSet<usize> =
        highlights.iter().flat_map(|highlight| &highlight.lines).copied().collect();
    let past = options.past_only.then(|| {
        let finder = super::cause::Past::of(&reading);
        let places = highlights.iter().map(|highlight| finder.before(&highlight.lines));
        places.flatten().collect::<BTreeSet<usize>>()
    });
    let mut page = Page::new(&reading, options);
    page.head();
    for index in 0..lines.len() {
        let shown = marked.contains(&index)
            || reading.notes[index].level == Level::Row
                && past.as_ref().is_none_or(|past| past.contains(&index));
        page.follow(index);
        if shown {
            page.row(index, marked.contains(&index));
        } else {
            page.fold(index);
        }
        for highlight in found.get(&index).into_iter().flatten() {
            page.violation(highlight);
        }
    }
    for highlight in highlights.iter().filter(|h| h.lines.iter().all(|l| *l >= lines.len())) {
        page.violation(highlight);
    }
    page.foot();
    page.out
}

/// What a replica is doing, for the sign in its column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Down,
    Follows,
    Leads,
    Frozen,
}

struct Page<'r, 'a> {
    reading: &'r Reading<'a>,
    options: Options,
    states: Vec<State>,
    beliefs_end_ns: Vec<u64>,
    folded: BTreeMap<&'static str, usize>,
    folded_since_row: BTreeMap<&'static str, usize>,
    shown: usize,
    last_ns: u64,
    out: String,
}

impl<'r, 'a> Page<'r, 'a> {
    fn new(reading: &'r Reading<'a>, options: Options) -> Self {
        let started = reading.lines.iter().any(|line| line.event == Event::Started);
        let state = if started { State::Down } else { State::Follows };
        Self {
            reading,
            options: Options { width: options.width.max(WIDTH_MIN), ..options },
            states: vec![state; reading.lanes.len()],
            beliefs_end_ns: vec![0; reading.lanes.len()],
            folded: BTreeMap::new(),
            folded_since_row: BTreeMap::new(),
            shown: 0,
            last_ns: 0,
            out: String::new(),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.options.color && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn lane_color(&self, lane: usize) -> &'static str {
        let replicas = |lane: &super::lane::Lane| lane.role == Role::Replica;
        let nth = self.reading.lanes[..lane].iter().filter(|lane| replicas(lane)).count();
        match self.reading.lanes[lane].role {
            Role::Replica => REPLICAS[nth % REPLICAS.len()],
            Role::Nemesis => "1",
            _ => "0",
        }
    }

    /// Which columns there are, and which sign means what.
    fn head(&mut self) {
        for (lane, column) in self.reading.lanes.iter().enumerate() {
            let stems = self.paint(FAINT, &"│".repeat(lane));
            let name = self.paint(self.lane_color(lane), &column.name);
            writeln!(self.out, "{:>10} {stems}┌ {name}", "").expect("a text takes every write");
        }
        let signs = self.paint(FAINT, &cut(SIGNS, self.options.width - 11));
        writeln!(self.out, "{:>10} {signs}", "").expect("a text takes every write");
    }

    /// What a line changes in the state of its replica.
    fn follow(&mut self, index: usize) {
        let line = &self.reading.lines[index];
        let lane = self.reading.lane(&line.node);
        for (state, end_ns) in self.states.iter_mut().zip(&self.beliefs_end_ns) {
            if *state == State::Leads && *end_ns <= line.t_ns {
                *state = State::Follows;
            }
        }
        if let Event::Guard { until_ns: Some(until_ns) } = &line.event {
            self.beliefs_end_ns[lane] = *until_ns;
        }
        let state = &mut self.states[lane];
        *state = match &line.event {
            Event::Killed { .. } | Event::Exited { .. } => State::Down,
            Event::Started | Event::Resumed => State::Follows,
            Event::Frozen => State::Frozen,
            Event::Guard { until_ns: Some(_) } => State::Leads,
            Event::Guard { until_ns: None } => State::Follows,
            _ => return,
        };
    }

    fn fold(&mut self, index: usize) {
        let sort = self.reading.notes[index].sort;
        *self.folded.entry(sort).or_default() += 1;
        *self.folded_since_row.entry(sort).or_default() += 1;
    }

    fn row(&mut self, index: usize, marked: bool) {
        let line = &self.reading.lines[index];
        let note = &self.reading.notes[index];
        let quiet_ns = line.t_ns.saturating_sub(self.last_ns);
        if self.shown > 0 && quiet_ns >= GAP_NS {
            self.gap(quiet_ns);
        }
        self.folded_since_row.clear();
        self.last_ns = line.t_ns;
        self.shown += 1;
        let at = self.reading.lane(&line.node);
        let mut grid = String::new();
        for lane in 0..self.reading.lanes.len() {
            let (sign, code) = if lane == at {
                (sign(note, marked), if marked { RED } else { self.lane_color(lane) })
            } else {
                self.stem(lane)
            };
            grid += &self.paint(code, sign);
        }
        let actor = format!("{:<9}", note.actor);
        let lane = self.reading.lanes.iter().position(|lane| lane.name == note.actor);
        let room = self.options.width.saturating_sub(13 + self.reading.lanes.len() + 10);
        let text = cut(&note.text, room);
        let actor = self.paint(lane.map_or("0", |lane| self.lane_color(lane)), &cut(&actor, 24));
        let text = if marked { self.paint(RED, &text) } else { text };
        let text = if note.tone == Tone::Fault { self.paint("1", &text) } else { text };
        let time = seconds(line.t_ns);
        writeln!(self.out, "{time:>10} {grid} {actor} {text}").expect("a text takes every write");
    }

    /// The sign of a column in which nothing happens.
    fn stem(&self, lane: usize) -> (&'static str, &'static str) {
        if self.reading.lanes[lane].role != Role::Replica {
            return ("·", FAINT);
        }
        match self.states[lane] {
            State::Down => (" ", FAINT),
            State::Follows => ("│", FAINT),
            State::Leads => ("┃", self.lane_color(lane)),
            State::Frozen => ("░", self.lane_color(lane)),
        }
    }

    fn gap(&mut self, quiet_ns: u64) {
        let what = counted(&self.folded_since_row);
        let what = if what.is_empty() { "nothing".to_owned() } else { what };
        let text = format!("{:>10} … {}: {what} …", "", span(quiet_ns));
        let text = self.paint(FAINT, &cut(&text, self.options.width));
        writeln!(self.out, "{text}").expect("a text takes every write");
    }

    fn violation(&mut self, highlight: &Highlight) {
        let meaning = meaning(&highlight.invariant);
        let texts = [
            format!("✗ {} is violated. {meaning}", highlight.invariant),
            format!("  {}", highlight.text),
        ];
        for text in texts {
            for part in wrap(text.trim_end(), self.options.width.saturating_sub(11)) {
                let part = self.paint(RED, &part);
                writeln!(self.out, "{:>10} {part}", "").expect("a text takes every write");
            }
        }
    }

    fn foot(&mut self) {
        let folded: usize = self.folded.values().sum();
        let what = counted(&self.folded);
        let what = if what.is_empty() { what } else { format!(": {what}") };
        let all = count(self.reading.lines.len(), "event");
        let text = format!("{all}: {} shown, {folded} only counted{what}", self.shown);
        for part in wrap(&text, self.options.width) {
            let part = self.paint(FAINT, &part);
            writeln!(self.out, "{part}").expect("a text takes every write");
        }
    }
}

fn counted(folded: &BTreeMap<&'static str, usize>) -> String {
    let parts: Vec<String> = folded.iter().map(|(sort, number)| count(*number, sort)).collect();
    parts.join(", ")
}

fn sign(note: &Note, marked: bool) -> &'static str {
    match note.tone {
        _ if marked => "✗",
        Tone::Effect => "●",
        Tone::Refused => "○",
        Tone::Odd => "!",
        Tone::Lease => "◆",
        Tone::Fault => "▲",
        Tone::User | Tone::Plain => "•",
    }
}

/// The text on one line, without characters that a terminal obeys, and cut to a width.
fn cut(text: &str, width: usize) -> String {
    let plain = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let plain: Vec<char> = plain.collect();
    if plain.len() <= width {
        return plain.into_iter().collect();
    }
    plain.into_iter().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let indent = text.chars().take_while(|c| *c == ' ').count();
    let mut parts = Vec::new();
    let mut part = " ".repeat(indent);
    for word in text.split_whitespace() {
        let word = cut(word, width);
        let begun = part.chars().any(|c| c != ' ');
        if begun && part.chars().count() + 1 + word.chars().count() > width {
            parts.push(std::mem::replace(&mut part, " ".repeat(indent)));
        } else if begun {
            part.push(' ');
        }
        part += &word;
    }
    parts.push(part);
    parts
}
