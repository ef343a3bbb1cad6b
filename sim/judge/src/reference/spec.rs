//! Which specs are acceptable, after the CRDs' descriptions and `docs/resources.md`.
//!
//! Specs are read as the API server stores them, defaults filled in or not. The answer is the first
//! thing that is wrong; its words are for the judge's reader and are compared with nothing.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::quantity::{self, Quantity};
use super::time::unix_ms;

const NAME_MAX: usize = 50;
const LIST_MAX: usize = 64;
const PORTS_MAX: usize = 32;
const ENV_MAX: usize = 128;
const ENV_VALUE_MAX: usize = 4_096;
const INPUT_MAX: usize = 256 * 1024;
/// Most sessions of an agent at a time.
pub(super) const CONCURRENT_MAX: u64 = 100;
/// 366 days.
const LONGEST_S: u64 = 366 * 24 * 3_600;

pub(super) fn text<'a>(spec: &'a Value, pointer: &str) -> Option<&'a str> {
    spec.pointer(pointer).and_then(Value::as_str)
}

pub(super) fn list<'a>(spec: &'a Value, pointer: &str) -> &'a [Value] {
    spec.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `spec.role`, with its default.
pub(super) fn role(spec: &Value) -> &str {
    text(spec, "/role").unwrap_or("worker")
}

/// `spec.operatingMode`, with its default.
pub(super) fn mode(spec: &Value) -> &str {
    text(spec, "/operatingMode").unwrap_or("Running")
}

/// `spec.workspace.size`, with its default.
pub(super) fn size(spec: &Value) -> &str {
    text(spec, "/workspace/size").unwrap_or("1Gi")
}

/// `spec.workspace.retain`, with its default.
pub(super) fn retains(spec: &Value) -> bool {
    spec.pointer("/workspace/retain").and_then(Value::as_bool) == Some(true)
}

/// Whether a later operator must refuse this spec.
pub(super) fn agent_problem(name: &str, spec: &Value) -> Option<String> {
    if !is_label(name, NAME_MAX) {
        return Some("metadata.name".into());
    }
    if text(spec, "/team").is_some_and(|team| !is_label(team, 63)) {
        return Some("team".into());
    }
    let size_fits = Quantity::parse(size(spec)).is_some_and(|size| !size.is_zero());
    if !size_fits {
        return Some("workspace.size".into());
    }
    manages_problem(name, spec)
        .or_else(|| image_problem(spec))
        .or_else(|| resources_problem(spec))
        .or_else(|| env_problem(spec))
        .or_else(|| egress_problem(spec))
        .or_else(|| limits_problem(spec))
}

/// Whether this spec may not follow that accepted one.
pub(super) fn change_problem(before: &Value, after: &Value) -> Option<String> {
    if quantity::compare(size(after), size(before)) == Some(Ordering::Less) {
        return Some("workspace.size shrinks".into());
    }
    let class = |spec: &Value| text(spec, "/workspace/storageClassName").map(str::to_owned);
    (class(before) != class(after)).then(|| "workspace.storageClassName changes".into())
}

/// Whether an operator must refuse this Session's spec.
pub(super) fn session_problem(name: &str, spec: &Value) -> Option<String> {
    if !is_label(name, NAME_MAX) {
        return Some("metadata.name".into());
    }
    if text(spec, "/agentRef").is_none_or(|agent| !is_label(agent, NAME_MAX)) {
        return Some("agentRef".into());
    }
    if text(spec, "/input").is_some_and(|input| input.len() > INPUT_MAX) {
        return Some("input".into());
    }
    if text(spec, "/maxDuration").is_some_and(|span| duration_s(span).is_none()) {
        return Some("maxDuration".into());
    }
    if text(spec, "/shutdownTime").is_some_and(|time| unix_ms(time).is_none()) {
        return Some("shutdownTime".into());
    }
    let ttl = spec.pointer("/ttlSecondsAfterFinished").and_then(Value::as_u64);
    ttl.is_some_and(|ttl| ttl > LONGEST_S).then(|| "ttlSecondsAfterFinished".into())
}

fn is_label(text: &str, max: usize) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().last()];
    text.len() <= max
        && ends.iter().all(|end| end.is_some_and(plain))
        && text.bytes().all(|b| plain(b) || b == b'-')
}

fn manages_problem(name: &str, spec: &Value) -> Option<String> {
    let manages = list(spec, "/manages");
    if !manages.is_empty() && role(spec) != "manager" {
        return Some("manages is for managers".into());
    }
    let names: BTreeSet<&str> = manages.iter().filter_map(Value::as_str).collect();
    let fine = names.len() == manages.len()
        && names.len() <= LIST_MAX
        && names.iter().all(|managed| is_label(managed, NAME_MAX) && *managed != name);
    (!fine).then(|| "manages".into())
}

fn image_problem(spec: &Value) -> Option<String> {
    let requires = spec.pointer("/requireDigest").and_then(Value::as_bool) == Some(true);
    let digest = text(spec, "/image/digest");
    if requires && digest.is_none() {
        return Some("image.digest is required".into());
    }
    spec.pointer("/image").filter(|image| !image.is_null())?;
    let repository = text(spec, "/image/repository").unwrap_or_default();
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/:".contains(&b);
    if repository.is_empty() || !repository.bytes().all(plain) {
        return Some("image.repository".into());
    }
    let in_tag = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let tag_fits = |tag: &str| !tag.is_empty() && tag.len() <= 128 && tag.bytes().all(in_tag);
    if text(spec, "/image/tag").is_some_and(|tag| !tag_fits(tag)) {
        return Some("image.tag".into());
    }
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let digest_fits = |digest: &str| {
        digest.strip_prefix("sha256:").is_some_and(|d| d.len() == 64 && d.bytes().all(hex))
    };
    digest.is_some_and(|digest| !digest_fits(digest)).then(|| "image.digest".into())
}

