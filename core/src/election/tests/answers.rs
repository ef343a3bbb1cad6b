//! Every listed answer in every state.

use super::*;

/// Answers that say that a write was not applied.
fn refusals() -> [(Answer, Failure); 4] {
    [
        (Answer::Forbidden, Failure::Forbidden),
        (Answer::Rejected, Failure::Rejected),
        (Answer::Throttled { retry_after: None }, Failure::Throttled),
        (Answer::NotSent, Failure::Connection),
    ]
}

/// Answers that leave open whether a write was applied.
fn ambiguous() -> [(Answer, Failure); 4] {
    [
        (Answer::ServerError, Failure::ServerError),
        (Answer::Broken, Failure::Connection),
        (Answer::Undecodable, Failure::Undecodable),
        (Answer::Timeout, Failure::Timeout),
    ]
}

/// A standby with an acquiring PUT in flight, sent at 115 s.
fn acquiring() -> Term {
    let mut term = Term::standby();
    term.pass(15_000);
    assert!(term.writes());
    term
}

/// A standby with a creating apply in flight, sent at 115 s.
fn creating() -> Term {
    let mut term = Term::new();
    term.hear(Happening::Missing { resource_version: None });
    term.pass(15_000);
    assert_eq!(term.written().target, Target::Create);
    term
}

/// A leader that reads the Lease after a conflict; the renewal was sent at 102 s.
fn leader_reading() -> Term {
    let mut term = Term::renewing();
    term.answer(Answer::Conflict);
    assert!(term.reads());
    term
}

#[test]
fn refused_renewal_extends_nothing_and_is_tried_again_after_the_retry_period() {
    for (answer, failure) in refusals() {
        let mut term = Term::renewing();
        term.answer(answer.clone());
        assert_eq!(term.actions, [Action::Failed(failure)], "{answer:?}");
        assert_eq!(term.valid_until_ms(), Some(110_000), "{answer:?}");
        assert_eq!(term.state.wake_at(), Some(ms(104_000)), "{answer:?}");
        term.pass(2_000);
        assert!(term.writes() && !term.reads(), "{answer:?}");
        // If it never gets better, the deadline ends it.
        while term.lost().is_none() {
            if term.state.awaiting().is_some() {
                term.answer(answer.clone());
            }
            let wake = term.state.wake_at().unwrap_or(ms(110_000));
            term.now_ms = wake.0 / 1_000_000;
            term.hear(Happening::Tick);
        }
        assert_eq!((term.lost(), term.now_ms), (Some(Loss::DeadlineExceeded), 110_000));
    }
}

#[test]
fn refused_acquisition_never_leads_and_is_tried_again_ever_more_slowly() {
    for make in [acquiring, creating] {
        for (answer, failure) in refusals() {
            let mut term = make();
            let mut waits = Vec::new();
            for _ in 0..5 {
                let sent = term.now_ms;
                term.answer(answer.clone());
                assert_eq!(term.actions, [Action::Failed(failure)], "{answer:?}");
                term.now_ms = term.state.wake_at().unwrap().0 / 1_000_000;
                term.hear(Happening::Tick);
                assert!(term.writes(), "{answer:?}");
                waits.push((term.now_ms - sent) / 1_000);
            }
            assert_eq!(waits, [2, 4, 8, 15, 15], "{answer:?}");
        }
    }
}

#[test]
fn ambiguous_renewal_is_read_back_and_counts_from_its_own_sending() {
    for (answer, failure) in ambiguous() {
        let mut term = Term::renewing(); // sent at 102 s
        let write = term.written();
        term.now_ms += 700;
        term.answer(answer.clone());
        assert_eq!(term.actions[0], Action::Failed(failure), "{answer:?}");
        assert!(term.reads(), "{answer:?}");
        assert_eq!(term.valid_until_ms(), Some(110_000), "{answer:?}");
        term.now_ms += 300;
        term.answer(Answer::Lease(stored(&write, 12)));
        assert_eq!(term.actions, [Action::Extend { valid_until: ms(112_000) }], "{answer:?}");
    }
}

#[test]
fn ambiguous_acquisition_leads_only_after_it_was_read_back() {
    for make in [acquiring, creating] {
        for (answer, _) in ambiguous() {
            let mut term = make(); // sent at 115 s
            let write = term.written();
            term.answer(answer.clone());
            assert!(term.reads(), "{answer:?}");
            assert_eq!(term.state.phase(), Phase::Standby, "{answer:?}");
            term.now_ms += 400;
            term.answer(Answer::Lease(stored(&write, 12)));
            assert_eq!(term.valid_until_ms(), Some(125_000), "{answer:?}");
        }
    }
}

#[test]
fn ambiguous_acquisition_that_another_won_starts_the_wait_afresh() {
    for (answer, _) in ambiguous() {
        let mut term = acquiring();
        term.answer(answer.clone());
        term.answer(Answer::Lease(view(12, "rynxs-2_c")));
        assert_eq!(term.state.phase(), Phase::Standby);
        assert_eq!(term.state.wake_at(), Some(ms(130_000)), "{answer:?}");
    }
}

