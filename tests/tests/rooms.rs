//! Who may know whom: the table of rooms against what `cargo metadata` says of each package.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use rynxs_tests::root;

/// Each package with its folder and the packages of this workspace that it may depend on.
const ROOMS: [(&str, &str, &[&str]); 10] = [
    ("rynxs-core", "core", &[]),
    ("rynxs-operator", "operator", &["rynxs-core"]),
    ("rynxs-apiserver", "sim/apiserver", &[]),
    ("rynxs-s3", "sim/s3", &[]),
    ("rynxs-judge", "sim/judge", &["rynxs-core"]),
    ("rynxs", "operator/rynxs", &["rynxs-core", "rynxs-operator", "rynxs-apiserver", "rynxs-s3"]),
    (
        "rynxs-sim",
        "sim",
        &["rynxs-core", "rynxs-operator", "rynxs-apiserver", "rynxs-s3", "rynxs-judge"],
    ),
    ("rynxs-chaos", "chaos", &["rynxs-core", "rynxs-judge"]),
    ("rynxs-agent", "kind/agent", &[]),
    (
        "rynxs-tests",
        "tests",
        &[
            "rynxs-core",
            "rynxs-operator",
            "rynxs-apiserver",
            "rynxs-s3",
            "rynxs-judge",
            "rynxs",
            "rynxs-sim",
            "rynxs-chaos",
        ],
    ),
];

/// What the pure room may use: crates that only hold, parse, hash or derive data.
const CORE_MAY_USE: [&str; 11] = [
    "ed25519-dalek",
    "hex",
    "k8s-openapi",
    "kube-core",
    "kube-derive",
    "schemars",
    "serde",
    "serde_json",
    "serde_yaml_ng",
    "sha2",
    "thiserror",
];

/// What performs, but only through ports: no runtime, no HTTPS, no client of its own.
const OPERATOR_MAY_USE: [&str; 18] = [
    "aws-credential-types",
    "aws-runtime",
    "aws-sdk-s3",
    "aws-smithy-async",
    "aws-smithy-runtime-api",
    "aws-smithy-types",
    "base64",
    "bytes",
    "form_urlencoded",
    "futures",
    "http",
    "k8s-openapi",
    "kube-core",
    "rynxs-core",
    "serde",
    "serde_json",
    "thiserror",
    "tracing",
];

/// What would bring a runtime, a clock or a socket into a model or the judge.
const MODELS_MAY_NOT_USE: [&str; 6] = ["tokio", "madsim", "hyper", "kube", "reqwest", "rand"];

fn packages() -> BTreeMap<String, Package> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo describes this workspace");
    metadata.packages.into_iter().map(|package| (package.name.to_string(), package)).collect()
}

fn normal_dependencies(package: &Package) -> BTreeSet<String> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal)
        .map(|dependency| dependency.name.clone())
        .collect()
}

/// Clippy takes the nearest `clippy.toml`, so a package without one has its neighbour's bans.
#[test]
fn every_package_says_what_it_bans() {
    for (name, package) in packages() {
        let path = package.manifest_path.with_file_name("clippy.toml");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(text.contains("\ndisallowed-"), "{name}: {path} bans nothing");
    }
}

#[test]
fn the_workspace_has_exactly_the_rooms_of_the_table() {
    let found: BTreeMap<_, _> = packages()
        .into_iter()
        .map(|(name, package)| {
            let folder = package.manifest_path.parent().expect("a manifest has a folder");
            let folder = folder.strip_prefix(root().to_str().expect("UTF-8")).expect("inside");
            (name, folder.to_string())
        })
        .collect();
    let table: BTreeMap<_, _> =
        ROOMS.iter().map(|(name, folder, _)| ((*name).to_owned(), (*folder).to_owned())).collect();
    assert_eq!(found, table);
}

#[test]
fn a_room_knows_only_the_rooms_that_the_table_allows() {
    let packages = packages();
    for (name, _, allowed) in ROOMS {
        for dependency in normal_dependencies(&packages[name]) {
            if dependency.starts_with("rynxs") {
                assert!(allowed.contains(&dependency.as_str()), "{name} may not know {dependency}");
            }
        }
    }
}

#[test]
fn core_uses_pure_data_crates_only() {
    let extra: Vec<_> = normal_dependencies(&packages()["rynxs-core"])
        .into_iter()
        .filter(|name| !CORE_MAY_USE.contains(&name.as_str()))
        .collect();
    assert!(extra.is_empty(), "rynxs-core may not use {extra:?}");
}

#[test]
fn the_operator_brings_no_runtime_and_no_client() {
    let packages = packages();
    let operator = &packages["rynxs-operator"];
    let extra: Vec<_> = normal_dependencies(operator)
        .into_iter()
        .filter(|name| !OPERATOR_MAY_USE.contains(&name.as_str()))
        .collect();
    assert!(extra.is_empty(), "rynxs-operator may not use {extra:?}");
    for dependency in &operator.dependencies {
        let banned = ["rt-tokio", "default-https-client", "rustls"];
        let bad: Vec<_> =
            dependency.features.iter().filter(|name| banned.contains(&name.as_str())).collect();
        let normal = dependency.kind == DependencyKind::Normal;
        assert!(!normal || bad.is_empty(), "{} with {bad:?}", dependency.name);
    }
}

#[test]
fn the_models_know_no_runtime() {
    let packages = packages();
    for name in ["rynxs-apiserver", "rynxs-s3", "rynxs-judge", "rynxs-core"] {
        for dependency in normal_dependencies(&packages[name]) {
            assert!(!MODELS_MAY_NOT_USE.contains(&dependency.as_str()), "{name} uses {dependency}");
        }
    }
}

#[test]
fn every_dependency_has_its_reason_beside_it() {
    let mut bare = Vec::new();
    for (_, folder, _) in ROOMS {
        let file = std::path::Path::new(folder).join("Cargo.toml");
        let text = rynxs_tests::text_of(&file);
        let mut in_dependencies = false;
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
            } else if in_dependencies && line.contains('=') && !line.contains('#') {
                bare.push(format!("{}:{}: {line}", file.display(), index + 1));
            }
        }
    }
    assert!(bare.is_empty(), "dependencies without a reason:\n  {}", bare.join("\n  "));
}
