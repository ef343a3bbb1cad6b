//! Listings: current objects (both versions of the call) and all versions.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use crate::access::Caller;
use crate::listing::{self, Cursor, Page, Query};
use crate::state::{Object as StoredObject, State, Version, timestamp};

/// S3 never returns more on one page.
const MAX_KEYS: i32 = 1000;

fn limit(max_keys: Option<i32>) -> S3Result<usize> {
    usize::try_from(max_keys.unwrap_or(MAX_KEYS).min(MAX_KEYS)).map_err(|_| {
        s3_error!(InvalidArgument, "maxKeys must be an integer between 0 and 2147483647")
    })
}

/// Encodes names if the client asked for it.
struct Names(bool);

impl Names {
    fn of(encoding: Option<&EncodingType>) -> Self {
        Self(encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL))
    }

    fn show(&self, text: &str) -> String {
        if self.0 { listing::url_encode(text) } else { text.to_owned() }
    }
}

fn authorize<T>(
    state: &State,
    request: &S3Request<T>,
    action: &str,
    bucket: &str,
    query: (Option<&String>, Option<&String>, Option<i32>),
) -> S3Result<()> {
    state.bucket(bucket)?;
    let caller = Caller::of(state, request)
        .with("s3:prefix", query.0.cloned())
        .with("s3:delimiter", query.1.cloned())
        .with("s3:max-keys", query.2.map(|max| max.to_string()));
    caller.authorize(state, action, bucket, None)
}

pub(super) fn objects_v2(
    state: &mut State,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<ListObjectsV2Output> {
    let input = &request.input;
    let query = (input.prefix.as_ref(), input.delimiter.as_ref(), input.max_keys);
    authorize(state, &request, "s3:ListBucket", &input.bucket, query)?;
    let from = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => Some(Cursor::parse(token).ok_or_else(|| {
            s3_error!(InvalidArgument, "The continuation token provided is incorrect")
        })?),
        (None, Some(key)) => Some(Cursor::AfterKey(key.clone())),
        (None, None) => None,
    };
    let query = Query {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref(),
        from,
        limit: limit(input.max_keys)?,
    };
    let page = listing::page(state.bucket(&input.bucket)?, &query);
    let names = Names::of(input.encoding_type.as_ref());
    Ok(ListObjectsV2Output {
        name: Some(input.bucket.clone()),
        prefix: Some(names.show(query.prefix)),
        max_keys: i32::try_from(query.limit).ok(),
        key_count: i32::try_from(page.len()).ok(),
        continuation_token: input.continuation_token.clone(),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_ref().map(Cursor::token),
        contents: contents(&page, &names),
        common_prefixes: common_prefixes(&page, &names),
        delimiter: input.delimiter.as_deref().map(|text| names.show(text)),
        encoding_type: input.encoding_type.clone(),
        start_after: input.start_after.as_deref().map(|text| names.show(text)),
        request_charged: None,
    })
}

pub(super) fn objects(
    state: &mut State,
    request: S3Request<ListObjectsInput>,
) -> S3Result<ListObjectsOutput> {
    let input = &request.input;
    let query = (input.prefix.as_ref(), input.delimiter.as_ref(), input.max_keys);
    authorize(state, &request, "s3:ListBucket", &input.bucket, query)?;
    let delimiter = input.delimiter.as_deref();
    let rolled = |marker: &str| delimiter.is_some_and(|d| !d.is_empty() && marker.ends_with(d));
    // Here the cursor is no token: a marker that ends in the delimiter is a common prefix.
    let from = input.marker.clone().map(|marker| {
        if rolled(&marker) { Cursor::PastPrefix(marker) } else { Cursor::AfterKey(marker) }
    });
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let query = Query { prefix, delimiter, from, limit: limit(input.max_keys)? };
    let page = listing::page(state.bucket(&input.bucket)?, &query);
    let names = Names::of(input.encoding_type.as_ref());
    let next = page.next.as_ref().map(|cursor| match cursor {
        Cursor::AfterKey(text) | Cursor::PastPrefix(text) => names.show(text),
    });
    Ok(ListObjectsOutput {
        name: Some(input.bucket.clone()),
        prefix: Some(names.show(prefix)),
        marker: Some(names.show(input.marker.as_deref().unwrap_or_default())),
        max_keys: i32::try_from(query.limit).ok(),
        is_truncated: Some(page.next.is_some()),
        contents: contents(&page, &names),
        common_prefixes: common_prefixes(&page, &names),
        delimiter: delimiter.map(|text| names.show(text)),
        // Only listings with a delimiter name the next marker; others go on after the last key.
        next_marker: next.filter(|_| delimiter.is_some()),
        encoding_type: input.encoding_type.clone(),
        request_charged: None,
    })
}

