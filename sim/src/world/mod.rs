//! The world of one run: servers, machines, and the stream of what happens.

mod config;
mod finish;
mod nemesis;
mod servers;
mod truth;
mod users;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Shared, select};
use madsim::runtime::{Handle, NodeHandle, Runtime};
use rynxs_apiserver::ApiServer;
use rynxs_judge::event::{Event, Line, node};
use rynxs_judge::{Report, judge_stream};
use rynxs_operator::observe::{Observer, Signal};
use rynxs_operator::ports::Ports;
use rynxs_operator::run::RunError;
use rynxs_s3::S3Model;

pub(crate) use self::servers::BEARER;
use self::truth::Truth;
use crate::clock::NodeClock;
use crate::disk::ProcessStorage;
use crate::entropy::SeededEntropy;
use crate::machine::{Machine, Process, ProcessClock};
use crate::net::ProcessNetwork;
use crate::scenario::{Do, Scenario, Who};
use crate::stream::Stream;

/// A run that has not ended by then hangs: longer than any scenario may take.
const TIME_LIMIT: Duration = Duration::from_secs(40 * 24 * 3_600);
/// Longer than any latency by itself.
const LONGEST_LATENCY: Duration = Duration::from_secs(10);
/// How long after it ended by itself a process is started again, as a kubelet does.
const RESTART_AFTER: Duration = Duration::from_secs(10);

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The event stream.
    pub lines: Vec<Line>,
    /// Verdicts on the invariants.
    pub report: Report,
    /// What it took.
    pub stats: Stats,
}

/// What a run took and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Simulated time, nanoseconds.
    pub simulated_ns: u64,
    /// Requests that replicas sent.
    pub requests: u64,
    /// Epochs that began.
    pub takeovers: u64,
    /// Faults that began.
    pub faults: u64,
}

/// Runs a scenario under a seed.
///
/// # Errors
/// The scenario cannot be run, or a model refuses what the world sets up.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Outcome, String> {
    scenario.check()?;
    let mut runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
    runtime.set_time_limit(TIME_LIMIT);
    let played = scenario.clone();
    let lines = runtime.block_on(async move {
        let world = World::new(played, seed)?;
        let lines = world.clone().play().await;
        world.end().await;
        lines
    })?;
    let report = judge_stream(&lines);
    let stats = Stats::of(&lines);
    Ok(Outcome { lines, report, stats })
}

impl Stats {
    fn of(lines: &[Line]) -> Self {
        let simulated_ns = lines.last().map_or(0, |line| line.t_ns);
        let mut stats = Self { simulated_ns, ..Self::default() };
        for line in lines {
            match &line.event {
                Event::Sent { .. } => stats.requests += 1,
                Event::FaultBegan { .. } => stats.faults += 1,
                Event::LogWrite(write)
                    if write.took_effect() && write.text.contains("\"type\":\"EpochStarted\"") =>
                {
                    stats.takeovers += 1;
                }
                _ => {}
            }
        }
        stats
    }
}

/// A handle to the world; clones are the same one.
#[derive(Clone)]
pub(crate) struct World(Arc<Inner>);

struct Inner {
    scenario: Scenario,
    views: Vec<ApiServer>,
    s3: S3Model,
    servers: Arc<Mutex<servers::Faults>>,
    stream: Stream,
    servers_node: NodeHandle,
    messages: AtomicU64,
    truth: Mutex<Truth>,
    machines: Mutex<BTreeMap<u32, Arc<Machine>>>,
    wake_ticker: Mutex<Option<oneshot::Sender<()>>>,
    healed: std::sync::atomic::AtomicBool,
    heals: Mutex<Option<oneshot::Sender<()>>>,
    heal: Shared<BoxFuture<'static, ()>>,
}

/// Poisoned locks only follow another panic.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().expect("nothing panics while it holds a lock of the world")
}

