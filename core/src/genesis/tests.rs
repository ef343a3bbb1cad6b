//! Which log goes with which cluster, case by case.

use super::*;
use crate::ids::Kind;

const PLACE: &str = "s3://bucket/events";

fn object(name: &str) -> ObjectRef {
    ObjectRef::new(Kind::Deployment, "default", name)
}

fn seen(stamps: &[(&str, u64, &str)]) -> ClusterStamps {
    let mut seen = ClusterStamps::new();
    for (name, stamp, log) in stamps {
        seen.managed(&object(name), Some(&stamp.to_string()), Some(log)).unwrap();
    }
    seen
}

fn check(seen: &ClusterStamps) -> Result<(), Box<LineageError>> {
    let predecessors = [LogId::from("older")];
    let own = LogId::from("own");
    Lineage {
        log_id: &own,
        base: 2_000_000,
        predecessors: &predecessors,
        next_seq: Seq(10),
        epoch: Epoch(2_000_004),
        place: PLACE,
    }
    .check(seen)
}

#[test]
fn an_untouched_cluster_starts_at_zero() {
    let fresh = start(&ClusterStamps::new(), OnMissingLog::Refuse, PLACE);
    assert_eq!(fresh, Ok(Genesis { base: 0, predecessors: Vec::new() }));
}

#[test]
fn a_base_is_a_million_above_everything_and_round() {
    for (highest, base) in [
        (1, 2_000_000),
        (999_999, 2_000_000),
        (1_000_000, 2_000_000),
        (1_000_001, 3_000_000),
        (5_500_000, 7_000_000),
    ] {
        let stamps = seen(&[("a", highest, "x"), ("b", 1, "y")]);
        let genesis = start(&stamps, OnMissingLog::Adopt, PLACE).unwrap();
        assert_eq!(genesis.base, base, "above {highest}");
        assert_eq!(genesis.predecessors, [LogId::from("x"), LogId::from("y")]);
        let mut epochs = ClusterStamps::new();
        epochs.controller_epoch(&object("a"), Epoch(highest));
        let genesis = start(&epochs, OnMissingLog::Adopt, PLACE).unwrap();
        assert_eq!(genesis, Genesis { base, predecessors: Vec::new() });
    }
}

#[test]
fn an_empty_log_beside_stamped_objects_is_refused_in_clear_words() {
    let error = start(&seen(&[("a", 7, "lost")]), OnMissingLog::Refuse, PLACE).unwrap_err();
    let words = error.to_string();
    for part in [PLACE, "1 object(s)", "log lost", "up to 7", "Deployment/default/a", "adopt"] {
        assert!(words.contains(part), "{part} is missing in: {words}");
    }
    let mut epochs = ClusterStamps::new();
    epochs.controller_epoch(&object("a"), Epoch(3));
    let error = start(&epochs, OnMissingLog::Refuse, PLACE).unwrap_err();
    assert!(error.to_string().contains("controllerEpoch 3"), "{error}");
}

#[test]
fn a_number_without_room_above_it_is_refused() {
    for number in [MAX_STAMP, MAX_STAMP - MAX_SEQ.0] {
        let error = start(&seen(&[("a", number, "x")]), OnMissingLog::Adopt, PLACE).unwrap_err();
        assert_eq!(*error, LineageError::TooHigh { object: object("a"), number });
    }
}

#[test]
fn stamps_of_the_log_and_of_its_predecessors_are_accepted() {
    let mut stamps = seen(&[("a", 2_000_009, "own"), ("b", 1_999_999, "older")]);
    stamps.controller_epoch(&object("a"), Epoch(2_000_004));
    assert_eq!(check(&stamps), Ok(()));
    assert_eq!(check(&ClusterStamps::new()), Ok(()));
}

#[test]
fn a_cut_log_is_refused() {
    let error = check(&seen(&[("a", 2_000_010, "own"), ("b", 2_000_001, "own")])).unwrap_err();
    let LineageError::CutStamp { object: at, record, next, .. } = &*error else {
        panic!("{error:?}")
    };
    assert_eq!((at, *record, *next), (&object("a"), 10, Seq(10)));
    assert!(error.to_string().contains("record 10 of log own"), "{error}");
    let mut stamps = ClusterStamps::new();
    stamps.controller_epoch(&object("a"), Epoch(2_000_005));
    assert!(matches!(*check(&stamps).unwrap_err(), LineageError::CutEpoch { .. }));
}

#[test]
fn another_installation_is_refused_and_named() {
    let error = check(&seen(&[("a", 5, "theirs"), ("b", 6, "theirs")])).unwrap_err();
    let words = error.to_string();
    for part in ["Deployment/default/b", "log theirs", "log own", "2 object(s)", "namespaces"] {
        assert!(words.contains(part), "{part} is missing in: {words}");
    }
}

#[test]
fn a_predecessor_that_is_still_written_to_is_refused() {
    let error = check(&seen(&[("a", 2_000_000, "older")])).unwrap_err();
    assert!(matches!(*error, LineageError::PredecessorAlive { .. }), "{error:?}");
}

#[test]
fn annotations_are_read_strictly() {
    let mut seen = ClusterStamps::new();
    seen.managed(&object("plain"), None, None).unwrap();
    assert!(seen.is_empty());
    for (stamp, log, annotation) in [
        (Some("x"), Some("l"), crate::names::STAMP),
        (Some("+1"), Some("l"), crate::names::STAMP),
        (Some("-1"), Some("l"), crate::names::STAMP),
        (Some("9007199254740992"), Some("l"), crate::names::STAMP),
        (None, Some("l"), crate::names::STAMP),
        (Some("1"), None, crate::names::LOG),
        (Some("1"), Some(""), crate::names::LOG),
    ] {
        let error = seen.managed(&object("a"), stamp, log).unwrap_err();
        assert_eq!(error.annotation, annotation, "{stamp:?} {log:?}");
        assert!(seen.is_empty());
    }
}
