//! The binary's own reader over a final log: chain, epochs, every decision made again; and whether
//! it notices what somebody could have done to the log since (I10).

use rynxs_core::chain::Chain;
use rynxs_core::replay::Replayer;
use rynxs_judge::event::Event;

/// The binary's reader in the middle of a log. A copy goes on from there by itself.
#[derive(Clone, Default)]
struct Reader {
    chain: Chain,
    replay: Replayer,
    read: usize,
}

impl Reader {
    /// Reads on, up to the first record that is wrong, and says what is wrong with it.
    fn read<T: AsRef<[u8]>>(&mut self, records: &[T]) -> Result<(), String> {
        for record in records {
            let pushed = match self.chain.push(record.as_ref()) {
                Ok(record) => self.replay.push(&record).map(drop).map_err(|e| e.to_string()),
                Err(error) => Err(error.to_string()),
            };
            pushed.map_err(|fault| format!("record {}: {fault}", self.read))?;
            self.read += 1;
        }
        Ok(())
    }
}

/// What is wrong with the log, empty if nothing, and how many decisions were made again.
pub(crate) fn verify<T: AsRef<[u8]>>(records: &[T]) -> (String, u64) {
    let mut reader = Reader::default();
    let fault = reader.read(records).err().unwrap_or_default();
    (fault, reader.replay.counts().decisions)
}

/// Does to copies of the log what somebody with the bucket's keys could, and tells for each
/// whether the reader notices. What stands before the change is read once for all of them.
pub(crate) fn tamper(records: &[Vec<u8>]) -> Vec<Event> {
    let Some(last) = records.len().checked_sub(1).filter(|last| *last > 2) else {
        return Vec::new();
    };
    let (before, behind) = records.split_at(last / 2);
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut copy = behind.to_vec();
        change(&mut copy);
        copy
    };
    let middle = [
        ("a record in the middle is deleted", with(&|log| drop(log.remove(0)))),
        ("two records are swapped", with(&|log| log.swap(0, 1))),
        ("a record is repeated", with(&|log| log.insert(0, log[0].clone()))),
        (
            "one bit of a record is flipped",
            with(&|log| {
                let at = log[0].len() / 2;
                log[0][at] ^= 1;
            }),
        ),
        (
            "a record is shortened by a byte",
            with(&|log| {
                log[0].pop();
            }),
        ),
    ];
    let told =
        |how: &str, noticed: bool| Event::Tampered { how: how.to_owned(), detected: noticed };
    let mut reader = Reader::default();
    let begun = reader.read(before);
    let first = Reader::default().read(&records[1..]).is_err();
    let noticed = |log: &[Vec<u8>]| begun.is_err() || reader.clone().read(log).is_err();
    let of_middle = middle.iter().map(|(how, log)| told(how, noticed(log)));
    of_middle.chain([told("the first record is deleted", first)]).collect()
}
