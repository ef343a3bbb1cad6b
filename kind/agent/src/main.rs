//! A reference agent, small enough to read: what any image that rynxs runs has to do.
//!
//! rynxs starts it in two ways. As the **runtime** of an Agent it stays until it is asked to stop.
//! As the run of a **Session** it reads the session's input, works, leaves
//! `results/SESSION.json` in its workspace and ends.
//!
//! What it is told, by environment variables: `RYNXS_AGENT`, `RYNXS_EPOCH` (the term of the leader
//! that started it), `RYNXS_WORKSPACE` (a volume that outlives it), and for a session
//! `RYNXS_SESSION` and `RYNXS_INPUT` (a file). `AGENT_WORK_MS` says how long its work takes,
//! `AGENT_PORT` where a runtime answers whoever its policy admits.
//!
//! With an argument it looks around, for whoever has a pod of it and no shell: `results` prints
//! what sessions left in the workspace, `reach HOST:PORT` says whether a connection comes about.
//!
//! Exit codes: 0 done, 1 something is wrong with what it was given, 3 refused: the same was started
//! in a higher epoch before, 143 asked to stop before the work was done.

mod epoch;
mod look;
mod serve;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::epoch::Admission;
use crate::work::Outcome;

const REFUSED: u8 = 3;
/// What a shell makes of a process that SIGTERM ended.
const STOPPED: u8 = 143;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.is_empty() {
        return look::around(&arguments);
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .with_context(|| format!("cannot listen for signal {signal}"))?;
    }
    let agent = told("RYNXS_AGENT")?;
    let epoch = told("RYNXS_EPOCH")?;
    let epoch: u64 =
        epoch.parse().with_context(|| format!("RYNXS_EPOCH is {epoch:?}, and no number"))?;
    let workspace = PathBuf::from(told("RYNXS_WORKSPACE")?);
    let session = std::env::var("RYNXS_SESSION").ok();
    let who =
        session.as_ref().map_or_else(|| "runtime".to_owned(), |name| format!("session-{name}"));
    match epoch::admit(&workspace, &who, epoch)? {
        Admission::Admitted => {}
        Admission::Refused { by } => {
            eprintln!("refused: epoch {epoch} started this, and epoch {by} was here before");
            return Ok(ExitCode::from(REFUSED));
        }
    }
    let Some(session) = session else {
        let port = serve::listen(&agent)?;
        println!("{agent}: ready, of epoch {epoch}, on port {port}");
        work::wait(&stop);
        println!("{agent}: asked to stop");
        return Ok(ExitCode::SUCCESS);
    };
    let input = PathBuf::from(told("RYNXS_INPUT")?);
    let task = work::Task { session, agent, epoch, input, workspace, time: work::time()? };
    match task.perform(&stop)? {
        Outcome::Done(result) => {
            println!("{result}");
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Stopped => {
            eprintln!("asked to stop before the work was done: there is no result");
            Ok(ExitCode::from(STOPPED))
        }
    }
}

/// What rynxs tells by an environment variable.
fn told(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: rynxs sets it in each pod"))
}