fn contents(page: &Page<'_>, names: &Names) -> Option<ObjectList> {
    let object = |(key, version, object): &(&str, &Version, &StoredObject)| Object {
        checksum_algorithm: object.checksums.any().then(|| object.checksums.algorithms()),
        checksum_type: object.checksum_type(),
        e_tag: Some(object.etag()),
        key: Some(names.show(key)),
        last_modified: Some(timestamp(version.modified_ms)),
        size: i64::try_from(object.bytes.len()).ok(),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Object::default()
    };
    (!page.keys.is_empty()).then(|| page.keys.iter().map(object).collect())
}

fn common_prefixes(page: &Page<'_>, names: &Names) -> Option<CommonPrefixList> {
    let prefix = |prefix: &String| CommonPrefix { prefix: Some(names.show(prefix)) };
    (!page.prefixes.is_empty()).then(|| page.prefixes.iter().map(prefix).collect())
}

pub(super) fn versions(
    state: &mut State,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<ListObjectVersionsOutput> {
    let input = &request.input;
    let query = (input.prefix.as_ref(), input.delimiter.as_ref(), input.max_keys);
    authorize(state, &request, "s3:ListBucketVersions", &input.bucket, query)?;
    if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
        return Err(s3_error!(NotImplemented, "versions are listed without a delimiter only"));
    }
    let marker = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (key, id) = (marker(&input.key_marker), marker(&input.version_id_marker));
    let after = key.as_deref().map(|key| (key, id.as_deref()));
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let limit = limit(input.max_keys)?;
    let page = listing::version_page(state.bucket(&input.bucket)?, prefix, after, limit);
    let names = Names::of(input.encoding_type.as_ref());
    let (mut versions, mut markers) = (Vec::new(), Vec::new());
    for (key, version, latest) in &page.entries {
        match &version.object {
            Some(object) => {
                versions.push(version_entry(&names.show(key), version, object, *latest))
            }
            None => markers.push(DeleteMarkerEntry {
                is_latest: Some(*latest),
                key: Some(names.show(key)),
                last_modified: Some(timestamp(version.modified_ms)),
                owner: None,
                version_id: Some(version.id.clone()),
            }),
        }
    }
    let next = page.next;
    Ok(ListObjectVersionsOutput {
        name: Some(input.bucket.clone()),
        prefix: Some(names.show(prefix)),
        key_marker: Some(input.key_marker.clone().unwrap_or_default()),
        version_id_marker: Some(input.version_id_marker.clone().unwrap_or_default()),
        max_keys: i32::try_from(limit).ok(),
        is_truncated: Some(next.is_some()),
        next_key_marker: next.as_ref().map(|(key, _)| names.show(key)),
        next_version_id_marker: next.map(|(_, id)| id),
        versions: (!versions.is_empty()).then_some(versions),
        delete_markers: (!markers.is_empty()).then_some(markers),
        encoding_type: input.encoding_type.clone(),
        ..ListObjectVersionsOutput::default()
    })
}

fn version_entry(
    key: &str,
    version: &Version,
    object: &StoredObject,
    latest: bool,
) -> ObjectVersion {
    ObjectVersion {
        checksum_algorithm: object.checksums.any().then(|| object.checksums.algorithms()),
        checksum_type: object.checksum_type(),
        e_tag: Some(object.etag()),
        is_latest: Some(latest),
        key: Some(key.to_owned()),
        last_modified: Some(timestamp(version.modified_ms)),
        size: i64::try_from(object.bytes.len()).ok(),
        storage_class: Some(ObjectVersionStorageClass::from_static("STANDARD")),
        version_id: Some(version.id.clone()),
        ..ObjectVersion::default()
    }
}
