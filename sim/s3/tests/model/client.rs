//! The shipped client, connected to the model directly.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, IdentityCache, Region, RequestChecksumCalculation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use rynxs_s3::{ConnectionReset, Options, S3Model};

pub(crate) const BUCKET: &str = "rynxs-events";

/// A time in 2026, advanced by tests; the same for client and model.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_795_341_600_000)))
    }

    pub(crate) fn ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn advance(&self, span: Duration) {
        self.0.fetch_add(u64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.ms())
    }
}

/// A store with one bucket and an all-powerful client.
pub(crate) fn simple() -> (S3Model, Client, Clock) {
    with(Options::simple(BUCKET, "root", "root-secret"))
}

/// A store with these options, and a client with the key pair `root`.
pub(crate) fn with(options: Options) -> (S3Model, Client, Clock) {
    let model = S3Model::new(options);
    let clock = Clock::new();
    let client =
        client(&model, &clock, Credentials::new("root", "root-secret", None, None, "test"));
    (model, client, clock)
}

pub(crate) fn client(model: &S3Model, clock: &Clock, credentials: Credentials) -> Client {
    client_with_own_clock(model, clock, clock, credentials)
}

/// A client whose clock is not the model's.
pub(crate) fn client_with_own_clock(
    model: &S3Model,
    clock: &Clock,
    own: &Clock,
    credentials: Credentials,
) -> Client {
    let wire = Wire { model: model.clone(), clock: clock.clone(), tape: Tape::default() };
    connect(wire, own, credentials)
}

/// An all-powerful client, and every answer that it gets, to the last byte.
pub(crate) fn recorded(model: &S3Model, clock: &Clock) -> (Client, Tape) {
    let tape = Tape::default();
    let wire = Wire { model: model.clone(), clock: clock.clone(), tape: tape.clone() };
    let credentials = Credentials::new("root", "root-secret", None, None, "test");
    (connect(wire, clock, credentials), tape)
}

fn connect(wire: Wire, own: &Clock, credentials: Credentials) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(wire)
        .time_source(own.clone())
        .credentials_provider(credentials)
        .identity_cache(IdentityCache::no_cache())
        .region(Region::new("us-east-1"))
        .endpoint_url("http://s3.test:9000")
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .build();
    Client::from_conf(config)
}

/// Sends the client's requests to the model.
#[derive(Clone)]
struct Wire {
    model: S3Model,
    clock: Clock,
    tape: Tape,
}

/// Answers as they came.
pub(crate) type Tape = Arc<Mutex<Vec<String>>>;

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
        let answer = self.model.call(self.clock.ms(), to_http(&request));
        let tape = self.tape.clone();
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            tape.lock().unwrap().push(format!("{answer:?}"));
            from_http(answer)
        })
    }
}

pub(crate) fn to_http(request: &HttpRequest) -> http::Request<Bytes> {
    let mut builder = http::Request::builder().method(request.method()).uri(request.uri());
    for (name, value) in request.headers() {
        builder = builder.header(name, value);
    }
    let body = request.body().bytes().expect("bodies in tests are in memory");
    builder.body(Bytes::copy_from_slice(body)).unwrap()
}

fn from_http(answer: http::Response<Bytes>) -> Result<HttpResponse, ConnectorError> {
    if answer.extensions().get::<ConnectionReset>().is_some() {
        return Err(ConnectorError::io("connection reset".into()));
    }
    let status = answer.status().as_u16().try_into().unwrap();
    let (parts, body) = answer.into_parts();
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    for (name, value) in &parts.headers {
        response.headers_mut().append(name.as_str().to_owned(), value.to_str().unwrap().to_owned());
    }
    Ok(response)
}

/// Puts bytes under a key if it is absent; the error is S3's code.
pub(crate) async fn put_absent(client: &Client, key: &str, bytes: &[u8]) -> Result<(), String> {
    let put = client.put_object().bucket(BUCKET).key(key).if_none_match("*");
    put.body(ByteStream::from(bytes.to_vec())).send().await.map(drop).map_err(code)
}

/// Puts bytes under a key.
pub(crate) async fn put(client: &Client, key: &str, bytes: &[u8]) -> Result<String, String> {
    let put = client.put_object().bucket(BUCKET).key(key);
    let output = put.body(ByteStream::from(bytes.to_vec())).send().await.map_err(code)?;
    Ok(output.version_id().unwrap_or("null").to_owned())
}

/// The bytes under a key; the error is S3's code.
pub(crate) async fn get(client: &Client, key: &str) -> Result<Vec<u8>, String> {
    let output = client.get_object().bucket(BUCKET).key(key).send().await.map_err(code)?;
    Ok(output.body.collect().await.unwrap().to_vec())
}

/// S3's code of a service error, or the status of one without, or the class of another error.
pub(crate) fn code<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> String {
    match &error {
        SdkError::ServiceError(service) => match service.err().code() {
            Some(code) => code.to_owned(),
            None => service.raw().status().as_u16().to_string(),
        },
        SdkError::DispatchFailure(_) => "dispatch failure".to_owned(),
        _ => "other failure".to_owned(),
    }
}
