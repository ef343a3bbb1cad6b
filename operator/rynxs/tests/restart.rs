//! What a restart may and may not do: everything dead at once, a lost log, a damaged log.

// A thread is held with Linux' ptrace(2) and proc(5).
#![cfg(all(feature = "demo", target_os = "linux"))]
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod stage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use http::{Method, header};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use rynxs::cli::{Next, open, verify};
use rynxs::demo::compare::compare;
use rynxs::demo::gate::Held;
use rynxs::demo::{
    BUCKET, EventStore, PATIENCE, PREFIX, World, agent, create_agents, edit_agent, probe, settled,
};
use rynxs_core::chain::Chain;
use rynxs_core::event::Event;
use rynxs_core::replay::Replayer;
use stage::held_disk::{HeldDisk, Step};
use stage::{folder, kill_all, operator, plan, start, world};

/// The log as it is now, reduced, with its events by record.
async fn replayed(world: &World) -> (Chain, Replayer, Vec<(u64, Event)>) {
    let mut reader = open(&world.location(), world.bucket(), None).unwrap();
    let (mut chain, mut replay, mut events) = (Chain::new(), Replayer::new(), Vec::new());
    while let Next::Record(bytes) = reader.next().await.unwrap() {
        let record = chain.push(&bytes).unwrap();
        replay.push(&record).unwrap();
        let seq = record.header.seq.0;
        events.extend(record.events().unwrap().into_iter().map(|event| (seq, event)));
    }
    (chain, replay, events)
}

