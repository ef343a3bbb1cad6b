//! A world of machines around one Lease: a store with compare-and-swap, a network that delays,
//! loses and repeats, clocks that run at different rates, processes that crash, freeze and stop.
//!
//! The store is written from the API's rules (a version per write, uid and version checked on a
//! replace, a creating apply refused if the name is taken), not from the machine.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::config::LeaderElection;

const SECOND: u64 = 1_000_000_000;

/// A small generator (SplitMix64): the same seed gives the same world.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit.max(1)
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How bad the world is.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// Most time that a request or an answer takes, nanoseconds.
    pub(super) latency: u64,
    /// Percent of requests, and of answers, that get lost.
    pub(super) loss: u64,
    /// Percent of requests that arrive twice, the second time much later.
    pub(super) repeats: u64,
    /// Percent of requests that are answered by 429 or 5xx.
    pub(super) errors: u64,
    /// Most time that a watch event takes.
    pub(super) watch_latency: u64,
    /// Percent of watch events that get lost.
    pub(super) watch_loss: u64,
    /// Percent chance, each second, that a process crashes, freezes or is asked to stop.
    pub(super) upsets: u64,
}

/// One term of leadership in true time.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    pub(super) node: usize,
    pub(super) term: u64,
    pub(super) start: u64,
    /// When its validity ends on its own clock.
    pub(super) valid_end: u64,
    /// When everything it started is over: G later, or when it stopped before a release.
    pub(super) end: u64,
}

enum Event {
    Wake { node: usize, term: u64 },
    Arrive { node: usize, term: u64, id: AttemptId, write: Option<LeaseWrite> },
    Hear { node: usize, term: u64, what: Happening },
    Upset,
    Restart { node: usize },
    Thaw { node: usize },
}

struct Node {
    /// Clock rate in millionths.
    rate: u64,
    offset: u64,
    term: u64,
    state: Option<State>,
    frozen: bool,
    held_back: Vec<(u64, Happening)>,
    /// The one wake-up that is armed.
    armed: Option<u64>,
}

pub(super) struct World {
    pub(super) now: u64,
    settings: LeaderElection,
    dice: Dice,
    pub(super) faults: Faults,
    pub(super) cut: BTreeSet<usize>,
    nodes: Vec<Node>,
    queue: BTreeMap<(u64, u64), Event>,
    order: u64,
    store: Option<LeaseView>,
    version: u64,
    pub(super) reigns: Vec<Reign>,
}

impl World {
    pub(super) fn new(seed: u64, settings: LeaderElection, rates: &[u64], faults: Faults) -> Self {
        let mut world = Self {
            now: 0,
            settings,
            dice: Dice(seed),
            faults,
            cut: BTreeSet::new(),
            nodes: Vec::new(),
            queue: BTreeMap::new(),
            order: 0,
            store: None,
            version: 100,
            reigns: Vec::new(),
        };
        for rate in rates {
            let offset = world.dice.below(1_000 * SECOND);
            world.nodes.push(Node {
                rate: *rate,
                offset,
                term: 0,
                state: None,
                frozen: false,
                held_back: Vec::new(),
                armed: None,
            });
        }
        for node in 0..rates.len() {
            let at = world.dice.below(SECOND);
            world.schedule(at, Event::Restart { node });
        }
        if world.faults.upsets > 0 {
            world.schedule(SECOND, Event::Upset);
        }
        world
    }

    /// The machine of a node, if it runs.
    pub(super) fn state(&self, node: usize) -> Option<&State> {
        self.nodes[node].state.as_ref()
    }

    /// Nodes that are valid leaders on their own clocks now.
    pub(super) fn leaders(&self) -> Vec<usize> {
        let valid = |node: &usize| {
            let until = self.state(*node).and_then(State::valid_until);
            until.is_some_and(|until| self.local(*node, self.now) < until)
        };
        (0..self.nodes.len()).filter(valid).collect()
    }

    fn local(&self, node: usize, global: u64) -> Mono {
        let Node { rate, offset, .. } = self.nodes[node];
        Mono(offset + u64::try_from(u128::from(global) * u128::from(rate) / 1_000_000).unwrap())
    }

