//! What this log takes over from its predecessors: living objects, with the owner that they have.
//!
//! They enter with the first observation of their owner, so no decision about it is made without
//! them: what runs is known, written under its own incarnation and never created a second time.

use crate::canonical;
use crate::event::Inherited;
use crate::ids::{Epoch, Hash, Key, Kind, ObjectRef, Seq, Uid};
use crate::render::{self, Form, Wanted};
use crate::state::{ObjectState, State, Template};

impl State {
    /// Takes over the objects of an Agent. Its pods go on with the epoch that they were told.
    pub(super) fn agent_inherits(
        &mut self,
        at: Seq,
        owner: &ObjectRef,
        uid: &Uid,
        inherited: &[Inherited],
    ) {
        for found in inherited {
            if let Some(epoch) = found.pod.as_ref().and_then(|pod| pod.epoch) {
                self.keep_template(&owner.key, epoch);
            }
            self.inherit_object(at, owner, uid, found);
        }
    }

    fn keep_template(&mut self, key: &Key, epoch: Epoch) {
        let Some(settings) = self.epoch.as_ref().map(|current| &current.settings) else { return };
        let Some(agent) = self.agents.get_mut(key) else { return };
        let fingerprint =
            agent.spec().map(|spec| render::template_fingerprint(key, spec, settings));
        agent.template = fingerprint.map(|fingerprint| Template { fingerprint, epoch });
    }

    /// Takes over the objects of a Session. One that has a Job was started: it may have run, so it
    /// is never started again.
    pub(super) fn session_inherits(
        &mut self,
        at: Seq,
        owner: &ObjectRef,
        uid: &Uid,
        inherited: &[Inherited],
    ) {
        for found in inherited {
            self.inherit_object(at, owner, uid, found);
            let Some(pod) = found.pod.as_ref().filter(|_| found.object.kind == Kind::Job) else {
                continue;
            };
            let mut admission = self.admission(&owner.key);
            if let Some(admission) = &mut admission {
                admission.image.clone_from(&pod.image);
                admission.epoch = pod.epoch.unwrap_or(admission.epoch);
            }
            self.change_session(&owner.key, |session| {
                session.admitted = admission.map(Box::new);
                session.may_have_run = true;
            });
            let form = if pod.running { Form::Running } else { Form::Inert };
            let wanted = Wanted::of(self, owner, None);
            let manifest = wanted.and_then(|wanted| wanted.manifest(&found.object, form));
            if let (Some(known), Some(manifest)) = (self.objects.get_mut(&found.object), manifest) {
                known.content = canonical::hash(&manifest);
            }
        }
    }

    /// Its content is not known; an object that this log knows already is not taken over again.
    fn inherit_object(&mut self, at: Seq, owner: &ObjectRef, owner_uid: &Uid, found: &Inherited) {
        self.objects.entry(found.object.clone()).or_insert_with(|| ObjectState {
            uid: found.uid.clone(),
            decision: at,
            content: Hash::ZERO,
            projection: found.projection,
            owner: owner.clone(),
            owner_uid: owner_uid.clone(),
            retained: found.retained,
            storage_class: found.storage_class.clone(),
            drifted: false,
            stubborn: false,
            inherited: true,
        });
    }
}
