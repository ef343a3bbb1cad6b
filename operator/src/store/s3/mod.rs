//! A log in a bucket: one object per record, `{prefix}/{seq:010}.json`.
//!
//! Requests are built, signed and parsed by the shipped `aws-sdk-s3`; its ways out are the ports
//! (see `wire`) and everything in it that would act on its own (retries, identity cache, timeouts,
//! checksums beyond the one asked for) is off: sending a conditional PUT again is the append
//! protocol's business, because an answer may be lost after the object was stored.

mod classify;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, IdentityCache, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::future::{BoxFuture, Either, select};
use rynxs_core::config::{Checksum, S3Store};
use rynxs_core::ids::Seq;
use rynxs_core::record::{object_name, parse_object_name, sha256};

use self::classify::{Class, Place, Verb};
use super::{
    ExistsOutcome, Fault, FaultCause, GetOutcome, ListOutcome, Listed, LogStore, PutOutcome,
};
use crate::observe::{Observer, PutError, Signal};
use crate::ports::{Clock, Ports};

/// A log in a bucket.
pub struct S3LogStore {
    client: Client,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    place: Place,
    prefix: String,
    checksum: Checksum,
    request_timeout: Duration,
}

impl S3LogStore {
    /// A store with these settings; nothing is sent yet.
    #[must_use]
    pub fn new(
        ports: &Ports,
        settings: &S3Store,
        request_timeout: Duration,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let prefix = settings.prefix.trim_matches('/').to_owned();
        let place = Place {
            bucket: settings.bucket.clone(),
            region: settings.region.clone(),
            endpoint: settings.endpoint.clone(),
        };
        Self {
            client: Client::from_conf(config(ports, settings)),
            clock: ports.clock.clone(),
            observer,
            place,
            prefix,
            checksum: settings.checksum,
            request_timeout,
        }
    }

    fn key(&self, seq: Seq) -> String {
        format!("{}/{}", self.prefix, object_name(seq))
    }

    /// Runs one request for at most the request timeout, on the operator's own clock.
    async fn timed<T>(&self, request: impl Future<Output = T>) -> Result<T, Fault> {
        let deadline = self.clock.now() + self.request_timeout;
        let request = std::pin::pin!(request);
        // `select` polls its first argument first: an answer that is there wins over the timer.
        match select(request, self.clock.sleep_until(deadline)).await {
            Either::Left((answer, _)) => Ok(answer),
            Either::Right(((), _)) => Err(Fault::new(
                FaultCause::Timeout,
                format!("no answer within {:?}", self.request_timeout),
            )),
        }
    }

    async fn put_object(&self, seq: Seq, bytes: Bytes) -> PutOutcome {
        let key = self.key(seq);
        let checksum = match self.checksum {
            Checksum::Sha256 => Some(BASE64_STANDARD.encode(sha256(&bytes).0)),
            Checksum::Off => None,
        };
        let put = self
            .client
            .put_object()
            .bucket(&self.place.bucket)
            .key(&key)
            .if_none_match("*")
            .content_type("application/json")
            .set_checksum_sha256(checksum)
            .body(ByteStream::from(bytes));
        match self.timed(put.send()).await {
            Err(fault) => PutOutcome::Unknown(fault),
            Ok(Ok(output)) if output.e_tag().is_some() => PutOutcome::Committed,
            // Whatever answers 200 without an entity tag is no object store, or not this one.
            Ok(Ok(_)) => PutOutcome::Unknown(Fault::new(
                FaultCause::Connection,
                "200 without an ETag: the answer is not an object store's",
            )),
            Ok(Err(error)) => match classify::error(&error, Verb::Put, &self.place, &key) {
                Class::Exists => PutOutcome::AlreadyExists,
                Class::Unknown(fault) => PutOutcome::Unknown(fault),
                Class::Refused(fault) => PutOutcome::Refused(fault),
                Class::NotSent(why) => PutOutcome::NotSent(why),
                Class::Missing => PutOutcome::Refused(Fault::new(
                    FaultCause::Rejected,
                    format!("404 for a PUT of {}", self.place.name(&key)),
                )),
                Class::OutOfRange => PutOutcome::Unknown(unasked_range()),
            },
        }
    }

    async fn get_object(&self, seq: Seq) -> GetOutcome {
        let key = self.key(seq);
        let get = self.client.get_object().bucket(&self.place.bucket).key(&key);
        let read = async {
            match get.send().await {
                // The wire has collected the body, so nothing more is waited for here.
                Ok(output) => match output.body.collect().await {
                    Ok(body) => GetOutcome::Found(body.to_vec()),
                    Err(error) => {
                        GetOutcome::Unknown(Fault::new(FaultCause::Connection, error.to_string()))
                    }
                },
                Err(error) => match classify::error(&error, Verb::Get, &self.place, &key) {
                    Class::Missing => GetOutcome::Missing,
                    Class::Unknown(fault) => GetOutcome::Unknown(fault),
                    Class::Refused(fault) => GetOutcome::Refused(fault),
                    Class::NotSent(why) => GetOutcome::Unknown(not_sent(why)),
                    Class::Exists => GetOutcome::Unknown(unasked_condition()),
                    Class::OutOfRange => GetOutcome::Unknown(unasked_range()),
                },
            }
        };
        self.timed(read).await.unwrap_or_else(GetOutcome::Unknown)
    }

