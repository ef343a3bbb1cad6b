//! Refusals that come from around the API rather than from it, as a real server words them.
//!
//! For whoever puts a bad network or an overloaded server between a client and the model.

use http::Response;

use crate::server::Body;
use crate::status_error::{ApiError, bytes_response};

/// Why a request was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 429 of priority and fairness: not handled, ask again later.
    TooManyRequests {
        /// Seconds in the `Retry-After` header.
        retry_after_s: u32,
    },
    /// 500: the store failed; the request may have been applied.
    StoreFailed,
    /// 503: the server cannot be reached through its load balancer.
    Unavailable,
    /// 504: the deadline passed; the request may have been applied.
    TimedOut,
}

impl Fault {
    /// The answer.
    #[must_use]
    pub fn answer(self) -> Response<Body> {
        let error = match self {
            Self::TooManyRequests { retry_after_s } => {
                let text = "Too many requests, please try again later.\n";
                let mut response = bytes_response(429, bytes::Bytes::from_static(text.as_bytes()));
                let headers = response.headers_mut();
                headers.insert(http::header::RETRY_AFTER, retry_after_s.into());
                let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
                headers.insert(http::header::CONTENT_TYPE, plain);
                return response.map(Body::Full);
            }
            Self::StoreFailed => ApiError::new(500, "", "etcdserver: request timed out"),
            Self::Unavailable => ApiError::new(
                503,
                "ServiceUnavailable",
                "the server is currently unable to handle the request",
            ),
            Self::TimedOut => ApiError::new(
                504,
                "Timeout",
                "Timeout: request did not complete within requested timeout - context deadline \
                 exceeded",
            ),
        };
        error.to_response().map(Body::Full)
    }
}
