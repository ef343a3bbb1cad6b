//! Time as Linux keeps it.
//!
//! `CLOCK_BOOTTIME`, not `CLOCK_MONOTONIC`: the latter stands still while the machine is
//! suspended, so a replica that slept through its lease would believe in it afterwards (I7).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt;
use futures::future::BoxFuture;
use nix::time::{ClockId, clock_gettime};
use rynxs_operator::ports::{Clock, Mono, WallMs};

/// Timers of the runtime stand still during suspend; no sleep lasts longer than this without a
/// look at the boot-time clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootClock;

impl BootClock {
    fn read() -> Mono {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME)
            .expect("Linux has had CLOCK_BOOTTIME since 2.6.39 and the pointer is ours");
        let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
        let nanos = u64::try_from(now.tv_nsec()).unwrap_or(0);
        Mono(seconds * 1_000_000_000 + nanos)
    }
}

impl Clock for BootClock {
    fn now(&self) -> Mono {
        Self::read()
    }

    fn wall(&self) -> WallMs {
        // Before 1970 is 1970: the wall clock is informative only.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn sleep_until(&self, deadline: Mono) -> BoxFuture<'static, ()> {
        async move {
            loop {
                let left = deadline - Self::read();
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleep_ends_at_its_deadline_and_not_before() {
        let clock = BootClock;
        let deadline = clock.now() + Duration::from_millis(30);
        clock.sleep_until(deadline).await;
        assert!(clock.now() >= deadline);
    }

    #[tokio::test]
    async fn a_deadline_in_the_past_is_over_at_once() {
        let clock = BootClock;
        let before = clock.now();
        clock.sleep_until(Mono(0)).await;
        assert!(clock.now() - before < Duration::from_secs(5));
    }
}
