//! What each sight of the Lease and each answer changes.
//!
//! The table (a *write* is a PUT or the creating apply):
//!
//! | answer | read | write |
//! |---|---|---|
//! | the Lease | compare | ours: it counts from before it was sent; else open, read |
//! | 409 | – | open, read after a jittered backoff, compare |
//! | 404 | missing | PUT: missing; creation: the namespace is gone, again after P |
//! | 401, 403, 422 | again after P | not applied, again after P |
//! | 429 | after `Retry-After`, within the remaining validity | not applied, likewise |
//! | 5xx, broken, timeout, no Lease | again after P | open, read at once |
//! | not sent | again after P | not applied, again after P |
//!
//! Nothing but an own write that was stored extends validity.

use std::time::Duration;

use super::input::{Action, Answer, AttemptId, Failure, Loss};
use super::lease::LeaseView;
use super::machine::{Phase, Request, Seen, State, Turn};

/// First wait after a conflict; doubles with each further one, up to P.
const CONFLICT_WAIT: Duration = Duration::from_millis(25);

impl State {
    /// The Lease as it is: an answer to a read, or a watch event that is not late.
    pub(super) fn observe(&mut self, view: LeaseView, turn: &mut Turn) {
        match self.phase {
            Phase::Standby => self.observe_as_standby(view, turn),
            Phase::Leading { .. } => self.observe_as_leader(view, turn),
            Phase::Releasing { .. } | Phase::Ended(_) => {}
        }
    }

    fn observe_as_standby(&mut self, view: LeaseView, turn: &mut Turn) {
        let mine = view.holder() == Some(&self.settings.identity);
        if mine && let Some(open) = self.find_open(&view) {
            return self.count(open, view, turn);
        }
        let replaced = self.seen.as_ref().is_some_and(|seen| seen.view.uid != view.uid);
        if self.missing_since.is_some() || replaced {
            // A holder that nobody released may still act: leave the new one alone as long.
            let since = self.missing_since.take().unwrap_or(turn.now);
            self.distrust_until = self.distrust_until.max(since + self.patience());
        }
        if self.seen.as_ref().is_none_or(|seen| seen.view.differs(&view)) {
            if !mine {
                // Somebody wrote over whatever ours might have become.
                self.open_writes.clear();
            }
            self.seen = Some(Seen { view, at: turn.now });
        }
    }

    fn observe_as_leader(&mut self, view: LeaseView, turn: &mut Turn) {
        let seen = self.seen.as_mut().expect("a leader has seen the Lease that it holds");
        if view.holder() != Some(&self.settings.identity) {
            seen.view = view;
            return self.lose(Loss::ForeignHolder, turn);
        }
        if view.uid != seen.view.uid {
            return self.lose(Loss::LeaseReplaced, turn);
        }
        let prefers_another =
            view.preferred.as_deref().is_some_and(|it| it != self.settings.identity.as_str());
        if let Phase::Leading { handing_over, .. } = &mut self.phase {
            *handing_over = prefers_another;
        }
        match self.find_open(&view) {
            Some(open) => self.count(open, view, turn),
            None => self.seen = Some(Seen { view, at: turn.now }),
        }
    }

    /// The Lease does not exist.
    pub(super) fn missing(&mut self, turn: &mut Turn) {
        match self.phase {
            Phase::Leading { .. } => {
                turn.failed(Failure::NotFound);
                self.lose(Loss::LeaseMissing, turn);
            }
            Phase::Standby => {
                self.missing_since.get_or_insert(turn.now);
            }
            Phase::Releasing { .. } => self.end_release(turn),
            Phase::Ended(_) => {}
        }
    }

    fn find_open(&self, view: &LeaseView) -> Option<AttemptId> {
        let renew_us = view.renew_us?;
        self.open_writes.iter().find(|open| open.renew_us == renew_us).map(|open| open.id)
    }

    /// Our own write was stored, with this result: leadership is valid from before it was sent.
    fn count(&mut self, id: AttemptId, view: LeaseView, turn: &mut Turn) {
        let open = self.open_writes.iter().find(|open| open.id == id);
        let sent = open.expect("only open writes are counted").sent;
        // Older writes were made over older versions and can no longer be stored.
        self.open_writes.retain(|open| open.id > id);
        self.counted = self.counted.max(Some(id));
        (self.conflicts, self.failures, self.missing_since) = (0, 0, None);
        let (uid, transitions) = (view.uid.clone(), view.transitions);
        self.seen = Some(Seen { view, at: turn.now });
        self.reread = false;
        self.write_at = turn.now;
        let until = sent + self.settings.renew_deadline;
        let next = sent + self.settings.retry_period;
        match &mut self.phase {
            Phase::Standby if turn.now < until => {
                self.phase =
                    Phase::Leading { valid_until: until, renew_at: next, handing_over: false };
                turn.actions.push(Action::StartLeading { valid_until: until, uid, transitions });
            }
            Phase::Leading { valid_until, renew_at, .. } if *valid_until < until => {
                (*valid_until, *renew_at) = (until, next);
                turn.actions.push(Action::Extend { valid_until: until });
            }
            _ => {}
        }
    }

    /// An answer, perhaps a late or repeated one.
    pub(super) fn answered(&mut self, id: AttemptId, answer: Answer, turn: &mut Turn) {
        let Some(request) = self.request.take_if(|request| request.id == id) else {
            // Given up before. Only the news that it was stored is worth anything.
            if let Answer::Lease(view) = answer
                && self.is_own_result(id, &view)
                && !matches!(self.phase, Phase::Releasing { .. })
            {
                self.count(id, view, turn);
            }
            return;
        };
        if matches!(self.phase, Phase::Releasing { .. }) {
            self.answered_release(request, answer, turn);
        } else if request.is_write {
            self.answered_write(request, answer, turn);
        } else {
            self.answered_read(answer, turn);
        }
    }

