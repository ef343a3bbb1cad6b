//! Answers that are not the wished-for one, classified by what the caller must do.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use rynxs_core::crd::STALE_EPOCH;
use rynxs_core::error::ErrorKind;
use serde::Deserialize;

/// Longest part of a server's message that is kept, bytes.
const MESSAGE_LIMIT_BYTES: usize = 1024;

/// A request that did not get its answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{verb} {target}: {fault}")]
pub struct KubeError {
    /// Verb, as RBAC names it.
    pub verb: &'static str,
    /// Path and query of the request.
    pub target: String,
    /// What went wrong.
    pub fault: Fault,
}

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No byte left this machine.
    NotSent(String),
    /// No whole answer within the time limit; the request may have been applied.
    Timeout,
    /// The connection broke; the request may have been applied.
    Connection(String),
    /// The server answered with a `Status`.
    Refused(Refusal),
    /// The answer is larger than what this request allows.
    TooLarge {
        /// The limit, bytes.
        limit_bytes: usize,
    },
    /// The answer is not what the API promises.
    Undecodable(String),
}

/// A `Status` object with status code 400 or above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason; empty if the answer had none.
    pub reason: String,
    /// The server's words, shortened.
    pub message: String,
    /// After how long the server wants to see the request again.
    pub retry_after: Option<Duration>,
}

/// The parts of a `Status` that are read.
#[derive(Deserialize)]
struct StatusBody {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Option<StatusDetails>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusDetails {
    #[serde(default)]
    retry_after_seconds: u64,
}

impl Refusal {
    /// Reads an answer that is not a success. A body that is no `Status` (a proxy's page) is kept
    /// as the message.
    #[must_use]
    pub fn read(status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Self {
        let parsed = serde_json::from_slice::<StatusBody>(body).ok();
        let asked = headers
            .get(http::header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse::<u64>().ok());
        let (reason, message, detail) = match parsed {
            Some(body) => (
                body.reason,
                body.message,
                body.details.map(|details| details.retry_after_seconds).filter(|s| *s > 0),
            ),
            None => (String::new(), String::from_utf8_lossy(body).into_owned(), None),
        };
        Self {
            code: status.as_u16(),
            reason,
            message: shorten(&message),
            retry_after: asked.or(detail).map(Duration::from_secs),
        }
    }

    /// Whether an admission policy refused a stamp lower than the stored one.
    #[must_use]
    pub fn is_stale_stamp(&self) -> bool {
        matches!(self.code, 403 | 422) && self.message.contains("stale stamp")
    }

    /// Whether the CRD's rule refused a status' `controllerEpoch` below the stored one.
    #[must_use]
    pub fn is_stale_epoch(&self) -> bool {
        self.code == 422 && self.message.contains(STALE_EPOCH)
    }

    /// Whether any admission policy refused the request.
    #[must_use]
    pub fn is_policy(&self) -> bool {
        self.message.contains("ValidatingAdmissionPolicy")
    }
}

impl KubeError {
    /// What the caller must do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match &self.fault {
            Fault::NotSent(_) | Fault::Timeout | Fault::Connection(_) => ErrorKind::Retry,
            Fault::Undecodable(_) | Fault::TooLarge { .. } => ErrorKind::Invalid,
            Fault::Refused(refusal) => match refusal.code {
                404 | 409 | 410 => ErrorKind::Conflict,
                401 | 403 => ErrorKind::Config,
                408 | 429 | 500.. => ErrorKind::Retry,
                _ => ErrorKind::Invalid,
            },
        }
    }

    /// Whether the request may have been applied, or may yet be.
    ///
    /// A 5xx says nothing: the server may have failed after its write, a proxy may answer for a
    /// server that goes on. A broken or undecodable answer to a write is no refusal either.
    #[must_use]
    pub fn ambiguous(&self) -> bool {
        match &self.fault {
            Fault::NotSent(_) => false,
            Fault::Refused(refusal) => refusal.code >= 500 || refusal.code == 408,
            Fault::Timeout
            | Fault::Connection(_)
            | Fault::Undecodable(_)
            | Fault::TooLarge { .. } => true,
        }
    }