    /// A GET of one byte in place of HEAD: the answer to a HEAD has no body, so a missing bucket
    /// could not be told from a missing record, nor one refusal from another.
    async fn object_exists(&self, seq: Seq) -> ExistsOutcome {
        let key = self.key(seq);
        let get = self.client.get_object().bucket(&self.place.bucket).key(&key);
        match self.timed(get.range("bytes=0-0").send()).await {
            Err(fault) => ExistsOutcome::Unknown(fault),
            Ok(Ok(_)) => ExistsOutcome::Yes,
            Ok(Err(error)) => match classify::error(&error, Verb::Get, &self.place, &key) {
                Class::Missing => ExistsOutcome::No,
                // An object without bytes is there, whatever it is.
                Class::OutOfRange => ExistsOutcome::Yes,
                Class::Unknown(fault) => ExistsOutcome::Unknown(fault),
                Class::Refused(fault) => ExistsOutcome::Refused(fault),
                Class::NotSent(why) => ExistsOutcome::Unknown(not_sent(why)),
                Class::Exists => ExistsOutcome::Unknown(unasked_condition()),
            },
        }
    }

    async fn list_first_after(&self, seq: Option<Seq>) -> ListOutcome {
        let below = format!("{}/", self.prefix);
        // From the start means behind the bare prefix: consoles put an empty object of that name
        // into buckets to show a folder.
        let after = seq.map_or_else(|| below.clone(), |seq| self.key(seq));
        let list = self.client.list_objects_v2().bucket(&self.place.bucket).prefix(&below);
        match self.timed(list.start_after(&after).max_keys(1).send()).await {
            Err(fault) => ListOutcome::Unknown(fault),
            Ok(Ok(output)) => match output.contents().first() {
                None if output.is_truncated() == Some(true) => ListOutcome::Unknown(Fault::new(
                    FaultCause::Connection,
                    "a listing without keys that says there are more",
                )),
                None => ListOutcome::Next(None),
                Some(object) => {
                    let key = object.key().unwrap_or_default();
                    ListOutcome::Next(Some(self.listed(&below, key)))
                }
            },
            Ok(Err(error)) => match classify::error(&error, Verb::List, &self.place, &below) {
                Class::Unknown(fault) => ListOutcome::Unknown(fault),
                Class::Refused(fault) => ListOutcome::Refused(fault),
                Class::NotSent(why) => ListOutcome::Unknown(not_sent(why)),
                Class::OutOfRange => ListOutcome::Unknown(unasked_range()),
                Class::Exists | Class::Missing => ListOutcome::Refused(Fault::new(
                    FaultCause::Rejected,
                    format!("unexpected answer to a listing of {}", self.place.name(&below)),
                )),
            },
        }
    }

    fn listed(&self, below: &str, key: &str) -> Listed {
        match key.strip_prefix(below).and_then(parse_object_name) {
            Some(seq) => Listed::Record(seq),
            None => Listed::Foreign(key.to_owned()),
        }
    }

    fn tell(&self, outcome: &PutOutcome) {
        if let Some(error) = put_error(outcome) {
            self.observer.signal(Signal::PutError(error));
        }
    }
}

impl LogStore for S3LogStore {
    fn put(&self, seq: Seq, bytes: Bytes) -> BoxFuture<'_, PutOutcome> {
        Box::pin(async move {
            let outcome = self.put_object(seq, bytes).await;
            self.tell(&outcome);
            outcome
        })
    }

    fn get(&self, seq: Seq) -> BoxFuture<'_, GetOutcome> {
        Box::pin(self.get_object(seq))
    }

    fn exists(&self, seq: Seq) -> BoxFuture<'_, ExistsOutcome> {
        Box::pin(self.object_exists(seq))
    }

    fn first_key_after(&self, seq: Option<Seq>) -> BoxFuture<'_, ListOutcome> {
        Box::pin(self.list_first_after(seq))
    }

    fn describe(&self) -> String {
        self.place.name(&self.prefix)
    }
}

fn config(ports: &Ports, settings: &S3Store) -> aws_sdk_s3::Config {
    let clock = ports.clock.clone();
    let token = settings.session_token.as_ref().map(|token| token.reveal().to_owned());
    let credentials = Credentials::new(
        settings.access_key.reveal(),
        settings.secret_key.reveal(),
        token,
        None,
        "settings",
    );
    let mut builder = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(wire::Wire::new(ports.network.clone()))
        .sleep_impl(wire::ClockSleep(clock.clone()))
        .time_source(wire::ClockTime(clock))
        .invocation_id_generator(wire::EntropyIds(ports.entropy.clone()))
        .credentials_provider(credentials)
        .identity_cache(IdentityCache::no_cache())
        .region(Region::new(settings.region.clone()))
        .force_path_style(settings.path_style)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    builder.build()
}

fn not_sent(why: String) -> Fault {
    Fault::new(FaultCause::Connection, format!("not sent: {why}"))
}

fn unasked_condition() -> Fault {
    Fault::new(FaultCause::Connection, "412 although no condition was sent")
}

fn unasked_range() -> Fault {
    Fault::new(FaultCause::Connection, "416 although no range was asked for")
}

fn put_error(outcome: &PutOutcome) -> Option<PutError> {
    match outcome {
        PutOutcome::Committed => None,
        PutOutcome::AlreadyExists => Some(PutError::PreconditionFailed),
        PutOutcome::NotSent(_) => Some(PutError::Connection),
        PutOutcome::Unknown(fault) | PutOutcome::Refused(fault) => Some(match fault.cause {
            FaultCause::Conflict => PutError::Conflict,
            FaultCause::Throttled => PutError::Throttled,
            FaultCause::ServerError => PutError::ServerError,
            FaultCause::Timeout => PutError::Timeout,
            FaultCause::Connection => PutError::Connection,
            FaultCause::AccessDenied => PutError::AccessDenied,
            FaultCause::NoSuchBucket => PutError::NoSuchBucket,
            FaultCause::Rejected | FaultCause::Disk => PutError::Rejected,
        }),
    }
}