impl World {
    fn new(scenario: Scenario, seed: u64) -> Result<Self, String> {
        let (views, s3) = (servers::api(&scenario)?, servers::s3());
        let servers_node = Handle::current().create_node().name("servers").build();
        let head = config::head(&scenario, seed);
        let (heals, heal) = oneshot::channel();
        let world = Self(Arc::new(Inner {
            views,
            s3,
            servers: Arc::default(),
            stream: Stream::default(),
            servers_node,
            messages: AtomicU64::new(0),
            truth: Mutex::new(Truth::new(&head)),
            machines: Mutex::default(),
            wake_ticker: Mutex::default(),
            healed: false.into(),
            heals: Mutex::new(Some(heals)),
            heal: heal.map(|_| ()).boxed().shared(),
            scenario,
        }));
        world.note(node::RUN, Event::Run(Box::new(head)));
        world.serve();
        let scenario = &world.0.scenario;
        let moves =
            |index| scenario.steps.iter().any(|step| config::moves_clock(&step.what, index));
        for index in 0..scenario.replicas {
            let clock = scenario.clocks.get(index as usize).copied().unwrap_or_default();
            let clocks = NodeClock::new(clock.rate_ppm, clock.wall_offset_ms, moves(index));
            let config = config::config(scenario, index);
            let view = index % scenario.api_views;
            let name = format!("rynxs-{index}");
            let machine = Arc::new(Machine::new(&name, clocks, config, view));
            hold(&world.0.machines).insert(index, Arc::clone(&machine));
            let rate = clock.rate_ppm;
            let clock = Event::Clock { rate_ppm: rate, mono_jump_ns: 0, wall_jump_ms: 0 };
            world.note(&name, clock);
            world.build(machine);
        }
        Ok(world)
    }

    /// Adds a line to the stream.
    pub(crate) fn note(&self, node: &str, event: Event) {
        self.0.stream.push(node, event);
    }

