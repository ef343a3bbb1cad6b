//! Shapes of the built-in kinds.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::{Shape, list_map, metadata, string_map, structure};

/// The shape of a built-in kind.
pub(crate) fn of(kind: &str) -> Shape {
    let (spec, status) = match kind {
        "ConfigMap" | "Secret" => {
            return flat([("data", string_map()), ("binaryData", string_map())]);
        }
        "ServiceAccount" => {
            return flat([
                ("secrets", list_map(&["name"], Shape::Atomic)),
                ("imagePullSecrets", Shape::Atomic),
            ]);
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            return flat([("roleRef", Shape::Atomic), ("subjects", Shape::Atomic)]);
        }
        "Event" => return flat([("involvedObject", Shape::Atomic), ("related", Shape::Atomic)]),
        "StorageClass" => return flat([("parameters", string_map())]),
        "Deployment" | "ReplicaSet" => (workload(), structure([("conditions", by_type())])),
        "Job" => (job(), structure([("uncountedTerminatedPods", uncounted())])),
        "Pod" => (pod_spec(), pod_status()),
        "PersistentVolumeClaim" => (claim_spec(), claim_status()),
        "NetworkPolicy" => (structure([("podSelector", Shape::Atomic)]), structure([])),
        "ValidatingAdmissionPolicy" => (policy_spec(), structure([("conditions", by_type())])),
        "ValidatingAdmissionPolicyBinding" => (binding_spec(), structure([])),
        "Service" => (service_spec(), structure([("conditions", by_type())])),
        "PodDisruptionBudget" => {
            (structure([("selector", Shape::Atomic)]), structure([("conditions", by_type())]))
        }
        _ => (structure([]), structure([("conditions", by_type())])),
    };
    structure([("metadata", metadata()), ("spec", spec), ("status", status)])
}

fn flat<const N: usize>(fields: [(&str, Shape); N]) -> Shape {
    match structure(fields) {
        Shape::Struct(mut all) => {
            all.insert("metadata".to_owned(), Arc::new(metadata()));
            Shape::Struct(all)
        }
        other => other,
    }
}

fn by_type() -> Shape {
    list_map(&["type"], structure([]))
}

fn workload() -> Shape {
    structure([("selector", Shape::Atomic), ("template", template())])
}

fn job() -> Shape {
    structure([("selector", Shape::Atomic), ("template", template())])
}

fn uncounted() -> Shape {
    structure([("succeeded", Shape::Set), ("failed", Shape::Set)])
}

fn template() -> Shape {
    structure([("metadata", metadata()), ("spec", pod_spec())])
}

fn pod_spec() -> Shape {
    structure([
        ("containers", list_map(&["name"], container())),
        ("initContainers", list_map(&["name"], container())),
        ("ephemeralContainers", list_map(&["name"], container())),
        ("volumes", list_map(&["name"], volume())),
        ("imagePullSecrets", list_map(&["name"], Shape::Atomic)),
        ("hostAliases", list_map(&["ip"], structure([]))),
        ("nodeSelector", Shape::Atomic),
        ("overhead", string_map()),
        ("resourceClaims", list_map(&["name"], structure([]))),
        ("resources", resources()),
        ("schedulingGates", list_map(&["name"], structure([]))),
        (
            "topologySpreadConstraints",
            list_map(
                &["topologyKey", "whenUnsatisfiable"],
                structure([("labelSelector", Shape::Atomic)]),
            ),
        ),
    ])
}

fn pod_status() -> Shape {
    structure([
        ("conditions", by_type()),
        ("podIPs", list_map(&["ip"], structure([]))),
        ("hostIPs", Shape::Atomic),
    ])
}

fn container() -> Shape {
    let source = structure([
        ("configMapKeyRef", Shape::Atomic),
        ("fieldRef", Shape::Atomic),
        ("resourceFieldRef", Shape::Atomic),
        ("secretKeyRef", Shape::Atomic),
    ]);
    structure([
        ("env", list_map(&["name"], structure([("valueFrom", source)]))),
        ("ports", ports("containerPort")),
        ("resources", resources()),
        ("volumeDevices", list_map(&["devicePath"], structure([]))),
        ("volumeMounts", list_map(&["mountPath"], structure([]))),
    ])
}

fn ports(number: &str) -> Shape {
    Shape::ListMap {
        keys: vec![number.to_owned(), "protocol".to_owned()],
        defaults: BTreeMap::from([("protocol".to_owned(), json!("TCP"))]),
        item: Arc::new(structure([])),
    }
}

fn resources() -> Shape {
    structure([
        ("limits", string_map()),
        ("requests", string_map()),
        ("claims", list_map(&["name"], structure([]))),
    ])
}

fn volume() -> Shape {
    let secret_ref = || structure([("secretRef", Shape::Atomic)]);
    let csi =
        structure([("nodePublishSecretRef", Shape::Atomic), ("volumeAttributes", string_map())]);
    let claim = structure([("metadata", metadata()), ("spec", claim_spec())]);
    structure([
        ("csi", csi),
        ("ephemeral", structure([("volumeClaimTemplate", claim)])),
        ("cephfs", secret_ref()),
        ("flexVolume", secret_ref()),
        ("iscsi", secret_ref()),
        ("rbd", secret_ref()),
        ("scaleIO", secret_ref()),
        ("storageos", secret_ref()),
    ])
}

fn claim_spec() -> Shape {
    structure([
        ("selector", Shape::Atomic),
        ("resources", resources()),
        ("dataSource", Shape::Atomic),
    ])
}

fn claim_status() -> Shape {
    structure([
        ("conditions", by_type()),
        ("capacity", string_map()),
        ("allocatedResources", string_map()),
        ("allocatedResourceStatuses", string_map()),
    ])
}

fn policy_spec() -> Shape {
    structure([
        ("matchConditions", list_map(&["name"], structure([]))),
        ("variables", list_map(&["name"], Shape::Atomic)),
        ("matchConstraints", Shape::Atomic),
    ])
}

fn binding_spec() -> Shape {
    structure([
        ("matchResources", Shape::Atomic),
        ("paramRef", Shape::Atomic),
        ("validationActions", Shape::Set),
    ])
}

fn service_spec() -> Shape {
    structure([("selector", Shape::Atomic), ("ports", ports("port"))])
}
