//! What a predecessor log left behind, made part of the first observation of its owner.
//!
//! A log that replaces a lost one knows nothing, but the cluster still carries what the lost one
//! decided: objects with its stamps, and in the status of a Session how far it got. Both enter the
//! log with the first sight of their owner, so that decisions see them (I6): what runs goes on,
//! what ended is not run again, and a deadline stays where it was.

use serde_json::Value;

use crate::event::{Event, Inherited, InheritedPod};
use crate::ids::{Epoch, Kind};
use crate::resource::validate;
use crate::state::{Ending, Finish, State};
use crate::status::{self, FINISHED};

/// Adds to the first observation of an Agent or Session what a predecessor left: `found` are its
/// living objects under a predecessor's stamp, `said` is its status. Returns any other event, and
/// every event of a log that started in an empty cluster, as it was.
#[must_use]
pub fn inherit(
    state: &State,
    mut event: Event,
    said: &Value,
    mut found: Vec<Inherited>,
    now_ms: u64,
) -> Event {
    if !state.is_successor() {
        return event;
    }
    found.retain(|one| state.object(&one.object).is_none());
    match &mut event {
        Event::AgentObserved { agent, uid, inherited, .. }
            if state.agent(&agent.key).is_none_or(|known| known.uid != *uid) =>
        {
            *inherited = found;
        }
        Event::SessionObserved { session, uid, expires_ms, ended, inherited, .. }
            if state.session(&session.key).is_none_or(|known| known.uid != *uid) =>
        {
            if !status::is_own(state, said) {
                *expires_ms = time(said, "expiresAt").or(*expires_ms);
                *ended = ending(said).or_else(|| lost(said, &found, now_ms));
            }
            *inherited = found;
        }
        _ => {}
    }
    event
}

/// How a Session ended, in the words of its status: they are all that is left of it.
fn ending(said: &Value) -> Option<Finish> {
    let conditions = said["conditions"].as_array()?;
    let finished = conditions.iter().find(|condition| condition["type"] == FINISHED)?;
    let reason = finished["reason"].as_str().filter(|_| finished["status"] == "True")?;
    let ending = match reason {
        status::reason::JOB_SUCCEEDED => Ending::Succeeded,
        status::reason::JOB_FAILED => Ending::Failed,
        status::reason::EXPIRED => Ending::Expired,
        status::reason::CANCELLED => Ending::Cancelled,
        // It ended, whatever the word for it: it is not run again.
        _ => Ending::JobLost,
    };
    Some(Finish { ending, at_ms: time(said, "completionTime") })
}

/// A Session that was started and has no Job: the Job may have run, and is not created again.
fn lost(said: &Value, found: &[Inherited], now_ms: u64) -> Option<Finish> {
    let started = match said["phase"].as_str() {
        Some("Starting" | "Running") => true,
        // One that is suspended before it starts has no objects.
        Some("Suspended") => !found.is_empty(),
        _ => false,
    };
    let has_job = found.iter().any(|one| one.object.kind == Kind::Job);
    (started && !has_job).then_some(Finish { ending: Ending::JobLost, at_ms: Some(now_ms) })
}

fn time(said: &Value, field: &str) -> Option<u64> {
    said[field].as_str().and_then(validate::instant_ms)
}

/// What the pods of a live Deployment or Job run with.
#[must_use]
pub fn inherited_pod(kind: Kind, live: &Value) -> Option<InheritedPod> {
    let spec = live.get("spec")?;
    let running = match kind {
        Kind::Deployment => spec["replicas"].as_i64() != Some(0),
        Kind::Job => spec["suspend"] != true,
        _ => return None,
    };
    let container = &spec["template"]["spec"]["containers"][0];
    let told = container["env"].as_array().into_iter().flatten();
    let epoch = told
        .filter(|variable| variable["name"] == "RYNXS_EPOCH")
        .find_map(|variable| variable["value"].as_str()?.parse().ok().map(Epoch));
    let image = container["image"].as_str().unwrap_or_default().to_owned();
    Some(InheritedPod { running, image, epoch })
}

/// The storage class of a live volume claim.
#[must_use]
pub fn inherited_storage_class(kind: Kind, live: &Value) -> Option<String> {
    let class = live["spec"]["storageClassName"].as_str().filter(|class| !class.is_empty());
    class.filter(|_| kind == Kind::PersistentVolumeClaim).map(ToOwned::to_owned)
}
