//! Manifests of managed objects as a pure function of the state.
//!
//! A decision names its content by hash only; whoever performs it renders the content here again
//! and compares. Manifests lack what depends on the write: stamp, log, epoch, uid and
//! resourceVersion. Every field that we own is set explicitly where the server's default matters to
//! safety, and left out where it does not, so that a server's new default is no drift.

mod network;
mod objects;
mod pod;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::canonical;
use crate::event::{Action, DecisionSettings, Verb};
use crate::ids::{Epoch, Hash, Key, Kind, ObjectRef, Uid};
use crate::names;
use crate::resource::{
    AgentSpec, GROUP, OperatingMode, Role, SessionMode, SessionSpec, VERSION, children,
};
use crate::state::{Admission, State};

/// Why a manifest cannot be rendered, or is not what was decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A delete has no content: its mark is an apply of what we own of the live object, repeated,
    /// with the mark and the decision's stamp, by the one field manager, so that no owned field is
    /// taken away.
    #[error("{0}: a delete has no manifest")]
    NoContent(ObjectRef),
    /// The subject is not known, or is none that has this object.
    #[error("{object} does not belong to {subject} in this state")]
    NotWanted {
        /// Object of the action.
        object: ObjectRef,
        /// Subject of the decision.
        subject: ObjectRef,
    },
    /// The state says something else than when the action was decided.
    #[error("{object}: decided content {decided}, rendered content {rendered}")]
    ContentChanged {
        /// Object of the action.
        object: ObjectRef,
        /// Hash in the decision.
        decided: Hash,
        /// Hash of what would be written.
        rendered: Hash,
    },
}

/// Whether a Deployment or Job may run anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// No replicas, or suspended.
    Inert,
    /// One replica, or not suspended.
    Running,
}

/// The manifest of a decided action: complete but for stamp, log and epoch annotations.
///
/// # Errors
/// If the action is a delete, if the subject does not want the object, or if the content is not
/// the one that was decided. The last one means: the state went on, decide again.
pub fn manifest(state: &State, subject: &ObjectRef, action: &Action) -> Result<Value, RenderError> {
    let object = &action.object;
    let form = match action.verb {
        Verb::Delete | Verb::DeleteExpired => return Err(RenderError::NoContent(object.clone())),
        Verb::Create => Form::Inert,
        Verb::Activate => Form::Running,
        Verb::Update => wanted_form(state, subject),
    };
    let wanted = Wanted::of(state, subject, None)
        .and_then(|wanted| wanted.manifest(object, form))
        .ok_or_else(|| RenderError::NotWanted {
            object: object.clone(),
            subject: subject.clone(),
        })?;
    let rendered = canonical::hash(&wanted);
    let decided = action.content.unwrap_or_default();
    if rendered == decided {
        Ok(wanted)
    } else {
        Err(RenderError::ContentChanged { object: object.clone(), decided, rendered })
    }
}

/// What the spec in force asks for.
pub(crate) fn wanted_form(state: &State, subject: &ObjectRef) -> Form {
    let runs = match subject.kind {
        Kind::Agent => state
            .agent(&subject.key)
            .and_then(|agent| agent.spec())
            .is_some_and(|spec| spec.operating_mode == OperatingMode::Running),
        Kind::Session => state.session(&subject.key).is_some_and(|session| {
            session.finished.is_none()
                && session.spec().is_some_and(|spec| spec.operating_mode == SessionMode::Running)
        }),
        _ => false,
    };
    if runs { Form::Running } else { Form::Inert }
}

/// Everything that the manifests of one subject are made from.
pub(crate) enum Wanted<'a> {
    Agent {
        owner: Owner<'a>,
        spec: &'a AgentSpec,
        settings: &'a DecisionSettings,
        /// Storage class pinned by an existing claim.
        storage_class: Option<String>,
        epoch: Epoch,
    },
    Session {
        owner: Owner<'a>,
        spec: &'a SessionSpec,
        agent: Key,
        admission: Box<Admission>,
    },
}

/// Whom a manifest belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) kind: Kind,
    pub(crate) key: &'a Key,
    pub(crate) uid: &'a Uid,
}

impl Owner<'_> {
    /// The owner reference; without `blockOwnerDeletion`, which would need a right on finalizers.
    fn reference(self) -> Value {
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": format!("{:?}", self.kind),
            "name": self.key.name,
            "uid": self.uid,
            "controller": true,
        })
    }
}

impl<'a> Wanted<'a> {
    /// What a subject wants in this state; `template_epoch` overrides the epoch of its template.
    pub(crate) fn of(
        state: &'a State,
        subject: &ObjectRef,
        template_epoch: Option<Epoch>,
    ) -> Option<Self> {
        let current = state.epoch()?;
        match subject.kind {
            Kind::Agent => {
                let (key, agent) = state.agent_entry(&subject.key)?;
                let spec = agent.spec()?;
                let settings = &current.settings;
                let existing = state.object(&children::workspace(key));
                let fingerprint = template_fingerprint(key, spec, settings);
                let kept = agent.template.filter(|before| before.fingerprint == fingerprint);
                let epoch = template_epoch.or(kept.map(|kept| kept.epoch)).unwrap_or(current.epoch);
                Some(Self::Agent {
                    owner: Owner { kind: Kind::Agent, key, uid: &agent.uid },
                    spec,
                    settings,
                    storage_class: match existing {
                        Some(claim) => claim.storage_class.clone(),
                        None => storage_class(spec, settings),
                    },
                    epoch,
                })
            }
            Kind::Session => {
                let (key, session) = state.session_entry(&subject.key)?;
                let agent = session.agent_key(key);
                Some(Self::Session {
                    owner: Owner { kind: Kind::Session, key, uid: &session.uid },
                    spec: session.spec()?,
                    agent,
                    admission: Box::new(state.admission(key)?),
                })
            }
            _ => None,
        }
    }

