//! The demo with the log in a bucket: several replicas, a killed leader, a zombie.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::{Exit, Failure, Verified, open, verify};

use super::compare::{Comparison, compare};
use super::follow::Follower;
use super::report::{Refused, Report, TakeOver};
use super::settle::settled;
use super::story::span;
use super::workload::{self, Dice, NAMESPACE};
use super::world::{ACCOUNT, BUCKET, HOME, SHORT_LEASE, World};
use super::zombie::{self, Without};
use super::{DemoArgs, PATIENCE};

/// What a replica may hold with so many agents: 60 MB.
const MOST_MEMORY_KIB: u64 = 60_000_000 / 1024;
const MOST_AGENTS: u32 = 1_000;

/// Plays the whole story.
pub(super) async fn play(
    world: &mut World,
    args: &DemoArgs,
    manifests: &[(String, Value)],
) -> Result<Report, Failure> {
    let mut dice = Dice::new(args.seed);
    let mut log = begin(world).await?;
    let ready = populate(world, args, manifests).await?;
    edit(world, args, &mut dice).await?;

    let mut take_overs = vec![kill_leader(world, &mut log, &mut dice, args).await?];
    let mut zombie = None;
    if world.replicas.len() >= 2 {
        world.story.chapter("A zombie");
        let played = zombie::play(world, &mut log, Without::Nothing).await?;
        take_overs.push(TakeOver {
            cause: "leader frozen",
            epoch: log.epochs().last().map_or(0, |epoch| epoch.epoch.0),
            to_epoch_ms: played.take_over_ms,
            to_write_ms: None,
        });
        zombie = Some(played);
    } else {
        world.story.tell("no zombie with a single replica: it takes one to freeze and one to lead");
    }
    let mut report = finish(world, args, &mut log, ready).await?;
    report.take_overs = take_overs;
    report.refuted.extend(zombie.as_ref().map(zombie_claims).into_iter().flatten());
    report.zombie = zombie;
    Ok(report)
}

/// Starts the replicas and waits for a leader.
pub(super) async fn begin(world: &mut World) -> Result<Follower, Failure> {
    let servers = match &world.store {
        Some((_, host)) => format!("API server {}, S3 {}", world.api_host.url(), host.url()),
        None => format!("API server {}, log in files", world.api_host.url()),
    };
    world.story.tell(servers);
    world.story.tell(format!("everything is left in {}", world.plan.folder.display()));
    let [lease, deadline, retry, timeout, grace] = world.plan.lease.map(|(_, value)| value);
    let told = match world.plan.lease == SHORT_LEASE {
        true => "shorter than the default of 15s, and valid by the same rules",
        false => "the defaults",
    };
    world.story.tell(format!(
        "lease {lease} (renew deadline {deadline}, retry {retry}, request timeout {timeout}, grace \
         {grace}): {told}"
    ));
    world.story.tell(
        "no Lease is there yet; one may have been deleted under a leader, so the replicas wait for \
         as long as it could have been valid",
    );
    for number in 1..=world.plan.replicas {
        world.start_replica(&format!("rynxs-{number}")).await?;
    }
    let mut log = world.follow()?;
    let leader = world.leader(&mut log, PATIENCE).await?;
    let running = match world.plan.replicas {
        1 => "1 replica is".to_owned(),
        count => format!("{count} replicas are"),
    };
    world.story.tell(format!("{running} running, {} leads", world.replicas[leader].name()));
    Ok(log)
}

/// Applies the manifests and creates agents; returns how many there are and how long it took.
pub(super) async fn populate(
    world: &mut World,
    args: &DemoArgs,
    manifests: &[(String, Value)],
) -> Result<(usize, Duration), Failure> {
    world.story.chapter("Agents");
    workload::namespace(&world.user, NAMESPACE).await?;
    let began = Instant::now();
    workload::apply(&world.user, manifests).await?;
    if !manifests.is_empty() {
        world.story.tell(format!("{} manifests applied", manifests.len()));
    }
    workload::create_agents(&world.user, 0, args.agents as usize).await?;
    world.story.tell(format!("{} made-up agents created", args.agents));
    let count = settled(world, PATIENCE).await?;
    let took = began.elapsed();
    world.story.tell(format!(
        "all {count} Agents and Sessions are ready, {} after the first apply",
        span(took)
    ));
    Ok((count, took))
}

