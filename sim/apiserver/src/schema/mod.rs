//! Structural schemas of CRDs: defaulting, pruning, validation, in the real server's words.
//!
//! Why: what the server prunes, fills in and refuses is what the operator sees of a person's
//! Agent; and the CRD's root rule on `status.controllerEpoch` is part of the fence (I4), so rules
//! are evaluated with the stored object beside the new one.
//!
//! Where a real server walks a map in random order, this one walks it sorted. Not modelled: cost
//! limits of rules, `date-time` and `number` fields as CEL timestamps and doubles (they stay
//! strings and what they were written as), embedded resources.

mod check;
mod compile;
mod fill;
mod format;
mod node;
mod rules;

use serde_json::Value;

use crate::status_error::Cause;
use node::Node;

/// The compiled schema of one CRD version.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    root: Node,
}

impl Schema {
    /// Compiles `spec.versions[i]` of a CRD.
    pub(crate) fn compile(crd_version: &Value) -> Result<Self, Vec<Cause>> {
        compile::root(&crd_version["schema"]["openAPIV3Schema"]).map(|root| Self { root })
    }

    /// Drops nulls where none may be and fills in defaults.
    pub(crate) fn default(&self, object: &mut Value) {
        fill::defaults(&self.root, object);
    }

    /// Drops unknown fields and returns their paths.
    pub(crate) fn prune(&self, object: &mut Value) -> Vec<String> {
        fill::prune(&self.root, object)
    }

    /// Everything that is wrong with an object; `old` is the stored one on updates. What was wrong
    /// before and is left as it is does not count.
    pub(crate) fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<Cause> {
        let mut causes = check::all(&self.root, object, old);
        if self.root.has_rules() {
            if causes.iter().any(blocks_rules) {
                causes.push(Cause::invalid(
                    "<nil>",
                    &Value::Null,
                    "some validation rules were not checked because the object was invalid; \
                     correct the existing errors to complete validation",
                ));
            } else {
                causes.extend(rules::all(&self.root, object, old));
            }
        }
        causes
    }
}

/// Rules are evaluated only on objects whose fields have the types that the rules expect.
fn blocks_rules(cause: &Cause) -> bool {
    const BLOCKING: [&str; 5] = [
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    ];
    BLOCKING.contains(&cause.reason.as_str())
}

#[cfg(test)]
mod tests;
