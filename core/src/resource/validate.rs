//! What the schema cannot say, and what it says, once more: a spec that fails is never acted on.
//!
//! Where the CRDs of an older release are installed, or their rules are switched off, the API
//! server lets more through than we can run. Every finding names the field, its value and the fix,
//! and becomes the condition `Accepted=False`; the last accepted spec stays in force.

use std::collections::BTreeSet;

use crate::duration;
use crate::ids::Key;
use crate::resource::quantity::Quantity;
use crate::resource::{AgentSpec, Egress, EnvVar, ImageSpec, Role, SessionSpec};

/// Longest name of an Agent or Session: with the longest suffix, `-workspace` (10), every object's
/// name is still a DNS label (63), and so usable as the value of a label.
pub const NAME_MAX: usize = 50;
/// Most agents that one manager manages.
pub const MANAGES_MAX: usize = 64;
/// Most entries of `egress`.
pub const EGRESS_MAX: usize = 64;
/// Most ports of one entry of `egress`.
pub const PORTS_MAX: usize = 32;
/// Most environment variables.
pub const ENV_MAX: usize = 128;
/// Most permissions.
pub const PERMISSIONS_MAX: usize = 64;
/// Largest plain value of an environment variable, bytes.
pub const ENV_VALUE_MAX: usize = 4096;
/// Largest input of a session, bytes: with its escapes it stays under etcd's 1.5 MiB.
pub const INPUT_MAX: usize = 256 * 1024;
/// Most sessions of one agent at a time, and the limit where an agent names none.
pub const CONCURRENT_MAX: u32 = 100;
/// Names of environment variables that only rynxs sets.
pub const RESERVED_ENV: &str = "RYNXS_";

/// One reason why a spec is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{field}: {value:?} {problem}")]
pub struct SpecError {
    /// Path of the field, as in `spec.workspace.size`.
    pub field: String,
    /// Its value, shortened to 64 characters.
    pub value: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

#[derive(Default)]
struct Findings(Vec<SpecError>);

impl Findings {
    fn add(&mut self, field: impl Into<String>, value: &str, problem: impl Into<String>) {
        let value = value.chars().take(64).collect();
        self.0.push(SpecError { field: field.into(), value, problem: problem.into() });
    }

    fn limit(&mut self, field: &str, len: usize, max: usize) {
        if len > max {
            self.add(field, &len.to_string(), format!("entries are too many: at most {max}"));
        }
    }

    fn duration(&mut self, field: &str, text: Option<&String>) {
        if let Some(text) = text
            && let Err(error) = duration::parse(text)
        {
            self.add(field, text, error.to_string());
        }
    }
}

/// Whether a text is a DNS label of at most `max` characters.
fn is_label(text: &str, max: usize) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.len() <= max
        && text.chars().all(|c| inner(c) || c == '-')
        && text.starts_with(inner)
        && text.ends_with(inner)
}

fn check_name(found: &mut Findings, key: &Key) {
    if !is_label(&key.name, NAME_MAX) {
        let problem = format!(
            "is not a usable name: at most {NAME_MAX} of a-z, 0-9 and `-`, not at either end"
        );
        found.add("metadata.name", &key.name, problem);
    }
}

/// Everything that is wrong with an Agent's spec by itself.
#[must_use]
pub fn agent(key: &Key, spec: &AgentSpec) -> Vec<SpecError> {
    let mut found = Findings::default();
    check_name(&mut found, key);
    if let Some(team) = &spec.team
        && !is_label(team, 63)
    {
        found.add("spec.team", team, "is not a label: at most 63 of a-z, 0-9 and `-`");
    }
    check_manages(&mut found, key, spec);
    check_image(&mut found, spec.image.as_ref(), spec.require_digest);
    match Quantity::parse(&spec.workspace.size) {
        Err(error) => {
            found.add("spec.workspace.size", &spec.workspace.size, error.to_string());
        }
        Ok(size) if size.is_zero() => {
            found.add("spec.workspace.size", &spec.workspace.size, "is zero: name a size as `1Gi`");
        }
        Ok(_) => {}
    }
    check_resources(&mut found, spec);
    check_env(&mut found, &spec.env);
    found.limit("spec.permissions", spec.permissions.len(), PERMISSIONS_MAX);
    found.limit("spec.egress", spec.egress.len(), EGRESS_MAX);
    for (i, egress) in spec.egress.iter().enumerate() {
        check_egress(&mut found, i, egress);
    }
    if let Some(limits) = &spec.sessions {
        found.duration("spec.sessions.maxDuration", limits.max_duration.as_ref());
        if let Some(most) = limits.max_concurrent
            && !(1..=CONCURRENT_MAX).contains(&most)
        {
            let problem = format!("is out of range: 1 to {CONCURRENT_MAX}");
            found.add("spec.sessions.maxConcurrent", &most.to_string(), problem);
        }
    }
    found.0
}

