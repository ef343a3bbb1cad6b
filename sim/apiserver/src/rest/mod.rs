//! Requests: who sends them, whether they may, which verb they are, how the answer is printed.

mod access;
mod delete;
mod options;
mod patch;
mod read;
mod reply;
mod reviews;
mod strategy;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use serde_json::Value;

use crate::discovery;
use crate::history::Write;
use crate::object::annotation;
use crate::protobuf;
use crate::request::{Form, Path, Query, Target, content_type, negotiate, resolve};
use crate::selector::Selector;
use crate::server::{Body, Cluster, User};
use crate::status_error::ApiError;
use crate::watch::{self, Source};

pub(crate) use write::reload_policies;

/// The annotation whose value the history of writes shows.
const STAMP: &str = "rynxs.universe.ai/stamp";

/// One request to a resource.
pub(crate) struct Call<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) user: User,
    pub(crate) target: Target,
    pub(crate) query: Query,
    pub(crate) form: Form,
    pub(crate) user_agent: String,
    pub(crate) media: String,
    pub(crate) body: Bytes,
    /// Which of the cluster's API servers is asked.
    pub(crate) view: u32,
    /// `create`, `update`, `patch`, `apply`, `delete`, for the history.
    pub(crate) verb: &'static str,
    /// The stamp that the request itself carries.
    pub(crate) stamp_sent: Option<String>,
}

/// Answers a request from outside.
pub(crate) fn handle(
    cluster: &mut Cluster,
    source: Source<'_>,
    request: Request<Bytes>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    match access::authenticate(cluster, &parts.headers)
        .and_then(|user| route(cluster, Some(source), user, &parts, body))
    {
        Ok(response) => response,
        Err(error) => error.to_response().map(Body::Full),
    }
}

/// Answers a request of a controller: the status code, and the body for whoever reads it.
pub(crate) fn call(
    cluster: &mut Cluster,
    user: &User,
    method: &Method,
    path_and_query: &str,
    body: Bytes,
) -> (u16, Bytes) {
    let mut request = Request::new(body);
    *request.method_mut() = method.clone();
    *request.uri_mut() = path_and_query.parse().expect("controllers build valid paths");
    if *method == Method::PATCH {
        let merge = http::HeaderValue::from_static("application/merge-patch+json");
        request.headers_mut().insert(http::header::CONTENT_TYPE, merge);
    }
    let agent = user.name.rsplit(':').next().unwrap_or_default();
    if let Ok(agent) = http::HeaderValue::from_str(agent) {
        request.headers_mut().insert(http::header::USER_AGENT, agent);
    }
    let (parts, body) = request.into_parts();
    let response = match route(cluster, None, user.clone(), &parts, body) {
        Ok(response) => response,
        Err(error) => error.to_response().map(Body::Full),
    };
    let code = response.status().as_u16();
    let body = match response.into_body() {
        Body::Full(bytes) => bytes,
        Body::Watch(_) => Bytes::new(),
    };
    (code, body)
}

/// Creates or force-applies a bootstrap document as the administrator.
pub(crate) fn load(cluster: &mut Cluster, value: &Value) -> Result<(), String> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let Some(info) = cluster.registry.by_kind(group, version, text("kind")).map(Arc::clone) else {
        return Err(format!("no such kind: {} {}", text("apiVersion"), text("kind")));
    };
    let namespace = match crate::object::meta_str(value, "namespace") {
        "" => "default",
        given => given,
    };
    let name = crate::object::meta_str(value, "name");
    let scope = if info.namespaced { format!("/namespaces/{namespace}") } else { String::new() };
    let prefix = if info.group.is_empty() { "/api" } else { "/apis" };
    let path = format!("{prefix}/{}{scope}/{}/{name}", info.api_version(), info.plural);
    let bytes = Bytes::from(serde_json::to_vec(value).expect("a JSON value always serialises"));
    let mut request = Request::new(bytes);
    *request.method_mut() = Method::PATCH;
    *request.uri_mut() =
        format!("{path}?fieldManager=bootstrap&force=true").parse().map_err(|e| format!("{e}"))?;
    let apply = http::HeaderValue::from_static("application/apply-patch+yaml");
    request.headers_mut().insert(http::header::CONTENT_TYPE, apply);
    let (parts, body) = request.into_parts();
    route(cluster, None, User::admin(), &parts, body).map(|_| ()).map_err(|error| error.message)
}