fn amount(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text),
        other => Quantity::parse(&other.to_string()),
    }
}

fn resources_problem(spec: &Value) -> Option<String> {
    if !list(spec, "/resources/claims").is_empty() {
        return Some("resources.claims".into());
    }
    let part = |name: &str| {
        let amounts = spec.pointer(&format!("/resources/{name}")).and_then(Value::as_object);
        amounts.into_iter().flatten()
    };
    for (name, value) in part("requests").chain(part("limits")) {
        if amount(value).is_none() {
            return Some(format!("resources, {name}"));
        }
    }
    let above = part("requests").find(|(name, request)| {
        let limit = part("limits").find(|(limit, _)| limit == name);
        limit.is_some_and(|(_, limit)| amount(request) > amount(limit))
    });
    above.map(|(name, _)| format!("resources, {name} above its limit"))
}

fn env_problem(spec: &Value) -> Option<String> {
    let env = list(spec, "/env");
    if env.len() > ENV_MAX {
        return Some("env is too long".into());
    }
    let mut names = BTreeSet::new();
    let wrong = env.iter().find(|var| {
        let name = text(var, "/name").unwrap_or_default();
        let value = text(var, "/value");
        let from = var.pointer("/valueFrom").is_some_and(|from| !from.is_null());
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let fine = !name.is_empty()
            && name.len() <= 128
            && name.bytes().all(plain)
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !name.starts_with("RYNXS_")
            && names.insert(name.to_owned())
            && value.is_some() != from
            && value.is_none_or(|value| value.len() <= ENV_VALUE_MAX);
        !fine
    });
    wrong.map(|var| format!("env {var}"))
}

fn egress_problem(spec: &Value) -> Option<String> {
    let permissions = spec.pointer("/permissions").and_then(Value::as_object);
    if permissions.is_some_and(|permissions| permissions.len() > LIST_MAX) {
        return Some("permissions are too many".into());
    }
    let egress = list(spec, "/egress");
    if egress.len() > LIST_MAX {
        return Some("egress is too long".into());
    }
    let wrong = egress.iter().find(|item| {
        let given = |field: &str| item.get(field).is_some_and(|value| !value.is_null());
        let selects = given("podSelector") || given("namespaceSelector");
        let ports = list(item, "/ports");
        let reaches = match text(item, "/cidr") {
            Some(cidr) => !selects && is_cidr(cidr),
            None => selects,
        };
        let port_fits = |port: &Value| port["port"].as_u64().is_some_and(|port| port > 0);
        !(reaches && ports.len() <= PORTS_MAX && ports.iter().all(port_fits))
    });
    wrong.map(|item| format!("egress {item}"))
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|number| number <= most && number.to_string() == bits)
}

fn limits_problem(spec: &Value) -> Option<String> {
    if text(spec, "/sessions/maxDuration").is_some_and(|span| duration_s(span).is_none()) {
        return Some("sessions.maxDuration".into());
    }
    let most = spec.pointer("/sessions/maxConcurrent").and_then(Value::as_u64);
    let fits = most.is_none_or(|most| (1..=CONCURRENT_MAX).contains(&most));
    (!fits).then(|| "sessions.maxConcurrent".into())
}

/// Seconds of `1d2h3m4s`: units in this order, each at most once, not zero, at most 366 days.
fn duration_s(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut seconds = 0_u64;
    for (unit, worth) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if rest[digits..].starts_with(unit) {
            let count: u64 = rest[..digits].parse().ok()?;
            seconds = seconds.checked_add(count.checked_mul(worth)?)?;
            rest = &rest[digits + 1..];
        }
    }
    (rest.is_empty() && (1..=LONGEST_S).contains(&seconds)).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_run_is_refused() {
        assert_eq!(agent_problem("a", &json!({})), None);
        for spec in [
            json!({"workspace": {"size": "0"}}),
            json!({"workspace": {"size": "big"}}),
            json!({"manages": ["b"]}),
            json!({"role": "manager", "manages": ["a"]}),
            json!({"requireDigest": true}),
            json!({"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1"}}}),
            json!({"env": [{"name": "RYNXS_X", "value": "1"}]}),
            json!({"env": [{"name": "X"}]}),
            json!({"egress": [{"cidr": "example.org/8"}]}),
            json!({"egress": [{}]}),
            json!({"sessions": {"maxDuration": "1m1h"}}),
        ] {
            assert!(agent_problem("a", &spec).is_some(), "{spec}");
        }
        assert!(session_problem("s", &json!({"agentRef": "a", "maxDuration": "0s"})).is_some());
        let fine = json!({"agentRef": "a", "maxDuration": "1h30m", "shutdownTime":
            "2026-12-31T18:00:00Z"});
        assert_eq!(session_problem("s", &fine), None);
    }

    #[test]
    fn a_workspace_neither_shrinks_nor_moves() {
        let of = |size: &str, class: Option<&str>| json!({"workspace": {"size": size, "storageClassName": class}});
        assert_eq!(change_problem(&of("1Gi", None), &of("1024Mi", None)), None);
        assert!(change_problem(&of("1Gi", None), &of("1G", None)).is_some());
        assert!(change_problem(&of("1Gi", None), &of("1Gi", Some("fast"))).is_some());
    }
}
