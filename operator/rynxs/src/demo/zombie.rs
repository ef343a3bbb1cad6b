//! The zombie: a leader that sleeps through its lease with two writes on the wire.
//!
//! One PUT to the log and one PATCH to an object have left the leader and are late; meanwhile the
//! leader is frozen, another replica takes over, decides afresh about the same object and writes
//! it. Then the two writes arrive. The log must refuse the PUT (I1, I2: the successor's
//! `EpochStarted` has its key). The API server must refuse the PATCH as it was sent (409: its
//! resourceVersion is gone) and also if somebody sends its content with the live resourceVersion,
//! as a client that re-reads would (403: the policy knows that its stamp is older; I4).

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, header};
use rynxs_core::ids::{Kind, ObjectRef};
use rynxs_core::names;
use rynxs_core::record::decode;
use rynxs_s3::ConditionalPuts;
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Exit, Failure};

use super::PATIENCE;
use super::follow::Follower;
use super::gate::{Delivered, Held, Trap};
use super::objects::ms;
use super::story::span;
use super::user::path;
use super::workload::{agent, edit_agent};
use super::world::{BUCKET, PREFIX, World};

/// How often a wait for a request looks whether the replicas still run.
const LOOK: Duration = Duration::from_millis(200);

/// What became of the zombie's writes.
#[derive(Clone, Debug, Serialize)]
pub struct Zombie {
    /// The leader that was frozen.
    pub frozen: String,
    /// The replica that took over.
    pub successor: String,
    /// From the freeze to the successor's `EpochStarted` in the log, milliseconds.
    pub take_over_ms: u64,
    /// Key of the held record.
    pub put_key: String,
    /// Answer to the held PUT.
    pub put_status: u16,
    /// The object of the held PATCH.
    pub patch_object: String,
    /// Stamp of the held PATCH.
    pub patch_stamp: u64,
    /// Stamp that the successor wrote.
    pub live_stamp: u64,
    /// Answer to the held PATCH as it was sent.
    pub as_sent_status: u16,
    /// Answer to its content with the live resourceVersion.
    pub with_live_version_status: u16,
    /// The API server's words on that.
    pub policy_said: String,
    /// From SIGCONT until the old leader said that it follows, or had won another term,
    /// milliseconds; none if it never did.
    pub stepped_down_ms: Option<u64>,
}

/// What to switch off in the models, to see what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Nothing.
    Nothing,
    /// The store's condition: the late PUT overwrites.
    Condition,
    /// The admission policies; the world must have been started without them.
    Policies,
}

/// Plays the part; the caller judges the answers.
pub async fn play(
    world: &mut World,
    log: &mut Follower,
    without: Without,
) -> Result<Zombie, Failure> {
    let Caught { leader, put, patch } = hold(world, log).await?;
    let began = Instant::now();
    let frozen = world.replicas[leader].name().to_owned();
    let epochs = log.epochs().len();
    let target = agent(0);
    let runtime = runtime_of(&target);
    let old_stamp = stamp_sent(patch.request()).unwrap_or_default();
    world.story.tell(format!(
        "{frozen} is frozen (SIGSTOP) with two writes on the wire: PUT {} and PATCH {runtime} of \
         stamp {old_stamp}",
        key(put.request()),
    ));
    edit_agent(&world.user, &target, "successor").await?;
    world.story.tell(format!("{target} is edited again; its lease runs out"));

    let until = began + PATIENCE;
    while log.epochs().len() == epochs {
        log.catch_up().await?;
        world.wait_a_little(until, "another replica takes over").await?;
    }
    let opened = log.epochs().last().cloned().expect("one more than before is not none");
    let take_over = opened.seen - began;
    world.story.tell(format!(
        "{} leads from epoch {} on, {} after the freeze",
        opened.identity,
        opened.epoch,
        span(take_over)
    ));
    let live_stamp = loop {
        let live = world.user.get(&runtime).await?.unwrap_or(Value::Null);
        match stamp_of(&live) {
            Some(stamp) if stamp > old_stamp => break stamp,
            _ => world.wait_a_little(until, "the successor writes the later decision").await?,
        }
    };
    world.story.tell(format!("it has written {runtime} with stamp {live_stamp}"));

    let put_key = key(put.request());
    let (put, as_sent, again) = deliver(world, put, patch, &runtime, without).await?;
    let stepped_down = step_down(world, log, leader).await?;
    Ok(Zombie {
        frozen,
        successor: opened.identity.clone(),
        take_over_ms: ms(take_over),
        put_key,
        put_status: put.status.as_u16(),
        patch_object: runtime.to_string(),
        patch_stamp: old_stamp,
        live_stamp,
        as_sent_status: as_sent.status.as_u16(),
        with_live_version_status: again.status.as_u16(),
        policy_said: again.message(),
        stepped_down_ms: stepped_down.map(ms),
    })
}