#[test]
fn request_without_answer_is_given_up_after_the_request_timeout() {
    let mut term = Term::renewing(); // sent at 102 s
    assert_eq!(term.state.wake_at(), Some(ms(104_000)));
    let write = term.written();
    term.pass(2_000);
    assert_eq!(term.actions[0], Action::Failed(Failure::Timeout));
    assert!(term.reads());
    // The read runs into its timeout as well: another read, no blind write.
    term.pass(2_000);
    assert_eq!(term.actions[0], Action::Failed(Failure::Timeout));
    assert!(term.reads() && !term.writes());
    term.answer(Answer::Lease(stored(&write, 12)));
    assert_eq!(term.valid_until_ms(), Some(112_000));
}

#[test]
fn ambiguous_write_that_was_not_stored_is_sent_again_over_the_fresh_version() {
    let mut term = Term::renewing(); // sent at 102 s
    term.pass(2_000);
    let edited = LeaseView { renew_us: Some(7), ..view(15, ME) };
    term.answer(Answer::Lease(edited));
    let write = term.written();
    let Target::Replace { resource_version, .. } = write.target else {
        panic!("a renewal replaces")
    };
    assert_eq!(resource_version, "15");
    assert_eq!(term.valid_until_ms(), Some(110_000));
}

#[test]
fn each_of_several_open_writes_counts_from_its_own_sending() {
    let mut term = Term::renewing(); // k, sent at 102 s
    let first = term.written();
    term.pass(2_000); // given up; read
    let unchanged = term.state.lease().cloned().unwrap();
    term.answer(Answer::Lease(unchanged)); // not stored so far: k+1, sent at 104 s
    let second = term.written();
    assert_ne!(first.renew_us, second.renew_us);
    term.pass(2_000); // given up; read
    term.answer(Answer::Lease(stored(&first, 12)));
    assert_eq!(term.valid_until_ms(), Some(112_000), "the first was stored, not the second");
}

#[test]
fn late_answer_of_a_write_that_was_given_up_counts_from_its_sending() {
    let mut term = Term::renewing(); // sent at 102 s
    let (id, write) = (term.state.awaiting().unwrap(), term.written());
    term.pass(2_000);
    term.now_ms += 500;
    let answer = Answer::Lease(stored(&write, 12));
    term.hear(Happening::Answered { id, answer: answer.clone() });
    assert_eq!(term.actions, [Action::Extend { valid_until: ms(112_000) }]);
    assert_eq!(term.hear(Happening::Answered { id, answer }), [], "a repeated answer is no news");
}

#[test]
fn watch_that_is_faster_than_the_answer_counts_the_write_once() {
    let mut term = Term::renewing();
    let write = term.written();
    term.hear(Happening::Observed(stored(&write, 12)));
    assert_eq!(term.actions, [Action::Extend { valid_until: ms(112_000) }]);
    assert_eq!(term.answer(Answer::Lease(stored(&write, 12))), []);
    term.pass(2_000);
    assert!(term.writes());
}

#[test]
fn conflict_is_read_at_once_and_then_ever_more_slowly() {
    let mut term = Term::renewing();
    let mut waits = Vec::new();
    for version in 20..26 {
        term.answer(Answer::Conflict);
        let answered = term.now_ms;
        while !term.reads() {
            term.now_ms = term.state.wake_at().unwrap().0.div_ceil(1_000_000);
            term.hear(Happening::Tick);
        }
        // Somebody edits the labels again and again; it is still ours.
        term.answer(Answer::Lease(LeaseView { renew_us: Some(7), ..view(version, ME) }));
        while !term.writes() {
            term.now_ms = term.state.wake_at().unwrap().0.div_ceil(1_000_000);
            term.hear(Happening::Tick);
        }
        waits.push(term.now_ms - answered);
    }
    assert_eq!(waits, [25, 50, 100, 200, 400, 800]);
    assert_eq!(term.lost(), None);
}

#[test]
fn conflict_with_our_own_lost_write_counts_it() {
    let mut term = Term::renewing(); // sent at 102 s; a proxy sent it twice
    let write = term.written();
    term.answer(Answer::Conflict);
    term.answer(Answer::Lease(stored(&write, 12)));
    assert_eq!(term.valid_until_ms(), Some(112_000));
}

#[test]
fn jitter_spreads_waits_by_up_to_a_fifth() {
    let wake = |random| {
        let mut term = Term::renewing();
        term.random = random;
        term.answer(Answer::Forbidden);
        term.state.wake_at().unwrap()
    };
    assert_eq!(wake(0), ms(104_000));
    assert!(wake(1_023) > ms(104_390) && wake(1_023) < ms(104_400));
}

