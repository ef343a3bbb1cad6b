//! GET and HEAD of an object, whole or by range.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use s3s::dto::{
    ChecksumMode, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput,
    HeadObjectOutput, ObjectLockLegalHoldStatus, ObjectLockMode, Range, StreamingBlob,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::access::Caller;
use crate::condition::check_read;
use crate::state::{NULL_VERSION, Object, State, Version, Versioning, timestamp};

/// What GET and HEAD ask for.
struct Wanted<'a> {
    bucket: &'a str,
    key: &'a str,
    version: Option<&'a str>,
    range: Option<&'a Range>,
    if_match: Option<&'a ETagCondition>,
    if_none_match: Option<&'a ETagCondition>,
    checksums: bool,
}

pub(super) fn get_object(
    state: &mut State,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let input = &request.input;
    let wanted = Wanted {
        bucket: &input.bucket,
        key: &input.key,
        version: input.version_id.as_deref(),
        range: input.range.as_ref(),
        if_match: input.if_match.as_ref(),
        if_none_match: input.if_none_match.as_ref(),
        checksums: enabled(input.checksum_mode.as_ref()),
    };
    let (head, bytes, headers) = find(state, &Caller::of(state, &request), &wanted)?;
    let body = futures::stream::once(async move { Ok::<_, std::io::Error>(bytes) });
    let output = GetObjectOutput {
        accept_ranges: head.accept_ranges,
        body: Some(StreamingBlob::wrap(body)),
        checksum_crc32: head.checksum_crc32,
        checksum_crc32c: head.checksum_crc32c,
        checksum_crc64nvme: head.checksum_crc64nvme,
        checksum_sha1: head.checksum_sha1,
        checksum_sha256: head.checksum_sha256,
        checksum_type: head.checksum_type,
        content_length: head.content_length,
        content_range: head.content_range,
        content_type: head.content_type,
        e_tag: head.e_tag,
        last_modified: head.last_modified,
        object_lock_legal_hold_status: head.object_lock_legal_hold_status,
        object_lock_mode: head.object_lock_mode,
        object_lock_retain_until_date: head.object_lock_retain_until_date,
        version_id: head.version_id,
        ..GetObjectOutput::default()
    };
    Ok(S3Response::with_headers(output, headers))
}

pub(super) fn head_object(
    state: &mut State,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = &request.input;
    let wanted = Wanted {
        bucket: &input.bucket,
        key: &input.key,
        version: input.version_id.as_deref(),
        range: input.range.as_ref(),
        if_match: input.if_match.as_ref(),
        if_none_match: input.if_none_match.as_ref(),
        checksums: enabled(input.checksum_mode.as_ref()),
    };
    let (head, _, headers) = find(state, &Caller::of(state, &request), &wanted)?;
    Ok(S3Response::with_headers(head, headers))
}

fn enabled(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}

fn find(
    state: &State,
    caller: &Caller,
    wanted: &Wanted<'_>,
) -> S3Result<(HeadObjectOutput, Bytes, HeaderMap)> {
    let bucket = state.bucket(wanted.bucket)?;
    let action = if wanted.version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    caller.authorize(state, action, wanted.bucket, Some(wanted.key))?;
    let version = bucket.version(wanted.key, wanted.version).map_err(|error| {
        // Who may not list must not learn which keys are missing.
        if caller.may(state, "s3:ListBucket", wanted.bucket, None) {
            error
        } else {
            s3_error!(AccessDenied, "Access Denied")
        }
    })?;
    let Some(object) = &version.object else {
        return Err(marker(wanted, version));
    };
    check_read(&object.etag, wanted.if_none_match, wanted.if_match)?;
    let total = object.bytes.len() as u64;
    let (bytes, content_range) = match wanted.range {
        None => (object.bytes.clone(), None),
        Some(range) => {
            let range = range.check(total)?;
            let (start, end) = (range.start, range.end);
            let index = |at: u64| usize::try_from(at).expect("a range within bytes in memory");
            let part = object.bytes.slice(index(start)..index(end));
            let text = format!("bytes {start}-{}/{total}", end.saturating_sub(1));
            (part, Some(text))
        }
    };
    let versioned = bucket.versioning != Versioning::Never;
    let whole = content_range.is_none();
    let mut head = describe(version, object, wanted.checksums && whole, versioned);
    head.content_length = i64::try_from(bytes.len()).ok();
    head.content_range = content_range;
    Ok((head, bytes, metadata(object)))
}

/// User metadata as headers, in order; s3s itself would take them in the order of a hash map.
fn metadata(object: &Object) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &object.metadata {
        let name = HeaderName::try_from(format!("x-amz-meta-{name}"));
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers
}

/// The answer over a delete marker says so in a header.
fn marker(wanted: &Wanted<'_>, version: &Version) -> S3Error {
    let mut error = match wanted.version {
        None => crate::state::missing(wanted.key, None),
        Some(_) => s3_error!(
            MethodNotAllowed,
            "The specified method is not allowed against this resource."
        ),
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    if let Ok(id) = HeaderValue::from_str(&version.id) {
        headers.insert("x-amz-version-id", id);
    }
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    error.set_headers(headers);
    error
}

fn describe(
    version: &Version,
    object: &Object,
    checksums: bool,
    versioned: bool,
) -> HeadObjectOutput {
    let sums = if checksums { object.checksums.clone() } else { Default::default() };
    let hold = object.legal_hold.then_some(ObjectLockLegalHoldStatus::ON);
    HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        checksum_type: object.checksum_type().filter(|_| checksums),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        content_type: Some(
            object.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned()),
        ),
        e_tag: Some(object.etag()),
        last_modified: Some(timestamp(version.modified_ms)),
        object_lock_legal_hold_status: hold.map(ObjectLockLegalHoldStatus::from_static),
        object_lock_mode: object
            .retention
            .as_ref()
            .map(|retention| ObjectLockMode::from_static(retention.mode.as_str())),
        object_lock_retain_until_date: object.retention.as_ref().map(|r| r.until.clone()),
        version_id: (versioned || version.id != NULL_VERSION).then(|| version.id.clone()),
        ..HeadObjectOutput::default()
    }
}
