//! One replica's clock: its own offset and rate over the world's true time.

use std::time::{Duration, SystemTime};

use futures::FutureExt;
use futures::future::BoxFuture;
use madsim::time::{Instant, TimeHandle};
use rynxs_operator::ports::{Clock, Mono, WallMs};

/// A monotonic clock that runs `rate_ppm` millionths fast (or slow), and a wall clock beside it.
pub(crate) struct NodeClock {
    origin: Instant,
    rate_ppm: i64,
    wall_offset_ms: i64,
}

const MILLION: i128 = 1_000_000;

impl NodeClock {
    /// A clock that starts now. `rate_ppm` must stay above -1,000,000: clocks never run backwards.
    pub(crate) fn new(rate_ppm: i64, wall_offset_ms: i64) -> Self {
        assert!(rate_ppm > -1_000_000, "a clock with rate {rate_ppm} ppm would stand or run back");
        Self { origin: Instant::now(), rate_ppm, wall_offset_ms }
    }

    /// True time at which this clock shows `local` nanoseconds: the inverse of [`Clock::now`],
    /// rounded up so that a sleep never ends early.
    fn true_instant(&self, local: u64) -> Instant {
        let rate = MILLION + i128::from(self.rate_ppm);
        let true_ns = (i128::from(local) * MILLION + rate - 1) / rate;
        self.origin + Duration::from_nanos(u64::try_from(true_ns).unwrap_or(u64::MAX / 4))
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Mono {
        let true_ns =
            i128::try_from(self.origin.elapsed().as_nanos()).unwrap_or(i128::MAX / MILLION);
        let local = true_ns * (MILLION + i128::from(self.rate_ppm)) / MILLION;
        Mono(u64::try_from(local).unwrap_or(u64::MAX))
    }

    fn wall(&self) -> WallMs {
        WallMs(wall_ms().saturating_add_signed(self.wall_offset_ms))
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        madsim::time::sleep_until(self.true_instant(deadline.0)).boxed()
    }
}

/// The world's true wall time, milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let since = TimeHandle::current().now_time().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
