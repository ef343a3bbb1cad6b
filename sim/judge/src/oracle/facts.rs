//! What all oracles read, put in order once: writes with their places, and the log parsed once.
//!
//! It is made from a bare history, which has no common order of log and objects, or from a stream,
//! which has one. Whatever needs the order asks [`Facts::is_ordered`].

use std::collections::BTreeMap;

use crate::event::{Event, Head, Line};
use crate::history::{History, LogObject, LogWrite, ObjectWrite};
use crate::record::{LogRecord, RecordFault};
use crate::verdict::Finding;

/// Where something stands in a stream; both are none in a bare history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: Option<usize>,
    pub(crate) at_ns: Option<u64>,
}

/// A fact, its number among its like, and its place.
pub(crate) struct Seen<'a, T> {
    pub(crate) index: usize,
    pub(crate) place: Place,
    pub(crate) what: &'a T,
}

/// A record of the log at the end.
pub(crate) struct Stored {
    pub(crate) record: LogRecord,
    /// Where its line at the end stands.
    pub(crate) place: Place,
    /// Where the store accepted these very bytes, if that was seen.
    pub(crate) accepted: Option<Place>,
}

/// Everything that oracles read.
pub(crate) struct Facts<'a> {
    pub(crate) operator: &'a str,
    pub(crate) lines: &'a [Line],
    pub(crate) head: Option<&'a Head>,
    pub(crate) log_writes: Vec<Seen<'a, LogWrite>>,
    pub(crate) object_writes: Vec<Seen<'a, ObjectWrite>>,
    /// The log at the end, ordered by key.
    pub(crate) log_at_end: Vec<Seen<'a, LogObject>>,
    /// Why those objects of the log that are no records are none, by index in `log_at_end`.
    pub(crate) faults: BTreeMap<usize, RecordFault>,
    /// The records that can be read, in the order of their keys.
    pub(crate) records: Vec<Stored>,
    pub(crate) base: u64,
    pub(crate) log_id: String,
    /// When the faults stopped.
    pub(crate) healed: Option<Place>,
    /// The last line.
    pub(crate) end: Option<Place>,
}

impl Place {
    fn of(line: usize, at_ns: u64) -> Self {
        Self { line: Some(line), at_ns: Some(at_ns) }
    }

    fn untold(at_ns: u64) -> Self {
        Self { line: None, at_ns: (at_ns > 0).then_some(at_ns) }
    }

    /// Whether this is known to stand before the other.
    pub(crate) fn is_before(self, other: Self) -> bool {
        matches!((self.line, other.line), (Some(a), Some(b)) if a < b)
    }
}

impl Finding {
    /// Adds a place; the last one added is when it showed.
    #[must_use]
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.at_ns = place.at_ns.or(self.at_ns);
        self.lines.extend(place.line);
        self
    }

    /// Adds a place, if it is known.
    #[must_use]
    pub(crate) fn at_some(self, place: Option<Place>) -> Self {
        match place {
            Some(place) => self.at(place),
            None => self,
        }
    }
}

impl<'a> Facts<'a> {
    pub(crate) fn of_history(history: &'a History) -> Self {
        let mut facts = Self::empty(&history.operator);
        for (index, what) in history.log_writes.iter().enumerate() {
            facts.log_writes.push(Seen { index, place: Place::untold(what.at_ns), what });
        }
        for (index, what) in history.object_writes.iter().enumerate() {
            facts.object_writes.push(Seen { index, place: Place::untold(what.at_ns), what });
        }
        for (index, what) in history.log_at_end.iter().enumerate() {
            facts.log_at_end.push(Seen { index, place: Place::default(), what });
        }
        facts.read_log();
        facts
    }

    pub(crate) fn of_lines(lines: &'a [Line]) -> Self {
        let head = lines.iter().find_map(|line| match &line.event {
            Event::Run(head) => Some(&**head),
            _ => None,
        });
        let mut facts = Self::empty(head.map_or("", |head| &head.operator));
        facts.lines = lines;
        facts.head = head;
        for (number, line) in lines.iter().enumerate() {
            let place = Place::of(number, line.t_ns);
            match &line.event {
                Event::LogWrite(what) => {
                    facts.log_writes.push(Seen { index: facts.log_writes.len(), place, what });
                }
                Event::ObjectWrite(what) => {
                    let index = facts.object_writes.len();
                    facts.object_writes.push(Seen { index, place, what });
                }
                Event::LogAtEnd(what) => {
                    facts.log_at_end.push(Seen { index: facts.log_at_end.len(), place, what });
                }
                Event::Healed => facts.healed = Some(place),
                Event::End => facts.end = Some(place),
                _ => {}
            }
        }
        facts.log_at_end.sort_by(|a, b| a.what.key.cmp(&b.what.key));
        facts.read_log();
        facts
    }

    fn empty(operator: &'a str) -> Self {
        Self {
            operator,
            lines: &[],
            head: None,
            log_writes: Vec::new(),
            object_writes: Vec::new(),
            log_at_end: Vec::new(),
            faults: BTreeMap::new(),
            records: Vec::new(),
            base: 0,
            log_id: String::new(),
            healed: None,
            end: None,
        }
    }

    fn read_log(&mut self) {
        let mut accepted: BTreeMap<&str, Vec<(&str, Place)>> = BTreeMap::new();
        for write in self.log_writes.iter().filter(|write| write.what.took_effect()) {
            accepted.entry(&write.what.key).or_default().push((&write.what.text, write.place));
        }
        for (number, object) in self.log_at_end.iter().enumerate() {
            match LogRecord::parse(&object.what.text) {
                Ok(record) => {
                    let same = accepted.get(object.what.key.as_str()).into_iter().flatten();
                    let first = same.clone().find(|(text, _)| *text == object.what.text);
                    let accepted = first.map(|(_, place)| *place);
                    self.records.push(Stored { record, place: object.place, accepted });
                }
                Err(fault) => {
                    self.faults.insert(number, fault);
                }
            }
        }
        let first = self.records.first().and_then(|stored| stored.record.event("LogStarted"));
        self.base = first.and_then(|event| event.number("base")).unwrap_or_default();
        self.log_id = first.and_then(|event| event.text("log_id")).unwrap_or_default().to_owned();
    }

    /// Whether log and objects have one common order.
    pub(crate) fn is_ordered(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Whether the run was let go on after its faults, up to its end.
    pub(crate) fn went_on(&self) -> bool {
        self.healed.is_some() && self.end.is_some()
    }

    /// The lines with their places.
    pub(crate) fn placed(&self) -> impl Iterator<Item = (Place, &'a Line)> + use<'a> {
        let lines = self.lines;
        lines.iter().enumerate().map(|(number, line)| (Place::of(number, line.t_ns), line))
    }
}
