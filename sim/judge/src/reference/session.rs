//! Whether a Session has become what its spec says: waiting, running, ended or gone (I8).

use serde_json::Value;

use super::agent::{Reach, hurdle, spec_of};
use super::cluster::{Cluster, Look, condition, expect, expect_status};
use super::compare::difference;
use super::names::{STAMP, annotation, children_of, is_deleting, kind_of, parts, uid_of};
use super::spec::{CONCURRENT_MAX, mode, session_problem, text};
use super::time::unix_ms;
use super::wanted::{Subject, of_session};

/// Status times are whole seconds.
const SECOND_MS: u64 = 1_000;

/// The Agent that a Session names.
pub(super) fn agent_of(session: &str, value: &Value) -> Option<String> {
    let (_, namespace, _) = parts(session)?;
    Some(format!("Agent/{namespace}/{}", value.get("spec")?.get("agentRef")?.as_str()?))
}

fn is_started(cluster: &Cluster, session: &str, value: &Value) -> bool {
    children_of(session).iter().any(|child| {
        cluster.live.get(child).is_some_and(|live| {
            annotation(live, STAMP).is_some()
                && super::names::owner_uid(live) == Some(uid_of(value))
        })
    })
}

/// Whether it was started and has not ended: it takes a place of its Agent.
pub(super) fn is_running(cluster: &Cluster, session: &str, value: &Value) -> bool {
    let finished = condition(value, "Finished").is_some_and(|(holds, _)| holds);
    !finished && !is_deleting(value) && is_started(cluster, session, value)
}

/// Looks at one living Session.
pub(super) fn look(cluster: &Cluster, session: &str, value: &Value, now_ms: u64) -> Look {
    let one = One { cluster, session, value, spec: &value["spec"], now_ms };
    let missing = one.check().err();
    Look { missing, wake_ms: one.wakes_at() }
}

struct One<'a> {
    cluster: &'a Cluster,
    session: &'a str,
    value: &'a Value,
    spec: &'a Value,
    now_ms: u64,
}

impl One<'_> {
    fn check(&self) -> Result<(), String> {
        let name = parts(self.session).map_or("", |(_, _, name)| name);
        expect_status(self.value)?;
        if let Some(problem) = session_problem(name, self.spec) {
            return expect(self.value, "Accepted", false)
                .map_err(|said| format!("{said}: {problem} cannot be accepted"));
        }
        expect(self.value, "Accepted", true)?;
        match condition(self.value, "Finished") {
            Some((true, reason)) => self.ended(reason),
            Some((false, _)) => self.goes_on(),
            None => Err("condition Finished is not there".into()),
        }
    }

    fn status_time(&self, field: &str) -> Option<u64> {
        unix_ms(text(self.value, &format!("/status/{field}"))?)
    }

    /// When its time is over, with the second that a status leaves out.
    fn expires_ms(&self) -> Option<u64> {
        self.status_time("expiresAt").map(|at| at + SECOND_MS)
    }

    /// When it must be gone: its time is over and it asks for that, or its time to live after its
    /// end has passed.
    fn goes_ms(&self) -> Option<u64> {
        let delete = text(self.spec, "/shutdownPolicy") == Some("Delete");
        let expiry = self.expires_ms().filter(|_| delete);
        let ttl = self.spec.get("ttlSecondsAfterFinished").and_then(Value::as_u64);
        let finished = condition(self.value, "Finished").is_some_and(|(holds, _)| holds);
        let end = self.status_time("completionTime").or(self.status_time("expiresAt"));
        let after = end.zip(ttl).filter(|_| finished);
        let after = after.map(|(end, ttl)| end + ttl * SECOND_MS + SECOND_MS);
        expiry.into_iter().chain(after).min()
    }

    fn wakes_at(&self) -> Option<u64> {
        let dues = self.expires_ms().into_iter().chain(self.goes_ms());
        dues.filter(|due| *due > self.now_ms).min()
    }

    fn ended(&self, reason: &str) -> Result<(), String> {
        if self.goes_ms().is_some_and(|due| due <= self.now_ms) {
            return Err("its time to be deleted has passed".into());
        }
        let job = self.job();
        let taken = condition(self.value, "Degraded").is_some_and(|(holds, _)| holds);
        match job.filter(|job| annotation(job, STAMP).is_some()) {
            Some(_) if matches!(reason, "Cancelled" | "Expired") && !taken => {
                Err(format!("it ended ({reason}), but its Job is still there"))
            }
            _ => expect(self.value, "Ready", false),
        }
    }

    fn job(&self) -> Option<&Value> {
        let (_, namespace, name) = parts(self.session)?;
        self.cluster.live.get(&format!("Job/{namespace}/{name}-run")).map(|job| &**job)
    }

    fn goes_on(&self) -> Result<(), String> {
        if mode(self.spec) == "Cancelled" {
            return Err("it is cancelled, but not finished".into());
        }
        if self.expires_ms().is_some_and(|due| due <= self.now_ms) {
            return Err("its time is over, but it is not finished".into());
        }
        let ended = |kind| {
            self.job()
                .filter(|job| annotation(job, STAMP).is_some())
                .and_then(|job| condition(job, kind))
                .is_some_and(|(holds, _)| holds)
        };
        if ended("Complete") || ended("Failed") {
            return Err("its Job ended, but it is not finished".into());
        }
        if is_started(self.cluster, self.session, self.value) {
            return self.runs();
        }
        if mode(self.spec) == "Running" && !self.squatted() && self.may_start() {
            return Err("it could be started, and was not".into());
        }
        expect(self.value, "Ready", false)
    }

    /// A person's object has the name of its first one: nothing of it can be written.
    fn squatted(&self) -> bool {
        let first = children_of(self.session).into_iter().next();
        let live = first.and_then(|first| self.cluster.live.get(&first));
        live.is_some_and(|live| annotation(live, STAMP).is_none())
            && condition(self.value, "Degraded") == Some((true, "NameConflict"))
    }

    /// Whether its Agent is there, accepted, not suspended, and has a free place.
    fn may_start(&self) -> bool {
        let Some(agent) = agent_of(self.session, self.value) else { return false };
        let Some(spec) = spec_of(self.cluster, &agent) else { return false };
        let limit = spec.pointer("/sessions/maxConcurrent").and_then(Value::as_u64);
        let taken = self.cluster.running.get(&agent).map_or(0, |running| running.len() as u64);
        mode(spec) == "Running" && taken < limit.unwrap_or(CONCURRENT_MAX)
    }

    fn runs(&self) -> Result<(), String> {
        let Some((_, namespace, name)) = parts(self.session) else { return Ok(()) };
        let agent = agent_of(self.session, self.value);
        let reach = agent.and_then(|agent| spec_of(self.cluster, &agent));
        let subject = Subject { namespace, name, uid: uid_of(self.value), spec: self.spec };
        for object in children_of(self.session) {
            let want = of_session(&subject, kind_of(&object), reach);
            let differs = match self.cluster.live.get(&object) {
                Some(have) => difference(have, &want),
                // Suspended before it was whole: the rest waits.
                None => Some("is not there".into()),
            };
            if let Reach::UpTo = hurdle(self.cluster, self.value, &object, differs)? {
                return expect(self.value, "Ready", false);
            }
        }
        let active = self.job().is_some_and(|job| job["status"]["active"].as_i64() > Some(0));
        expect(self.value, "Ready", active && mode(self.spec) == "Running")
    }
}
