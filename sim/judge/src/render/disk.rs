//! What disks do: in words, and for how long something stood at stake.

use std::collections::BTreeMap;

use super::note::{Level, Note, Tone};
use crate::event::{Event, Line};
use crate::history::{DiskOperation, DiskWork};

/// What a disk's line says.
pub(super) fn note(line: &Line, work: &DiskWork) -> Note {
    // A file that is not there is as good as an empty one to whoever wants it empty.
    let idle = work.operation == DiskOperation::Truncate && work.bytes == 0;
    let DiskWork { bytes, outcome, .. } = work;
    let path = short(&work.path);
    let done = |what: String| if work.failed() { format!("{what} FAILS: {outcome}") } else { what };
    let text = match work.operation {
        DiskOperation::Append if work.failed() => done(format!("append to {path}")),
        DiskOperation::Append => format!("append of {bytes} bytes to {path}"),
        DiskOperation::Truncate if idle => format!("nothing to cut off {path}"),
        DiskOperation::Truncate => done(format!("cuts {bytes} bytes off {path}")),
        DiskOperation::Rename => done(format!("renames {path} to {}", short(&work.to))),
        DiskOperation::SyncData => done(format!("sync of {path}, {bytes} new bytes")),
        DiskOperation::SyncDir => done(format!("sync of the names in {}", folder(path))),
        DiskOperation::Lock => done(format!("lock of {path}")),
        DiskOperation::LosePower => lost_power(work),
        DiskOperation::Rot => format!("ROT in {path}: {outcome}"),
    };
    let befell = matches!(work.operation, DiskOperation::LosePower | DiskOperation::Rot);
    let changes = matches!(work.operation, DiskOperation::Rename | DiskOperation::Truncate);
    let (level, tone) = match () {
        () if befell => (Level::Row, Tone::Fault),
        () if idle => (Level::Minor, Tone::Plain),
        () if work.failed() => (Level::Row, Tone::Refused),
        () if changes => (Level::Row, Tone::Plain),
        () => (Level::Minor, Tone::Plain),
    };
    let sort = match work.operation {
        DiskOperation::SyncData | DiskOperation::SyncDir => "disk sync",
        _ => "disk write",
    };
    let actor = if work.replica.is_empty() { &line.node } else { &work.replica };
    Note { actor: actor.clone(), text, level, tone, sort, epoch: None }
}

fn folder(path: &str) -> &str {
    if path.is_empty() { "the root" } else { path }
}

fn lost_power(work: &DiskWork) -> String {
    let more = match work.outcome.as_str() {
        "" => String::new(),
        outcome => format!("; {outcome}"),
    };
    match (work.path.as_str(), work.bytes) {
        ("", _) => format!("its power is gone{more}"),
        (path, bytes) => {
            format!("its power is gone: {bytes} bytes of {} are LOST{more}", short(path))
        }
    }
}

/// The name by which people know a file.
pub(super) fn short(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Stretches in which bytes were written and not durable: disk, first line, last line.
pub(super) fn stakes(lines: &[Line]) -> Vec<(&str, usize, Option<usize>)> {
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    let mut stakes = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Event::Disk(work) = &line.event else { continue };
        let node = line.node.as_str();
        match work.operation {
            DiskOperation::Append if work.bytes > 0 => {
                open.entry(node).or_insert(index);
            }
            _ if work.failed() => {}
            // A log is only ever cut back to what is durable.
            DiskOperation::SyncData | DiskOperation::Truncate | DiskOperation::LosePower => {
                stakes.extend(open.remove(node).map(|from| (node, from, Some(index))));
            }
            _ => {}
        }
    }
    stakes.extend(open.into_iter().map(|(node, from)| (node, from, None)));
    stakes
}

/// The epoch of the record for which a disk worked, by the disk's line.
pub(super) fn epochs(lines: &[Line], log: &super::log::Log) -> BTreeMap<usize, u64> {
    let mut next: BTreeMap<&str, u64> = BTreeMap::new();
    let mut epochs = BTreeMap::new();
    for (index, line) in lines.iter().enumerate().rev() {
        match &line.event {
            Event::LogWrite(write) if write.message.is_none() => {
                let epoch = log.entries.get(&index).and_then(|entry| entry.epoch);
                next.extend(epoch.map(|epoch| (line.node.as_str(), epoch)));
            }
            Event::Disk(work) => {
                let ends = work.operation == DiskOperation::Append;
                let node = line.node.as_str();
                let epoch = if ends { next.remove(node) } else { next.get(node).copied() };
                epochs.extend(epoch.map(|epoch| (index, epoch)));
            }
            _ => {}
        }
    }
    epochs
}

/// The replica whose disk each is.
pub(super) fn owners(lines: &[Line]) -> BTreeMap<&str, &str> {
    let mut owners = BTreeMap::new();
    for line in lines {
        if let Event::Disk(work) = &line.event
            && !work.replica.is_empty()
        {
            owners.entry(line.node.as_str()).or_insert(work.replica.as_str());
        }
    }
    owners
}