/// A frozen leader and its two writes that are late.
struct Caught {
    leader: usize,
    put: Held,
    patch: Held,
}

/// Catches one PATCH and one PUT of the leader and freezes it.
///
/// Both must be of the term that leads when the leader is frozen. On a loaded machine a lease may
/// run out in between, which is nobody's fault: then the writes are let go and it begins again.
async fn hold(world: &mut World, log: &mut Follower) -> Result<Caught, Failure> {
    let until = Instant::now() + PATIENCE;
    let (target, other) = (agent(0), agent(1));
    let patched = path(&runtime_of(&target));
    let records = format!("/{BUCKET}/{PREFIX}/");
    for attempt in 0_u32.. {
        let leader = world.leader(log, PATIENCE).await?;
        let revision = format!("zombie-{attempt}");
        let patched = patched.clone();
        let mut patches = world.api_host.gate().trap(move |request| {
            request.method() == Method::PATCH
                && request.uri().path() == patched
                && request.headers().contains_key(header::AUTHORIZATION)
        });
        edit_agent(&world.user, &target, &revision).await?;
        let patch = caught(world, &mut patches, until, "the leader sends a PATCH").await?;

        let (_, store) = world.store.as_ref().expect("the zombie is played on S3");
        let records = records.clone();
        let mut puts = store.gate().trap(move |request| {
            request.method() == Method::PUT && request.uri().path().starts_with(&records)
        });
        edit_agent(&world.user, &other, &revision).await?;
        let put = caught(world, &mut puts, until, "the leader sends a PUT").await?;
        // Frozen while the traps are armed: nothing of it can slip through in between.
        world.replicas[leader].freeze()?;
        log.catch_up().await?;
        let term = log.epochs().last().expect("somebody leads");
        let theirs = world.replicas[leader].is(&term.identity)
            && writer_of(put.request()).as_deref() == Some(&term.identity)
            && epoch_of(patch.request()) == Some(term.epoch.0);
        if theirs {
            return Ok(Caught { leader, put, patch });
        }
        world.replicas[leader].resume()?;
        drop((patches, puts));
        put.deliver().await;
        patch.deliver().await;
        world.story.tell("the leader lost its lease too early, so nobody is a zombie yet: again");
        world.wait_a_little(until, "a leader is caught with two writes on the wire").await?;
    }
    unreachable!("the loop ends only by returning: no machine counts to 2^32 here")
}

/// The next request in a trap.
async fn caught(
    world: &mut World,
    trap: &mut Trap,
    until: Instant,
    what: &str,
) -> Result<Held, Failure> {
    loop {
        world.must_go_on(until, what).await?;
        if let Ok(held) = tokio::time::timeout(LOOK, trap.next()).await {
            return Ok(held);
        }
    }
}

