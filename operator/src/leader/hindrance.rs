//! Writes that the API server forbids: by a quota, a policy, or for want of a right.
//!
//! They are tried again for ever and append nothing, so the log does not tell of them. What the
//! server said last is kept here for the subject's status, and people are told at once and then
//! every now and then, as Kubernetes forgets its Events.

use std::collections::BTreeMap;
use std::time::Duration;

use rynxs_core::event::Verb;
use rynxs_core::ids::ObjectRef;
use rynxs_core::status::Hindrance;
use rynxs_core::time::Mono;

/// How often people are told of a write that stays forbidden: six times within an Event's usual
/// time to live of an hour, far below the rate that one object's Events are held to.
pub(super) const TELL_AGAIN: Duration = Duration::from_secs(600);

/// The forbidden writes of a term, one per subject at most: only its first pending action is tried.
#[derive(Default)]
pub(super) struct Hindrances(BTreeMap<ObjectRef, Forbidden>);

struct Forbidden {
    object: ObjectRef,
    verb: Verb,
    message: String,
    tell_at: Mono,
}

impl Hindrances {
    /// A subject's next write was forbidden. True if people should be told now.
    pub(super) fn note(
        &mut self,
        subject: &ObjectRef,
        (verb, object): (Verb, &ObjectRef),
        message: String,
        now: Mono,
    ) -> bool {
        // A forbidden write of another object is another story.
        let before = self.0.get(subject).filter(|before| before.object == *object);
        let tell_at = before.map_or(now, |before| before.tell_at);
        let tell = now >= tell_at;
        let tell_at = if tell { now + TELL_AGAIN } else { tell_at };
        let forbidden = Forbidden { object: object.clone(), verb, message, tell_at };
        self.0.insert(subject.clone(), forbidden);
        tell
    }

    /// Nothing is forbidden any more, or nothing is left to do.
    pub(super) fn clear(&mut self, subject: &ObjectRef) {
        self.0.remove(subject);
    }

    /// What hinders a subject.
    pub(super) fn of(&self, subject: &ObjectRef) -> Option<Hindrance<'_>> {
        let Forbidden { object, verb, message, .. } = self.0.get(subject)?;
        Some(Hindrance { object, verb: *verb, message })
    }
}

#[cfg(test)]
mod tests {
    use rynxs_core::ids::Kind;

    use super::*;

    #[test]
    fn people_are_told_at_once_and_then_every_ten_minutes() {
        let mut hindrances = Hindrances::default();
        let agent = ObjectRef::new(Kind::Agent, "team", "a");
        let runtime = ObjectRef::new(Kind::Deployment, "team", "a-runtime");
        let mut told = Vec::new();
        // Tried every minute for half an hour.
        for minute in 0..30 {
            let now = Mono(0) + Duration::from_secs(60 * minute);
            let write = (Verb::Update, &runtime);
            if hindrances.note(&agent, write, format!("no, at {minute}"), now) {
                told.push(minute);
            }
        }
        assert_eq!(told, [0, 10, 20]);
        let of = hindrances.of(&agent).expect("it is hindered");
        assert_eq!(of.message, "no, at 29", "the server's latest words");
        hindrances.clear(&agent);
        assert_eq!(hindrances.of(&agent), None);
    }
}
