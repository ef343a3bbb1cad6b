//! What a restart may and may not do: everything dead at once, a lost log, a damaged log.

#![cfg(feature = "demo")]
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rynxs::cli::{Next, open, verify};
use rynxs::demo::{
    ACCOUNT, BUCKET, EventStore, HOME, PREFIX, Plan, Story, World, agent, create_agents,
    edit_agent, namespace, probe, settled,
};
use rynxs_core::chain::Chain;
use rynxs_core::replay::Replayer;

const PATIENCE: Duration = Duration::from_secs(90);

fn plan(folder: &Path, event_store: EventStore, replicas: u32) -> Plan {
    Plan {
        binary: env!("CARGO_BIN_EXE_rynxs").into(),
        folder: folder.to_owned(),
        api_port: 0,
        s3_port: 0,
        event_store,
        replicas,
        seed: 1,
        policies: true,
        environment: std::env::var("LOG_LEVEL")
            .map(|v| ("LOG_LEVEL".to_owned(), v))
            .into_iter()
            .collect(),
    }
}

/// A folder that stays if `KEEP` is set, to read what the replicas said.
fn folder() -> tempfile::TempDir {
    let keep = std::env::var_os("KEEP").is_some();
    tempfile::Builder::new().prefix("rynxs-restart-").disable_cleanup(keep).tempdir().unwrap()
}

/// A world with some settled agents.
async fn world(folder: &Path, event_store: EventStore, replicas: u32, agents: usize) -> World {
    let plan = plan(folder, event_store, replicas);
    let mut world = World::start(plan, Story::begin(true)).await.unwrap();
    start(&mut world, replicas).await;
    namespace(&world.user, "demo").await.unwrap();
    create_agents(&world.user, 0, agents).await.unwrap();
    settled(&mut world, PATIENCE).await.unwrap();
    world
}

async fn start(world: &mut World, replicas: u32) {
    for number in 1..=replicas {
        world.start_replica(&format!("rynxs-{number}")).await.unwrap();
    }
}

async fn kill_all(world: &mut World) {
    for replica in &mut world.replicas {
        replica.kill().await.unwrap();
    }
    world.replicas.clear();
}

