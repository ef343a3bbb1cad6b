//! The binary's own reader over a final log: chain, epochs, every decision made again; and whether
//! it notices what somebody could have done to the log since (I10).

use rynxs_core::chain::Chain;
use rynxs_core::replay::Replayer;
use rynxs_judge::event::Event;

/// What is wrong with the log, empty if nothing, and how many decisions were made again.
pub(crate) fn verify<T: AsRef<[u8]>>(records: &[T]) -> (String, u64) {
    let (mut chain, mut replay) = (Chain::new(), Replayer::new());
    for (seq, record) in records.iter().enumerate() {
        let pushed = match chain.push(record.as_ref()) {
            Ok(record) => replay.push(&record).map(drop).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(fault) = pushed {
            return (format!("record {seq}: {fault}"), replay.counts().decisions);
        }
    }
    (String::new(), replay.counts().decisions)
}

/// Does to copies of the log what somebody with the bucket's keys could, and tells for each
/// whether the reader notices.
pub(crate) fn tamper(records: &[Vec<u8>]) -> Vec<Event> {
    let Some(last) = records.len().checked_sub(1).filter(|last| *last > 2) else {
        return Vec::new();
    };
    let middle = last / 2;
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut copy = records.to_vec();
        change(&mut copy);
        copy
    };
    let cases: [(&str, Vec<Vec<u8>>); 6] = [
        ("a record in the middle is deleted", with(&|log| drop(log.remove(middle)))),
        ("two records are swapped", with(&|log| log.swap(middle, middle + 1))),
        ("a record is repeated", with(&|log| log.insert(middle, log[middle].clone()))),
        (
            "one bit of a record is flipped",
            with(&|log| {
                let at = log[middle].len() / 2;
                log[middle][at] ^= 1;
            }),
        ),
        ("the first record is deleted", with(&|log| drop(log.remove(0)))),
        (
            "a record is shortened by a byte",
            with(&|log| {
                log[middle].pop();
            }),
        ),
    ];
    cases
        .into_iter()
        .map(|(how, log)| Event::Tampered {
            how: how.to_owned(),
            detected: !verify(&log).0.is_empty(),
        })
        .collect()
}
