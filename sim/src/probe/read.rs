//! One pass over a run's stream, hitting what it shows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rynxs_judge::event::{Event, Head, Leg, Line};
use rynxs_judge::{LogRecord, LogWrite, ObjectWrite};
use serde_json::Value;

use super::log::LogReader;
use super::*;

const SECOND_NS: u64 = 1_000_000_000;
/// From a term's first record to its watches.
const TAKEOVER_NS: u64 = 5 * SECOND_NS;

/// The pod of an identity.
fn pod(identity: &str) -> &str {
    identity.split('_').next().unwrap_or_default()
}

/// Whether it could run something, and does not.
fn is_inert(kind: &str, value: &Value) -> bool {
    match kind {
        "Deployment" => value["spec"]["replicas"] == 0,
        "Job" => value["spec"]["suspend"] == true,
        _ => false,
    }
}

/// A message, as far as it has come.
#[derive(Default)]
struct Message {
    from: String,
    method: String,
    target: String,
    arrivals: u32,
    /// A record was stored, or an object changed.
    stored: bool,
    changed: bool,
    releases: bool,
    /// The record's key, if one was stored.
    key: String,
}

#[derive(Default)]
pub(super) struct Reader {
    hits: BTreeMap<&'static str, u64>,
    head: Head,
    messages: BTreeMap<u64, Message>,
    /// Since when each replica is dead or stands still.
    dead: BTreeSet<String>,
    frozen: BTreeMap<String, u64>,
    /// Which of those held the Lease.
    frozen_leaders: BTreeSet<String>,
    stored: BTreeMap<String, String>,
    /// Keys of records whose writers did not hear that they are stored.
    unheard: BTreeSet<String>,
    /// Who wrote a record last while somebody else held the Lease.
    late_writer: Option<String>,
    epoch_puts: BTreeMap<String, BTreeSet<String>>,
    puts_at: BTreeMap<String, u32>,
    epoch: u64,
    epoch_records: u64,
    epochs_at: VecDeque<u64>,
    /// The pod that began the last epoch.
    leader: String,
    holder: String,
    lease_gone: bool,
    released_at: Option<u64>,
    views_held: bool,
    log: LogReader,
    watches: BTreeSet<(String, String)>,
}

