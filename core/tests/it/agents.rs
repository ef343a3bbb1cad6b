//! Agents: from nothing to running, edits, drift, failure, suspension, retained workspaces.

use rynxs_core::event::{ChildState, Drift, Event, FailureReason};
use rynxs_core::ids::{Hash, Kind, ObjectRef, Uid};
use rynxs_core::resource::{AgentSpec, OperatingMode, Role, children};
use serde_json::json;

use crate::book::{BASE, Book, key, settings, worker};

fn gone(name: &str, uid: &str) -> Event {
    Event::AgentDeleted { agent: children::agent(&key(name)), uid: Uid::from(uid) }
}

fn running(name: &str, spec: AgentSpec) -> Book {
    let mut book = Book::new();
    book.see_agent(name, "u1", 1, spec);
    book.settle();
    book
}

#[test]
fn an_agent_becomes_four_objects_in_order_and_its_runtime_starts_last() {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    assert_eq!(
        book.agent_pending("a"),
        [
            "Create ConfigMap ObjectMissing",
            "Create NetworkPolicy ObjectMissing",
            "Create PersistentVolumeClaim ObjectMissing",
            "Create Deployment ObjectMissing",
            "Activate Deployment Started",
        ]
    );
    for _ in 0..4 {
        book.perform_one();
    }
    assert_eq!(book.live(&children::runtime(&key("a")))["spec"]["replicas"], 0);
    book.perform_one();
    assert_eq!(book.live(&children::runtime(&key("a")))["spec"]["replicas"], 1);
    assert!(book.agent_pending("a").is_empty());
}

#[test]
fn from_nothing_to_ready_costs_at_most_eight_events() {
    let mut book = Book::new();
    let before = book.events();
    book.see_agent("a", "u1", 1, worker());
    book.settle();
    let claim = children::workspace(&key("a"));
    let uid = book.uid_of(&claim);
    book.see(Event::ChildObserved { object: claim, uid, state: ChildState::VolumeBound });
    assert_eq!(book.events() - before, 8);
}

#[test]
fn seeing_the_same_agent_again_is_no_news_at_any_point() {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    loop {
        let records = book.records.len();
        book.see_agent("a", "u1", 1, worker());
        assert_eq!(book.records.len(), records, "a resync appended something");
        if !book.perform_one() {
            break;
        }
    }
}

#[test]
fn an_edit_rewrites_only_what_it_changes() {
    let mut book = running("a", worker());
    let spec = AgentSpec {
        egress: serde_json::from_value(json!([{ "cidr": "10.0.0.0/8" }])).unwrap(),
        ..worker()
    };
    book.see_agent("a", "u1", 2, spec);
    assert_eq!(book.agent_pending("a"), ["Update NetworkPolicy SpecChanged"]);
    book.settle();
    let policy = book.live(&children::agent_network(&key("a")));
    assert_eq!(policy["spec"]["egress"][1]["to"][0]["ipBlock"]["cidr"], "10.0.0.0/8");
}

#[test]
fn an_edit_replaces_what_is_pending_and_says_so() {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    book.perform_one();
    let spec = AgentSpec { team: Some("blue".to_owned()), ..worker() };
    book.see_agent("a", "u1", 2, spec);
    let last = book.records.last().unwrap();
    assert!(
        matches!(&last[1], Event::ActionSuperseded { actions, .. } if *actions == [1, 2, 3, 4]),
        "{last:?}"
    );
    assert!(matches!(&last[2], Event::ActionsDecided { actions, .. } if actions.len() == 5));
    book.settle();
    assert_eq!(
        book.live(&children::runtime(&key("a")))["metadata"]["labels"]["rynxs.universe.ai/team"],
        "blue"
    );
}

#[test]
fn suspending_and_resuming_touches_the_deployment_alone() {
    let mut book = running("a", worker());
    let suspended = AgentSpec { operating_mode: OperatingMode::Suspended, ..worker() };
    book.see_agent("a", "u1", 2, suspended);
    assert_eq!(book.agent_pending("a"), ["Update Deployment Suspended"]);
    book.settle();
    assert_eq!(book.live(&children::runtime(&key("a")))["spec"]["replicas"], 0);
    book.see_agent("a", "u1", 3, worker());
    assert_eq!(book.agent_pending("a"), ["Activate Deployment Resumed"]);
}

