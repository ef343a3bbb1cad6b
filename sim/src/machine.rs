//! A machine and the processes that run on it, one after the other.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Shared, pending};
use rynxs_core::config::Config;
use rynxs_judge::event::Event;
use rynxs_operator::ports::{Clock, Mono, WallMs};

use crate::clock::NodeClock;
use crate::disk::Disk;
use crate::net::Link;
use crate::scenario::Server;
use crate::world::World;

/// What outlives a process: clocks, disk, wires, settings.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) clock: NodeClock,
    pub(crate) disk: Disk,
    /// The disk's name in the stream.
    pub(crate) disk_name: String,
    view: AtomicU32,
    links: [Mutex<Link>; 2],
    breaker: Mutex<Breaker>,
    config: Mutex<Config>,
    process: Mutex<Arc<Process>>,
    /// Kept down: nobody starts it again before the heal, or ever if it is not in the core.
    down: AtomicBool,
    frozen: AtomicBool,
}

type Broken = Shared<BoxFuture<'static, ()>>;

struct Breaker {
    breaks: oneshot::Sender<()>,
    broken: Broken,
}

impl Breaker {
    fn new() -> Self {
        let (breaks, broken) = oneshot::channel();
        Self { breaks, broken: broken.map(|_| ()).boxed().shared() }
    }
}

/// Ends a process at its nth write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    /// After it was applied, before it is answered; or before it arrives.
    pub(crate) applied: bool,
}

/// One process: from its start to its end, however it ends.
pub(crate) struct Process {
    dead: AtomicBool,
    crash_at_write: Mutex<Option<(u32, Crash)>>,
    crash_at_await: Mutex<Option<u32>>,
    lose_answer: Mutex<Option<u32>>,
    back_after_ms: Mutex<u64>,
    /// Until when it believes that it may lead, on its own clock.
    guard: Mutex<Option<Mono>>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

/// Poisoned locks only follow another panic.
fn hold<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().expect("nothing panics while it holds a lock of the world")
}

impl Machine {
    pub(crate) fn new(name: &str, clock: NodeClock, config: Config, view: u32) -> Self {
        Self {
            name: name.to_owned(),
            clock,
            disk: Disk::default(),
            disk_name: name.replacen("rynxs", "disk", 1),
            view: AtomicU32::new(view),
            links: [Mutex::default(), Mutex::default()],
            breaker: Mutex::new(Breaker::new()),
            config: Mutex::new(config),
            process: Mutex::new(Arc::new(Process::new().0)),
            down: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
        }
    }

    /// Which view of the API it talks to.
    pub(crate) fn view(&self) -> u32 {
        self.view.load(Ordering::SeqCst)
    }

    pub(crate) fn move_to_view(&self, view: u32) {
        self.view.store(view, Ordering::SeqCst);
    }

    /// Does something with the link to a server; to both, one after the other, for [`Server::Any`].
    pub(crate) fn link<T>(&self, server: Server, mut with: impl FnMut(&mut Link) -> T) -> T {
        match server {
            Server::Api => with(&mut hold(&self.links[0])),
            Server::S3 => with(&mut hold(&self.links[1])),
            Server::Any => {
                with(&mut hold(&self.links[0]));
                with(&mut hold(&self.links[1]))
            }
        }
    }

    /// Ends when the open watches break.
    pub(crate) fn watch_breaker(&self) -> Broken {
        hold(&self.breaker).broken.clone()
    }

    /// Breaks all open watches.
    pub(crate) fn break_watches(&self) {
        let old = std::mem::replace(&mut *hold(&self.breaker), Breaker::new());
        // Nobody may be watching.
        let _ = old.breaks.send(());
    }

    pub(crate) fn config(&self) -> Config {
        hold(&self.config).clone()
    }

    pub(crate) fn change_config(&self, change: impl FnOnce(&mut Config)) {
        change(&mut hold(&self.config));
    }

    /// The process that runs, or ran last.
    pub(crate) fn process(&self) -> Arc<Process> {
        Arc::clone(&hold(&self.process))
    }

