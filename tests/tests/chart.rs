//! The chart in itself: every value has its words, its schema and its use, the README's table is
//! made of them, and alerts and runbooks speak of metrics that the binary exports.

use std::collections::{BTreeMap, BTreeSet};

use rynxs_tests::{root, text_of, tracked_files};
use serde_json::Value;

const CHART: &str = "helm/rynxs";
const BEGIN: &str = "<!-- values: generated -->\n";
const END: &str = "<!-- values: end -->\n";

/// A value of the chart: its words, and its default as JSON.
struct Described {
    words: String,
    default: Value,
}

fn chart(file: &str) -> String {
    text_of(format!("{CHART}/{file}").as_ref())
}

fn templates() -> String {
    let folder = format!("{CHART}/templates/");
    let files = tracked_files();
    let of_chart = files.iter().filter(|file| file.to_string_lossy().starts_with(&folder));
    of_chart.map(|file| text_of(file)).collect()
}

/// Every value that has a description, in the order of `values.yaml`. A description begins with
/// `# -- ` right above its key and may go on in further comments.
fn described() -> Vec<(String, Described)> {
    let text = chart("values.yaml");
    let defaults: Value = serde_yaml_ng::from_str(&text).expect("values are YAML");
    let (mut found, mut path, mut words) = (Vec::new(), Vec::<(usize, &str)>::new(), None);
    for line in text.lines() {
        let bare = line.trim_start();
        if let Some(begin) = bare.strip_prefix("# -- ") {
            words = Some(begin.to_owned());
        } else if let (Some(more), Some(words)) = (bare.strip_prefix("# "), words.as_mut()) {
            words.push(' ');
            words.push_str(more);
        } else if let Some((key, _)) = bare.split_once(':').filter(|_| !bare.starts_with('#')) {
            let indent = line.len() - bare.len();
            path.retain(|(at, _)| *at < indent);
            path.push((indent, key));
            if let Some(words) = words.take() {
                let keys: Vec<&str> = path.iter().map(|(_, key)| *key).collect();
                let default = defaults.pointer(&format!("/{}", keys.join("/"))).cloned();
                let default = default.unwrap_or_else(|| panic!("{} is no value", keys.join(".")));
                found.push((keys.join("."), Described { words, default }));
            }
        }
    }
    found
}

/// Paths of all values; a described one counts as one, whatever is below it.
fn leaves(value: &Value, path: &str, known: &BTreeSet<String>, all: &mut Vec<String>) {
    match value.as_object() {
        Some(fields) if !known.contains(path) && !fields.is_empty() => {
            for (name, below) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(below, &path, known, all);
            }
        }
        _ => all.push(path.to_owned()),
    }
}

#[test]
fn every_value_is_described_and_used() {
    let known: BTreeSet<String> = described().into_iter().map(|(path, _)| path).collect();
    let values = serde_yaml_ng::from_str(&chart("values.yaml")).expect("values are YAML");
    let mut all = Vec::new();
    leaves(&values, "", &known, &mut all);
    assert!(all.len() > 50, "only {} values found", all.len());
    let templates = templates();
    for path in &all {
        assert!(known.contains(path), "{path} has no `# -- ` line in values.yaml");
        // A whole part may be given on, as resources are.
        let parts: Vec<&str> = path.split('.').collect();
        let used = (1..=parts.len()).rev().take(2).any(|length| {
            let name = format!(".Values.{}", parts[..length].join("."));
            templates.match_indices(&name).any(|(at, _)| {
                let behind = templates[at + name.len()..].chars().next();
                !behind.is_some_and(|c| c.is_ascii_alphanumeric() || c == '.')
            })
        });
        assert!(used, "{path} is used by no template");
    }
}

#[test]
fn every_value_that_a_template_uses_exists() {
    let values: Value = serde_yaml_ng::from_str(&chart("values.yaml")).expect("values are YAML");
    let (templates, mut seen) = (templates(), 0);
    for (at, prefix) in templates.match_indices(".Values.") {
        let rest = &templates[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
        let path = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
        seen += 1;
        let pointer = format!("/{}", path.replace('.', "/"));
        assert!(values.pointer(&pointer).is_some(), "a template uses {path}, which is no value");
    }
    assert!(seen > 50, "only {seen} uses found");
}

#[test]
fn the_schema_has_every_value_in_the_same_words() {
    let schema: Value = serde_json::from_str(&chart("values.schema.json")).expect("JSON");
    for (path, described) in described() {
        let pointer: String = path.split('.').map(|part| format!("/properties/{part}")).collect();
        let there = schema.pointer(&pointer).unwrap_or_else(|| panic!("no {path} in the schema"));
        let words = described.words.replace('`', "");
        assert_eq!(there["description"].as_str(), Some(words.as_str()), "{path}");
    }
}

/// The table of values, as the README has it.
fn table() -> String {
    let mut table = String::from("| Parameter | Description | Default |\n|---|---|---|\n");
    for (path, Described { words, default }) in described() {
        let default = match &default {
            Value::String(text) if text.is_empty() => "`\"\"`".to_owned(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        table.push_str(&format!("| `{path}` | {words} | {default} |\n"));
    }
    table
}

#[test]
fn the_table_of_values_is_current() {
    let text = chart("README.md");
    let (before, rest) = text.split_once(BEGIN).expect("the README has a place for the table");
    let (_, behind) = rest.split_once(END).expect("the README's table ends");
    let made = format!("{before}{BEGIN}\n{}\n{END}{behind}", table());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(root().join(CHART).join("README.md"), &made).expect("the README is ours");
    }
    assert!(text == made, "helm/rynxs/README.md: make it again with UPDATE_GOLDEN=1");
}

/// Metrics of docs/metrics.md, which a test of the binary holds against what it exports: their
/// names, with the suffixes of a histogram, and their labels.
fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let mut exported = BTreeMap::new();
    for row in text_of("docs/metrics.md".as_ref()).lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, kind, labels, ..] = cells.as_slice() else { continue };
        let Some(name) = name.strip_prefix("`rynxs_").and_then(|name| name.strip_suffix('`'))
        else {
            continue;
        };
        let labels = labels.split(',').map(|label| label.trim().trim_matches('`').to_owned());
        let mut labels: BTreeSet<String> = labels.filter(|label| !label.is_empty()).collect();
        if *kind == "histogram" {
            for suffix in ["", "_count", "_sum"] {
                exported.insert(format!("rynxs_{name}{suffix}"), labels.clone());
            }
            labels.insert("le".to_owned());
            exported.insert(format!("rynxs_{name}_bucket"), labels);
        } else {
            exported.insert(format!("rynxs_{name}"), labels);
        }
    }
    exported
}