    /// The status code, 0 if there was no answer.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.refusal().map_or(0, |refusal| refusal.code)
    }

    /// The server's `Status`, if it answered.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.fault {
            Fault::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// After how long the server wants to see the request again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal().and_then(|refusal| refusal.retry_after)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Connection(why) => write!(f, "connection lost: {why}"),
            Self::Refused(refusal) => {
                write!(f, "{} {}: {}", refusal.code, refusal.reason, refusal.message)
            }
            Self::TooLarge { limit_bytes } => {
                write!(f, "the answer is larger than {limit_bytes} bytes")
            }
            Self::Undecodable(why) => write!(f, "the answer cannot be read: {why}"),
        }
    }
}

/// Cuts at a character's border, so that a message fits into an event of the log.
#[must_use]
pub(super) fn shorten(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_LIMIT_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, body: &str) -> KubeError {
        let status = StatusCode::from_u16(code).expect("a status code");
        let refusal =
            Refusal::read(status, &HeaderMap::new(), &Bytes::copy_from_slice(body.as_bytes()));
        KubeError { verb: "patch", target: "/x".to_owned(), fault: Fault::Refused(refusal) }
    }

    #[test]
    fn every_status_code_says_what_to_do_and_whether_it_may_have_been_applied() {
        let table = [
            (400, ErrorKind::Invalid, false),
            (401, ErrorKind::Config, false),
            (403, ErrorKind::Config, false),
            (404, ErrorKind::Conflict, false),
            (408, ErrorKind::Retry, true),
            (409, ErrorKind::Conflict, false),
            (410, ErrorKind::Conflict, false),
            (413, ErrorKind::Invalid, false),
            (415, ErrorKind::Invalid, false),
            (422, ErrorKind::Invalid, false),
            (429, ErrorKind::Retry, false),
            (500, ErrorKind::Retry, true),
            (502, ErrorKind::Retry, true),
            (503, ErrorKind::Retry, true),
            (504, ErrorKind::Retry, true),
        ];
        for (code, kind, ambiguous) in table {
            let error = refused(code, "{}");
            assert_eq!((error.kind(), error.ambiguous()), (kind, ambiguous), "{code}");
        }
    }

    #[test]
    fn silence_is_ambiguous_and_an_unsent_request_is_not() {
        let error = |fault| KubeError { verb: "patch", target: "/x".to_owned(), fault };
        assert!(error(Fault::Timeout).ambiguous());
        assert!(error(Fault::Connection("reset".to_owned())).ambiguous());
        assert!(error(Fault::Undecodable("eof".to_owned())).ambiguous());
        assert!(!error(Fault::NotSent("refused".to_owned())).ambiguous());
    }

    #[test]
    fn retry_after_is_read_from_the_header_first_and_then_from_the_details() {
        let body = r#"{"reason":"TooManyRequests","details":{"retryAfterSeconds":7}}"#;
        assert_eq!(refused(429, body).retry_after(), Some(Duration::from_secs(7)));
        let mut headers = HeaderMap::new();
        headers.insert(http::header::RETRY_AFTER, "2".parse().expect("a header value"));
        let refusal =
            Refusal::read(StatusCode::TOO_MANY_REQUESTS, &headers, &Bytes::from_static(b"{}"));
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_proxys_page_is_kept_as_the_message_and_cut_at_a_characters_border() {
        let page = "ä".repeat(2000);
        let error = refused(502, &page);
        let message = &error.refusal().expect("a refusal").message;
        assert_eq!(message.len(), MESSAGE_LIMIT_BYTES);
        assert!(message.chars().all(|c| c == 'ä'));
    }
}
