//! The models' ground truth on its way into the stream.

use rynxs_apiserver::{ApiServer, Write};
use rynxs_judge::event::{Event, node};
use rynxs_judge::{LogRecord, LogWrite, ObjectWrite};
use rynxs_s3::{Condition, Outcome, Write as S3Write, WriteAttempt};
use serde_json::Value;

use super::servers::PREFIX;
use super::{World, hold};
use crate::fault;

/// How far the stream has told the histories, and what it knows of the Lease.
pub(super) struct Truth {
    api_from: u64,
    s3_from: u64,
    holder: Option<String>,
    /// The state of the cluster, as the judge sees it.
    pub(super) cluster: rynxs_judge::Cluster,
}

impl Truth {
    pub(super) fn new(head: &rynxs_judge::event::Head) -> Self {
        let cluster = rynxs_judge::Cluster::new(head);
        Self { api_from: 0, s3_from: 0, holder: None, cluster }
    }

    /// Leaves out what was there before the run began.
    pub(super) fn skip_loaded(&mut self, api: &ApiServer) {
        self.api_from = api.history().last().map_or(0, |write| write.number + 1);
    }

    /// The pod of the Lease's holder.
    pub(super) fn holder_pod(&self) -> Option<String> {
        let holder = self.holder.as_deref()?;
        holder.split('_').next().filter(|pod| !pod.is_empty()).map(str::to_owned)
    }

    fn note_lease(&mut self, write: &ObjectWrite) {
        if write.took_effect() && write.object.starts_with("Lease/") {
            let holder = write.value.as_ref().and_then(|value| {
                value.pointer("/spec/holderIdentity").and_then(Value::as_str).map(str::to_owned)
            });
            self.holder = holder;
        }
    }
}

fn annotation<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get("metadata")?.get("annotations")?.get(name)?.as_str()
}

fn object_write(write: Write, message: Option<u64>) -> ObjectWrite {
    let value = write.object.filter(|_| write.changed);
    let log = value.as_deref().and_then(|value| annotation(value, "rynxs.universe.ai/log"));
    ObjectWrite {
        log: log.map(str::to_owned),
        user: write.user,
        verb: write.verb,
        object: format!("{}/{}/{}", write.kind, write.namespace, write.name),
        uid: write.uid,
        stamp: write.stamp,
        status: write.status_code,
        at_ns: crate::stream::now_ns(),
        message,
        subresource: write.subresource,
        rv: write.rv,
        changed: write.changed,
        removed: write.removed,
        value,
    }
}

fn log_write(attempt: WriteAttempt, message: Option<u64>) -> Option<LogWrite> {
    let key = attempt.key.strip_prefix(PREFIX)?.strip_prefix('/')?.to_owned();
    let status = match attempt.outcome {
        Outcome::Applied { .. } => 200,
        Outcome::Refused { status, .. } => status,
    };
    let text = String::from_utf8_lossy(&attempt.bytes).into_owned();
    let at_ns = crate::stream::now_ns();
    (attempt.write == S3Write::Put).then_some(LogWrite { key, text, status, at_ns, message })
}

/// Whether a store wrote over what was there, although it was asked to write only if nothing was.
fn ignored_condition(attempt: &WriteAttempt) -> bool {
    matches!(attempt.outcome, Outcome::Applied { replaced: true, .. })
        && attempt.condition == Some(Condition::Absent)
}

impl World {
    /// Tells what the API has seen since; `message` asked for it, or nobody did.
    pub(crate) fn pump_api(&self, at: &str, message: Option<u64>) {
        let mut truth = hold(&self.0.truth);
        let writes = self.0.views[0].history_since(truth.api_from);
        let Some(last) = writes.last() else { return };
        truth.api_from = last.number + 1;
        for write in writes {
            // Kubernetes Events are for people; no oracle reads them.
            if write.kind == "Event" {
                continue;
            }
            let write = object_write(write, message);
            truth.note_lease(&write);
            truth.cluster.apply(&write);
            self.note(at, Event::ObjectWrite(Box::new(write)));
        }
        drop(truth);
        self.wake_ticker();
    }

    /// Tells what the object store has seen since.
    pub(crate) fn pump_s3(&self, message: Option<u64>) {
        let mut truth = hold(&self.0.truth);
        let attempts = self.0.s3.history_since(truth.s3_from);
        let Some(last) = attempts.last() else { return };
        truth.s3_from = last.number + 1;
        drop(truth);
        for attempt in attempts {
            if let Some(message) = message
                && ignored_condition(&attempt)
            {
                self.met(node::S3, message, fault::IGNORES_CONDITION);
            }
            if let Some(write) = log_write(attempt, message) {
                self.log_written(node::S3, write);
            }
        }
    }

    /// Tells of an attempt to write a record; a new epoch may decide by other settings.
    pub(crate) fn log_written(&self, store: &str, write: LogWrite) {
        if write.took_effect()
            && write.text.contains("\"EpochStarted\"")
            && let Ok(record) = LogRecord::parse(&write.text)
        {
            let settings = record.events.iter().find_map(|event| event.fields.get("settings"));
            settings.inspect(|settings| hold(&self.0.truth).cluster.decide_by(settings));
        }
        self.note(store, Event::LogWrite(write));
    }
}