    /// The first true moment at which the node's clock shows `local` or more.
    fn global(&self, node: usize, local: Mono) -> u64 {
        let Node { rate, offset, .. } = self.nodes[node];
        let span = u128::from(local.0.saturating_sub(offset));
        u64::try_from((span * 1_000_000).div_ceil(u128::from(rate))).unwrap()
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.queue.insert((at, self.order), event);
    }

    pub(super) fn run_until(&mut self, end: u64) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { node, term } => {
                if self.nodes[node].armed == Some(self.now) {
                    self.nodes[node].armed = None;
                    self.hear(node, term, Happening::Tick);
                }
            }
            Event::Hear { node, term, what } => self.hear(node, term, what),
            Event::Arrive { node, term, id, write } => {
                let answer = self.serve(write.as_ref());
                if self.cut.contains(&node) || self.dice.chance(self.faults.loss) {
                    return;
                }
                let at = self.now + self.dice.below(self.faults.latency);
                let what = Happening::Answered { id, answer };
                if self.dice.chance(self.faults.repeats) {
                    let late = at + self.dice.below(4 * self.faults.latency);
                    let what = what.clone();
                    self.schedule(late, Event::Hear { node, term, what });
                }
                self.schedule(at, Event::Hear { node, term, what });
            }
            Event::Restart { node } => self.restart(node),
            Event::Thaw { node } => {
                self.nodes[node].frozen = false;
                for (term, what) in std::mem::take(&mut self.nodes[node].held_back) {
                    self.hear(node, term, what);
                }
            }
            Event::Upset => {
                if self.dice.chance(self.faults.upsets) {
                    self.upset();
                }
                if self.faults.upsets > 0 {
                    self.schedule(self.now + SECOND, Event::Upset);
                }
            }
        }
    }

    fn upset(&mut self) {
        let node = usize::try_from(self.dice.below(self.nodes.len() as u64)).unwrap();
        let term = self.nodes[node].term;
        match self.dice.below(3) {
            0 => {
                // A crash: the guard dies with the process, requests under way do not.
                self.nodes[node].state = None;
                let at = self.now + self.dice.below(20 * SECOND);
                self.schedule(at, Event::Restart { node });
            }
            1 if !self.nodes[node].frozen => {
                self.nodes[node].frozen = true;
                let at = self.now + self.dice.below(40 * SECOND);
                self.schedule(at, Event::Thaw { node });
            }
            _ => self.hear(node, term, Happening::Release),
        }
    }

    fn restart(&mut self, node: usize) {
        if self.nodes[node].state.is_some() {
            return;
        }
        self.nodes[node].term += 1;
        let term = self.nodes[node].term;
        let identity = WriterId(format!("rynxs-{node}_{term}"));
        self.nodes[node].state = Some(State::new(Settings::new(&self.settings, identity)));
        // The list before the watch.
        let what = self.sight();
        self.schedule(self.now, Event::Hear { node, term, what });
    }

    fn sight(&self) -> Happening {
        match &self.store {
            Some(view) => Happening::Observed(view.clone()),
            None => Happening::Missing { resource_version: Some(self.version.to_string()) },
        }
    }

    fn hear(&mut self, node: usize, term: u64, what: Happening) {
        if self.nodes[node].term != term {
            return;
        }
        if self.nodes[node].frozen {
            self.nodes[node].held_back.push((term, what));
            return;
        }
        let Some(state) = self.nodes[node].state.take() else { return };
        let local = self.local(node, self.now);
        let input = Input { what, wall: WallMs(self.now / 1_000_000), random: self.dice.roll() };
        let (state, actions) = step(state, input, local);
        self.nodes[node].armed = state.wake_at().map(|wake| {
            assert!(wake > local, "whatever was due is done: {state:?}");
            self.global(node, wake)
        });
        if let Some(at) = self.nodes[node].armed {
            self.schedule(at, Event::Wake { node, term });
        }
        self.nodes[node].state = Some(state);
        for action in actions {
            self.act(node, term, action);
        }
    }

    fn act(&mut self, node: usize, term: u64, action: Action) {
        match action {
            Action::Get(id) => self.request(node, term, id, None),
            Action::Write(id, write) => self.request(node, term, id, Some(write)),
            Action::StartLeading { valid_until, .. } => {
                let (valid_end, end) = self.ends(node, valid_until);
                self.reigns.push(Reign { node, term, start: self.now, valid_end, end });
            }
            Action::Extend { valid_until } => {
                let (valid_end, end) = self.ends(node, valid_until);
                let reign = self.reign(node, term);
                (reign.valid_end, reign.end) = (valid_end, end);
            }
            Action::Ended(End::Released) => {
                let now = self.now;
                if let Some(reign) =
                    self.reigns.iter_mut().find(|r| (r.node, r.term) == (node, term))
                {
                    // All had stopped before the release was asked for, at or before this.
                    reign.end = reign.end.min(now);
                    reign.valid_end = reign.valid_end.min(now);
                }
                self.end_process(node);
            }
            Action::Ended(End::Lost(_)) => self.end_process(node),
            Action::StopLeading => {
                let now = self.now;
                let reign = self.reign(node, term);
                reign.valid_end = reign.valid_end.min(now);
                if matches!(self.state(node).map(State::phase), Some(Phase::Releasing { .. })) {
                    self.reign(node, term).end = now;
                }
            }
            Action::Failed(_) => {}
        }
    }

    fn end_process(&mut self, node: usize) {
        self.nodes[node].state = None;
        let at = self.now + 3 * SECOND + self.dice.below(5 * SECOND);
        self.schedule(at, Event::Restart { node });
    }

    fn reign(&mut self, node: usize, term: u64) -> &mut Reign {
        let found = self.reigns.iter_mut().find(|r| (r.node, r.term) == (node, term));
        found.expect("who extends or stops has started")
    }

    fn ends(&self, node: usize, valid_until: Mono) -> (u64, u64) {
        let grace = self.settings.stop_grace;
        (self.global(node, valid_until), self.global(node, valid_until + grace))
    }

    fn request(&mut self, node: usize, term: u64, id: AttemptId, write: Option<LeaseWrite>) {
        if self.cut.contains(&node) || self.dice.chance(self.faults.loss) {
            return;
        }
        let at = self.now + self.dice.below(self.faults.latency);
        if self.dice.chance(self.faults.repeats) {
            let late = at + self.dice.below(20 * SECOND);
            let write = write.clone();
            self.schedule(late, Event::Arrive { node, term, id, write });
        }
        self.schedule(at, Event::Arrive { node, term, id, write });
    }

    fn serve(&mut self, write: Option<&LeaseWrite>) -> Answer {
        let fails = self.dice.chance(self.faults.errors);
        if fails && self.dice.chance(50) {
            let retry_after = Some(Duration::from_secs(self.dice.below(20)));
            return Answer::Throttled { retry_after };
        }
        if fails && self.dice.chance(50) {
            return Answer::ServerError; // before it was applied
        }
        let answer = match write {
            None => self.store.clone().map_or(Answer::NotFound, Answer::Lease),
            Some(write) => self.apply(write),
        };
        if fails { Answer::ServerError } else { answer }
    }

    fn apply(&mut self, write: &LeaseWrite) -> Answer {
        match (&write.target, &self.store) {
            (Target::Create, Some(_)) => return Answer::Conflict,
            (Target::Create, None) => {}
            (Target::Replace { .. }, None) => return Answer::Conflict, // uid precondition
            (Target::Replace { uid, resource_version, .. }, Some(now)) => {
                if *uid != now.uid || *resource_version != now.resource_version {
                    return Answer::Conflict;
                }
            }
        }
        self.version += 1;
        let view = stored(write, self.version);
        self.store = Some(view.clone());
        for node in 0..self.nodes.len() {
            if self.cut.contains(&node) || self.dice.chance(self.faults.watch_loss) {
                continue;
            }
            let at = self.now + self.dice.below(self.faults.watch_latency);
            let (term, what) = (self.nodes[node].term, Happening::Observed(view.clone()));
            self.schedule(at, Event::Hear { node, term, what });
        }
        Answer::Lease(view)
    }

    /// Pairs of reigns that overlap: with what the earlier one started, or with its validity only.
    pub(super) fn overlaps(&self, with_grace: bool) -> Vec<(Reign, Reign)> {
        let mut reigns = self.reigns.clone();
        reigns.sort_by_key(|reign| reign.start);
        let end = |reign: &Reign| if with_grace { reign.end } else { reign.valid_end };
        let mut found = Vec::new();
        for (i, first) in reigns.iter().enumerate() {
            for second in &reigns[i + 1..] {
                if second.start < end(first) {
                    found.push((first.clone(), second.clone()));
                }
            }
        }
        found
    }
}
