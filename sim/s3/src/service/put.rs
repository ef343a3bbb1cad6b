//! PUT of an object: the one write that a log makes.
//!
//! Owns the store's half of I2: the condition is decided and the version added under one lock, so
//! of any number of put-if-absents on one key exactly one wins.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use s3s::dto::{PutObjectInput, PutObjectOutput, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use sha2::{Digest, Sha256};

use crate::access::{Caller, lock};
use crate::checksum::{self, Checksums, hex};
use crate::condition;
use crate::history::{Condition, Outcome, Write, WriteAttempt};
use crate::lock::{Mode, Retention};
use crate::options::ConditionalPuts;
use crate::state::{NULL_VERSION, Object, State, Version, Versioning};

/// S3's limit for one PUT is 5 GiB; the model's is what a test may hold in memory.
const MAX_BYTES: usize = 64 * 1024 * 1024;

pub(super) async fn put_object(
    state: &Mutex<State>,
    mut request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let bytes = read(request.input.body.take()).await?;
    let trailers = request.trailing_headers.as_ref().and_then(|trailers| trailers.take());
    let (caller, condition, personality) = {
        let state = lock(state);
        let caller = Caller::of(&state, &request).with("s3:objectcreationoperation", Some("true"));
        let input = &request.input;
        let (bucket, key) = (input.bucket.as_str(), input.key.as_str());
        state.bucket(bucket)?;
        caller.authorize(&state, "s3:PutObject", bucket, Some(key))?;
        let personality = state.options.conditional_puts;
        let condition = condition::of_write(input.if_none_match.as_ref(), input.if_match.as_ref())?;
        match personality {
            ConditionalPuts::Racy => {
                condition::check(state.bucket(bucket)?, key, condition.as_ref())?;
            }
            ConditionalPuts::Unsupported if condition.is_some() => {
                return Err(condition::unsupported());
            }
            ConditionalPuts::Atomic | ConditionalPuts::Ignored | ConditionalPuts::Unsupported => {}
        }
        (caller, condition, personality)
    };
    if personality == ConditionalPuts::Racy {
        LetOthersGoFirst::default().await;
    }
    let mut state = lock(state);
    if personality == ConditionalPuts::Atomic {
        let bucket = state.bucket(&request.input.bucket)?;
        condition::check(bucket, &request.input.key, condition.as_ref())?;
    }
    let object = object(&state, &request.input, trailers.as_ref(), bytes, &caller)?;
    Ok(S3Response::new(store(&mut state, request.input, object, condition, &caller)?))
}

async fn read(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(mut body) = body else { return Ok(Bytes::new()) };
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| match error.downcast::<s3s::S3Error>() {
            Ok(error) => *error,
            Err(error) => body_mismatch(error),
        })?;
        if whole.len() + chunk.len() > MAX_BYTES {
            return Err(s3_error!(EntityTooLarge));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

/// The body is not what the signature covers.
fn body_mismatch(source: Box<dyn std::error::Error + Send + Sync>) -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
    error.set_status_code(http::StatusCode::BAD_REQUEST);
    error.set_source(source);
    error
}

fn object(
    state: &State,
    input: &PutObjectInput,
    trailers: Option<&http::HeaderMap>,
    bytes: Bytes,
    caller: &Caller,
) -> S3Result<Object> {
    let claimed = Checksums::claimed(input, trailers);
    claimed.verify(&bytes, state.options.dialect)?;
    let md5 = checksum::md5(&bytes);
    checksum::verify_md5(input.content_md5.as_deref(), &md5)?;
    let (retention, legal_hold) = protection(state, input, caller)?;
    if (retention.is_some() || legal_hold) && !claimed.any() && input.content_md5.is_none() {
        return Err(s3_error!(
            InvalidRequest,
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with \
             Object Lock parameters"
        ));
    }
    let metadata = input.metadata.clone().unwrap_or_default();
    Ok(Object {
        etag: hex(&md5),
        checksums: claimed,
        content_type: input.content_type.clone(),
        metadata: metadata.into_iter().collect::<BTreeMap<_, _>>(),
        retention,
        legal_hold,
        bytes,
    })
}

/// Retention and legal hold of the new version: as asked for, else the bucket's default.
fn protection(
    state: &State,
    input: &PutObjectInput,
    caller: &Caller,
) -> S3Result<(Option<Retention>, bool)> {
    let rule = state.bucket(&input.bucket)?.lock.as_ref();
    let hold = input.object_lock_legal_hold_status.as_ref().is_some_and(|s| s.as_str() == "ON");
    let asked = match (&input.object_lock_mode, &input.object_lock_retain_until_date) {
        (None, None) => None,
        (Some(mode), Some(until)) => {
            Some(Retention { mode: Mode::parse(mode.as_str())?, until: until.clone() })
        }
        _ => {
            return Err(s3_error!(
                InvalidArgument,
                "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be \
                 supplied"
            ));
        }
    };
    match rule {
        None if asked.is_some() || hold => {
            Err(s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration"))
        }
        None => Ok((None, false)),
        Some(rule) => Ok((asked.or_else(|| rule.retention(caller.arrival.now_ms)), hold)),
    }
}

fn store(
    state: &mut State,
    input: PutObjectInput,
    object: Object,
    condition: Option<Condition>,
    caller: &Caller,
) -> S3Result<PutObjectOutput> {
    let versioning = state.bucket(&input.bucket)?.versioning;
    let id = match versioning {
        Versioning::Enabled => state.next_version_id(),
        Versioning::Never | Versioning::Suspended => NULL_VERSION.to_owned(),
    };
    let bucket = state.bucket_mut(&input.bucket)?;
    let replaced = bucket.current(&input.key).is_some();
    let output = PutObjectOutput {
        checksum_crc32: object.checksums.crc32.clone(),
        checksum_crc32c: object.checksums.crc32c.clone(),
        checksum_crc64nvme: object.checksums.crc64nvme.clone(),
        checksum_sha1: object.checksums.sha1.clone(),
        checksum_sha256: object.checksums.sha256.clone(),
        checksum_type: object.checksum_type(),
        e_tag: Some(object.etag()),
        version_id: (versioning == Versioning::Enabled).then(|| id.clone()),
        ..PutObjectOutput::default()
    };
    let bytes = object.bytes.clone();
    let now_ms = caller.arrival.now_ms;
    let version = Version { id: id.clone(), modified_ms: now_ms, object: Some(object) };
    bucket.push(&input.key, version);
    state.history.push(WriteAttempt {
        number: 0,
        request: caller.arrival.request,
        at_ms: now_ms,
        identity: Some(caller.name.clone()),
        bucket: input.bucket,
        key: input.key,
        write: Write::Put,
        condition,
        sha256: hex(&Sha256::digest(&bytes)),
        bytes,
        outcome: Outcome::Applied { version: id, replaced },
        answered: caller.arrival.answered,
    });
    Ok(output)
}

/// Gives every other future of the executor one turn: the gap in a store that looks before it
/// writes instead of doing both at once.
#[derive(Default)]
struct LetOthersGoFirst {
    waited: bool,
}

impl Future for LetOthersGoFirst {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.waited {
            return Poll::Ready(());
        }
        self.waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
