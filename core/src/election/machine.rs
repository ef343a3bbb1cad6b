//! The state, what is planned from it, and leading.

use std::time::Duration;

use super::input::{Action, AttemptId, End, Failure, Happening, Input, Loss};
use super::lease::{LeaseView, LeaseWrite, Target, is_before};
use crate::config::LeaderElection;
use crate::ids::WriterId;
use crate::time::{Mono, WallMs};

/// Most writes whose fate is open that are remembered. With one in flight at a time and each given
/// up after Q, `R / Q` of them fit into a term's validity; the oldest is forgotten beyond, which
/// only means that it cannot count any more.
const OPEN_WRITES: usize = 16;

/// Attempts to release before the Lease is left to run out.
const RELEASE_TRIES: u32 = 3;

/// Timing and identity of one term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Pod name, `_`, UUID of this term: never used twice.
    pub identity: WriterId,
    /// L.
    pub lease: Duration,
    /// R.
    pub renew_deadline: Duration,
    /// P.
    pub retry_period: Duration,
    /// Q.
    pub request_timeout: Duration,
    /// ρ, in millionths.
    pub clock_rate_error_ppm: u32,
}

impl Settings {
    /// The settings of a term under a fresh identity.
    #[must_use]
    pub fn new(settings: &LeaderElection, identity: WriterId) -> Self {
        Self {
            identity,
            lease: settings.lease_duration,
            renew_deadline: settings.renew_deadline,
            retry_period: settings.retry_period,
            request_timeout: settings.request_timeout,
            clock_rate_error_ppm: settings.clock_rate_error_ppm,
        }
    }
}

/// Where a term stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Watching for the Lease to become free.
    Standby,
    /// Leading while `now < valid_until`.
    Leading {
        /// End of validity.
        valid_until: Mono,
        /// When the next renewal is sent.
        renew_at: Mono,
        /// A coordinator prefers another holder: no renewal any more.
        handing_over: bool,
    },
    /// Giving the Lease up.
    Releasing {
        /// Requests sent for it.
        tries: u32,
        /// When to leave it at that.
        until: Mono,
    },
    /// Over.
    Ended(End),
}

/// The Lease as last seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// What was seen.
    pub(super) view: LeaseView,
    /// When the last change was seen: after the answer or event arrived.
    pub(super) at: Mono,
}

/// A request without answer so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) id: AttemptId,
    pub(super) sent: Mono,
    pub(super) is_write: bool,
}

/// A write that may have been applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenWrite {
    pub(super) id: AttemptId,
    /// The clock before the request was handed on: validity counts from here.
    pub(super) sent: Mono,
    /// Its mark in the Lease.
    pub(super) renew_us: u64,
}

/// One term's election, from campaign to end.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) settings: Settings,
    pub(super) phase: Phase,
    pub(super) seen: Option<Seen>,
    /// When the Lease was first found missing.
    pub(super) missing_since: Option<Mono>,
    /// Until when a free Lease is not trusted, because it was deleted and created anew.
    pub(super) distrust_until: Mono,
    pub(super) open_writes: Vec<OpenWrite>,
    /// The newest write that counted; the watch may show it before its answer comes.
    pub(super) counted: Option<AttemptId>,
    pub(super) request: Option<Request>,
    /// The Lease must be read afresh before it is written.
    pub(super) reread: bool,
    pub(super) read_at: Mono,
    pub(super) write_at: Mono,
    /// Conflicts, and other failures, since the last success.
    pub(super) conflicts: u32,
    pub(super) failures: u32,
    next_id: u64,
    newest_us: u64,
    clocks: Option<(Mono, WallMs)>,
}

/// One call of [`step`].
pub(super) struct Turn {
    pub(super) now: Mono,
    pub(super) wall: WallMs,
    random: u64,
    pub(super) actions: Vec<Action>,
}

impl Turn {
    /// `span` and up to a fifth more.
    pub(super) fn jittered(&self, span: Duration) -> Duration {
        let part = u32::try_from(self.random % 1_024).expect("a remainder of 1,024 fits");
        span + span / 5 * part / 1_024
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.actions.push(Action::Failed(failure));
    }
}

