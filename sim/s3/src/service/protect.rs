//! Object lock: the bucket's rule, a version's retention and legal hold.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use crate::access::Caller;
use crate::lock::{self, LockRule, Retention};
use crate::state::{Object, State, Versioning};

pub(super) fn put_configuration(
    state: &mut State,
    request: S3Request<PutObjectLockConfigurationInput>,
) -> S3Result<PutObjectLockConfigurationOutput> {
    let caller = Caller::of(state, &request);
    let name = request.input.bucket.as_str();
    state.bucket(name)?;
    caller.authorize(state, "s3:PutBucketObjectLockConfiguration", name, None)?;
    let rule = LockRule::parse(request.input.object_lock_configuration.as_ref())?;
    let bucket = state.bucket_mut(name)?;
    if bucket.versioning != Versioning::Enabled {
        return Err(s3_error!(
            InvalidBucketState,
            "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
        ));
    }
    bucket.lock = Some(rule);
    Ok(PutObjectLockConfigurationOutput::default())
}

pub(super) fn get_configuration(
    state: &mut State,
    request: S3Request<GetObjectLockConfigurationInput>,
) -> S3Result<GetObjectLockConfigurationOutput> {
    let name = request.input.bucket.as_str();
    let bucket = state.bucket(name)?;
    let caller = Caller::of(state, &request);
    caller.authorize(state, "s3:GetBucketObjectLockConfiguration", name, None)?;
    match &bucket.lock {
        Some(rule) => {
            Ok(GetObjectLockConfigurationOutput { object_lock_configuration: Some(rule.to_dto()) })
        }
        None => Err(s3_error!(
            ObjectLockConfigurationNotFoundError,
            "Object Lock configuration does not exist for this bucket"
        )),
    }
}

pub(super) fn put_retention(
    state: &mut State,
    request: S3Request<PutObjectRetentionInput>,
) -> S3Result<PutObjectRetentionOutput> {
    let caller = Caller::of(state, &request);
    let input = &request.input;
    let (bucket, key) = (input.bucket.as_str(), input.key.as_str());
    state.bucket(bucket)?;
    caller.authorize(state, "s3:PutObjectRetention", bucket, Some(key))?;
    let wanted = input.retention.as_ref().map(Retention::parse).transpose()?.flatten();
    let bypass = input.bypass_governance_retention.unwrap_or(false)
        && caller.may(state, "s3:BypassGovernanceRetention", bucket, Some(key));
    let object = locked_object(state, bucket, key, input.version_id.as_deref())?;
    lock::may_retain(object, wanted.as_ref(), caller.arrival.now_ms, bypass)?;
    object.retention = wanted;
    Ok(PutObjectRetentionOutput::default())
}

pub(super) fn get_retention(
    state: &mut State,
    request: S3Request<GetObjectRetentionInput>,
) -> S3Result<GetObjectRetentionOutput> {
    let caller = Caller::of(state, &request);
    let input = &request.input;
    let (bucket, key) = (input.bucket.as_str(), input.key.as_str());
    state.bucket(bucket)?;
    caller.authorize(state, "s3:GetObjectRetention", bucket, Some(key))?;
    let object = locked_object(state, bucket, key, input.version_id.as_deref())?;
    match &object.retention {
        Some(retention) => Ok(GetObjectRetentionOutput { retention: Some(retention.to_dto()) }),
        None => Err(no_configuration()),
    }
}

pub(super) fn put_legal_hold(
    state: &mut State,
    request: S3Request<PutObjectLegalHoldInput>,
) -> S3Result<PutObjectLegalHoldOutput> {
    let caller = Caller::of(state, &request);
    let input = &request.input;
    let (bucket, key) = (input.bucket.as_str(), input.key.as_str());
    state.bucket(bucket)?;
    caller.authorize(state, "s3:PutObjectLegalHold", bucket, Some(key))?;
    let status = input.legal_hold.as_ref().and_then(|hold| hold.status.as_ref());
    let held = match status.map(ObjectLockLegalHoldStatus::as_str) {
        Some(ObjectLockLegalHoldStatus::ON) => true,
        Some(ObjectLockLegalHoldStatus::OFF) => false,
        _ => return Err(s3_error!(MalformedXML, "Status must be ON or OFF")),
    };
    locked_object(state, bucket, key, input.version_id.as_deref())?.legal_hold = held;
    Ok(PutObjectLegalHoldOutput::default())
}

pub(super) fn get_legal_hold(
    state: &mut State,
    request: S3Request<GetObjectLegalHoldInput>,
) -> S3Result<GetObjectLegalHoldOutput> {
    let caller = Caller::of(state, &request);
    let input = &request.input;
    let (bucket, key) = (input.bucket.as_str(), input.key.as_str());
    state.bucket(bucket)?;
    caller.authorize(state, "s3:GetObjectLegalHold", bucket, Some(key))?;
    let object = locked_object(state, bucket, key, input.version_id.as_deref())?;
    let status = if object.legal_hold {
        ObjectLockLegalHoldStatus::ON
    } else {
        ObjectLockLegalHoldStatus::OFF
    };
    let status = Some(ObjectLockLegalHoldStatus::from_static(status));
    Ok(GetObjectLegalHoldOutput { legal_hold: Some(ObjectLockLegalHold { status }) })
}

/// A version that is an object, in a bucket with object lock.
fn locked_object<'s>(
    state: &'s mut State,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> S3Result<&'s mut Object> {
    let bucket = state.bucket_mut(bucket)?;
    if bucket.lock.is_none() {
        return Err(s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration"));
    }
    let found = bucket.version_mut(key, version)?;
    found.object.as_mut().ok_or_else(|| s3_error!(MethodNotAllowed))
}

fn no_configuration() -> s3s::S3Error {
    s3_error!(
        NoSuchObjectLockConfiguration,
        "The specified object does not have a ObjectLock configuration"
    )
}
