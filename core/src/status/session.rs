//! Status of a Session.

use serde_json::{Value, json};

use super::{
    ACCEPTED, DEGRADED, Draft, FINISHED, LiveSession, PROGRESSING, READY, SUSPENDED, Verdict,
    accepted, failure_message, failure_reason, forbidden, no, reason, rfc3339, yes,
};
use crate::ids::Key;
use crate::resource::{OperatingMode, SessionMode, children, validate};
use crate::state::{Ending, SessionState, State};

pub(super) fn status(state: &State, key: &Key, live: &LiveSession<'_>) -> Option<Value> {
    let session = state.session(key)?;
    let problems = validate::session(key, &session.observed);
    let look = Look { state, key, session, live };
    let mut draft = Draft::new(&live.context, session.generation);
    draft.condition(ACCEPTED, accepted(&problems));
    draft.condition(READY, look.ready());
    draft.condition(PROGRESSING, look.progressing());
    draft.condition(SUSPENDED, look.suspended());
    draft.condition(DEGRADED, look.degraded());
    draft.condition(FINISHED, look.finished());
    draft.set("phase", json!(look.phase()));
    if let Some(expires_ms) = session.expires_ms {
        draft.set("expiresAt", json!(rfc3339(expires_ms)));
    }
    if let Some(at_ms) = session.finished.and_then(|finish| finish.at_ms) {
        draft.set("completionTime", json!(rfc3339(at_ms)));
    }
    Some(draft.finish(state, session.decided))
}

struct Look<'a> {
    state: &'a State,
    key: &'a Key,
    session: &'a SessionState,
    live: &'a LiveSession<'a>,
}

impl Look<'_> {
    fn pending(&self) -> usize {
        self.state.pending(&children::session(self.key)).len()
    }

    fn active(&self) -> bool {
        self.live.job.is_some_and(|job| job.active > 0)
    }

    fn suspends(&self) -> bool {
        self.session.spec().is_some_and(|spec| spec.operating_mode == SessionMode::Suspended)
    }

    /// Why it has not been started.
    fn waiting(&self) -> Verdict {
        let agent = self.session.agent_key(self.key);
        let name = &agent.name;
        let Some(known) = self.state.agent(&agent) else {
            return no(reason::AGENT_MISSING, format!("Agent {name} does not exist"));
        };
        match known.spec() {
            None => no(reason::AGENT_REFUSED, format!("the spec of Agent {name} is not accepted")),
            Some(spec) if spec.operating_mode == OperatingMode::Suspended => {
                no(reason::AGENT_SUSPENDED, format!("Agent {name} is suspended"))
            }
            Some(_) => {
                let running = self.state.running_count(&agent);
                no(reason::NO_FREE_PLACE, format!("{running} sessions of Agent {name} run"))
            }
        }
    }

    fn ready(&self) -> Verdict {
        if self.session.finished.is_some() {
            return Verdict { holds: false, ..self.finished() };
        }
        if self.session.spec().is_none() {
            return no(reason::INVALID_SPEC, "the spec was never accepted: nothing is written");
        }
        let degraded = self.degraded();
        if degraded.holds {
            return Verdict { holds: false, ..degraded };
        }
        if self.suspends() {
            return no(reason::JOB_SUSPENDED, "the session is suspended");
        }
        if !self.session.was_started() {
            return self.waiting();
        }
        if self.pending() > 0 {
            return no(reason::WRITING, format!("{} writes are under way", self.pending()));
        }
        if self.active() {
            return yes(reason::JOB_RUNNING, "the run's pod is active");
        }
        no(reason::JOB_STARTING, "the run's pod is not active yet")
    }

    fn progressing(&self) -> Verdict {
        let pending = self.pending();
        if pending > 0 {
            return yes(reason::WRITING, format!("{pending} writes are under way"));
        }
        let starts = self.session.is_running() && !self.suspends() && !self.active();
        if starts && self.session.failures.is_empty() {
            return yes(reason::JOB_STARTING, "the run's pod is not active yet");
        }
        no(reason::SETTLED, "nothing is under way")
    }

    fn suspended(&self) -> Verdict {
        if !self.suspends() || self.session.finished.is_some() {
            return no(reason::NOT_SUSPENDED, "the spec does not suspend the session");
        }
        if self.active() || self.pending() > 0 {
            no(reason::JOB_STOPPING, "the run's pod is being stopped")
        } else {
            yes(reason::JOB_SUSPENDED, "no pod runs; the session's time goes on")
        }
    }

    fn degraded(&self) -> Verdict {
        if let Some((object, failure)) = self.session.failures.first_key_value() {
            return yes(failure_reason(failure), failure_message(object, failure));
        }
        forbidden(&self.live.context)
            .unwrap_or_else(|| no(reason::AS_EXPECTED, "nothing needs a person"))
    }

    fn finished(&self) -> Verdict {
        match self.session.finished.map(|finish| finish.ending) {
            None => no(reason::NOT_FINISHED, "the session has not ended"),
            Some(Ending::Succeeded) => yes(reason::JOB_SUCCEEDED, "the run completed"),
            Some(Ending::Failed) => yes(reason::JOB_FAILED, "the run failed"),
            Some(Ending::JobLost) => yes(
                reason::JOB_LOST,
                "the run's Job is gone and may have run: it is not started again",
            ),
            Some(Ending::Expired) => yes(reason::EXPIRED, "the session's time was over"),
            Some(Ending::Cancelled) => yes(reason::CANCELLED, "the session was cancelled"),
        }
    }

    fn phase(&self) -> &'static str {
        if let Some(finish) = self.session.finished {
            return match finish.ending {
                Ending::Succeeded => "Succeeded",
                Ending::Failed => "Failed",
                Ending::JobLost => "Lost",
                Ending::Expired => "Expired",
                Ending::Cancelled => "Cancelled",
            };
        }
        if self.session.spec().is_none() {
            "Refused"
        } else if self.degraded().holds {
            "Degraded"
        } else if self.suspends() {
            "Suspended"
        } else if !self.session.was_started() {
            "Waiting"
        } else if self.active() && self.pending() == 0 {
            "Running"
        } else {
            "Starting"
        }
    }
}
