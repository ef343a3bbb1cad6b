//! The difference between what a subject wants and what is recorded as written.

use std::cell::OnceCell;

use crate::canonical;
use crate::decide::Cause;
use crate::event::{Action, Reason, Verb};
use crate::ids::{Hash, Kind, ObjectRef, Uid};
use crate::render::{Form, Wanted, wanted_form};
use crate::resource::children;
use crate::state::{ObjectState, SessionState, State};

/// All actions that a subject needs now, in the order of their execution; none if the subject is
/// not known. Pending actions are not looked at: these replace them.
pub(super) fn actions<'a>(
    state: &'a State,
    subject: &ObjectRef,
    cause: Cause,
) -> Option<(&'a Uid, Vec<Action>)> {
    match subject.kind {
        Kind::Agent => {
            let agent = state.agent(&subject.key)?;
            let actions = match Wanted::of(state, subject, None) {
                Some(wanted) => agent_actions(state, subject, &wanted, cause),
                None => Vec::new(),
            };
            Some((&agent.uid, actions))
        }
        Kind::Session => {
            let session = state.session(&subject.key)?;
            Some((&session.uid, session_actions(state, subject, session, cause)))
        }
        _ => None,
    }
}

fn agent_actions(
    state: &State,
    subject: &ObjectRef,
    wanted: &Wanted<'_>,
    cause: Cause,
) -> Vec<Action> {
    let first = compare(state, subject, wanted, cause);
    // An unchanged template that is rendered otherwise was changed by the logic: it runs from this
    // epoch on, and the pods are told so.
    let logic =
        first.iter().any(|a| a.object.kind == Kind::Deployment && a.reason == Reason::LogicChanged);
    let Some(epoch) = state.epoch().filter(|_| logic) else { return first };
    match Wanted::of(state, subject, Some(epoch.epoch)) {
        Some(anew) => compare(state, subject, &anew, cause),
        None => first,
    }
}

fn session_actions(
    state: &State,
    subject: &ObjectRef,
    session: &SessionState,
    cause: Cause,
) -> Vec<Action> {
    if let Some(reason) = session.delete {
        if session.deleted || session.failures.contains_key(subject) {
            return Vec::new();
        }
        return vec![Action {
            verb: Verb::DeleteExpired,
            object: subject.clone(),
            reason,
            content: None,
            uid: Some(session.uid.clone()),
        }];
    }
    if let Some(finish) = session.finished {
        return end_run(state, subject, session, finish.ending);
    }
    if session.admitted.is_none() && !session.is_waiting() {
        return Vec::new();
    }
    Wanted::of(state, subject, None)
        .map_or_else(Vec::new, |wanted| compare(state, subject, &wanted, cause))
}

/// A session that was ended from outside takes its Job with it; one that ended by itself leaves it
/// to be read.
fn end_run(
    state: &State,
    subject: &ObjectRef,
    session: &SessionState,
    ending: crate::state::Ending,
) -> Vec<Action> {
    use crate::state::Ending::{Cancelled, Expired, Failed, JobLost, Succeeded};
    let reason = match ending {
        Cancelled => Reason::Cancelled,
        Expired => Reason::Expired,
        Succeeded | Failed | JobLost => return Vec::new(),
    };
    let job = children::run(&subject.key);
    let Some(known) = state.object(&job).filter(|_| !session.failures.contains_key(&job)) else {
        return Vec::new();
    };
    let uid = Some(known.uid.clone());
    vec![Action { verb: Verb::Delete, object: job, reason, content: None, uid }]
}

/// Object by object, in order; an object that cannot be written ends the list, as what stands
/// behind it depends on it.
fn compare(state: &State, subject: &ObjectRef, wanted: &Wanted<'_>, cause: Cause) -> Vec<Action> {
    let failures = match subject.kind {
        Kind::Agent => state.agent(&subject.key).map(|agent| &agent.failures),
        _ => state.session(&subject.key).map(|session| &session.failures),
    };
    let mut out = Vec::new();
    for object in wanted.objects() {
        if failures.is_some_and(|failures| failures.contains_key(&object)) {
            break;
        }
        let form = match object.kind {
            Kind::Deployment | Kind::Job => wanted_form(state, subject),
            _ => Form::Running,
        };
        let (running, inert) = (OnceCell::new(), OnceCell::new());
        let one = One { state, subject, wanted, object: &object, form, cause, running, inert };
        match state.object(&object) {
            None => one.create(Reason::ObjectMissing, &mut out),
            Some(known) => one.change(known, &mut out),
        }
    }
    out
}

