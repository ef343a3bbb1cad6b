//! The holes of client-go's leader election, each as a test that this machine does not have it.
//! (`tools/leaderelection/leaderelection.go` and controller-runtime's use of it.)

use super::*;

/// client-go gives up `RetryPeriod + RenewDeadline` after the *answer*; a slow answer then reaches
/// beyond the moment at which a follower may take over.
#[test]
fn hole_a_slow_renewal_answer_does_not_lengthen_validity() {
    let mut term = Term::renewing(); // sent at 102 s
    let write = term.written();
    term.now_ms += 1_900;
    term.answer(Answer::Lease(stored(&write, 12)));
    assert_eq!(term.valid_until_ms(), Some(112_000));
}

/// A client-go leader whose read shows another holder goes on polling until its deadline.
#[test]
fn hole_b_foreign_holder_ends_leadership_at_once() {
    let mut by_watch = Term::leader();
    by_watch.hear(Happening::Observed(view(12, OTHER)));
    assert_eq!(
        by_watch.actions,
        [Action::StopLeading, Action::Ended(End::Lost(Loss::ForeignHolder))]
    );
    let mut by_read = Term::renewing();
    by_read.answer(Answer::Conflict);
    assert!(by_read.reads(), "a conflict is looked into at once");
    by_read.answer(Answer::Lease(view(12, OTHER)));
    assert_eq!(by_read.lost(), Some(Loss::ForeignHolder));
    let mut blanked = Term::leader();
    blanked.hear(Happening::Observed(view(12, "")));
    assert_eq!(blanked.lost(), Some(Loss::ForeignHolder));
}

/// With client-go any candidate that finds no Lease creates it and leads, beside the old leader.
#[test]
fn hole_c_deleted_lease_is_created_anew_only_after_a_lease_duration() {
    let mut leader = Term::leader();
    leader.hear(Happening::Missing { resource_version: Some("12".to_owned()) });
    assert_eq!(leader.lost(), Some(Loss::LeaseMissing));

    let mut standby = Term::standby();
    standby.hear(Happening::Missing { resource_version: Some("12".to_owned()) });
    assert_eq!(standby.run_until(114_999), []);
    // Hearing of it again does not count from anew.
    standby.hear(Happening::Missing { resource_version: None });
    standby.pass(1);
    assert_eq!(standby.written().target, Target::Create);
}

/// And an empty Lease that somebody put in its place is no release.
#[test]
fn hole_c_recreated_lease_is_not_trusted_to_be_free() {
    let recreated = LeaseView { uid: Uid::from("u2"), ..view(13, "") };
    let mut standby = Term::standby();
    standby.now_ms += 1_000;
    standby.hear(Happening::Observed(recreated.clone()));
    assert_eq!(standby.state.wake_at(), Some(ms(116_000)));
    let mut after_gap = Term::standby();
    after_gap.hear(Happening::Missing { resource_version: Some("12".to_owned()) });
    after_gap.now_ms += 3_000;
    after_gap.hear(Happening::Observed(recreated));
    assert_eq!(after_gap.state.wake_at(), Some(ms(115_000)));
    let mut leader = Term::leader();
    leader.hear(Happening::Observed(LeaseView { uid: Uid::from("u2"), ..view(13, ME) }));
    assert_eq!(leader.lost(), Some(Loss::LeaseReplaced));
}

/// client-go checks the holder in its *old* record but writes over the *new* version, so a deposed
/// leader can blank its successor's Lease.
#[test]
fn hole_d_deposed_leader_does_not_release_its_successors_lease() {
    let mut term = Term::leader();
    term.hear(Happening::Release);
    term.answer(Answer::Lease(view(12, OTHER)));
    assert_eq!(term.actions, [Action::Ended(End::Released)]);
    // And if the successor comes between read and write, the version refuses the write.
    let mut term = Term::leader();
    let held = term.state.lease().cloned().unwrap();
    term.hear(Happening::Release);
    term.answer(Answer::Lease(held));
    let Target::Replace { resource_version, .. } = term.written().target else {
        panic!("a release replaces")
    };
    assert_eq!(resource_version, "11");
    term.answer(Answer::Conflict);
    assert!(term.reads(), "read again, not written blindly");
    term.answer(Answer::Lease(view(12, OTHER)));
    assert_eq!(term.actions, [Action::Ended(End::Released)]);
}

/// A client-go process that restarts under its old identity goes on leading at once.
#[test]
fn hole_e_restarted_replica_does_not_resume_its_predecessors_term() {
    let mut restarted = Term::new();
    restarted.hear(Happening::Observed(view(10, "rynxs-0_before")));
    assert_eq!(restarted.run_until(114_999), []);
    restarted.pass(1);
    assert_eq!(restarted.written().transitions, 4, "a new term is a transition");
}

/// Requests of the old leader that are still under way reach the server after it stopped: they
/// must find the version changed.
#[test]
fn hole_f_late_renewal_of_the_old_leader_names_the_version_it_saw() {
    let old = Term::renewing();
    let Target::Replace { uid, resource_version, .. } = old.written().target else {
        panic!("a renewal replaces")
    };
    assert_eq!((uid.as_str(), resource_version.as_str()), ("u1", "11"));
    // The successor's write over version 11 makes it 12, so the late one is refused by the store
    // (`property.rs` has such stores); and its guard is closed from its deadline on.
    let mut old = old;
    old.run_until(110_000);
    assert_eq!(old.state.valid_until(), None);
}
