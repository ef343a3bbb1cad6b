//! The page: what is in it, what it says about a violation, and that it is safe to open.
//!
//! Each page is also written below the target folder's `tmp/`, to be looked at.

use std::collections::BTreeSet;

use rynxs_judge::event::{Event, Line, node};
use rynxs_judge::render::{Heading, Highlight, timeline_html};
use rynxs_judge::{Finding, Invariant, Report, Verdict};
use serde_json::Value;

use crate::story::{Late, file_log, frozen_leader, long_run, troubled, two_leaders};

const INVARIANTS: [Invariant; 10] = [
    Invariant::I1Chain,
    Invariant::I2Durable,
    Invariant::I3Epoch,
    Invariant::I4Fenced,
    Invariant::I5Intent,
    Invariant::I6Replay,
    Invariant::I7OneLeader,
    Invariant::I8Converge,
    Invariant::I9LeastPrivilege,
    Invariant::I10Tamper,
];

fn report(broken: Option<Invariant>) -> Report {
    let verdicts = INVARIANTS.map(|invariant| match invariant {
        _ if Some(invariant) == broken => (invariant, Verdict::Fail { findings: Vec::new() }),
        _ => (invariant, Verdict::Pass { checked: 12 }),
    });
    Report { verdicts: verdicts.to_vec() }
}

/// Draws a run and keeps the page for people.
fn drawn(name: &str, title: &str, run: &(Vec<Line>, Vec<Highlight>)) -> String {
    let broken = run.1.first().map(|highlight| {
        let named = |invariant: &&Invariant| invariant.to_string() == highlight.invariant;
        *INVARIANTS.iter().find(named).expect("samples name invariants as they print")
    });
    let report = report(broken);
    let command = Some("rynxs-sim replay sim/regressions/frozen-leader.yaml --seed 4711");
    let page = timeline_html(&run.0, &run.1, &Heading { title, command, report: Some(&report) });
    let place = format!("{}/{name}.html", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(place, &page).expect("cargo made the folder");
    page
}

const TITLE: &str = "A frozen leader's writes arrive after the next leader's";

/// The data that a page's scripts read.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("type=\"application/json\">").expect("the data's element");
    let (data, _) = rest.split_once("</script>").expect("its end");
    serde_json::from_str(data).expect("the data is JSON")
}

fn indices(value: &Value) -> BTreeSet<usize> {
    let numbers = value.as_array().expect("a list").iter();
    numbers.map(|number| number.as_u64().expect("an index") as usize).collect()
}

fn position(lines: &[Line], is: impl Fn(&Line) -> bool) -> usize {
    lines.iter().position(is).expect("the sample has such a line")
}

#[test]
fn the_same_stream_gives_the_same_page() {
    let one = drawn("violation", TITLE, &frozen_leader(Late::Accepted));
    let two = drawn("violation", TITLE, &frozen_leader(Late::Accepted));
    assert!(one == two, "two pages of one stream differ");
    assert!(one != drawn("clean", TITLE, &frozen_leader(Late::Refused)));
}

#[test]
fn every_event_is_in_the_page_once_and_whole() {
    let run = (long_run(10_000), Vec::new());
    let data = data(&drawn("long", "A long run", &run));
    let events = data["events"].as_array().expect("a list");
    assert_eq!(events.len(), 10_000);
    for (event, line) in events.iter().zip(&run.0) {
        assert_eq!(event["line"], serde_json::to_value(line).expect("lines serialise"));
    }
}

