//! Serves a model on loopback over real HTTP.
//!
//! The models know neither sockets nor clocks; this is the thin layer that gives them both. What
//! connects to it are the same clients that connect to a real API server and a real S3.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rynxs_apiserver::ApiServer;
use rynxs_s3::S3Model;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::gate::Gate;
use super::mirror::Mirror;
use super::tally::{self, RequestKind, Tally};

/// Larger than any record or manifest: records are at most 8 MiB.
const MAX_REQUEST_BYTES: usize = 16 << 20;
/// Built-in controllers, bookmarks and timeouts of the API model are due in tens of milliseconds.
const TICK: Duration = Duration::from_millis(20);

/// A response on its way to a socket.
pub type HostBody = UnsyncBoxBody<Bytes, Infallible>;

/// An answer of a model.
pub struct HostResponse(Response<HostBody>);

impl HostResponse {
    /// A whole answer.
    #[must_use]
    pub fn full(head: Response<()>, body: Bytes) -> Self {
        Self(head.map(|()| Full::new(body).boxed_unsync()))
    }
}

/// A model that answers requests.
pub trait Backend: Send + Sync {
    /// Answers one request.
    fn call(&self, request: Request<Bytes>) -> BoxFuture<'static, HostResponse>;

    /// What a request counts as; none if it is nobody's but the demo's own.
    fn kind(&self, request: &Request<Bytes>) -> Option<RequestKind>;
}

/// The API server's model.
pub struct ApiBackend(pub ApiServer);

impl Backend for ApiBackend {
    fn call(&self, request: Request<Bytes>) -> BoxFuture<'static, HostResponse> {
        let answer = self.0.handle(now_ms(), request).map(|body| match body {
            rynxs_apiserver::Body::Full(bytes) => Full::new(bytes).boxed_unsync(),
            rynxs_apiserver::Body::Watch(chunks) => {
                StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))).boxed_unsync()
            }
        });
        Box::pin(std::future::ready(HostResponse(answer)))
    }

    fn kind(&self, request: &Request<Bytes>) -> Option<RequestKind> {
        tally::to_api_server(request)
    }
}

/// The object store's model, with a copy of the log on disk.
pub struct StoreBackend {
    /// The model.
    pub model: S3Model,
    /// The copy.
    pub mirror: Mirror,
    /// Access key of the demo's own reader.
    pub reader: String,
}

impl Backend for StoreBackend {
    fn call(&self, request: Request<Bytes>) -> BoxFuture<'static, HostResponse> {
        let key = Mirror::key_put(&request);
        let (model, mirror) = (self.model.clone(), self.mirror.clone());
        Box::pin(async move {
            // The model answers within the poll in which it acts, so nobody can drop this future
            // between the one and the other.
            let answer = model.call(now_ms(), request).await;
            if let Some(key) = key.filter(|_| answer.status().is_success()) {
                mirror.copy(&model, &key);
            }
            HostResponse(answer.map(|body| Full::new(body).boxed_unsync()))
        })
    }

    fn kind(&self, request: &Request<Bytes>) -> Option<RequestKind> {
        tally::to_store(request, &self.reader)
    }
}

/// A model that listens on a loopback port; dropping it closes every connection.
pub struct Host {
    address: SocketAddr,
    gate: Gate,
    tally: Tally,
    _tasks: JoinSet<()>,
}

impl Host {
    /// Listens on a port, 0 for any free one, and serves from now on.
    pub async fn start(backend: Arc<dyn Backend>, port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        let address = listener.local_addr()?;
        let (gate, tally) = (Gate::default(), Tally::default());
        let mut tasks = JoinSet::new();
        let door = Door { backend, gate: gate.clone(), tally: tally.clone() };
        tasks.spawn(accept(listener, door));
        Ok(Self { address, gate, tally, _tasks: tasks })
    }

    /// Lets time pass for an API server while its host lives.
    pub fn keep_time(&mut self, server: ApiServer) {
        self._tasks.spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                server.tick(now_ms());
            }
        });
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The gate before the model.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The replicas' requests that have arrived.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// What a request passes on its way to the model.
#[derive(Clone)]
struct Door {
    backend: Arc<dyn Backend>,
    gate: Gate,
    tally: Tally,
}

async fn accept(listener: TcpListener, door: Door) {
    let mut connections = JoinSet::new();
    loop {
        // Out of descriptors, or a connection that broke before it was accepted: go on.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(TICK).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let door = door.clone();
        let service = service_fn(move |request| serve(door.clone(), request));
        connections.spawn(async move {
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away is everyday business here.
            let _ = serving.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// A request that will never be answered.
#[derive(Debug, thiserror::Error)]
#[error("the request was dropped at the gate")]
struct Dropped;

async fn serve(door: Door, request: Request<Incoming>) -> Result<Response<HostBody>, Dropped> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
        let mut refusal = Response::new(Full::new(Bytes::new()).boxed_unsync());
        *refusal.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return Ok(refusal);
    };
    let request = Request::from_parts(head, body.to_bytes());
    if let Some(kind) = door.backend.kind(&request) {
        door.tally.note(kind);
    }
    door.gate.pass(&door.backend, request).await.map(|answer| answer.0).ok_or(Dropped)
}

/// Reads an answer to its end; not for watches.
pub(super) async fn read(answer: HostResponse) -> (StatusCode, Response<()>, Bytes) {
    let (head, body) = answer.0.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    (head.status, Response::from_parts(head, ()), body)
}

/// The wall clock that both models live by.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
