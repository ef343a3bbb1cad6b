//! Authentication and authorisation.

use http::{HeaderMap, Method};

use super::Call;
use crate::rbac::{Access, selected_name};
use crate::request::{Query, Target};
use crate::server::{Cluster, User};
use crate::status_error::ApiError;

const ADMINS: &str = "system:masters";

/// Who sends the request; 401 for an unknown token.
pub(super) fn authenticate(cluster: &Cluster, headers: &HeaderMap) -> Result<User, ApiError> {
    let user = match headers.get(http::header::AUTHORIZATION).and_then(|v| v.to_str().ok()) {
        None => User::admin(),
        Some(value) => value
            .strip_prefix("Bearer ")
            .and_then(|token| cluster.options.tokens.get(token.trim()))
            .cloned()
            .ok_or_else(|| ApiError::new(401, "Unauthorized", "Unauthorized"))?,
    };
    let text = |v: &http::HeaderValue| v.to_str().map(str::to_owned).unwrap_or_default();
    let Some(name) = headers.get("impersonate-user").map(text) else { return Ok(user) };
    if !is_admin(&user) {
        let message = format!(
            "users {name:?} is forbidden: User {:?} cannot impersonate resource \"users\" in API \
             group \"\" at the cluster scope",
            user.name
        );
        return Err(ApiError::new(403, "Forbidden", message));
    }
    let mut impersonated = User::new(&name);
    impersonated.groups.extend(headers.get_all("impersonate-group").iter().map(text));
    Ok(impersonated)
}

fn is_admin(user: &User) -> bool {
    user.groups.iter().any(|g| g == ADMINS)
}

/// The verb of a request, or `None` if the method does not exist there.
pub(super) fn verb(method: &Method, target: &Target, query: &Query) -> Option<&'static str> {
    let named = !target.name.is_empty();
    match (method.as_str(), named) {
        ("GET", true) => Some("get"),
        ("GET", false) if query.flag("watch") => Some("watch"),
        ("GET", false) => Some("list"),
        ("POST", false) => Some("create"),
        ("PUT", true) => Some("update"),
        ("PATCH", true) => Some("patch"),
        ("DELETE", true) => Some("delete"),
        ("DELETE", false) => Some("deletecollection"),
        _ => None,
    }
}

/// 403 unless the user may do what the request asks for.
pub(super) fn authorize_verb(call: &mut Call<'_>) -> Result<(), ApiError> {
    // A list or watch of one name counts as naming it.
    let name = match call.target.name.as_str() {
        "" => selected_name(call.query.get("fieldSelector")).unwrap_or_default().to_owned(),
        name => name.to_owned(),
    };
    let verb = call.verb;
    authorize(call, verb, &name)
}

/// 403 unless the user may create the target; an apply or put that creates needs this as well.
pub(super) fn authorize_create(call: &mut Call<'_>) -> Result<(), ApiError> {
    let name = call.target.name.clone();
    authorize(call, "create", &name)
}

fn authorize(call: &mut Call<'_>, verb: &str, name: &str) -> Result<(), ApiError> {
    let target = &call.target;
    let resource = match target.subresource.as_str() {
        "" => target.info.plural.clone(),
        sub => format!("{}/{sub}", target.info.plural),
    };
    // The namespace that a request to a namespace object is in, is that namespace.
    let namespace = if target.info.group.is_empty() && target.info.plural == "namespaces" {
        target.name.as_str()
    } else {
        target.namespace.as_str()
    };
    let access = Access {
        user: &call.user.name,
        groups: &call.user.groups,
        verb,
        group: &target.info.group,
        resource: &resource,
        namespace,
        name,
    };
    if may(call.cluster, &access) {
        return Ok(());
    }
    Err(ApiError::forbidden(&target.info, name, &access.refusal()))
}

/// Whether the question is answered with yes.
pub(super) fn may(cluster: &mut Cluster, access: &Access<'_>) -> bool {
    // The controllers of the cluster itself have their own roles, which nobody loads here.
    let built_in = access.user.starts_with("system:serviceaccount:kube-system:");
    !cluster.options.rbac || built_in || cluster.rbac.allowed(access)
}

/// 403 unless the user may GET a path that is no resource.
pub(super) fn authorize_path(
    cluster: &mut Cluster,
    user: &User,
    method: &Method,
    path: &str,
) -> Result<(), ApiError> {
    let verb = method.as_str().to_lowercase();
    let allowed = !cluster.options.rbac
        || is_admin(user)
        || cluster.rbac.allowed_path(&user.name, &user.groups, &verb, path);
    if allowed {
        return Ok(());
    }
    let message = format!("forbidden: User {:?} cannot {verb} path {path:?}", user.name);
    let mut error = ApiError::new(403, "Forbidden", message);
    error.details = Some(serde_json::json!({}));
    Err(error)
}