impl Reader {
    pub(super) fn read(lines: &[Line]) -> BTreeMap<&'static str, u64> {
        let mut reader = Self::default();
        for line in lines {
            reader.line(line);
        }
        reader.hits
    }

    fn hit(&mut self, probe: &'static str) {
        *self.hits.entry(probe).or_default() += 1;
    }

    fn line(&mut self, line: &Line) {
        match &line.event {
            Event::Run(head) => self.head = Head::clone(head),
            Event::Probe { probe } => {
                if let Some(known) = CATALOGUE.iter().find(|known| known.name == probe) {
                    self.hit(known.name);
                }
            }
            Event::Sent { message, method, target, .. } => {
                self.sent(line, *message, method, target)
            }
            Event::Arrived { message } => self.arrived(*message),
            Event::Answered { message, status } => self.answered(line, *message, *status),
            Event::Lost { message, leg: Leg::Answer } => self.lost(*message),
            Event::Watched { kind, .. } if kind == "ERROR" => self.too_old(line.t_ns, &line.node),
            Event::LogWrite(write) => self.log_write(line.t_ns, write),
            Event::ObjectWrite(write) => self.object_write(line.t_ns, write),
            Event::Killed { .. } | Event::Exited { .. } => {
                self.dead.insert(line.node.clone());
                self.frozen.remove(&line.node);
            }
            Event::Started => {
                self.dead.remove(&line.node);
                self.watches.retain(|(node, _)| *node != line.node);
            }
            Event::Frozen => {
                self.frozen.insert(line.node.clone(), line.t_ns);
                if pod(&self.holder) == line.node {
                    self.frozen_leaders.insert(line.node.clone());
                }
            }
            Event::Resumed => self.resumed(line),
            Event::FaultBegan { fault, .. } if fault == "freeze-view" => self.views_held = true,
            Event::FaultEnded { fault } if fault == "freeze-view" => self.views_held = false,
            Event::Healed => self.views_held = false,
            _ => {}
        }
    }

    fn sent(&mut self, line: &Line, id: u64, method: &str, target: &str) {
        if method == "WATCH" {
            let path = target.split('?').next().unwrap_or_default().to_owned();
            if !self.watches.insert((line.node.clone(), path)) {
                self.hit(WATCH_AGAIN);
            }
        }
        let message = Message {
            from: line.node.clone(),
            method: method.to_owned(),
            target: target.to_owned(),
            ..Message::default()
        };
        self.messages.insert(id, message);
    }

    fn arrived(&mut self, id: u64) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        message.arrivals += 1;
        let twice = message.arrivals == 2;
        let writes = !matches!(message.method.as_str(), "GET" | "HEAD" | "WATCH");
        if twice && writes {
            self.hit(DOUBLE_WRITE);
        }
    }

    fn answered(&mut self, line: &Line, id: u64, status: u16) {
        let Some(message) = self.messages.get(&id) else { return };
        let (stored, changed) = (message.stored, message.changed);
        let s3 = line.node == "s3";
        if stored && status >= 400 {
            self.unheard.insert(message.key.clone());
        }
        let from = message.from.clone();
        let lease = message.target.contains("/leases");
        let writes = !matches!(message.method.as_str(), "GET" | "HEAD" | "WATCH");
        match status {
            409 if s3 => self.hit(S3_409),
            409 if lease && writes => self.hit(LEASE_CONFLICT),
            409 if writes => self.hit(CONFLICT),
            410 => self.too_old(line.t_ns, &from),
            429 => self.hit(API_429),
            500.. if s3 => self.hit(S3_5XX),
            500.. if changed || stored => self.hit(API_LATE_500),
            _ => {}
        }
    }

    /// A replica asks for a past that is forgotten.
    fn too_old(&mut self, t_ns: u64, node: &str) {
        self.hit(GONE_410);
        let began = self.epochs_at.back().is_some_and(|at| t_ns - at < TAKEOVER_NS);
        if began && self.leader == node {
            self.hit(GONE_TAKEOVER);
        }
    }

    fn lost(&mut self, id: u64) {
        let Some(message) = self.messages.get(&id) else { return };
        let (stored, changed, releases) = (message.stored, message.changed, message.releases);
        if stored {
            self.unheard.insert(message.key.clone());
            self.hit(ANSWER_LOST_LOG);
        }
        if releases {
            self.hit(RELEASE_LOST);
        } else if changed {
            self.hit(ANSWER_LOST_API);
        }
    }

    fn resumed(&mut self, line: &Line) {
        let Some(since) = self.frozen.remove(&line.node) else { return };
        let lease_ns = self.head.terms.lease_ms * 1_000_000;
        let led = self.frozen_leaders.remove(&line.node);
        if line.t_ns - since > lease_ns && led {
            self.hit(FROZEN_LEADER);
        }
    }

    /// Whether whoever sent it is dead or stands still by now.
    fn outlived(&self, message: Option<u64>) -> bool {
        let from = message.and_then(|id| self.messages.get(&id)).map(|message| &message.from);
        from.is_some_and(|from| self.dead.contains(from) || self.frozen.contains_key(from))
    }

    fn log_write(&mut self, t_ns: u64, write: &LogWrite) {
        let Ok(record) = LogRecord::parse(&write.text) else { return };
        let first = record.events.first().map(|event| event.name.as_str());
        let begins = record.events.iter().any(|event| event.name == "EpochStarted");
        if self.outlived(write.message) {
            self.hit(LATE_APPEND);
        }
        if first == Some("EpochStarted") {
            let writers = self.epoch_puts.entry(write.key.clone()).or_default();
            writers.insert(record.writer.clone());
            if writers.len() == 2 {
                self.hit(SEQ_RACE);
            }
        }
        let puts = self.puts_at.entry(write.key.clone()).or_default();
        *puts += 1;
        if *puts == 2 && begins {
            self.hit(STORE_RACED);
        }
        if write.status == 412 {
            if self.stored.get(&write.key) == Some(&write.text) {
                if self.unheard.contains(&write.key) {
                    self.hit(OWN_WRITE);
                }
            } else if record.epoch < self.epoch {
                self.hit(ZOMBIE_APPEND);
            }
        }
        if !write.took_effect() {
            return;
        }
        if let Some(message) = write.message.and_then(|id| self.messages.get_mut(&id)) {
            message.stored = true;
            message.key.clone_from(&write.key);
        }
        self.stored.insert(write.key.clone(), write.text.clone());
        if begins {
            self.epoch_began(t_ns, &record);
        } else {
            self.epoch_records += 1;
            if !self.holder.is_empty() && self.holder != record.writer {
                self.late_writer = Some(record.writer.clone());
            }
        }
        for hit in self.log.read(&record) {
            self.hit(hit);
        }
        if write.message.is_none() && begins {
            self.hit(FILE_LED);
        }
    }

    fn epoch_began(&mut self, t_ns: u64, record: &LogRecord) {
        if self.epoch > 0 && self.epoch_records == 0 {
            self.hit(IDLE_EPOCH);
        }
        if self.late_writer.take().is_some_and(|late| late != record.writer) {
            self.hit(LATE_RECORD);
        }
        self.epoch = record.epoch;
        self.epoch_records = 0;
        pod(&record.writer).clone_into(&mut self.leader);
        self.epochs_at.push_back(t_ns);
        while self.epochs_at.front().is_some_and(|at| t_ns - at > 60 * SECOND_NS) {
            self.epochs_at.pop_front();
        }
        if self.epochs_at.len() == 5 {
            self.hit(FIVE_EPOCHS);
        }
        let released = self.released_at.take();
        if released.is_some_and(|at| t_ns - at < 2 * SECOND_NS) {
            self.hit(FAST_SUCCESSION);
        }
    }

    fn object_write(&mut self, t_ns: u64, write: &ObjectWrite) {
        let operators = write.user == self.head.operator;
        let kind = write.object.split('/').next().unwrap_or_default();
        if kind == "Lease" {
            self.lease_write(t_ns, write, operators);
            return;
        }
        let managed = !matches!(kind, "Agent" | "Session");
        if self.views_held && write.took_effect() {
            self.hit(STALE_VIEW);
        }
        if operators && managed {
            if self.outlived(write.message) {
                self.hit(LATE_APPLY);
                let creates = write.took_effect() && write.changed && write.status == 201;
                if creates && write.value.as_deref().is_some_and(|value| is_inert(kind, value)) {
                    self.hit(LATE_CREATE);
                }
            }
            match (write.verb.as_str(), write.status) {
                ("delete", 200..=299) => self.hit(MARKED_DELETE),
                (_, 403) => self.hit(POLICY),
                _ => {}
            }
        }
        if operators && kind == "Session" && write.verb == "delete" && write.took_effect() {
            self.hit(SESSION_DELETED);
        }
        if !operators && managed && write.status == 403 {
            self.hit(STAMP_MEDDLED);
        }
        if !operators && managed && write.verb == "create" && write.took_effect() {
            let admin = write.user.contains("admin");
            if admin {
                self.hit(NAME_TAKEN);
            }
        }
        if write.took_effect()
            && write.changed
            && let Some(message) = write.message.and_then(|id| self.messages.get_mut(&id))
        {
            message.changed = true;
        }
    }

    fn lease_write(&mut self, t_ns: u64, write: &ObjectWrite, operators: bool) {
        if !write.took_effect() {
            return;
        }
        if write.removed {
            self.lease_gone = true;
            self.holder.clear();
            return;
        }
        if std::mem::take(&mut self.lease_gone) {
            self.hit(LEASE_CREATED);
        }
        if !operators && write.changed {
            self.hit(LEASE_EDITED);
        }
        let holder = write.value.as_ref().and_then(|value| value.pointer("/spec/holderIdentity"));
        let holder = holder.and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(message) = write.message.and_then(|id| self.messages.get_mut(&id)) {
            message.changed = write.changed;
            message.releases = holder.is_empty();
        }
        if operators && holder.is_empty() && !self.holder.is_empty() {
            self.hit(RELEASED);
            self.released_at = Some(t_ns);
        }
        self.holder = holder;
    }
}
