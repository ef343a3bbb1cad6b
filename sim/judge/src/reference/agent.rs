//! Whether an Agent has become what its spec says (I8).

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value;

use super::cluster::{Cluster, Look, condition, expect, expect_status};
use super::compare::difference;
use super::names::{
    STAMP, annotation, children_of, generation, is_deleting, is_held, is_marked, kind_of,
    owner_uid, parts, uid_of,
};
use super::quantity;
use super::spec::{agent_problem, change_problem, mode, size};
use super::wanted::{Subject, agent_document, of_agent};

/// Looks at one living Agent.
pub(super) fn look(cluster: &Cluster, agent: &str, value: &Value) -> Look {
    match check(cluster, agent, value) {
        Ok(()) => Look::default(),
        Err(missing) => Look::missing(missing),
    }
}

/// How far an object's writing got.
pub(super) enum Reach {
    /// All of them are as they must be.
    All,
    /// One cannot be written; those behind it depend on it.
    UpTo,
}

fn check(cluster: &Cluster, agent: &str, value: &Value) -> Result<(), String> {
    expect_status(value)?;
    let candidates = in_force(cluster, agent, value)?;
    if candidates.is_empty() {
        return match children_of(agent).iter().find(|child| is_ours(cluster, child)) {
            Some(child) => Err(format!("{child} is there, but no spec was ever accepted")),
            None => expect(value, "Ready", false),
        };
    }
    let mut first = None;
    for spec in &candidates {
        match written(cluster, agent, value, spec) {
            Ok(reach) => return says_so(cluster, agent, value, spec, &reach),
            Err(missing) => first = first.or(Some(missing)),
        }
    }
    // Between two looks an operator may have missed the spec that was acceptable.
    let nothing = children_of(agent).iter().all(|child| !is_ours(cluster, child));
    match first {
        Some(missing) if !(nothing && condition(value, "Accepted").is_some_and(|c| !c.0)) => {
            Err(missing)
        }
        _ => Ok(()),
    }
}

fn is_ours(cluster: &Cluster, object: &str) -> bool {
    cluster.live.get(object).is_some_and(|value| annotation(value, STAMP).is_some())
}

/// The specs that may be in force, likeliest first; none if none was ever acceptable.
///
/// # Errors
/// Condition `Accepted` is not what it must be.
fn in_force<'a>(
    cluster: &'a Cluster,
    agent: &str,
    value: &'a Value,
) -> Result<Vec<&'a Value>, String> {
    let name = parts(agent).map_or("", |(_, _, name)| name);
    let spec = &value["spec"];
    let problem = agent_problem(name, spec);
    let accepted = condition(value, "Accepted").map(|(holds, _)| holds);
    if problem.is_none() && accepted == Some(true) {
        return Ok(vec![spec]);
    }
    let mut before = earlier(cluster, name, value);
    if problem.is_none() {
        // Acceptable by itself, it is refused because of the one in force.
        before.retain(|before| change_problem(before, spec).is_some());
    }
    let conflicts = !before.is_empty();
    match (problem, accepted) {
        (Some(problem), Some(true) | None) => {
            Err(format!("Accepted is {accepted:?}, but {problem} cannot be accepted"))
        }
        (None, Some(false)) if !conflicts => {
            Err("Accepted is false, but the spec is acceptable".into())
        }
        (_, Some(false)) => Ok(before),
        _ => Err("condition Accepted is not there".into()),
    }
}

/// Earlier specs that were acceptable by themselves, newest first.
fn earlier<'a>(cluster: &'a Cluster, name: &str, value: &Value) -> Vec<&'a Value> {
    let specs = cluster.earlier.get(uid_of(value)).map_or(&[][..], Vec::as_slice);
    let specs = specs.iter().filter(|spec| generation(spec) != generation(value));
    let specs = specs.map(|value: &Arc<Value>| &value["spec"]).rev();
    specs.filter(|spec| agent_problem(name, spec).is_none()).collect()
}

/// The spec in force of an Agent that others ask about; none if there is none that is known: an
/// operator may never have seen an acceptable spec that a refused one replaced at once.
pub(super) fn spec_of<'a>(cluster: &'a Cluster, agent: &str) -> Option<&'a Value> {
    let value = cluster.live.get(agent).filter(|value| !is_deleting(value))?;
    let candidates = in_force(cluster, agent, value).ok()?;
    let accepted = condition(value, "Accepted").is_some_and(|(holds, _)| holds);
    match candidates.as_slice() {
        [only] if accepted || children_of(agent).iter().any(|c| is_ours(cluster, c)) => Some(*only),
        _ => None,
    }
}

