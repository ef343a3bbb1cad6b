//! A run as one HTML file: lanes, arrows, bars, and the causal past of what is wrong.
//!
//! Everything that needs thinking is computed here; the page's scripts only place and paint it.
//! The file needs no network: styles and scripts are inside, and its own policy forbids the rest.

use serde::Serialize;

use super::Highlight;
use super::arrow::{Arrow, arrows};
use super::bar::{Bar, bars};
use super::cause::Past;
use super::lane::Lane;
use super::note::{Level, Tone};
use super::reading::Reading;
use super::words::meaning;
use crate::event::Line;
use crate::verdict::{Report, Verdict};

const PAGE: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/style.css");
const SCRIPTS: [&str; 4] = [
    include_str!("assets/layout.js"),
    include_str!("assets/paint.js"),
    include_str!("assets/panel.js"),
    include_str!("assets/view.js"),
];

/// What stands above a diagram.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heading<'a> {
    /// What this run is, in a few words.
    pub title: &'a str,
    /// The command that reproduces it.
    pub command: Option<&'a str>,
    /// All verdicts.
    pub report: Option<&'a Report>,
}

#[derive(Serialize)]
struct Page<'a> {
    lanes: &'a [Lane],
    events: Vec<Mark<'a>>,
    arrows: Vec<Arrow>,
    bars: Vec<Bar>,
    findings: Vec<Found<'a>>,
    verdicts: Vec<Chip>,
    command: Option<&'a str>,
}

/// One event of the page.
#[derive(Serialize)]
struct Mark<'a> {
    lane: usize,
    level: u8,
    tone: Tone,
    actor: &'a str,
    text: &'a str,
    sort: &'a str,
    epoch: Option<u64>,
    /// Beside its sign, where the column alone does not say what it is about.
    label: Option<String>,
    /// Faults that met its message.
    faults: Vec<&'a str>,
    line: &'a Line,
}

#[derive(Serialize)]
struct Found<'a> {
    invariant: &'a str,
    meaning: &'a str,
    place: &'a str,
    expected: &'a str,
    found: &'a str,
    lines: Vec<usize>,
    against: Vec<usize>,
    past: Vec<usize>,
}

/// The verdict on one invariant.
#[derive(Serialize)]
struct Chip {
    invariant: String,
    meaning: &'static str,
    verdict: &'static str,
    text: String,
}

/// Draws a run as one HTML file.
#[must_use]
pub fn timeline_html(lines: &[Line], highlights: &[Highlight], heading: &Heading<'_>) -> String {
    let reading = Reading::of(lines);
    let past = Past::of(&reading);
    let page = Page {
        lanes: &reading.lanes,
        events: marks(&reading),
        arrows: arrows(&reading),
        bars: bars(&reading),
        findings: highlights.iter().map(|highlight| found(highlight, &past, lines)).collect(),
        verdicts: heading.report.map(chips).unwrap_or_default(),
        command: heading.command,
    };
    let data = serde_json::to_string(&page).expect("texts, numbers and lists always serialise");
    let slots = [
        ("{{title}}", escape_html(heading.title)),
        ("{{style}}", STYLE.to_owned()),
        ("{{data}}", escape_script(&data)),
        ("{{scripts}}", SCRIPTS.join("\n")),
    ];
    fill(PAGE, &slots)
}

fn marks<'r>(reading: &'r Reading<'_>) -> Vec<Mark<'r>> {
    let pairs = reading.lines.iter().zip(&reading.notes).enumerate();
    let marks = pairs.map(|(index, (line, note))| Mark {
        label: super::label::of(reading, index),
        faults: faults(reading, index),
        lane: reading.lane(&line.node),
        level: match note.level {
            Level::Noise => 0,
            Level::Minor => 1,
            Level::Row => 2,
        },
        tone: note.tone,
        actor: &note.actor,
        text: &note.text,
        sort: note.sort,
        epoch: note.epoch,
        line,
    });
    marks.collect()
}

fn faults<'r>(reading: &'r Reading<'_>, index: usize) -> Vec<&'r str> {
    let journey = reading.journey(index).into_iter();
    let mut names: Vec<&str> =
        journey.flat_map(|journey| &journey.faults).map(|(_, name)| *name).collect();
    names.dedup();
    names
}

fn found<'h>(highlight: &'h Highlight, past: &Past<'_, '_>, lines: &[Line]) -> Found<'h> {
    let text = highlight.text.as_str();
    let (place, rest) = text.split_once(": expected ").unwrap_or(("", text));
    let (expected, found) = match rest.rsplit_once(", found ") {
        Some(parts) if !place.is_empty() => parts,
        _ => ("", text),
    };
    Found {
        invariant: &highlight.invariant,
        meaning: meaning(&highlight.invariant),
        place: if expected.is_empty() { "" } else { place },
        expected,
        found,
        lines: highlight.lines.iter().copied().filter(|line| *line < lines.len()).collect(),
        against: against(highlight, past),
        past: past.before(&highlight.lines).into_iter().collect(),
    }
}

/// What the last line of a finding stands against: its other lines, or the write before it.
fn against(highlight: &Highlight, past: &Past<'_, '_>) -> Vec<usize> {
    let known = highlight.lines.iter().copied().filter(|line| past.knows(*line));
    let mut others: Vec<usize> = known.collect();
    let Some(last) = others.pop() else { return Vec::new() };
    if others.is_empty() { past.against(last).into_iter().collect() } else { others }
}

fn chips(report: &Report) -> Vec<Chip> {
    let chips = report.verdicts.iter().map(|(invariant, verdict)| {
        let (verdict, text) = match verdict {
            Verdict::Pass { checked } => ("pass", format!("holds, {checked} facts checked")),
            Verdict::Unknown { why } => ("unknown", format!("unknown: {why}")),
            Verdict::Fail { findings } => {
                ("fail", format!("violated, {} findings", findings.len()))
            }
            Verdict::Excused { fault, findings } => {
                ("excused", format!("excused by {fault}, {} findings", findings.len()))
            }
        };
        let invariant = invariant.to_string();
        Chip { meaning: meaning(&invariant), invariant, verdict, text }
    });
    chips.collect()
}

/// Puts texts into the slots of the page, in one pass: a text that looks like a slot stays a text.
fn fill(page: &str, slots: &[(&str, String)]) -> String {
    let mut out = String::new();
    let mut rest = page;
    loop {
        let next = slots.iter().filter_map(|(slot, text)| Some((rest.find(slot)?, slot, text)));
        let Some((at, slot, text)) = next.min_by_key(|(at, ..)| *at) else { break };
        out += &rest[..at];
        out += text;
        rest = &rest[at + slot.len()..];
    }
    out + rest
}

/// JSON that no HTML parser takes for markup, inside a script element.
fn escape_script(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => out += "\\u003c",
            '>' => out += "\\u003e",
            '&' => out += "\\u0026",
            '\u{2028}' => out += "\\u2028",
            '\u{2029}' => out += "\\u2029",
            _ => out.push(c),
        }
    }
    out
}

fn escape_html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            _ => out.push(c),
        }
    }
    out
}
