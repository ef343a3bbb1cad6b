//! `/version`, `/healthz`, `/api`, `/apis`, `/openapi`: what the server says of itself.

use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::registry::Registry;

/// Answers a GET of a path that is no resource, if this module knows it.
pub(crate) fn answer(
    _registry: &Registry,
    _path: &str,
    _headers: &HeaderMap,
) -> Option<Response<Bytes>> {
    None
}