#[test]
fn an_agent_created_suspended_runs_nothing() {
    let suspended = AgentSpec { operating_mode: OperatingMode::Suspended, ..worker() };
    let book = running("a", suspended);
    assert_eq!(book.live(&children::runtime(&key("a")))["spec"]["replicas"], 0);
}

#[test]
fn a_failover_with_the_same_logic_and_settings_decides_nothing() {
    let mut book = running("a", worker());
    book.see_agent("b", "u2", 1, worker());
    book.perform_one();
    assert!(book.epoch(settings()).is_empty());
    let records = book.records.len();
    book.see_agent("a", "u1", 1, worker());
    book.see_agent("b", "u2", 1, worker());
    assert_eq!(book.records.len(), records);
}

#[test]
fn a_pod_sees_the_epoch_in_which_its_template_last_changed() {
    let mut book = running("a", worker());
    let epoch_of = |book: &Book| {
        let live = book.live(&children::runtime(&key("a")));
        let env = live["spec"]["template"]["spec"]["containers"][0]["env"].clone();
        let found = env.as_array().unwrap().iter().find(|var| var["name"] == "RYNXS_EPOCH");
        found.unwrap()["value"].as_str().unwrap().parse::<u64>().unwrap()
    };
    let first = epoch_of(&book);
    assert_eq!(first, BASE + 1);
    book.epoch(settings());
    let managed = AgentSpec { permissions: [("read".to_owned(), true)].into(), ..worker() };
    book.see_agent("a", "u1", 2, managed);
    book.settle();
    assert_eq!(epoch_of(&book), first, "only the ConfigMap changed");
    let team = AgentSpec { team: Some("blue".to_owned()), ..worker() };
    book.see_agent("a", "u1", 3, team);
    let epoch = book.state.epoch().unwrap().epoch.0;
    book.settle();
    assert_eq!(epoch_of(&book), epoch);
    assert!(epoch > first);
}

#[test]
fn a_changed_setting_is_carried_out_agent_by_agent_as_each_is_seen() {
    let mut book = running("a", worker());
    let mut other = settings();
    other.default_image = "ghcr.io/rynxs/agent:v0.2.0".to_owned();
    assert!(book.epoch(other).is_empty(), "settled agents are not decided in the epoch's record");
    book.see_agent("a", "u1", 1, worker());
    assert_eq!(book.agent_pending("a"), ["Update Deployment LogicChanged"]);
    book.settle();
    let records = book.records.len();
    book.see_agent("a", "u1", 1, worker());
    assert_eq!(book.records.len(), records);
}

#[test]
fn a_changed_setting_supersedes_what_is_pending_in_the_epochs_own_record() {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    let mut other = settings();
    other.default_image = "ghcr.io/rynxs/agent:v0.2.0".to_owned();
    let follow_ups = book.epoch(other);
    assert_eq!(follow_ups.len(), 2, "{follow_ups:?}");
    book.settle();
    let live = book.live(&children::runtime(&key("a")));
    assert_eq!(
        live["spec"]["template"]["spec"]["containers"][0]["image"],
        "ghcr.io/rynxs/agent:v0.2.0"
    );
}

#[test]
fn an_invalid_spec_is_not_acted_on_and_the_last_valid_one_stays() {
    let mut book = running("a", worker());
    let mut bad = worker();
    bad.workspace.size = "huge".to_owned();
    bad.team = Some("blue".to_owned());
    book.see_agent("a", "u1", 2, bad);
    assert!(book.agent_pending("a").is_empty());
    let agent = book.state.agent(&key("a")).unwrap();
    assert!(!agent.valid);
    assert_eq!(agent.spec(), Some(&worker()));
    let problems = agent.problems(&key("a"));
    assert_eq!(problems[0].field, "spec.workspace.size");
    book.see_agent("a", "u1", 3, worker());
    assert!(book.state.agent(&key("a")).unwrap().valid);
    assert!(book.agent_pending("a").is_empty());
}