/// Edits a third of the agents.
pub(super) async fn edit(
    world: &mut World,
    args: &DemoArgs,
    dice: &mut Dice,
) -> Result<(), Failure> {
    let agents = args.agents as usize;
    let mut edited = std::collections::BTreeSet::new();
    for revision in 0..agents.div_ceil(3) {
        let number = dice.below(agents);
        edited.insert(number);
        workload::edit_agent(&world.user, &workload::agent(number), &format!("edit-{revision}"))
            .await?;
    }
    settled(world, PATIENCE).await?;
    world.story.tell(format!("{} of the agents edited, and all ready again", edited.len()));
    Ok(())
}

/// Kills the leader with SIGKILL and measures how long nobody leads.
async fn kill_leader(
    world: &mut World,
    log: &mut Follower,
    dice: &mut Dice,
    args: &DemoArgs,
) -> Result<TakeOver, Failure> {
    world.story.chapter("A dead leader");
    let leader = world.leader(log, PATIENCE).await?;
    // The zombie needs agents 0 and 1; any other shows the first write.
    let agent = workload::agent(dice.below(args.agents as usize));
    let (epochs, before) = (log.epochs().len(), runtime_stamp(world, &agent).await?);
    let name = world.kill_replica(leader).await?;
    let began = Instant::now();
    world.story.tell(format!("{name} is killed (SIGKILL) while it leads; {agent} is edited"));
    workload::edit_agent(&world.user, &agent, "after-the-kill").await?;
    if world.replicas.len() < 2 {
        world.start_replica(&name).await?;
        world.story.tell(format!("{name} is started again, with nothing but the log to go by"));
    }
    let until = began + PATIENCE;
    while log.epochs().len() == epochs {
        log.catch_up().await?;
        world.wait_a_little(until, "another replica takes over").await?;
    }
    let opened = log.epochs().last().cloned().expect("one more than before is not none");
    let to_epoch = opened.seen - began;
    world.story.tell(format!(
        "{} leads from epoch {} on, {} after the kill",
        opened.identity,
        opened.epoch,
        span(to_epoch)
    ));
    while runtime_stamp(world, &agent).await? == before {
        world.wait_a_little(until, "the edit reaches the cluster").await?;
    }
    let to_write = began.elapsed();
    world
        .story
        .tell(format!("the edit has reached the cluster, {} after the kill", span(to_write)));
    settled(world, PATIENCE).await?;
    Ok(TakeOver {
        cause: "leader killed",
        epoch: opened.epoch.0,
        to_epoch_ms: ms(to_epoch),
        to_write_ms: Some(ms(to_write)),
    })
}

/// The stamp of the Deployment that runs an agent.
async fn runtime_stamp(
    world: &World,
    agent: &rynxs_core::ids::ObjectRef,
) -> Result<Option<u64>, Failure> {
    let runtime = zombie::runtime_of(agent);
    Ok(world.user.get(&runtime).await?.as_ref().and_then(zombie::stamp_of))
}

