//! The parameters of a write.

use serde_json::{Map, Value, json};

use super::Call;
use crate::status_error::{ApiError, Cause};

/// What happens to fields that the schema does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped and a warning says so.
    Warn,
    /// They are an error.
    Strict,
}

/// Parameters of POST, PUT and PATCH.
#[derive(Clone, Debug)]
pub(super) struct WriteOptions {
    pub(super) dry_run: bool,
    /// As given; empty if not.
    pub(super) field_manager: String,
    pub(super) field_validation: FieldValidation,
    pub(super) force: Option<bool>,
    /// As policies see them.
    pub(super) json: Value,
}

impl WriteOptions {
    /// Reads them from the query; `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    pub(super) fn of(call: &Call<'_>, kind: &str) -> Result<Self, ApiError> {
        let query = &call.query;
        let mut causes = Vec::new();
        let dry_run = check_dry_run(query.all("dryRun"), &mut causes);
        let field_validation = match query.get("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                causes.push(Cause::new(
                    "FieldValueNotSupported",
                    "fieldValidation",
                    format!(
                        "Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \
                         \"Warn\""
                    ),
                ));
                FieldValidation::Warn
            }
        };
        let force = query.flag_if_given("force");
        let applies = call.media.starts_with("application/apply-patch");
        if kind == "PatchOptions" && force.is_some() && !applies {
            causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
        }
        if applies && query.get("fieldManager").is_empty() {
            causes.push(Cause::required("fieldManager", "is required for apply patch"));
        }
        if !causes.is_empty() {
            return Err(ApiError::invalid_kind("meta.k8s.io", kind, "", &causes));
        }
        let mut json = Map::new();
        json.insert("kind".to_owned(), json!(kind));
        json.insert("apiVersion".to_owned(), json!("meta.k8s.io/v1"));
        for name in ["fieldManager", "fieldValidation"] {
            if !query.get(name).is_empty() {
                json.insert(name.to_owned(), json!(query.get(name)));
            }
        }
        if dry_run {
            json.insert("dryRun".to_owned(), json!(["All"]));
        }
        if let Some(force) = force {
            json.insert("force".to_owned(), json!(force));
        }
        Ok(Self {
            dry_run,
            field_manager: query.get("fieldManager").to_owned(),
            field_validation,
            force,
            json: Value::Object(json),
        })
    }

    /// The name under which an update owns fields: the parameter or the start of the user agent.
    pub(super) fn manager<'a>(&'a self, call: &'a Call<'_>) -> &'a str {
        if !self.field_manager.is_empty() {
            return &self.field_manager;
        }
        match call.user_agent.split('/').next() {
            None | Some("") => "unknown",
            Some(agent) => agent,
        }
    }
}

/// Reads `dryRun`; only `All` is supported.
pub(super) fn check_dry_run(values: &[String], causes: &mut Vec<Cause>) -> bool {
    if values.iter().any(|value| value != "All") {
        causes.push(Cause::new(
            "FieldValueNotSupported",
            "dryRun",
            format!("Unsupported value: {values:?}: supported values: \"All\""),
        ));
    }
    !values.is_empty()
}