    /// The subject's objects in the order in which they are written: what a pod needs comes before
    /// the pod, and its network policy before both.
    pub(crate) fn objects(&self) -> Vec<ObjectRef> {
        match self {
            Self::Agent { owner, .. } => children::of_agent(owner.key).to_vec(),
            Self::Session { owner, .. } => children::of_session(owner.key).to_vec(),
        }
    }

    /// One object's manifest; none if it is not one of the subject's.
    pub(crate) fn manifest(&self, object: &ObjectRef, form: Form) -> Option<Value> {
        let name = object.key.name.as_str();
        match (self, object.kind) {
            (_, _) if !self.objects().contains(object) => None,
            (Self::Agent { .. }, Kind::ConfigMap) => Some(objects::agent_config(self, name)),
            (Self::Agent { .. }, Kind::NetworkPolicy) => Some(network::agent(self, name)),
            (Self::Agent { .. }, Kind::PersistentVolumeClaim) => {
                Some(objects::workspace(self, name))
            }
            (Self::Agent { .. }, Kind::Deployment) => Some(pod::deployment(self, name, form)),
            (Self::Session { .. }, Kind::ConfigMap) => Some(objects::session_input(self, name)),
            (Self::Session { .. }, Kind::NetworkPolicy) => Some(network::session(self, name)),
            (Self::Session { .. }, Kind::Job) => Some(pod::job(self, name, form)),
            _ => None,
        }
    }

    /// Labels of the subject's objects.
    fn labels(&self) -> BTreeMap<&'static str, String> {
        let mut labels = self.pod_labels();
        labels.insert(names::MANAGED_BY, names::MANAGED_BY_VALUE.to_owned());
        labels
    }

    /// Labels of the subject's pods, which network policies select.
    fn pod_labels(&self) -> BTreeMap<&'static str, String> {
        let (agent, spec) = match self {
            Self::Agent { owner, spec, .. } => (&owner.key.name, *spec),
            Self::Session { agent, admission, .. } => (&agent.name, &admission.agent),
        };
        let mut labels = BTreeMap::from([
            (names::AGENT, agent.clone()),
            (names::ROLE, role(spec.role).to_owned()),
        ]);
        if let Some(team) = &spec.team {
            labels.insert(names::TEAM, team.clone());
        }
        match self {
            Self::Agent { .. } => {
                labels.insert(names::COMPONENT, names::COMPONENT_RUNTIME.to_owned());
            }
            Self::Session { owner, .. } => {
                labels.insert(names::COMPONENT, names::COMPONENT_SESSION.to_owned());
                labels.insert(names::SESSION, owner.key.name.clone());
            }
        }
        labels
    }

    pub(crate) fn owner(&self) -> Owner<'_> {
        match self {
            Self::Agent { owner, .. } | Self::Session { owner, .. } => *owner,
        }
    }

    /// The metadata of an object that goes with its owner.
    fn metadata(&self, name: &str) -> Value {
        let owner = self.owner();
        json!({
            "name": name,
            "namespace": owner.key.namespace,
            "labels": self.labels(),
            "ownerReferences": [owner.reference()],
        })
    }
}

/// The role as labels and environment say it.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Worker => "worker",
        Role::Manager => "manager",
        Role::Director => "director",
    }
}

/// The image of an agent: its own, or the operator's default. A digest wins over a tag.
#[must_use]
pub fn image(spec: &AgentSpec, settings: &DecisionSettings) -> String {
    let Some(image) = &spec.image else { return settings.default_image.clone() };
    let tag = image.tag.as_ref().map_or(String::new(), |tag| format!(":{tag}"));
    let digest = image.digest.as_ref().map_or(String::new(), |digest| format!("@{digest}"));
    format!("{}{tag}{digest}", image.repository)
}

/// The storage class of a new workspace; none leaves it to the cluster.
#[must_use]
pub fn storage_class(spec: &AgentSpec, settings: &DecisionSettings) -> Option<String> {
    let named = spec.workspace.storage_class_name.clone();
    named.or_else(|| Some(settings.default_storage_class.clone())).filter(|name| !name.is_empty())
}

/// Hash of everything that goes into the pod template of an agent's runtime but the epoch.
#[must_use]
pub fn template_fingerprint(key: &Key, spec: &AgentSpec, settings: &DecisionSettings) -> Hash {
    canonical::hash(&json!({
        "agent": key,
        "env": spec.env,
        "image": image(spec, settings),
        "resources": spec.resources,
        "role": role(spec.role),
        "runtimeClassName": spec.runtime_class_name,
        "team": spec.team,
    }))
}
