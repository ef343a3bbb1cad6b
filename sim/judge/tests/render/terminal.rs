//! The terminal's columns: what a person reads, and that nothing disappears silently.

use rynxs_judge::event::{Event, Line, node};
use rynxs_judge::render::{Highlight, Options, terminal};

use crate::story::{Late, file_log, frozen_leader, long_run, troubled};

const WIDE: Options = Options { color: false, width: 130, past_only: false };

/// Compares with a committed text; a wanted change is copied from where the message says.
fn matches_golden(name: &str, golden: &str, text: &str) {
    let place = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&place, text).expect("cargo made the folder");
    let differs = text.lines().zip(golden.lines()).position(|(now, then)| now != then);
    assert!(text == golden, "{name} differs from line {differs:?} on; it is now as in {place}");
}

fn without_colors(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').expect("a colour ends in m").1)
}

#[test]
fn a_zombie_reads_as_a_story() {
    let (lines, highlights) = frozen_leader(Late::Accepted);
    let text = terminal(&lines, &highlights, WIDE);
    matches_golden("frozen_leader.txt", include_str!("frozen_leader.txt"), &text);
}

#[test]
fn the_past_alone_is_shorter_and_ends_in_the_violation() {
    let (lines, highlights) = frozen_leader(Late::Accepted);
    let all = terminal(&lines, &highlights, WIDE);
    let past = terminal(&lines, &highlights, Options { past_only: true, ..WIDE });
    assert!(past.lines().count() < all.lines().count());
    assert!(past.contains("✗ I4 fenced is violated."));
    assert!(past.contains("FROZEN"));
    assert!(!past.contains("the run ends"));
}

#[test]
fn what_is_not_shown_is_counted() {
    let lines = long_run(3_000);
    let text = terminal(&lines, &[], WIDE);
    let foot = text.lines().rev().find(|line| line.contains("only counted")).expect("a last line");
    let numbers: Vec<usize> = foot
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    let [all, shown, folded, ..] = numbers[..] else { panic!("no three numbers in {foot}") };
    assert_eq!(all, lines.len());
    assert_eq!(shown + folded, all);
    let rows = text
        .lines()
        .filter(|line| line.get(..10).is_some_and(|time| time.trim().parse::<f64>().is_ok()));
    assert_eq!(rows.count(), shown);
}

#[test]
fn colors_only_color() {
    let (lines, highlights) = frozen_leader(Late::Accepted);
    let plain = terminal(&lines, &highlights, WIDE);
    let colored = terminal(&lines, &highlights, Options { color: true, ..WIDE });
    assert!(!plain.contains('\u{1b}'));
    assert!(colored.contains('\u{1b}'));
    assert_eq!(without_colors(&colored), plain);
}

#[test]
fn lines_fit_the_terminal() {
    let (lines, highlights) = frozen_leader(Late::Accepted);
    for width in [60, 80, 130] {
        let text = terminal(&lines, &highlights, Options { width, ..WIDE });
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn a_text_cannot_speak_to_the_terminal() {
    let event = Event::Note { text: "\u{1b}[2Jgone\nnext".into() };
    let lines = [Line { t_ns: 0, node: node::RUN.into(), event }];
    let highlight = Highlight { invariant: "\u{1b}c".into(), lines: vec![0], text: "\u{7}".into() };
    let text = terminal(&lines, &[highlight], WIDE);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}

#[test]
fn a_step_that_is_data_is_told_in_words() {
    let what =
        r#"{"do":"apply_agent","agent":{"suspended":false,"value":2,"manages":[]},"name":"a"}"#;
    let lines =
        [Line { t_ns: 0, node: node::USERS.into(), event: Event::User { what: what.into() } }];
    let text = terminal(&lines, &[], WIDE);
    assert!(text.contains("apply agent: name a, agent: value 2"), "{text}");
}

#[test]
fn only_the_first_of_equal_probes_is_a_row() {
    let probe = |t_ns| Line {
        t_ns,
        node: node::RUN.into(),
        event: Event::Probe { probe: "own write recognised".into() },
    };
    let text = terminal(&[probe(1), probe(2), probe(3)], &[], WIDE);
    assert!(text.contains("3 events: 1 shown, 2 only counted: 2 probes"), "{text}");
}

#[test]
fn a_row_names_the_fault_that_met_its_request() {
    let text = terminal(&troubled(), &[], WIDE);
    for told in [
        "PUT events/0000000004.json: hears 503 after 3 ms; fault s3-slow-down",
        "hears 500 after 3 ms; fault api-fails-after",
        "is LOST on its way; fault lose",
    ] {
        assert!(text.contains(told), "{told} is not in\n{text}");
    }
}

#[test]
fn a_disk_tells_what_it_does_and_what_befalls_it() {
    let text = terminal(&file_log(), &[], WIDE);
    for told in [
        "rynxs-0   0000000001.json is durable: AgentObserved + ActionsDecided",
        "rynxs-0   append to 0000000000.jsonl FAILS: no space left on device",
        "rynxs-0   cuts 100 bytes off 0000000000.jsonl",
        "rynxs-0   sync of 0000000000.jsonl, 400 new bytes FAILS: Input/output error",
        "disk-0    its power is gone: 388 bytes of 0000000000.jsonl are LOST; 12 bytes",
        "3 disk writes",
    ] {
        assert!(text.contains(told), "{told} is not in\n{text}");
    }
}
