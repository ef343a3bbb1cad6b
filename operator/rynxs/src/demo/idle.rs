//! What an idle cluster costs: records appended, which must be none, and requests sent.
//!
//! Counted at the servers, not by the replicas of themselves. The demo sends nothing meanwhile.

use std::time::{Duration, Instant};

use rynxs_core::config::Reconcile;
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Exit, Failure};

use super::follow::Follower;
use super::objects::{begin, finish, ms, populate};
use super::report::Report;
use super::settle::settled;
use super::story::span as words;
use super::tally::{RequestKind, more};
use super::world::World;
use super::{DemoArgs, PATIENCE};

/// How often a wait looks whether the replicas still run.
const LOOK: Duration = Duration::from_millis(200);
/// Nobody who has work left is silent for so long: retries begin at a fifth of a second, Kubernetes
/// Events come at twenty a second.
const SILENCE: Duration = Duration::from_secs(3);
/// A leader that loses its lease in the middle is followed by one that takes over, which is no
/// idle cluster; a machine that is never quiet for long enough cannot measure one.
const ATTEMPTS: u32 = 5;

/// Requests of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct Sent {
    /// The kind.
    #[serde(flatten)]
    pub kind: RequestKind,
    /// How many.
    pub count: u64,
}

/// What went on while there was nothing to do.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    /// How long, milliseconds.
    pub span_ms: u64,
    /// Records appended.
    pub records: u64,
    /// Requests of all replicas to both servers.
    pub requests: Vec<Sent>,
}

impl Idle {
    /// A count as a rate.
    #[must_use]
    pub fn a_minute(&self, count: u64) -> f64 {
        // Counts and spans here are far below 2^52.
        count as f64 * 60_000.0 / (self.span_ms.max(1) as f64)
    }
}

/// Starts everything, makes it ready, and lets it be.
pub(super) async fn play(
    world: &mut World,
    args: &DemoArgs,
    manifests: &[(String, Value)],
    span: Duration,
) -> Result<Report, Failure> {
    let mut log = begin(world).await?;
    let ready = populate(world, args, manifests).await?;
    world.story.chapter("Nothing to do");
    let idle = measure(world, &mut log, span).await?;
    world.story.tell(format!(
        "{} records appended, {} requests sent",
        idle.records,
        idle.requests.iter().map(|sent| sent.count).sum::<u64>()
    ));
    let mut report = finish(world, args, &mut log, ready).await?;
    if idle.records > 0 {
        report.refuted.push(format!("an idle cluster appended {} records", idle.records));
    }
    // A leader that leads for so long lists everything again; none is older than the world.
    if world.story.elapsed() < Reconcile::default().resync {
        let others = idle.requests.iter().filter(|sent| !sent.kind.is_idle());
        report.refuted.extend(others.map(|sent| {
            let RequestKind { verb, resource, .. } = &sent.kind;
            format!("an idle cluster sent {} times {verb} {resource}", sent.count)
        }));
    }
    report.idle = Some(idle);
    Ok(report)
}

/// Waits until nobody has anything to do, then counts for so long.
pub async fn measure(
    world: &mut World,
    log: &mut Follower,
    span: Duration,
) -> Result<Idle, Failure> {
    for _ in 0..ATTEMPTS {
        at_rest(world, log).await?;
        world.story.tell(format!("everything is at rest; idle for {}", words(span)));
        let epochs = log.epochs().len();
        let idle = count(world, log, span).await?;
        if log.epochs().len() == epochs {
            return Ok(idle);
        }
        world.story.tell("the leader lost its lease meanwhile, so this counts for nothing: again");
    }
    Err(Failure::new(
        Exit::Machine,
        format!("no leader kept its lease for {}, in {ATTEMPTS} attempts", words(span)),
    )
    .fix("measure on a machine that does less besides"))
}

async fn count(world: &mut World, log: &mut Follower, span: Duration) -> Result<Idle, Failure> {
    let tallies = |world: &World| {
        let mut counts = world.api_host.tally().counts();
        if let Some((_, host)) = &world.store {
            counts.extend(host.tally().counts());
        }
        counts
    };
    let (records, before) = (log.records(), tallies(world));
    let began = Instant::now();
    while let Some(left) = span.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        world.must_go_on(began + span + PATIENCE, "the idle time is over").await?;
        tokio::time::sleep(left.min(LOOK)).await;
    }
    let (after, took) = (tallies(world), began.elapsed());
    log.catch_up().await?;
    let requests = more(&before, &after).into_iter().map(|(kind, count)| Sent { kind, count });
    Ok(Idle { span_ms: ms(took), records: log.records() - records, requests: requests.collect() })
}

/// Waits until everything is ready, every decision has its outcome, and the last status and
/// Kubernetes Event that tell of it are sent.
async fn at_rest(world: &mut World, log: &mut Follower) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    settled(world, PATIENCE).await?;
    let mut busy = world.api_host.tally().busy();
    let mut since = Instant::now();
    loop {
        world.must_go_on(until, "nobody has anything to do").await?;
        tokio::select! {
            biased;
            // The sending half lives as long as the world.
            _ = busy.changed() => since = Instant::now(),
            () = tokio::time::sleep(LOOK) => {}
        }
        if since.elapsed() >= SILENCE {
            log.catch_up().await?;
            if log.pending().is_empty() {
                return Ok(());
            }
        }
    }
}
