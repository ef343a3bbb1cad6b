//! Server-side apply and field ownership.
//!
//! Source: KEP-555 and structured-merge-diff `merge/update.go`. An applier owns exactly the fields
//! of its last configuration; a field that it leaves out is removed unless somebody else owns it;
//! changing a field that another one owns is a conflict unless forced.

mod fieldset;
mod managed;
mod strategic;
mod typed;

use serde_json::Value;

pub(crate) use fieldset::FieldSet;
pub(crate) use managed::{Manager, Owned, Owners};
pub(crate) use strategic::patch as strategic_patch;

use crate::object::meta;
use crate::shape::Shape;
use crate::status_error::{ApiError, Cause};

/// Whose fields a request's endpoint cannot set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// Everything can be set.
    Nothing,
    /// The main endpoint of a resource with a status endpoint.
    Status,
    /// The status endpoint of a custom resource.
    Spec,
    /// The status endpoint of a built-in kind.
    SpecAndLabels,
}

/// Fields that nobody owns.
const UNOWNED_METADATA: [&str; 9] = [
    "f:name",
    "f:namespace",
    "f:creationTimestamp",
    "f:selfLink",
    "f:uid",
    "f:clusterName",
    "f:generation",
    "f:managedFields",
    "f:resourceVersion",
];

fn strip(set: &mut FieldSet, reset: Reset) {
    set.cut(&["f:apiVersion"]);
    set.cut(&["f:kind"]);
    for name in UNOWNED_METADATA {
        set.cut(&["f:metadata", name]);
    }
    set.leave("f:metadata");
    match reset {
        Reset::Nothing => {}
        Reset::Status => set.cut(&["f:status"]),
        // Metadata is tracked though the endpoint does not store it.
        Reset::Spec => set.cut(&["f:spec"]),
        Reset::SpecAndLabels => {
            set.cut(&["f:spec"]);
            set.cut(&["f:metadata", "f:labels"]);
        }
    }
}

/// A configuration without what the endpoint ignores.
fn without_reset(config: &Value, reset: Reset) -> Value {
    let mut config = config.clone();
    if let Some(fields) = config.as_object_mut() {
        match reset {
            Reset::Nothing => {}
            Reset::Status => {
                fields.remove("status");
            }
            Reset::Spec | Reset::SpecAndLabels => {
                fields.remove("spec");
            }
        }
    }
    config
}

/// Who writes, and when.
pub(crate) struct Writer<'a> {
    /// The entry that gets the fields.
    pub(crate) manager: Manager,
    /// Version that the fields are in.
    pub(crate) api_version: &'a str,
    /// Now, as metadata prints it.
    pub(crate) time: &'a str,
    /// Which fields the endpoint ignores.
    pub(crate) reset: Reset,
}

/// Merges a configuration into the live object and updates the ownership in it; `owners` is whose
/// the fields of the live object are.
pub(crate) fn apply(
    live: &Value,
    mut owners: Owners,
    config: &Value,
    shape: &Shape,
    writer: Writer<'_>,
    force: bool,
) -> Result<(Value, Owners), ApiError> {
    let (whole, config) = (config, &without_reset(config, writer.reset));
    let configured = typed::fields_of(config, shape);
    let mut wanted = configured.clone();
    strip(&mut wanted, writer.reset);
    if owners.entries.is_empty() && meta(live, "uid").is_some() {
        let set = before_first_apply(live, shape, writer.reset);
        owners.entries.insert(
            Manager::updater("before-first-apply", writer.api_version, &writer.manager.subresource),
            Owned::new(set, writer.api_version, writer.time.to_owned()),
        );
    }
    let last = owners.entries.remove(&writer.manager);
    let merged = typed::merge(live, config, shape);
    let pruned = match &last {
        Some(last) => prune(merged, last.set(), &configured, &owners, shape),
        None => merged,
    };
    let changes = typed::difference(Some(live), Some(&pruned), shape);
    // An apply that changes no value, nor an order, leaves no time, only ownership; fields that the
    // endpoint ignores count here.
    let time = if pruned == *live && typed::merge(live, whole, shape) == *live {
        last.map(|last| last.time).unwrap_or_default()
    } else {
        writer.time.to_owned()
    };
    let touched = changes.modified.union(changes.added);
    let mut conflicts = Vec::new();
    for (manager, owned) in &mut owners.entries {
        let contested = owned.lose(&touched);
        if !contested.is_empty() {
            conflicts.push((manager.clone(), contested));
        }
        owned.lose(&changes.removed);
    }
    if !force && !conflicts.is_empty() {
        return Err(conflict_error(&conflicts));
    }
    owners.entries.insert(writer.manager, Owned::new(wanted, writer.api_version, time));
    let mut object = pruned;
    owners.write(&mut object);
    Ok((object, owners))
}

