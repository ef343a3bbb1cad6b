//! Schema of a Session's spec.

use serde_json::{Value, json};

use super::{DURATION, LABEL, age, choice, column, object, rule, shaped, text};
use crate::duration::LONGEST;
use crate::resource::validate::{INPUT_MAX, NAME_MAX};

pub(super) fn columns() -> Value {
    let ready = ".status.conditions[?(@.type==\"Ready\")]";
    json!([
        column("Agent", ".spec.agentRef", "string", 0),
        column("Phase", ".status.phase", "string", 0),
        column("Ready", &format!("{ready}.status"), "string", 0),
        column("Reason", &format!("{ready}.reason"), "string", 1),
        column("Expires", ".status.expiresAt", "string", 1),
        column("Epoch", ".status.controllerEpoch", "integer", 1),
        column("Seq", ".status.logHead.seq", "integer", 1),
        age(),
    ])
}

/// A field that may neither change nor appear nor vanish.
fn fixed(field: &str) -> Value {
    rule(
        &format!(
            "has(self.{field}) == has(oldSelf.{field}) && \
             (!has(self.{field}) || self.{field} == oldSelf.{field})"
        ),
        &format!("{field} is immutable"),
    )
}

pub(super) fn spec() -> Value {
    let mut agent_ref =
        shaped("Name of the Agent of the same namespace. Immutable.", NAME_MAX, LABEL);
    agent_ref["x-kubernetes-validations"] =
        json!([rule("self == oldSelf", "agentRef is immutable")]);
    let mut mode = choice(
        "Running lets the run go on; Suspended stops its pod while its time goes on; Cancelled \
         ends it and cannot be undone.",
        &["Running", "Suspended", "Cancelled"],
        "Running",
    );
    mode["x-kubernetes-validations"] = json!([rule(
        "oldSelf != 'Cancelled' || self == 'Cancelled'",
        "Cancelled cannot be undone"
    )]);
    let mut shutdown = text("Absolute end of the session, RFC 3339. Immutable.", 64);
    shutdown["format"] = json!("date-time");
    let mut spec = object(
        "What to run, for how long, and what remains afterwards.",
        &["agentRef"],
        json!({
            "agentRef": agent_ref,
            "input": text(
                "Input of the run, handed to it as the file /etc/rynxs/input. At most 256 KiB. \
                 Immutable.",
                INPUT_MAX,
            ),
            "operatingMode": mode,
            "maxDuration": shaped(
                "Longest time from the first sight of the session to its end, for example 30m. \
                 The limits of the agent and of the operator apply. Immutable.",
                24,
                DURATION,
            ),
            "shutdownTime": shutdown,
            "ttlSecondsAfterFinished": {
                "type": "integer",
                "format": "int64",
                "description": "Delete the Session so many seconds after it ended.",
                "minimum": 0,
                "maximum": LONGEST.as_secs(),
            },
            "shutdownPolicy": choice(
                "What happens when the session's time is over: Delete removes the Session with \
                 all it owns, even if it finished before; Retain ends the run and keeps the rest.",
                &["Delete", "Retain"],
                "Retain",
            ),
        }),
    );
    spec["x-kubernetes-validations"] =
        json!([fixed("input"), fixed("maxDuration"), fixed("shutdownTime")]);
    spec
}
