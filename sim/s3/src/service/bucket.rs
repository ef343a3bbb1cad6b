//! Buckets: creating, finding, versioning, policies.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use crate::access::Caller;
use crate::policy::{Kind, Policy};
use crate::state::{Bucket as StoredBucket, State, Versioning, timestamp};

pub(super) fn create(
    state: &mut State,
    request: S3Request<CreateBucketInput>,
) -> S3Result<CreateBucketOutput> {
    let caller = Caller::of(state, &request);
    let name = request.input.bucket.as_str();
    caller.authorize(state, "s3:CreateBucket", name, None)?;
    if state.buckets.contains_key(name) {
        return Err(s3_error!(
            BucketAlreadyOwnedByYou,
            "Your previous request to create the named bucket succeeded and you already own it."
        ));
    }
    let object_lock = request.input.object_lock_enabled_for_bucket.unwrap_or(false);
    let bucket = StoredBucket::new(caller.arrival.now_ms, false, object_lock);
    state.buckets.insert(name.to_owned(), bucket);
    Ok(CreateBucketOutput { location: Some(format!("/{name}")) })
}

pub(super) fn delete(
    state: &mut State,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<DeleteBucketOutput> {
    let caller = Caller::of(state, &request);
    let name = request.input.bucket.as_str();
    let bucket = state.bucket(name)?;
    caller.authorize(state, "s3:DeleteBucket", name, None)?;
    if !bucket.keys.is_empty() {
        return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
    }
    state.buckets.remove(name);
    Ok(DeleteBucketOutput {})
}

pub(super) fn head(
    state: &mut State,
    request: S3Request<HeadBucketInput>,
) -> S3Result<HeadBucketOutput> {
    let name = request.input.bucket.as_str();
    state.bucket(name)?;
    Caller::of(state, &request).authorize(state, "s3:ListBucket", name, None)?;
    let bucket_region = Some(state.options.region.clone());
    Ok(HeadBucketOutput { bucket_region, ..HeadBucketOutput::default() })
}

pub(super) fn location(
    state: &mut State,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<GetBucketLocationOutput> {
    let name = request.input.bucket.as_str();
    state.bucket(name)?;
    Caller::of(state, &request).authorize(state, "s3:GetBucketLocation", name, None)?;
    // The oldest region has no name here.
    let region = Some(state.options.region.clone()).filter(|region| region != "us-east-1");
    Ok(GetBucketLocationOutput { location_constraint: region.map(BucketLocationConstraint::from) })
}

pub(super) fn list(
    state: &mut State,
    request: S3Request<ListBucketsInput>,
) -> S3Result<ListBucketsOutput> {
    let caller = Caller::of(state, &request);
    caller.authorize(state, "s3:ListAllMyBuckets", "*", None)?;
    let buckets = state.buckets.iter().map(|(name, bucket)| Bucket {
        bucket_region: None,
        creation_date: Some(timestamp(bucket.created_ms)),
        name: Some(name.clone()),
    });
    Ok(ListBucketsOutput { buckets: Some(buckets.collect()), ..ListBucketsOutput::default() })
}

pub(super) fn put_versioning(
    state: &mut State,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<PutBucketVersioningOutput> {
    let caller = Caller::of(state, &request);
    let name = request.input.bucket.as_str();
    state.bucket(name)?;
    caller.authorize(state, "s3:PutBucketVersioning", name, None)?;
    let bucket = state.bucket_mut(name)?;
    let status = request.input.versioning_configuration.status;
    bucket.versioning = match status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) if bucket.lock.is_some() => {
            return Err(s3_error!(
                InvalidBucketState,
                "An Object Lock configuration is present on this bucket, so the versioning state \
                 cannot be changed."
            ));
        }
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        _ => return Err(s3_error!(MalformedXML, "Status must be Enabled or Suspended")),
    };
    Ok(PutBucketVersioningOutput {})
}

pub(super) fn get_versioning(
    state: &mut State,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<GetBucketVersioningOutput> {
    let name = request.input.bucket.as_str();
    let bucket = state.bucket(name)?;
    Caller::of(state, &request).authorize(state, "s3:GetBucketVersioning", name, None)?;
    let status = match bucket.versioning {
        Versioning::Never => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    let status = status.map(BucketVersioningStatus::from_static);
    Ok(GetBucketVersioningOutput { status, ..GetBucketVersioningOutput::default() })
}

pub(super) fn put_policy(
    state: &mut State,
    request: S3Request<PutBucketPolicyInput>,
) -> S3Result<PutBucketPolicyOutput> {
    let caller = Caller::of(state, &request);
    let name = request.input.bucket.as_str();
    state.bucket(name)?;
    caller.authorize(state, "s3:PutBucketPolicy", name, None)?;
    let policy = Policy::parse(&request.input.policy, Kind::Bucket, state.options.dialect)?;
    state.bucket_mut(name)?.policy = Some(policy);
    Ok(PutBucketPolicyOutput {})
}

pub(super) fn get_policy(
    state: &mut State,
    request: S3Request<GetBucketPolicyInput>,
) -> S3Result<GetBucketPolicyOutput> {
    let name = request.input.bucket.as_str();
    let bucket = state.bucket(name)?;
    Caller::of(state, &request).authorize(state, "s3:GetBucketPolicy", name, None)?;
    match &bucket.policy {
        Some(policy) => Ok(GetBucketPolicyOutput { policy: Some(policy.text.clone()) }),
        None => Err(s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist")),
    }
}

pub(super) fn delete_policy(
    state: &mut State,
    request: S3Request<DeleteBucketPolicyInput>,
) -> S3Result<DeleteBucketPolicyOutput> {
    let caller = Caller::of(state, &request);
    let name = request.input.bucket.as_str();
    state.bucket(name)?;
    caller.authorize(state, "s3:DeleteBucketPolicy", name, None)?;
    state.bucket_mut(name)?.policy = None;
    Ok(DeleteBucketPolicyOutput {})
}
