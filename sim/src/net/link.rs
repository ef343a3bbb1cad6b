//! What is wrong between one replica and one server at the moment, and what becomes of a message.

use std::collections::VecDeque;
use std::time::Duration;

use madsim::rand::{Rng, thread_rng};

use crate::fault;
use crate::scenario::Way;

/// Per mille.
const ALL: u32 = 1_000;

/// The state of one link. Faults add to it and take away again what they added; the heal resets it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    /// Partitions that stop requests, and answers.
    blocked: [u32; 2],
    /// Loss per mille, of requests and of answers.
    lost: [u32; 2],
    /// Requests that arrive twice, per mille.
    duplicated: u32,
    /// Added to every latency, milliseconds.
    more_ms: u64,
    /// Added at most, by chance, to every latency, milliseconds.
    up_to_ms: u64,
    /// Delays for the next requests that write.
    held: VecDeque<Option<Duration>>,
    /// After how long the next applies are repeated with the live version.
    replayed: VecDeque<Duration>,
    /// Watch events shown twice, left out before a later one, and left out, per mille.
    pub(crate) events_doubled: u32,
    /// See above.
    pub(crate) events_coalesced: u32,
    /// See above.
    pub(crate) events_dropped: u32,
}

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    /// Whether the request arrives.
    pub(crate) request: Leg,
    /// Whether the answer does.
    pub(crate) answer: Leg,
    /// Until the request arrives.
    pub(crate) out: Duration,
    /// Until the answer arrives.
    pub(crate) back: Duration,
    /// Until the request arrives a second time.
    pub(crate) again: Option<Duration>,
    /// Until its content arrives once more, with the version that the object has then.
    pub(crate) replayed: Option<Duration>,
    /// The faults that do this to request and answer.
    pub(crate) faults: [Option<&'static str>; 2],
}

/// One leg of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leg {
    /// It arrives.
    Arrives,
    /// It never does, and nobody is told.
    Silence,
    /// The sender learns at once that nothing was sent.
    Refused,
    /// The sender learns that the connection broke.
    Reset,
}

fn hits(per_mille: u32) -> bool {
    per_mille > 0 && thread_rng().gen_range(0..ALL) < per_mille
}

impl Link {
    /// Draws what becomes of a message that leaves now.
    pub(crate) fn fate(&mut self, writes: bool, latency_ms: (u64, u64)) -> Fate {
        let (out, back) = (self.latency(latency_ms), self.latency(latency_ms));
        let request = self.request_leg();
        let answer = if self.is_blocked(Way::Answers) || hits(self.lost[1]) {
            if thread_rng().gen_bool(0.25) { Leg::Reset } else { Leg::Silence }
        } else {
            Leg::Arrives
        };
        let held = if writes { self.held.pop_front().flatten() } else { None };
        let again = hits(self.duplicated)
            .then(|| out + Duration::from_millis(thread_rng().gen_range(1..2_000)));
        let out = out + held.unwrap_or_default();
        let whose = |leg: Leg, way| match leg {
            Leg::Arrives => None,
            _ if self.is_blocked(way) => Some(fault::PARTITION),
            _ => Some(fault::LOSE),
        };
        let held = held.filter(|by| !by.is_zero()).map(|_| fault::HOLD_WRITE);
        let faults = [whose(request, Way::Requests).or(held), whose(answer, Way::Answers)];
        Fate { request, answer, out, back, again, replayed: None, faults }
    }

    /// After how long this apply is repeated with the live version, if it is.
    pub(crate) fn next_replay(&mut self) -> Option<Duration> {
        self.replayed.pop_front()
    }

    /// A lost request: mostly silence, sometimes a connection that cannot be made or that breaks.
    fn request_leg(&self) -> Leg {
        if self.is_blocked(Way::Requests) || hits(self.lost[0]) {
            match thread_rng().gen_range(0..4) {
                0 => Leg::Refused,
                1 => Leg::Reset,
                _ => Leg::Silence,
            }
        } else {
            Leg::Arrives
        }
    }

    /// One way of one message.
    pub(crate) fn latency(&self, (least, most): (u64, u64)) -> Duration {
        let ms = if most > least { thread_rng().gen_range(least..=most) } else { least };
        let by_chance = match self.up_to_ms {
            0 => 0,
            most => thread_rng().gen_range(0..=most),
        };
        Duration::from_millis(ms + self.more_ms + by_chance)
    }

    /// Whether a partition stops this way.
    pub(crate) fn is_blocked(&self, way: Way) -> bool {
        match way {
            Way::Requests => self.blocked[0] > 0,
            Way::Answers => self.blocked[1] > 0,
            Way::Both => self.blocked.iter().all(|count| *count > 0),
        }
    }

    /// Begins or ends a partition.
    pub(crate) fn block(&mut self, way: Way, on: bool) {
        for index in ways(way) {
            let count = &mut self.blocked[index];
            *count = if on { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    /// Begins or ends a loss.
    pub(crate) fn lose(&mut self, way: Way, per_mille: u32, on: bool) {
        for index in ways(way) {
            adjust(&mut self.lost[index], per_mille, on);
        }
    }

    /// Begins or ends duplication of requests.
    pub(crate) fn duplicate(&mut self, per_mille: u32, on: bool) {
        adjust(&mut self.duplicated, per_mille, on);
    }

    /// Begins or ends disorder.
    pub(crate) fn reorder(&mut self, up_to_ms: u64, on: bool) {
        self.up_to_ms =
            if on { self.up_to_ms + up_to_ms } else { self.up_to_ms.saturating_sub(up_to_ms) };
    }

    /// Begins or ends slowness.
    pub(crate) fn slow(&mut self, more_ms: u64, on: bool) {
        self.more_ms =
            if on { self.more_ms + more_ms } else { self.more_ms.saturating_sub(more_ms) };
    }

    /// Repeats the next apply of an object.
    pub(crate) fn replay_write(&mut self, after: Duration) {
        self.replayed.push_back(after);
    }

    /// Holds the next request that writes.
    pub(crate) fn hold_write(&mut self, by: Duration) {
        self.held.push_back(Some(by));
    }

    /// Lets the next request that writes through.
    pub(crate) fn pass_write(&mut self) {
        self.held.push_back(None);
    }
}

/// Adds or takes away, within what a probability may be.
pub(crate) fn adjust(value: &mut u32, by: u32, on: bool) {
    *value = if on { (*value + by).min(ALL) } else { value.saturating_sub(by) };
}

fn ways(way: Way) -> std::ops::Range<usize> {
    match way {
        Way::Both => 0..2,
        Way::Requests => 0..1,
        Way::Answers => 1..2,
    }
}
