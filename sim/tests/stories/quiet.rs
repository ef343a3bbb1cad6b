//! What is not needed is not done, and what may be done is needed.

use std::collections::BTreeMap;

use rynxs_judge::event::{Event, Line};
use rynxs_sim::Scenario;
use rynxs_sim::scenario::{AgentShape, Child, Do, Meddling, SessionShape, Who};

use crate::play::{agent, play, session, until};

/// From here on nothing is asked for any more.
const QUIET_MS: u64 = 90_000;
const FIVE_MINUTES_MS: u64 = 300_000;

#[test]
fn an_idle_cluster_appends_nothing() {
    let mut story = until(QUIET_MS + FIVE_MINUTES_MS);
    for index in 0..100 {
        story = story.at(10 * index, agent(&format!("agent-{index}"), 1));
    }
    for seen in play(&story, 1..2) {
        seen.excuses_only(&[]);
        let idle = |line: &&Line| {
            (QUIET_MS..QUIET_MS + FIVE_MINUTES_MS).contains(&(line.t_ns / 1_000_000))
        };
        let mut requests: BTreeMap<String, u64> = BTreeMap::new();
        for line in seen.lines.iter().filter(idle) {
            match &line.event {
                Event::LogWrite(write) => panic!("a record in an idle cluster: {}", write.text),
                Event::Sent { method, target, to, .. } => {
                    let path = target.split('?').next().unwrap_or_default();
                    let what = path.rsplit('/').find(|part| *part != "rynxs-leader");
                    let server = if to == "s3" { "s3 " } else { "" };
                    *requests
                        .entry(format!("{server}{method} {}", what.unwrap_or("")))
                        .or_default() += 1;
                }
                _ => {}
            }
        }
        eprintln!("requests of five idle minutes: {requests:?}");
        let allowed = |kind: &str| kind.starts_with("WATCH ") || kind.ends_with(" leases");
        let others: Vec<_> = requests.keys().filter(|kind| !allowed(kind)).collect();
        assert!(others.is_empty(), "{others:?} of {requests:?}");
        let renewals = requests.iter().filter(|(kind, _)| kind.ends_with(" leases"));
        let renewals: u64 = renewals.map(|(_, count)| count).sum();
        // One leader renews every 2 s or so; it is alive, and it is the only one that writes.
        assert!((100..400).contains(&renewals), "{requests:?}");
    }
}

/// Whatever needs a right: all kinds made, changed, watched and deleted, and a leader's end.
fn everything() -> Scenario {
    let over = SessionShape {
        agent: "a".to_owned(),
        max_s: 15,
        delete_when_over: true,
        mode: 1,
        ..SessionShape::default()
    };
    let squat = Do::Squat { agent: "c".to_owned(), child: Child::Spec, for_ms: 20_000 };
    let meddle = |child| Do::Meddle { agent: "a".to_owned(), child, how: Meddling::Add };
    let ended = |mode| SessionShape { agent: "a".to_owned(), mode, ..SessionShape::default() };
    let ended = |mode| Do::ApplySession { name: "ended".to_owned(), session: ended(mode) };
    let mut story = until(200_000)
        .at(0, squat)
        .at(0, agent("a", 1))
        .at(1_000, agent("c", 1))
        .at(10_000, Do::ApplySession { name: "over".to_owned(), session: over })
        .at(10_000, session("s", 0));
    for (index, child) in
        [Child::Spec, Child::Workspace, Child::Runtime, Child::Network].into_iter().enumerate()
    {
        story = story.at(40_000 + 1_000 * index as u64, meddle(child));
    }
    let suspended = AgentShape { suspended: true, ..AgentShape::default() };
    story
        .at(50_000, Do::Crash { who: Who::Leader, back_after_ms: 10_000 })
        .at(80_000, Do::ApplyAgent { name: "c".to_owned(), agent: suspended })
        .at(84_000, ended(0))
        .at(84_500, ended(2))
        .at(90_000, Do::DeleteSession { name: "s".to_owned() })
        .at(100_000, Do::DeleteLease {})
        .at(140_000, Do::OrphanAgent { name: "a".to_owned() })
        .at(141_000, Do::DeleteAgent { name: "c".to_owned() })
}

#[test]
fn every_right_of_the_roles_is_used() {
    let mut runs = play(&everything(), 1..2);
    runs.extend(play(&crate::split_brain::frozen_leader(), 1..2));
    let unused = rynxs_judge::unused_rights(runs.iter().map(|seen| seen.lines.as_slice()));
    assert_eq!(unused, Vec::<String>::new());
    let refused = |line: &Line| matches!(line.event, Event::RightRefused { times: 1.., .. });
    assert!(runs.iter().all(|seen| seen.when(refused).is_empty()));
}