/// Lets the late writes arrive.
async fn deliver(
    world: &World,
    put: Held,
    patch: Held,
    runtime: &ObjectRef,
    without: Without,
) -> Result<(Delivered, Delivered, Delivered), Failure> {
    let story = &world.story;
    let (model, _) = world.store.as_ref().expect("the zombie is played on S3");
    if without == Without::Condition {
        model.set_conditional_puts(ConditionalPuts::Ignored);
    }
    let put = put.deliver().await;
    model.set_conditional_puts(ConditionalPuts::Atomic);
    story.tell(format!("the late PUT arrives: {} {}", put.status, put.message()));
    let reread = patch.duplicate();
    let as_sent = patch.deliver().await;
    story.tell(format!("the late PATCH arrives: {} {}", as_sent.status, as_sent.message()));
    let live = world.user.get(runtime).await?.unwrap_or(Value::Null);
    let body = with_version(reread.request(), &live)?;
    let again = reread.deliver_as(body).await;
    story.tell(format!(
        "the same content with the live resourceVersion: {} {}",
        again.status,
        again.message()
    ));
    Ok((put, as_sent, again))
}

/// Resumes the old leader and waits until it says that it follows, or leads a term of its own.
async fn step_down(
    world: &mut World,
    log: &mut Follower,
    leader: usize,
) -> Result<Option<Duration>, Failure> {
    let address = world.replicas[leader].address().await?;
    let (began, epochs) = (Instant::now(), log.epochs().len());
    world.replicas[leader].resume()?;
    let name = world.replicas[leader].name().to_owned();
    world.story.tell(format!("{name} is resumed (SIGCONT)"));
    while began.elapsed() < PATIENCE {
        let metrics = super::probe::get(&address, "/metrics").await.unwrap_or_default();
        let follows = super::probe::metric(&metrics, "rynxs_leader_election_status") == Some(0.0);
        log.catch_up().await?;
        let again = log.epochs()[epochs..].iter();
        let leads_anew = again.into_iter().any(|term| world.replicas[leader].is(&term.identity));
        if follows || leads_anew {
            let took = began.elapsed();
            world.story.tell(format!("{name} has stepped down, {} later", span(took)));
            return Ok(Some(took));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(None)
}

/// The Deployment that runs an agent: what an edit of the environment changes.
pub(super) fn runtime_of(agent: &ObjectRef) -> ObjectRef {
    let key = &agent.key;
    ObjectRef::new(Kind::Deployment, key.namespace.clone(), format!("{}-runtime", key.name))
}

/// The log's key that a PUT is for.
fn key(request: &Request<Bytes>) -> String {
    request.uri().path().trim_start_matches(&format!("/{BUCKET}/")).to_owned()
}

/// Who wrote the record of a PUT.
fn writer_of(request: &Request<Bytes>) -> Option<String> {
    Some(decode(request.body()).ok()?.header.writer.to_string())
}

/// The epoch that a PATCH belongs to.
fn epoch_of(request: &Request<Bytes>) -> Option<u64> {
    let manifest: Value = serde_json::from_slice(request.body()).ok()?;
    manifest["metadata"]["annotations"][names::EPOCH].as_str()?.parse().ok()
}

fn stamp_sent(request: &Request<Bytes>) -> Option<u64> {
    stamp_of(&serde_json::from_slice(request.body()).ok()?)
}

/// The stamp that an object carries.
pub(super) fn stamp_of(object: &Value) -> Option<u64> {
    object["metadata"]["annotations"][names::STAMP].as_str()?.parse().ok()
}

/// The manifest of a request, with the resourceVersion of the live object.
fn with_version(request: &Request<Bytes>, live: &Value) -> Result<Bytes, Failure> {
    let bug = |why: String| Failure::new(Exit::Bug, format!("held PATCH: {why}"));
    let mut manifest: Value =
        serde_json::from_slice(request.body()).map_err(|error| bug(error.to_string()))?;
    manifest["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    Ok(Bytes::from(manifest.to_string()))
}
