//! `rynxs demo`: the whole system on one machine, with nothing installed.
//!
//! Two embedded servers on loopback, replicas of this very binary as processes, sample agents, a
//! killed leader, a zombie. Everything that is claimed is then checked against what the servers
//! saw. No operator code knows of the game.

pub mod compare;
mod files;
mod follow;
pub mod gate;
mod host;
pub mod idle;
mod mirror;
mod objects;
pub mod probe;
mod replica;
mod report;
mod settle;
mod story;
mod tally;
mod trouble;
mod user;
mod workload;
mod world;
pub mod zombie;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::{Exit, Failure, Format, Output};

pub use follow::Follower;
pub use replica::Replica;
pub use report::{Refused, Report, TakeOver};
pub use settle::settled;
pub use story::Story;
pub use tally::RequestKind;
pub use user::User;
pub use workload::{agent, create_agents, edit_agent, namespace};
pub use world::{
    ACCOUNT, BUCKET, DEFAULT_LEASE, EventStore, HOME, PREFIX, Plan, SHORT_LEASE, World,
};

/// Everything here happens within seconds. A machine under load may take minutes, and a lease that
/// runs out meanwhile is no fault; only what hangs is to be found.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Show the whole system on this machine: nothing needs to be installed.
///
/// Starts an embedded API server and an embedded S3 on loopback and several replicas of the
/// operator as processes, applies the examples, creates and edits agents, kills the leader and
/// measures the take-over. Then the zombie: a leader is frozen beyond its lease with two writes on
/// the wire, which arrive when another replica has long taken over, and are refused. In the end the
/// whole log is verified and compared with the live objects.
///
/// Leaves a folder with a kubeconfig, the replicas' logs and the event log, which is there from its
/// first record on: `rynxs log tail --follow` shows it grow. Takes about a minute.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// How many replicas to start; the zombie takes three
    #[arg(long, default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=9), value_name = "N")]
    pub replicas: u32,
    /// How many agents to create besides the examples
    #[arg(long, default_value_t = 12,
          value_parser = clap::value_parser!(u32).range(2..=2000), value_name = "N")]
    pub agents: u32,
    /// Where the log is kept; file has one replica, and shows a crash and the repair of a torn line
    #[arg(long, value_enum, default_value_t = EventStore::S3)]
    pub event_store: EventStore,
    /// Drives the workload: which agents are edited
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// Kill nobody, but stay idle for so long once everything is ready, and count what is
    /// appended (nothing may be) and what is still sent. Leaves the examples out, as Sessions have
    /// deadlines, and takes the default times of the Lease
    #[arg(long, value_name = "SPAN", value_parser = crate::cli::span)]
    pub idle: Option<Duration>,
    /// Keep everything running at the end, for kubectl, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// Folder to leave things in [default: a new one among the temporary files]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Apply the manifests of this folder in place of the built-in examples
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// Port of the API server on loopback; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub api_port: u16,
    /// Port of S3 on loopback; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    pub s3_port: u16,
    /// Print the result as JSON and tell no story
    #[arg(long)]
    pub json: bool,
}

/// Runs the demo to its end, or until Ctrl-C.
pub fn run(args: &DemoArgs) -> Result<Exit, Failure> {
    let runtime = crate::cli::runtime()?;
    // Whether everything is shown, and only runs on for kubectl.
    let kept = std::cell::Cell::new(false);
    let done = runtime.block_on(async {
        tokio::select! {
            biased;
            stopped = interrupted() => {
                stopped?;
                Ok(if kept.get() { Exit::Done } else { Exit::Interrupted })
            }
            // Dropping the play kills every replica and closes every socket.
            done = perform(args, &kept) => done,
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(200));
    done
}

/// Ends at the first SIGINT or SIGTERM.
async fn interrupted() -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| Failure::io("listen for signals", &error));
    let (mut int, mut term) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::select! {
        biased;
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
    Ok(())
}

async fn perform(args: &DemoArgs, kept: &std::cell::Cell<bool>) -> Result<Exit, Failure> {
    let manifests = match (&args.manifests, args.idle) {
        // The example of a Session has deadlines, which are something to do.
        (None, Some(_)) => Vec::new(),
        (folder, _) => workload::manifests(folder.as_deref())?,
    };
    let plan = plan(args)?;
    let story = Story::begin(args.json);
    story.chapter("rynxs demo: an event log, an API server, an S3, all on this machine");
    let mut world = World::start(plan, story).await?;
    let report = match (args.idle, args.event_store) {
        (Some(span), _) => idle::play(&mut world, args, &manifests, span).await?,
        (None, EventStore::S3) => objects::play(&mut world, args, &manifests).await?,
        (None, EventStore::File) => files::play(&mut world, args, &manifests).await?,
    };
    let mut output = Output::stdout(if args.json { Format::Json } else { Format::Table });
    if args.json {
        output.json(&report)?;
    } else {
        output.text(&format!("\n{}\n", report.table()))?;
        output.text(&commands(&world, args.keep))?;
    }
    if args.keep && report.refuted.is_empty() {
        world.story.tell("everything keeps running until Ctrl-C");
        kept.set(true);
        return Err(world.trouble().await);
    }
    Ok(if report.refuted.is_empty() { Exit::Done } else { Exit::Refuted })
}

fn plan(args: &DemoArgs) -> Result<Plan, Failure> {
    let binary = std::env::current_exe()
        .map_err(|error| Failure::io("find this program's own file", &error))?;
    let folder = match &args.dir {
        Some(folder) => std::path::absolute(folder)
            .map_err(|error| Failure::io(&format!("folder {}", folder.display()), &error))?,
        None => tempfile::Builder::new()
            .prefix("rynxs-demo-")
            .tempdir()
            .map_err(|error| Failure::io("make a folder among the temporary files", &error))?
            .keep(),
    };
    Ok(Plan {
        binary,
        folder,
        api_port: args.api_port,
        s3_port: args.s3_port,
        event_store: args.event_store,
        replicas: if args.event_store == EventStore::File { 1 } else { args.replicas },
        seed: args.seed,
        policies: true,
        lease: if args.idle.is_some() { DEFAULT_LEASE } else { SHORT_LEASE },
        environment: Vec::new(),
    })
}

/// The two commands to look at what is left behind.
fn commands(world: &World, keep: bool) -> String {
    let kubeconfig = world.kubeconfig();
    let log = world.plan.folder.join("log");
    let kubectl =
        format!("kubectl --kubeconfig {} get agents,sessions -A -o wide", kubeconfig.display());
    let running = if keep {
        ""
    } else {
        "    (with `rynxs demo --keep`, which keeps the API server running)"
    };
    format!("Look at it:\n  {kubectl}{running}\n  rynxs log show {}\n", log.display())
}
