//! Names of objects and annotations, and what is read from an object.
//!
//! Objects are named `Kind/namespace/name` throughout.

use serde_json::Value;

/// Decimal stamp of the decision that an object's content comes from.
pub(crate) const STAMP: &str = "rynxs.universe.ai/stamp";
/// Identity of the log that holds the decision.
pub(crate) const LOG: &str = "rynxs.universe.ai/log";
/// `true` on an object that a decision deletes.
pub(crate) const DELETING: &str = "rynxs.universe.ai/deleting";
/// On a workspace that outlives its Agent.
pub(crate) const RETAINED_FOR: &str = "rynxs.universe.ai/retained-for";

/// Kinds whose objects a stamp fences.
pub(crate) const MANAGED: [&str; 5] =
    ["ConfigMap", "PersistentVolumeClaim", "Deployment", "NetworkPolicy", "Job"];

/// Label of what the operator manages.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

const ANCHOR: &str = "rynxs-log-";
const ANCHOR_DIGITS: usize = 32;

/// The kind of `Kind/namespace/name`.
pub(crate) fn kind_of(object: &str) -> &str {
    object.split('/').next().unwrap_or_default()
}

/// The parts of `Kind/namespace/name`.
pub(crate) fn parts(object: &str) -> Option<(&str, &str, &str)> {
    let mut parts = object.splitn(3, '/');
    Some((parts.next()?, parts.next()?, parts.next()?))
}

/// The ConfigMap that repeats a log's size outside of the log: not under the write rules.
pub(crate) fn is_anchor(object: &str) -> bool {
    parts(object).is_some_and(|(kind, _, name)| {
        let digits = name.strip_prefix(ANCHOR).unwrap_or_default();
        kind == "ConfigMap"
            && digits.len() == ANCHOR_DIGITS
            && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// Whether writes to this object are fenced by stamps.
pub(crate) fn is_managed(object: &str) -> bool {
    let kind = kind_of(object);
    MANAGED.contains(&kind) && !(kind == "ConfigMap" && is_anchor(object))
}

/// The only Agent or Session that an object of this name can belong to.
pub(crate) fn subject_of(object: &str) -> Option<String> {
    let (kind, namespace, name) = parts(object)?;
    let (stem, suffix) = name.rsplit_once('-')?;
    let owner = match (kind, suffix) {
        ("ConfigMap", "spec")
        | ("NetworkPolicy" | "Deployment", "runtime")
        | ("PersistentVolumeClaim", "workspace") => "Agent",
        ("ConfigMap", "input") | ("NetworkPolicy", "session") | ("Job", "run") => "Session",
        _ => return None,
    };
    (!stem.is_empty()).then(|| format!("{owner}/{namespace}/{stem}"))
}

/// The objects of an Agent or Session, in the order in which they are written.
pub(crate) fn children_of(subject: &str) -> Vec<String> {
    let Some((kind, namespace, name)) = parts(subject) else { return Vec::new() };
    let children: &[(&str, &str)] = match kind {
        "Agent" => &[
            ("ConfigMap", "spec"),
            ("NetworkPolicy", "runtime"),
            ("PersistentVolumeClaim", "workspace"),
            ("Deployment", "runtime"),
        ],
        "Session" => &[("ConfigMap", "input"), ("NetworkPolicy", "session"), ("Job", "run")],
        _ => &[],
    };
    children.iter().map(|(kind, suffix)| format!("{kind}/{namespace}/{name}-{suffix}")).collect()
}

/// A field of a field; unlike `Value::pointer` it builds no text on its way.
fn at<'a>(value: &'a Value, part: &str, field: &str) -> Option<&'a Value> {
    value.get(part)?.get(field)
}

/// An annotation.
pub(crate) fn annotation<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    at(value, "metadata", "annotations")?.get(name)?.as_str()
}

/// Whether it has the label by which the operator finds what is its own.
pub(crate) fn is_labelled(value: &Value) -> bool {
    let label = at(value, "metadata", "labels").and_then(|all| all.get(MANAGED_BY));
    label.is_some_and(|by| by == "rynxs")
}

/// The stamp, if it is one.
pub(crate) fn stamp_of(value: &Value) -> Option<u64> {
    annotation(value, STAMP)?.parse().ok()
}

/// Whether a decision has marked it for deletion.
pub(crate) fn is_marked(value: &Value) -> bool {
    annotation(value, DELETING) == Some("true")
}

/// Whether its deletion has begun.
pub(crate) fn is_deleting(value: &Value) -> bool {
    at(value, "metadata", "deletionTimestamp").is_some_and(|time| !time.is_null())
}

/// Whether a deletion waits for something that is not the operator's: a claim that was deleted goes
/// only when no pod uses it any more, and nobody can take the deletion back.
pub(crate) fn is_held(value: &Value) -> bool {
    let finalizers = value.pointer("/metadata/finalizers").and_then(Value::as_array);
    finalizers.is_some_and(|all| all.iter().any(|one| one == "kubernetes.io/pvc-protection"))
}

/// `metadata.uid`.
pub(crate) fn uid_of(value: &Value) -> &str {
    at(value, "metadata", "uid").and_then(Value::as_str).unwrap_or_default()
}

/// `metadata.generation`.
pub(crate) fn generation(value: &Value) -> i64 {
    at(value, "metadata", "generation").and_then(Value::as_i64).unwrap_or_default()
}

/// The uid of its first owner.
pub(crate) fn owner_uid(value: &Value) -> Option<&str> {
    at(value, "metadata", "ownerReferences")?.get(0)?.get("uid")?.as_str()
}

/// Whether it runs nothing: no replicas, or suspended. Only Deployments and Jobs run anything.
pub(crate) fn is_inert(kind: &str, value: &Value) -> bool {
    match kind {
        "Deployment" => at(value, "spec", "replicas").and_then(Value::as_i64) == Some(0),
        "Job" => at(value, "spec", "suspend").and_then(Value::as_bool) == Some(true),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_child_leads_back_to_its_owner() {
        for subject in ["Agent/ns/a-spec", "Session/ns/run"] {
            for child in children_of(subject) {
                assert_eq!(subject_of(&child).as_deref(), Some(subject));
                assert!(is_managed(&child));
            }
        }
        assert_eq!(subject_of("Job/ns/x-runtime"), None);
        assert_eq!(subject_of("ConfigMap/ns/-spec"), None);
    }

    #[test]
    fn only_the_logs_repetition_is_an_anchor() {
        assert!(is_anchor("ConfigMap/rynxs/rynxs-log-000102030405060708090a0b0c0d0e0f"));
        assert!(!is_anchor("ConfigMap/rynxs/rynxs-log-00"));
        assert!(!is_anchor("Job/rynxs/rynxs-log-000102030405060708090a0b0c0d0e0f"));
    }
}
