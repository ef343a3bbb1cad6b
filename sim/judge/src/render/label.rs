//! What stands beside a sign in the columns of stores: the key that it is about.

use super::reading::Reading;
use crate::event::{Event, node};
use crate::history::DiskOperation;

/// The label of a line, if it has one.
pub(super) fn of(reading: &Reading<'_>, index: usize) -> Option<String> {
    let line = &reading.lines[index];
    match &line.event {
        Event::LogWrite(write) => Some(key(&write.key)),
        Event::LogAtEnd(object) => Some(key(&object.key)),
        // The write itself stands between the two, and says it.
        Event::Arrived { .. } | Event::Answered { .. } if line.node == node::S3 => {
            let journey = reading.journey(index)?;
            let (path, query) = journey.target.split_once('?').unwrap_or((journey.target, ""));
            match path.trim_start_matches('/').split_once('/') {
                _ if !journey.effects.is_empty() => None,
                Some((_, name)) if !name.is_empty() => Some(key(name)),
                _ if query.contains("list-type") => Some(listed(query)),
                _ => None,
            }
        }
        Event::Disk(work) => match work.operation {
            DiskOperation::Append => Some("write".to_owned()),
            DiskOperation::Truncate => Some("cut".to_owned()),
            DiskOperation::Rename => Some("rename".to_owned()),
            DiskOperation::SyncData => Some("sync".to_owned()),
            DiskOperation::SyncDir => Some("sync names".to_owned()),
            DiskOperation::Lock => Some("lock".to_owned()),
            DiskOperation::LosePower => Some("power".to_owned()),
            DiskOperation::Rot => Some("rot".to_owned()),
        },
        _ => None,
    }
}

/// A record's key is its position; any other name is shown as it is.
fn key(name: &str) -> String {
    let file = super::disk::short(name);
    let digits = file.strip_suffix(".json").unwrap_or_default();
    match digits.parse::<u64>() {
        Ok(seq) => format!("#{seq}"),
        Err(_) => file.to_owned(),
    }
}

/// A listing, and behind which key it begins.
fn listed(query: &str) -> String {
    let after = query.split('&').find_map(|pair| pair.strip_prefix("start-after="));
    match after.map(|after| after.replace("%2F", "/")) {
        Some(after) => format!("list > {}", key(&after)),
        None => "list".to_owned(),
    }
}