    fn is_own_result(&self, id: AttemptId, view: &LeaseView) -> bool {
        view.holder() == Some(&self.settings.identity) && self.find_open(view) == Some(id)
    }

    fn answered_read(&mut self, answer: Answer, turn: &mut Turn) {
        match answer {
            Answer::Lease(view) => {
                self.reread = false;
                self.failures = 0;
                self.observe(view, turn);
            }
            Answer::NotFound => {
                self.reread = false;
                self.missing(turn);
            }
            other => {
                turn.failed(failure_of(&other));
                self.read_at = turn.now + self.wait(&other, turn);
                self.failures += 1;
            }
        }
    }

    fn answered_write(&mut self, request: Request, answer: Answer, turn: &mut Turn) {
        if self.counted >= Some(request.id) {
            return; // The watch was faster than the answer.
        }
        let answer = match answer {
            Answer::Lease(view) if self.is_own_result(request.id, &view) => {
                return self.count(request.id, view, turn);
            }
            // Stored, but not as sent.
            Answer::Lease(_) => Answer::Undecodable,
            other => other,
        };
        turn.failed(failure_of(&answer));
        match answer {
            Answer::Conflict => {
                self.conflicts += 1;
                let doubled = CONFLICT_WAIT * (1 << (self.conflicts - 1).min(10));
                let wait = turn.jittered(doubled.min(self.settings.retry_period));
                self.reread = true;
                // The first look comes at once, so that a foreign holder is seen at once.
                self.read_at = if self.conflicts == 1 { turn.now } else { turn.now + wait };
                self.write_at = turn.now + wait;
            }
            Answer::Lease(_)
            | Answer::Undecodable
            | Answer::ServerError
            | Answer::Broken
            | Answer::Timeout => {
                self.leave_open(request, turn);
            }
            Answer::NotFound
            | Answer::Forbidden
            | Answer::Rejected
            | Answer::Throttled { .. }
            | Answer::NotSent => {
                self.open_writes.retain(|open| open.id != request.id);
                let creating = self.missing_since.is_some();
                self.write_at = turn.now + self.wait(&answer, turn);
                self.failures += 1;
                if answer == Answer::NotFound && !creating {
                    self.missing(turn);
                }
            }
        }
    }

    /// Whether the write was stored is unknown: read, at once.
    fn leave_open(&mut self, request: Request, turn: &Turn) {
        self.failures += 1;
        self.reread = true;
        self.read_at = turn.now;
        let again = request.sent + turn.jittered(self.settings.retry_period);
        self.write_at = again.max(turn.now);
    }

    /// Gives up a request that was not answered within Q.
    pub(super) fn expire_request(&mut self, turn: &mut Turn) {
        let timeout = self.settings.request_timeout;
        let Some(request) = self.request.take_if(|request| turn.now >= request.sent + timeout)
        else {
            return;
        };
        if request.is_write && self.counted >= Some(request.id) {
            return;
        }
        turn.failed(Failure::Timeout);
        match self.phase {
            // An ambiguous release is a release: it runs out by itself if it was not.
            Phase::Releasing { .. } if request.is_write => self.end_release(turn),
            Phase::Releasing { .. } => self.read_at = turn.now,
            _ if request.is_write => self.leave_open(request, turn),
            _ => {
                self.failures += 1;
                self.read_at =
                    turn.now.max(request.sent + turn.jittered(self.settings.retry_period));
            }
        }
    }

    fn answered_release(&mut self, request: Request, answer: Answer, turn: &mut Turn) {
        match answer {
            Answer::Lease(view) if !request.is_write => {
                // The holder of what was just fetched, not of what was known before: a deposed
                // leader must not blank its successor.
                if view.holder() == Some(&self.settings.identity) {
                    self.send_release(&view, turn);
                } else {
                    self.end_release(turn);
                }
            }
            Answer::Lease(_) => self.end_release(turn),
            Answer::Conflict => {
                turn.failed(Failure::Conflict);
                self.read_at = turn.now;
            }
            other => {
                turn.failed(failure_of(&other));
                if request.is_write || other == Answer::NotFound {
                    self.end_release(turn);
                } else {
                    self.read_at = turn.now + turn.jittered(self.settings.retry_period / 4);
                }
            }
        }
    }

    /// How long to wait after an answer that says nothing about the Lease.
    fn wait(&self, answer: &Answer, turn: &Turn) -> Duration {
        let period = self.settings.retry_period;
        let asked = match answer {
            Answer::Throttled { retry_after } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        match self.phase {
            Phase::Leading { valid_until, .. } => {
                // The last moment at which an attempt can still be answered in time.
                let last = (valid_until - turn.now).saturating_sub(self.settings.request_timeout);
                let wait = turn.jittered(period);
                wait.max(asked.min(last))
            }
            _ => {
                let doubled = period.saturating_mul(1 << self.failures.min(10));
                let limit = self.settings.lease;
                turn.jittered(doubled.min(limit)).max(asked.min(limit))
            }
        }
    }
}

fn failure_of(answer: &Answer) -> Failure {
    match answer {
        Answer::Conflict => Failure::Conflict,
        Answer::NotFound => Failure::NotFound,
        Answer::Forbidden => Failure::Forbidden,
        Answer::Rejected => Failure::Rejected,
        Answer::Throttled { .. } => Failure::Throttled,
        Answer::ServerError => Failure::ServerError,
        Answer::Lease(_) | Answer::Undecodable => Failure::Undecodable,
        Answer::Broken | Answer::NotSent => Failure::Connection,
        Answer::Timeout => Failure::Timeout,
    }
}
