//! The store as one value: takes requests, keeps the truth.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use sha2::{Digest, Sha256};

use crate::access::{Arrival, Gate, Keys, lock};
use crate::checksum::hex;
use crate::fault::{Faults, Lost, NoFaults, Plan, Refusal, RequestInfo};
use crate::history::{Condition, Outcome, Write, WriteAttempt};
use crate::options::{ConditionalPuts, Options};
use crate::policy::{Kind, Policy};
use crate::service::Service;
use crate::state::{Bucket, State, opaque};

/// Marks an answer that never arrived because the connection broke; hosts of the model turn it
/// into a network error. The status beside it means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionReset;

/// An in-memory S3; clones share one store.
#[derive(Clone)]
pub struct S3Model {
    service: S3Service,
    pub(crate) state: Arc<Mutex<State>>,
    door: Arc<Mutex<Door>>,
}

struct Door {
    faults: Arc<dyn Faults>,
    arrived: u64,
}

impl S3Model {
    /// A store with these settings.
    ///
    /// # Panics
    ///
    /// If a policy among the settings is not valid: that is the caller's mistake.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let dialect = options.dialect;
        let parse = |text: &str, kind| {
            Policy::parse(text, kind, dialect).unwrap_or_else(|error| panic!("{error}: {text}"))
        };
        let identity_policies = options
            .identities
            .iter()
            .map(|one| one.policies.iter().map(|text| parse(text, Kind::Identity)).collect())
            .collect();
        let buckets = options.buckets.clone();
        let mut state = State::new(options, identity_policies);
        for one in buckets {
            let mut bucket = Bucket::new(0, one.versioned, one.object_lock);
            bucket.policy = one.policy.map(|text| parse(&text, Kind::Bucket));
            state.buckets.insert(one.name, bucket);
        }
        let state = Arc::new(Mutex::new(state));
        let door = Door { faults: Arc::new(NoFaults), arrived: 0 };
        Self { service: service(&state), state, door: Arc::new(Mutex::new(door)) }
    }

    /// From now on, asks these faults about every request.
    pub fn set_faults(&self, faults: Arc<dyn Faults>) {
        self.door.lock().expect("nothing panics at the door").faults = faults;
    }

    /// From now on, makes this of the condition of a put-if-absent: a store that changes its ways
    /// under a running log, which no check at start can foresee.
    pub fn set_conditional_puts(&self, conditional_puts: ConditionalPuts) {
        lock(&self.state).options.conditional_puts = conditional_puts;
    }

    /// Takes one request, at this time, in the order of calls.
    ///
    /// The store acts when the future is polled; each request in one step, unless a fault delays
    /// it. The future of a request whose answer is lost in silence never ends.
    pub fn call(
        &self,
        now_ms: u64,
        request: Request<Bytes>,
    ) -> BoxFuture<'static, Response<Bytes>> {
        let (number, faults) = {
            let mut door = self.door.lock().expect("nothing panics at the door");
            door.arrived += 1;
            (door.arrived - 1, door.faults.clone())
        };
        let info = describe(number, now_ms, &request);
        let plan = faults.plan(&info);
        let model = self.clone();
        Box::pin(async move { model.follow(plan, info, request).await })
    }

    async fn follow(
        self,
        mut plan: Plan,
        info: RequestInfo,
        request: Request<Bytes>,
    ) -> Response<Bytes> {
        let mut now_ms = info.at_ms;
        while let Plan::Delay(until, then) = plan {
            now_ms = now_ms.max(until.await);
            plan = *then;
        }
        let answered = matches!(plan, Plan::Proceed);
        let arrival = Arrival { now_ms, request: info.number, answered };
        match plan {
            Plan::Refuse(refusal) => refuse(&refusal),
            Plan::Lose(lost) => lose(lost).await,
            Plan::Proceed | Plan::Delay(..) => self.apply(arrival, &info, request).await,
            Plan::ApplyThenRefuse(refusal) => {
                self.apply(arrival, &info, request).await;
                refuse(&refusal)
            }
            Plan::ApplyThenLose(lost) => {
                self.apply(arrival, &info, request).await;
                lose(lost).await
            }
        }
    }

    async fn apply(
        &self,
        arrival: Arrival,
        info: &RequestInfo,
        mut request: Request<Bytes>,
    ) -> Response<Bytes> {
        request.extensions_mut().insert(arrival);
        if let Some(authority) = request.uri().authority()
            && !request.headers().contains_key(http::header::HOST)
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            // Any HTTP client sends it; in-process callers leave it to the connection.
            request.headers_mut().insert(http::header::HOST, host);
        }
        let attempt = attempt(&arrival, info, &request);
        let head = request.method() == Method::HEAD;
        let mut response = match self.service.call(request.map(s3s::Body::from)).await {
            Ok(response) => collect(response).await,
            Err(_) => refuse(&Refusal::new(500, "InternalError")),
        };
        if let Some(attempt) = attempt {
            self.note_refusal(attempt, &response);
        }
        self.finish(&mut response, arrival.request, head);
        response
    }

    /// Whatever was not recorded as applied was refused, or is no write of an object.
    fn note_refusal(&self, mut attempt: WriteAttempt, response: &Response<Bytes>) {
        let mut state = lock(&self.state);
        if state.history.has(attempt.request) {
            return;
        }
        if response.status().is_client_error() || response.status().is_server_error() {
            attempt.outcome = Outcome::Refused {
                status: response.status().as_u16(),
                code: error_code(response.body()).unwrap_or_default(),
            };
        }
        state.history.push(attempt);
    }

    fn finish(&self, response: &mut Response<Bytes>, request: u64, head: bool) {
        let id = opaque(lock(&self.state).options.seed, "request", request);
        let id = HeaderValue::from_str(&id[..16].to_ascii_uppercase());
        response.headers_mut().insert("x-amz-request-id", id.expect("hex digits are a header"));
        if head {
            *response.body_mut() = Bytes::new();
        } else if response.status() != StatusCode::NO_CONTENT
            && response.status() != StatusCode::NOT_MODIFIED
        {
            let length = HeaderValue::from(response.body().len());
            response.headers_mut().insert(http::header::CONTENT_LENGTH, length);
        }
    }

    /// Every attempt to write that reached the store, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<WriteAttempt> {
        lock(&self.state).history.all()
    }

    /// The attempts with a number of at least `from`.
    #[must_use]
    pub fn history_since(&self, from: u64) -> Vec<WriteAttempt> {
        lock(&self.state).history.since(from)
    }

    /// How many attempts the history no longer has, for its limit.
    #[must_use]
    pub fn history_dropped(&self) -> u64 {
        lock(&self.state).history.dropped()
    }
}

