//! The S3 client's ways out, given from the ports: HTTP, sleep, time, ids.
//!
//! **Invariant: nothing here is the client's own.** Same ports, same calls, same bytes on the wire;
//! and an error of the Network port arrives at the caller as it was, so that "not sent" and
//! "perhaps applied" are never mixed up.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use aws_runtime::invocation_id::{InvocationId, InvocationIdGenerator};
use aws_smithy_async::rt::sleep::{AsyncSleep, Sleep};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures::future::BoxFuture;
use rynxs_core::record::MAX_RECORD_BYTES;

use crate::ports::{Clock, Entropy, NetError, Network, Service};

/// Largest answer: the largest record. A listing of one key and an error are far smaller.
const MAX_ANSWER_BYTES: usize = MAX_RECORD_BYTES;

/// The Network port as the client's HTTP client.
#[derive(Clone)]
pub(super) struct Wire(Arc<dyn Network>);

impl Wire {
    pub(super) fn new(network: Arc<dyn Network>) -> Self {
        Self(network)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let network = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = outgoing(&request).map_err(not_sent)?;
            let has_body = request.method() != http::Method::HEAD;
            let sent = network.send(Service::ObjectStore, request).await;
            let (head, body) = sent.map_err(failure)?.into_parts();
            let body = body.collect(MAX_ANSWER_BYTES).await;
            let body = body.map_err(|error| failure(NetError::Unknown(error.to_string())))?;
            if has_body {
                whole(&head, &body).map_err(failure)?;
            }
            incoming(&head, body).map_err(failure)
        })
    }
}

fn failure(error: NetError) -> ConnectorError {
    let sent = matches!(error, NetError::Unknown(_));
    let error = ConnectorError::io(Box::new(error));
    if sent { error } else { error.never_connected() }
}

fn not_sent(why: String) -> ConnectorError {
    failure(NetError::NotSent(why))
}

fn outgoing(request: &HttpRequest) -> Result<http::Request<Bytes>, String> {
    let body = request.body().bytes().ok_or("the body is a stream")?;
    let mut builder = http::Request::builder().method(request.method()).uri(request.uri());
    for (name, value) in request.headers() {
        builder = builder.header(name, value);
    }
    builder.body(Bytes::copy_from_slice(body)).map_err(|error| error.to_string())
}

/// Refuses an answer that broke off where the adapter did not notice.
fn whole(head: &http::response::Parts, body: &Bytes) -> Result<(), NetError> {
    let said = head.headers.get(http::header::CONTENT_LENGTH);
    let said = said.and_then(|value| value.to_str().ok());
    match said.and_then(|text| text.parse::<usize>().ok()) {
        Some(length) if length != body.len() => {
            Err(NetError::Unknown(format!("{} of {length} bytes of the answer came", body.len())))
        }
        _ => Ok(()),
    }
}

fn incoming(head: &http::response::Parts, body: Bytes) -> Result<HttpResponse, NetError> {
    let unusable = |why: String| NetError::Unknown(format!("unusable answer: {why}"));
    let status = StatusCode::try_from(head.status.as_u16());
    let status = status.map_err(|error| unusable(error.to_string()))?;
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    for (name, value) in &head.headers {
        // The client panics on header values that are not text; none that it reads is other.
        if let Ok(value) = value.to_str() {
            response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
        }
    }
    Ok(response)
}

/// The Clock port as the client's timer.
pub(super) struct ClockSleep(pub(super) Arc<dyn Clock>);

impl fmt::Debug for ClockSleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockSleep")
    }
}

impl AsyncSleep for ClockSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::new(Shareable(Mutex::new(self.0.sleep_until(self.0.now() + duration))))
    }
}

/// The client wants a sleep that may be shared between threads; it is never locked, only owned.
struct Shareable(Mutex<BoxFuture<'static, ()>>);

impl Future for Shareable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_mut().expect("never locked, so never poisoned");
        sleep.as_mut().poll(cx)
    }
}

/// The Clock port as the client's wall clock: signatures carry it.
pub(super) struct ClockTime(pub(super) Arc<dyn Clock>);

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}

impl TimeSource for ClockTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.wall().0)
    }
}

/// The Entropy port as the client's source of invocation ids.
pub(super) struct EntropyIds(pub(super) Arc<dyn Entropy>);

impl fmt::Debug for EntropyIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntropyIds")
    }
}

impl InvocationIdGenerator for EntropyIds {
    fn generate(&self) -> Result<Option<InvocationId>, BoxError> {
        let mut bytes = [0; 16];
        self.0.fill(&mut bytes);
        // A UUID of version 4, as the client's own generator makes them.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let groups = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        Ok(Some(InvocationId::new(groups.join("-"))))
    }
}
