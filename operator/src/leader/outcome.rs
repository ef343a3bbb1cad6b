//! What came of a task: outcomes enter the log, failures wait, and what was held is looked at.

use rynxs_core::event::{Event, FailureReason, Verb};
use rynxs_core::ids::{ObjectRef, Uid};
use rynxs_core::state::State;

use super::LeaderEnd;
use super::effect::{Order, Outcome, Performed};
use super::observe::is_taken;
use super::term::{Done, Term};
use crate::kube::{EventKind, Regarding};
use crate::observe::{RefusedBy, Signal};

/// From so many failures in a row on, people are told.
const TELL_AFTER: u32 = 4;

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
            Done::Status(subject, result) => self.status_written(&subject, result),
        }
        self.look_at_held();
    }

    fn performed(&mut self, order: &Order, performed: Performed) {
        let now = self.now();
        // A term lost across a write: whether it landed is the successor's to find out, by driving
        // the decision, which has no outcome.
        if performed.wrote && self.tools.guard.check(now).is_err() {
            self.tools.observer.signal(Signal::TermLostAcrossWrite);
            tracing::warn!(
                object = %order.pending.action.object, epoch = self.tools.epoch.0,
                decision = order.decision().0, "the term was lost across a write"
            );
            self.end = Some(LeaderEnd::LeadershipLost);
            return;
        }
        match performed.outcome {
            Outcome::Applied { uid, projection } => {
                self.work.succeeded(&order.subject);
                self.settle_action(order, |decision, subject, action| Event::ActionApplied {
                    decision,
                    subject,
                    action,
                    uid,
                    projection,
                });
            }
            Outcome::Failed { reason, message } => {
                self.work.succeeded(&order.subject);
                self.failed(order, reason, message);
            }
            Outcome::Retry { why, after } => self.delay(order, &why, after),
            Outcome::NotLeading => self.end = Some(LeaderEnd::LeadershipLost),
            Outcome::Fenced => self.end = Some(LeaderEnd::Fenced),
            Outcome::Cut(why) => {
                tracing::error!(why, "the log was cut");
                self.tools.observer.signal(Signal::StaleWriteRefused(RefusedBy::Log));
                self.end = Some(LeaderEnd::Halted(why));
            }
        }
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
        let seq = self.record(&order.subject, vec![event]);
        let trace = self.traces.of(&order.subject, &*self.tools.kube.ports().entropy);
        tracing::info!(
            trace_id = %trace, object = %order.pending.action.object,
            verb = ?order.pending.action.verb, reason = ?order.pending.action.reason,
            decision = decision.0, seq = seq.map(|seq| seq.0), epoch = self.tools.epoch.0, "done"
        );
    }

    fn failed(&mut self, order: &Order, reason: FailureReason, message: String) {
        let object = order.pending.action.object.clone();
        tracing::warn!(
            %object, ?reason, message, decision = order.decision().0, "an action failed for good"
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

    /// A failure that may pass appends nothing: the action stays pending and waits.
    fn delay(&mut self, order: &Order, why: &str, after: Option<std::time::Duration>) {
        let now = self.now();
        let entropy = self.tools.kube.ports().entropy.clone();
        let (attempts, wait) = self.work.delay(&order.subject, now, &*entropy, after);
        let object = &order.pending.action.object;
        let trace = self.traces.of(&order.subject, &*entropy);
        tracing::debug!(trace_id = %trace, %object, why, attempts, ?wait, "will be tried again");
        if attempts == TELL_AFTER {
            tracing::warn!(trace_id = %trace, %object, why, attempts, "still not possible");
            let verb = match order.pending.action.verb {
                Verb::Delete | Verb::DeleteExpired => "delete",
                Verb::Create | Verb::Update | Verb::Activate => "write",
            };
            let message = format!("cannot {verb} {object} yet: {why}");
            self.tell(&order.subject, EventKind::Warning, "Retrying", &message);
            self.statuses.mark(&order.subject);
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

fn subject_uid(state: &State, subject: &ObjectRef) -> Option<Uid> {
    use rynxs_core::ids::Kind;
    match subject.kind {
        Kind::Agent => state.agent(&subject.key).map(|agent| agent.uid.clone()),
        Kind::Session => state.session(&subject.key).map(|session| session.uid.clone()),
        _ => None,
    }
}