fn service(state: &Arc<Mutex<State>>) -> S3Service {
    let mut config = S3Config::default();
    // s3s would compare signatures with the machine's clock; the gate compares with the model's.
    config.presigned_url_max_skew_time_secs = u32::MAX;
    let mut builder = S3ServiceBuilder::new(Service { state: state.clone() });
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(Keys(state.clone()));
    builder.set_access(Gate(state.clone()));
    builder.build()
}

fn describe(number: u64, at_ms: u64, request: &Request<Bytes>) -> RequestInfo {
    let path = request.uri().path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let headers = request.headers();
    let access_key = headers
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once("Credential="))
        .and_then(|(_, rest)| rest.split_once('/'))
        .map_or("", |(key, _)| key);
    RequestInfo {
        number,
        at_ms,
        method: request.method().clone(),
        bucket: bucket.to_owned(),
        key: percent_decode(key),
        query: request.uri().query().unwrap_or_default().to_owned(),
        access_key: access_key.to_owned(),
        conditional: headers.contains_key(http::header::IF_NONE_MATCH)
            || headers.contains_key(http::header::IF_MATCH),
        body_bytes: request.body().len(),
    }
}

/// `%xx` sequences as the bytes they stand for; anything else as it is.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn attempt(
    arrival: &Arrival,
    info: &RequestInfo,
    request: &Request<Bytes>,
) -> Option<WriteAttempt> {
    let write = match *request.method() {
        Method::PUT if info.query.is_empty() || info.query.starts_with("x-id=PutObject") => {
            Write::Put
        }
        Method::DELETE if !info.key.is_empty() => Write::Delete,
        Method::PUT | Method::POST | Method::DELETE => {
            Write::Other(format!("{} ?{}", info.method, info.query))
        }
        _ => return None,
    };
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let condition = match (header("if-none-match"), header("if-match")) {
        (Some(_), _) => Some(Condition::Absent),
        (None, Some(etag)) => Some(Condition::Matches(etag.trim_matches('"').to_owned())),
        (None, None) => None,
    };
    let bytes = request.body().clone();
    Some(WriteAttempt {
        number: 0,
        request: arrival.request,
        at_ms: arrival.now_ms,
        identity: None,
        bucket: info.bucket.clone(),
        key: info.key.clone(),
        write,
        condition,
        sha256: if bytes.is_empty() { String::new() } else { hex(&Sha256::digest(&bytes)) },
        bytes,
        outcome: Outcome::Applied { version: String::new(), replaced: false },
        answered: arrival.answered,
    })
}

async fn collect(response: Response<s3s::Body>) -> Response<Bytes> {
    let (parts, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => Response::from_parts(parts, body.to_bytes()),
        Err(_) => refuse(&Refusal::new(500, "InternalError")),
    }
}

async fn lose(lost: Lost) -> Response<Bytes> {
    match lost {
        Lost::Silence => std::future::pending().await,
        Lost::Reset => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response.extensions_mut().insert(ConnectionReset);
            response
        }
    }
}

fn refuse(refusal: &Refusal) -> Response<Bytes> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = &refusal.code;
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>fault</Message></Error>"
    );
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn error_code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    Some(rest.split_once("</Code>")?.0.to_owned())
}
