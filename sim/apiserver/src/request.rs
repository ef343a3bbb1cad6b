//! What a request asks for: its target, its query, the media types it takes.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use http::header::ACCEPT;

use crate::registry::Registry;
use crate::resource::ResourceInfo;
use crate::status_error::ApiError;

/// The resource, and perhaps the object, that a path names.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) info: Arc<ResourceInfo>,
    /// Empty for cluster-scoped resources and for all namespaces.
    pub(crate) namespace: String,
    /// Empty for collections.
    pub(crate) name: String,
    /// `status`, or empty.
    pub(crate) subresource: String,
}

impl Target {
    /// Key of the named object in its collection.
    pub(crate) fn key(&self) -> (String, String) {
        (self.namespace.clone(), self.name.clone())
    }
}

/// What a path is.
pub(crate) enum Path {
    /// A resource's.
    Resource(Target),
    /// Something else: discovery, health, or nothing.
    Other,
}

/// Resolves a path. Unknown resources of known shape are [`Path::Other`].
pub(crate) fn resolve(registry: &Registry, path: &str) -> Path {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Path::Other,
    };
    let (namespace, plural, name, subresource) = match rest {
        ["namespaces", namespace, plural, tail @ ..]
            if !matches!(*plural, "status" | "finalize") =>
        {
            match tail {
                [] => (*namespace, *plural, "", ""),
                [name] => (*namespace, *plural, *name, ""),
                [name, sub] => (*namespace, *plural, *name, *sub),
                _ => return Path::Other,
            }
        }
        [plural] => ("", *plural, "", ""),
        [plural, name] => ("", *plural, *name, ""),
        [plural, name, sub] => ("", *plural, *name, *sub),
        _ => return Path::Other,
    };
    let Some(info) = registry.get(group, version, plural) else { return Path::Other };
    if info.namespaced == namespace.is_empty() && !(namespace.is_empty() && name.is_empty()) {
        return Path::Other;
    }
    let known = match subresource {
        "" => true,
        "status" => info.has_status,
        "finalize" => info.plural == "namespaces" && info.group.is_empty(),
        _ => false,
    };
    if !known {
        return Path::Other;
    }
    Path::Resource(Target {
        info: Arc::clone(info),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
    })
}

/// Query parameters; of repeated ones the first counts, as in Go's `Get`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            map.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Self(map)
    }

    /// The first value, empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).and_then(|v| v.first()).map_or("", String::as_str)
    }

    /// All values.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Go's idea of a boolean parameter: present and neither `0` nor `false`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        match self.0.get(name).and_then(|v| v.first()) {
            None => false,
            Some(text) => !matches!(text.to_lowercase().as_str(), "0" | "false"),
        }
    }

    /// A boolean parameter that may be absent.
    pub(crate) fn flag_if_given(&self, name: &str) -> Option<bool> {
        self.0.contains_key(name).then(|| self.flag(name))
    }

    /// A number, 400 if it is none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                let syntax = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
                ApiError::bad_request(if name == "resourceVersion" {
                    format!(
                        "invalid resource version: resourceVersion: Invalid value: {text:?}: {syntax}"
                    )
                } else {
                    syntax
                })
            }),
        }
    }
}

/// How the client wants objects printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Object,
    /// `meta.k8s.io/v1` Table.
    Table,
    /// `meta.k8s.io/v1` PartialObjectMetadata.
    Metadata,
}

/// Chooses among the accepted media types in the client's order; 406 if none can be served.
pub(crate) fn negotiate(headers: &HeaderMap) -> Result<Form, ApiError> {
    let accept: Vec<&str> =
        headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let accept = accept.join(",");
    if accept.trim().is_empty() {
        return Ok(Form::Object);
    }
    for entry in accept.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        if !matches!(media, "application/json" | "*/*" | "application/*") {
            continue;
        }
        let mut form = Some(Form::Object);
        for parameter in parts {
            match parameter.split_once('=') {
                Some(("as", "Table")) => form = Some(Form::Table),
                Some(("as", "PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                    form = Some(Form::Metadata);
                }
                Some(("as", _)) => form = None,
                Some(("v", version)) if version != "v1" => form = None,
                _ => {}
            }
            if form.is_none() {
                break;
            }
        }
        if let Some(form) = form {
            return Ok(form);
        }
    }
    Err(ApiError::not_acceptable())
}

/// The media type of a body, without parameters; JSON if the client does not say.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let text = headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    match text.split(';').next().unwrap_or("").trim() {
        "" => "application/json".to_owned(),
        media => media.to_ascii_lowercase(),
    }
}
