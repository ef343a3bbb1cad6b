//! Which fields the built-in kinds have, and of which types.
//!
//! Read from the schemas of `k8s-openapi`, so that a misspelt field of a client is noticed here as
//! it is by a real server, and so that what Go's `omitempty` drops is dropped.

mod check;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use k8s_openapi::api;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

pub(crate) use check::{Problem, check, drop_empty, drop_unknown};

/// A type.
#[derive(Debug)]
pub(crate) enum Type {
    /// Declared fields; `required` ones are kept when empty.
    Struct { fields: BTreeMap<String, Arc<Type>>, required: Vec<String> },
    /// Free keys.
    Map(Arc<Type>),
    /// Items.
    List(Arc<Type>),
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A quantity or a port: text or number.
    TextOrNumber,
    /// Anything.
    Any,
}

fn read<T: JsonSchema>() -> Type {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let root = generator.into_root_schema_for::<T>().to_value();
    let definitions = root.get("$defs").cloned().unwrap_or(Value::Null);
    let mut known = BTreeMap::new();
    convert(&root, &definitions, &mut known)
}

/// Recursive types (JSON schemas in CRDs) are anything from their second appearance on.
fn convert(
    schema: &Value,
    definitions: &Value,
    known: &mut BTreeMap<String, Option<Arc<Type>>>,
) -> Type {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.trim_start_matches("#/$defs/").to_owned();
        return match known.get(&name) {
            Some(Some(found)) => shallow(found),
            Some(None) => Type::Any,
            None => {
                known.insert(name.clone(), None);
                let pointer = definitions.get(&name).cloned().unwrap_or(Value::Null);
                let found = Arc::new(convert(&pointer, definitions, known));
                known.insert(name, Some(Arc::clone(&found)));
                shallow(&found)
            }
        };
    }
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return Type::TextOrNumber;
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => object(schema, definitions, known),
        Some("array") => {
            let item = schema.get("items").unwrap_or(&Value::Null);
            Type::List(Arc::new(convert(item, definitions, known)))
        }
        Some("string") => Type::Text,
        Some("integer") => Type::Integer,
        Some("number") => Type::Number,
        Some("boolean") => Type::Boolean,
        _ => Type::Any,
    }
}

fn object(
    schema: &Value,
    definitions: &Value,
    known: &mut BTreeMap<String, Option<Arc<Type>>>,
) -> Type {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let fields = properties
            .iter()
            .map(|(name, field)| (name.clone(), Arc::new(convert(field, definitions, known))))
            .collect();
        let required = schema.get("required").and_then(Value::as_array);
        let required = required.into_iter().flatten();
        let required = required.filter_map(|r| r.as_str().map(str::to_owned)).collect();
        return Type::Struct { fields, required };
    }
    match schema.get("additionalProperties") {
        Some(item @ Value::Object(_)) => Type::Map(Arc::new(convert(item, definitions, known))),
        _ => Type::Any,
    }
}

/// A copy that shares what is below.
fn shallow(found: &Arc<Type>) -> Type {
    match found.as_ref() {
        Type::Struct { fields, required } => {
            Type::Struct { fields: fields.clone(), required: required.clone() }
        }
        Type::Map(item) => Type::Map(Arc::clone(item)),
        Type::List(item) => Type::List(Arc::clone(item)),
        Type::Text => Type::Text,
        Type::Integer => Type::Integer,
        Type::Number => Type::Number,
        Type::Boolean => Type::Boolean,
        Type::TextOrNumber => Type::TextOrNumber,
        Type::Any => Type::Any,
    }
}

macro_rules! kinds {
    ($kind:expr, $($name:literal => $type:ty),* $(,)?) => {
        match $kind {
            $($name => {
                static TYPE: OnceLock<Type> = OnceLock::new();
                Some(TYPE.get_or_init(read::<$type>))
            })*
            _ => None,
        }
    };
}

/// Metadata is typed in custom resources too.
pub(crate) fn drop_empty_metadata(value: &mut Value) {
    let Some(Type::Struct { fields, .. }) = of("ConfigMap") else { return };
    if let (Some(of), Some(metadata)) = (fields.get("metadata"), value.get_mut("metadata")) {
        drop_empty(metadata, of);
    }
}

/// The type of a built-in kind in its stored form.
pub(crate) fn of(kind: &str) -> Option<&'static Type> {
    kinds!(kind,
        "ConfigMap" => api::core::v1::ConfigMap,
        "Event" => api::core::v1::Event,
        "Namespace" => api::core::v1::Namespace,
        "Node" => api::core::v1::Node,
        "PersistentVolumeClaim" => api::core::v1::PersistentVolumeClaim,
        "Pod" => api::core::v1::Pod,
        "Secret" => api::core::v1::Secret,
        "Service" => api::core::v1::Service,
        "ServiceAccount" => api::core::v1::ServiceAccount,
        "ValidatingAdmissionPolicy" => api::admissionregistration::v1::ValidatingAdmissionPolicy,
        "ValidatingAdmissionPolicyBinding" =>
            api::admissionregistration::v1::ValidatingAdmissionPolicyBinding,
        "CustomResourceDefinition" => extensions::CustomResourceDefinition,
        "Deployment" => api::apps::v1::Deployment,
        "ReplicaSet" => api::apps::v1::ReplicaSet,
        "Job" => api::batch::v1::Job,
        "Lease" => api::coordination::v1::Lease,
        "NetworkPolicy" => api::networking::v1::NetworkPolicy,
        "PodDisruptionBudget" => api::policy::v1::PodDisruptionBudget,
        "ClusterRole" => api::rbac::v1::ClusterRole,
        "ClusterRoleBinding" => api::rbac::v1::ClusterRoleBinding,
        "Role" => api::rbac::v1::Role,
        "RoleBinding" => api::rbac::v1::RoleBinding,
        "StorageClass" => api::storage::v1::StorageClass,
    )
}
