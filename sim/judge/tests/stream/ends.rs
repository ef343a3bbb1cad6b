//! I7, I9 and I10: leaders, rights, and manipulations.

use std::sync::Arc;

use rynxs_core::event::Event as LogEvent;
use rynxs_core::ids::Hash;
use rynxs_judge::event::{Event, Excuse, Line};
use rynxs_judge::history::LogObject;
use rynxs_judge::{Invariant, LogWrite, ObjectWrite, Verdict, unused_rights};
use serde_json::json;

use crate::only;
use crate::story::Story;

const S: u64 = 1_000_000_000;

fn settled() -> Story {
    let mut story = Story::begin();
    story.user("Agent", "a", json!({}));
    story.settle();
    story
}

fn ended(mut story: Story) -> Story {
    story.heal();
    story.settle();
    story.end();
    story
}

#[test]
fn two_valid_leaders_are_found_with_both_their_lines() {
    let mut story = settled();
    let until_ns = Some(story.now_ns() + 60 * S);
    let other = story.say("rynxs-1", Event::Guard { until_ns });
    story.say("rynxs-1", Event::Guard { until_ns });
    story.say("rynxs-1", Event::Guard { until_ns: None });
    let mut story = ended(story);
    let found = only(&story, Invariant::I7OneLeader);
    assert_eq!(found.len(), 1, "told once: {found:?}");
    assert_eq!(found[0].lines[1], other);

    // A fault excuses two leaders behind it, and none before it.
    let Event::Run(head) = &mut story.lines[0].event else { unreachable!("the first line") };
    let excuse = Excuse { invariant: Invariant::I7OneLeader, fault: "edit-lease".into() };
    head.excused.push(excuse);
    let began = Event::FaultBegan { fault: "edit-lease".into(), detail: String::new() };
    for (at, fails) in [(story.lines.len(), true), (1, false)] {
        let mut story = story.clone();
        let t_ns = story.lines[at - 1].t_ns;
        story.lines.insert(at, Line { t_ns, node: "nemesis".into(), event: began.clone() });
        let report = story.report();
        assert_eq!(report.of(Invariant::I7OneLeader).is_fail(), fails, "at {at}: {report}");
    }
}

#[test]
fn a_frozen_leader_counts_for_as_long_as_its_clock_says_so() {
    let mut story = settled();
    let until_ns = Some(story.now_ns() + 3 * S);
    story.say("rynxs-0", Event::Guard { until_ns });
    story.say("rynxs-0", Event::Frozen);
    let until_ns = Some(story.now_ns() + 20 * S);
    story.say("rynxs-1", Event::Guard { until_ns });
    assert!(story.report().of(Invariant::I7OneLeader).is_fail());
}

#[test]
fn a_leader_whose_time_is_over_or_who_is_killed_holds_nothing() {
    for killed in [false, true] {
        let mut story = settled();
        let node = "rynxs-0";
        let until_ns = Some(story.now_ns() + 3 * S);
        story.say(node, Event::Guard { until_ns });
        if killed {
            story.say(node, Event::Killed { why: String::new() });
        } else {
            story.say(node, Event::Frozen);
            story.skip(4_000);
        }
        let until_ns = Some(story.now_ns() + 5 * S);
        story.say("rynxs-1", Event::Guard { until_ns });
        let report = story.report();
        assert!(report.of(Invariant::I7OneLeader).is_pass(), "{report}");
    }
}

/// The Lease as somebody else holds it, shown to the leader, which sends a write so much later.
fn shown_another_holder(story: &mut Story, holder: &str, after_ms: u64, close: bool) {
    let lease = json!({"spec": {"holderIdentity": holder}});
    let write = ObjectWrite {
        object: "Lease/rynxs/rynxs-leader".into(),
        status: 200,
        rv: 77,
        changed: true,
        value: Some(Arc::new(lease)),
        ..ObjectWrite::default()
    };
    let object = write.object.clone();
    story.say("api-0", Event::ObjectWrite(Box::new(write)));
    let (kind, rv) = ("MODIFIED".into(), "77".into());
    story.say("rynxs-0", Event::Watched { message: 1, kind, object, rv });
    if close {
        story.say("rynxs-0", Event::Guard { until_ns: None });
    }
    story.skip(after_ms);
    let target = "/apis/apps/v1/namespaces/team-a/deployments/a-runtime".to_owned();
    let (to, method) = ("api-0".into(), "PATCH".into());
    story.say("rynxs-0", Event::Sent { message: 2, to, method, target, bytes: 10 });
}

