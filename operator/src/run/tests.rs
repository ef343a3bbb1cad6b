//! A replica's life against a small Lease server and a leader that records what happens to it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::channel::oneshot;
use futures::future::{join, pending};
use rynxs_core::append::{ExistsOutcome, Fault, FaultCause, GetOutcome, ListOutcome, PutOutcome};
use rynxs_core::config::{LogSink, S3Store, Secret, Store};
use rynxs_core::ids::Seq;

use super::*;
use crate::election::tests::{LeaseServer, Mood};
use crate::fixtures;
use crate::observe::{Observer, Signal, Silent};

const S: Duration = Duration::from_secs(1);

/// An empty log, or a store that does not answer.
struct Log {
    down: Arc<AtomicBool>,
}

impl LogStore for Log {
    fn put(&self, _: Seq, _: bytes::Bytes) -> BoxFuture<'_, PutOutcome> {
        unreachable!("a recording leader writes nothing")
    }
    fn get(&self, _: Seq) -> BoxFuture<'_, GetOutcome> {
        async { GetOutcome::Missing }.boxed()
    }
    fn exists(&self, _: Seq) -> BoxFuture<'_, ExistsOutcome> {
        let fault = Fault { cause: FaultCause::Timeout, message: "no answer".to_owned() };
        let down = self.down.load(Ordering::SeqCst);
        async move { if down { ExistsOutcome::Unknown(fault) } else { ExistsOutcome::No } }.boxed()
    }
    fn first_key_after(&self, _: Option<Seq>) -> BoxFuture<'_, ListOutcome> {
        async { ListOutcome::Next(None) }.boxed()
    }
    fn describe(&self) -> String {
        "memory://log".to_owned()
    }
}

/// What the leaders of all replicas went through.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Act {
    Led(String),
    /// Its future was dropped.
    Dropped(String),
    Stopped(String),
}

/// Leaders that act until told otherwise, or end as the script says.
#[derive(Clone, Default)]
struct Stage {
    acts: Arc<Mutex<Vec<(u64, Act)>>>,
    /// Ends of the coming terms, each after a second.
    script: Arc<Mutex<Vec<LeaderEnd>>>,
    acting: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    begun: Arc<Mutex<Option<tokio::time::Instant>>>,
    refusals: Arc<AtomicUsize>,
}

impl Observer for Stage {
    fn signal(&self, signal: Signal) {
        if signal == Signal::LogRefused {
            self.refusals.fetch_add(1, Ordering::SeqCst);
        }
    }
}

struct OnStage {
    stage: Stage,
    name: String,
    left: bool,
}

impl Drop for OnStage {
    fn drop(&mut self) {
        self.stage.acting.fetch_sub(1, Ordering::SeqCst);
        if !self.left {
            self.stage.note(Act::Dropped(self.name.clone()));
        }
    }
}

impl Stage {
    fn note(&self, act: Act) {
        let mut begun = self.begun.lock().unwrap();
        let elapsed = begun.get_or_insert_with(tokio::time::Instant::now).elapsed();
        self.acts.lock().unwrap().push((u64::try_from(elapsed.as_millis()).unwrap(), act));
    }

    fn acts(&self) -> Vec<Act> {
        self.acts.lock().unwrap().iter().map(|(_, act)| act.clone()).collect()
    }

    fn led_at_ms(&self) -> Vec<u64> {
        let acts = self.acts.lock().unwrap();
        acts.iter().filter(|(_, act)| matches!(act, Act::Led(_))).map(|(at, _)| *at).collect()
    }
}

struct Actor {
    stage: Stage,
    ports: Ports,
    log_down: Arc<AtomicBool>,
}

