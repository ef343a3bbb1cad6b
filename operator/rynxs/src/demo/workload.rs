//! What people do in the demo: apply the examples, create agents, edit some of them.
//!
//! The seed drives the workload only: which agents are edited and how. Everything else is as
//! timing has it.

use std::path::Path;

use rynxs_core::ids::{Kind, ObjectRef};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::cli::{Exit, Failure};

use super::user::{User, text};

/// Namespace of the agents that the demo makes up.
pub const NAMESPACE: &str = "demo";

/// The examples of the documentation, by file name.
const EXAMPLES: [(&str, &str); 5] = [
    ("agent-basic.yaml", include_str!("../../../../examples/agent-basic.yaml")),
    ("manager-team.yaml", include_str!("../../../../examples/manager-team.yaml")),
    ("director.yaml", include_str!("../../../../examples/director.yaml")),
    ("agent-suspended.yaml", include_str!("../../../../examples/agent-suspended.yaml")),
    ("session-deadline.yaml", include_str!("../../../../examples/session-deadline.yaml")),
];

const ADVICE: &str = "name a folder that holds Kubernetes manifests in files *.yaml or *.yml";

/// Numbers from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Numbers that depend on nothing but the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let limit = u64::try_from(limit.max(1)).unwrap_or(1);
        usize::try_from((mixed ^ (mixed >> 31)) % limit).unwrap_or(0)
    }
}

/// Manifests to apply, with the file that each comes from.
pub fn manifests(folder: Option<&Path>) -> Result<Vec<(String, Value)>, Failure> {
    let mut files = Vec::new();
    match folder {
        None => {
            files.extend(EXAMPLES.map(|(name, text)| (format!("examples/{name}"), text.to_owned())))
        }
        Some(folder) => {
            let failed = |path: &Path, error: &std::io::Error| {
                Failure {
                    exit: Exit::Config,
                    ..Failure::io(&format!("read {} (--manifests)", path.display()), error)
                }
                .fix(ADVICE)
            };
            let entries = std::fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
            let mut paths = Vec::new();
            for entry in entries {
                paths.push(entry.map_err(|error| failed(folder, &error))?.path());
            }
            paths.sort();
            for path in paths {
                let yaml = path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml");
                if yaml {
                    let text =
                        std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
                    files.push((path.display().to_string(), text));
                }
            }
            if files.is_empty() {
                let place = folder.display();
                let why = format!("{place} (--manifests) has no file that ends in .yaml or .yml");
                return Err(Failure::new(Exit::Config, why).fix(ADVICE));
            }
        }
    }
    let mut manifests = Vec::new();
    for (name, text) in files {
        for document in serde_yaml_ng::Deserializer::from_str(&text) {
            let value = Value::deserialize(document).map_err(|error| {
                Failure::new(Exit::Config, format!("{name}: {error}"))
                    .fix("mend the file: it must hold Kubernetes manifests as YAML")
            })?;
            if !value.is_null() {
                manifests.push((name.clone(), value));
            }
        }
    }
    Ok(manifests)
}

/// Creates a namespace.
pub async fn namespace(user: &User, name: &str) -> Result<(), Failure> {
    let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    user.apply("namespace", &manifest).await.map(drop)
}

/// Creates the namespaces of the manifests, then what is in them.
pub async fn apply(user: &User, manifests: &[(String, Value)]) -> Result<(), Failure> {
    let mut namespaces: Vec<&str> = Vec::new();
    for (_, manifest) in manifests {
        let name = text(manifest, "/metadata/namespace");
        if !name.is_empty() && !namespaces.contains(&name) {
            namespaces.push(name);
            namespace(user, name).await?;
        }
    }
    for (source, manifest) in manifests {
        user.apply(source, manifest).await?;
    }
    Ok(())
}

/// The name of the demo's agent with this number.
#[must_use]
pub fn agent(number: usize) -> ObjectRef {
    ObjectRef::new(Kind::Agent, NAMESPACE, format!("worker-{number:03}"))
}

/// Creates agents with numbers from `first`.
pub async fn create_agents(user: &User, first: usize, count: usize) -> Result<(), Failure> {
    for number in first..first + count {
        let name = agent(number).key.name;
        let manifest = json!({
            "apiVersion": "universe.ai/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "role": "worker",
                "team": format!("team-{}", number % 3),
                "env": [{"name": "REVISION", "value": "0"}],
            },
        });
        user.apply("made-up agent", &manifest).await?;
    }
    Ok(())
}

/// Changes an agent's environment, so that its Deployment must change.
pub async fn edit_agent(user: &User, agent: &ObjectRef, revision: &str) -> Result<(), Failure> {
    let patch = json!({"spec": {"env": [{"name": "REVISION", "value": revision}]}});
    user.edit(agent, &patch).await.map(drop)
}
