//! What may share a record.
//!
//! A record is an atomic batch. Stamps are numbered by record, so two decisions about one object
//! must not stand in one record: they would carry the same stamp and the fence could not order
//! them (I4). A batch therefore closes before it would hold a second one.

use std::collections::BTreeSet;

use crate::event::Event;
use crate::ids::ObjectRef;
use crate::record::{EncodedEvent, MAX_EVENTS, MAX_OVERHEAD_BYTES, MAX_RECORD_BYTES};

/// When a batch closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Events at which a batch takes no further group; a group may exceed it once.
    pub max_events: usize,
    /// Bytes of events at which a batch takes no further group; a group may exceed it once.
    pub max_bytes: usize,
}

/// Events that must stand in one record: a fact and everything that follows from it.
#[derive(Clone, Debug, Default)]
pub struct Group {
    events: Vec<EncodedEvent>,
    bytes: usize,
    decided: BTreeSet<ObjectRef>,
}

/// Why a group cannot be recorded at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Two decisions of one group are about the same object.
    #[error("two decisions that follow from one fact are about {0}")]
    DecidedTwice(ObjectRef),
    /// It does not fit into a record of its own.
    #[error(
        "a fact and what follows from it need {events} events and {bytes} bytes: a record \
             holds {MAX_EVENTS} events and {MAX_RECORD_BYTES} bytes"
    )]
    TooLarge {
        /// Its events.
        events: usize,
        /// Their bytes.
        bytes: usize,
    },
}

impl Group {
    /// A group of one fact.
    pub fn new(fact: EncodedEvent) -> Result<Self, GroupError> {
        let mut group = Self::default();
        group.add(fact)?;
        Ok(group)
    }

    /// Adds an event that follows from the fact.
    pub fn push(&mut self, event: &Event, encoded: EncodedEvent) -> Result<(), GroupError> {
        if let Event::ActionsDecided { subject, actions, .. } = event {
            let about: BTreeSet<&ObjectRef> =
                actions.iter().map(|action| &action.object).chain([subject]).collect();
            for object in about {
                if !self.decided.insert(object.clone()) {
                    return Err(GroupError::DecidedTwice(object.clone()));
                }
            }
        }
        self.add(encoded)
    }

    fn add(&mut self, event: EncodedEvent) -> Result<(), GroupError> {
        self.bytes += event.stored_len();
        self.events.push(event);
        if self.events.len() > MAX_EVENTS || self.bytes + MAX_OVERHEAD_BYTES > MAX_RECORD_BYTES {
            return Err(GroupError::TooLarge { events: self.events.len(), bytes: self.bytes });
        }
        Ok(())
    }

    /// The events, the fact first.
    #[must_use]
    pub fn events(&self) -> &[EncodedEvent] {
        &self.events
    }

    /// Number of events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Never: a group holds its fact.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

/// Groups that will be one record.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    events: Vec<EncodedEvent>,
    bytes: usize,
    decided: BTreeSet<ObjectRef>,
}

impl Batch {
    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Number of events; the next one has this index.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether it takes nothing more, whatever comes.
    #[must_use]
    pub fn is_full(&self, limits: BatchLimits) -> bool {
        self.events.len() >= limits.max_events || self.bytes >= limits.max_bytes
    }

    /// Whether a group may join. An empty batch takes every group.
    #[must_use]
    pub fn takes(&self, group: &Group, limits: BatchLimits) -> bool {
        self.is_empty()
            || (!self.is_full(limits)
                && self.events.len() + group.events.len() <= MAX_EVENTS
                && self.bytes + group.bytes + MAX_OVERHEAD_BYTES <= MAX_RECORD_BYTES
                && self.decided.is_disjoint(&group.decided))
    }

    /// Adds a group.
    ///
    /// # Panics
    /// If the batch does not take it.
    pub fn push(&mut self, group: Group, limits: BatchLimits) {
        assert!(self.takes(&group, limits), "asked before");
        self.bytes += group.bytes;
        self.events.extend(group.events);
        self.decided.extend(group.decided);
    }

    /// The events, in order.
    #[must_use]
    pub fn events(&self) -> &[EncodedEvent] {
        &self.events
    }
}
