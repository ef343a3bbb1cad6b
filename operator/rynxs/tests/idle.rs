//! An idle cluster costs nothing but the Lease.
#![cfg(feature = "demo")]
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod stage;

use std::time::Duration;

use rynxs::demo::idle::{Idle, measure};
use rynxs::demo::{DEFAULT_LEASE, EventStore, Plan, probe};
use stage::{folder, plan, world};

/// Everything that was sent, for a failing test.
fn told(idle: &Idle) -> String {
    let sent = idle.requests.iter().map(|sent| format!("{:?} {}\n", sent.kind, sent.count));
    sent.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_cluster_appends_nothing_and_asks_for_its_lease_only() {
    let folder = folder();
    let plan = Plan { lease: DEFAULT_LEASE, ..plan(folder.path(), EventStore::S3, 3) };
    let mut world = world(plan, 100).await;
    let mut log = world.follow().unwrap();
    let span = Duration::from_secs(15);
    let idle = measure(&mut world, &mut log, span).await.unwrap();
    assert_eq!(idle.records, 0, "an idle leader appended");
    // Whatever reaches the store is counted, and is not idle.
    assert!(idle.requests.iter().all(|sent| sent.kind.is_idle()), "{}", told(&idle));
    for sent in idle.requests.iter().filter(|sent| sent.kind.verb == "watch") {
        // Of a kind each replica has one watch at most, which ends at most once in so short a time.
        let most = if sent.kind.resource == "leases" { 2 * 3 } else { 2 };
        assert!(sent.count <= most, "{}", told(&idle));
    }
    let of = |resource: &str, verb: &str| {
        let found =
            idle.requests.iter().find(|one| one.kind.resource == resource && one.kind.verb == verb);
        found.map_or(0, |one| one.count)
    };
    // The leader renews every 2 s, and no standby asks in between. A loaded machine renews less.
    let most = idle.span_ms.div_ceil(2_000) + 1;
    assert!((1..=most).contains(&of("leases", "update")), "{}", told(&idle));
    assert_eq!(of("leases", "get") + of("leases", "list"), 0, "{}", told(&idle));
    all_are_ready_and_one_leads(&mut world).await;
}

/// Standbys are ready, too: a rolling update must not wait for leadership.
async fn all_are_ready_and_one_leads(world: &mut rynxs::demo::World) {
    let (mut leaders, mut standbys) = (0, 0);
    for replica in &mut world.replicas {
        let address = replica.address().await.unwrap();
        for path in ["/readyz", "/livez"] {
            assert!(probe::get(&address, path).await.is_some(), "{} {path}", replica.name());
        }
        let metrics = probe::get(&address, "/metrics").await.unwrap();
        match probe::metric(&metrics, "rynxs_leader_election_status") {
            Some(1.0) => leaders += 1,
            Some(0.0) => standbys += 1,
            other => panic!("{}: {other:?}\n{metrics}", replica.name()),
        }
    }
    assert_eq!((leaders, standbys), (1, 2));
}
