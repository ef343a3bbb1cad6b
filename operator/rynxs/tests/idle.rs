//! An idle cluster costs nothing but the Lease.
#![cfg(feature = "demo")]
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::time::Duration;

use rynxs::demo::{EventStore, Plan, Story, World, create_agents, namespace, probe, settled};

/// Requests of a replica to the API server, by their labels.
async fn requests(address: &str) -> BTreeMap<String, u64> {
    let text = probe::get(address, "/metrics").await.unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("rynxs_kubernetes_requests_total"))
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(labels, count)| (labels.to_owned(), count.parse().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_leader_appends_nothing_and_asks_for_its_lease_only() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        binary: env!("CARGO_BIN_EXE_rynxs").into(),
        folder: folder.path().to_owned(),
        api_port: 0,
        s3_port: 0,
        event_store: EventStore::S3,
        replicas: 1,
        seed: 1,
        policies: true,
        environment: Vec::new(),
    };
    let mut world = World::start(plan, Story::begin(true)).await.unwrap();
    world.start_replica("rynxs-1").await.unwrap();
    namespace(&world.user, "demo").await.unwrap();
    create_agents(&world.user, 0, 20).await.unwrap();
    settled(&mut world, Duration::from_secs(90)).await.unwrap();
    // Status writes and Kubernetes Events may trail what they tell of.
    tokio::time::sleep(Duration::from_secs(5)).await;

    let address = world.replicas[0].address().await.unwrap();
    let (model, _) = world.store.as_ref().unwrap();
    let (before, puts) = (requests(&address).await, model.history().len());
    tokio::time::sleep(Duration::from_secs(15)).await;
    let after = requests(&address).await;
    assert_eq!(model.history().len(), puts, "an idle leader wrote to the log's store");
    let mut leases = 0;
    for (labels, count) in &after {
        let more = count - before.get(labels).copied().unwrap_or(0);
        if labels.contains("resource=\"leases\"") {
            leases += more;
        } else {
            // A watch that the server ended is begun again.
            assert!(more == 0 || labels.contains("verb=\"watch\""), "{labels}: {more}");
        }
    }
    // One renewal a second in this world.
    assert!((10..=20).contains(&leases), "{leases} requests about the Lease in 15 s");
}
