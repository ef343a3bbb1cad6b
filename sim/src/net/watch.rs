//! Watches: answers that go on. Events keep their order, arrive late, twice or not at all, and a
//! connection can break. What comes twice may come the second time behind later events, as from an
//! older server behind the same load balancer.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use futures::{FutureExt, StreamExt};
use http::Response;
use madsim::rand::{Rng, thread_rng};
use rynxs_judge::event::Event;
use rynxs_operator::ports::{Body, BodyError};
use serde::Deserialize;

use super::Message;
use crate::fault;
use crate::machine::Machine;
use crate::scenario::{Server, Way};
use crate::world::World;

/// Most events that travel together.
const BURST: usize = 64;
/// Most events behind which an event comes a second time.
const BEHIND_MOST: usize = 4;
/// How long events are gathered of which only the last one of each object may be shown.
const GATHER: std::time::Duration = std::time::Duration::from_millis(500);
/// How often a stalled connection looks whether the partition is over: TCP's retransmissions.
const RETRANSMIT: std::time::Duration = std::time::Duration::from_millis(500);

/// The code in a watch's error that says: what it begins at is forgotten.
const GONE: u16 = 410;

type Chunk = Result<Bytes, BodyError>;

impl Message {
    /// Puts the way back under the events of a watch.
    pub(super) fn watched(&self, response: Response<Body>) -> Response<Body> {
        let (head, body) = response.into_parts();
        let Body::Stream(events) = body else {
            return Response::from_parts(head, body);
        };
        let (to, from) = mpsc::unbounded();
        let (alive, gone) = oneshot::channel::<()>();
        let breaks = to.clone();
        let carrier = Carrier {
            world: self.world.clone(),
            machine: Arc::clone(&self.machine),
            message: self.id,
            to,
            repeats: Vec::new(),
        };
        let broken = self.machine.watch_breaker();
        self.world.servers_node().spawn(async move {
            let carrying = carrier.carry(events).boxed();
            if let Either::Right((Either::Right(_), _)) =
                select(carrying, select(gone, broken)).await
            {
                // A reader that has gone meanwhile need not know.
                let broke = BodyError::Broken("the connection broke".to_owned());
                drop(breaks.unbounded_send(Err(broke)));
            }
        });
        // When the reader drops the stream, the carrier learns it.
        let stream = from.map(move |chunk: Chunk| {
            let _held_while_read = &alive;
            chunk
        });
        Response::from_parts(head, Body::Stream(stream.boxed()))
    }
}

struct Carrier {
    world: World,
    machine: Arc<Machine>,
    message: u64,
    to: mpsc::UnboundedSender<Chunk>,
    /// What comes once more, and behind how many more events.
    repeats: Vec<(usize, Bytes)>,
}

impl Carrier {
    async fn carry(mut self, events: futures::stream::BoxStream<'static, Chunk>) {
        let mut bursts = events.ready_chunks(BURST);
        while let Some(mut burst) = bursts.next().await {
            let latency_ms = self.world.latency_ms();
            let travel = self.machine.link(Server::Api, |link| link.latency(latency_ms));
            madsim::time::sleep(travel).await;
            while self.machine.link(Server::Api, |link| link.is_blocked(Way::Answers)) {
                madsim::time::sleep(RETRANSMIT).await;
            }
            let coalesced = self.machine.link(Server::Api, |link| link.events_coalesced);
            if coalesced > 0 {
                madsim::time::sleep(GATHER).await;
                while let Some(Some(more)) = bursts.next().now_or_never() {
                    burst.extend(more);
                }
                burst = self.coalesce(burst, coalesced);
            }
            for chunk in burst {
                if self.pass(chunk).is_err() {
                    return;
                }
            }
        }
    }

    /// Leaves out some of the events behind which a later one of the same object comes.
    fn coalesce(&self, burst: Vec<Chunk>, per_mille: u32) -> Vec<Chunk> {
        let mut later = BTreeSet::new();
        let mut left: Vec<Chunk> = Vec::with_capacity(burst.len());
        for chunk in burst.into_iter().rev() {
            let name = chunk.as_ref().ok().and_then(named);
            let overtaken = name.is_some_and(|name| !later.insert(name));
            match &chunk {
                Ok(bytes) if overtaken && hits(per_mille) => {
                    self.met(bytes, fault::COALESCE_EVENTS);
                }
                _ => left.push(chunk),
            }
        }
        left.reverse();
        left
    }

    /// Hands one event over, or not, or twice.
    fn pass(&mut self, chunk: Chunk) -> Result<(), ()> {
        let (doubled, dropped) =
            self.machine.link(Server::Api, |link| (link.events_doubled, link.events_dropped));
        if hits(dropped) {
            if let Ok(bytes) = &chunk {
                self.met(bytes, fault::DROP_EVENTS);
            }
            return Ok(());
        }
        if let Ok(bytes) = &chunk {
            self.note(bytes);
            if hits(doubled) {
                self.met(bytes, fault::DUPLICATE_EVENTS);
                let behind = thread_rng().gen_range(0..=BEHIND_MOST);
                self.repeats.push((behind, bytes.clone()));
            }
        }
        self.to.unbounded_send(chunk).map_err(|_| ())?;
        self.repeat()
    }

    /// Hands over once more what is due.
    fn repeat(&mut self) -> Result<(), ()> {
        for (behind, bytes) in std::mem::take(&mut self.repeats) {
            match behind.checked_sub(1) {
                Some(left) => self.repeats.push((left, bytes)),
                None => self.to.unbounded_send(Ok(bytes)).map_err(|_| ())?,
            }
        }
        Ok(())
    }

    fn note(&self, bytes: &Bytes) {
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(bytes) else { return };
        if seen.object.code == GONE && self.world.is_compacted() {
            self.world.met(&self.machine.name, self.message, fault::COMPACT);
        }
        self.world.note(&self.machine.name, seen.event(self.message));
    }

    /// A fault met one change; of bookmarks nobody wants to know.
    fn met(&self, bytes: &Bytes, fault: &str) {
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(bytes) else { return };
        if !seen.object.metadata.name.is_empty() {
            let change = format!("{} {}", seen.kind, seen.name());
            let (message, fault) = (self.message, fault.to_owned());
            self.world.note(&self.machine.name, Event::FaultHit { message, fault, change });
        }
    }
}

fn hits(per_mille: u32) -> bool {
    per_mille > 0 && thread_rng().gen_range(0..1_000) < per_mille
}

/// The object that an event is about; bookmarks and errors are about none.
fn named(event: &Bytes) -> Option<String> {
    let name = serde_json::from_slice::<Seen<'_>>(event).ok()?.name();
    Some(name).filter(|name| !name.is_empty())
}

/// The little of a watch event that the stream tells of.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: SeenObject<'a>,
}

#[derive(Deserialize)]
struct SeenObject<'a> {
    #[serde(default)]
    kind: &'a str,
    #[serde(default)]
    code: u16,
    #[serde(default, borrow)]
    metadata: SeenMetadata<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenMetadata<'a> {
    #[serde(borrow)]
    namespace: &'a str,
    name: &'a str,
    resource_version: &'a str,
}

impl Seen<'_> {
    fn event(&self, message: u64) -> Event {
        let rv = self.object.metadata.resource_version.to_owned();
        Event::Watched { message, kind: self.kind.to_owned(), object: self.name(), rv }
    }

    /// `Kind/namespace/name`, or nothing.
    fn name(&self) -> String {
        let metadata = &self.object.metadata;
        match metadata.name {
            "" => String::new(),
            name => format!("{}/{}/{name}", self.object.kind, metadata.namespace),
        }
    }
}
