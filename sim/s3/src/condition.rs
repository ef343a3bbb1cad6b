//! Conditions on the entity tag, as S3 decides them: on the current version only.
//!
//! A delete marker is no current object, so it re-opens its key for `If-None-Match: *`. That is
//! what AWS and MinIO do, and why a log's bucket needs delete rights kept away from writers.

use s3s::dto::ETagCondition;
use s3s::{S3Error, S3Result, s3_error};

use crate::history::Condition;
use crate::state::Bucket;

/// The condition of a write, if it is one that S3 knows.
pub(crate) fn of_write(
    if_none_match: Option<&ETagCondition>,
    if_match: Option<&ETagCondition>,
) -> S3Result<Option<Condition>> {
    match (if_none_match, if_match) {
        (None, None) => Ok(None),
        (Some(ETagCondition::Any), None) => Ok(Some(Condition::Absent)),
        (None, Some(ETagCondition::ETag(etag))) => {
            Ok(Some(Condition::Matches(etag.value().to_owned())))
        }
        _ => Err(unsupported()),
    }
}

/// What a store says of a condition that it does not know.
pub(crate) fn unsupported() -> S3Error {
    s3_error!(NotImplemented, "A header you provided implies functionality that is not implemented")
}

/// Whether the condition holds for a key now.
pub(crate) fn check(bucket: &Bucket, key: &str, condition: Option<&Condition>) -> S3Result<()> {
    match (condition, bucket.current(key)) {
        (None, _) | (Some(Condition::Absent), None) => Ok(()),
        (Some(Condition::Absent), Some(_)) => Err(failed("If-None-Match")),
        (Some(Condition::Matches(_)), None) => Err(crate::state::missing(key, None)),
        (Some(Condition::Matches(etag)), Some((_, object))) if *etag == object.etag => Ok(()),
        (Some(Condition::Matches(_)), Some(_)) => Err(failed("If-Match")),
    }
}

/// Whether a read's conditions hold for the entity tag found.
pub(crate) fn check_read(
    etag: &str,
    if_none_match: Option<&ETagCondition>,
    if_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let same = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => wanted.value() == etag,
    };
    if if_match.is_some_and(|condition| !same(condition)) {
        return Err(failed("If-Match"));
    }
    if if_none_match.is_some_and(same) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

fn failed(header: &str) -> S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold: {header}"
    )
}
