//! What came of a task: outcomes enter the log, failures wait, and what was held is looked at.

use std::time::Duration;

use rynxs_core::event::{Event, FailureReason, Verb};
use rynxs_core::ids::{ObjectRef, Uid};
use rynxs_core::state::State;
use rynxs_core::status::reason;

use super::LeaderEnd;
use super::effect::{Order, Outcome, Performed};
use super::observe::is_taken;
use super::term::{Done, Term};
use crate::kube::{EventKind, Regarding};
use crate::observe::{Resource, Signal};

/// From so many failures in a row on, people are told.
const TELL_AFTER: u32 = 4;
/// Reason of the Event that says so.
const RETRYING: &str = "Retrying";

impl Term {
    /// Takes in the end of a task.
    pub(super) fn finish(&mut self, done: Done) {
        match done {
            Done::Effect(order, performed) => {
                self.work.done(&order.subject);
                self.performed(&order, performed);
                self.plan(&order.subject);
                self.tools.cache.touch(order.pending.action.object.clone());
            }
            Done::Fresh { object, subject, live } => {
                self.work.done(&subject);
                match live {
                    Ok(live) => self.read(&object, &subject, live.as_ref()),
                    Err(error) => {
                        tracing::debug!(%object, %error, "cannot be read");
                        self.unread(&object);
                    }
                }
                self.plan(&subject);
            }
            Done::Hash(seq, hash) => self.hash_read(seq, hash),
            Done::HigherEpoch(subject, epoch, whose) => self.epoch_settled(&subject, epoch, whose),
            Done::Status(sent, result) => self.status_written(*sent, result),
        }
        self.look_at_held();
    }

    fn performed(&mut self, order: &Order, performed: Performed) {
        // A term lost across a write: whether it landed is the successor's to find out, by driving
        // the decision, which has no outcome. Nor is anything else told by who does not lead.
        let led = match performed.under_way {
            Some(under_way) => under_way.end(),
            None => self.tools.leadership.look(),
        };
        if led.is_err() {
            self.end = Some(LeaderEnd::LeadershipLost);
            return;
        }
        match performed.outcome {
            Outcome::Applied { uid, projection } => {
                self.succeeded(order);
                self.settle_action(order, |decision, subject, action| Event::ActionApplied {
                    decision,
                    subject,
                    action,
                    uid,
                    projection,
                });
            }
            Outcome::Failed { reason, message } => {
                if reason == FailureReason::ObjectGone
                    && let Some(after) = self.gone_again(order)
                {
                    self.delay(order, &message, Some(after));
                    return;
                }
                self.succeeded(order);
                self.failed(order, reason, message);
            }
            Outcome::Retry { why, after, forbidden } => {
                if self.delay(order, &why, after) == TELL_AFTER && forbidden.is_none() {
                    self.tell_delay(order, &why);
                }
                if let Some(message) = forbidden {
                    self.forbidden(order, message);
                }
            }
            Outcome::NotLeading => self.end = Some(LeaderEnd::LeadershipLost),
            Outcome::Fenced => self.end = Some(LeaderEnd::Fenced),
            Outcome::Cut(why) => {
                tracing::error!(why, "the log was cut");
                self.end = Some(LeaderEnd::Halted(why));
            }
            Outcome::PredecessorAlive(why) => {
                tracing::error!(%why, "a log that this one replaces is still written to");
                self.end = Some(LeaderEnd::Config(why.to_string()));
            }
        }
    }

    /// How long it must wait for the decision to make it anew, if it was made not long ago.
    fn gone_again(&mut self, order: &Order) -> Option<Duration> {
        let (object, now) = (&order.pending.action.object, self.now());
        let until = self.repairs.wait(object, now);
        if until.is_none() {
            self.repairs.note(object, now, &*self.tools.kube.ports().entropy);
        }
        until.map(|until| until - now)
    }

    fn succeeded(&mut self, order: &Order) {
        self.work.succeeded(&order.subject);
        self.hindrances.clear(&order.subject);
    }

