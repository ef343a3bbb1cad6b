//! After the heal: everything must come to what users asked for, and stay so. Then the last lines.

use std::time::Duration;

use rynxs_judge::LogRecord;
use rynxs_judge::event::{Event, Line, node};
use rynxs_judge::history::LogObject;
use rynxs_judge::oracle::Bounds;

use super::config::LOG_DIR;
use super::servers::{BUCKET, PREFIX};
use super::{World, hold};
use crate::clock::wall_ms;
use crate::scenario::{Do, StoreKind};
use crate::verify::{tamper, verify};

/// How often the cluster is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// By how much longer than it took it stays as it is: the judge looks less often, and later.
const STAYS_LONGER: Duration = Duration::from_secs(40);

impl World {
    /// Waits until everything is as users asked, or the bound has passed, and as long again.
    pub(super) async fn finish(self) -> Result<Vec<Line>, String> {
        let bound = self.bound();
        // Since when all is as asked and nothing was appended, and since when it is not.
        let (mut passed, mut calm, mut lacking) = (Duration::ZERO, Duration::ZERO, None);
        let (mut records, mut lacks) = (self.records(), None);
        // A Session's end may stir it once more, and then it may take that long again.
        while passed < bound * 3 && passed - calm < calm + STAYS_LONGER {
            madsim::time::sleep(LOOK).await;
            passed += LOOK;
            lacks = self.missing();
            let now = self.records();
            if lacks.is_some() || now != records {
                (calm, records) = (passed, now);
            }
            let since = *lacking.get_or_insert(passed);
            if lacks.is_none() {
                lacking = None;
            } else if passed - since >= bound {
                break;
            }
        }
        if let Some(lacks) = lacks {
            let text = format!("not as it should be: {lacks}");
            self.note(node::RUN, Event::Note { text });
        }
        self.tell_the_end();
        Ok(self.0.stream.take())
    }

    /// How many records there are.
    fn records(&self) -> usize {
        match self.0.scenario.store {
            StoreKind::S3 => self.0.s3.count(BUCKET),
            StoreKind::File => {
                self.machines().first().map_or(0, |machine| machine.disk.lines(LOG_DIR).len())
            }
        }
    }

    /// How long it may take until everything is as users asked.
    fn bound(&self) -> Duration {
        let head = super::config::head(&self.0.scenario, 0);
        let silent =
            self.0.scenario.steps.iter().any(|step| matches!(step.what, Do::DropEvents { .. }));
        let subjects = hold(&self.0.truth).cluster.subjects();
        let round_trip_ms = 2 * self.0.scenario.latency_ms.1;
        let bounds = Bounds::new(&head.terms, round_trip_ms, subjects, silent);
        // The judge measures the round trips; whoever waits for it waits longer.
        Duration::from_nanos(bounds.state_ns / 4 * 5)
    }

    /// The first thing that is not as users asked.
    fn missing(&self) -> Option<String> {
        hold(&self.0.truth).cluster.missing(wall_ms())
    }

    fn tell_the_end(&self) {
        let log = self.log();
        let store = match self.0.scenario.store {
            StoreKind::S3 => None,
            StoreKind::File => self.machines().first().map(|machine| machine.disk_name.clone()),
        };
        for (key, text) in &log {
            let object = LogObject { key: key.clone(), text: text.clone() };
            self.note(store.as_deref().unwrap_or(node::S3), Event::LogAtEnd(object));
        }
        for right in self.0.views[0].rights() {
            let uses = right.uses;
            let right = format!("{} {}/{}", right.verb, right.group, right.resource);
            self.note("api-0", Event::Right { right, uses });
        }
        for (what, times) in self.0.views[0].refusals() {
            self.note("api-0", Event::RightRefused { what, times });
        }
        let records: Vec<Vec<u8>> = log.into_iter().map(|(_, text)| text.into_bytes()).collect();
        let (fault, decisions) = verify(&records);
        if fault.is_empty() {
            tamper(&records).into_iter().for_each(|event| self.note(node::RUN, event));
        }
        self.note(node::RUN, Event::Replayed { fault, decisions });
        self.note(node::RUN, Event::End);
    }

    /// The log as it is, key and text of each record.
    pub(super) fn log(&self) -> Vec<(String, String)> {
        match self.0.scenario.store {
            StoreKind::S3 => {
                let objects = self.0.s3.objects(BUCKET).into_iter();
                objects
                    .filter_map(|(key, bytes)| {
                        let key = key.strip_prefix(PREFIX)?.strip_prefix('/')?.to_owned();
                        Some((key, String::from_utf8_lossy(&bytes).into_owned()))
                    })
                    .collect()
            }
            StoreKind::File => {
                let lines = self.machines().first().map(|machine| machine.disk.lines(LOG_DIR));
                let lines = lines.unwrap_or_default().into_iter();
                lines
                    .map(|line| {
                        let seq = LogRecord::parse(&line).map_or(u64::MAX, |record| record.seq);
                        (format!("{seq:010}.json"), line)
                    })
                    .collect()
            }
        }
    }
}
