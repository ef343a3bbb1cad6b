//! DELETE: of a key (a marker, where versions are kept) or of one version for good.

use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    ETagCondition, Error,
};
use s3s::{S3Request, S3Result, s3_error};

use crate::access::Caller;
use crate::condition;
use crate::history::{Condition, Outcome, Write, WriteAttempt};
use crate::lock;
use crate::state::{NULL_VERSION, State, Version, Versioning};

/// S3's limit for one batch.
const MAX_BATCH: usize = 1000;

struct Wanted<'a> {
    bucket: &'a str,
    key: &'a str,
    version: Option<&'a str>,
    bypass: bool,
    condition: Option<Condition>,
}

/// What became of one delete.
struct Deleted {
    marker: bool,
    version: Option<String>,
}

pub(super) fn delete_object(
    state: &mut State,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<DeleteObjectOutput> {
    let input = &request.input;
    let condition = match &input.if_match {
        None => None,
        Some(ETagCondition::ETag(etag)) => Some(Condition::Matches(etag.value().to_owned())),
        Some(ETagCondition::Any) => return Err(s3_error!(NotImplemented)),
    };
    let caller = Caller::of(state, &request).with("s3:versionid", input.version_id.clone());
    let wanted = Wanted {
        bucket: &input.bucket,
        key: &input.key,
        version: input.version_id.as_deref(),
        bypass: input.bypass_governance_retention.unwrap_or(false),
        condition,
    };
    let deleted = delete(state, &caller, &wanted)?;
    Ok(DeleteObjectOutput {
        delete_marker: deleted.marker.then_some(true),
        version_id: deleted.version,
        ..DeleteObjectOutput::default()
    })
}

pub(super) fn delete_objects(
    state: &mut State,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<DeleteObjectsOutput> {
    let input = &request.input;
    if input.delete.objects.is_empty() || input.delete.objects.len() > MAX_BATCH {
        return Err(s3_error!(MalformedXML, "1 to {MAX_BATCH} keys, please"));
    }
    let quiet = input.delete.quiet.unwrap_or(false);
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for one in &input.delete.objects {
        let caller = Caller::of(state, &request).with("s3:versionid", one.version_id.clone());
        let wanted = Wanted {
            bucket: &input.bucket,
            key: &one.key,
            version: one.version_id.as_deref(),
            bypass: input.bypass_governance_retention.unwrap_or(false),
            condition: None,
        };
        match delete(state, &caller, &wanted) {
            Ok(deleted) => done.push(DeletedObject {
                delete_marker: deleted.marker.then_some(true),
                delete_marker_version_id: deleted.version.clone().filter(|_| deleted.marker),
                key: Some(one.key.clone()),
                version_id: one.version_id.clone(),
            }),
            Err(error) => failed.push(Error {
                code: Some(error.code().as_str().to_owned()),
                key: Some(one.key.clone()),
                message: error.message().map(str::to_owned),
                version_id: one.version_id.clone(),
            }),
        }
    }
    Ok(DeleteObjectsOutput {
        deleted: (!quiet && !done.is_empty()).then_some(done),
        errors: (!failed.is_empty()).then_some(failed),
        ..DeleteObjectsOutput::default()
    })
}

fn delete(state: &mut State, caller: &Caller, wanted: &Wanted<'_>) -> S3Result<Deleted> {
    let bucket = state.bucket(wanted.bucket)?;
    let action =
        if wanted.version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
    caller.authorize(state, action, wanted.bucket, Some(wanted.key))?;
    condition::check(bucket, wanted.key, wanted.condition.as_ref())?;
    let versioning = bucket.versioning;
    match (wanted.version, versioning) {
        (Some(id), _) => delete_version(state, caller, wanted, id),
        (None, Versioning::Never) => {
            let bucket = state.bucket_mut(wanted.bucket)?;
            let gone = bucket.remove(wanted.key, NULL_VERSION);
            note(state, caller, wanted, NULL_VERSION, gone.is_some());
            Ok(Deleted { marker: false, version: None })
        }
        (None, Versioning::Enabled | Versioning::Suspended) => {
            let id = match versioning {
                Versioning::Enabled => state.next_version_id(),
                Versioning::Never | Versioning::Suspended => NULL_VERSION.to_owned(),
            };
            let bucket = state.bucket_mut(wanted.bucket)?;
            let replaced = bucket.current(wanted.key).is_some();
            let modified_ms = caller.arrival.now_ms;
            bucket.push(wanted.key, Version { id: id.clone(), modified_ms, object: None });
            note(state, caller, wanted, &id, replaced);
            Ok(Deleted { marker: true, version: Some(id) })
        }
    }
}

fn delete_version(
    state: &mut State,
    caller: &Caller,
    wanted: &Wanted<'_>,
    id: &str,
) -> S3Result<Deleted> {
    let bypass = wanted.bypass
        && caller.may(state, "s3:BypassGovernanceRetention", wanted.bucket, Some(wanted.key));
    let bucket = state.bucket_mut(wanted.bucket)?;
    let Ok(version) = bucket.version(wanted.key, Some(id)) else {
        // Deleting what is not there succeeds.
        return Ok(Deleted { marker: false, version: Some(id.to_owned()) });
    };
    if let Some(object) = &version.object {
        lock::may_delete(object, caller.arrival.now_ms, bypass)?;
    }
    let gone = bucket.remove(wanted.key, id);
    let marker = gone.is_some_and(|version| version.object.is_none());
    note(state, caller, wanted, id, !marker);
    Ok(Deleted { marker, version: Some(id.to_owned()) })
}

fn note(state: &mut State, caller: &Caller, wanted: &Wanted<'_>, version: &str, replaced: bool) {
    state.history.push(WriteAttempt {
        number: 0,
        request: caller.arrival.request,
        at_ms: caller.arrival.now_ms,
        identity: Some(caller.name.clone()),
        bucket: wanted.bucket.to_owned(),
        key: wanted.key.to_owned(),
        write: match wanted.version {
            Some(id) => Write::DeleteVersion(id.to_owned()),
            None => Write::Delete,
        },
        condition: wanted.condition.clone(),
        sha256: String::new(),
        bytes: bytes::Bytes::new(),
        outcome: Outcome::Applied { version: version.to_owned(), replaced },
        answered: caller.arrival.answered,
    });
}
