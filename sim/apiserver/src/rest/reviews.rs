//! Questions that are sent as objects and stored nowhere: who am I, may I do this.

use serde_json::{Value, json};

use super::Call;
use super::reply::{Reply, Shown};
use crate::rbac::Access;
use crate::server::User;
use crate::status_error::ApiError;

/// Answers a POST of a review.
pub(super) fn answer(call: &mut Call<'_>) -> Result<Reply, ApiError> {
    let mut body: Value = serde_json::from_slice(&call.body)
        .map_err(|e| ApiError::bad_request(format!("error decoding the review: {e}")))?;
    if !body.is_object() {
        return Err(ApiError::bad_request("error decoding the review: not an object"));
    }
    body["apiVersion"] = json!(call.target.info.api_version());
    body["kind"] = json!(call.target.info.kind);
    body["metadata"] = json!({"creationTimestamp": null});
    let status = match call.target.info.kind.as_str() {
        "SelfSubjectReview" => {
            json!({"userInfo": {"username": call.user.name, "groups": call.user.groups}})
        }
        "SelfSubjectAccessReview" => {
            let user = call.user.clone();
            allowed(call, &user, &body)
        }
        _ => {
            let mut user = User::new(text(&body, "/spec/user"));
            let groups = body.pointer("/spec/groups").and_then(Value::as_array);
            user.groups
                .extend(groups.into_iter().flatten().filter_map(|g| g.as_str().map(str::to_owned)));
            allowed(call, &user, &body)
        }
    };
    body["status"] = status;
    Ok(Reply { code: 201, shown: Shown::Plain(body), warnings: Vec::new() })
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn allowed(call: &Call<'_>, user: &User, body: &Value) -> Value {
    let attribute = |name: &str| text(body, &format!("/spec/resourceAttributes/{name}"));
    let resource = match attribute("subresource") {
        "" => attribute("resource").to_owned(),
        sub => format!("{}/{sub}", attribute("resource")),
    };
    let rbac = &call.cluster.rbac;
    let yes = if !call.cluster.options.rbac {
        true
    } else if body.pointer("/spec/nonResourceAttributes").is_some() {
        let verb = text(body, "/spec/nonResourceAttributes/verb");
        let path = text(body, "/spec/nonResourceAttributes/path");
        rbac.permits_path(&user.name, &user.groups, verb, path)
    } else {
        rbac.permits(&Access {
            user: &user.name,
            groups: &user.groups,
            verb: attribute("verb"),
            group: attribute("group"),
            resource: &resource,
            namespace: attribute("namespace"),
            name: attribute("name"),
        })
    };
    json!({"allowed": yes})
}
