//! Waits until every Agent and Session is where it should be: by a list and a watch from it, as
//! any controller would, so that waiting costs the servers next to nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use rynxs_core::ids::Kind;
use serde_json::Value;

use crate::cli::Failure;

use super::user::{User, text};
use super::world::World;

/// How often a wait looks whether the replicas still run.
const LOOK: Duration = Duration::from_millis(200);

/// Waits until every Agent and Session is where it should be; says how many there are.
pub async fn settled(world: &mut World, patience: Duration) -> Result<usize, Failure> {
    let until = Instant::now() + patience;
    loop {
        let mut view = View::list(&world.user).await?;
        // Until the server ends a watch; then everything is listed again.
        loop {
            let Some(waiting) = view.waiting() else { return Ok(view.settled.len()) };
            world.must_go_on(until, &format!("{waiting} is ready")).await?;
            let ended = tokio::select! {
                biased;
                ended = view.ends() => ended,
                () = tokio::time::sleep(LOOK) => false,
            };
            if ended {
                world.wait_a_little(until, "a watch goes on").await?;
                break;
            }
        }
    }
}

/// All Agents and Sessions as they were last seen.
struct View {
    settled: BTreeMap<String, bool>,
    /// None is the end of one of the watches.
    events: BoxStream<'static, Option<(Kind, Value)>>,
}

impl View {
    async fn list(user: &User) -> Result<Self, Failure> {
        let mut settled = BTreeMap::new();
        let mut watches = Vec::new();
        for kind in [Kind::Agent, Kind::Session] {
            let (objects, version) = user.list_at(kind, "").await?;
            settled.extend(objects.iter().map(|one| (name(kind, one), is_settled(one))));
            let events = user.watch(kind, &version).await?.map(move |event| Some((kind, event)));
            watches.push(events.chain(futures::stream::iter([None])));
        }
        Ok(Self { settled, events: futures::stream::select_all(watches).boxed() })
    }

    /// Somebody who is not there yet.
    fn waiting(&self) -> Option<&str> {
        self.settled.iter().find(|(_, settled)| !**settled).map(|(name, _)| name.as_str())
    }

    /// Takes one event; true if a watch has ended.
    async fn ends(&mut self) -> bool {
        let Some((kind, event)) = self.events.next().await.flatten() else { return true };
        let object = &event["object"];
        match text(&event, "/type") {
            "ADDED" | "MODIFIED" => {
                self.settled.insert(name(kind, object), is_settled(object));
            }
            "DELETED" => {
                self.settled.remove(&name(kind, object));
            }
            "BOOKMARK" => {}
            _ => return true,
        }
        false
    }
}

fn name(kind: Kind, object: &Value) -> String {
    let at = |pointer| text(object, pointer);
    format!("{kind:?} {}/{}", at("/metadata/namespace"), at("/metadata/name"))
}

/// Ready, or at rest because its spec says so, for the newest spec.
fn is_settled(object: &Value) -> bool {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
    let condition = |kind: &str| {
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        conditions.into_iter().flatten().any(|c| c["type"] == kind && c["status"] == "True")
    };
    observed.is_some()
        && observed == generation
        && !condition("Progressing")
        && ["Ready", "Suspended", "Finished"].into_iter().any(condition)
}