#[test]
fn missing_lease_ends_a_leader_however_it_learns_of_it() {
    let mut by_write = Term::renewing();
    by_write.answer(Answer::NotFound);
    assert_eq!(by_write.lost(), Some(Loss::LeaseMissing));
    let mut by_read = leader_reading();
    by_read.answer(Answer::NotFound);
    assert_eq!(by_read.lost(), Some(Loss::LeaseMissing));
}

#[test]
fn missing_lease_is_missed_for_a_lease_duration_by_a_standby() {
    let mut by_write = acquiring();
    by_write.answer(Answer::NotFound);
    assert_eq!(by_write.actions, [Action::Failed(Failure::NotFound)]);
    assert_eq!(by_write.state.wake_at(), Some(ms(130_000)));
    let mut by_read = acquiring();
    by_read.answer(Answer::Conflict);
    by_read.answer(Answer::NotFound);
    assert_eq!(by_read.state.wake_at(), Some(ms(130_000)));
}

#[test]
fn missing_namespace_is_no_news_about_the_lease() {
    let mut term = creating();
    term.answer(Answer::NotFound);
    assert_eq!(term.actions, [Action::Failed(Failure::NotFound)]);
    assert_eq!(term.state.wake_at(), Some(ms(117_000)), "tried again after P, not after L");
}

#[test]
fn name_taken_at_creation_is_read_and_left_alone() {
    let mut term = creating();
    term.answer(Answer::Conflict);
    assert!(term.reads());
    term.answer(Answer::Lease(view(12, OTHER)));
    assert_eq!(term.state.wake_at(), Some(ms(130_000)));
}

#[test]
fn retry_after_is_honoured_only_within_the_remaining_validity() {
    let throttled = |s| Answer::Throttled { retry_after: Some(Duration::from_secs(s)) };
    for (asked_s, wake_ms) in [
        (1, 104_000),  // less than P: P
        (5, 107_000),  // as asked
        (60, 108_000), // one last try that can still be answered within Q
    ] {
        let mut term = Term::renewing(); // at 102 s, valid until 110 s
        term.answer(throttled(asked_s));
        assert_eq!(term.state.wake_at(), Some(ms(wake_ms)), "{asked_s} s");
    }
    let mut standby = acquiring(); // at 115 s
    standby.answer(throttled(3_600));
    assert_eq!(standby.state.wake_at(), Some(ms(130_000)), "a standby waits for L at most");
}

#[test]
fn failed_read_is_repeated_before_anything_is_written() {
    let answers = refusals().into_iter().chain(ambiguous());
    for (answer, failure) in answers {
        let mut term = leader_reading(); // at 102 s
        term.answer(answer.clone());
        assert_eq!(term.actions, [Action::Failed(failure)], "{answer:?}");
        assert_eq!(term.state.wake_at(), Some(ms(104_000)), "{answer:?}");
        term.pass(2_000);
        assert!(term.reads() && !term.writes(), "{answer:?}");
    }
}

#[test]
fn success_that_does_not_carry_our_write_is_not_believed() {
    let mut term = acquiring();
    term.answer(Answer::Lease(view(12, OTHER)));
    assert_eq!(term.actions[0], Action::Failed(Failure::Undecodable));
    assert!(term.reads());
    assert_eq!(term.state.phase(), Phase::Standby);
}

#[test]
fn release_ends_whatever_it_is_answered_with() {
    let all = refusals().into_iter().chain(ambiguous()).map(|(answer, _)| answer);
    for answer in all.chain([Answer::NotFound]) {
        let mut term = Term::leader();
        let held = term.state.lease().cloned().unwrap();
        term.hear(Happening::Release);
        term.answer(Answer::Lease(held));
        term.answer(answer.clone());
        assert_eq!(term.state.phase(), Phase::Ended(End::Released), "{answer:?}");
    }
}

#[test]
fn release_that_cannot_read_gives_up_after_three_tries() {
    let all = refusals().into_iter().chain(ambiguous()).map(|(answer, _)| answer);
    for answer in all.chain([Answer::Conflict]) {
        let mut term = Term::leader();
        term.hear(Happening::Release);
        let mut reads = 0;
        while !matches!(term.state.phase(), Phase::Ended(_)) {
            if term.state.awaiting().is_some() {
                reads += 1;
                term.answer(answer.clone());
            } else {
                let wake = term.state.wake_at().unwrap();
                term.now_ms = term.now_ms.max(wake.0.div_ceil(1_000_000));
                term.hear(Happening::Tick);
            }
        }
        assert_eq!(reads, 3, "{answer:?}");
        assert!(term.now_ms < 103_000, "{answer:?}");
    }
}

#[test]
fn unanswered_release_is_done_within_the_request_timeouts() {
    let mut term = Term::leader();
    term.hear(Happening::Release);
    term.run_until(110_000);
    assert_eq!(term.state.phase(), Phase::Ended(End::Released));
    let mut term = Term::leader();
    let held = term.state.lease().cloned().unwrap();
    term.hear(Happening::Release);
    term.answer(Answer::Lease(held));
    term.pass(2_000);
    assert_eq!(term.state.phase(), Phase::Ended(End::Released), "an open release is a release");
}
