//! Status of an Agent.

use serde_json::{Value, json};

use super::{
    ACCEPTED, DEGRADED, Draft, LiveAgent, PROGRESSING, READY, SUSPENDED, Verdict, accepted,
    failure_message, failure_reason, forbidden, no, reason, yes,
};
use crate::ids::Key;
use crate::resource::{OperatingMode, children};
use crate::state::{AgentState, State, Volume};

pub(super) fn status(state: &State, key: &Key, live: &LiveAgent<'_>) -> Option<Value> {
    let agent = state.agent(key)?;
    let problems = if agent.valid { Vec::new() } else { agent.problems(key) };
    let look = Look { state, key, agent, live };
    let mut draft = Draft::new(&live.context, agent.generation);
    draft.condition(ACCEPTED, accepted(&problems));
    draft.condition(READY, look.ready());
    draft.condition(PROGRESSING, look.progressing());
    draft.condition(SUSPENDED, look.suspended());
    draft.condition(DEGRADED, look.degraded());
    draft.set("phase", json!(look.phase()));
    draft.set(
        "sessions",
        json!({
            "running": state.running_count(key),
            "waiting": state.waiting_sessions(key).count(),
        }),
    );
    Some(draft.finish(state, agent.decided))
}

struct Look<'a> {
    state: &'a State,
    key: &'a Key,
    agent: &'a AgentState,
    live: &'a LiveAgent<'a>,
}

impl Look<'_> {
    fn pending(&self) -> usize {
        self.state.pending(&children::agent(self.key)).len()
    }

    fn wants_to_run(&self) -> bool {
        self.agent.spec().is_some_and(|spec| spec.operating_mode == OperatingMode::Running)
    }

    fn available(&self) -> bool {
        self.live
            .deployment
            .is_some_and(|live| live.observed && live.updated > 0 && live.available > 0)
    }

    fn stopped(&self) -> bool {
        self.live.deployment.is_none_or(|live| live.observed && live.replicas == 0)
    }

    fn ready(&self) -> Verdict {
        if self.agent.spec().is_none() {
            return no(reason::INVALID_SPEC, "the spec was never accepted: nothing is written");
        }
        let degraded = self.degraded();
        if degraded.holds {
            return Verdict { holds: false, ..degraded };
        }
        if self.pending() > 0 {
            return no(reason::WRITING, format!("{} writes are under way", self.pending()));
        }
        if !self.wants_to_run() {
            return no(reason::RUNTIME_STOPPED, "the agent is suspended");
        }
        if self.available() {
            return yes(reason::RUNTIME_AVAILABLE, "the runtime is available");
        }
        no(reason::RUNTIME_STARTING, "the runtime's pod is not available yet")
    }

    fn progressing(&self) -> Verdict {
        if self.pending() > 0 {
            let pending = self.pending();
            return yes(reason::WRITING, format!("{pending} writes are under way"));
        }
        let runs = self.wants_to_run();
        match self.agent.spec() {
            Some(_) if runs && !self.available() && self.agent.failures.is_empty() => {
                yes(reason::ROLLING_OUT, "the runtime's pod is not available yet")
            }
            Some(_) if !runs && !self.stopped() => {
                yes(reason::RUNTIME_STOPPING, "the runtime's pod is being stopped")
            }
            _ => no(reason::SETTLED, "nothing is under way"),
        }
    }

    fn suspended(&self) -> Verdict {
        if self.wants_to_run() || self.agent.spec().is_none() {
            return no(reason::NOT_SUSPENDED, "the spec does not suspend the agent");
        }
        if self.stopped() && self.pending() == 0 {
            yes(reason::RUNTIME_STOPPED, "no pod runs; the workspace is kept")
        } else {
            no(reason::RUNTIME_STOPPING, "the runtime's pod is being stopped")
        }
    }

    fn degraded(&self) -> Verdict {
        if let Some((object, failure)) = self.agent.failures.first_key_value() {
            return yes(failure_reason(failure), failure_message(object, failure));
        }
        if self.agent.volume == Volume::Lost {
            let claim = children::workspace(self.key).key.name;
            let message = format!(
                "the volume of PersistentVolumeClaim {claim} is lost: restore it, or delete the \
                 claim to start with an empty workspace"
            );
            return yes(reason::VOLUME_LOST, message);
        }
        if let Some(verdict) = forbidden(&self.live.context) {
            return verdict;
        }
        no(reason::AS_EXPECTED, "nothing needs a person")
    }

    fn phase(&self) -> &'static str {
        if self.agent.spec().is_none() {
            "Refused"
        } else if self.degraded().holds {
            "Degraded"
        } else if self.pending() > 0 {
            "Pending"
        } else if !self.wants_to_run() {
            "Suspended"
        } else if self.available() {
            "Running"
        } else {
            "Starting"
        }
    }
}
