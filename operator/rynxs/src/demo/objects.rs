//! The demo with the log in a bucket: several replicas, a killed leader, a zombie.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::{Exit, Failure, open, verify};

use super::DemoArgs;
use super::compare::compare;
use super::follow::Follower;
use super::report::{Refused, Report, TakeOver};
use super::story::span;
use super::workload::{self, Dice, NAMESPACE};
use super::world::{ACCOUNT, BUCKET, HOME, LEASE, PREFIX, World};
use super::zombie::{self, Without, Zombie};

/// Everything here happens within seconds; a loaded machine gets minutes before the demo gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

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
    finish(world, args, &mut log, ready, take_overs, zombie).await
}

/// Starts the replicas and waits for a leader.
pub(super) async fn begin(world: &mut World) -> Result<Follower, Failure> {
    let servers = match &world.store {
        Some((_, host)) => format!("API server {}, S3 {}", world.api_host.url(), host.url()),
        None => format!("API server {}, log in files", world.api_host.url()),
    };
    world.story.tell(servers);
    world.story.tell(format!("everything is left in {}", world.plan.folder.display()));
    let timing: Vec<&str> = LEASE.iter().map(|(_, value)| *value).collect();
    world.story.tell(format!(
        "lease {} (renew deadline {}, retry {}, request timeout {}, grace {}): shorter than the \
         default of 15s, and valid by the same rules",
        timing[0], timing[1], timing[2], timing[3], timing[4]
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
    world.story.tell(format!("{} manifests applied", manifests.len()));
    workload::create_agents(&world.user, 0, args.agents as usize).await?;
    world.story.tell(format!("{} more agents created", args.agents));
    let count = workload::settled(world, PATIENCE).await?;
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
    workload::settled(world, PATIENCE).await?;
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
    let mut dead = world.replicas.remove(leader);
    dead.kill().await?;
    let began = Instant::now();
    let name = dead.name().to_owned();
    drop(dead);
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
    workload::settled(world, PATIENCE).await?;
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

/// Waits until nothing changes any more, verifies, compares, counts, leaves the log behind.
pub(super) async fn finish(
    world: &mut World,
    args: &DemoArgs,
    log: &mut Follower,
    (resources, ready): (usize, Duration),
    take_overs: Vec<TakeOver>,
    zombie: Option<Zombie>,
) -> Result<Report, Failure> {
    world.story.chapter("The books");
    workload::settled(world, PATIENCE).await?;
    quiet(world, log).await?;
    let mut reader = open(&world.location(), world.bucket(), None)?;
    let (verified, replay) = verify(&mut reader, |_, _| {}).await?;
    world.story.tell(format!(
        "verified {} records: chain, epochs, {} decisions made again with the same result",
        verified.records, verified.decisions
    ));
    let comparison = compare(&world.user, replay.state()).await?;
    world.story.tell(format!(
        "compared {} live objects with the log's state: {} differences",
        comparison.objects,
        comparison.differences.len()
    ));
    if !args.keep {
        for replica in &mut world.replicas {
            let graceful = replica.stop(Duration::from_secs(25)).await?;
            let how = if graceful { "has drained and ended" } else { "had to be killed" };
            world.story.tell(format!("{} {how}", replica.name()));
        }
        world.replicas.clear();
    }
    copy_log(world)?;
    let mut report = Report {
        replicas: world.plan.replicas,
        resources,
        ready_ms: ms(ready),
        take_overs,
        zombie,
        refused: refused(world),
        repaired: log.repairs(),
        log: verified,
        comparison,
        folder: world.plan.folder.display().to_string(),
        refuted: Vec::new(),
        took_ms: ms(world.story.elapsed()),
    };
    report.refuted = claims(&report);
    Ok(report)
}

/// What was claimed and did not hold.
fn claims(report: &Report) -> Vec<String> {
    let mut refuted = report.comparison.differences.clone();
    let mut claim = |holds: bool, what: String| {
        if !holds {
            refuted.push(what);
        }
    };
    let log = &report.log;
    claim(
        log.decisions_not_rederivable == 0,
        format!(
            "{} decisions cannot be made again by the binary that made them",
            log.decisions_not_rederivable
        ),
    );
    if let Some(zombie) = &report.zombie {
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
    }
    refuted
}

/// Waits until the log has not grown for a while.
async fn quiet(world: &mut World, log: &mut Follower) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    let mut since = Instant::now();
    let mut records = 0;
    while since.elapsed() < Duration::from_millis(1_500) {
        log.catch_up().await?;
        if log.records() != records {
            (records, since) = (log.records(), Instant::now());
        }
        world.wait_a_little(until, "the log stops growing").await?;
    }
    Ok(())
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

/// Copies the bucket's records into the folder: they outlive the embedded S3.
fn copy_log(world: &World) -> Result<(), Failure> {
    let Some((model, _)) = &world.store else { return Ok(()) };
    let folder = world.plan.folder.join("log");
    let failed =
        |error: std::io::Error| Failure::io(&format!("write to {}", folder.display()), &error);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    for (key, bytes) in model.objects(BUCKET) {
        if let Some(name) = key.strip_prefix(&format!("{PREFIX}/")) {
            std::fs::write(folder.join(name), &bytes).map_err(failed)?;
        }
    }
    Ok(())
}

pub(super) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A failure of something that the demo itself must get right.
pub(super) fn bug(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Bug, why.into())
}