/// Waits until nothing is left to do, verifies, compares, counts, and stops the replicas unless
/// they are kept.
pub(super) async fn finish(
    world: &mut World,
    args: &DemoArgs,
    log: &mut Follower,
    (resources, ready): (usize, Duration),
) -> Result<Report, Failure> {
    world.story.chapter("The books");
    let (verified, comparison) = close_books(world, log).await?;
    world.story.tell(format!(
        "verified {} records: chain, epochs, {} decisions made again with the same result",
        verified.records, verified.decisions
    ));
    world.story.tell(format!(
        "compared {} live objects with the log's state: {} differences",
        comparison.objects,
        comparison.differences.len()
    ));
    // Of a process that has ended it is not known.
    let peak_memory_kib = world.peak_memory_kib();
    if !args.keep {
        for replica in &mut world.replicas {
            let graceful = replica.stop(Duration::from_secs(25)).await?;
            let how = if graceful { "has drained and ended" } else { "had to be killed" };
            world.story.tell(format!("{} {how}", replica.name()));
        }
        world.replicas.clear();
    }
    let mut refuted = comparison.differences.clone();
    if verified.decisions_not_rederivable > 0 {
        refuted.push(format!(
            "{} decisions cannot be made again by the binary that made them",
            verified.decisions_not_rederivable
        ));
    }
    if let Some(kib) = peak_memory_kib.filter(|kib| *kib > MOST_MEMORY_KIB)
        && args.agents <= MOST_AGENTS
    {
        refuted.push(format!(
            "a replica held {kib} KiB, more than {MOST_MEMORY_KIB} KiB for up to {MOST_AGENTS} agents"
        ));
    }
    if let (Some((model, _)), Some(mirror)) = (&world.store, &world.mirror) {
        refuted.extend(mirror.differences(model));
    }
    Ok(Report {
        replicas: world.plan.replicas,
        resources,
        ready_ms: ms(ready),
        take_overs: Vec::new(),
        zombie: None,
        idle: None,
        refused: refused(world),
        repaired: log.repairs(),
        peak_memory_kib,
        log: verified,
        comparison,
        folder: world.plan.folder.display().to_string(),
        refuted,
        took_ms: ms(world.story.elapsed()),
    })
}

/// Verifies the log and compares it with the live objects, at one and the same moment: when every
/// decision has its outcome, and nothing was appended in between.
async fn close_books(
    world: &mut World,
    log: &mut Follower,
) -> Result<(Verified, Comparison), Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        settled(world, PATIENCE).await?;
        log.catch_up().await?;
        while !log.pending().is_empty() {
            world.wait_a_little(until, "every decision has an outcome").await?;
            log.catch_up().await?;
        }
        let mut reader = open(&world.location(), world.bucket(), None)?;
        let (verified, replay) = verify(&mut reader, |_, _| {}).await?;
        let comparison = compare(&world.user, replay.state()).await?;
        let before = log.records();
        log.catch_up().await?;
        if log.records() == before && verified.records == before {
            return Ok((verified, comparison));
        }
        world.wait_a_little(until, "the log stops growing").await?;
    }
}

/// What was claimed of the zombie and did not hold.
fn zombie_claims(zombie: &zombie::Zombie) -> Vec<String> {
    let mut refuted = Vec::new();
    let mut claim = |holds: bool, what: String| {
        if !holds {
            refuted.push(what);
        }
    };
    claim(
        zombie.put_status == 412,
        format!("the late PUT was answered {}, not 412", zombie.put_status),
    );
    claim(
        zombie.as_sent_status == 409,
        format!("the late PATCH was answered {}, not 409", zombie.as_sent_status),
    );
    claim(
        zombie.with_live_version_status == 403,
        format!(
            "the late PATCH with the live resourceVersion was answered {}, not 403",
            zombie.with_live_version_status
        ),
    );
    claim(
        zombie.live_stamp > zombie.patch_stamp,
        format!(
            "the later decision has stamp {}, the late one {}",
            zombie.live_stamp, zombie.patch_stamp
        ),
    );
    claim(zombie.stepped_down_ms.is_some(), format!("{} did not step down", zombie.frozen));
    refuted
}

/// Counts refused writes from what the servers saw; the store's own checks at start, which send
/// bytes that are stored already, are none.
fn refused(world: &World) -> Refused {
    let mut refused = Refused::default();
    if let Some((model, _)) = &world.store {
        let stored: BTreeMap<String, bytes::Bytes> = model.objects(BUCKET);
        for attempt in model.history() {
            let late = matches!(&attempt.outcome, rynxs_s3::Outcome::Refused { status: 412, .. });
            if late && stored.get(&attempt.key) != Some(&attempt.bytes) {
                refused.log += 1;
            }
        }
    }
    let operator = format!("system:serviceaccount:{HOME}:{ACCOUNT}");
    for write in world.api.history() {
        if write.user != operator || write.stamp_sent.is_none() {
            continue;
        }
        match write.status_code {
            409 => refused.resource_version += 1,
            403 => refused.policy += 1,
            _ => {}
        }
    }
    refused
}

pub(super) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A failure of something that the demo itself must get right.
pub(super) fn bug(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Bug, why.into())
}