impl Lead for Actor {
    fn open(&self) -> BoxFuture<'static, Result<Arc<dyn LogStore>, Closed>> {
        let store: Arc<dyn LogStore> = Arc::new(Log { down: self.log_down.clone() });
        async { Ok(store) }.boxed()
    }

    fn lead(&self, leading: Leading) -> BoxFuture<'static, LeaderEnd> {
        let (stage, ports) = (self.stage.clone(), self.ports.clone());
        async move {
            let name = rynxs_core::election::cooldown::pod(&leading.identity).to_owned();
            leading.guard.check(ports.clock.now()).expect("who is told to lead may");
            stage.note(Act::Led(name.clone()));
            let acting = stage.acting.fetch_add(1, Ordering::SeqCst) + 1;
            stage.most.fetch_max(acting, Ordering::SeqCst);
            let mut on_stage = OnStage { stage: stage.clone(), name: name.clone(), left: false };
            let scripted = stage.script.lock().unwrap().pop();
            let end = async {
                match scripted {
                    Some(end) => {
                        ports.clock.sleep_until(ports.clock.now() + S).await;
                        end
                    }
                    None => pending().await,
                }
            };
            let end = match select(std::pin::pin!(end), leading.stop).await {
                Either::Left((end, _)) => end,
                Either::Right(_) => {
                    stage.note(Act::Stopped(name));
                    LeaderEnd::Stopped { settled: true }
                }
            };
            on_stage.left = true;
            end
        }
        .boxed()
    }
}

fn config(pod: &str) -> Config {
    let store = Store::S3(S3Store {
        endpoint: None,
        bucket: "events".to_owned(),
        prefix: "events".to_owned(),
        region: "us-east-1".to_owned(),
        path_style: false,
        access_key: Secret::new("a"),
        secret_key: Secret::new("b"),
        session_token: None,
        checksum: rynxs_core::config::Checksum::Sha256,
    });
    Config {
        identity_prefix: pod.to_owned(),
        replicas: 3,
        log_sink: LogSink { store, ..LogSink::default() },
        ..Config::default()
    }
}

struct Running {
    run: BoxFuture<'static, Result<(), RunError>>,
    stop: Option<oneshot::Sender<()>>,
    log_down: Arc<AtomicBool>,
}

impl Running {
    fn stop(&mut self) {
        self.stop.take().expect("asked once").send(()).expect("still running");
    }
}

fn replica(server: &LeaseServer, stage: &Stage, n: u64) -> Running {
    replica_of(server, stage, n, config(&format!("rynxs-{n}")))
}

fn replica_of(server: &LeaseServer, stage: &Stage, n: u64, config: Config) -> Running {
    let ports = fixtures::ports(Arc::new(server.clone()), n);
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        if stopped.await.is_err() {
            pending::<()>().await;
        }
    }
    .boxed();
    let log_down = Arc::new(AtomicBool::new(false));
    let actor = Actor { stage: stage.clone(), ports: ports.clone(), log_down: log_down.clone() };
    let observer = Arc::new(stage.clone());
    let run = async move { run_with(ports, config, observer, shutdown, &actor).await }.boxed();
    Running { run, stop: Some(stop), log_down }
}

/// Lets replicas run for a span; who ended, and how.
async fn live(replicas: &mut [&mut Running], span: Duration) -> Vec<(usize, Result<(), RunError>)> {
    let mut ended = Vec::new();
    let deadline = tokio::time::Instant::now() + span;
    let mut open: Vec<(usize, &mut Running)> =
        replicas.iter_mut().map(|running| &mut **running).enumerate().collect();
    while !open.is_empty() {
        let runs = open.iter_mut().map(|(_, running)| &mut running.run);
        match tokio::time::timeout_at(deadline, futures::future::select_all(runs)).await {
            Err(_) => break,
            Ok((result, index, _)) => ended.push((open.remove(index).0, result)),
        }
    }
    ended
}

fn led(n: u64) -> Act {
    Act::Led(format!("rynxs-{n}"))
}

fn dropped(n: u64) -> Act {
    Act::Dropped(format!("rynxs-{n}"))
}

