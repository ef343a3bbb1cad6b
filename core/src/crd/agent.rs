//! Schema of an Agent's spec.

use serde_json::{Value, json};

use super::{DURATION, LABEL, age, choice, column, flag, object, rule, shaped, text};
use crate::resource::validate::{
    CONCURRENT_MAX, EGRESS_MAX, ENV_MAX, ENV_VALUE_MAX, MANAGES_MAX, NAME_MAX, PERMISSIONS_MAX,
    PORTS_MAX,
};

/// A Kubernetes quantity that is not negative.
const QUANTITY: &str = "^[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$";

pub(super) fn columns() -> Value {
    let ready = ".status.conditions[?(@.type==\"Ready\")]";
    json!([
        column("Role", ".spec.role", "string", 0),
        column("Mode", ".spec.operatingMode", "string", 0),
        column("Ready", &format!("{ready}.status"), "string", 0),
        column("Reason", &format!("{ready}.reason"), "string", 0),
        column("Team", ".spec.team", "string", 1),
        column("Sessions", ".status.sessions.running", "integer", 1),
        column("Epoch", ".status.controllerEpoch", "integer", 1),
        column("Seq", ".status.logHead.seq", "integer", 1),
        age(),
    ])
}

pub(super) fn spec() -> Value {
    let mut spec = object(
        "What the agent is and may do.",
        &[],
        json!({
            "role": choice(
                "Place in the hierarchy. A worker reaches DNS and its own egress, a manager also \
                 the agents it manages, a director also all agents of its namespace.",
                &["worker", "manager", "director"],
                "worker",
            ),
            "team": shaped("Team that the agent belongs to.", 63, LABEL),
            "manages": manages(),
            "permissions": {
                "type": "object",
                "description": "Named permissions that are handed to the agent's runtime.",
                "additionalProperties": { "type": "boolean" },
                "maxProperties": PERMISSIONS_MAX,
            },
            "image": image(),
            "requireDigest": flag("Refuse an image without a digest."),
            "workspace": workspace(),
            "resources": resources(),
            "env": env(),
            "runtimeClassName": text("RuntimeClass of the agent's pods.", 253),
            "egress": egress(),
            "operatingMode": choice(
                "Running keeps one replica of the runtime; Suspended keeps none, starts no \
                 sessions, and leaves the workspace alone.",
                &["Running", "Suspended"],
                "Running",
            ),
            "sessions": sessions(),
        }),
    );
    spec["x-kubernetes-validations"] = json!([
        rule(
            "!has(self.manages) || size(self.manages) == 0 || \
             (has(self.role) && self.role == 'manager')",
            "manages is only for role manager",
        ),
        rule(
            "!has(self.requireDigest) || !self.requireDigest || \
             (has(self.image) && has(self.image.digest))",
            "requireDigest is true, so image.digest must be given",
        ),
    ]);
    spec
}

fn manages() -> Value {
    json!({
        "type": "array",
        "description": "Names of the agents of the same namespace that a manager manages.",
        "items": { "type": "string", "maxLength": NAME_MAX, "pattern": LABEL },
        "maxItems": MANAGES_MAX,
        "x-kubernetes-list-type": "set",
    })
}

fn image() -> Value {
    object(
        "Image of the agent's runtime; the operator's default if unset. It must run as a user \
         that is not root, with a read-only root file system.",
        &["repository"],
        json!({
            "repository": shaped(
                "Repository, for example ghcr.io/rynxs/agent.",
                255,
                "^[a-z0-9][a-z0-9._:/-]*$",
            ),
            "tag": shaped("Tag.", 128, "^[A-Za-z0-9_][A-Za-z0-9._-]*$"),
            "digest": shaped("Digest; wins over the tag.", 71, "^sha256:[0-9a-f]{64}$"),
        }),
    )
}

fn workspace() -> Value {
    let mut size = shaped(
        "Size of the volume. It may grow where the storage class allows it; a smaller size is \
         not accepted, which condition Accepted says.",
        32,
        QUANTITY,
    );
    size["default"] = json!("1Gi");
    let mut workspace = object(
        "Persistent workspace of the agent, mounted at /workspace.",
        &[],
        json!({
            "size": size,
            "storageClassName": text(
                "Storage class; the operator's default if unset. Immutable.",
                253,
            ),
            "retain": flag(
                "Keep the volume claim when the agent is deleted. A later agent of the same name \
                 gets it back.",
            ),
        }),
    );
    workspace["default"] = json!({});
    workspace["x-kubernetes-validations"] = json!([rule(
        "has(self.storageClassName) == has(oldSelf.storageClassName) && \
         (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        "storageClassName is immutable",
    )]);
    workspace
}

fn resources() -> Value {
    let amounts = |description: &str| {
        json!({
            "type": "object",
            "description": description,
            "maxProperties": 16,
            "additionalProperties": {
                "anyOf": [{ "type": "integer" }, { "type": "string" }],
                "pattern": QUANTITY,
                "x-kubernetes-int-or-string": true,
            },
        })
    };
    object(
        "Compute resources of the runtime.",
        &[],
        json!({
            "requests": amounts("What is reserved."),
            "limits": amounts("What may be used at most."),
        }),
    )
}