/// Edits every agent while the leader's applies are held, and kills all replicas when each edit has
/// its decision and none its outcome. Returns the writes that are still on the wire.
async fn kill_with_decisions_pending(world: &mut World, agents: usize) -> Vec<Held> {
    let mut trap = world.api_host.gate().trap(|request| {
        let operators = request.headers().contains_key(header::AUTHORIZATION);
        operators && request.method() == Method::PATCH && request.uri().path().contains("/apps/")
    });
    let mut log = world.follow().unwrap();
    log.catch_up().await.unwrap();
    assert_eq!(log.pending(), BTreeSet::new(), "everything before has its outcome");
    for number in 0..agents {
        edit_agent(&world.user, &agent(number), "before the kill").await.unwrap();
    }
    let until = Instant::now() + PATIENCE;
    while log.state().pending_subjects().count() < agents {
        world.wait_a_little(until, "every edit is decided").await.unwrap();
        log.catch_up().await.unwrap();
    }
    let mut held = Vec::new();
    for _ in 0..agents {
        held.push(tokio::time::timeout(PATIENCE, trap.next()).await.unwrap());
    }
    kill_all(world).await;
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_replicas_killed_at_once_go_on_with_what_has_no_outcome() {
    const AGENTS: usize = 6;
    let folder = folder();
    let mut world = world(plan(folder.path(), EventStore::S3, 3), AGENTS).await;
    let held = kill_with_decisions_pending(&mut world, AGENTS).await;
    // Half of the writes arrive after their senders are dead: applied, and nobody recorded it.
    for late in held.into_iter().take(AGENTS / 2) {
        late.deliver().await;
    }
    let (chain, replay, before) = replayed(&world).await;
    let state = replay.state();
    let subjects: BTreeSet<_> = state.pending_subjects().cloned().collect();
    assert_eq!(subjects.len(), AGENTS, "the kill left decisions without an outcome");
    let pending: BTreeSet<u64> = subjects
        .iter()
        .flat_map(|subject| state.pending(subject))
        .map(|action| state.stamp(action.decision).0)
        .collect();
    let writes_before = world.api.history().len() as u64;
    let records_before = chain.next_seq().0;

    start(&mut world, 3).await;
    settled(&mut world, PATIENCE).await.unwrap();
    let mut log = world.follow().unwrap();
    log.catch_up().await.unwrap();
    let until = Instant::now() + PATIENCE;
    while !log.pending().is_empty() {
        world.wait_a_little(until, "every decision has an outcome").await.unwrap();
        log.catch_up().await.unwrap();
    }

    let (_, _, after) = replayed(&world).await;
    let new: Vec<&Event> =
        after.iter().filter(|(seq, _)| *seq >= records_before).map(|(_, event)| event).collect();
    assert_eq!(after.len() - new.len(), before.len(), "what was there is there");
    let again = new.iter().filter(|event| matches!(event, Event::ActionsDecided { .. }));
    assert_eq!(again.count(), 0, "nothing was news, so nothing was decided: {new:?}");
    let applied = new.iter().filter(|event| matches!(event, Event::ActionApplied { .. }));
    assert!(applied.count() >= AGENTS, "what had no outcome has one: {new:?}");

    let mut written = BTreeSet::new();
    for write in world.api.history_since(writes_before) {
        let of_all = ["Lease", "Event"].contains(&write.kind.as_str());
        if write.user != operator() || of_all || write.subresource == "status" {
            continue;
        }
        let Some(stamp) = write.stamp_sent.as_ref() else {
            panic!("{} {} {} has no stamp", write.verb, write.kind, write.name);
        };
        let stamp: u64 = stamp.parse().unwrap();
        assert!(
            pending.contains(&stamp),
            "{} {} was written for decision {stamp}, which had its outcome",
            write.kind,
            write.name
        );
        written.insert(stamp);
    }
    assert_eq!(written, pending, "what had no outcome was driven on");
    // Replay refuses a second outcome for an action that has one.
    let mut reader = open(&world.location(), world.bucket(), None).unwrap();
    let (verified, _) = verify(&mut reader, |_, _| {}).await.unwrap();
    assert!(verified.epochs >= 2, "{verified}");
}

/// Deletes the log, wherever it is.
fn delete_log(world: &World) {
    if let Some((model, _)) = &world.store {
        for key in model.objects(BUCKET).keys() {
            assert!(model.erase(BUCKET, key));
        }
    } else {
        std::fs::remove_dir_all(world.plan.folder.join("log")).unwrap();
    }
}

/// Whether there is a record.
fn has_log(world: &World) -> bool {
    match &world.store {
        Some((model, _)) => model.objects(BUCKET).keys().any(|key| key.starts_with(PREFIX)),
        None => !bytes_of_log(&world.plan.folder).is_empty(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_log_is_refused_and_only_adopted_above_every_stamp() {
    a_deleted_log(EventStore::S3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_local_log_is_refused_and_only_adopted_above_every_stamp() {
    a_deleted_log(EventStore::File).await;
}

async fn a_deleted_log(store: EventStore) {
    let folder = folder();
    let mut world = world(plan(folder.path(), store, 1), 2).await;
    kill_all(&mut world).await;
    let (chain, ..) = replayed(&world).await;
    let highest = chain.base().unwrap() + chain.next_seq().0;
    delete_log(&world);

    start(&mut world, 1).await;
    let said = said(&mut world, "onMissingLog").await;
    assert!(said.contains(chain.log_id().unwrap().as_str()), "{said}");
    let address = world.replicas[0].address().await.unwrap();
    assert_eq!(probe::get(&address, "/readyz").await, None, "a refused log is not ready");
    assert!(!has_log(&world), "{said}");
    kill_all(&mut world).await;

    world.set("ON_MISSING_LOG", "adopt");
    start(&mut world, 1).await;
    edit_agent(&world.user, &agent(0), "after the adoption").await.unwrap();
    settled(&mut world, PATIENCE).await.unwrap();
    let (adopted, ..) = replayed(&world).await;
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
        let waited = world.wait_a_little(until, "a damaged log is refused").await;
        if let Err(failure) = waited {
            assert!(failure.message.contains("exit status: 4"), "{failure}");
            world.replicas.clear();
            return failure.message;
        }
    }
}

/// The bytes of a local log.
fn bytes_of_log(folder: &Path) -> Vec<u8> {
    segments(folder).iter().flat_map(|path| std::fs::read(path).unwrap()).collect()
}

/// Every stamp that the operator has sent is that of a record among these lines which decides.
fn no_effect_outran_its_record(world: &World, lines: &[u8]) {
    let mut deciding = BTreeSet::new();
    let mut chain = Chain::new();
    for line in lines.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        let record = chain.push(&line[..line.len() - 1]).unwrap();
        if record
            .events()
            .unwrap()
            .iter()
            .any(|event| matches!(event, Event::ActionsDecided { .. }))
        {
            deciding.insert(chain.base().unwrap() + record.header.seq.0);
        }
    }
    let history = world.api.history();
    let sent: BTreeSet<u64> = history
        .iter()
        .filter(|write| write.user == operator())
        .filter_map(|write| write.stamp_sent.as_ref()?.parse().ok())
        .collect();
    assert!(!sent.is_empty());
    assert_eq!(sent.difference(&deciding).next(), None, "an effect without its record");
}

/// How often the leader has renewed its Lease.
fn renewals(world: &World) -> usize {
    world.api.history().iter().filter(|write| write.kind == "Lease" && write.changed).count()
}

/// How many bytes of a line are written before the rest is.
const PART: u64 = 40;

/// Lets the newest segment grow by a part of a line only, so that the kernel writes no more of one
/// at once (setrlimit(2), `RLIMIT_FSIZE`).
fn write_in_two(world: &World) {
    let newest = segments(&world.plan.folder).pop().unwrap();
    let most = Some(std::fs::metadata(newest).unwrap().len() + PART);
    let process = Pid::from_raw(world.replicas[0].pid().unwrap());
    assert!(process.is_some(), "0 would be this process");
    prlimit(process, Resource::Fsize, Rlimit { current: most, maximum: most }).unwrap();
}

/// Edits an agent while the replica's disk stands still at a step of the append, and kills the
/// replica there, once the leader has lived on for two renewals. Returns its log.
async fn kill_at(world: &mut World, step: Step) -> Vec<u8> {
    let folder = world.plan.folder.clone();
    if step == Step::Rest {
        write_in_two(world);
    }
    let mut disk = HeldDisk::hold(world.replicas[0].pid().unwrap(), step);
    let acknowledged = bytes_of_log(&folder);
    edit_agent(&world.user, &agent(0), &format!("{step:?}")).await.unwrap();
    let until = Instant::now() + PATIENCE;
    while !disk.is_held() {
        world.wait_a_little(until, &format!("an append comes to {step:?}")).await.unwrap();
    }
    let enough = renewals(world) + 2;
    while renewals(world) < enough {
        world.wait_a_little(until, "the leader renews").await.unwrap();
    }
    no_effect_outran_its_record(world, &acknowledged);
    kill_all(world).await;
    let log = bytes_of_log(&folder);
    let new = log.strip_prefix(acknowledged.as_slice()).unwrap();
    match step {
        Step::Write => assert_eq!(new.len(), 0, "nothing was written"),
        Step::Rest => assert_eq!(new.len() as u64, PART, "a part was written"),
        Step::Sync => assert_eq!(new.last(), Some(&b'\n'), "all was written"),
    }
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_an_append_a_log_keeps_every_record_and_goes_on() {
    let folder = folder();
    let mut world = world(plan(folder.path(), EventStore::File, 1), 2).await;
    for step in [Step::Write, Step::Rest, Step::Sync] {
        let killed = kill_at(&mut world, step).await;
        let whole = killed.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        start(&mut world, 1).await;
        settled(&mut world, PATIENCE).await.unwrap();
        let after = bytes_of_log(folder.path());
        assert!(after.starts_with(&killed[..whole]), "a record went, killed at {step:?}");
        if step == Step::Rest {
            let said = said(&mut world, "cutting off a torn last line").await;
            assert!(said.contains("0000000000.jsonl"), "{said}");
        }
    }
    let mut log = world.follow().unwrap();
    log.catch_up().await.unwrap();
    assert_eq!(log.repairs(), 1, "only one kill tore a line");
    let compared = compare(&world.user, log.state()).await.unwrap();
    assert_eq!(compared.differences, Vec::<String>::new());
    kill_all(&mut world).await;
    let mut reader = open(&world.location(), world.bucket(), None).unwrap();
    let (verified, _) = verify(&mut reader, |_, _| {}).await.unwrap();
    assert!(verified.epochs >= 4, "one for each start: {verified}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_last_line_is_repaired_and_recorded() {
    let folder = folder();
    let mut world = world(plan(folder.path(), EventStore::File, 1), 2).await;
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
    let said = said(&mut world, "cutting off a torn last line").await;
    assert!(said.contains("0000000000.jsonl"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_refuses_to_start_and_says_where() {
    let folder = folder();
    let mut world = world(plan(folder.path(), EventStore::File, 1), 2).await;
    kill_all(&mut world).await;
    let oldest = segments(folder.path()).remove(0);
    let mut bytes = std::fs::read(&oldest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&oldest, &bytes).unwrap();
    let said = refusal(&mut world).await;
    for word in ["log/0000000000.jsonl, byte ", "record ", "put back an undamaged copy"] {
        assert!(said.contains(word), "no {word}: {said}");
    }
    assert_eq!(std::fs::read(&oldest).unwrap(), bytes, "a damaged log is not touched");
}

/// Turns the only segment into three, as a smaller limit on their size would have.
fn split(folder: &Path) -> Vec<PathBuf> {
    let only = segments(folder).pop().unwrap();
    let text = std::fs::read_to_string(&only).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    assert!(lines.len() >= 6, "{} records", lines.len());
    let (second, third) = (lines.len() / 3, 2 * lines.len() / 3);
    let named = |first: usize| folder.join("log").join(format!("{first:010}.jsonl"));
    std::fs::write(&only, lines[..second].concat()).unwrap();
    std::fs::write(named(second), lines[second..third].concat()).unwrap();
    std::fs::write(named(third), lines[third..].concat()).unwrap();
    segments(folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_segment_refuses_to_start_and_is_named() {
    let folder = folder();
    let mut world = world(plan(folder.path(), EventStore::File, 1), 2).await;
    kill_all(&mut world).await;
    let all = split(folder.path());
    assert_eq!(all.len(), 3, "{all:?}");
    // Whole in three files, it is as good as in one.
    start(&mut world, 1).await;
    edit_agent(&world.user, &agent(0), "three segments").await.unwrap();
    settled(&mut world, PATIENCE).await.unwrap();
    kill_all(&mut world).await;

    for missing in &all[..2] {
        let aside = folder.path().join("aside");
        std::fs::rename(missing, &aside).unwrap();
        let said = refusal(&mut world).await;
        let name = missing.file_name().unwrap().to_str().unwrap();
        assert!(said.contains(name), "{name} is missing: {said}");
        std::fs::rename(&aside, missing).unwrap();
    }
    // Nothing in the chain shows that the end is missing; the stamps in the cluster do.
    std::fs::remove_file(&all[2]).unwrap();
    start(&mut world, 1).await;
    let said = said(&mut world, "the log was cut").await;
    assert!(said.contains("stamp"), "{said}");
}