#[test]
fn a_workspace_neither_shrinks_nor_changes_its_class() {
    let mut book = running("a", worker());
    let mut smaller = worker();
    smaller.workspace.size = "1023Mi".to_owned();
    smaller.workspace.storage_class_name = Some("fast".to_owned());
    book.see_agent("a", "u1", 2, smaller);
    let problems = book.state.agent(&key("a")).unwrap().problems(&key("a"));
    let fields: Vec<_> = problems.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["spec.workspace.size", "spec.workspace.storageClassName"]);
    let mut larger = worker();
    larger.workspace.size = "2Gi".to_owned();
    book.see_agent("a", "u1", 3, larger);
    assert_eq!(book.agent_pending("a"), ["Update PersistentVolumeClaim SpecChanged"]);
}

#[test]
fn drift_is_repaired_once_however_often_it_is_seen() {
    let mut book = running("a", worker());
    let object = children::runtime(&key("a"));
    let uid = book.uid_of(&object);
    let drift = Event::DriftObserved {
        object: object.clone(),
        drift: Drift::Changed { uid, projection: Hash([7; 32]) },
    };
    assert!(book.see(drift.clone()).is_some());
    assert_eq!(book.agent_pending("a"), ["Update Deployment DriftRepaired"]);
    assert!(book.see(drift).is_none());
    book.settle();
}

#[test]
fn drift_that_an_apply_cannot_take_away_is_repaired_by_a_new_object() {
    let mut book = running("a", worker());
    let object = children::runtime(&key("a"));
    let uid = book.uid_of(&object);
    let projection = Hash([7; 32]);
    let drift = Drift::Changed { uid: uid.clone(), projection };
    book.see(Event::DriftObserved { object, drift });
    let subject = children::agent(&key("a"));
    let pending = book.state.pending(&subject)[0].clone();
    // The sidecar survived the apply: the projection is still the drifted one.
    book.record(Event::ActionApplied {
        decision: pending.decision,
        subject,
        action: pending.index,
        uid,
        projection,
    });
    assert_eq!(
        book.agent_pending("a"),
        [
            "Delete Deployment DriftRepaired",
            "Create Deployment DriftRepaired",
            "Activate Deployment Started",
        ]
    );
    book.settle();
    assert!(book.agent_pending("a").is_empty());
}

#[test]
fn a_missing_object_is_created_again_and_a_late_report_of_its_loss_is_no_news() {
    let mut book = running("a", worker());
    let object = children::runtime(&key("a"));
    let (uid, _) = book.cluster.remove(&object).unwrap();
    let missing = Event::DriftObserved { object, drift: Drift::Missing { uid } };
    assert!(book.see(missing.clone()).is_some());
    assert_eq!(
        book.agent_pending("a"),
        ["Create Deployment ObjectMissing", "Activate Deployment Started"]
    );
    book.settle();
    assert!(book.see(missing).is_none());
}

#[test]
fn a_taken_name_stops_what_depends_on_it_until_the_name_is_free() {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    let subject = children::agent(&key("a"));
    book.perform_one();
    book.fail_next(&subject, FailureReason::NameConflict);
    assert!(book.agent_pending("a").is_empty(), "nothing is written behind a missing policy");
    let object = children::agent_network(&key("a"));
    assert!(book.state.agent(&key("a")).unwrap().failures.contains_key(&object));
    let free = Event::DriftObserved { object, drift: Drift::Missing { uid: Uid::default() } };
    assert!(book.see(free).is_some());
    assert_eq!(book.agent_pending("a")[0], "Create NetworkPolicy ObjectMissing");
    book.settle();
    assert!(book.state.agent(&key("a")).unwrap().failures.is_empty());
}

#[test]
fn an_update_of_something_gone_leads_to_a_new_object() {
    let mut book = running("a", worker());
    book.see_agent("a", "u1", 2, AgentSpec { team: Some("blue".to_owned()), ..worker() });
    let subject = children::agent(&key("a"));
    book.cluster.remove(&children::agent_config(&key("a")));
    book.fail_next(&subject, FailureReason::ObjectGone);
    assert_eq!(book.agent_pending("a")[0], "Create ConfigMap ObjectMissing");
    book.settle();
}

