//! Which columns a kind has.

use serde_json::{Value, json};

use super::jsonpath::Path;
use crate::resource::ResourceInfo;

/// One column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    name: String,
    pub(super) kind: String,
    format: String,
    description: String,
    priority: i64,
    /// Custom resources: where the value is.
    pub(super) path: Option<Path>,
}

const NAME_HELP: &str = "Name must be unique within a namespace. Cannot be updated.";

impl Column {
    fn new(name: &str, kind: &str, priority: i64) -> Self {
        let is_name = name == "Name" && kind == "string";
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            format: if is_name { "name" } else { "" }.to_owned(),
            description: if is_name { NAME_HELP } else { "" }.to_owned(),
            priority,
            path: None,
        }
    }

    fn at(mut self, path: &str) -> Self {
        self.path = Path::parse(path);
        self
    }

    /// Entry of `columnDefinitions`.
    pub(super) fn definition(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        })
    }
}

/// Columns of built-in kinds, `+` before those that only `-o wide` shows, `#` before numbers.
const BUILTIN: &[(&str, &[&str])] = &[
    ("ClusterRole", &["Created At"]),
    ("ClusterRoleBinding", &["Role", "Age", "+Users", "+Groups", "+ServiceAccounts"]),
    ("ConfigMap", &["Data", "Age"]),
    ("CustomResourceDefinition", &["Created At"]),
    (
        "Deployment",
        &["Ready", "Up-to-date", "Available", "Age", "+Containers", "+Images", "+Selector"],
    ),
    ("Job", &["Status", "Completions", "Duration", "Age", "+Containers", "+Images", "+Selector"]),
    ("Lease", &["Holder", "Age"]),
    ("Namespace", &["Status", "Age"]),
    ("NetworkPolicy", &["Pod-Selector", "Age"]),
    ("Node", &["Status", "Roles", "Age", "Version"]),
    (
        "PersistentVolumeClaim",
        &[
            "Status",
            "Volume",
            "Capacity",
            "Access Modes",
            "StorageClass",
            "VolumeAttributesClass",
            "Age",
            "+VolumeMode",
        ],
    ),
    ("Pod", &["Ready", "Status", "Restarts", "Age", "+IP", "+Node"]),
    ("PodDisruptionBudget", &["Min Available", "Max Unavailable", "#Allowed Disruptions", "Age"]),
    (
        "ReplicaSet",
        &["#Desired", "#Current", "#Ready", "Age", "+Containers", "+Images", "+Selector"],
    ),
    ("Role", &["Created At"]),
    ("RoleBinding", &["Role", "Age", "+Users", "+Groups", "+ServiceAccounts"]),
    ("Secret", &["Type", "Data", "Age"]),
    ("Service", &["Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "+Selector"]),
    ("ServiceAccount", &["Secrets", "Age"]),
    (
        "StorageClass",
        &["Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"],
    ),
    ("ValidatingAdmissionPolicy", &["#Validations", "ParamKind", "Age"]),
    ("ValidatingAdmissionPolicyBinding", &["PolicyName", "ParamRef", "Age"]),
];

const EVENT: &[&str] = &[
    "Last Seen",
    "Type",
    "Reason",
    "Object",
    "+Subobject",
    "+Source",
    "Message",
    "+First Seen",
    "+Count",
    "+Name",
];

/// The columns of a resource.
pub(super) fn of(info: &ResourceInfo) -> Vec<Column> {
    if info.is_custom() {
        return custom(info);
    }
    if info.kind == "Event" {
        return EVENT.iter().map(|text| builtin(text)).collect();
    }
    let listed = BUILTIN.iter().find(|(kind, _)| *kind == info.kind);
    let rest = listed.map_or(&["Age"][..], |(_, columns)| columns);
    let name = Column::new("Name", "string", 0);
    std::iter::once(name).chain(rest.iter().map(|text| builtin(text))).collect()
}

fn builtin(text: &str) -> Column {
    let (text, priority) = text.strip_prefix('+').map_or((text, 0), |text| (text, 1));
    let (text, kind) = text.strip_prefix('#').map_or((text, "string"), |text| (text, "integer"));
    Column::new(text, if text == "Created At" { "date" } else { kind }, priority)
}

fn custom(info: &ResourceInfo) -> Vec<Column> {
    let name = Column::new("Name", "string", 0).at(".metadata.name");
    let version = info.crd_version.as_deref().unwrap_or(&Value::Null);
    let Some(listed) = version["additionalPrinterColumns"].as_array() else {
        return vec![name, Column::new("Age", "date", 0).at(".metadata.creationTimestamp")];
    };
    let columns = listed.iter().map(|column| {
        let text = |field: &str| column[field].as_str().unwrap_or_default();
        let priority = column["priority"].as_i64().unwrap_or(0);
        let mut made = Column::new(text("name"), text("type"), priority).at(text("jsonPath"));
        text("format").clone_into(&mut made.format);
        text("description").clone_into(&mut made.description);
        made
    });
    std::iter::once(name).chain(columns).collect()
}
