//! Names of the objects that an Agent or a Session becomes, and the way back.
//!
//! The suffix says the owner's kind, so every managed object has exactly one possible owner and
//! no lookup table is needed: names are `{owner}-{suffix}`, one suffix per kind and role.

use crate::ids::{Key, Kind, ObjectRef};

/// The Agent with this key.
#[must_use]
pub fn agent(key: &Key) -> ObjectRef {
    ObjectRef { kind: Kind::Agent, key: key.clone() }
}

/// The Session with this key.
#[must_use]
pub fn session(key: &Key) -> ObjectRef {
    ObjectRef { kind: Kind::Session, key: key.clone() }
}

fn child(kind: Kind, owner: &Key, suffix: &str) -> ObjectRef {
    ObjectRef::new(kind, owner.namespace.as_str(), format!("{}-{suffix}", owner.name))
}

/// ConfigMap with what the agent's runtime must know of itself.
#[must_use]
pub fn agent_config(agent: &Key) -> ObjectRef {
    child(Kind::ConfigMap, agent, "spec")
}

/// NetworkPolicy of the agent's runtime.
#[must_use]
pub fn agent_network(agent: &Key) -> ObjectRef {
    child(Kind::NetworkPolicy, agent, "runtime")
}

/// Volume claim of the agent's workspace.
#[must_use]
pub fn workspace(agent: &Key) -> ObjectRef {
    child(Kind::PersistentVolumeClaim, agent, "workspace")
}

/// Deployment of the agent's runtime.
#[must_use]
pub fn runtime(agent: &Key) -> ObjectRef {
    child(Kind::Deployment, agent, "runtime")
}

/// ConfigMap with the session's input.
#[must_use]
pub fn session_input(session: &Key) -> ObjectRef {
    child(Kind::ConfigMap, session, "input")
}

/// NetworkPolicy of the session's run.
#[must_use]
pub fn session_network(session: &Key) -> ObjectRef {
    child(Kind::NetworkPolicy, session, "session")
}

/// Job of the session's run.
#[must_use]
pub fn run(session: &Key) -> ObjectRef {
    child(Kind::Job, session, "run")
}

/// An agent's objects, in the order in which they are written.
#[must_use]
pub fn of_agent(key: &Key) -> [ObjectRef; 4] {
    [agent_config(key), agent_network(key), workspace(key), runtime(key)]
}

/// A session's objects, in the order in which they are written.
#[must_use]
pub fn of_session(key: &Key) -> [ObjectRef; 3] {
    [session_input(key), session_network(key), run(key)]
}

/// The objects of an Agent or a Session, in the order in which they are written; none of others.
#[must_use]
pub fn of(subject: &ObjectRef) -> Vec<ObjectRef> {
    match subject.kind {
        Kind::Agent => of_agent(&subject.key).into(),
        Kind::Session => of_session(&subject.key).into(),
        _ => Vec::new(),
    }
}

/// The only Agent or Session that an object of this name can belong to.
#[must_use]
pub fn owner_of(object: &ObjectRef) -> Option<ObjectRef> {
    let (stem, suffix) = object.key.name.rsplit_once('-')?;
    let owner = match (object.kind, suffix) {
        (Kind::ConfigMap, "spec")
        | (Kind::NetworkPolicy | Kind::Deployment, "runtime")
        | (Kind::PersistentVolumeClaim, "workspace") => Kind::Agent,
        (Kind::ConfigMap, "input") | (Kind::NetworkPolicy, "session") | (Kind::Job, "run") => {
            Kind::Session
        }
        _ => return None,
    };
    (!stem.is_empty()).then(|| ObjectRef::new(owner, object.key.namespace.as_str(), stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_child_leads_back_to_its_owner() {
        let key = Key::new("team-a", "a-runtime");
        let children =
            [agent_config, agent_network, workspace, runtime].map(|make| make(&key)).to_vec();
        for child in children {
            assert_eq!(owner_of(&child), Some(agent(&key)), "{child}");
        }
        for child in [session_input, session_network, run].map(|make| make(&key)) {
            assert_eq!(owner_of(&child), Some(session(&key)), "{child}");
        }
        assert_eq!(owner_of(&ObjectRef::new(Kind::Job, "ns", "-run")), None);
        assert_eq!(owner_of(&ObjectRef::new(Kind::Job, "ns", "x-runtime")), None);
    }
}