fn env() -> Value {
    let key_of = |what: &str| {
        object(
            &format!("A key of a {what} of the same namespace."),
            &["name", "key"],
            json!({
                "name": text("Name of the object.", 253),
                "key": text("Key in it.", 253),
                "optional": { "type": "boolean", "description": "Whether it may be missing." },
            }),
        )
    };
    let mut from = object(
        "Where the value comes from. Secrets are only referred to, never copied.",
        &[],
        json!({
            "secretKeyRef": key_of("Secret"),
            "configMapKeyRef": key_of("ConfigMap"),
            "fieldRef": object("A field of the pod.", &["fieldPath"], json!({
                "apiVersion": text("Version of the path.", 63),
                "fieldPath": text("Path of the field.", 253),
            })),
            "resourceFieldRef": object("A resource of the container.", &["resource"], json!({
                "containerName": text("Name of the container.", 63),
                "resource": text("Resource, for example limits.memory.", 253),
                "divisor": shaped("Unit of the value.", 32, QUANTITY),
            })),
        }),
    );
    from["minProperties"] = json!(1);
    from["maxProperties"] = json!(1);
    let mut item = object(
        "One environment variable: a value, or a reference.",
        &["name"],
        json!({
            "name": shaped(
                "Name. Names that begin with RYNXS_ are set by rynxs.",
                128,
                "^[A-Za-z_][A-Za-z0-9_]*$",
            ),
            "value": text(
                "Plain value. It becomes part of a log that cannot forget, so never a secret.",
                ENV_VALUE_MAX,
            ),
            "valueFrom": from,
        }),
    );
    item["x-kubernetes-validations"] = json!([
        rule("has(self.value) != has(self.valueFrom)", "give exactly one of value and valueFrom"),
        rule("!self.name.startsWith('RYNXS_')", "names that begin with RYNXS_ are reserved"),
    ]);
    json!({
        "type": "array",
        "description": "Environment of the agent's runtime and of its sessions.",
        "items": item,
        "maxItems": ENV_MAX,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
    })
}

fn selector(description: &str) -> Value {
    let value = json!({ "type": "string", "maxLength": 63 });
    object(
        description,
        &[],
        json!({
            "matchLabels": {
                "type": "object",
                "description": "Labels that must have these values.",
                "additionalProperties": value,
                "maxProperties": 16,
            },
            "matchExpressions": {
                "type": "array",
                "description": "Conditions that must all hold.",
                "maxItems": 16,
                "x-kubernetes-list-type": "atomic",
                "items": object("One condition.", &["key", "operator"], json!({
                    "key": text("Label.", 316),
                    "operator": {
                        "type": "string",
                        "description": "How the label relates to the values.",
                        "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                    },
                    "values": {
                        "type": "array",
                        "description": "Values, for In and NotIn.",
                        "items": value,
                        "maxItems": 16,
                        "x-kubernetes-list-type": "atomic",
                    },
                })),
            },
        }),
    )
}

fn egress() -> Value {
    let ports = json!({
        "type": "array",
        "description": "Ports; all of them if empty.",
        "maxItems": PORTS_MAX,
        "x-kubernetes-list-type": "atomic",
        "items": object("One port.", &["port"], json!({
            "port": {
                "type": "integer",
                "format": "int32",
                "description": "Number.",
                "minimum": 1,
                "maximum": 65_535,
            },
            "protocol": choice("Protocol.", &["TCP", "UDP"], "TCP"),
        })),
    });
    let mut item = object(
        "One destination: either an address range, or selectors.",
        &[],
        json!({
            "cidr": text("Address range, for example 10.0.0.0/8.", 49),
            "podSelector": selector("Pods of the namespace, or of those selected beside it."),
            "namespaceSelector": selector("Namespaces."),
            "ports": ports,
        }),
    );
    item["x-kubernetes-validations"] = json!([
        rule(
            "has(self.cidr) != (has(self.podSelector) || has(self.namespaceSelector))",
            "give either cidr, or podSelector or namespaceSelector or both",
        ),
        rule(
            "!has(self.cidr) || self.cidr.matches('^([0-9]{1,3}([.][0-9]{1,3}){3}/[0-9]{1,2}|\
             [0-9a-fA-F.]*:[0-9a-fA-F:.]*/[0-9]{1,3})$')",
            "cidr must be an address range such as 10.0.0.0/8 or 2001:db8::/32; host names are \
             refused, because NetworkPolicy cannot enforce them",
        ),
    ]);
    json!({
        "type": "array",
        "description": "What the agent may reach besides what its role allows.",
        "items": item,
        "maxItems": EGRESS_MAX,
        "x-kubernetes-list-type": "atomic",
    })
}

fn sessions() -> Value {
    object(
        "Limits of the agent's sessions.",
        &[],
        json!({
            "maxDuration": shaped(
                "Largest maxDuration of a session, for example 2h; also the default of sessions \
                 that name none.",
                24,
                DURATION,
            ),
            "maxConcurrent": {
                "type": "integer",
                "format": "int32",
                "description": "Largest number of sessions that run at once; further ones wait.",
                "minimum": 1,
                "maximum": CONCURRENT_MAX,
            },
        }),
    )
}