/// One object of one subject.
struct One<'a> {
    state: &'a State,
    subject: &'a ObjectRef,
    wanted: &'a Wanted<'a>,
    object: &'a ObjectRef,
    form: Form,
    cause: Cause,
    /// The hashes of both forms, once asked for: rendering is most of what a decision costs.
    running: OnceCell<Option<Hash>>,
    inert: OnceCell<Option<Hash>>,
}

impl One<'_> {
    fn content(&self, form: Form) -> Option<Hash> {
        let known = match form {
            Form::Running => &self.running,
            Form::Inert => &self.inert,
        };
        let render = || self.wanted.manifest(self.object, form);
        *known.get_or_init(|| render().map(|manifest| canonical::hash(&manifest)))
    }

    fn action(&self, verb: Verb, reason: Reason, form: Form, uid: Option<&Uid>) -> Action {
        Action {
            verb,
            object: self.object.clone(),
            reason,
            content: self.content(form),
            uid: uid.cloned(),
        }
    }

    fn can_run(&self) -> bool {
        matches!(self.object.kind, Kind::Deployment | Kind::Job)
    }

    /// Created inert where it can run; then activated if it shall run. The activation names no
    /// uid: it is the one that the creation's outcome records.
    fn create(&self, reason: Reason, out: &mut Vec<Action>) {
        out.push(self.action(Verb::Create, reason, Form::Inert, None));
        if self.can_run() && self.form == Form::Running {
            out.push(self.action(Verb::Activate, Reason::Started, Form::Running, None));
        }
    }

    /// Whether the spec is the one that the object was written for, and only the way in which it
    /// is rendered changed.
    fn logic_changed(&self) -> bool {
        self.cause == Cause::Logic
            || self
                .state
                .agent(&self.subject.key)
                .is_some_and(|agent| self.subject.kind == Kind::Agent && agent.spec_repeated)
    }

    /// An activation that was under way is still the start; otherwise something ran before.
    fn starting(&self) -> bool {
        self.state.pending(self.subject).iter().any(|pending| {
            pending.action.verb == Verb::Activate && pending.action.reason == Reason::Started
        })
    }

    fn change(&self, known: &ObjectState, out: &mut Vec<Action>) {
        let uid = Some(&known.uid);
        // An apply cannot take away what others put in; a new object can. A workspace holds data
        // and a Job must not run twice, so these two stay as they are.
        let replaceable = !matches!(self.object.kind, Kind::PersistentVolumeClaim | Kind::Job);
        if known.stubborn && replaceable {
            out.push(Action {
                verb: Verb::Delete,
                object: self.object.clone(),
                reason: Reason::DriftRepaired,
                content: None,
                uid: uid.cloned(),
            });
            return self.create(Reason::DriftRepaired, out);
        }
        // A predecessor wrote it, for a spec that this log cannot know: written once as it should
        // be now, under the incarnation that is there. A Job keeps what it was started with.
        if known.inherited && self.object.kind != Kind::Job {
            return out.push(self.action(Verb::Update, Reason::Inherited, self.form, uid));
        }
        let target = self.content(self.form);
        let adopted = *self.wanted.owner().uid != known.owner_uid;
        if Some(known.content) == target && !known.drifted && !adopted {
            return;
        }
        if adopted {
            out.push(self.action(Verb::Update, Reason::WorkspaceAdopted, self.form, uid));
        } else if Some(known.content) == target {
            out.push(self.action(Verb::Update, Reason::DriftRepaired, self.form, uid));
        } else {
            self.change_content(known, out);
        }
    }

    fn change_content(&self, known: &ObjectState, out: &mut Vec<Action>) {
        let uid = Some(&known.uid);
        let inert = self.can_run() && self.content(Form::Inert) == Some(known.content);
        let running = self.can_run() && self.content(Form::Running) == Some(known.content);
        let action = if inert {
            let reason = if self.starting() { Reason::Started } else { Reason::Resumed };
            self.action(Verb::Activate, reason, self.form, uid)
        } else if running {
            self.action(Verb::Update, Reason::Suspended, self.form, uid)
        } else if self.object.kind == Kind::Job {
            // A Job's template is immutable: what another logic started runs as it was started.
            return;
        } else if self.logic_changed() {
            self.action(Verb::Update, Reason::LogicChanged, self.form, uid)
        } else {
            self.action(Verb::Update, Reason::SpecChanged, self.form, uid)
        };
        out.push(action);
    }
}