/// Names that begin like a metric of ours, and behind each what stands in its braces.
fn metrics_in(text: &str) -> Vec<(&str, &str)> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut found = Vec::new();
    for (at, _) in text.match_indices("rynxs_") {
        let rest = &text[at..];
        let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
        let braces = rest[end..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        found.push((&rest[..end], braces.map_or("", |(inside, _)| inside)));
    }
    found
}

#[test]
fn alerts_and_runbooks_name_only_metrics_and_labels_that_are_exported() {
    let exported = exported();
    assert!(exported.len() > 20, "only {} metrics in docs/metrics.md", exported.len());
    let rules = chart("templates/prometheusrule.yaml");
    // The template puts labels of the target there.
    let bare = rules.replace("{ {{- $of -}}", "{");
    let mut texts = vec![("the alerts".to_owned(), bare)];
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts.len(), 5, "{alerts:?}");
    for alert in &alerts {
        let file = format!("docs/runbooks/{alert}.md");
        let text = text_of(file.as_ref());
        for part in ["## Meaning", "## Impact", "## Diagnosis", "## Resolution"] {
            assert!(text.contains(part), "{file} has no {part}");
        }
        assert!(text.contains("kubectl "), "{file} has no command");
        assert!(rules.contains(&format!("/{alert}.md")), "the alert does not name {file}");
        texts.push((file, text));
    }
    let mut named = 0;
    for (place, text) in &texts {
        for (metric, braces) in metrics_in(text) {
            named += 1;
            let labels = exported.get(metric);
            let labels = labels.unwrap_or_else(|| panic!("{place}: {metric} is not exported"));
            for pair in braces.split(',').filter(|pair| pair.contains(['=', '~'])) {
                let label = pair.split(['=', '!']).next().unwrap_or_default().trim();
                let of_target = ["job", "namespace", "pod"].contains(&label);
                assert!(of_target || labels.contains(label), "{place}: {metric} has no {label}");
            }
        }
    }
    assert!(named > 10, "only {named} metrics named");
    for (by, metric) in [
        ("reason", "rynxs_leader_election_failures_total"),
        ("error_type", "rynxs_s3_put_errors_total"),
    ] {
        assert!(rules.contains(&format!("sum by ({by})")) && exported[metric].contains(by));
    }
}

/// A rule of the roles as the beginning of a row of `docs/RBAC.md`.
fn row(rule: &Value) -> String {
    let spans = |field: &str, empty: &str| {
        let words = rule[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        let words =
            words.map(|word| if word.is_empty() { empty.into() } else { format!("`{word}`") });
        words.collect::<Vec<String>>().join(", ")
    };
    let (groups, resources) = (spans("apiGroups", "core"), spans("resources", ""));
    format!("| {groups} | {resources} | {} | ", spans("verbs", ""))
}

#[test]
fn every_rule_of_the_roles_has_its_reason() {
    let document = text_of("docs/RBAC.md".as_ref());
    let mut rules = Vec::new();
    for part in serde_yaml_ng::Deserializer::from_str(&chart("files/rbac.yaml")) {
        let object: Value = serde::Deserialize::deserialize(part).expect("the roles are YAML");
        rules.extend(object["rules"].as_array().into_iter().flatten().map(row));
    }
    let reason = |row: &String| document.split_once(row.as_str()).map(|(_, reason)| reason);
    let without = rules.iter().filter(|row| reason(row).is_none_or(|why| why.starts_with('|')));
    let without: Vec<_> = without.collect();
    assert!(without.is_empty(), "rules without a row in docs/RBAC.md: {without:#?}");
    let rows =
        document.lines().filter(|line| line.starts_with("| `") || line.starts_with("| core"));
    assert_eq!(rows.count(), rules.len(), "rows and rules");
}