    /// Begins a process; the future ends when it is asked to stop.
    pub(crate) fn begin(&self) -> (Arc<Process>, BoxFuture<'static, ()>) {
        let (process, stop) = Process::new();
        let process = Arc::new(process);
        *hold(&self.process) = Arc::clone(&process);
        (process, stop)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    /// Whether it was frozen before.
    pub(crate) fn set_frozen(&self, frozen: bool) -> bool {
        self.frozen.swap(frozen, Ordering::SeqCst)
    }

    /// What its process believes, in true time; none if it does not lead.
    pub(crate) fn belief(&self) -> Event {
        let guard = *hold(&self.process().guard);
        Event::Guard { until_ns: guard.map(|until| self.clock.true_ns_of(until)) }
    }
}

impl Process {
    fn new() -> (Self, BoxFuture<'static, ()>) {
        let (stop, stopped) = oneshot::channel();
        let process = Self {
            dead: AtomicBool::new(false),
            crash_at_write: Mutex::default(),
            crash_at_await: Mutex::default(),
            lose_answer: Mutex::default(),
            back_after_ms: Mutex::default(),
            guard: Mutex::default(),
            stop: Mutex::new(Some(stop)),
        };
        let stopped = async move {
            if stopped.await.is_err() {
                pending::<()>().await;
            }
        };
        (process, stopped.boxed())
    }

    /// Whether it was killed: dropped futures run code, which must reach nothing any more.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Marks it dead; whether it was alive.
    pub(crate) fn die(&self) -> bool {
        !self.dead.swap(true, Ordering::SeqCst)
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self) {
        if let Some(stop) = hold(&self.stop).take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
    }

    /// Arms a crash at the nth write from now on.
    pub(crate) fn crash_at_write(&self, nth: u32, applied: bool, back_after_ms: u64) {
        *hold(&self.back_after_ms) = back_after_ms;
        *hold(&self.crash_at_write) = Some((nth.max(1), Crash { applied }));
    }

    /// Arms a crash at the nth await from now on.
    pub(crate) fn crash_at_await(&self, nth: u32, back_after_ms: u64) {
        *hold(&self.back_after_ms) = back_after_ms;
        *hold(&self.crash_at_await) = Some(nth.max(1));
    }

    /// Arms the loss of the answer to the nth write from now on.
    pub(crate) fn lose_answer(&self, nth: u32) {
        *hold(&self.lose_answer) = Some(nth.max(1));
    }

    /// Disarms what did not happen.
    pub(crate) fn disarm(&self) {
        *hold(&self.crash_at_write) = None;
        *hold(&self.crash_at_await) = None;
        *hold(&self.lose_answer) = None;
    }

    /// Sets how long after its end another process is started.
    pub(crate) fn set_back_after(&self, back_after_ms: u64) {
        *hold(&self.back_after_ms) = back_after_ms;
    }

    /// How long after a crash that was armed it is started again.
    pub(crate) fn back_after_ms(&self) -> u64 {
        *hold(&self.back_after_ms)
    }

    /// Counts a write; the crash that it triggers, if it does.
    pub(crate) fn count_write(&self) -> Option<Crash> {
        let mut armed = hold(&self.crash_at_write);
        let (left, crash) = armed.as_mut()?;
        *left -= 1;
        let (left, crash) = (*left, *crash);
        if left > 0 {
            return None;
        }
        *armed = None;
        Some(crash)
    }

    /// Counts a write; whether its answer is lost.
    pub(crate) fn count_answer(&self) -> bool {
        let mut armed = hold(&self.lose_answer);
        let Some(left) = armed.as_mut() else { return false };
        *left -= 1;
        let lost = *left == 0;
        if lost {
            *armed = None;
        }
        lost
    }

    /// Counts an await; true if the process is dead, perhaps by this very await.
    pub(crate) fn is_dead_after_await(&self, world: &World, machine: &Arc<Machine>) -> bool {
        if self.is_dead() {
            return true;
        }
        let mut armed = hold(&self.crash_at_await);
        let Some(left) = armed.as_mut() else { return false };
        *left -= 1;
        if *left > 0 {
            return false;
        }
        *armed = None;
        drop(armed);
        world.crash_soon(machine, &machine.process(), "at an await");
        true
    }

    /// Takes note of what the process believes.
    pub(crate) fn believe(&self, guard: Option<Mono>) {
        *hold(&self.guard) = guard;
    }
}

/// A process's view of its machine's clocks.
pub(crate) struct ProcessClock {
    pub(crate) world: World,
    pub(crate) machine: Arc<Machine>,
    pub(crate) process: Arc<Process>,
}

impl Clock for ProcessClock {
    fn now(&self) -> Mono {
        self.machine.clock.now()
    }

    fn wall(&self) -> WallMs {
        self.machine.clock.wall()
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        if self.process.is_dead_after_await(&self.world, &self.machine) {
            return pending().boxed();
        }
        self.machine.clock.sleep_until(deadline)
    }
}
