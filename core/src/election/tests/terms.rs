//! The course of a term where nothing goes wrong, and its edges.

use super::*;

#[test]
fn released_lease_is_taken_in_one_round_trip() {
    let mut term = Term::standby();
    term.now_ms += 500;
    term.hear(Happening::Observed(view(11, "")));
    let write = term.written();
    assert_eq!(write.holder, WriterId::from(ME));
    assert_eq!(write.transitions, 4);
    assert_eq!(
        write.target,
        Target::Replace {
            uid: Uid::from("u1"),
            resource_version: "11".to_owned(),
            metadata: serde_json::Map::new()
        }
    );
    term.now_ms += 300;
    term.answer(Answer::Lease(stored(&write, 12)));
    let valid_until = ms(100_500 + 10_000);
    assert_eq!(
        term.actions,
        [Action::StartLeading { valid_until, uid: Uid::from("u1"), transitions: 4 }]
    );
}

#[test]
fn held_lease_is_left_alone_for_its_duration_and_then_taken_without_polling() {
    let mut term = Term::standby();
    assert_eq!(term.state.wake_at(), Some(ms(115_000)));
    assert_eq!(term.run_until(114_999), []);
    term.pass(1);
    assert!(term.writes());
}

#[test]
fn every_change_of_the_lease_starts_the_wait_afresh() {
    let mut term = Term::standby();
    term.now_ms += 14_000;
    term.hear(Happening::Observed(view(11, OTHER)));
    assert_eq!(term.state.wake_at(), Some(ms(129_000)));
    // The same again is no change.
    term.now_ms += 5_000;
    term.hear(Happening::Observed(view(11, OTHER)));
    assert_eq!(term.state.wake_at(), Some(ms(129_000)));
}

#[test]
fn longer_duration_in_the_record_is_respected_but_not_without_limit() {
    let mut term = Term::new();
    term.hear(Happening::Observed(LeaseView {
        duration: Duration::from_secs(60),
        ..view(10, OTHER)
    }));
    assert_eq!(term.state.wake_at(), Some(ms(160_000)));
    let mut term = Term::new();
    term.hear(Happening::Observed(LeaseView {
        duration: Duration::from_secs(5),
        ..view(10, OTHER)
    }));
    assert_eq!(term.state.wake_at(), Some(ms(115_000)), "not shorter than the own setting");
    let mut term = Term::new();
    term.hear(Happening::Observed(LeaseView { duration: Duration::MAX, ..view(10, OTHER) }));
    assert_eq!(term.state.wake_at(), Some(ms(3_700_000)));
}

#[test]
fn leader_renews_every_retry_period_and_keeps_acquire_time_and_transitions() {
    let mut term = Term::leader();
    let first = term.state.lease().cloned().unwrap();
    term.now_ms = 102_000;
    term.hear(Happening::Tick);
    let write = term.written();
    assert_eq!(Some(write.acquire_us), first.acquire_us);
    assert_ne!(Some(write.renew_us), first.renew_us);
    assert_eq!(write.transitions, first.transitions);
    term.answer(Answer::Lease(stored(&write, 12)));
    assert_eq!(term.actions, [Action::Extend { valid_until: ms(112_000) }]);
    assert_eq!(term.state.wake_at(), Some(ms(104_000)));
}

#[test]
fn marks_of_writes_are_unique_even_if_the_wall_clock_stands_still() {
    let mut term = Term::leader();
    let mut marks = Vec::new();
    for version in 12..20 {
        // Within the drift that is tolerated: the wall clock loses all that passes.
        term.wall_offset_ms -= 2_000;
        term.pass(2_000);
        let write = term.written();
        marks.push(write.renew_us);
        term.answer(Answer::Lease(stored(&write, version)));
    }
    assert!(marks.windows(2).all(|pair| pair[0] < pair[1]), "{marks:?}");
}

#[test]
fn metadata_of_the_lease_survives_a_renewal() {
    let mut metadata = serde_json::Map::new();
    metadata.insert("labels".to_owned(), serde_json::json!({"app": "rynxs"}));
    let mut term = Term::new();
    term.hear(Happening::Observed(LeaseView { metadata: metadata.clone(), ..view(10, "") }));
    let Target::Replace { metadata: sent, .. } = term.written().target else {
        panic!("an existing Lease is replaced")
    };
    assert_eq!(sent, metadata);
}

#[test]
fn leader_without_successful_renewal_stops_at_its_deadline() {
    let mut term = Term::leader();
    let all = term.run_until(109_999);
    assert!(!all.contains(&Action::StopLeading));
    term.pass(1);
    assert_eq!(
        term.actions,
        [
            Action::Failed(Failure::DeadlineExceeded),
            Action::StopLeading,
            Action::Ended(End::Lost(Loss::DeadlineExceeded))
        ]
    );
    assert_eq!(term.state.wake_at(), None);
}

#[test]
fn answer_that_comes_after_the_deadline_revives_nothing() {
    let mut term = Term::renewing();
    let id = term.state.awaiting().unwrap();
    let write = term.written();
    term.now_ms = 110_000;
    term.hear(Happening::Answered { id, answer: Answer::Lease(stored(&write, 12)) });
    assert_eq!(term.lost(), Some(Loss::DeadlineExceeded));
    assert!(!term.actions.iter().any(|action| matches!(action, Action::Extend { .. })));
}

