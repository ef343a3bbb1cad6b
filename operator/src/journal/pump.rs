//! The pump: takes the next record's events when they are due and appends them. One put is in
//! flight at a time, so there can be no gap in the log and no stray record behind it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures::future::{Either, select};
use rynxs_core::append::{Lost, Settled, judge};
use rynxs_core::batch::Batch;
use rynxs_core::record::{EncodedRecord, Header, encode};
use rynxs_core::time::Mono;

use super::{Inner, Journal, JournalEnd};
use crate::observe::{RefusedBy, Signal};

pub(super) async fn run(journal: Journal) -> JournalEnd {
    // Whoever waits for a record must not wait for a pump that is gone.
    let closing = CloseOnDrop(journal.clone());
    let end = pump(&journal).await;
    journal.lock().close(end.clone());
    drop(closing);
    end
}

struct CloseOnDrop(Journal);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        // A panic elsewhere may have poisoned the lock; then nobody waits any more.
        if let Ok(mut inner) = self.0.shared.inner.lock() {
            inner.close(JournalEnd::Dropped);
        }
    }
}

async fn pump(journal: &Journal) -> JournalEnd {
    loop {
        let batch = match next_batch(journal).await {
            Ok(batch) => batch,
            Err(end) => return end,
        };
        if let Err(end) = send(journal, &batch).await {
            return end;
        }
    }
}

/// What the pump finds when it looks.
enum Look {
    Batch(Batch),
    /// Something waits, and more may join until then.
    Until(Mono),
    Nothing,
    End(JournalEnd),
}

async fn next_batch(journal: &Journal) -> Result<Batch, JournalEnd> {
    let clock = &journal.shared.appender.clock;
    loop {
        let look = look(&mut journal.lock(), clock.now());
        match look {
            Look::Batch(batch) => return Ok(batch),
            Look::End(end) => return Err(end),
            Look::Nothing => until(journal, |inner| !inner.ledger.is_empty()).await,
            Look::Until(due) => {
                // Whatever comes first: the record is full, or its time is over.
                let full = pin!(until(journal, |inner| inner.ledger.has_closed()));
                match select(full, clock.sleep_until(due)).await {
                    Either::Left(_) | Either::Right(_) => {}
                }
            }
        }
    }
}

/// Ends when something is so, or the journal has ended. Whoever changes anything wakes the pump.
async fn until(journal: &Journal, is_so: impl Fn(&Inner) -> bool) {
    poll_fn(|cx| {
        let mut inner = journal.lock();
        if inner.end.is_some() || is_so(&inner) {
            return Poll::Ready(());
        }
        inner.pump = Some(cx.waker().clone());
        Poll::Pending
    })
    .await;
}

fn look(inner: &mut Inner, now: Mono) -> Look {
    if let Some(end) = &inner.end {
        return Look::End(end.clone());
    }
    if inner.ledger.is_empty() {
        return Look::Nothing;
    }
    let due = inner.due.unwrap_or(now);
    if now < due && !inner.ledger.has_closed() {
        return Look::Until(due);
    }
    let batch = inner.ledger.take().expect("it is not empty");
    if inner.ledger.is_empty() {
        inner.due = None;
    }
    inner.in_flight = true;
    Look::Batch(batch)
}

async fn send(journal: &Journal, batch: &Batch) -> Result<(), JournalEnd> {
    let appender = &journal.shared.appender;
    let now = appender.clock.now();
    let header = journal.lock().chain.next_header(appender.nonce(), appender.clock.wall());
    let record = encode(&header, batch.events());
    let deadline = Some(now + journal.shared.settings.deadline);
    // One put: the term's first append has tried the store with several.
    let settled = match appender.append(&record, deadline, 1).await {
        Ok(settled) => settled,
        Err(winners) => return Err(JournalEnd::Halt(winners.to_string())),
    };
    match settled {
        Settled::Committed => {
            acknowledge(journal, &header, &record, batch);
            Ok(())
        }
        Settled::Occupied(bytes) => Err(match judge(record.seq, header.epoch, &bytes) {
            Lost::Fenced { epoch, writer } => {
                appender.observer.signal(Signal::StaleWriteRefused(RefusedBy::Log));
                JournalEnd::Fenced { epoch, writer }
            }
            Lost::Corrupt(why) => JournalEnd::Halt(why),
        }),
        Settled::Config(fault) => Err(JournalEnd::Config(fault)),
        Settled::Undecided { unknown, last } => Err(JournalEnd::Undecided { unknown, last }),
    }
}

fn acknowledge(journal: &Journal, header: &Header, record: &EncodedRecord, batch: &Batch) {
    let queued = {
        let mut inner = journal.lock();
        inner.chain.advance(header, record);
        inner.in_flight = false;
        inner.wake_waiting();
        inner.ledger.queued()
    };
    let observer = &journal.shared.appender.observer;
    for event in batch.events() {
        observer.signal(Signal::EventAppended(event.kind()));
    }
    observer.signal(Signal::LogHead { seq: record.seq, epoch: header.epoch });
    observer.signal(Signal::QueueDepth(crate::observe::Queue::Journal, queued));
}
