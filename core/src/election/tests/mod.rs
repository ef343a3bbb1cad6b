//! Tests of the election: a table of answers, the holes of other elections, and many machines
//! against a model of the Lease's store.

mod answers;
mod holes;
mod model;
mod property;
mod terms;

use std::time::Duration;

use super::*;
use crate::ids::{Uid, WriterId};
use crate::time::{Mono, WallMs};

pub(super) const ME: &str = "rynxs-0_a";
pub(super) const OTHER: &str = "rynxs-1_b";

pub(super) fn settings(identity: &str) -> Settings {
    Settings::new(&crate::config::LeaderElection::default(), WriterId::from(identity))
}

pub(super) fn ms(ms: u64) -> Mono {
    Mono(0) + Duration::from_millis(ms)
}

/// One term under test: a state, its clock, and what it wanted last.
pub(super) struct Term {
    pub(super) state: State,
    pub(super) now_ms: u64,
    /// Wall minus monotonic clock.
    pub(super) wall_offset_ms: u64,
    pub(super) random: u64,
    pub(super) actions: Vec<Action>,
}

pub(super) fn view(version: u64, holder: &str) -> LeaseView {
    LeaseView {
        uid: Uid::from("u1"),
        resource_version: version.to_string(),
        holder: Some(WriterId::from(holder)),
        duration: Duration::from_secs(15),
        acquire_us: Some(1),
        renew_us: Some(version),
        transitions: 3,
        ..LeaseView::default()
    }
}

impl Term {
    pub(super) fn new() -> Self {
        Self {
            state: State::new(settings(ME)),
            now_ms: 100_000,
            wall_offset_ms: 1_700_000_000_000,
            random: 0,
            actions: Vec::new(),
        }
    }

    /// A standby that watches `OTHER` renew at 100 s.
    pub(super) fn standby() -> Self {
        let mut term = Self::new();
        term.hear(Happening::Observed(view(10, OTHER)));
        assert_eq!(term.actions, []);
        term
    }

    /// A leader that acquired a released Lease at 100 s, stored as version 11.
    pub(super) fn leader() -> Self {
        let mut term = Self::new();
        term.hear(Happening::Observed(view(10, "")));
        let write = term.written();
        term.answer(Answer::Lease(stored(&write, 11)));
        assert!(matches!(term.state.phase(), Phase::Leading { .. }), "{:?}", term.state);
        term
    }

    /// A leader with a renewal in flight, sent at 102 s.
    pub(super) fn renewing() -> Self {
        let mut term = Self::leader();
        term.pass(2_000);
        term.written();
        term
    }

    pub(super) fn hear(&mut self, what: Happening) -> &[Action] {
        let wall = WallMs(self.now_ms + self.wall_offset_ms);
        let input = Input { what, wall, random: self.random };
        let (state, actions) = step(self.state.clone(), input, ms(self.now_ms));
        (self.state, self.actions) = (state, actions);
        &self.actions
    }

    pub(super) fn pass(&mut self, span_ms: u64) -> &[Action] {
        self.now_ms += span_ms;
        self.hear(Happening::Tick)
    }

    /// Ticks exactly when the machine asks to, up to a moment; collects what it wants.
    pub(super) fn run_until(&mut self, until_ms: u64) -> Vec<Action> {
        let mut all = Vec::new();
        while let Some(wake) = self.state.wake_at().filter(|wake| *wake <= ms(until_ms)) {
            self.now_ms = self.now_ms.max(wake.0.div_ceil(1_000_000));
            all.extend_from_slice(self.hear(Happening::Tick));
        }
        self.now_ms = self.now_ms.max(until_ms);
        all.extend_from_slice(self.hear(Happening::Tick));
        self.actions.clone_from(&all);
        all
    }

    /// Answers the request in flight.
    pub(super) fn answer(&mut self, answer: Answer) -> &[Action] {
        let id = self.state.awaiting().expect("a request is in flight");
        self.hear(Happening::Answered { id, answer })
    }

    /// The write among the last actions.
    pub(super) fn written(&self) -> LeaseWrite {
        let write = self.actions.iter().find_map(|action| match action {
            Action::Write(_, write) => Some(write.clone()),
            _ => None,
        });
        write.unwrap_or_else(|| panic!("no write among {:?}", self.actions))
    }

    pub(super) fn reads(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Get(_)))
    }

    pub(super) fn writes(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Write(..)))
    }

    pub(super) fn valid_until_ms(&self) -> Option<u64> {
        self.state.valid_until().map(|until| until.0 / 1_000_000)
    }

    pub(super) fn lost(&self) -> Option<Loss> {
        match self.state.phase() {
            Phase::Ended(End::Lost(loss)) => Some(loss),
            _ => None,
        }
    }
}

/// The Lease after a write was stored.
pub(super) fn stored(write: &LeaseWrite, version: u64) -> LeaseView {
    let uid = match &write.target {
        Target::Replace { uid, .. } => uid.clone(),
        Target::Create => Uid(format!("u{version}")),
    };
    LeaseView {
        uid,
        resource_version: version.to_string(),
        holder: Some(write.holder.clone()),
        duration: write.duration,
        acquire_us: Some(write.acquire_us),
        renew_us: Some(write.renew_us),
        transitions: write.transitions,
        ..LeaseView::default()
    }
}