#[test]
fn a_leader_that_goes_on_without_a_guard_or_after_it_saw_another_holder_is_not_excused() {
    for (holder, after_ms, close, fails) in [
        ("rynxs-1_2", 3_000, false, true),
        ("", 3_000, false, true),
        ("rynxs-0_1", 3_000, false, false),
        ("rynxs-1_2", 0, false, false),
        // The guard is closed, or its time is over.
        ("rynxs-1_2", 0, true, true),
        ("rynxs-0_1", 12_000, false, true),
    ] {
        let mut story = settled();
        let Event::Run(head) = &mut story.lines[0].event else { unreachable!("the first line") };
        let excuse = Excuse { invariant: Invariant::I7OneLeader, fault: "edit-lease".into() };
        head.excused.push(excuse);
        shown_another_holder(&mut story, holder, after_ms, close);
        let report = story.report();
        let verdict = report.of(Invariant::I7OneLeader);
        assert_eq!(verdict.is_fail(), fails, "{holder:?} {after_ms} {close}: {verdict:?}");
    }
}

/// A write of the Lease that a replica sent, as the server stored it.
fn lease_written(story: &mut Story, sender: &str, message: u64, holder: &str) {
    let target = "/apis/coordination.k8s.io/v1/namespaces/rynxs/leases/rynxs-leader".to_owned();
    let (to, method) = ("api-0".into(), "PUT".into());
    story.say(sender, Event::Sent { message, to, method, target, bytes: 10 });
    let write = ObjectWrite {
        object: "Lease/rynxs/rynxs-leader".into(),
        status: 200,
        rv: 70 + message,
        changed: true,
        message: Some(message),
        value: Some(Arc::new(json!({"spec": {"holderIdentity": holder}}))),
        ..ObjectWrite::default()
    };
    story.say("api-0", Event::ObjectWrite(Box::new(write)));
}

#[test]
fn only_its_holder_may_give_up_a_lease() {
    for (holder, giver, fails) in
        [("rynxs-0_1", "rynxs-0", false), ("rynxs-0_1", "rynxs-1", true), ("", "rynxs-1", false)]
    {
        let mut story = settled();
        lease_written(&mut story, "rynxs-0", 1, holder);
        lease_written(&mut story, giver, 2, "");
        let report = story.report();
        let verdict = report.of(Invariant::I7OneLeader);
        assert_eq!(verdict.is_fail(), fails, "{giver} gives up that of {holder:?}: {verdict:?}");
        let expected = "a Lease given up by its holder";
        assert!(verdict.findings().iter().all(|finding| finding.expected == expected));
    }
}

#[test]
fn a_replica_that_halts_over_a_sound_log_is_found() {
    for fault in [None, Some("bit-rot")] {
        let mut story = settled();
        if let Some(fault) = fault {
            let (fault, detail) = (fault.to_owned(), String::new());
            story.say("nemesis", Event::FaultBegan { fault, detail });
        }
        let why = "record 3 is not ours".to_owned();
        story.say("rynxs-0", Event::Exited { why, corrupt: true, bug: false });
        let report = story.report();
        assert_eq!(report.of(Invariant::I10Tamper).is_fail(), fault.is_none(), "{report}");
    }
}

#[test]
fn an_identity_that_leads_twice_is_found() {
    let mut story = settled();
    story.lead("rynxs-1_2");
    assert!(story.report().of(Invariant::I3Epoch).is_pass());
    story.lead("rynxs-0_1");
    assert!(story.report().of(Invariant::I3Epoch).is_fail(), "{}", story.report());
}

#[test]
fn a_torn_line_that_is_cut_off_in_silence_is_found() {
    let told = LogEvent::TailRepaired { bytes: 7, sha256: Hash::ZERO };
    for (told, restarts, fails) in [(vec![told], 1, false), (vec![], 1, true), (vec![], 2, false)] {
        let mut story = settled();
        story.say("rynxs-0", Event::Killed { why: "the power is gone".into() });
        story.say("rynxs-0", Event::Torn { bytes: 7 });
        for _ in 0..restarts {
            story.say("rynxs-0", Event::Started);
        }
        story.leads = false;
        story.lead_after("rynxs-0_9", told);
        let report = story.report();
        assert_eq!(report.of(Invariant::I10Tamper).is_fail(), fails, "{report}");
    }
}

#[test]
fn a_refused_right_is_found_and_an_unused_one_over_all_runs() {
    let mut story = settled();
    story.say("run", Event::RightRefused { what: "get pods".into(), times: 0 });
    story.say("run", Event::RightRefused { what: "delete agents".into(), times: 2 });
    let found = only(&ended(story), Invariant::I9LeastPrivilege);
    assert_eq!(found[0].place, "delete agents");
    let right = |right: &str, uses| Line {
        t_ns: 0,
        node: "run".into(),
        event: Event::Right { right: right.into(), uses },
    };
    let one = [right("a", 0), right("b", 0), right("c", 1)];
    let two = [right("a", 0), right("b", 3), right("c", 0)];
    assert_eq!(unused_rights([&one[..], &two[..]]), ["a"]);
}

