//! Requests on their way: encoded bytes, latency, loss, and answers that do not come.
//!
//! A request that left is carried by a task of the servers' node. Whoever sent it may be killed,
//! frozen or tired of waiting; the request arrives all the same, which is what makes zombies.

mod api;
mod link;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{BoxFuture, pending};
use http::{HeaderValue, Method, Request, Response};
use rynxs_judge::event::{Event, Leg as Way, node};
use rynxs_operator::ports::{Body, NetError, Network, Service};

pub(crate) use self::api::{ApiFaults, Verdict, full};
pub(crate) use self::link::{Fate, Leg, Link, adjust};
use crate::clock::wall_ms;
use crate::fault;
use crate::machine::{Crash, Machine, Process};
use crate::scenario::Server;
use crate::world::World;

/// One process's way to the servers.
pub(crate) struct ProcessNetwork {
    pub(crate) world: World,
    pub(crate) machine: Arc<Machine>,
    pub(crate) process: Arc<Process>,
}

/// A message under way.
struct Message {
    world: World,
    machine: Arc<Machine>,
    process: Arc<Process>,
    id: u64,
    service: Service,
    request: Request<Bytes>,
    fate: Fate,
    crash: Option<Crash>,
}

type Answer = Result<Response<Body>, NetError>;

/// The server that a service is.
pub(crate) fn server(service: Service) -> Server {
    match service {
        Service::Kubernetes => Server::Api,
        Service::ObjectStore => Server::S3,
    }
}

impl Network for ProcessNetwork {
    fn send(
        &self,
        service: Service,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Body>, NetError>> {
        if self.process.is_dead_after_await(&self.world, &self.machine) {
            return pending().boxed();
        }
        let writes = *request.method() != Method::GET && *request.method() != Method::HEAD;
        let crash = if writes { self.process.count_write() } else { None };
        let id = self.world.next_message();
        self.world.note(&self.machine.name, sent(id, service, &self.machine, &request));
        if matches!(crash, Some(Crash { applied: false, .. })) {
            self.world.met(&self.machine.name, id, fault::CRASH_AT_WRITE);
            self.world.note(&self.machine.name, Event::Lost { message: id, leg: Way::Request });
            self.world.crash_soon(&self.machine, &self.process, "before a write arrives");
            return pending().boxed();
        }
        let latency_ms = self.world.latency_ms();
        let mut fate = self.machine.link(server(service), |link| link.fate(writes, latency_ms));
        if applies_object(&request) {
            fate.replayed = self.machine.link(server(service), Link::next_replay);
        }
        if writes && self.process.count_answer() {
            fate.answer = Leg::Silence;
            fate.faults[1] = Some(fault::LOSE_ANSWER);
        }
        // What befalls the answer is told when it does.
        if let Some(fault) = fate.faults[0] {
            self.world.met(&self.machine.name, id, fault);
        }
        let message = Message {
            world: self.world.clone(),
            machine: Arc::clone(&self.machine),
            process: Arc::clone(&self.process),
            id,
            service,
            request,
            fate,
            crash,
        };
        let (answer_to, answer) = oneshot::channel();
        self.world.servers_node().spawn(message.carry(answer_to));
        let process = Arc::clone(&self.process);
        async move {
            match answer.await {
                Ok(answer) if !process.is_dead() => answer,
                // Nobody learns that a message was lost; the sender's own timeout ends the wait.
                _ => pending().await,
            }
        }
        .boxed()
    }
}

fn sent(id: u64, service: Service, machine: &Machine, request: &Request<Bytes>) -> Event {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let watches = service == Service::Kubernetes && is_watch(request);
    Event::Sent {
        message: id,
        to: match service {
            Service::Kubernetes => format!("api-{}", machine.view()),
            Service::ObjectStore => node::S3.to_owned(),
        },
        method: if watches { "WATCH".to_owned() } else { request.method().to_string() },
        target: target.to_owned(),
        bytes: request.body().len() as u64,
    }
}

fn is_watch(request: &Request<Bytes>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1")
}

/// Whether this applies anything but a Lease. No stamp protects a Lease: its old content under the
/// live version would be an edit by hand, of which I7 promises nothing.
fn applies_object(request: &Request<Bytes>) -> bool {
    let lease = request.uri().path().starts_with("/apis/coordination.k8s.io/");
    *request.method() == Method::PATCH && !lease
}

impl Message {
    async fn carry(self, answer_to: oneshot::Sender<Answer>) {
        let name = self.machine.name.clone();
        if self.fate.request != Leg::Arrives {
            self.world.note(&name, Event::Lost { message: self.id, leg: Way::Request });
            let error = match self.fate.request {
                Leg::Refused => NetError::NotSent("connection refused".to_owned()),
                Leg::Reset => NetError::Unknown("connection reset".to_owned()),
                Leg::Arrives | Leg::Silence => return,
            };
            madsim::time::sleep(self.fate.back).await;
            // Whoever asked may be gone by now.
            drop(answer_to.send(Err(error)));
            return;
        }
        if let Some(again) = self.fate.again {
            self.deliver_again(again, fault::DUPLICATE);
        }
        if let Some(after) = self.fate.replayed {
            self.deliver_again(after, fault::REPLAY_WRITE);
        }
        self.world.travel(self.fate.out).await;
        let answer = self.deliver().await;
        if self.crash.is_some() {
            self.world.met(&name, self.id, fault::CRASH_AT_WRITE);
            self.world.note(&name, Event::Lost { message: self.id, leg: Way::Answer });
            self.world.crash(&self.machine, &self.process, "after a write was applied");
            return;
        }
        let lost = self.fate.answer != Leg::Arrives
            || self
                .machine
                .link(server(self.service), |link| link.is_blocked(crate::scenario::Way::Answers));
        madsim::time::sleep(self.fate.back).await;
        if lost {
            self.world.met(&name, self.id, self.fate.faults[1].unwrap_or(fault::PARTITION));
            self.world.note(&name, Event::Lost { message: self.id, leg: Way::Answer });
            if self.fate.answer == Leg::Reset {
                let error = NetError::Unknown("connection reset".to_owned());
                drop(answer_to.send(Err(error)));
            }
            return;
        }
        let status = answer.as_ref().map_or(0, |response| response.status().as_u16());
        if !answer_to.is_canceled() {
            self.world.note(&name, Event::Received { message: self.id, status });
        }
        let answer = answer.map(|response| self.watched(response));
        drop(answer_to.send(answer));
    }

