//! Messages: everything that the stream says about one request, put together.

use std::collections::BTreeMap;

use crate::event::{Event, Leg, Line};

/// An arrival later than this after the request left is late.
pub(super) const LATE_NS: u64 = 1_000_000_000;

/// The way of one message; all numbers are indices into the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Journey<'a> {
    /// It left.
    pub(super) sent: Option<usize>,
    /// Who sent it.
    pub(super) from: &'a str,
    /// To whom.
    pub(super) to: &'a str,
    /// HTTP method, or `WATCH`.
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
    /// It reached the server, perhaps twice.
    pub(super) arrived: Vec<usize>,
    /// What the server did because of it.
    pub(super) effects: Vec<usize>,
    /// The server answered.
    pub(super) answered: Vec<usize>,
    /// The answer was heard.
    pub(super) received: Option<usize>,
    /// It, or its answer, is gone.
    pub(super) lost: Option<(usize, Leg)>,
    /// Faults met it: where the stream says so, and their names.
    pub(super) faults: Vec<(usize, &'a str)>,
    /// What the sender heard, or else what the server decided.
    pub(super) status: Option<u16>,
    /// Arrivals that came after the sender had given up, stood still or died, or simply late.
    pub(super) late: Vec<usize>,
    /// What befell the sender between leaving and the last arrival.
    pub(super) meanwhile: Vec<usize>,
}

impl Journey<'_> {
    /// Whether people should look at it.
    pub(super) fn is_troubled(&self) -> bool {
        let refused = match self.status {
            Some(0 | 403 | 409 | 410 | 412 | 422 | 429) => true,
            Some(status) => status >= 500,
            None => false,
        };
        refused || self.lost.is_some() || !self.late.is_empty() || self.arrived.len() > 1
    }

    /// Whether it can change nothing.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.method, "GET" | "HEAD" | "LIST" | "WATCH")
    }

    /// Faults that had met it by then, in a few words that follow others.
    pub(super) fn blame(&self, until: usize) -> String {
        let mut names: Vec<&str> = Vec::new();
        for (_, name) in self.faults.iter().filter(|(line, _)| *line <= until) {
            if !names.contains(name) {
                names.push(name);
            }
        }
        if names.is_empty() { String::new() } else { format!("; fault {}", names.join(", ")) }
    }

    /// Whether it is about a Lease.
    pub(super) fn is_about_lease(&self) -> bool {
        self.target.contains("/leases")
    }

    /// Method and the telling end of the path.
    pub(super) fn what(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default().trim_end_matches('/');
        let mut parts: Vec<&str> = path.rsplit('/').take(3).collect();
        let shown = match parts.as_slice() {
            // A key of the log: the folder and the name say it all.
            [key, folder, ..] if key.ends_with(".json") => format!("{folder}/{key}"),
            // Plural and name; the namespace stands in the event itself.
            [name, plural, _] if parts_of(path) > PARTS_OF_A_COLLECTION => {
                format!("{plural}/{name}")
            }
            _ => {
                parts.reverse();
                parts.join("/")
            }
        };
        format!("{} {shown}", self.method)
    }
}

/// `apis/group/version/namespaces/name/plural`: what is longer names one object.
const PARTS_OF_A_COLLECTION: usize = 6;

fn parts_of(path: &str) -> usize {
    path.split('/').filter(|part| !part.is_empty()).count()
}

/// Every message of the stream, by number.
pub(super) fn journeys(lines: &[Line]) -> BTreeMap<u64, Journey<'_>> {
    let mut journeys: BTreeMap<u64, Journey<'_>> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        match &line.event {
            Event::Sent { message, to, method, target, .. } => {
                let journey = journeys.entry(*message).or_default();
                journey.sent = Some(index);
                (journey.from, journey.to) = (&line.node, to);
                (journey.method, journey.target) = (method, target);
            }
            Event::Arrived { message } => {
                journeys.entry(*message).or_default().arrived.push(index);
            }
            Event::Answered { message, status } => {
                let journey = journeys.entry(*message).or_default();
                journey.answered.push(index);
                journey.status = journey.status.or(Some(*status));
            }
            Event::Received { message, status } => {
                let journey = journeys.entry(*message).or_default();
                journey.received = Some(index);
                journey.status = Some(*status);
            }
            Event::Lost { message, leg } => {
                journeys.entry(*message).or_default().lost = Some((index, *leg));
            }
            // What a watch shows goes on for long: one change that a fault met is not its answer.
            Event::FaultHit { message, fault, change } if change.is_empty() => {
                journeys.entry(*message).or_default().faults.push((index, fault));
            }
            Event::LogWrite(write) => note_effect(&mut journeys, write.message, index),
            Event::ObjectWrite(write) => note_effect(&mut journeys, write.message, index),
            _ => {}
        }
    }
    find_late(lines, &mut journeys);
    journeys
}

fn note_effect(journeys: &mut BTreeMap<u64, Journey<'_>>, message: Option<u64>, index: usize) {
    if let Some(message) = message {
        journeys.entry(message).or_default().effects.push(index);
    }
}

fn find_late(lines: &[Line], journeys: &mut BTreeMap<u64, Journey<'_>>) {
    let mut absences: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, line) in lines.iter().enumerate() {
        if matches!(line.event, Event::Frozen | Event::Killed { .. } | Event::Exited { .. }) {
            absences.entry(&line.node).or_default().push(index);
        }
    }
    for journey in journeys.values_mut() {
        let Some(sent) = journey.sent else { continue };
        let absences = absences.get(journey.from).map_or(&[][..], Vec::as_slice);
        for &arrived in &journey.arrived {
            let since = absences.partition_point(|absence| *absence < sent);
            let until = absences.partition_point(|absence| *absence < arrived);
            let slow = lines[arrived].t_ns.saturating_sub(lines[sent].t_ns) > LATE_NS;
            let given_up = journey.received.is_some_and(|received| received < arrived);
            if slow || given_up || since < until {
                journey.late.push(arrived);
            }
            journey.meanwhile.extend_from_slice(&absences[since..until]);
        }
        journey.meanwhile.dedup();
    }
}