    pub(crate) fn next_message(&self) -> u64 {
        self.0.messages.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn latency_ms(&self) -> (u64, u64) {
        self.0.scenario.latency_ms
    }

    /// The node whose tasks survive all replicas.
    pub(crate) fn servers_node(&self) -> &NodeHandle {
        &self.0.servers_node
    }

    pub(crate) fn s3(&self) -> &S3Model {
        &self.0.s3
    }

    fn machines(&self) -> Vec<Arc<Machine>> {
        hold(&self.0.machines).values().cloned().collect()
    }

    /// Does something later, whatever happens to the replicas meanwhile.
    fn later(&self, after: Duration, what: impl FnOnce(&Self) + Send + 'static) {
        let world = self.clone();
        self.servers_node().spawn(async move {
            madsim::time::sleep(after).await;
            what(&world);
        });
    }

    /// The machines that a step is about.
    fn resolve(&self, who: Who) -> Vec<Arc<Machine>> {
        let machines = self.machines();
        let holder = hold(&self.0.truth).holder_pod();
        let leads = |machine: &Arc<Machine>| holder.as_deref() == Some(machine.name.as_str());
        match who {
            Who::All => machines,
            Who::Replica(index) => machines.into_iter().skip(index as usize).take(1).collect(),
            Who::Leader => machines.into_iter().filter(leads).collect(),
            Who::Standby => machines.into_iter().filter(|one| !leads(one)).take(1).collect(),
        }
    }

    /// The node of a machine, which begins a process whenever it is built or restarted.
    fn build(&self, machine: Arc<Machine>) {
        // The runtime keeps what it restarts a node with, and the world keeps the runtime.
        let world = Arc::downgrade(&self.0);
        let name = machine.name.clone();
        let init = move || {
            let world = world.upgrade().map(World);
            let life = world.map(|world| world.live(Arc::clone(&machine)));
            async move {
                if let Some(life) = life {
                    life.await;
                }
            }
        };
        Handle::current().create_node().name(name).init(init).build();
    }

    /// One process, from its start to its end.
    fn live(self, machine: Arc<Machine>) -> impl Future<Output = ()> {
        let (process, stopped) = machine.begin();
        self.note(&machine.name, Event::Started);
        let ports = Ports {
            clock: Arc::new(ProcessClock {
                world: self.clone(),
                machine: Arc::clone(&machine),
                process: Arc::clone(&process),
            }),
            network: Arc::new(ProcessNetwork {
                world: self.clone(),
                machine: Arc::clone(&machine),
                process: Arc::clone(&process),
            }),
            storage: Arc::new(ProcessStorage {
                world: self.clone(),
                machine: Arc::clone(&machine),
                process: Arc::clone(&process),
            }),
            entropy: Arc::new(SeededEntropy { unsteady: self.0.scenario.unsteady }),
        };
        let config = machine.config();
        async move {
            let observer = Arc::new(Watcher {
                world: self.clone(),
                machine: Arc::clone(&machine),
                process: Arc::clone(&process),
            });
            let end = rynxs_operator::run(ports, config, observer, stopped.boxed()).await;
            process.die();
            machine.disk.release_locks();
            let (why, corrupt, bug) = match &end {
                Ok(()) => ("as asked".to_owned(), false, false),
                Err(error) => (
                    error.to_string(),
                    matches!(error, RunError::Halted(_)),
                    matches!(error, RunError::Bug(_)),
                ),
            };
            self.note(&machine.name, Event::Exited { why, corrupt, bug });
            // Whoever stopped it starts it again, unless it stopped so late that this was before.
            if end.is_err() || !machine.is_down() {
                self.later(RESTART_AFTER, move |world| world.start(&machine));
            }
        }
    }

    /// Starts a machine's process, unless it is kept down or runs already.
    fn start(&self, machine: &Arc<Machine>) {
        if machine.is_down() || !machine.process().is_dead() {
            return;
        }
        // A kill before a restart: `restart` alone leaves the node's old state.
        Handle::current().kill(machine.name.as_str());
        Handle::current().restart(machine.name.as_str());
    }

    /// Kills a process now, and starts another one after a while.
    pub(crate) fn crash(&self, machine: &Arc<Machine>, process: &Arc<Process>, why: &str) {
        if process.die() {
            self.kill(machine, process, why);
        }
    }

    /// The same from within the process itself: it reaches nothing any more from now on, and is
    /// killed as soon as its poll has ended.
    pub(crate) fn crash_soon(&self, machine: &Arc<Machine>, process: &Arc<Process>, why: &str) {
        if process.die() {
            let (world, why) = (self.clone(), why.to_owned());
            let (machine, process) = (Arc::clone(machine), Arc::clone(process));
            self.servers_node().spawn(async move { world.kill(&machine, &process, &why) });
        }
    }

    fn kill(&self, machine: &Arc<Machine>, process: &Arc<Process>, why: &str) {
        // It may have been replaced meanwhile.
        if !Arc::ptr_eq(&machine.process(), process) {
            return;
        }
        self.thaw(machine);
        Handle::current().kill(machine.name.as_str());
        machine.disk.release_locks();
        self.note(&machine.name, Event::Killed { why: why.to_owned() });
        let machine = Arc::clone(machine);
        let after = Duration::from_millis(process.back_after_ms().max(1));
        self.later(after, move |world| world.start(&machine));
    }

    /// Ends a freeze, if there is one.
    fn thaw(&self, machine: &Arc<Machine>) {
        if machine.set_frozen(false) {
            Handle::current().resume(machine.name.as_str());
            self.note(&machine.name, Event::Resumed);
        }
    }

    async fn play(self) -> Result<Vec<Line>, String> {
        let steps = self.0.scenario.steps.clone();
        for step in steps {
            self.sleep_until_ms(step.at_ms).await;
            self.perform(&step.what);
        }
        self.sleep_until_ms(self.0.scenario.heal_ms()).await;
        self.heal();
        self.finish().await
    }

    /// Ends every task. One that sleeps would be kept for ever: the runtime's timer holds it, it
    /// holds the world, and the world holds the runtime.
    async fn end(self) {
        for machine in self.machines() {
            Handle::current().kill(machine.name.as_str());
        }
        Handle::current().kill(self.servers_node().id());
        madsim::task::yield_now().await;
    }

    async fn sleep_until_ms(&self, at_ms: u64) {
        let now = Duration::from_nanos(crate::stream::now_ns());
        if let Some(left) = Duration::from_millis(at_ms).checked_sub(now) {
            madsim::time::sleep(left).await;
        }
    }

    /// A message's way. What is held up longer than any latency is held by a fault: it arrives with
    /// the heal at the latest.
    pub(crate) async fn travel(&self, way: Duration) {
        let sleep = madsim::time::sleep(way);
        if way < LONGEST_LATENCY || self.is_healed() {
            sleep.await;
        } else {
            drop(select(sleep, self.0.heal.clone()).await);
        }
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.0.healed.load(Ordering::SeqCst)
    }
}

/// What a process says of itself, as far as the stream tells it.
struct Watcher {
    world: World,
    machine: Arc<Machine>,
    process: Arc<Process>,
}

impl Observer for Watcher {
    fn signal(&self, signal: Signal) {
        // Dropped futures of a killed process still speak.
        if self.process.is_dead() {
            return;
        }
        if let Some(probe) = crate::probe::of_signal(&signal) {
            let probe = probe.to_owned();
            self.world.note(&self.machine.name, Event::Probe { probe });
        }
        if let Signal::ValidUntil(guard) = signal {
            self.process.believe(guard);
            self.world.note(&self.machine.name, self.machine.belief());
        }
    }
}

/// The settings of the replicas of a scenario.
pub(crate) fn config_of(scenario: &Scenario) -> rynxs_core::config::Config {
    config::config(scenario, 0)
}

/// Whether a step is a user's, and so no fault.
pub(crate) fn is_users(what: &Do) -> bool {
    matches!(
        what,
        Do::ApplyAgent { .. }
            | Do::DeleteAgent { .. }
            | Do::OrphanAgent { .. }
            | Do::RecreateAgent { .. }
            | Do::ApplySession { .. }
            | Do::DeleteSession { .. }
            | Do::Meddle { .. }
            | Do::Squat { .. }
            | Do::Stray { .. }
    )
}
