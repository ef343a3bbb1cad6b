//! One number per observation, in every log line from the watch event to the last effect.

use std::collections::BTreeMap;
use std::fmt;

use rynxs_core::ids::ObjectRef;

use crate::ports::Entropy;

/// A trace id: 64 random bits, written as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceId(u64);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Trace ids of the subjects that are being worked on.
#[derive(Default)]
pub(super) struct Traces(BTreeMap<ObjectRef, TraceId>);

impl Traces {
    /// A new observation of a subject starts a new trace.
    pub(super) fn begin(&mut self, subject: &ObjectRef, entropy: &dyn Entropy) -> TraceId {
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        let trace = TraceId(u64::from_le_bytes(bytes));
        self.0.insert(subject.clone(), trace);
        trace
    }

    /// The trace that work on a subject belongs to.
    pub(super) fn of(&mut self, subject: &ObjectRef, entropy: &dyn Entropy) -> TraceId {
        match self.0.get(subject) {
            Some(trace) => *trace,
            None => self.begin(subject, entropy),
        }
    }

    /// Work on a subject that a trace caused belongs to it, unless the subject has one of its own.
    pub(super) fn join(&mut self, subject: &ObjectRef, trace: TraceId) {
        self.0.entry(subject.clone()).or_insert(trace);
    }

    /// Nothing is left to do about a subject.
    pub(super) fn end(&mut self, subject: &ObjectRef) {
        self.0.remove(subject);
    }
}