#[tokio::test(start_paused = true)]
async fn exactly_one_of_three_leads_and_a_killed_one_is_succeeded_within_its_lease() {
    let (server, stage) = (LeaseServer::with_free_lease(), Stage::default());
    let mut replicas: Vec<Running> = (0..3).map(|n| replica(&server, &stage, n)).collect();
    let [a, b, c] = &mut replicas[..] else { panic!("three") };
    live(&mut [a, b, c], 60 * S).await;
    assert_eq!(stage.acts(), [led(0)]);
    let killed = tokio::time::Instant::now();
    let dead = replicas.remove(0);
    drop(dead);
    let [b, c] = &mut replicas[..] else { panic!("two") };
    live(&mut [b, c], 20 * S).await;
    let successor = stage.acts()[2].clone();
    assert!(successor == led(1) || successor == led(2), "{successor:?}");
    assert_eq!(stage.acts().len(), 3, "{:?}", stage.acts());
    let took = stage.led_at_ms()[1] - 60_000;
    assert!(took <= 19_000, "within L + 2P: {took} ms, {:?}", killed.elapsed());
    assert_eq!(stage.most.load(Ordering::SeqCst), 1, "never two at once");
}

#[tokio::test(start_paused = true)]
async fn replica_asked_to_stop_drains_releases_and_is_succeeded_at_once() {
    let (server, stage) = (LeaseServer::with_free_lease(), Stage::default());
    let (mut a, mut b) = (replica(&server, &stage, 0), replica(&server, &stage, 1));
    live(&mut [&mut a, &mut b], 10 * S).await;
    assert_eq!(stage.acts(), [led(0)]);
    a.stop();
    let ended = live(&mut [&mut a, &mut b], S).await;
    assert_eq!(ended, [(0, Ok(()))]);
    assert_eq!(stage.acts(), [led(0), Act::Stopped("rynxs-0".to_owned()), led(1)]);
    assert!(stage.led_at_ms()[1] < 10_100, "{:?}", stage.led_at_ms());
}

#[tokio::test(start_paused = true)]
async fn standby_asked_to_stop_ends_at_once() {
    let (server, stage) = (LeaseServer::with_free_lease(), Stage::default());
    let (mut a, mut b) = (replica(&server, &stage, 0), replica(&server, &stage, 1));
    live(&mut [&mut a, &mut b], 5 * S).await;
    b.stop();
    assert_eq!(live(&mut [&mut a, &mut b], S).await, [(1, Ok(()))]);
}

#[tokio::test(start_paused = true)]
async fn lost_leadership_drops_the_leader_and_a_new_term_begins_under_a_new_identity() {
    let (server, stage) = (LeaseServer::with_free_lease(), Stage::default());
    let mut a = replica(&server, &stage, 0);
    live(&mut [&mut a], 5 * S).await;
    let first = server.holder();
    server.mood(Mood::Cut);
    live(&mut [&mut a], 12 * S).await;
    assert_eq!(stage.acts(), [led(0), dropped(0)]);
    server.mood(Mood::Well);
    live(&mut [&mut a], 60 * S).await;
    assert_eq!(stage.acts(), [led(0), dropped(0), led(0)]);
    assert_ne!(server.holder(), first);
    assert!(server.holder().starts_with("rynxs-0_"));
}

