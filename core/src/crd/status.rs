//! Schemas of what the operator says about Agents and Sessions.

use serde_json::{Map, Value, json};

use super::{object, shaped, text};
use crate::status::{AGENT_PHASES, SESSION_PHASES};

fn number(description: &str) -> Value {
    json!({ "type": "integer", "format": "int64", "description": description, "minimum": 0 })
}

fn time(description: &str) -> Value {
    let mut time = text(description, 64);
    time["format"] = json!("date-time");
    time
}

pub(super) fn agent() -> Value {
    let sessions = object(
        "The agent's sessions.",
        &[],
        json!({
            "running": number("How many run."),
            "waiting": number("How many wait."),
        }),
    );
    status([("phase", phase(AGENT_PHASES)), ("sessions", sessions)])
}

pub(super) fn session() -> Value {
    status([
        ("phase", phase(SESSION_PHASES)),
        ("expiresAt", time("When its time is over; fixed when it was first seen.")),
        ("completionTime", time("When it ended.")),
    ])
}

fn phase(phases: &[&str]) -> Value {
    json!({
        "type": "string",
        "description": "Summary of the conditions, for people.",
        "enum": phases,
    })
}

fn status<const N: usize>(own: [(&str, Value); N]) -> Value {
    let mut properties: Map<String, Value> =
        own.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    properties.insert("conditions".to_owned(), conditions());
    properties.insert(
        "observedGeneration".to_owned(),
        number("The metadata.generation that this status is about."),
    );
    properties.insert(
        "controllerEpoch".to_owned(),
        number("Epoch of the leader that wrote this status; it never falls."),
    );
    let head = object(
        "The record of the log that holds the newest decision about this object.",
        &["seq", "hash"],
        json!({
            "seq": number("Position of the record."),
            "hash": shaped("Hash of the record.", 64, "^[0-9a-f]{64}$"),
        }),
    );
    properties.insert("logHead".to_owned(), head);
    object("What the operator says about it.", &[], Value::Object(properties))
}

fn conditions() -> Value {
    let item = object(
        "One aspect of the object's state.",
        &["type", "status", "reason", "message", "lastTransitionTime"],
        json!({
            "type": shaped("Aspect.", 64, "^[A-Za-z]+$"),
            "status": {
                "type": "string",
                "description": "Whether it holds.",
                "enum": ["True", "False", "Unknown"],
            },
            "reason": shaped("Why, in one word.", 128, "^[A-Za-z]+$"),
            "message": text("Why, for people.", 4096),
            "observedGeneration": number("The generation that it is about."),
            "lastTransitionTime": time("When its status last changed."),
        }),
    );
    json!({
        "type": "array",
        "description": "Accepted, Ready, Progressing, Suspended, Degraded; of sessions also \
                        Finished.",
        "items": item,
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}