/// The log as it is now, reduced.
async fn replayed(world: &World) -> (Chain, Replayer) {
    let mut reader = open(&world.location(), world.bucket(), None).unwrap();
    let (mut chain, mut replay) = (Chain::new(), Replayer::new());
    while let Next::Record(bytes) = reader.next().await.unwrap() {
        replay.push(&chain.push(&bytes).unwrap()).unwrap();
    }
    (chain, replay)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_killed_at_once_go_on_with_what_has_no_outcome() {
    let folder = folder();
    let mut world = world(folder.path(), EventStore::S3, 3, 4).await;
    for number in 0..4 {
        edit_agent(&world.user, &agent(number), "before the kill").await.unwrap();
    }
    create_agents(&world.user, 4, 4).await.unwrap();
    kill_all(&mut world).await;
    let writes_before = world.api.history().len() as u64;
    let (chain, replay) = replayed(&world).await;
    let base = chain.base().unwrap();
    let first_new = base + chain.next_seq().0;
    let pending: BTreeSet<u64> = replay
        .state()
        .pending_subjects()
        .flat_map(|subject| replay.state().pending(subject))
        .map(|action| base + action.decision.0)
        .collect();

    start(&mut world, 3).await;
    settled(&mut world, PATIENCE).await.unwrap();
    let operator = format!("system:serviceaccount:{HOME}:{ACCOUNT}");
    for write in world.api.history_since(writes_before) {
        let Some(stamp) = write.stamp_sent.as_ref().filter(|_| write.user == operator) else {
            continue;
        };
        let stamp: u64 = stamp.parse().unwrap();
        assert!(
            stamp >= first_new || pending.contains(&stamp),
            "{} {} was written again for decision {stamp}, which had its outcome",
            write.kind,
            write.name
        );
    }
    // Replay refuses a second decision or outcome for an action that has one.
    let mut reader = open(&world.location(), world.bucket(), None).unwrap();
    let (verified, _) = verify(&mut reader, |_, _| {}).await.unwrap();
    assert_eq!(verified.epochs, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_log_is_refused_and_only_adopted_above_every_stamp() {
    let folder = folder();
    let mut world = world(folder.path(), EventStore::S3, 1, 2).await;
    kill_all(&mut world).await;
    let (chain, _) = replayed(&world).await;
    let highest = chain.base().unwrap() + chain.next_seq().0;
    let (model, _) = world.store.as_ref().unwrap();
    for key in model.objects(BUCKET).keys() {
        assert!(model.erase(BUCKET, key));
    }

    start(&mut world, 1).await;
    let said = said(&mut world, "onMissingLog").await;
    assert!(said.contains(chain.log_id().unwrap().as_str()), "{said}");
    let address = world.replicas[0].address().await.unwrap();
    assert_eq!(probe::get(&address, "/readyz").await, None, "a refused log is not ready");
    let (model, _) = world.store.as_ref().unwrap();
    assert!(model.objects(BUCKET).keys().all(|key| !key.starts_with(PREFIX)), "{said}");
    kill_all(&mut world).await;

    world.set("ON_MISSING_LOG", "adopt");
    start(&mut world, 1).await;
    edit_agent(&world.user, &agent(0), "after the adoption").await.unwrap();
    settled(&mut world, PATIENCE).await.unwrap();
    let (adopted, _) = replayed(&world).await;
    assert!(adopted.base().unwrap() > highest, "{:?}", adopted.base());
    assert_ne!(adopted.log_id(), chain.log_id());
}

/// Waits until the replica has logged a line with these words; returns the line.
async fn said(world: &mut World, words: &str) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(world.replicas[0].log()).unwrap();
        if let Some(line) = text.lines().find(|line| line.contains(words)) {
            return line.to_owned();
        }
        world.wait_a_little(until, &format!("the replica says {words}")).await.unwrap();
    }
}

/// The segments of a local log, oldest first.
fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "jsonl"))
        .collect();
    paths.sort();
    paths
}

/// Starts the replica on a damaged log; returns what it said before it ended.
async fn refusal(world: &mut World) -> String {
    let until = Instant::now() + PATIENCE;
    start(world, 1).await;
    loop {
        if let Err(failure) = world.replicas[0].must_run().await {
            assert!(failure.message.contains("exit status: 4"), "{failure}");
            return failure.message;
        }
        assert!(Instant::now() < until, "a damaged log was not refused");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_last_line_is_repaired_and_recorded() {
    let folder = folder();
    let mut world = world(folder.path(), EventStore::File, 1, 2).await;
    create_agents(&world.user, 2, 4).await.unwrap();
    kill_all(&mut world).await;
    let newest = segments(folder.path()).pop().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    bytes.extend_from_slice(b"{\"event_hash\":\"00");
    std::fs::write(&newest, bytes).unwrap();
    start(&mut world, 1).await;
    settled(&mut world, PATIENCE).await.unwrap();
    let mut log = world.follow().unwrap();
    log.catch_up().await.unwrap();
    assert_eq!(log.repairs(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_refuses_to_start_and_says_where() {
    let folder = folder();
    let mut world = world(folder.path(), EventStore::File, 1, 2).await;
    kill_all(&mut world).await;
    let oldest = segments(folder.path()).remove(0);
    let mut bytes = std::fs::read(&oldest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&oldest, &bytes).unwrap();
    let said = refusal(&mut world).await;
    assert!(said.contains("record"), "{said}");
    assert_eq!(std::fs::read(&oldest).unwrap(), bytes, "a damaged log is not touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_beginning_refuses_to_start() {
    let folder = folder();
    let mut world = world(folder.path(), EventStore::File, 1, 2).await;
    kill_all(&mut world).await;
    let oldest = segments(folder.path()).remove(0);
    let text = std::fs::read_to_string(&oldest).unwrap();
    let cut: Vec<&str> = text.split_inclusive('\n').skip(2).collect();
    std::fs::write(&oldest, cut.concat()).unwrap();
    let said = refusal(&mut world).await;
    assert!(said.contains("seq") || said.contains("record"), "{said}");
}