#[test]
fn a_deleted_agent_ends_what_is_pending_and_its_objects_are_forgotten() {
    let mut book = Book::new();
    book.see_agent("a", "u1", 1, worker());
    book.perform_one();
    let follow_ups = book.record(gone("a", "u1"));
    assert!(matches!(&follow_ups[..], [Event::ActionSuperseded { .. }]), "{follow_ups:?}");
    assert_eq!(book.state.objects().count(), 0);
    assert_eq!(book.state.pending_subjects().count(), 0);
    assert!(book.see(gone("a", "u1")).is_none());
}

#[test]
fn an_agent_deleted_and_recreated_between_two_looks_is_a_new_one() {
    let mut book = running("a", worker());
    book.cluster.clear();
    book.see_agent("a", "u2", 1, worker());
    assert_eq!(book.agent_pending("a").len(), 5);
    book.settle();
    let config = book.live(&children::agent_config(&key("a")));
    assert_eq!(config["metadata"]["ownerReferences"][0]["uid"], "u2");
}

#[test]
fn a_retained_workspace_has_no_owner_and_is_adopted_by_the_next_agent_of_its_name() {
    let mut spec = worker();
    spec.workspace.retain = true;
    let mut book = running("a", spec.clone());
    let claim = children::workspace(&key("a"));
    assert!(book.live(&claim)["metadata"].get("ownerReferences").is_none());
    let note = &book.live(&claim)["metadata"]["annotations"]["rynxs.universe.ai/retained-for"];
    assert_eq!(note, "team-a/a");
    book.record(gone("a", "u1"));
    book.cluster.retain(|object, _| *object == claim);
    assert!(book.state.object(&claim).is_some());
    let unwanted = Drift::Unwanted { uid: book.uid_of(&claim) };
    assert!(book.see(Event::DriftObserved { object: claim.clone(), drift: unwanted }).is_none());
    book.see_agent("a", "u2", 1, spec);
    assert!(
        book.agent_pending("a")
            .contains(&"Update PersistentVolumeClaim WorkspaceAdopted".to_owned())
    );
    book.settle();
    assert_eq!(book.state.object(&claim).unwrap().owner_uid, Uid::from("u2"));
}

#[test]
fn an_unwanted_object_is_deleted_once() {
    let mut book = running("a", worker());
    let object = ObjectRef::new(Kind::Deployment, "team-a", "ghost-runtime");
    let uid = Uid::from("ghost");
    book.cluster.insert(object.clone(), (uid.clone(), json!({})));
    let drift = Event::DriftObserved { object: object.clone(), drift: Drift::Unwanted { uid } };
    assert!(book.see(drift.clone()).is_some());
    assert_eq!(book.pending(&object), ["Delete Deployment NotWanted"]);
    assert!(book.see(drift).is_none());
    book.settle();
    assert!(!book.cluster.contains_key(&object));
}

#[test]
fn roles_decide_whom_an_agent_reaches_and_who_reaches_it() {
    let manager = AgentSpec {
        role: Role::Manager,
        manages: vec!["a".to_owned(), "b".to_owned()],
        ..worker()
    };
    let director = AgentSpec { role: Role::Director, ..worker() };
    let mut book = running("a", worker());
    book.see_agent("m", "u2", 1, manager);
    book.see_agent("d", "u3", 1, director);
    book.settle();
    let policy = |name: &str| book.live(&children::agent_network(&key(name)))["spec"].clone();
    for name in ["a", "m", "d"] {
        assert_eq!(policy(name)["policyTypes"], json!(["Ingress", "Egress"]));
        assert_eq!(policy(name)["egress"][0]["ports"][0]["port"], 53, "{name} reaches DNS");
    }
    assert_eq!(policy("a")["egress"].as_array().unwrap().len(), 1);
    let reached = |name: &str| policy(name)["egress"][1]["to"][0]["podSelector"].clone();
    assert_eq!(reached("m")["matchExpressions"][0]["values"], json!(["a", "b"]));
    assert_eq!(reached("d")["matchExpressions"][0]["operator"], "Exists");
    let admitted = |name: &str| {
        let from = policy(name)["ingress"][0]["from"][0]["podSelector"].clone();
        from["matchExpressions"][0]["values"].clone()
    };
    assert_eq!(admitted("a"), json!(["director", "manager"]));
    assert_eq!(admitted("d"), json!(["director"]));
}