/// Takes one input at one moment of this replica's monotonic clock.
#[must_use]
pub fn step(mut state: State, input: Input, now: Mono) -> (State, Vec<Action>) {
    let Input { what, wall, random } = input;
    let mut turn = Turn { now, wall, random, actions: Vec::new() };
    // A deadline that has passed is passed, whatever good news comes with this input.
    state.check_deadline(&mut turn);
    state.check_clocks(&mut turn);
    if !matches!(state.phase, Phase::Ended(_)) {
        match what {
            Happening::Tick => {}
            Happening::Observed(view) => state.watched(view, &mut turn),
            Happening::Missing { resource_version } => {
                state.watched_missing(resource_version.as_deref(), &mut turn);
            }
            Happening::Answered { id, answer } => state.answered(id, answer, &mut turn),
            Happening::Release => state.begin_release(&mut turn),
        }
        state.expire_request(&mut turn);
        state.plan(&mut turn);
    }
    (state, turn.actions)
}

impl State {
    /// A term that has seen nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            phase: Phase::Standby,
            seen: None,
            missing_since: None,
            distrust_until: Mono(0),
            open_writes: Vec::new(),
            counted: None,
            request: None,
            reread: false,
            read_at: Mono(0),
            write_at: Mono(0),
            conflicts: 0,
            failures: 0,
            next_id: 0,
            newest_us: 0,
            clocks: None,
        }
    }

    /// Where the term stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// End of validity, while leading.
    #[must_use]
    pub fn valid_until(&self) -> Option<Mono> {
        match self.phase {
            Phase::Leading { valid_until, .. } => Some(valid_until),
            _ => None,
        }
    }

    /// The Lease as last seen.
    #[must_use]
    pub fn lease(&self) -> Option<&LeaseView> {
        self.seen.as_ref().map(|seen| &seen.view)
    }

    /// The request whose answer is awaited; any other may be abandoned.
    #[must_use]
    pub fn awaiting(&self) -> Option<AttemptId> {
        self.request.map(|request| request.id)
    }

    /// When the machine wants a `Tick` at the latest.
    #[must_use]
    pub fn wake_at(&self) -> Option<Mono> {
        let timeout = self.request.map(|request| request.sent + self.settings.request_timeout);
        let (end, plan) = match self.phase {
            Phase::Ended(_) => return None,
            Phase::Standby if self.reread => (None, Some(self.read_at)),
            Phase::Standby => (None, self.takeover_at().map(|due| due.max(self.write_at))),
            Phase::Leading { valid_until, handing_over: true, .. } => (Some(valid_until), None),
            Phase::Leading { valid_until, .. } if self.reread => {
                (Some(valid_until), Some(self.read_at))
            }
            Phase::Leading { valid_until, renew_at, .. } => {
                (Some(valid_until), Some(renew_at.max(self.write_at)))
            }
            Phase::Releasing { until, .. } => (Some(until), Some(self.read_at)),
        };
        [timeout, end, plan.filter(|_| self.request.is_none())].into_iter().flatten().min()
    }

    /// When this standby may write the Lease.
    pub(super) fn takeover_at(&self) -> Option<Mono> {
        if let Some(since) = self.missing_since {
            return Some(since + self.patience());
        }
        let seen = self.seen.as_ref()?;
        let free = seen.view.holder().is_none_or(|holder| *holder == self.settings.identity);
        // Held by this very term means that a write of ours was applied but can no longer count:
        // nobody else leads, and the next write renews it.
        Some(if free { seen.at.max(self.distrust_until) } else { seen.at + self.patience() })
    }

    /// How long a record, or its absence, is left alone.
    pub(super) fn patience(&self) -> Duration {
        let lease = self.settings.lease;
        self.seen.as_ref().map_or(lease, |seen| seen.view.patience(lease))
    }

    fn check_deadline(&mut self, turn: &mut Turn) {
        if let Phase::Leading { valid_until, handing_over, .. } = self.phase
            && turn.now >= valid_until
        {
            if handing_over {
                self.lose(Loss::PreferredHolder, turn);
            } else {
                turn.failed(Failure::DeadlineExceeded);
                self.lose(Loss::DeadlineExceeded, turn);
            }
        }
    }

    /// A monotonic clock that stood still (a suspended machine) or ran wild shows as a drift
    /// against the wall clock between two inputs. Which of the two jumped cannot be known.
    fn check_clocks(&mut self, turn: &mut Turn) {
        let before = self.clocks.replace((turn.now, turn.wall));
        let Some((mono, wall)) = before else { return };
        let passed = (turn.now - mono).as_millis();
        let shown = i128::from(turn.wall.0) - i128::from(wall.0);
        let drift = shown.abs_diff(i128::try_from(passed).unwrap_or(i128::MAX));
        // Clocks at different rates drift by themselves, the more the longer nothing was heard.
        let rate_error = u128::from(self.settings.clock_rate_error_ppm);
        let natural = passed.max(shown.unsigned_abs()).saturating_mul(rate_error) / 1_000_000;
        if drift <= self.settings.renew_deadline.as_millis() + natural {
            return;
        }
        match self.phase {
            Phase::Leading { .. } => {
                turn.failed(Failure::ClockJump);
                self.lose(Loss::ClockJump, turn);
            }
            Phase::Standby => {
                // What was watched for how long is in doubt: watch afresh.
                turn.failed(Failure::ClockJump);
                if let Some(seen) = &mut self.seen {
                    seen.at = turn.now;
                }
                self.missing_since = self.missing_since.map(|_| turn.now);
                self.distrust_until = turn.now + self.patience();
                self.open_writes.clear();
            }
            Phase::Releasing { .. } | Phase::Ended(_) => {}
        }
    }

    pub(super) fn lose(&mut self, loss: Loss, turn: &mut Turn) {
        self.phase = Phase::Ended(End::Lost(loss));
        self.request = None;
        self.open_writes.clear();
        turn.actions.push(Action::StopLeading);
        turn.actions.push(Action::Ended(End::Lost(loss)));
    }

    fn begin_release(&mut self, turn: &mut Turn) {
        match self.phase {
            Phase::Leading { .. } => turn.actions.push(Action::StopLeading),
            // An acquisition whose fate is open would leave the Lease to a dead identity.
            Phase::Standby if !self.open_writes.is_empty() => {}
            Phase::Standby => return self.end_release(turn),
            Phase::Releasing { .. } | Phase::Ended(_) => return,
        }
        // A renewal in flight cannot undo the release: the release changes the version.
        self.request = None;
        self.open_writes.clear();
        self.reread = true;
        self.read_at = turn.now;
        // Beyond L it would run out by itself.
        self.phase = Phase::Releasing { tries: 0, until: turn.now + self.settings.lease };
    }

    pub(super) fn end_release(&mut self, turn: &mut Turn) {
        self.phase = Phase::Ended(End::Released);
        self.request = None;
        turn.actions.push(Action::Ended(End::Released));
    }

    /// Sends what is due, one request at a time.
    fn plan(&mut self, turn: &mut Turn) {
        match self.phase {
            Phase::Ended(_) => {}
            Phase::Releasing { until, .. } if turn.now >= until => self.end_release(turn),
            _ if self.request.is_some() => {}
            Phase::Standby if self.reread => self.read_if_due(turn),
            Phase::Standby => {
                let due = self.takeover_at().map(|due| due.max(self.write_at));
                if due.is_some_and(|due| turn.now >= due) {
                    self.acquire(turn);
                }
            }
            Phase::Leading { handing_over: true, .. } => {}
            Phase::Leading { .. } if self.reread => self.read_if_due(turn),
            Phase::Leading { renew_at, .. } => {
                if turn.now >= renew_at.max(self.write_at) {
                    self.renew(turn);
                }
            }
            Phase::Releasing { tries, until } => {
                if tries >= RELEASE_TRIES {
                    self.end_release(turn);
                } else if turn.now >= self.read_at {
                    self.phase = Phase::Releasing { tries: tries + 1, until };
                    self.send(false, turn);
                }
            }
        }
    }

    fn read_if_due(&mut self, turn: &mut Turn) {
        if turn.now >= self.read_at {
            self.send(false, turn);
        }
    }

    fn send(&mut self, is_write: bool, turn: &mut Turn) -> AttemptId {
        let id = AttemptId(self.next_id);
        self.next_id += 1;
        self.request = Some(Request { id, sent: turn.now, is_write });
        if !is_write {
            turn.actions.push(Action::Get(id));
        }
        id
    }

    fn write(&mut self, write: LeaseWrite, turn: &mut Turn) {
        let id = self.send(true, turn);
        if self.open_writes.len() == OPEN_WRITES {
            self.open_writes.remove(0);
        }
        self.open_writes.push(OpenWrite { id, sent: turn.now, renew_us: write.renew_us });
        turn.actions.push(Action::Write(id, write));
    }

    /// Microseconds of the wall clock, made unique: the mark of one write.
    fn mark_us(&mut self, turn: &Turn) -> u64 {
        self.newest_us = turn.wall.0.saturating_mul(1_000).max(self.newest_us + 1);
        self.newest_us
    }

    fn acquire(&mut self, turn: &mut Turn) {
        let renew_us = self.mark_us(turn);
        let (target, transitions) = match (&self.seen, self.missing_since) {
            (Some(seen), None) => {
                let mine = seen.view.holder.as_ref() == Some(&self.settings.identity);
                let transitions = seen.view.transitions.saturating_add(u32::from(!mine));
                (replace(&seen.view), transitions)
            }
            _ => (Target::Create, 0),
        };
        let write = LeaseWrite {
            target,
            holder: self.settings.identity.clone(),
            duration: self.settings.lease,
            acquire_us: renew_us,
            renew_us,
            transitions,
        };
        self.write(write, turn);
    }

    fn renew(&mut self, turn: &mut Turn) {
        let renew_us = self.mark_us(turn);
        let view = self.lease().expect("a leader has seen the Lease that it holds");
        let write = LeaseWrite {
            target: replace(view),
            holder: self.settings.identity.clone(),
            duration: self.settings.lease,
            acquire_us: view.acquire_us.unwrap_or(renew_us),
            renew_us,
            transitions: view.transitions,
        };
        self.write(write, turn);
    }

    /// Blanks the holder of the Lease that was just fetched.
    pub(super) fn send_release(&mut self, view: &LeaseView, turn: &mut Turn) {
        let renew_us = self.mark_us(turn);
        let write = LeaseWrite {
            target: replace(view),
            holder: WriterId::default(),
            // For readers that know no empty holder: the shortest that the API allows.
            duration: Duration::from_secs(1),
            acquire_us: view.acquire_us.unwrap_or(renew_us),
            renew_us,
            transitions: view.transitions,
        };
        let id = self.send(true, turn);
        turn.actions.push(Action::Write(id, write));
    }

    /// A watch event, which may come late.
    fn watched(&mut self, view: LeaseView, turn: &mut Turn) {
        let known = self.seen.as_ref().map(|seen| seen.view.resource_version.as_str());
        if known.is_none_or(|known| !view.is_before(known)) {
            self.observe(view, turn);
        }
    }

    fn watched_missing(&mut self, version: Option<&str>, turn: &mut Turn) {
        let known = self.seen.as_ref().map(|seen| seen.view.resource_version.as_str());
        let late =
            matches!((version, known), (Some(version), Some(known)) if is_before(version, known));
        if !late {
            self.missing(turn);
        }
    }
}

fn replace(view: &LeaseView) -> Target {
    Target::Replace {
        uid: view.uid.clone(),
        resource_version: view.resource_version.clone(),
        metadata: view.metadata.clone(),
    }
}
