//! Failures as the API server words them: `Status` objects with code, reason, details, causes.

use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::resource::ResourceInfo;

/// One entry of `status.details.causes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// For example `FieldValueInvalid`.
    pub(crate) reason: String,
    /// For example `Invalid value: "x": must be ...`.
    pub(crate) message: String,
    /// For example `spec.replicas`.
    pub(crate) field: String,
}

impl Cause {
    pub(crate) fn new(
        reason: impl Into<String>,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { reason: reason.into(), message: message.into(), field: field.into() }
    }

    /// `Invalid value: VALUE: detail`.
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {value}: {detail}"))
    }

    /// `Required value[: detail]`.
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        let colon = if detail.is_empty() { "" } else { ": " };
        Self::new("FieldValueRequired", field, format!("Required value{colon}{detail}"))
    }

    /// `Forbidden: detail`.
    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {detail}"))
    }
}

/// A request that the server refuses, and how it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// HTTP status code.
    pub(crate) code: u16,
    /// Machine-readable reason; empty if there is none.
    pub(crate) reason: String,
    /// Text for people.
    pub(crate) message: String,
    /// `status.details`, if any.
    pub(crate) details: Option<Value>,
    /// Seconds for the `Retry-After` header.
    pub(crate) retry_after_s: Option<u32>,
    /// A token to go on with, on an expired list.
    pub(crate) continue_token: Option<String>,
}

impl ApiError {
    /// A refusal without details.
    pub(crate) fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            message: message.into(),
            details: None,
            retry_after_s: None,
            continue_token: None,
        }
    }

    /// The same with `details` about a named object.
    #[must_use]
    pub(crate) fn about(mut self, group: &str, resource_or_kind: &str, name: &str) -> Self {
        let mut details = Map::new();
        if !name.is_empty() {
            details.insert("name".to_owned(), json!(name));
        }
        if !group.is_empty() {
            details.insert("group".to_owned(), json!(group));
        }
        details.insert("kind".to_owned(), json!(resource_or_kind));
        self.details = Some(Value::Object(details));
        self
    }

    /// The same with empty details, as some of the server's layers answer.
    #[must_use]
    fn without_details(mut self) -> Self {
        self.details = Some(json!({}));
        self
    }

    /// The same with causes.
    #[must_use]
    pub(crate) fn with_causes(mut self, causes: &[Cause]) -> Self {
        let list: Vec<Value> = causes
            .iter()
            .map(|c| {
                let mut cause = Map::new();
                if !c.reason.is_empty() {
                    cause.insert("reason".to_owned(), json!(c.reason));
                }
                cause.insert("message".to_owned(), json!(c.message));
                if !c.field.is_empty() {
                    cause.insert("field".to_owned(), json!(c.field));
                }
                Value::Object(cause)
            })
            .collect();
        let details = self.details.get_or_insert_with(|| json!({}));
        details["causes"] = Value::Array(list);
        self
    }

    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 404 of a named object.
    pub(crate) fn not_found(info: &ResourceInfo, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", info.qualified())).about(
            &info.group,
            &info.plural,
            name,
        )
    }

    /// 404 of a path that nothing serves.
    pub(crate) fn unknown_path() -> Self {
        let mut error =
            Self::new(404, "NotFound", "the server could not find the requested resource");
        error.details = Some(json!({}));
        error
    }

    /// 409 of a create whose name is taken.
    pub(crate) fn already_exists(info: &ResourceInfo, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", info.qualified()))
            .about(&info.group, &info.plural, name)
    }

    /// 409 of an update, delete or apply: `Operation cannot be fulfilled on ...: why`.
    pub(crate) fn conflict(info: &ResourceInfo, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", info.qualified());
        Self::new(409, "Conflict", message).about(&info.group, &info.plural, name)
    }

    /// 409 of a stale resourceVersion.
    pub(crate) fn modified(info: &ResourceInfo, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(info, name, why)
    }

    /// 403: `RESOURCE "NAME" is forbidden: why`.
    pub(crate) fn forbidden(info: &ResourceInfo, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{} is forbidden: {why}", info.qualified())
        } else {
            format!("{} \"{name}\" is forbidden: {why}", info.qualified())
        };
        Self::new(403, "Forbidden", message).about(&info.group, &info.plural, name)
    }

    /// 422 with one cause per broken field.
    pub(crate) fn invalid(info: &ResourceInfo, name: &str, causes: &[Cause]) -> Self {
        // Both Event APIs are validated as the stored form.
        let group = if info.plural == "events" { "" } else { info.group.as_str() };
        Self::invalid_kind(group, &info.kind, name, causes)
    }

    /// 422 of an object or an options kind.
    pub(crate) fn invalid_kind(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let texts: Vec<String> = causes
            .iter()
            .map(|c| {
                if c.field.is_empty() {
                    c.message.clone()
                } else {
                    format!("{}: {}", c.field, c.message)
                }
            })
            .collect();
        let mut seen = std::collections::BTreeSet::new();
        let texts: Vec<String> = texts.into_iter().filter(|t| seen.insert(t.clone())).collect();
        let list = match texts.as_slice() {
            [] => String::new(),
            [one] => format!(": {one}"),
            many => format!(": [{}]", many.join(", ")),
        };
        Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid{list}"))
            .about(group, kind, name)
            .with_causes(causes)
    }

    /// 405.
    pub(crate) fn method_not_allowed() -> Self {
        let mut error = Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        );
        error.details = Some(json!({}));
        error
    }

    /// 410: the requested history is gone.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 415.
    pub(crate) fn unsupported_media_type(accepted: &str) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 {accepted}"
            ),
        )
    }

    /// 406.
    pub(crate) fn not_acceptable() -> Self {
        Self::new(
            406,
            "NotAcceptable",
            "406: Not Acceptable\n\nAvailable representations: application/json",
        )
        .without_details()
    }

    /// 413.
    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit_bytes}"),
        )
    }

    /// The `Status` object.
    pub(crate) fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        if let Some(token) = &self.continue_token {
            status["metadata"]["continue"] = json!(token);
        }
        if let Some(seconds) = self.retry_after_s {
            status["details"]["retryAfterSeconds"] = json!(seconds);
        }
        status
    }

    /// The whole answer.
    pub(crate) fn to_response(&self) -> Response<Bytes> {
        let mut response = json_response(self.code, &self.to_status());
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A JSON answer.
pub(crate) fn json_response(code: u16, value: &Value) -> Response<Bytes> {
    let bytes = serde_json::to_vec(value).expect("a JSON value always serialises");
    bytes_response(code, Bytes::from(bytes))
}

/// A JSON answer whose bytes exist already.
pub(crate) fn bytes_response(code: u16, bytes: Bytes) -> Response<Bytes> {
    let mut response = Response::new(bytes);
    *response.status_mut() = StatusCode::from_u16(code).expect("codes are constants of this crate");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