fn written(cluster: &Cluster, agent: &str, value: &Value, spec: &Value) -> Result<Reach, String> {
    let Some((_, namespace, name)) = parts(agent) else { return Ok(Reach::All) };
    let subject = Subject { namespace, name, uid: uid_of(value), spec };
    for object in children_of(agent) {
        let want = of_agent(&subject, kind_of(&object), &cluster.settings);
        let has = match cluster.live.get(&object) {
            Some(have) if kind_of(&object) == "ConfigMap" => {
                difference(have, &want).or_else(|| document_differs(have, &subject))
            }
            Some(have) => difference(have, &want),
            None => Some("is not there".into()),
        };
        if let Reach::UpTo = hurdle(cluster, value, &object, has)? {
            return Ok(Reach::UpTo);
        }
    }
    Ok(Reach::All)
}

/// Whether an object is as it must be, or cannot be and the status says why.
pub(super) fn hurdle(
    cluster: &Cluster,
    subject: &Value,
    object: &str,
    differs: Option<String>,
) -> Result<Reach, String> {
    let degraded = condition(subject, "Degraded").filter(|(holds, _)| *holds);
    let why = degraded.map(|(_, reason)| reason);
    let have = cluster.live.get(object);
    if have.is_some_and(|have| annotation(have, STAMP).is_none()) {
        return match why {
            Some("NameConflict") => Ok(Reach::UpTo),
            _ => Err(format!("{object} is a person's, but Degraded does not say NameConflict")),
        };
    }
    // Deleted by a person or the garbage collector: the operator marks what it deletes.
    let held = have.filter(|have| is_deleting(have) && is_held(have) && !is_marked(have));
    match (differs, why) {
        (None, _) if held.is_some() || !have.is_some_and(|have| is_deleting(have)) => {
            Ok(Reach::All)
        }
        // Nobody mends what goes as soon as no pod uses it any more; it may have lost its owner.
        (Some(_), _)
            if held.is_some_and(|held| {
                owner_uid(held).is_none_or(|owner| owner == uid_of(subject))
            }) =>
        {
            Ok(Reach::All)
        }
        (None, _) => Err(format!("{object} is being deleted")),
        (Some(_), Some("Rejected" | "NameConflict"))
            if cluster.refused.contains(object)
                || have.is_some_and(|it| is_larger(it, subject)) =>
        {
            Ok(Reach::UpTo)
        }
        (Some(_), Some("ForeignLog")) if have.is_some() => Ok(Reach::UpTo),
        (Some(differs), _) => Err(format!("{object}: {differs}")),
    }
}

/// Whether a claim has more than its Agent asks for. No claim ever shrinks, bound or not.
fn is_larger(have: &Value, subject: &Value) -> bool {
    let has = have.pointer("/spec/resources/requests/storage").and_then(Value::as_str);
    has.is_some_and(|has| quantity::compare(size(&subject["spec"]), has) == Some(Ordering::Less))
}

fn document_differs(have: &Value, agent: &Subject<'_>) -> Option<String> {
    let data = have.get("data").and_then(Value::as_object);
    if data.map_or(0, serde_json::Map::len) != 1 {
        return Some("data has other keys than agent.json".into());
    }
    let text = data?.get("agent.json").and_then(Value::as_str).unwrap_or_default();
    let Ok(said) = serde_json::from_str::<Value>(text) else {
        return Some("agent.json is no JSON".into());
    };
    let want = agent_document(agent);
    // Both ways: neither too little nor too much.
    difference(&said, &want)
        .or_else(|| difference(&want, &said))
        .map(|d| format!("agent.json: {d}"))
}

/// The conditions say what is so.
fn says_so(
    cluster: &Cluster,
    agent: &str,
    value: &Value,
    spec: &Value,
    reach: &Reach,
) -> Result<(), String> {
    let Some((_, namespace, name)) = parts(agent) else { return Ok(()) };
    let claim = cluster.live.get(&format!("PersistentVolumeClaim/{namespace}/{name}-workspace"));
    let lost = claim.is_some_and(|claim| claim.pointer("/status/phase") == Some(&"Lost".into()));
    let degraded = lost || matches!(reach, Reach::UpTo);
    expect(value, "Degraded", degraded)?;
    let deployment = cluster.live.get(&format!("Deployment/{namespace}/{name}-runtime"));
    let count = |field: &str| {
        deployment.map_or(0, |live| live["status"][field].as_i64().unwrap_or_default())
    };
    let observed = deployment.is_some_and(|live| count("observedGeneration") >= generation(live));
    let available = observed && count("updatedReplicas") > 0 && count("availableReplicas") > 0;
    let runs = mode(spec) == "Running";
    expect(value, "Ready", runs && available && !degraded)?;
    if !runs && !degraded {
        expect(value, "Suspended", observed && count("replicas") == 0)?;
    }
    Ok(())
}
