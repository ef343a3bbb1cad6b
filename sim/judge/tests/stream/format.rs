//! The stream as text: what is written is read again, and what nobody knows is said to be unknown.

use rynxs_judge::event::{Event, Leg, Line, read};
use rynxs_judge::history::{DiskOperation, DiskWork};

use crate::clean::rich;

const OPERATIONS: [DiskOperation; 8] = [
    DiskOperation::Append,
    DiskOperation::Truncate,
    DiskOperation::Rename,
    DiskOperation::SyncData,
    DiskOperation::SyncDir,
    DiskOperation::Lock,
    DiskOperation::LosePower,
    DiskOperation::Rot,
];

fn disk(operation: DiskOperation, replica: &str, outcome: &str) -> Event {
    Event::Disk(Box::new(DiskWork {
        replica: replica.into(),
        operation,
        path: "log/renewed".into(),
        to: if operation == DiskOperation::Rename { "log/new".into() } else { String::new() },
        bytes: 312,
        outcome: outcome.into(),
    }))
}

/// Every way in which a disk or a fault can speak.
fn remarks() -> Vec<(&'static str, Event)> {
    let works = OPERATIONS.iter().flat_map(|operation| {
        [("", ""), ("rynxs-0", ""), ("rynxs-0", "no space left on device")]
            .map(|(replica, outcome)| ("disk-0", disk(*operation, replica, outcome)))
    });
    let hits = ["", "MODIFIED Agent/team-a/a"].map(|change| {
        let (fault, change) = ("s3-slow-down".to_owned(), change.to_owned());
        ("s3", Event::FaultHit { message: 7, fault, change })
    });
    works.chain(hits).chain([("rynxs-0", Event::Lost { message: 7, leg: Leg::Answer })]).collect()
}

fn text(lines: &[Line]) -> String {
    let line = |line| serde_json::to_string(line).expect("a line is plain data");
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_is_written_is_read_again() {
    let mut story = rich();
    story.end();
    for (node, event) in remarks() {
        story.say(node, event);
    }
    let again = read(&text(&story.lines)).expect("it was written here");
    assert!(again == story.lines, "a line comes back as another");
    assert_eq!(text(&again), text(&story.lines));
}

#[test]
fn what_says_nothing_is_left_out() {
    let hit = Event::FaultHit { message: 7, fault: "lose".into(), change: String::new() };
    let lines = [hit, disk(DiskOperation::SyncData, "rynxs-0", "")].map(|event| Line {
        t_ns: 1,
        node: "disk-0".into(),
        event,
    });
    let expected = [
        r#"{"t_ns":1,"node":"disk-0","event":"fault_hit","message":7,"fault":"lose"}"#,
        concat!(
            r#"{"t_ns":1,"node":"disk-0","event":"disk","replica":"rynxs-0","#,
            r#""operation":"sync_data","path":"log/renewed","bytes":312}"#
        ),
    ];
    assert_eq!(text(&lines), expected.join("\n"));
}

#[test]
fn an_event_that_nobody_knows_is_an_error() {
    let line = r#"{"t_ns":1,"node":"disk-0","event":"disc","path":"log"}"#;
    let error = read(&format!("\n{line}\n")).expect_err("there is no such event");
    assert_eq!(error.line, 2);
    assert!(error.to_string().contains("disc"), "{error}");
}

/// Disks and hits explain; what is right is judged by what the stores hold and what was written.
#[test]
fn no_verdict_hangs_on_what_disks_and_faults_say() {
    let mut story = rich();
    story.end();
    let bare = story.report();
    let mut remarks = remarks().into_iter().cycle();
    let lines = std::mem::take(&mut story.lines);
    for line in lines {
        let last = line.event == Event::End;
        story.lines.push(line.clone());
        let (node, event) = remarks.next().expect("a cycle has no end");
        // A loss is no remark: it is what befell a message.
        if !last && !matches!(event, Event::Lost { .. }) {
            story.lines.push(Line { node: node.into(), event, ..line });
        }
    }
    let among_them = story.report();
    assert!(among_them.is_green(), "{among_them}");
    for ((invariant, bare), (_, among_them)) in bare.verdicts.iter().zip(&among_them.verdicts) {
        assert_eq!(format!("{bare:?}"), format!("{among_them:?}"), "{invariant}");
    }
}