/// What an object whose fields nobody owned until now has.
fn before_first_apply(live: &Value, shape: &Shape, reset: Reset) -> FieldSet {
    let mut set = typed::difference(None, Some(live), shape).added;
    strip(&mut set, reset);
    set
}

/// Takes out what the applier owned alone and no longer sets.
///
/// `wanted` still has the name, which keeps `metadata` itself from being taken out.
fn prune(
    merged: Value,
    last: &FieldSet,
    wanted: &FieldSet,
    owners: &Owners,
    shape: &Shape,
) -> Value {
    if last.difference(wanted).is_empty() {
        return merged;
    }
    let mut owned_now = wanted.clone();
    for owned in owners.entries.values() {
        owned_now = owned_now.union(owned.set().clone());
    }
    let last = last.with_named_parents(shape);
    let owned_now = owned_now.with_named_parents(shape);
    let doomed = last.difference(&owned_now);
    typed::remove(&merged, &doomed, shape).unwrap_or(merged)
}

fn conflict_error(conflicts: &[(Manager, FieldSet)]) -> ApiError {
    let mut causes = Vec::new();
    let mut parts = Vec::new();
    for (manager, set) in conflicts {
        let paths = set.paths();
        for path in &paths {
            let message = format!("conflict with {}", manager.text());
            causes.push(Cause::new("FieldManagerConflict", path.clone(), message));
        }
        parts.push((manager.text(), paths));
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(manager, paths)| match paths.as_slice() {
            [one] if causes.len() == 1 => format!("conflict with {manager}: {one}"),
            many => format!("conflicts with {manager}:\n- {}", many.join("\n- ")),
        })
        .collect();
    let plural = if causes.len() == 1 { "conflict" } else { "conflicts" };
    let message = format!("Apply failed with {} {plural}: {}", causes.len(), parts.join("\n"));
    ApiError::new(409, "Conflict", message).with_causes(&causes)
}

/// Gives the fields that an update changes to its manager, and says whose fields are whose now.
/// `live` is the object before and whose its fields were, `empty` what a built-in object looks like
/// with nothing in it, to compare a new one with.
pub(crate) fn track_update(
    live: Option<(&Value, &Owners)>,
    empty: Option<&Value>,
    object: &mut Value,
    shape: &Shape,
    writer: Writer<'_>,
) -> Owners {
    let mut owners = live.map(|(_, owners)| owners.clone()).unwrap_or_default();
    if live.is_some() && owners.entries.is_empty() {
        // Ownership is tracked from creation on, or from the first apply on, or not at all.
        return owners;
    }
    let before = live.map(|(value, _)| value).or(empty);
    let mut changes = match writer.reset {
        Reset::Nothing | Reset::Status => typed::difference(before, Some(object), shape),
        // Whatever changed there is nobody's.
        Reset::Spec | Reset::SpecAndLabels => {
            typed::difference_but("spec", before, Some(object), shape)
        }
    };
    let mut touched = changes.modified.union(changes.added);
    strip(&mut touched, writer.reset);
    strip(&mut changes.removed, writer.reset);
    for owned in owners.entries.values_mut() {
        owned.lose(&changes.removed);
    }
    for (manager, owned) in &mut owners.entries {
        if *manager != writer.manager {
            owned.lose(&touched);
        }
    }
    if !touched.is_empty() {
        let before = owners.entries.remove(&writer.manager);
        let set = before.map(|owned| owned.set().clone()).unwrap_or_default().union(touched);
        let owned = Owned::new(set, writer.api_version, writer.time.to_owned());
        owners.entries.insert(writer.manager, owned);
    }
    owners.write(object);
    owners
}
