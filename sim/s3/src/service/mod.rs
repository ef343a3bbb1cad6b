//! The operations, one file per kind; each is decided and applied under one lock.

mod bucket;
mod delete;
mod get;
mod list;
mod protect;
mod put;

use std::sync::{Arc, Mutex};

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use crate::state::State;

/// The store behind the protocol.
pub(crate) struct Service {
    pub(crate) state: Arc<Mutex<State>>,
}

/// Writes one method per operation: the trait wants them in one block, the files want them apart.
macro_rules! operations {
    ($($name:ident => $handler:path, $input:ty, $output:ty;)*) => {
        #[async_trait::async_trait]
        impl S3 for Service {
            async fn put_object(
                &self,
                request: S3Request<PutObjectInput>,
            ) -> S3Result<S3Response<PutObjectOutput>> {
                put::put_object(&self.state, request).await
            }

            async fn get_object(
                &self,
                request: S3Request<GetObjectInput>,
            ) -> S3Result<S3Response<GetObjectOutput>> {
                get::get_object(&mut crate::access::lock(&self.state), request)
            }

            async fn head_object(
                &self,
                request: S3Request<HeadObjectInput>,
            ) -> S3Result<S3Response<HeadObjectOutput>> {
                get::head_object(&mut crate::access::lock(&self.state), request)
            }

            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                let output = $handler(&mut crate::access::lock(&self.state), request)?;
                Ok(S3Response::new(output))
            })*
        }
    };
}

operations! {
    create_bucket => bucket::create, CreateBucketInput, CreateBucketOutput;
    delete_bucket => bucket::delete, DeleteBucketInput, DeleteBucketOutput;
    delete_bucket_policy => bucket::delete_policy,
        DeleteBucketPolicyInput,
        DeleteBucketPolicyOutput;
    delete_object => delete::delete_object, DeleteObjectInput, DeleteObjectOutput;
    delete_objects => delete::delete_objects, DeleteObjectsInput, DeleteObjectsOutput;
    get_bucket_location => bucket::location, GetBucketLocationInput, GetBucketLocationOutput;
    get_bucket_policy => bucket::get_policy, GetBucketPolicyInput, GetBucketPolicyOutput;
    get_bucket_versioning => bucket::get_versioning,
        GetBucketVersioningInput,
        GetBucketVersioningOutput;
    get_object_legal_hold => protect::get_legal_hold,
        GetObjectLegalHoldInput,
        GetObjectLegalHoldOutput;
    get_object_lock_configuration => protect::get_configuration,
        GetObjectLockConfigurationInput,
        GetObjectLockConfigurationOutput;
    get_object_retention => protect::get_retention,
        GetObjectRetentionInput,
        GetObjectRetentionOutput;
    head_bucket => bucket::head, HeadBucketInput, HeadBucketOutput;
    list_buckets => bucket::list, ListBucketsInput, ListBucketsOutput;
    list_object_versions => list::versions, ListObjectVersionsInput, ListObjectVersionsOutput;
    list_objects => list::objects, ListObjectsInput, ListObjectsOutput;
    list_objects_v2 => list::objects_v2, ListObjectsV2Input, ListObjectsV2Output;
    put_bucket_policy => bucket::put_policy, PutBucketPolicyInput, PutBucketPolicyOutput;
    put_bucket_versioning => bucket::put_versioning,
        PutBucketVersioningInput,
        PutBucketVersioningOutput;
    put_object_legal_hold => protect::put_legal_hold,
        PutObjectLegalHoldInput,
        PutObjectLegalHoldOutput;
    put_object_lock_configuration => protect::put_configuration,
        PutObjectLockConfigurationInput,
        PutObjectLockConfigurationOutput;
    put_object_retention => protect::put_retention,
        PutObjectRetentionInput,
        PutObjectRetentionOutput;
}