/// What forbids an Agent's spec to follow the one that was accepted before.
#[must_use]
pub fn agent_change(before: &AgentSpec, after: &AgentSpec) -> Vec<SpecError> {
    let mut found = Findings::default();
    let (was, is) = (&before.workspace, &after.workspace);
    if let (Ok(old), Ok(new)) = (Quantity::parse(&was.size), Quantity::parse(&is.size))
        && new < old
    {
        let problem =
            format!("is smaller than before: a workspace cannot shrink below {}", was.size);
        found.add("spec.workspace.size", &is.size, problem);
    }
    if was.storage_class_name != is.storage_class_name {
        let name = is.storage_class_name.as_deref().unwrap_or("");
        let old = was.storage_class_name.as_deref().unwrap_or("");
        let problem = format!("is not what it was: the class {old:?} of a workspace cannot change");
        found.add("spec.workspace.storageClassName", name, problem);
    }
    found.0
}

/// Everything that is wrong with a Session's spec by itself.
#[must_use]
pub fn session(key: &Key, spec: &SessionSpec) -> Vec<SpecError> {
    let mut found = Findings::default();
    check_name(&mut found, key);
    if !is_label(&spec.agent_ref, NAME_MAX) {
        found.add("spec.agentRef", &spec.agent_ref, "is not the name of an Agent");
    }
    if spec.input.len() > INPUT_MAX {
        let problem = format!("bytes are too many: at most {INPUT_MAX}; pass a reference instead");
        found.add("spec.input", &spec.input.len().to_string(), problem);
    }
    found.duration("spec.maxDuration", spec.max_duration.as_ref());
    if let Some(time) = &spec.shutdown_time
        && instant_ms(time).is_none()
    {
        found.add(
            "spec.shutdownTime",
            time,
            "is not a time after 1970: write it as `2026-12-31T18:00:00Z`",
        );
    }
    if let Some(ttl) = spec.ttl_seconds_after_finished
        && ttl > duration::LONGEST.as_secs()
    {
        let problem = format!("is too long: at most {} (366 days)", duration::LONGEST.as_secs());
        found.add("spec.ttlSecondsAfterFinished", &ttl.to_string(), problem);
    }
    found.0
}