fn route(
    cluster: &mut Cluster,
    source: Option<Source<'_>>,
    user: User,
    parts: &Parts,
    body: Bytes,
) -> Result<Response<Body>, ApiError> {
    let path = parts.uri.path();
    let target = match resolve(&cluster.registry, path) {
        Path::Resource(target) => target,
        Path::Other => return other(cluster, &user, parts),
    };
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let selector =
        Selector::parse(&target.info, query.get("labelSelector"), query.get("fieldSelector"))?;
    let verb =
        access::verb(&parts.method, &target, &query).ok_or_else(ApiError::method_not_allowed)?;
    let header = |name: http::HeaderName| {
        parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let too_large = body.len() > cluster.options.max_body_bytes;
    let limit = cluster.options.max_body_bytes;
    let (media, body) = readable(content_type(&parts.headers), body);
    let mut call = Call {
        cluster,
        user,
        target,
        query,
        form: Form::Object,
        user_agent: header(http::header::USER_AGENT),
        media,
        body,
        view: source.map_or(0, |s| s.view),
        verb,
        stamp_sent: None,
    };
    let writes = !matches!(verb, "get" | "list" | "watch");
    let before = if writes { call.noted() } else { None };
    let result = access::authorize_verb(&mut call)
        .and_then(|()| negotiate(&parts.headers))
        .and_then(|form| {
            call.form = form;
            if too_large { Err(ApiError::too_large(limit)) } else { Ok(()) }
        })
        .and_then(|()| perform(&mut call, source, selector));
    if writes {
        call.note(before, &result);
    }
    result
}

/// Protobuf as JSON, where it is understood; where not, the media type is refused later.
fn readable(media: String, body: Bytes) -> (String, Bytes) {
    if media == protobuf::MEDIA
        && let Some(value) = protobuf::to_json(&body)
    {
        let json = serde_json::to_vec(&value).expect("a JSON value always serialises");
        return ("application/json".to_owned(), Bytes::from(json));
    }
    (media, body)
}

fn perform(
    call: &mut Call<'_>,
    source: Option<Source<'_>>,
    selector: Selector,
) -> Result<Response<Body>, ApiError> {
    if !call.target.info.verbs.contains(&call.verb) {
        return Err(ApiError::method_not_allowed());
    }
    let reply = match call.verb {
        "get" => read::get(call)?,
        "list" => return read::list(call, &selector).map(|r| r.map(Body::Full)),
        "watch" => {
            let source = source.ok_or_else(ApiError::method_not_allowed)?;
            let stream = watch::open(call, source, selector)?;
            return Ok(reply::watch(stream));
        }
        "create" if call.target.info.verbs.len() == 1 => reviews::answer(call)?,
        "create" => write::post(call)?,
        "update" => write::put(call)?,
        "patch" => patch::patch(call)?,
        "delete" => delete::delete(call)?,
        _ => delete::delete_collection(call, &selector)?,
    };
    Ok(reply::print(call, &reply).map(Body::Full))
}

/// Paths that are no resource.
fn other(cluster: &mut Cluster, user: &User, parts: &Parts) -> Result<Response<Body>, ApiError> {
    let path = parts.uri.path();
    access::authorize_path(cluster, user, &parts.method, path)?;
    if parts.method != Method::GET {
        return Err(ApiError::unknown_path());
    }
    match discovery::answer(&cluster.registry, path, &parts.headers) {
        Some(response) => Ok(response.map(Body::Full)),
        None if is_unknown_group(cluster, path) => {
            // The outermost layer answers in plain text.
            let text = Bytes::from_static(b"404 page not found\n");
            let mut response = Response::new(Body::Full(text));
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            Ok(response)
        }
        None => Err(ApiError::unknown_path()),
    }
}

fn is_unknown_group(cluster: &Cluster, path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    match parts.as_slice() {
        ["apis", group, version, _, ..] => {
            !cluster.registry.iter().any(|r| r.group == *group && r.version == *version)
        }
        _ => false,
    }
}

/// What the history remembers of an object before a write.
pub(crate) struct Before {
    uid: String,
    rv: u64,
    stamp: Option<String>,
    value: Arc<Value>,
}

impl Call<'_> {
    /// Whether the target is on the list of things the history notes, and its state.
    fn noted(&self) -> Option<Before> {
        let object = self.cluster.store.get(&self.target.info.storage, &self.target.key())?;
        Some(Before {
            uid: object.uid().to_owned(),
            rv: object.rv,
            stamp: annotation(&object.value, STAMP).map(str::to_owned),
            value: Arc::clone(&object.value),
        })
    }

    /// Adds the attempt to the history.
    fn note(&mut self, before: Option<Before>, result: &Result<Response<Body>, ApiError>) {
        if self.target.info.verbs.len() == 1 || self.verb == "deletecollection" {
            return;
        }
        let (status_code, reason) = match result {
            Ok(response) => (response.status().as_u16(), String::new()),
            Err(error) => (error.code, error.reason.clone()),
        };
        let after = self.noted();
        let changed = after.as_ref().map(|a| a.rv) != before.as_ref().map(|b| b.rv);
        let uid = before.as_ref().or(after.as_ref()).map(|o| o.uid.clone()).unwrap_or_default();
        let info = &self.target.info;
        self.cluster.history.push(Write {
            number: 0,
            at_ms: self.cluster.now_ms,
            rv: self.cluster.store.rv(),
            user: self.user.name.clone(),
            verb: self.verb.to_owned(),
            subresource: self.target.subresource.clone(),
            group: info.group.clone(),
            resource: info.plural.clone(),
            kind: info.kind.clone(),
            namespace: self.target.namespace.clone(),
            name: self.target.name.clone(),
            uid,
            removed: before.is_some() && after.is_none(),
            stamp_before: before.and_then(|b| b.stamp),
            object: after.as_ref().map(|a| Arc::clone(&a.value)),
            stamp: after.and_then(|a| a.stamp),
            stamp_sent: self.stamp_sent.take(),
            status_code,
            reason,
            changed,
        });
    }
}
