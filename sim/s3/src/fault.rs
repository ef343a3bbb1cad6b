//! Faults, asked for once per request: what a network or a store in trouble does to it.

use std::fmt;

use futures::future::BoxFuture;

/// What is known of a request before anybody looked at its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestInfo {
    /// Position of the request in the order of arrival, from 0.
    pub number: u64,
    /// When it arrived, Unix milliseconds.
    pub at_ms: u64,
    /// HTTP method.
    pub method: http::Method,
    /// Bucket, empty for requests about the service.
    pub bucket: String,
    /// Key, empty for requests about a bucket.
    pub key: String,
    /// Raw query.
    pub query: String,
    /// Access key that the request claims, unverified.
    pub access_key: String,
    /// Whether the request carries a condition (`If-None-Match` or `If-Match`).
    pub conditional: bool,
    /// Length of the body, bytes.
    pub body_bytes: usize,
}

/// An error answer that the fault puts in place of the store's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Status, for example 503.
    pub status: u16,
    /// S3's code, for example `SlowDown`.
    pub code: String,
    /// `Retry-After`, seconds.
    pub retry_after_s: Option<u32>,
}

impl Refusal {
    /// A refusal without `Retry-After`.
    #[must_use]
    pub fn new(status: u16, code: &str) -> Self {
        Self { status, code: code.to_owned(), retry_after_s: None }
    }
}

/// How an answer gets lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nothing comes, ever: the future of the call never ends.
    Silence,
    /// The connection breaks: the answer carries [`ConnectionReset`](crate::ConnectionReset), and
    /// the host of the model turns it into an error.
    Reset,
}

/// What happens to one request.
pub enum Plan {
    /// Nothing unusual.
    Proceed,
    /// Answered before the store saw it.
    Refuse(Refusal),
    /// Lost before the store saw it.
    Lose(Lost),
    /// Done, and answered by something else.
    ApplyThenRefuse(Refusal),
    /// Done, and the answer lost.
    ApplyThenLose(Lost),
    /// Waits at the door until the future ends with the time that it is then, in milliseconds.
    ///
    /// A late apply needs a host that goes on polling the call after its caller has given up.
    Delay(BoxFuture<'static, u64>, Box<Plan>),
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proceed => f.write_str("Proceed"),
            Self::Refuse(refusal) => f.debug_tuple("Refuse").field(refusal).finish(),
            Self::Lose(lost) => f.debug_tuple("Lose").field(lost).finish(),
            Self::ApplyThenRefuse(refusal) => {
                f.debug_tuple("ApplyThenRefuse").field(refusal).finish()
            }
            Self::ApplyThenLose(lost) => f.debug_tuple("ApplyThenLose").field(lost).finish(),
            Self::Delay(_, then) => f.debug_tuple("Delay").field(then).finish(),
        }
    }
}

/// Consulted once per request, in order of arrival.
pub trait Faults: Send + Sync {
    /// What happens to this request.
    fn plan(&self, request: &RequestInfo) -> Plan;
}

/// A store without trouble.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn plan(&self, _: &RequestInfo) -> Plan {
        Plan::Proceed
    }
}