/// An RFC 3339 time as Unix milliseconds.
#[must_use]
pub fn instant_ms(text: &str) -> Option<u64> {
    let time: k8s_openapi::jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

fn check_manages(found: &mut Findings, key: &Key, spec: &AgentSpec) {
    if spec.role != Role::Manager && !spec.manages.is_empty() {
        let problem = "is only for role manager: remove it, or set spec.role to manager";
        found.add("spec.manages", &spec.manages.join(","), problem);
    }
    found.limit("spec.manages", spec.manages.len(), MANAGES_MAX);
    let mut seen = BTreeSet::new();
    for (i, name) in spec.manages.iter().enumerate() {
        let field = format!("spec.manages[{i}]");
        if !is_label(name, NAME_MAX) {
            found.add(field, name, "is not the name of an Agent");
        } else if *name == key.name {
            found.add(field, name, "is the agent itself: an agent cannot manage itself");
        } else if !seen.insert(name) {
            found.add(field, name, "stands there twice: remove one");
        }
    }
}

fn check_image(found: &mut Findings, image: Option<&ImageSpec>, require_digest: bool) {
    let digest = image.and_then(|i| i.digest.as_deref());
    if require_digest && digest.is_none() {
        let value = image.map_or("", |i| i.repository.as_str());
        found.add("spec.image", value, "has no digest, but spec.requireDigest is true: add it");
    }
    let Some(image) = image else { return };
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:".contains(c);
    if image.repository.is_empty() || !image.repository.chars().all(fine) {
        let problem = "is not a repository: write it as `ghcr.io/rynxs/agent`";
        found.add("spec.image.repository", &image.repository, problem);
    }
    if let Some(tag) = &image.tag {
        let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if tag.is_empty() || tag.len() > 128 || !tag.chars().all(fine) {
            found.add("spec.image.tag", tag, "is not a tag: letters, digits, `.`, `_`, `-`");
        }
    }
    if let Some(digest) = digest {
        let hex = digest.strip_prefix("sha256:").unwrap_or("");
        let fine = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() != 64 || !hex.bytes().all(fine) {
            found.add("spec.image.digest", digest, "is not `sha256:` and 64 hex digits");
        }
    }
}

fn check_resources(found: &mut Findings, spec: &AgentSpec) {
    let Some(resources) = &spec.resources else { return };
    if resources.claims.as_ref().is_some_and(|claims| !claims.is_empty()) {
        found.add("spec.resources.claims", "", "are not supported: remove them");
    }
    let parts = [("requests", &resources.requests), ("limits", &resources.limits)];
    for (part, amounts) in parts {
        for (name, amount) in amounts.iter().flatten() {
            if let Err(error) = Quantity::parse(&amount.0) {
                let field = format!("spec.resources.{part}.{name}");
                found.add(field, &amount.0, error.to_string());
            }
        }
    }
    for (name, request) in resources.requests.iter().flatten() {
        let limit = resources.limits.as_ref().and_then(|limits| limits.get(name));
        if let Some(limit) = limit
            && let (Ok(low), Ok(high)) = (Quantity::parse(&request.0), Quantity::parse(&limit.0))
            && low > high
        {
            let field = format!("spec.resources.requests.{name}");
            found.add(field, &request.0, format!("is more than its limit {}", limit.0));
        }
    }
}

fn check_env(found: &mut Findings, env: &[EnvVar]) {
    found.limit("spec.env", env.len(), ENV_MAX);
    let mut seen = BTreeSet::new();
    for (i, var) in env.iter().enumerate() {
        let field = format!("spec.env[{i}]");
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if var.name.is_empty()
            || var.name.len() > 128
            || !var.name.chars().all(fine)
            || var.name.starts_with(|c: char| c.is_ascii_digit())
        {
            found.add(&field, &var.name, "is not a name: letters, digits, `_`, no digit first");
        }
        if var.name.starts_with(RESERVED_ENV) {
            found.add(&field, &var.name, "is reserved: names with RYNXS_ are set by rynxs");
        }
        if !seen.insert(&var.name) {
            found.add(&field, &var.name, "stands there twice: remove one");
        }
        if var.value.is_some() == var.value_from.is_some() {
            found.add(&field, &var.name, "needs exactly one of value and valueFrom");
        }
        if var.value.as_ref().is_some_and(|value| value.len() > ENV_VALUE_MAX) {
            let problem = format!("has a value of more than {ENV_VALUE_MAX} bytes: refer to it");
            found.add(&field, &var.name, problem);
        }
    }
}

fn check_egress(found: &mut Findings, i: usize, egress: &Egress) {
    let field = format!("spec.egress[{i}]");
    let selects = egress.pod_selector.is_some() || egress.namespace_selector.is_some();
    match &egress.cidr {
        Some(cidr) if selects => {
            found.add(&field, cidr, "has both cidr and selectors: make two entries of it");
        }
        Some(cidr) if !is_cidr(cidr) => {
            let problem = "is not an address range as `10.0.0.0/8`; NetworkPolicy cannot enforce \
                           host names";
            found.add(format!("{field}.cidr"), cidr, problem);
        }
        None if !selects => {
            found.add(&field, "", "needs a cidr, a podSelector or a namespaceSelector")
        }
        _ => {}
    }
    found.limit(&format!("{field}.ports"), egress.ports.len(), PORTS_MAX);
    if egress.ports.iter().any(|port| port.port == 0) {
        found.add(format!("{field}.ports"), "0", "is not a port: 1 to 65535");
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    let plain = bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    plain && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}