    /// The server's name at this moment: a replica may have moved to another view meanwhile.
    fn at(&self) -> String {
        match self.service {
            Service::Kubernetes => format!("api-{}", self.machine.view()),
            Service::ObjectStore => node::S3.to_owned(),
        }
    }

    /// Lets the server do it and answer.
    async fn deliver(&self) -> Answer {
        let at = self.at();
        self.world.note(&at, Event::Arrived { message: self.id });
        let answer = match self.service {
            Service::Kubernetes => Ok(self.call_api(&at)),
            Service::ObjectStore => self.call_s3().await,
        };
        let status = answer.as_ref().map_or(0, |response| response.status().as_u16());
        self.world.note(&at, Event::Answered { message: self.id, status });
        answer
    }

    fn call_api(&self, at: &str) -> Response<Body> {
        let mut request = clone_of(&self.request);
        let token = HeaderValue::from_static(crate::world::BEARER);
        request.headers_mut().insert(http::header::AUTHORIZATION, token);
        self.world.call_api(self.machine.view(), at, self.id, request)
    }

    async fn call_s3(&self) -> Answer {
        let s3 = self.world.s3();
        let answer = s3.call(wall_ms(), clone_of(&self.request));
        // The store asks about faults when it is called.
        if let Some(fault) = self.world.take_s3_hit() {
            self.world.met(node::S3, self.id, fault);
        }
        let response = answer.await;
        self.world.pump_s3(Some(self.id));
        if response.extensions().get::<rynxs_s3::ConnectionReset>().is_some() {
            return Err(NetError::Unknown("connection reset".to_owned()));
        }
        Ok(response.map(Body::Full))
    }

    /// The same bytes once more, by a proxy that believes the first try lost; nobody waits for the
    /// answer.
    fn deliver_again(&self, after: std::time::Duration, by: &'static str) {
        let mut message = Self {
            world: self.world.clone(),
            machine: Arc::clone(&self.machine),
            process: Arc::clone(&self.process),
            request: clone_of(&self.request),
            crash: None,
            ..*self
        };
        if is_watch(&message.request) {
            return;
        }
        self.world.servers_node().spawn(async move {
            message.world.travel(after).await;
            if message.world.is_healed() {
                return;
            }
            message.world.met(&message.at(), message.id, by);
            if by == fault::REPLAY_WRITE {
                message.world.refresh(&mut message.request);
            }
            drop(message.deliver().await);
        });
    }
}

/// Requests hold nothing but their head and bytes.
fn clone_of(request: &Request<Bytes>) -> Request<Bytes> {
    let mut copy = Request::new(request.body().clone());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}
