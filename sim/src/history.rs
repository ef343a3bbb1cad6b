//! The models' ground truth in the judge's words.

use rynxs_judge::history::LogObject;
use rynxs_judge::{History, LogWrite, ObjectWrite};

use crate::world::{BUCKET, OPERATOR, PREFIX, Servers};

impl Servers {
    /// Everything that the two models saw and hold.
    pub(crate) fn history(&self) -> History {
        let below = |key: &str| key.strip_prefix(PREFIX).map(|key| key[1..].to_owned());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let log_writes = self.s3.history().into_iter().filter_map(|attempt| {
            let status = match attempt.outcome {
                rynxs_s3::Outcome::Applied { .. } => 200,
                rynxs_s3::Outcome::Refused { status, .. } => status,
            };
            Some(LogWrite { key: below(&attempt.key)?, text: text(&attempt.bytes), status })
        });
        let log_at_end =
            self.s3.objects(BUCKET).into_iter().filter_map(|(key, bytes)| {
                Some(LogObject { key: below(&key)?, text: text(&bytes) })
            });
        let object_writes = self.api.history().into_iter().map(|write| ObjectWrite {
            user: write.user,
            verb: write.verb,
            object: format!("{}/{}/{}", write.kind, write.namespace, write.name),
            uid: write.uid,
            stamp: write.stamp,
            log: None,
            status: write.status_code,
        });
        History {
            log_writes: log_writes.collect(),
            log_at_end: log_at_end.collect(),
            object_writes: object_writes.collect(),
            operator: OPERATOR.to_owned(),
        }
    }
}