#[test]
fn acquisition_that_is_acknowledged_too_late_to_count_is_renewed_first() {
    let mut term = Term::new();
    term.hear(Happening::Observed(view(10, "")));
    let write = term.written();
    let id = term.state.awaiting().unwrap();
    // A pause of the process: the answer is read 11 s after the request was sent.
    term.now_ms += 11_000;
    term.hear(Happening::Answered { id, answer: Answer::Lease(stored(&write, 11)) });
    assert!(!term.actions.iter().any(|action| matches!(action, Action::StartLeading { .. })));
    let again = term.written();
    assert_eq!(again.transitions, write.transitions);
    term.answer(Answer::Lease(stored(&again, 12)));
    assert_eq!(term.valid_until_ms(), Some(121_000));
}

#[test]
fn jump_of_the_clocks_beyond_the_deadline_ends_leadership() {
    // 10 s and 5 % of what is shown.
    for jump_ms in [10_600_i64, -10_600] {
        let mut term = Term::leader();
        term.wall_offset_ms = term.wall_offset_ms.checked_add_signed(jump_ms).unwrap();
        term.pass(100);
        assert_eq!(term.lost(), Some(Loss::ClockJump), "{jump_ms}");
        let mut term = Term::leader();
        term.wall_offset_ms = term.wall_offset_ms.checked_add_signed(jump_ms / 2).unwrap();
        term.pass(100);
        assert_eq!(term.lost(), None, "{jump_ms}");
    }
}

#[test]
fn standby_whose_clock_jumped_watches_for_a_whole_lease_again() {
    let mut term = Term::standby();
    term.wall_offset_ms -= 14_000; // the monotonic clock ran ahead by 14 s
    term.pass(14_000);
    assert_eq!(term.actions, [Action::Failed(Failure::ClockJump)]);
    assert_eq!(term.state.wake_at(), Some(ms(129_000)));
}

#[test]
fn coordinator_that_prefers_another_holder_ends_renewal_and_then_the_term() {
    let mut term = Term::leader();
    let held = term.state.lease().cloned().unwrap();
    let preferred =
        LeaseView { preferred: Some(OTHER.to_owned()), resource_version: "12".to_owned(), ..held };
    term.hear(Happening::Observed(preferred));
    let all = term.run_until(110_000);
    assert!(!term.writes(), "{all:?}");
    assert_eq!(term.lost(), Some(Loss::PreferredHolder));
}

#[test]
fn withdrawn_preference_lets_the_leader_renew_again() {
    let mut term = Term::leader();
    let held = term.state.lease().cloned().unwrap();
    let preferred = LeaseView { preferred: Some(OTHER.to_owned()), ..held.clone() };
    term.hear(Happening::Observed(LeaseView { resource_version: "12".to_owned(), ..preferred }));
    term.hear(Happening::Observed(LeaseView { resource_version: "13".to_owned(), ..held }));
    term.pass(2_000);
    assert!(term.writes());
}

#[test]
fn preference_for_this_very_term_changes_nothing() {
    let mut term = Term::leader();
    let held = term.state.lease().cloned().unwrap();
    let preferred = LeaseView { preferred: Some(ME.to_owned()), ..held };
    term.hear(Happening::Observed(LeaseView { resource_version: "12".to_owned(), ..preferred }));
    term.pass(2_000);
    assert!(term.writes());
}

#[test]
fn late_watch_event_of_the_former_holder_deposes_nobody() {
    let mut term = Term::leader();
    term.hear(Happening::Observed(view(9, OTHER)));
    term.hear(Happening::Missing { resource_version: Some("8".to_owned()) });
    assert_eq!(term.lost(), None);
    term.hear(Happening::Observed(view(12, OTHER)));
    assert_eq!(term.lost(), Some(Loss::ForeignHolder));
}

#[test]
fn versions_that_cannot_be_ordered_count_as_news() {
    let mut term = Term::leader();
    term.hear(Happening::Observed(LeaseView {
        resource_version: "x7".to_owned(),
        ..view(9, OTHER)
    }));
    assert_eq!(term.lost(), Some(Loss::ForeignHolder));
}

#[test]
fn release_blanks_the_lease_after_leading_stopped() {
    let mut term = Term::leader();
    term.hear(Happening::Release);
    assert_eq!(term.actions[0], Action::StopLeading);
    assert!(term.reads());
    let held = term.state.lease().cloned().unwrap();
    term.answer(Answer::Lease(held));
    let write = term.written();
    assert_eq!(write.holder, WriterId::default());
    assert_eq!(write.duration, Duration::from_secs(1));
    assert_eq!(write.transitions, 4);
    term.answer(Answer::Lease(stored(&write, 12)));
    assert_eq!(term.actions, [Action::Ended(End::Released)]);
}

#[test]
fn standby_that_wrote_nothing_is_released_at_once() {
    let mut term = Term::standby();
    term.hear(Happening::Release);
    assert_eq!(term.actions, [Action::Ended(End::Released)]);
}

#[test]
fn standby_with_an_acquisition_in_flight_gives_the_lease_back() {
    let mut term = Term::new();
    term.hear(Happening::Observed(view(10, "")));
    let write = term.written();
    term.hear(Happening::Release);
    assert!(term.reads());
    term.answer(Answer::Lease(stored(&write, 11)));
    assert_eq!(term.written().holder, WriterId::default());
}

#[test]
fn released_machine_asks_for_nothing_more() {
    let mut term = Term::standby();
    term.hear(Happening::Release);
    for what in [
        Happening::Tick,
        Happening::Observed(view(12, "")),
        Happening::Missing { resource_version: None },
        Happening::Release,
    ] {
        term.now_ms += 60_000;
        assert_eq!(term.hear(what), []);
    }
    assert_eq!(term.state.wake_at(), None);
}
