//! A world of real processes for tests: plans, waits that are conditions, histories.
//!
//! Real processes have real time. So nothing here waits for a fixed time: every wait is for
//! something that can be seen, and `PATIENCE` only ends what hangs. A lease that runs out under
//! load is legal, and no test may fail for it.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[cfg(target_os = "linux")]
pub mod held_disk;

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rynxs::demo::{
    ACCOUNT, EventStore, HOME, PATIENCE, Plan, SHORT_LEASE, Story, World, create_agents, namespace,
    settled,
};

pub fn plan(folder: &Path, event_store: EventStore, replicas: u32) -> Plan {
    Plan {
        binary: env!("CARGO_BIN_EXE_rynxs").into(),
        folder: folder.to_owned(),
        api_port: 0,
        s3_port: 0,
        event_store,
        replicas,
        seed: 1,
        policies: true,
        lease: SHORT_LEASE,
        environment: std::env::var("LOG_LEVEL")
            .map(|level| ("LOG_LEVEL".to_owned(), level))
            .into_iter()
            .collect(),
    }
}

/// A folder that stays if `KEEP` is set, to read what the replicas said.
pub fn folder() -> tempfile::TempDir {
    let keep = std::env::var_os("KEEP").is_some();
    tempfile::Builder::new().prefix("rynxs-test-").disable_cleanup(keep).tempdir().unwrap()
}

/// A world with running replicas and some settled agents.
pub async fn world(plan: Plan, agents: usize) -> World {
    let replicas = plan.replicas;
    let mut world = World::start(plan, Story::begin(true)).await.unwrap();
    start(&mut world, replicas).await;
    namespace(&world.user, "demo").await.unwrap();
    create_agents(&world.user, 0, agents).await.unwrap();
    settled(&mut world, PATIENCE).await.unwrap();
    world
}

pub async fn start(world: &mut World, replicas: u32) {
    for number in 1..=replicas {
        world.start_replica(&format!("rynxs-{number}")).await.unwrap();
    }
}

pub async fn kill_all(world: &mut World) {
    for replica in &mut world.replicas {
        replica.kill().await.unwrap();
    }
    world.replicas.clear();
}

/// The operator's user name at the API server.
pub fn operator() -> String {
    format!("system:serviceaccount:{HOME}:{ACCOUNT}")
}

/// Waits until this holds; what hangs is named.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process that does not outlive a failing test.
pub struct Running(pub Child);

impl std::ops::Deref for Running {
    type Target = Child;
    fn deref(&self) -> &Child {
        &self.0
    }
}

impl std::ops::DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processes that say on their command line that they end with this one.
pub fn children_of(pid: u32) -> Vec<String> {
    let wanted = format!("--end-with-parent\0{pid}\0");
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| line.contains(&wanted))
        .collect()
}

/// Waits until no process that belongs to this one is left.
pub fn nothing_is_left_of(pid: u32) {
    wait_until("no replica is left behind", || children_of(pid).is_empty());
}

pub fn interrupt(child: &Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
}
