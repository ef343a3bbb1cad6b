//! What the API server does wrong at the moment, and how it words it.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use madsim::rand::{Rng, thread_rng};
use rynxs_apiserver::Fault;
use rynxs_operator::ports::Body;
use serde_json::json;

use super::adjust;
use crate::fault;
use crate::scenario::ApiFault;

/// Faults that are on, each with how many of 1,000 requests meet it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiFaults(Vec<(ApiFault, u32)>);

/// What becomes of one request.
pub(crate) enum Verdict {
    /// Nothing unusual.
    Proceed,
    /// This answer in place of doing it.
    Instead(Response<Body>),
    /// It is done, and this answer is given.
    AfterAll(Response<Body>),
}

/// The name of the fault that met a request, and what becomes of the request.
pub(crate) type Met = (Option<&'static str>, Verdict);

impl ApiFaults {
    /// Begins or ends a fault.
    pub(crate) fn set(&mut self, fault: ApiFault, per_mille: u32, on: bool) {
        match self.0.iter_mut().find(|(known, _)| *known == fault) {
            Some((_, rate)) => adjust(rate, per_mille, on),
            None => self.0.push((fault, per_mille)),
        }
    }

    /// Draws what becomes of a request.
    pub(crate) fn verdict(&self, request: &Request<Bytes>) -> Met {
        for (fault, per_mille) in &self.0 {
            if *per_mille == 0
                || !concerns(*fault, request)
                || thread_rng().gen_range(0..1_000) >= *per_mille
            {
                continue;
            }
            let answer = |fault: Fault| fault.answer().map(full);
            let verdict = match fault {
                ApiFault::TooManyRequests => {
                    let retry_after_s = thread_rng().gen_range(1..4);
                    Verdict::Instead(answer(Fault::TooManyRequests { retry_after_s }))
                }
                ApiFault::FailsBefore => Verdict::Instead(answer(Fault::StoreFailed)),
                ApiFault::FailsAfter => Verdict::AfterAll(answer(Fault::StoreFailed)),
                ApiFault::Unavailable => Verdict::Instead(answer(Fault::Unavailable)),
                ApiFault::TimesOutAfter => Verdict::AfterAll(answer(Fault::TimedOut)),
                ApiFault::DeniesWrites => Verdict::Instead(status(
                    StatusCode::FORBIDDEN,
                    "Forbidden",
                    "exceeded quota: agents, requested: count=1, used: count=9, limited: count=9",
                )),
                ApiFault::LeaseConflicts => Verdict::Instead(status(
                    StatusCode::CONFLICT,
                    "Conflict",
                    "Operation cannot be fulfilled on leases.coordination.k8s.io \
                     \"rynxs-leader\": the object has been modified; please apply your changes to \
                     the latest version and try again",
                )),
            };
            return (Some(fault::of_api(*fault)), verdict);
        }
        (None, Verdict::Proceed)
    }
}

/// Whether a fault can meet a request: some are about writes only.
fn concerns(fault: ApiFault, request: &Request<Bytes>) -> bool {
    let writes = *request.method() != Method::GET;
    let lease = request.uri().path().contains("/leases");
    match fault {
        ApiFault::TooManyRequests | ApiFault::FailsBefore | ApiFault::Unavailable => true,
        ApiFault::FailsAfter | ApiFault::TimesOutAfter => writes,
        ApiFault::DeniesWrites => writes && !lease,
        ApiFault::LeaseConflicts => writes && lease,
    }
}

/// A model's body as the port has it.
pub(crate) fn full(body: rynxs_apiserver::Body) -> Body {
    use futures::StreamExt;
    match body {
        rynxs_apiserver::Body::Full(bytes) => Body::Full(bytes),
        rynxs_apiserver::Body::Watch(events) => Body::Stream(events.map(Ok).boxed()),
    }
}

fn status(code: StatusCode, reason: &str, message: &str) -> Response<Body> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    let mut response = Response::new(Body::Full(Bytes::from(body.to_string())));
    *response.status_mut() = code;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
