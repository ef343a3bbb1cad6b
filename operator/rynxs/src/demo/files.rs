//! The demo with the log in files: one replica, a crash in the middle of appends, a torn line.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::Value;

use crate::cli::Failure;

use super::objects::{begin, bug, edit, finish, ms, populate};
use super::report::{Report, TakeOver};
use super::settle::settled;
use super::story::span;
use super::workload::{self, Dice};
use super::world::World;
use super::{DemoArgs, PATIENCE};

/// Agents created to have appends under way when the replica is killed.
const BURST: usize = 8;

/// Plays the whole story.
pub(super) async fn play(
    world: &mut World,
    args: &DemoArgs,
    manifests: &[(String, Value)],
) -> Result<Report, Failure> {
    let mut dice = Dice::new(args.seed);
    let mut log = begin(world).await?;
    let (count, ready) = populate(world, args, manifests).await?;
    edit(world, args, &mut dice).await?;

    world.story.chapter("A crash in the middle of appends");
    log.catch_up().await?;
    let (records, epochs) = (log.records(), log.epochs().len());
    workload::create_agents(&world.user, args.agents as usize, BURST).await?;
    let until = Instant::now() + PATIENCE;
    while log.records() < records + 2 {
        log.catch_up().await?;
        world.wait_a_little(until, "the new agents are in the log").await?;
    }
    let last = world.replicas.len().checked_sub(1).ok_or_else(|| bug("no replica to kill"))?;
    let name = world.kill_replica(last).await?;
    let began = Instant::now();
    world.story.tell(format!("{name} is killed (SIGKILL) while it works on {BURST} new agents"));
    let (file, bytes) = tear(world)?;
    world
        .story
        .tell(format!("the power fails, too: {bytes} bytes of a record without an end in {file}"));

    world.start_replica(&name).await?;
    // A reader must not have buffered what is cut off now: it begins again until the line is gone.
    let mut log = loop {
        let mut log = world.follow()?;
        if log.catch_up().await.is_ok() && log.epochs().len() > epochs {
            break log;
        }
        world.wait_a_little(until, "the replica leads again").await?;
    };
    let opened = log.epochs().last().cloned().ok_or_else(|| bug("no epoch"))?;
    let to_epoch = opened.seen - began;
    world.story.tell(format!(
        "{name} leads again from epoch {} on, {} after the kill",
        opened.epoch,
        span(to_epoch)
    ));
    settled(world, PATIENCE).await?;
    log.catch_up().await?;
    world.story.tell(format!(
        "all agents are ready; the log says that it was repaired {} time",
        log.repairs()
    ));
    let take_over = TakeOver {
        cause: "replica killed",
        epoch: opened.epoch.0,
        to_epoch_ms: ms(to_epoch),
        to_write_ms: Some(ms(began.elapsed())),
    };
    let ready = (count + BURST, ready);
    let mut report = finish(world, args, &mut log, ready).await?;
    report.take_overs.push(take_over);
    if report.repaired == 0 {
        report.refuted.push("the torn line was not recorded as repaired".to_owned());
    }
    Ok(report)
}

/// Leaves half a record at the end of the newest segment, as a power failure in the middle of a
/// write does; returns the file's name and how many bytes.
fn tear(world: &World) -> Result<(String, usize), Failure> {
    let folder = world.plan.folder.join("log");
    let failed = |error: std::io::Error| Failure::io(&format!("tear {}", folder.display()), &error);
    let mut segments: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|kind| kind == "jsonl") {
            segments.push(path);
        }
    }
    segments.sort();
    let newest = segments.pop().ok_or_else(|| bug("the log has no segment"))?;
    let content = std::fs::read(&newest).map_err(failed)?;
    let last = content.split(|byte| *byte == b'\n').rev().find(|line| !line.is_empty());
    let last = last.ok_or_else(|| bug("the newest segment is empty"))?;
    let half = &last[..last.len() / 2];
    let mut file = std::fs::OpenOptions::new().append(true).open(&newest).map_err(failed)?;
    file.write_all(half).and_then(|()| file.sync_all()).map_err(failed)?;
    let name = newest.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, half.len()))
}
