//! GET and LIST.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::Call;
use super::reply::{self, Reply, Shown};
use crate::convert;
use crate::object::{Object, untyped_bytes};
use crate::request::Form;
use crate::selector::Selector;
use crate::status_error::{ApiError, Cause, bytes_response, json_response};
use crate::store::Key;
use crate::table;

/// One object.
pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let info = &call.target.info;
    if let Some(rv) = call.query.number("resourceVersion")? {
        check_not_too_new(rv, cached(call))?;
        let key = call.target.key();
        if let Some(collection) = call.cluster.store.collection(&info.storage)
            && cached(call) != call.cluster.store.rv()
        {
            let then = collection.at(cached(call), &key);
            return match then.as_ref().and_then(|objects| objects.get(&key)) {
                Some(object) => Ok(Reply::ok(Shown::Stored(Arc::clone(object)))),
                None => Err(ApiError::not_found(info, &call.target.name)),
            };
        }
    }
    match call.cluster.store.get(&info.storage, &call.target.key()) {
        Some(object) => Ok(Reply::ok(Shown::Stored(Arc::clone(object)))),
        None => Err(ApiError::not_found(info, &call.target.name)),
    }
}

/// A resourceVersion of the future cannot be waited for here; the real server gives up after 3 s
/// with the same answer.
fn check_not_too_new(rv: u64, current: u64) -> Result<(), ApiError> {
    if rv <= current {
        return Ok(());
    }
    let message = format!("Too large resource version: {rv}, current: {current}");
    let cause = Cause::new("ResourceVersionTooLarge", "", "Too large resource version");
    let mut error =
        ApiError::new(504, "Timeout", format!("Timeout: {message}")).with_causes(&[cause]);
    error.retry_after_s = Some(1);
    Err(error)
}

/// Where a list starts and which state it shows.
struct Page {
    /// The state at this resourceVersion.
    rv: u64,
    /// First key that is wanted.
    start: Key,
    limit: usize,
}

const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent \
    list result. You can start a new list without the continue parameter, or use the continue \
    token in this response to retrieve the remainder of the results. Continuing with the provided \
    token results in an inconsistent list - objects that were created, modified, or deleted \
    between the time the first chunk was returned and now may show up in the list.";

