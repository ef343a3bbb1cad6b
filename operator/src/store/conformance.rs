//! What every log store must do, as one suite that runs against any of them.
//!
//! Public so that each implementation, wherever it is built and whatever it talks to, is judged by
//! the same claims.

use bytes::Bytes;
use futures::future::join_all;
use rynxs_core::ids::Seq;

use super::{ExistsOutcome, GetOutcome, ListOutcome, Listed, LogStore, PutOutcome};

/// A claim that a store does not keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{claim}: expected {expected}, got {got}")]
pub struct Violation {
    /// What a store must do.
    pub claim: &'static str,
    /// What it should have answered.
    pub expected: String,
    /// What it answered.
    pub got: String,
}

fn same<T: std::fmt::Debug + PartialEq>(
    claim: &'static str,
    got: T,
    expected: T,
) -> Result<(), Violation> {
    if got == expected {
        return Ok(());
    }
    Err(Violation { claim, expected: format!("{expected:?}"), got: format!("{got:?}") })
}

/// How many send the same record at once.
const AT_ONCE: usize = 8;

/// Runs the suite. `open` opens the same, at first empty, place every time; `records` are at least
/// three valid records of one log, from its first.
///
/// # Panics
/// With fewer than three records.
pub async fn conform<O, F>(open: O, records: &[Bytes]) -> Result<(), Violation>
where
    O: Fn() -> F,
    F: Future<Output = Box<dyn LogStore>>,
{
    assert!(records.len() >= 3, "the suite needs three records");
    let store = open().await;
    empty(store.as_ref()).await?;
    first(store.as_ref(), &records[0], &records[1]).await?;
    at_once(store.as_ref(), Seq(1), &records[1]).await?;
    for (seq, record) in (2..).zip(&records[2..]) {
        let put = store.put(Seq(seq), record.clone()).await;
        same("a free place takes a record", put, PutOutcome::Committed)?;
    }
    complete(store.as_ref(), records).await?;
    drop(store);
    complete(open().await.as_ref(), records).await
}

async fn empty(store: &dyn LogStore) -> Result<(), Violation> {
    same("an empty store has no record", store.get(Seq(0)).await, GetOutcome::Missing)?;
    same("an empty store has no record", store.exists(Seq(0)).await, ExistsOutcome::No)?;
    let listed = store.first_key_after(None).await;
    same("an empty store lists nothing", listed, ListOutcome::Next(None))
}

async fn first(store: &dyn LogStore, record: &Bytes, other: &Bytes) -> Result<(), Violation> {
    let put = store.put(Seq(0), record.clone()).await;
    same("a free place takes a record", put, PutOutcome::Committed)?;
    for again in [record, other] {
        let put = store.put(Seq(0), again.clone()).await;
        same("a taken place takes nothing", put, PutOutcome::AlreadyExists)?;
    }
    let got = store.get(Seq(0)).await;
    same("a refused put changes nothing", got, GetOutcome::Found(record.to_vec()))?;
    same("the next place is free", store.exists(Seq(1)).await, ExistsOutcome::No)
}

async fn at_once(store: &dyn LogStore, seq: Seq, record: &Bytes) -> Result<(), Violation> {
    let answers = join_all((0..AT_ONCE).map(|_| store.put(seq, record.clone()))).await;
    let count = |wanted: &PutOutcome| answers.iter().filter(|&got| got == wanted).count();
    let got = (count(&PutOutcome::Committed), count(&PutOutcome::AlreadyExists));
    same("of puts at once exactly one is committed", got, (1, AT_ONCE - 1))
}

async fn complete(store: &dyn LogStore, records: &[Bytes]) -> Result<(), Violation> {
    let mut after = None;
    for (seq, record) in (0..).map(Seq).zip(records) {
        let got = store.get(seq).await;
        same("every record is read as it was put", got, GetOutcome::Found(record.to_vec()))?;
        same("every record exists", store.exists(seq).await, ExistsOutcome::Yes)?;
        let listed = store.first_key_after(after).await;
        let wanted = ListOutcome::Next(Some(Listed::Record(seq)));
        same("the first key after a record is the next record's", listed, wanted)?;
        after = Some(seq);
    }
    let listed = store.first_key_after(after).await;
    same("nothing is listed behind the last record", listed, ListOutcome::Next(None))?;
    let beyond = Seq(records.len() as u64);
    same("nothing is behind the last record", store.get(beyond).await, GetOutcome::Missing)
}
