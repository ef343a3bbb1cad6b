//! The newest record about each subject, for as long as the log may still forget it.
//!
//! What waits for such a record (an activation, a status) waits for everything that was said about
//! the subject (I5). Once it is acknowledged there is nothing to wait for, so there are never more
//! entries than unacknowledged records.

use std::collections::BTreeMap;

use rynxs_core::ids::{ObjectRef, Seq};

/// Subjects with a record that is not known to be acknowledged.
#[derive(Default)]
pub(super) struct Touched {
    newest: BTreeMap<ObjectRef, Seq>,
    /// Up to here everything was removed.
    acked: Option<Seq>,
}

impl Touched {
    /// Notes a record about a subject.
    pub(super) fn note(&mut self, subject: &ObjectRef, seq: Seq) {
        self.newest.insert(subject.clone(), seq);
    }

    /// The newest unacknowledged record about a subject.
    pub(super) fn of(&self, subject: &ObjectRef) -> Option<Seq> {
        self.newest.get(subject).copied()
    }

    /// Everything up to `acked` is in the log for ever.
    pub(super) fn acknowledge(&mut self, acked: Seq) {
        if self.acked < Some(acked) {
            self.acked = Some(acked);
            self.newest.retain(|_, seq| *seq > acked);
        }
    }
}

#[cfg(test)]
mod tests {
    use rynxs_core::ids::Kind;

    use super::*;

    #[test]
    fn a_subject_is_remembered_until_its_newest_record_is_acknowledged() {
        let mut touched = Touched::default();
        let object = |name: &str| ObjectRef::new(Kind::ConfigMap, "n", name);
        for seq in 1..=1_000 {
            touched.note(&object(&format!("unwanted-{seq}")), Seq(seq));
            touched.note(&object("a"), Seq(seq));
            touched.acknowledge(Seq(seq - 1));
            assert_eq!(touched.of(&object("a")), Some(Seq(seq)));
        }
        assert_eq!(touched.newest.len(), 2);
        touched.acknowledge(Seq(1_000));
        assert_eq!(touched.newest.len(), 0);
    }
}