#[test]
fn a_manipulation_that_nobody_notices_is_found_unless_it_is_listed() {
    for (how, found) in [("two records swapped", true), ("truncated tail by 3", false)] {
        let mut story = settled();
        story.say("run", Event::Tampered { how: how.into(), detected: false });
        let report = ended(story).report();
        assert_eq!(report.of(Invariant::I10Tamper).is_fail(), found, "{how}: {report}");
    }
}

/// A replica starts and lists the log.
fn reads(story: &mut Story, message: u64) {
    story.say("rynxs-1", Event::Started);
    story.say("rynxs-1", sent(message, "GET", "/log?list-type=2"));
    story.say("rynxs-1", Event::Received { message, status: 200 });
}

#[test]
fn a_tampered_run_must_halt_or_refuse() {
    let fault = |name: &str| Event::FaultBegan { fault: name.into(), detail: "x".into() };
    let halted = Event::Exited { why: "hash".into(), corrupt: true, bug: false };
    let left = Event::Exited { why: "asked to".into(), corrupt: false, bug: false };
    let refused = Event::Probe { probe: rynxs_judge::oracle::LOG_REFUSED.into() };
    for name in ["tamper-swap", "bit-rot"] {
        let mut nobody_looked = settled();
        reads(&mut nobody_looked, 1);
        nobody_looked.say("nemesis", fault(name));
        // Leading on rests on what was read before, and so does a listing that nobody answers.
        nobody_looked.lead("rynxs-1_2");
        nobody_looked.say("rynxs-1", sent(2, "GET", "/log?list-type=2"));
        let report = ended(nobody_looked).report();
        assert!(!report.of(Invariant::I10Tamper).is_fail(), "nobody read it since: {report}");
    }
    for (name, after, found) in [
        ("tamper-swap", None, true),
        ("tamper-swap", Some(left), true),
        ("tamper-swap", Some(halted.clone()), false),
        ("bit-rot", None, true),
        ("bit-rot", Some(halted), false),
        ("tamper-delete", Some(refused.clone()), false),
        ("tamper-truncated-tail", None, false),
        // Living objects carry stamps of records that are gone; none of the younger half.
        ("tamper-emptied", None, true),
        ("tamper-rolled-back", None, false),
        ("tamper-emptied", Some(refused.clone()), false),
        ("s3-ignores-condition", None, true),
        ("s3-ignores-condition", Some(refused), false),
    ] {
        let mut story = settled();
        story.say("nemesis", fault(name));
        reads(&mut story, 1);
        if let Some(after) = after {
            story.say("rynxs-1", after);
        }
        let report = ended(story).report();
        assert_eq!(report.of(Invariant::I10Tamper).is_fail(), found, "{name}: {report}");
    }
}

#[test]
fn an_epoch_that_begins_in_a_hole_is_found_if_its_listing_had_to_show_what_stands_behind() {
    for (listed_after, found) in [(true, true), (false, false)] {
        let mut story = settled();
        let hole = story.log.len();
        let mut blind = story.clone();
        blind.lead("rynxs-1_2");
        let list = sent(1, "GET", "/log?list-type=2&start-after=x");
        if !listed_after {
            story.say("rynxs-1", list.clone());
        }
        story.user("Agent", "b", json!({}));
        story.settle();
        let fault = "tamper-delete-last-but-one";
        story.say("nemesis", Event::FaultBegan { fault: fault.into(), detail: "x".into() });
        if listed_after {
            story.say("rynxs-1", list);
        }
        story.say("rynxs-1", sent(2, "PUT", "/log/x"));
        let LogObject { key, text } = blind.log[hole].clone();
        let write = LogWrite { key, text, status: 200, message: Some(2), ..LogWrite::default() };
        story.log.remove(hole);
        story.say("s3", Event::LogWrite(write));
        let why = "record 9 does not continue the log".into();
        story.say("rynxs-1", Event::Exited { why, corrupt: true, bug: false });
        let report = ended(story).report();
        assert_eq!(report.of(Invariant::I10Tamper).is_fail(), found, "{report}");
    }
}

fn sent(message: u64, method: &str, target: &str) -> Event {
    let (to, method, target) = ("s3".into(), method.into(), target.into());
    Event::Sent { message, to, method, target, bytes: 0 }
}

#[test]
fn without_lines_about_them_these_are_unknown() {
    let story = settled();
    let report = story.report();
    for invariant in [Invariant::I8Converge, Invariant::I9LeastPrivilege, Invariant::I10Tamper] {
        assert!(matches!(report.of(invariant), Verdict::Unknown { .. }), "{report}");
    }
}