#[test]
fn hostile_text_stays_text() {
    let hostile = "</script><b>{{data}}<!--\u{2028}";
    let (mut lines, _) = frozen_leader(Late::Refused);
    lines.push(Line {
        t_ns: 46_100_000_000,
        node: "api-<b>".into(),
        event: Event::Note { text: hostile.into() },
    });
    let highlight =
        Highlight { invariant: hostile.into(), lines: vec![lines.len() - 1], text: hostile.into() };
    let heading = Heading { title: hostile, command: Some(hostile), report: None };
    let page = timeline_html(&lines, &[highlight], &heading);
    assert!(!page.contains("<b>"));
    assert_eq!(page.matches("</script").count(), 2, "one for the data, one for the scripts");
    assert!(page.contains("<title>&lt;/script&gt;&lt;b&gt;{{data}}&lt;!--"));
    let data = data(&page);
    assert_eq!(data["events"][lines.len() - 1]["line"]["text"], hostile);
    assert_eq!(data["command"], hostile);
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = timeline_html(&[], &[], &Heading { title: "Nothing", ..Heading::default() });
    for outside in ["://", "src=", "href=", "@import", "url(", "fetch(", "import("] {
        assert!(!page.contains(outside), "the page has {outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_past_of_a_zombie_write_tells_the_whole_story() {
    let run = frozen_leader(Late::Accepted);
    let lines = &run.0;
    let data = data(&drawn("violation", TITLE, &run));
    let finding = &data["findings"][0];
    let past = indices(&finding["past"]);
    let writes = |stamp: &str, line: &Line| {
        matches!(&line.event, Event::ObjectWrite(write)
            if write.object.starts_with("Deployment/") && write.stamp.as_deref() == Some(stamp))
    };
    let record = |has: &str, line: &Line| {
        matches!(&line.event, Event::LogWrite(write)
            if write.key == has || write.text.contains(has))
    };
    let takes_lease = |line: &Line| {
        let Event::ObjectWrite(write) = &line.event else { return false };
        let holder = write.value.as_deref().and_then(|v| v.pointer("/spec/holderIdentity"));
        holder.and_then(Value::as_str).is_some_and(|holder| holder.starts_with("rynxs-1"))
    };
    let told = [
        ("the fault", position(lines, |line| matches!(line.event, Event::FaultBegan { .. }))),
        ("the freeze", position(lines, |line| line.event == Event::Frozen)),
        ("the newer write", position(lines, |line| writes("6", line))),
        ("the zombie's write", position(lines, |line| writes("4", line))),
        (
            "the new leader's belief",
            position(lines, |line| {
                line.node == "rynxs-1" && matches!(line.event, Event::Guard { until_ns: Some(_) })
            }),
        ),
        ("the Lease's new holder", position(lines, takes_lease)),
        (
            "the edit that the new leader saw",
            position(
                lines,
                |line| matches!(&line.event, Event::User { what } if what.contains("image v3")),
            ),
        ),
        ("the old decision", position(lines, |line| record("0000000004.json", line))),
        ("the new epoch", position(lines, |line| record("\"epoch\":5", line))),
    ];
    for (what, line) in told {
        assert!(past.contains(&line), "{what}, line {line}, is not in {past:?}");
    }
    assert!(past.len() <= 60, "{} lines are no story", past.len());
    assert!(past.iter().all(|line| *line <= run.1[0].lines[0]), "nothing later is a cause");
    assert_eq!(indices(&finding["against"]), BTreeSet::from([told[2].1]));
    assert_eq!(finding["expected"], "a stamp of at least 6");
    assert_eq!(finding["found"], "stamp 4");
}

#[test]
fn two_beliefs_at_a_time_stand_side_by_side() {
    let run = two_leaders();
    let data = data(&drawn("two-leaders", "Two replicas lead", &run));
    let bars = data["bars"].as_array().expect("a list");
    let place = |name: &str| {
        let lanes = data["lanes"].as_array().expect("a list");
        lanes.iter().position(|lane| lane["name"] == name).expect("each replica has a lane")
    };
    let beliefs = |name: &str| {
        let lane = place(name);
        bars.iter().filter(move |bar| bar["kind"] == "belief" && bar["lane"] == lane)
    };
    let begins = beliefs("rynxs-1").filter_map(|bar| bar["from"].as_u64()).min();
    let begins = begins.expect("the second leader believes") as usize;
    let closed = position(&run.0, |line| line.event == Event::Guard { until_ns: None });
    let ends: Vec<_> = beliefs("rynxs-0").filter_map(|bar| bar["to"].as_u64()).collect();
    assert!(begins < closed && ends.contains(&(closed as u64)), "{begins}, {closed}, {ends:?}");
    assert_eq!(indices(&data["findings"][0]["against"]).len(), 1);
}

#[test]
fn late_and_lost_messages_are_marked_and_no_others() {
    let (lines, _) = frozen_leader(Late::Refused);
    let late = |lines: &[Line]| {
        let data = data(&timeline_html(lines, &[], &Heading::default()));
        let arrows = data["arrows"].as_array().expect("a list").clone();
        let count = |kind: &str, mark: &str| {
            arrows.iter().filter(|arrow| arrow["kind"] == kind && arrow[mark] == true).count()
        };
        (count("request", "late"), count("request", "lost") + count("answer", "lost"))
    };
    assert_eq!(late(&lines), (2, 0));
    let lines = long_run(2_000);
    let lost = lines.iter().filter(|line| matches!(line.event, Event::Lost { .. })).count();
    assert!(lost > 10, "the sample loses only {lost} messages");
    assert_eq!(late(&lines), (0, lost));
}

#[test]
fn absences_last_from_the_freeze_to_the_resumption() {
    let (lines, _) = frozen_leader(Late::Refused);
    let data = data(&timeline_html(&lines, &[], &Heading::default()));
    let bars = data["bars"].as_array().expect("a list");
    let frozen: Vec<_> = bars.iter().filter(|bar| bar["kind"] == "frozen").collect();
    assert_eq!(frozen.len(), 1);
    let from = position(&lines, |line| line.event == Event::Frozen);
    let to = position(&lines, |line| line.event == Event::Resumed);
    assert_eq!(
        indices(&serde_json::json!([frozen[0]["from"], frozen[0]["to"]])),
        [from, to].into()
    );
    let fault = bars.iter().find(|bar| bar["kind"] == "fault").expect("a fault was on");
    assert_eq!(lines[fault["from"].as_u64().expect("an index") as usize].node, node::NEMESIS);
}

#[test]
fn a_finding_without_a_place_in_the_stream_is_still_said() {
    let highlight = Highlight {
        invariant: "I8 converge".into(),
        lines: vec![1_000_000],
        text: "no leader within the bound".into(),
    };
    let data = data(&timeline_html(&[], &[highlight], &Heading::default()));
    assert_eq!(data["findings"][0]["found"], "no leader within the bound");
    assert_eq!(data["findings"][0]["lines"], serde_json::json!([]));
}

#[test]
fn an_excused_violation_is_not_drawn_as_held() {
    let findings = vec![Finding::new("0000000007.json", "one writer", "two")];
    let excused = Verdict::Excused { fault: "s3-ignores-condition".into(), findings };
    let verdicts = vec![(Invariant::I1Chain, Verdict::Pass { checked: 3 })];
    let report = Report { verdicts: [verdicts, vec![(Invariant::I3Epoch, excused)]].concat() };
    let heading = Heading { title: "Excused", command: None, report: Some(&report) };
    let data = data(&timeline_html(&[], &[], &heading));
    assert_eq!(data["verdicts"][1]["verdict"], "excused");
    let text = data["verdicts"][1]["text"].as_str().expect("a text");
    assert!(text.contains("s3-ignores-condition"), "{text}");
}

#[test]
fn a_fault_that_never_ends_is_a_moment() {
    let began = |fault: &str| Event::FaultBegan { fault: fault.into(), detail: String::new() };
    let events =
        [began("crash"), began("freeze"), Event::FaultEnded { fault: "freeze".into() }, Event::End];
    let lines: Vec<Line> = (0..)
        .zip(events)
        .map(|(t_ns, event)| Line { t_ns, node: node::NEMESIS.into(), event })
        .collect();
    let data = data(&timeline_html(&lines, &[], &Heading::default()));
    let bars = data["bars"].as_array().expect("a list");
    assert_eq!(bars.len(), 1);
    assert_eq!(bars[0]["from"], 1);
    assert_eq!(bars[0]["to"], 2);
}

#[test]
fn a_disk_has_a_column_with_what_stands_at_stake() {
    let run = (file_log(), Vec::new());
    let data = data(&drawn("file-log", "A log in a file", &run));
    let lanes = data["lanes"].as_array().expect("a list");
    let lane = |name: &str| lanes.iter().position(|lane| lane["name"] == name);
    let disk = lane("disk-0").expect("the disk has a column");
    assert_eq!(lanes[disk]["role"], "disk");
    assert_eq!(lane("s3"), None, "nothing happened at an object store");
    let arrows = data["arrows"].as_array().expect("a list").iter();
    let to_disk: Vec<_> = arrows.filter(|arrow| arrow["kind"] == "disk").collect();
    assert_eq!(to_disk.len(), 8, "one for each thing that the replica asked for");
    for arrow in to_disk {
        assert_eq!(arrow["from"], arrow["to"]);
        assert_eq!((&arrow["from_lane"], &arrow["lane"]), (&lane("rynxs-0").into(), &disk.into()));
    }
    let bars = data["bars"].as_array().expect("a list").iter();
    let stakes: Vec<_> = bars.filter(|bar| bar["kind"] == "stake").collect();
    let ends: Vec<&Event> = stakes
        .iter()
        .map(|bar| &run.0[bar["to"].as_u64().expect("each of them ends") as usize].event)
        .collect();
    let operations: Vec<_> = ends
        .iter()
        .map(|event| serde_json::to_value(event).expect("events serialise")["operation"].clone())
        .collect();
    // What a failed sync leaves stays at stake until the power takes it.
    assert_eq!(operations, ["sync_data", "sync_data", "truncate", "lose_power"]);
}

#[test]
fn a_key_that_is_taken_is_shown_with_whoever_comes_too_late() {
    let (lines, _) = frozen_leader(Late::Refused);
    let data = data(&timeline_html(&lines, &[], &Heading::default()));
    let bars = data["bars"].as_array().expect("a list").iter();
    let keys: Vec<_> = bars.filter(|bar| bar["kind"] == "key").collect();
    let late = position(
        &lines,
        |line| matches!(&line.event, Event::LogWrite(write) if write.status == 412),
    );
    let Event::LogWrite(refused) = &lines[late].event else { unreachable!("it was looked for") };
    let taken = position(
        &lines,
        |line| matches!(&line.event, Event::LogWrite(write) if write.key == refused.key),
    );
    assert_eq!(keys.len(), 1);
    assert_eq!((&keys[0]["from"], &keys[0]["to"]), (&taken.into(), &late.into()));
    let events = data["events"].as_array().expect("a list");
    assert_eq!(events[late]["label"], "#5");
    assert_eq!(events[taken]["label"], "#5");
    let labelled = lines.iter().zip(events).filter(|(line, _)| line.node == node::S3);
    let bare = labelled.filter(|(line, event)| {
        matches!(line.event, Event::LogWrite(_)) && event["label"].is_null()
    });
    assert_eq!(bare.count(), 0, "every write of the log shows its key");
}

#[test]
fn a_message_names_the_faults_that_met_it() {
    let lines = troubled();
    let data = data(&drawn("troubled", "Requests that meet faults", &(lines.clone(), Vec::new())));
    let events = data["events"].as_array().expect("a list");
    for fault in ["s3-slow-down", "api-fails-after", "lose"] {
        let hit = position(
            &lines,
            |line| matches!(&line.event, Event::FaultHit { fault: name, .. } if name == fault),
        );
        let Event::FaultHit { message, .. } = lines[hit].event else { unreachable!("found so") };
        for (line, event) in lines.iter().zip(events) {
            let own =
                serde_json::to_value(&line.event).expect("events serialise")["message"] == message;
            if own && !matches!(line.event, Event::Watched { .. }) {
                assert_eq!(event["faults"], serde_json::json!([fault]), "{line:?}");
            }
        }
    }
}

#[test]
fn the_past_of_a_refusal_has_its_fault() {
    let lines = troubled();
    let heard = position(&lines, |line| matches!(line.event, Event::Received { status: 503, .. }));
    let highlight =
        Highlight { invariant: "I2 durable".into(), lines: vec![heard], text: "503".into() };
    let data = data(&timeline_html(&lines, &[highlight], &Heading::default()));
    let past = indices(&data["findings"][0]["past"]);
    let began = position(
        &lines,
        |line| matches!(&line.event, Event::FaultBegan { fault, .. } if fault == "s3-slow-down"),
    );
    assert!(past.contains(&began), "{began} is not in {past:?}");
}
