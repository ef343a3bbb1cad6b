//! Sends one request, within a time limit and a body limit, and says what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http::{HeaderMap, StatusCode};
use rynxs_core::time::Mono;
use serde::de::DeserializeOwned;

use super::error::{Fault, KubeError, Refusal};
use crate::observe::{Observer, Signal};
use crate::ports::{Body, BodyError, NetError, Ports, Service};

/// Largest answer to anything but a list: etcd refuses objects above 1.5 MiB, and managed fields
/// may double one.
pub(super) const OBJECT_LIMIT_BYTES: usize = 4 << 20;
/// Largest page of a list: 500 objects of 64 KiB.
pub(super) const PAGE_LIMIT_BYTES: usize = 32 << 20;

/// The API server, seen through the Network port. Cheap to clone.
#[derive(Clone)]
pub struct KubeClient {
    ports: Ports,
    observer: Arc<dyn Observer>,
    timeout: Duration,
}

/// One request and what metrics call it.
#[derive(Debug)]
pub struct Call {
    /// Verb, as RBAC names it.
    pub verb: &'static str,
    /// Plural resource name, with subresource.
    pub resource: &'static str,
    /// The request; its target is a path.
    pub request: http::Request<Bytes>,
    /// Largest answer that is read.
    pub limit_bytes: usize,
}

/// An answer with a status code below 400.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Call {
    /// A call whose answer is one object, from what `kube_core::Request` built.
    ///
    /// # Errors
    /// The request's parts do not make an HTTP request; that is a bug or an invalid name.
    pub fn new(
        verb: &'static str,
        resource: &'static str,
        request: Result<http::Request<Vec<u8>>, kube_core::request::Error>,
    ) -> Result<Self, KubeError> {
        match request {
            Ok(request) => Ok(Self {
                verb,
                resource,
                request: request.map(Bytes::from),
                limit_bytes: OBJECT_LIMIT_BYTES,
            }),
            Err(error) => Err(KubeError {
                verb,
                target: resource.to_owned(),
                fault: Fault::NotSent(error.to_string()),
            }),
        }
    }
}

impl Answer {
    /// The body as JSON of type `T`.
    ///
    /// # Errors
    /// The body is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

impl KubeClient {
    /// A client whose requests wait at most `timeout` unless they say otherwise.
    #[must_use]
    pub fn new(ports: Ports, observer: Arc<dyn Observer>, timeout: Duration) -> Self {
        Self { ports, observer, timeout }
    }

    /// The time limit of requests that name none.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The ports beneath.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Sends one request and reads its whole answer within `timeout`. No retries.
    ///
    /// # Errors
    /// Everything but a whole answer with a status below 400.
    pub async fn send(&self, call: Call, timeout: Duration) -> Result<Answer, KubeError> {
        let (verb, resource, limit) = (call.verb, call.resource, call.limit_bytes);
        let target = target(&call.request);
        let deadline = self.ports.clock.now() + timeout;
        let exchange = async {
            let response = self.ports.network.send(Service::Kubernetes, call.request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect(limit).await;
            Ok::<_, NetError>((head, body))
        };
        let outcome = match self.within(deadline, exchange).await {
            None => Err(Fault::Timeout),
            Some(Err(NetError::NotSent(why))) => Err(Fault::NotSent(why)),
            Some(Err(NetError::Unknown(why))) => Err(Fault::Connection(why)),
            Some(Ok((_, Err(BodyError::TooLarge { limit_bytes })))) => {
                Err(Fault::TooLarge { limit_bytes })
            }
            Some(Ok((_, Err(BodyError::Broken(why))))) => Err(Fault::Connection(why)),
            Some(Ok((head, Ok(body)))) if head.status.is_success() => {
                Ok(Answer { status: head.status, headers: head.headers, body })
            }
            Some(Ok((head, Ok(body)))) => {
                Err(Fault::Refused(Refusal::read(head.status, &head.headers, &body)))
            }
        };
        let code = match &outcome {
            Ok(answer) => answer.status.as_u16(),
            Err(Fault::Refused(refusal)) => refusal.code,
            Err(_) => 0,
        };
        self.observer.signal(Signal::KubernetesRequest { verb, resource, code });
        outcome.map_err(|fault| KubeError { verb, target, fault })
    }

    /// Sends one request whose answer is a stream without an end; the time limit covers the head.
    pub(super) async fn open(&self, call: Call) -> Result<Body, KubeError> {
        let (verb, resource, limit) = (call.verb, call.resource, call.limit_bytes);
        let target = target(&call.request);
        let deadline = self.ports.clock.now() + self.timeout;
        let sent = self.ports.network.send(Service::Kubernetes, call.request);
        let outcome = match self.within(deadline, sent).await {
            None => Err(Fault::Timeout),
            Some(Err(NetError::NotSent(why))) => Err(Fault::NotSent(why)),
            Some(Err(NetError::Unknown(why))) => Err(Fault::Connection(why)),
            Some(Ok(response)) if response.status().is_success() => Ok(response),
            Some(Ok(response)) => {
                let (head, body) = response.into_parts();
                // A refusal's body is small and arrives with its head; a late one is not awaited
                // beyond the same limit.
                let body = match self.within(deadline, body.collect(limit)).await {
                    Some(Ok(body)) => body,
                    Some(Err(_)) | None => Bytes::new(),
                };
                Err(Fault::Refused(Refusal::read(head.status, &head.headers, &body)))
            }
        };
        let code = match &outcome {
            Ok(response) => response.status().as_u16(),
            Err(Fault::Refused(refusal)) => refusal.code,
            Err(_) => 0,
        };
        self.observer.signal(Signal::KubernetesRequest { verb, resource, code });
        match outcome {
            Ok(response) => Ok(response.into_body()),
            Err(fault) => Err(KubeError { verb, target, fault }),
        }
    }

    /// The future's output, or none once `deadline` has passed.
    pub(crate) async fn within<F: Future>(&self, deadline: Mono, future: F) -> Option<F::Output> {
        let sleep = self.ports.clock.sleep_until(deadline);
        match select(std::pin::pin!(future), sleep).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(((), _)) => None,
        }
    }
}

/// Path and query, for messages.
fn target(request: &http::Request<Bytes>) -> String {
    request.uri().path_and_query().map_or_else(String::new, |target| target.as_str().to_owned())
}
