//! Sessions: each runs once, and its time goes on whoever leads.

use std::collections::BTreeSet;

use rynxs_sim::scenario::{Do, SessionShape, Who};

use crate::play::{Seen, agent, play, session, until};

/// The uids of Jobs that were let run.
fn activated(seen: &Seen) -> BTreeSet<String> {
    let runs = |value: &serde_json::Value| value["spec"]["suspend"] == false;
    seen.writes("Job/")
        .filter(|(_, write)| write.value.as_ref().is_some_and(|value| runs(value)))
        .map(|(_, write)| write.uid.clone())
        .collect()
}

#[test]
fn a_session_runs_once_though_its_leader_dies_at_every_write() {
    for nth in [1, 2, 3, 5, 8] {
        for applied in [false, true] {
            let crash =
                |nth| Do::CrashAtWrite { who: Who::All, nth, applied, back_after_ms: 3_000 };
            let story = until(150_000)
                .at(0, agent("a", 1))
                .at(30_000, session("s", 0))
                .at(30_001, crash(nth))
                .at(60_000, crash(nth + 1))
                .at(90_000, crash(nth + 2));
            for seen in play(&story, 1..2) {
                seen.excuses_only(&[]);
                seen.must_hit("job-succeeded");
                let died = seen.when(|line| {
                    matches!(&line.event, rynxs_judge::event::Event::Killed { why }
                        if why.contains("a write"))
                });
                assert!(died.len() >= 2, "nth {nth}: {died:?}");
                assert_eq!(activated(&seen).len(), 1, "nth {nth}, applied {applied}");
            }
        }
    }
}

#[test]
fn an_expiry_is_not_restarted_by_a_failover() {
    let stays = SessionShape { agent: "a".to_owned(), max_s: 40, ..SessionShape::default() };
    // Suspended, so that it does not end before its time does.
    let stays = SessionShape { mode: 1, ..stays };
    let story = until(100_000)
        .at(0, agent("a", 1))
        .at(20_000, Do::ApplySession { name: "s".to_owned(), session: stays })
        .at(35_000, Do::Crash { who: Who::Leader, back_after_ms: 60_000 });
    for seen in play(&story, 1..5) {
        seen.excuses_only(&[]);
        seen.must_hit("session-expired");
        let epochs = seen.epochs();
        assert!(epochs.len() >= 2, "seed {}: {epochs:?}", seen.seed);
        let fired: Vec<_> = seen
            .told("TimerFired")
            .iter()
            .filter(|told| told.event.text("timer") == Some("Expiry"))
            .map(|told| told.at_ms)
            .collect();
        // Not 40 s after the failover at about 50 s.
        assert_eq!(fired.len(), 1, "seed {}: {fired:?}", seen.seed);
        assert!((60_000..63_000).contains(&fired[0]), "seed {}: {fired:?}", seen.seed);
    }
}

#[test]
fn an_expired_session_is_deleted_if_it_asked_for_that() {
    let over = SessionShape {
        agent: "a".to_owned(),
        max_s: 15,
        delete_when_over: true,
        mode: 1,
        ..SessionShape::default()
    };
    let story = until(80_000)
        .at(0, agent("a", 1))
        .at(20_000, Do::ApplySession { name: "s".to_owned(), session: over });
    for seen in play(&story, 1..4) {
        seen.excuses_only(&[]);
        seen.must_hit("session-expired");
        seen.must_hit("session-deleted-by-operator");
        assert!(seen.at_end("Session/agents/s").is_none());
    }
}