#[tokio::test(start_paused = true)]
async fn fenced_replica_stays_out_for_grace_and_a_cooldown_that_grows() {
    let (server, stage) = (LeaseServer::with_free_lease(), Stage::default());
    *stage.script.lock().unwrap() = vec![LeaderEnd::Fenced; 4];
    let mut a = replica(&server, &stage, 0);
    live(&mut [&mut a], 150 * S).await;
    let led_at = stage.led_at_ms();
    // Fenced after a second; then G 3 s, the cool-down 2, 4, 8, 15 s, and what is left of L, as
    // the Lease is not given up.
    let gaps: Vec<u64> =
        led_at.windows(2).map(|pair| (pair[1] - pair[0]).div_ceil(1_000)).collect();
    assert_eq!(gaps.len(), 4, "{led_at:?}");
    assert!(gaps.is_sorted() && gaps[0] >= 6 && gaps[3] >= 19, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn broken_log_ends_the_process_and_wrong_settings_never_start_it() {
    for end in [LeaderEnd::Halted("a hole at 7".to_owned()), LeaderEnd::Bug("oh".to_owned())] {
        let (server, stage) = (LeaseServer::with_free_lease(), Stage::default());
        *stage.script.lock().unwrap() = vec![end.clone()];
        let mut a = replica(&server, &stage, 0);
        let ended = live(&mut [&mut a], 5 * S).await;
        let kind = ended[0].1.as_ref().unwrap_err().kind();
        let halted = matches!(end, LeaderEnd::Halted(_));
        assert_eq!(kind, if halted { ErrorKind::Corrupt } else { ErrorKind::Bug });
    }
    let (server, stage) = (LeaseServer::new(), Stage::default());
    let mut wrong = config("rynxs-0");
    wrong.leader_election.lease_duration = 5 * S;
    let mut a = replica_of(&server, &stage, 0, wrong);
    let ended = live(&mut [&mut a], S).await;
    let text = ended[0].1.as_ref().unwrap_err().to_string();
    assert!(text.contains("leaderElection.leaseDuration = 5s"), "{text}");
    assert_eq!(server.requests(), std::collections::BTreeMap::new(), "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn wrong_installation_gives_the_lease_back_and_tries_again_ever_more_slowly() {
    let (server, stage) = (LeaseServer::with_free_lease(), Stage::default());
    *stage.script.lock().unwrap() = vec![LeaderEnd::Config("no such bucket".to_owned()); 3];
    let mut a = replica(&server, &stage, 0);
    live(&mut [&mut a], 1_500 * Duration::from_millis(1)).await;
    assert_eq!(server.holder(), "", "another replica may fare better");
    live(&mut [&mut a], 60 * S).await;
    assert_eq!(stage.led_at_ms().len(), 4, "it led in the end: {:?}", stage.acts());
    assert_eq!(stage.refusals.load(Ordering::SeqCst), 3, "each refusal is told");
}

#[tokio::test(start_paused = true)]
async fn replica_that_cannot_reach_the_log_does_not_campaign() {
    let (server, stage) = (LeaseServer::with_free_lease(), Stage::default());
    let mut a = replica(&server, &stage, 0);
    a.log_down.store(true, Ordering::SeqCst);
    live(&mut [&mut a], 30 * S).await;
    assert_eq!(stage.acts(), []);
    assert_eq!(server.requests(), std::collections::BTreeMap::new());
    a.log_down.store(false, Ordering::SeqCst);
    live(&mut [&mut a], 70 * S).await;
    assert_eq!(stage.acts(), [led(0)]);
}

/// Never ends.
struct Stubborn;

impl Lead for Stubborn {
    fn open(&self) -> BoxFuture<'static, Result<Arc<dyn LogStore>, Closed>> {
        let store: Arc<dyn LogStore> = Arc::new(Log { down: Arc::default() });
        async { Ok(store) }.boxed()
    }

    fn lead(&self, _: Leading) -> BoxFuture<'static, LeaderEnd> {
        pending().boxed()
    }
}

/// A log that is locked for the first three times, then broken for good.
#[derive(Default)]
struct Locked(AtomicUsize);

impl Lead for Locked {
    fn open(&self) -> BoxFuture<'static, Result<Arc<dyn LogStore>, Closed>> {
        let kind = match self.0.fetch_add(1, Ordering::SeqCst) {
            0..3 => ErrorKind::Config,
            _ => ErrorKind::Corrupt,
        };
        async move { Err(Closed { kind, message: "cannot be opened".to_owned() }) }.boxed()
    }

    fn lead(&self, _: Leading) -> BoxFuture<'static, LeaderEnd> {
        unreachable!("nobody leads without a log")
    }
}

