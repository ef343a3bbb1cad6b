//! What an answer of an object store proves.
//!
//! The one rule: whatever leaves open whether the bytes are, or will be, stored is `Unknown`. The
//! append protocol settles unknowns by sending the same bytes again; a wrong `Refused` would make
//! it forget an append that landed. So `Refused` is said only of answers by which the store itself
//! declines, which are listed, and everything that nobody expects is unknown too: who knows what
//! stood between us and the store, and on which side of it the request was when it answered.
//!
//! Codes: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;

use super::super::{Fault, FaultCause};
use crate::ports::NetError;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Put,
    Get,
    List,
}

/// Where the store is, in words.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) bucket: String,
    pub(super) region: String,
    pub(super) endpoint: Option<String>,
}

impl Place {
    pub(super) fn name(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or("AWS")
    }
}

/// What an error proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// 412: the key holds something.
    Exists,
    /// 404 `NoSuchKey`: the key held nothing.
    Missing,
    /// 416 `InvalidRange`: the key holds something that has not the bytes asked for.
    OutOfRange,
    /// Nothing is proven.
    Unknown(Fault),
    /// The store declined: this attempt changed nothing.
    Refused(Fault),
    /// Nothing left this machine.
    NotSent(String),
}

/// Classifies an error of the client.
pub(super) fn error<E: ProvideErrorMetadata>(
    error: &SdkError<E, HttpResponse>,
    verb: Verb,
    place: &Place,
    key: &str,
) -> Class {
    match error {
        SdkError::ConstructionFailure(failure) => {
            Class::NotSent(format!("the request could not be built: {failure:?}"))
        }
        SdkError::DispatchFailure(failure) => connection(failure.as_connector_error()),
        SdkError::TimeoutError(_) => {
            Class::Unknown(Fault::new(FaultCause::Timeout, "no answer in time"))
        }
        SdkError::ResponseError(failure) => {
            let region = failure.raw().headers().get("x-amz-bucket-region");
            let answer = Answer { status: failure.raw().status().as_u16(), region, ..Answer::NONE };
            answer.classify(verb, place, key)
        }
        SdkError::ServiceError(failure) => Answer {
            status: failure.raw().status().as_u16(),
            code: failure.err().code().unwrap_or_default(),
            message: failure.err().message().unwrap_or_default(),
            region: failure.raw().headers().get("x-amz-bucket-region"),
        }
        .classify(verb, place, key),
        // The enum is open; a class of error that is not known proves nothing.
        _ => Class::Unknown(Fault::new(FaultCause::Connection, "an error of an unknown class")),
    }
}

fn connection(error: Option<&ConnectorError>) -> Class {
    let source = error.and_then(|error| std::error::Error::source(error));
    match source.and_then(|source| source.downcast_ref::<NetError>()) {
        Some(NetError::NotSent(why)) => Class::NotSent(why.clone()),
        Some(NetError::Unknown(why)) => {
            Class::Unknown(Fault::new(FaultCause::Connection, why.clone()))
        }
        None => Class::Unknown(Fault::new(FaultCause::Connection, "the connection failed")),
    }
}

/// Codes by which a store says, for good, that it will not do what was asked; that access is
/// denied, a bucket is missing or a verb is not implemented is told by its status.
const DECLINING: [&str; 24] = [
    "AuthorizationHeaderMalformed",
    "BadRequest",
    "EntityTooLarge",
    "IllegalLocationConstraintException",
    "InvalidArgument",
    "InvalidBucketName",
    "InvalidDigest",
    "InvalidEncryptionAlgorithmError",
    "InvalidObjectName",
    "InvalidRequest",
    "InvalidStorageClass",
    "InvalidToken",
    "InvalidURI",
    "KeyTooLongError",
    "MalformedXML",
    "MetadataTooLarge",
    "MethodNotAllowed",
    "MissingContentLength",
    "MissingSecurityHeader",
    "NoSuchKey",
    "NotImplemented",
    "PermanentRedirect",
    "TemporaryRedirect",
    "XMinioInvalidObjectName",
];

/// An answer that is not a success.
#[derive(Clone, Copy, Debug)]
struct Answer<'a> {
    status: u16,
    code: &'a str,
    message: &'a str,
    /// `x-amz-bucket-region`, where the bucket really is.
    region: Option<&'a str>,
}