    /// Submits an outcome. What holds observations back makes sure that the action is pending.
    fn settle_action(
        &mut self,
        order: &Order,
        event: impl FnOnce(rynxs_core::ids::Seq, ObjectRef, u32) -> Event,
    ) {
        let (decision, index) = (order.decision(), order.pending.index);
        let pending = self.journal.with_state(|state| {
            let mut pending = state.pending(&order.subject).iter();
            pending.any(|p| p.decision == decision && p.index == index)
        });
        if !pending {
            tracing::error!(
                subject = %order.subject, decision = decision.0, action = index,
                "an action was superseded while it was carried out"
            );
            return;
        }
        let event = event(decision, order.subject.clone(), index);
        // Before the record: with the last outcome the trace may end.
        let trace = self.traces.of(&order.subject, &*self.tools.kube.ports().entropy);
        let seq = self.record(&order.subject, vec![event]).map(|seq| seq.0);
        let epoch = self.tools.leadership.epoch().0;
        tracing::info!(
            trace_id = %trace, object = %order.pending.action.object,
            verb = ?order.pending.action.verb, reason = ?order.pending.action.reason,
            decision = decision.0, seq, epoch, "done"
        );
    }

    fn failed(&mut self, order: &Order, reason: FailureReason, message: String) {
        let object = order.pending.action.object.clone();
        let trace = self.traces.of(&order.subject, &*self.tools.kube.ports().entropy);
        tracing::warn!(
            trace_id = %trace, %object, ?reason, message, decision = order.decision().0,
            "an action failed for good"
        );
        if reason != FailureReason::ObjectGone {
            self.tell(&order.subject, EventKind::Warning, &format!("{reason:?}"), &message);
        }
        self.settle_action(order, |decision, subject, action| Event::ActionFailed {
            decision,
            subject,
            action,
            reason,
            message,
        });
        if is_taken(reason) {
            self.unread(&object);
        }
        self.statuses.mark(&order.subject);
    }

    /// A failure that may pass appends nothing: the action stays pending and waits. Returns how
    /// often the subject failed in a row.
    fn delay(&mut self, order: &Order, why: &str, after: Option<Duration>) -> u32 {
        let now = self.now();
        let entropy = self.tools.kube.ports().entropy.clone();
        let (attempts, wait) = self.work.delay(&order.subject, now, &*entropy, after);
        let object = &order.pending.action.object;
        let trace = self.traces.of(&order.subject, &*entropy);
        tracing::debug!(trace_id = %trace, %object, why, attempts, ?wait, "will be tried again");
        self.tools.observer.signal(Signal::ReconcileRetried(Resource::of(order.subject.kind)));
        attempts
    }

    fn tell_delay(&mut self, order: &Order, why: &str) {
        let object = &order.pending.action.object;
        let trace = self.traces.of(&order.subject, &*self.tools.kube.ports().entropy);
        tracing::warn!(trace_id = %trace, %object, why, "still not possible");
        let verb = match order.pending.action.verb {
            Verb::Delete | Verb::DeleteExpired => "delete",
            Verb::Create | Verb::Update | Verb::Activate => "write",
        };
        let message = format!("cannot {verb} {object} yet: {why}");
        self.tell(&order.subject, EventKind::Warning, RETRYING, &message);
        self.statuses.mark(&order.subject);
    }

    /// The API server forbids a write: what does so is mended by people, so they see it, in the
    /// subject's status and Events, with the server's words.
    fn forbidden(&mut self, order: &Order, message: String) {
        let (subject, action) = (&order.subject, &order.pending.action);
        let now = self.now();
        let write = (action.verb, &action.object);
        let tell = self.hindrances.note(subject, write, message, now);
        self.statuses.mark(subject);
        if let Some(text) = self.hindrances.of(subject).filter(|_| tell).map(|h| h.text()) {
            let trace = self.traces.of(subject, &*self.tools.kube.ports().entropy);
            let object = &action.object;
            tracing::warn!(trace_id = %trace, %object, why = text, "a write is forbidden");
            self.tell(subject, EventKind::Warning, reason::WRITE_FORBIDDEN, &text);
        }
    }

    /// Tells people about a subject, where `kubectl describe` shows it.
    pub(super) fn tell(&self, subject: &ObjectRef, kind: EventKind, reason: &str, message: &str) {
        if let Some(uid) = self.journal.with_state(|state| subject_uid(state, subject)) {
            let regarding = Regarding { object: subject.clone(), uid };
            self.events.say(regarding, kind, reason, message);
        }
    }
}

/// The incarnation of an Agent or Session that the state knows.
pub(super) fn subject_uid(state: &State, subject: &ObjectRef) -> Option<Uid> {
    use rynxs_core::ids::Kind;
    match subject.kind {
        Kind::Agent => state.agent(&subject.key).map(|agent| agent.uid.clone()),
        Kind::Session => state.session(&subject.key).map(|session| session.uid.clone()),
        _ => None,
    }
}
