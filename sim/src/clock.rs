//! One replica's clocks: piecewise linear functions of the world's true time.
//!
//! Local time is what the last piece says: `local_at + (true − true_at) × rate`. A sleep inverts
//! the map; when the map changes while somebody sleeps, the sleep is armed anew.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{BoxFuture, select};
use madsim::time::{Instant, TimeHandle};
use rynxs_operator::ports::{Clock, Mono, WallMs};

/// Millionths of a whole.
const MILLION: i128 = 1_000_000;
/// What a local monotonic clock shows when the run starts: zero would stand for "never".
const LOCAL_START_NS: i128 = 1_000_000_000;

/// A machine's clocks; clones are the same ones. They go on while processes come and go.
#[derive(Clone)]
pub(crate) struct NodeClock(Arc<Mutex<State>>);

struct State {
    origin: Instant,
    piece: Piece,
    wall_offset_ms: i64,
    /// Whether the map may still change: then sleepers must hear of it.
    adjustable: bool,
    sleepers: Vec<oneshot::Sender<()>>,
}

/// From `true_at_ns` on, until the next one.
#[derive(Clone, Copy)]
struct Piece {
    true_at_ns: i128,
    local_at_ns: i128,
    rate_ppm: i128,
}

impl Piece {
    fn local(self, true_ns: i128) -> i128 {
        self.local_at_ns + (true_ns - self.true_at_ns) * (MILLION + self.rate_ppm) / MILLION
    }

    /// True time at which the clock shows `local_ns`, rounded up so that a sleep never ends early.
    fn true_time(self, local_ns: i128) -> i128 {
        let rate = MILLION + self.rate_ppm;
        let ahead = (local_ns - self.local_at_ns).max(0);
        self.true_at_ns + (ahead * MILLION + rate - 1) / rate
    }
}

impl NodeClock {
    /// Clocks that run from the start of the world.
    pub(crate) fn new(rate_ppm: i64, wall_offset_ms: i64, adjustable: bool) -> Self {
        let rate_ppm = i128::from(rate_ppm);
        let piece = Piece { true_at_ns: 0, local_at_ns: LOCAL_START_NS, rate_ppm };
        let origin = TimeHandle::current().now_instant();
        let sleepers = Vec::new();
        Self(Arc::new(Mutex::new(State { origin, piece, wall_offset_ms, adjustable, sleepers })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds a clock")
    }

    /// From now on the monotonic clock runs at this rate.
    pub(crate) fn set_rate(&self, rate_ppm: i64) {
        self.change(|piece| piece.rate_ppm = i128::from(rate_ppm));
    }

    /// How much faster than true time it runs now, millionths.
    pub(crate) fn rate_ppm(&self) -> i64 {
        i64::try_from(self.lock().piece.rate_ppm).expect("was set from an i64")
    }

    /// The monotonic clock jumps; never back, as none does.
    pub(crate) fn jump_mono(&self, by: Duration) {
        let by_ns = i128::try_from(by.as_nanos()).unwrap_or(i128::MAX / 4);
        self.change(|piece| piece.local_at_ns += by_ns);
    }

    /// The wall clock jumps.
    pub(crate) fn jump_wall(&self, by_ms: i64) {
        self.lock().wall_offset_ms += by_ms;
    }

    fn change(&self, change: impl FnOnce(&mut Piece)) {
        let mut state = self.lock();
        let true_ns = state.true_ns();
        let mut piece = state.piece;
        piece.local_at_ns = piece.local(true_ns);
        piece.true_at_ns = true_ns;
        change(&mut piece);
        state.piece = piece;
        let sleepers = std::mem::take(&mut state.sleepers);
        drop(state);
        for sleeper in sleepers {
            // Whoever gave up sleeping need not hear of it.
            let _ = sleeper.send(());
        }
    }

    /// True nanoseconds since the start at which this clock will show `local`, as it runs now.
    pub(crate) fn true_ns_of(&self, local: Mono) -> u64 {
        let true_ns = self.lock().piece.true_time(i128::from(local.0));
        u64::try_from(true_ns).unwrap_or(u64::MAX)
    }
}

impl State {
    fn true_ns(&self) -> i128 {
        i128::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i128::MAX / MILLION)
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Mono {
        let state = self.lock();
        Mono(u64::try_from(state.piece.local(state.true_ns())).unwrap_or(u64::MAX))
    }

    fn wall(&self) -> WallMs {
        WallMs(wall_ms().saturating_add_signed(self.lock().wall_offset_ms))
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        async move {
            loop {
                let (until, changed) = {
                    let mut state = clock.lock();
                    let true_ns = state.piece.true_time(i128::from(deadline.0));
                    // Beyond any run: as good as never, and no overflow.
                    let true_ns = u64::try_from(true_ns).unwrap_or(u64::MAX).min(u64::MAX >> 4);
                    let until = state.origin + Duration::from_nanos(true_ns);
                    let changed = state.adjustable.then(|| {
                        state.sleepers.retain(|sleeper| !sleeper.is_canceled());
                        let (changed, heard) = oneshot::channel();
                        state.sleepers.push(changed);
                        heard
                    });
                    (until, changed)
                };
                let sleep = madsim::time::sleep_until(until);
                match changed {
                    None => return sleep.await,
                    Some(changed) => drop(select(sleep, changed).await),
                }
                if clock.now() >= deadline {
                    return;
                }
            }
        }
        .boxed()
    }
}

/// The world's true wall time, milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let since = TimeHandle::current().now_time().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use madsim::runtime::Runtime;

    use super::*;

    fn true_time() -> Instant {
        TimeHandle::current().now_instant()
    }

    fn in_world<F: Future>(test: impl FnOnce() -> F) -> F::Output {
        Runtime::with_seed_and_config(1, madsim::Config::default()).block_on(async { test().await })
    }

    #[test]
    fn a_sleep_ends_when_the_local_clock_says_so_and_not_before() {
        in_world(|| async {
            for rate_ppm in [-500_000, -50_000, 0, 50_000, 1_000_000] {
                let clock = NodeClock::new(rate_ppm, 0, false);
                let (start, deadline) = (true_time(), clock.now() + Duration::from_secs(10));
                clock.sleep_until(deadline).await;
                assert!(clock.now() >= deadline, "{rate_ppm} ppm");
                let expected = 10.0 / (1.0 + rate_ppm as f64 / 1e6);
                let took = (true_time() - start).as_secs_f64();
                assert!((took - expected).abs() < 0.01, "{rate_ppm} ppm: {took} s");
            }
        });
    }

    #[test]
    fn a_change_of_rate_rearms_who_sleeps() {
        in_world(|| async {
            let clock = NodeClock::new(0, 0, true);
            let (start, deadline) = (true_time(), clock.now() + Duration::from_secs(10));
            let sleep = madsim::task::spawn(clock.sleep_until(deadline));
            madsim::time::sleep(Duration::from_secs(2)).await;
            clock.set_rate(1_000_000);
            sleep.await.expect("nobody kills the sleeper");
            let took = (true_time() - start).as_secs_f64();
            assert!((took - 6.0).abs() < 0.01, "2 s at rate 1 and 4 s at rate 2, not {took} s");
            clock.jump_mono(Duration::from_secs(5));
            assert!(clock.now() >= deadline + Duration::from_secs(5));
        });
    }
}