impl Answer<'_> {
    const NONE: Answer<'static> = Answer { status: 0, code: "", message: "", region: None };

    fn classify(&self, verb: Verb, place: &Place, key: &str) -> Class {
        let unknown = |cause| Class::Unknown(Fault::new(cause, self.words(verb, place, key)));
        let refused = |cause| Class::Refused(Fault::new(cause, self.words(verb, place, key)));
        match (self.status, self.code) {
            // Codes that say "not now", whatever status they come with.
            (_, "RequestTimeout") => unknown(FaultCause::Timeout),
            (400 | 403, "ExpiredToken" | "TokenRefreshRequired") => {
                unknown(FaultCause::AccessDenied)
            }
            (_, "SlowDown" | "Throttling" | "RequestLimitExceeded") => {
                unknown(FaultCause::Throttled)
            }
            // The bytes were damaged on the way; the same bytes may arrive whole.
            (
                400,
                "BadDigest"
                | "IncompleteBody"
                | "XAmzContentSHA256Mismatch"
                | "XAmzContentChecksumMismatch",
            ) => unknown(FaultCause::Connection),
            (412, _) => Class::Exists,
            (404, "NoSuchBucket") => refused(FaultCause::NoSuchBucket),
            (404, "NoSuchKey") if verb != Verb::List => Class::Missing,
            (416, "InvalidRange") => Class::OutOfRange,
            (408, _) => unknown(FaultCause::Timeout),
            (409, _) => unknown(FaultCause::Conflict),
            (429, _) => unknown(FaultCause::Throttled),
            (401 | 403, _) => refused(FaultCause::AccessDenied),
            (501, _) => refused(FaultCause::Rejected),
            (500..=599, _) => unknown(FaultCause::ServerError),
            (300..=499, code) if DECLINING.contains(&code) => refused(FaultCause::Rejected),
            _ => unknown(FaultCause::Connection),
        }
    }

    /// What was asked, what was answered, and what a person can do about it.
    fn words(&self, verb: Verb, place: &Place, key: &str) -> String {
        let verb_text = match verb {
            Verb::Put => "PUT",
            Verb::Get => "GET",
            Verb::List => "LIST",
        };
        let mut words = format!(
            "{verb_text} {} at {} (region {}): {}",
            place.name(key),
            place.endpoint(),
            place.region,
            self.status
        );
        for part in [self.code, self.message] {
            if !part.is_empty() {
                words.push(' ');
                words.push_str(part);
            }
        }
        if let Some(fix) = self.fix(verb, place) {
            words.push_str("; ");
            words.push_str(&fix);
        }
        words
    }

    fn fix(&self, verb: Verb, place: &Place) -> Option<String> {
        let bucket = &place.bucket;
        Some(match (self.status, self.code) {
            (_, "InvalidAccessKeyId") => {
                "no such access key at this endpoint: check logSink.s3.accessKeySecret and \
                 logSink.s3.endpoint"
                    .to_owned()
            }
            (_, "SignatureDoesNotMatch") => {
                "the secret key does not belong to the access key: check \
                 logSink.s3.accessKeySecret"
                    .to_owned()
            }
            (_, "RequestTimeTooSkewed") => {
                "this node's clock is wrong by more than 15 minutes: mend its time synchronisation"
                    .to_owned()
            }
            (_, "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken") => {
                "the session token is over or wrong: renew logSink.s3.accessKeySecret".to_owned()
            }
            (301 | 307 | 308, _)
            | (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "TemporaryRedirect") => {
                let region = self.region.unwrap_or("the bucket's region");
                format!("bucket {bucket} is elsewhere: set logSink.s3.region to {region}")
            }
            (404, "NoSuchBucket") => {
                format!("create bucket {bucket}, or correct logSink.s3.bucket or .endpoint")
            }
            (404, _) => "this endpoint does not answer like an object store: check \
                         logSink.s3.endpoint and .pathStyle"
                .to_owned(),
            (501, _) if verb == Verb::Put => {
                "this store cannot put conditionally (If-None-Match), so no log is safe on it: use \
                 another store"
                    .to_owned()
            }
            (401 | 403, _) => format!(
                "allow s3:PutObject and s3:GetObject on {bucket}/* and s3:ListBucket on {bucket} \
                 (without ListBucket a missing record looks like a forbidden one)"
            ),
            (400, "InvalidRequest" | "InvalidArgument") if verb == Verb::Put => {
                "if the store does not know checksums, set logSink.s3.checksum to off".to_owned()
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(status: u16, code: &str, verb: Verb) -> Class {
        let place = Place {
            bucket: "rynxs-events".to_owned(),
            region: "eu-west-1".to_owned(),
            endpoint: Some("http://minio:9000".to_owned()),
        };
        let answer = Answer { status, code, message: "words", region: Some("us-west-2") };
        answer.classify(verb, &place, "events/0000000007.json")
    }

    /// The class's letter and cause, to compare tables.
    fn short(class: &Class) -> (char, Option<FaultCause>) {
        match class {
            Class::Exists => ('E', None),
            Class::Missing => ('M', None),
            Class::NotSent(_) => ('N', None),
            Class::OutOfRange => ('O', None),
            Class::Unknown(fault) => ('U', Some(fault.cause)),
            Class::Refused(fault) => ('R', Some(fault.cause)),
        }
    }

    #[test]
    fn every_answer_to_a_put_proves_no_more_than_it_can() {
        use FaultCause as C;
        for (status, code, wanted) in [
            (412, "PreconditionFailed", ('E', None)),
            (409, "ConditionalRequestConflict", ('U', Some(C::Conflict))),
            (409, "OperationAborted", ('U', Some(C::Conflict))),
            (429, "TooManyRequests", ('U', Some(C::Throttled))),
            (503, "SlowDown", ('U', Some(C::Throttled))),
            (503, "ServiceUnavailable", ('U', Some(C::ServerError))),
            (500, "InternalError", ('U', Some(C::ServerError))),
            (502, "", ('U', Some(C::ServerError))),
            (504, "", ('U', Some(C::ServerError))),
            (400, "RequestTimeout", ('U', Some(C::Timeout))),
            (408, "", ('U', Some(C::Timeout))),
            (400, "ExpiredToken", ('U', Some(C::AccessDenied))),
            (400, "BadDigest", ('U', Some(C::Connection))),
            (400, "XAmzContentChecksumMismatch", ('U', Some(C::Connection))),
            (200, "", ('U', Some(C::Connection))),
            (403, "AccessDenied", ('R', Some(C::AccessDenied))),
            (403, "SignatureDoesNotMatch", ('R', Some(C::AccessDenied))),
            (401, "", ('R', Some(C::AccessDenied))),
            (404, "NoSuchBucket", ('R', Some(C::NoSuchBucket))),
            (404, "", ('U', Some(C::Connection))),
            (400, "", ('U', Some(C::Connection))),
            (400, "SomethingNew", ('U', Some(C::Connection))),
            (302, "", ('U', Some(C::Connection))),
            (407, "", ('U', Some(C::Connection))),
            (413, "", ('U', Some(C::Connection))),
            (421, "", ('U', Some(C::Connection))),
            (499, "", ('U', Some(C::Connection))),
            (501, "NotImplemented", ('R', Some(C::Rejected))),
            (400, "InvalidRequest", ('R', Some(C::Rejected))),
            (301, "PermanentRedirect", ('R', Some(C::Rejected))),
            (405, "MethodNotAllowed", ('R', Some(C::Rejected))),
        ] {
            assert_eq!(short(&class(status, code, Verb::Put)), wanted, "{status} {code}");
        }
    }

    #[test]
    fn missing_record_and_missing_bucket_are_not_mixed_up() {
        assert_eq!(class(404, "NoSuchKey", Verb::Get), Class::Missing);
        let refused = ('R', Some(FaultCause::NoSuchBucket));
        assert_eq!(short(&class(404, "NoSuchBucket", Verb::Get)), refused);
        // A proxy's 404 is no word about a record.
        let unknown = ('U', Some(FaultCause::Connection));
        assert_eq!(short(&class(404, "", Verb::Get)), unknown);
        let refused = ('R', Some(FaultCause::Rejected));
        assert_eq!(short(&class(404, "NoSuchKey", Verb::List)), refused);
    }

    #[test]
    fn only_the_code_says_that_an_object_is_there_but_shorter() {
        assert_eq!(class(416, "InvalidRange", Verb::Get), Class::OutOfRange);
        let unknown = ('U', Some(FaultCause::Connection));
        assert_eq!(short(&class(416, "", Verb::Get)), unknown);
        let denied = ('R', Some(FaultCause::AccessDenied));
        assert_eq!(short(&class(403, "InvalidRange", Verb::Get)), denied);
    }

    #[test]
    fn refusals_name_the_place_and_the_fix() {
        let words = |status, code| match class(status, code, Verb::Put) {
            Class::Refused(fault) => fault.message,
            other => panic!("{other:?}"),
        };
        let denied = words(403, "AccessDenied");
        for part in [
            "PUT s3://rynxs-events/events/0000000007.json",
            "http://minio:9000",
            "eu-west-1",
            "403 AccessDenied words",
            "s3:PutObject",
        ] {
            assert!(denied.contains(part), "{part} in {denied}");
        }
        assert!(words(301, "PermanentRedirect").contains("logSink.s3.region to us-west-2"));
        assert!(words(404, "NoSuchBucket").contains("create bucket rynxs-events"));
        assert!(words(501, "NotImplemented").contains("If-None-Match"));
        assert!(words(403, "SignatureDoesNotMatch").contains("accessKeySecret"));
        assert!(words(403, "RequestTimeTooSkewed").contains("clock"));
    }
}
