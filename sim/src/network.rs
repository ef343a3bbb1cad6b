//! Requests on their way: encoded bytes, latency, and answers that do not come.
//!
//! A request that left is handled by a task of the servers' node. Whoever sent it may be killed or
//! stop waiting; the request arrives all the same, which is what makes zombies.

use std::time::Duration;

use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::{Request, Response};
use madsim::rand::{Rng, thread_rng};
use madsim::runtime::NodeHandle;
use rynxs_operator::ports::{Body, NetError, Network, Service};

use crate::clock::wall_ms;
use crate::world::Servers;

/// Latency of one direction, milliseconds: a rack to a region, not a loopback.
const LATENCY_MS: std::ops::Range<u64> = 1..20;

/// One replica's way to the servers.
pub(crate) struct NodeNetwork {
    pub(crate) node: String,
    pub(crate) servers: Servers,
    pub(crate) servers_node: NodeHandle,
    pub(crate) token: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    RequestLost,
    AnswerLost,
}

impl NodeNetwork {
    fn fate(&self) -> Fate {
        let (requests, answers) = self.servers.loss_per_mille();
        let drawn = thread_rng().gen_range(0..1000);
        if drawn < requests {
            Fate::RequestLost
        } else if drawn < requests + answers {
            Fate::AnswerLost
        } else {
            Fate::Arrives
        }
    }

    fn authorised(&self, service: Service, mut request: Request<Bytes>) -> Request<Bytes> {
        if service == Service::Kubernetes {
            let value = http::HeaderValue::from_str(&format!("Bearer {}", self.token))
                .expect("tokens of the world are plain text");
            request.headers_mut().insert(http::header::AUTHORIZATION, value);
        }
        request
    }
}

async fn travel() {
    let ms = thread_rng().gen_range(LATENCY_MS);
    madsim::time::sleep(Duration::from_millis(ms)).await;
}

impl Network for NodeNetwork {
    fn send(
        &self,
        service: Service,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Body>, NetError>> {
        let request = self.authorised(service, request);
        let fate = self.fate();
        let servers = self.servers.clone();
        let node = self.node.clone();
        let line = format!("{:?} {} {}", service, request.method(), request.uri());
        servers.note(&node, "send", &line);
        let (answer_to, answer) = oneshot::channel();
        self.servers_node.spawn(async move {
            travel().await;
            if fate == Fate::RequestLost {
                servers.note(&node, "request_lost", &line);
                return;
            }
            let response = servers.answer(service, request).await;
            servers.note(&node, "answer", &format!("{} {line}", response.status().as_u16()));
            travel().await;
            if fate == Fate::AnswerLost {
                servers.note(&node, "answer_lost", &line);
                return;
            }
            // Whoever asked may be gone by now.
            drop(answer_to.send(response));
        });
        async move {
            // The sender of a lost message learns nothing; its own timeout ends the wait.
            match answer.await {
                Ok(response) => Ok(response),
                Err(_) => futures::future::pending().await,
            }
        }
        .boxed()
    }
}

impl Servers {
    /// Lets the model of the service answer.
    pub(crate) async fn answer(&self, service: Service, request: Request<Bytes>) -> Response<Body> {
        match service {
            Service::Kubernetes => self.api.handle(wall_ms(), request).map(|body| match body {
                rynxs_apiserver::Body::Full(bytes) => Body::Full(bytes),
                rynxs_apiserver::Body::Watch(events) => Body::Stream(events.map(Ok).boxed()),
            }),
            Service::ObjectStore => self.s3.call(wall_ms(), request).await.map(Body::Full),
        }
    }
}