#[tokio::test(start_paused = true)]
async fn log_that_cannot_be_opened_is_tried_again_and_a_broken_one_ends_the_process() {
    let server = LeaseServer::with_free_lease();
    let ports = fixtures::ports(Arc::new(server.clone()), 1);
    let locked = Locked::default();
    let run = run_with(ports, config("rynxs-0"), Arc::new(Silent), pending().boxed(), &locked);
    assert_eq!(run.await, Err(RunError::Halted("cannot be opened".to_owned())));
    assert_eq!(locked.0.load(Ordering::SeqCst), 4);
    assert_eq!(server.requests(), std::collections::BTreeMap::new());
}

/// Takes five minutes to open its log, and cannot in the end.
struct Large;

impl Lead for Large {
    fn open(&self) -> BoxFuture<'static, Result<Arc<dyn LogStore>, Closed>> {
        async {
            tokio::time::sleep(300 * S).await;
            Err(Closed { kind: ErrorKind::Corrupt, message: "read to its end".to_owned() })
        }
        .boxed()
    }

    fn lead(&self, _: Leading) -> BoxFuture<'static, LeaderEnd> {
        unreachable!("nobody leads without a log")
    }
}

/// When the loop was last seen alive, and the longest time in which it was not.
#[derive(Default)]
struct Pulse(Mutex<Option<tokio::time::Instant>>, Mutex<Duration>);

impl Observer for Pulse {
    fn signal(&self, signal: Signal) {
        if signal == Signal::ElectionAlive {
            let before = self.0.lock().unwrap().replace(tokio::time::Instant::now());
            let gap = before.map_or(Duration::ZERO, |before| before.elapsed());
            let mut longest = self.1.lock().unwrap();
            *longest = gap.max(*longest);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn replica_that_opens_a_large_log_counts_as_alive() {
    let pulse = Arc::new(Pulse::default());
    let begun = tokio::time::Instant::now();
    let server = LeaseServer::with_free_lease();
    let ports = fixtures::ports(Arc::new(server), 1);
    let run = run_with(ports, config("rynxs-0"), pulse.clone(), pending().boxed(), &Large);
    assert_eq!(run.await, Err(RunError::Halted("read to its end".to_owned())));
    assert_eq!(begun.elapsed(), 300 * S);
    let last = pulse.0.lock().unwrap().expect("it was alive").elapsed();
    let longest = last.max(*pulse.1.lock().unwrap());
    assert!(longest <= 2 * S, "silent for {longest:?}");
}

#[tokio::test(start_paused = true)]
async fn leader_that_does_not_drain_in_time_is_dropped_and_its_lease_runs_out() {
    let (server, ports) = {
        let server = LeaseServer::with_free_lease();
        let ports = fixtures::ports(Arc::new(server.clone()), 1);
        (server, ports)
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = stopped.map(|_| ()).boxed();
    let run = run_with(ports, config("rynxs-0"), Arc::new(Silent), shutdown, &Stubborn);
    let ask = async {
        tokio::time::sleep(5 * S).await;
        stop.send(()).unwrap();
        tokio::time::Instant::now()
    };
    let (result, asked) = join(run, ask).await;
    assert_eq!(result, Ok(()));
    assert_eq!(asked.elapsed().as_secs(), 16, "shutdownTimeout less two requests");
    assert!(server.holder().starts_with("rynxs-0_"), "not given up: an append may be open");
}

#[tokio::test(start_paused = true)]
async fn single_replica_without_election_leads_and_asks_nobody() {
    let (server, stage) = (LeaseServer::new(), Stage::default());
    let mut alone = Config { identity_prefix: "rynxs-0".to_owned(), ..Config::default() };
    alone.leader_election.enabled = false;
    let mut a = replica_of(&server, &stage, 0, alone);
    *stage.script.lock().unwrap() = vec![LeaderEnd::Undecided];
    live(&mut [&mut a], 10 * S).await;
    assert_eq!(stage.acts(), [led(0), led(0)]);
    assert_eq!(server.requests(), std::collections::BTreeMap::new());
    a.stop();
    assert_eq!(live(&mut [&mut a], S).await, [(0, Ok(()))]);
}