fn token(rv: Option<u64>, start: &Key) -> String {
    let rv = rv.map_or(json!(-1), |rv| json!(rv));
    let value = json!({"v": "meta.k8s.io/v1", "rv": rv, "start": [start.0, start.1]});
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn parse_token(text: &str) -> Result<(Option<u64>, Key), ApiError> {
    let bad = || ApiError::bad_request("continue key is not valid: encoded value is malformed");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let part = |index: usize| value["start"][index].as_str().map(str::to_owned).ok_or_else(bad);
    Ok((value["rv"].as_u64(), (part(0)?, part(1)?)))
}

/// What the watch cache of the request's server shows.
fn cached(call: &Call<'_>) -> u64 {
    let seen = call.cluster.seen(call.view);
    let collection = call.cluster.store.collection(&call.target.info.storage);
    seen.max(collection.map_or(0, |c| c.oldest()))
}

fn page(call: &Call<'_>) -> Result<Page, ApiError> {
    let current = call.cluster.store.rv();
    let query = &call.query;
    if query.flag_if_given("sendInitialEvents").is_some() {
        let why = "sendInitialEvents is forbidden for list";
        let cause = Cause::forbidden("sendInitialEvents", why);
        return Err(ApiError::invalid_kind("meta.k8s.io", "ListOptions", "", &[cause]));
    }
    let requested = query.number("resourceVersion")?;
    let matching = query.get("resourceVersionMatch");
    let limit = query.number("limit")?.unwrap_or(0);
    let mut limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let first = (call.target.namespace.clone(), String::new());
    if !query.get("continue").is_empty() {
        if requested.is_some_and(|rv| rv != 0) {
            let message = "specifying resource version is not allowed when using continue";
            return Err(ApiError::bad_request(message));
        }
        let (rv, start) = parse_token(query.get("continue"))?;
        let pinned = rv.unwrap_or(current);
        return Ok(Page { rv: pinned, start, limit });
    }
    check_match(requested, matching)?;
    let cached = cached(call);
    let rv = match requested {
        None => current,
        Some(0) => cached,
        Some(rv) if matching == "Exact" => {
            check_not_too_new(rv, current)?;
            rv
        }
        Some(rv) => {
            check_not_too_new(rv, cached)?;
            cached
        }
    };
    if requested == Some(0) {
        // Served from the watch cache, which does not page.
        limit = 0;
    }
    Ok(Page { rv, start: first, limit })
}

fn check_match(requested: Option<u64>, matching: &str) -> Result<(), ApiError> {
    let cause = match (matching, requested) {
        ("", _) | ("NotOlderThan", Some(_)) => return Ok(()),
        ("Exact", Some(rv)) if rv > 0 => return Ok(()),
        ("Exact", Some(_)) => Cause::forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        ("NotOlderThan" | "Exact", None) => Cause::forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (other, _) => Cause::new(
            "FieldValueNotSupported",
            "resourceVersionMatch",
            format!(
                "Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\", \"\""
            ),
        ),
    };
    Err(ApiError::invalid_kind("meta.k8s.io", "ListOptions", "", &[cause]))
}

/// Objects of a page, the key to go on from, and how many are left after it.
struct Found {
    objects: Vec<Arc<Object>>,
    next: Option<Key>,
    remaining: usize,
}

fn find(call: &Call<'_>, page: &Page, selector: &Selector) -> Result<Found, ApiError> {
    let info = &call.target.info;
    let mut found = Found { objects: Vec::new(), next: None, remaining: 0 };
    let Some(collection) = call.cluster.store.collection(&info.storage) else { return Ok(found) };
    let wanted = |key: &Key| call.target.namespace.is_empty() || key.0 == call.target.namespace;
    let selects = |object: &Object| {
        selector.is_everything()
            || selector.matches(info, &convert::from_storage(info, &object.value))
    };
    let mut take = |key: &Key, object: &Arc<Object>| {
        if !selects(object) {
            return;
        }
        if page.limit > 0 && found.objects.len() == page.limit {
            found.next.get_or_insert_with(|| key.clone());
            found.remaining += 1;
        } else {
            found.objects.push(Arc::clone(object));
        }
    };
    if page.rv == call.cluster.store.rv() {
        let current = collection.range(&page.start).take_while(|(key, _)| wanted(key));
        current.for_each(|(key, object)| take(key, object));
    } else {
        let then = collection.at(page.rv, &page.start).ok_or_else(|| expired(call, page))?;
        then.iter().filter(|(key, _)| wanted(key)).for_each(|(key, object)| take(key, object));
    }
    Ok(found)
}

fn expired(call: &Call<'_>, page: &Page) -> ApiError {
    if call.query.get("continue").is_empty() {
        let message = format!("The resourceVersion for the provided list is too old: {}", page.rv);
        return ApiError::expired(message);
    }
    let mut error = ApiError::expired(CONTINUE_EXPIRED);
    error.continue_token = Some(token(None, &page.start));
    error
}

/// All objects that the selectors select.
pub(super) fn list(call: &Call<'_>, selector: &Selector) -> Result<Response<Bytes>, ApiError> {
    let page = page(call)?;
    let found = find(call, &page, selector)?;
    let mut metadata = json!({"resourceVersion": page.rv.to_string()});
    if call.target.info.is_custom() {
        metadata["continue"] = json!("");
    }
    if let Some(next) = &found.next {
        metadata["continue"] = json!(token(Some(page.rv), next));
        if selector.is_everything() {
            metadata["remainingItemCount"] = json!(found.remaining);
        }
    }
    let info = &call.target.info;
    match call.form {
        Form::Object => Ok(bytes_response(200, print_list(call, &metadata, &found.objects))),
        Form::Table => {
            let items: Vec<Cow<'_, Value>> =
                found.objects.iter().map(|o| convert::from_storage(info, &o.value)).collect();
            let list = json!({
                "apiVersion": info.api_version(),
                "kind": info.list_kind,
                "metadata": metadata,
                "items": items,
            });
            let include = call.query.get("includeObject");
            Ok(json_response(200, &table::render(info, &list, call.cluster.now_ms, include)))
        }
        Form::Metadata => {
            let items: Vec<Value> =
                found.objects.iter().map(|o| reply::partial(&o.value)).collect();
            let list = json!({
                "apiVersion": "meta.k8s.io/v1",
                "kind": "PartialObjectMetadataList",
                "metadata": metadata,
                "items": items,
            });
            Ok(json_response(200, &list))
        }
    }
}

fn print_list(call: &Call<'_>, metadata: &Value, objects: &[Arc<Object>]) -> Bytes {
    let info = &call.target.info;
    let head = format!(
        "{{\"apiVersion\":{:?},\"kind\":{:?},\"metadata\":{metadata},\"items\":[",
        info.api_version(),
        info.list_kind,
    );
    // Items of built-in lists do not repeat what the list says of their type.
    let print = |object: &Arc<Object>| {
        if info.is_custom() {
            convert::bytes(info, object)
        } else if info.storage.group == info.group {
            object.list_bytes()
        } else {
            untyped_bytes(&convert::from_storage(info, &object.value))
        }
    };
    let items: Vec<Bytes> = objects.iter().map(print).collect();
    let bytes: usize = items.iter().map(|item| item.len() + 1).sum();
    let mut text = Vec::with_capacity(head.len() + bytes + 2);
    text.extend_from_slice(head.as_bytes());
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(item);
    }
    text.extend_from_slice(b"]}");
    Bytes::from(text)
}
