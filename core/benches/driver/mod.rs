//! One writer without a log: applies events, decides, and lets every write succeed.

#![allow(dead_code, reason = "each benchmark uses its own part of the driver")]

use rynxs_core::canonical;
use rynxs_core::decide;
use rynxs_core::event::{DecisionSettings, Event, Trigger};
use rynxs_core::ids::{Epoch, Hash, Key, LogId, Seq, Uid, WriterId};
use rynxs_core::resource::{AgentSpec, children};
use rynxs_core::state::{Position, State};

pub(crate) struct Driver {
    pub(crate) state: State,
    pub(crate) records: u64,
    pub(crate) events: u64,
    /// All events with their places, where they are kept.
    pub(crate) kept: Option<Vec<(Position, Event)>>,
}

pub(crate) fn key(i: usize) -> Key {
    Key::new("bench", format!("agent-{i:05}"))
}

impl Driver {
    pub(crate) fn new() -> Self {
        let mut driver = Self { state: State::new(), records: 0, events: 0, kept: None };
        let log_id = LogId::from("0123456789abcdef0123456789abcdef");
        driver.record(&Event::LogStarted { log_id, base: 0, predecessors: Vec::new() });
        driver.record(&Event::EpochStarted {
            epoch: Epoch(1),
            identity: WriterId::from("rynxs-0_1"),
            build: String::new(),
            logic: decide::LOGIC,
            settings: DecisionSettings {
                default_image: "ghcr.io/rynxs/agent:v0.1.0".to_owned(),
                default_storage_class: String::new(),
                session_max_duration_s: 86_400,
            },
        });
        driver
    }

    /// Applies an event and what follows from it.
    pub(crate) fn record(&mut self, event: &Event) {
        let seq = Seq(self.records);
        self.records += 1;
        self.state.apply(Position::new(seq, 0), event).expect("it fits");
        let trigger = Trigger { seq, index: 0, sha256: canonical::hash_of(event) };
        let follow_ups = decide::follow_ups(&self.state, trigger, event);
        for (index, follow_up) in (1..).zip(&follow_ups) {
            self.state.apply(Position::new(seq, index), follow_up).expect("it fits");
        }
        self.events += 1 + follow_ups.len() as u64;
        if let Some(kept) = &mut self.kept {
            let all = std::iter::once(event.clone()).chain(follow_ups);
            kept.extend((0..).zip(all).map(|(index, event)| (Position::new(seq, index), event)));
        }
    }

    /// An agent is seen with this team and generation; everything decided is done.
    pub(crate) fn converge(&mut self, i: usize, generation: i64, team: &str) {
        let spec = AgentSpec { team: Some(team.to_owned()), ..AgentSpec::default() };
        let uid = Uid(format!("{i:036}"));
        self.record(&decide::agent_observed(&key(i), &uid, generation, spec));
        let subject = children::agent(&key(i));
        while let Some(pending) = self.state.pending(&subject).first().cloned() {
            let object = pending.action.object.key.name;
            self.record(&Event::ActionApplied {
                decision: pending.decision,
                subject: subject.clone(),
                action: pending.index,
                uid: Uid(format!("{object:>36}")),
                projection: pending.action.content.unwrap_or(Hash::ZERO),
            });
        }
    }

    /// So many converged agents.
    pub(crate) fn with_agents(agents: usize) -> Self {
        let mut driver = Self::new();
        for i in 0..agents {
            driver.converge(i, 1, "blue");
        }
        driver
    }

    /// One more edit of one agent, alternating.
    pub(crate) fn edit(&mut self, i: usize, generation: i64) {
        let team = if generation % 2 == 0 { "blue" } else { "green" };
        self.converge(i, generation, team);
    }
}
