//! Answers in the form that the client wants.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, Response, header};
use serde_json::{Value, json};

use super::Call;
use crate::convert;
use crate::object::Object;
use crate::request::Form;
use crate::server::Body;
use crate::status_error::{bytes_response, json_response};
use crate::table;
use crate::watch::Watch;

/// What an answer shows.
pub(super) enum Shown {
    /// A stored object.
    Stored(Arc<Object>),
    /// An object in stored form that is not stored (dry runs).
    Loose(Value),
    /// A Status, or another object that has one form only.
    Plain(Value),
}

/// An answer before it is printed.
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) shown: Shown,
    pub(super) warnings: Vec<String>,
}

impl Reply {
    pub(super) fn ok(shown: Shown) -> Self {
        Self { code: 200, shown, warnings: Vec::new() }
    }
}

/// Prints an answer.
pub(super) fn print(call: &Call<'_>, reply: &Reply) -> Response<Bytes> {
    let info = &call.target.info;
    let mut response = match (&reply.shown, call.form) {
        (Shown::Plain(value), _) => json_response(reply.code, value),
        (Shown::Stored(object), Form::Object) => {
            bytes_response(reply.code, convert::bytes(info, object))
        }
        (Shown::Loose(value), Form::Object) => {
            json_response(reply.code, &convert::from_storage(info, value))
        }
        (Shown::Stored(object), form) => {
            json_response(reply.code, &shaped(call, &object.value, form))
        }
        (Shown::Loose(value), form) => json_response(reply.code, &shaped(call, value, form)),
    };
    for warning in &reply.warnings {
        let text = format!("299 - {warning:?}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

fn shaped(call: &Call<'_>, value: &Value, form: Form) -> Value {
    let info = &call.target.info;
    match form {
        Form::Table => {
            let shown = convert::from_storage(info, value);
            table::render(info, &shown, call.cluster.now_ms, call.query.get("includeObject"))
        }
        Form::Metadata => partial(value),
        Form::Object => convert::from_storage(info, value).into_owned(),
    }
}

/// `PartialObjectMetadata` of an object.
pub(super) fn partial(value: &Value) -> Value {
    json!({
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": value.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

/// The answer that carries a watch.
pub(super) fn watch(stream: Watch) -> Response<Body> {
    let mut response = Response::new(Body::Watch(stream.boxed()));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
