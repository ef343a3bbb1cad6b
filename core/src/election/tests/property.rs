//! I7 under proptest: with clock rates within ρ never two valid leaders, whatever the network
//! does; that the bound is tight; and that a leader comes back once the faults stop.

use proptest::prelude::*;

use super::model::{Dice, Faults, World};
use super::*;
use crate::config::LeaderElection;

const SECOND: u64 = 1_000_000_000;
const PPM: u64 = 1_000_000;

/// Valid timing of all sizes.
fn timing(dice: &mut Dice) -> LeaderElection {
    let s = Duration::from_secs;
    loop {
        let candidate = LeaderElection {
            lease_duration: s(4 + dice.below(30)),
            renew_deadline: s(2 + dice.below(20)),
            retry_period: s(1 + dice.below(4)),
            request_timeout: s(1 + dice.below(4)),
            stop_grace: s(1 + dice.below(5)),
            clock_rate_error_ppm: u32::try_from(dice.below(200_000)).unwrap(),
            ..LeaderElection::default()
        };
        let config = crate::config::Config {
            leader_election: candidate.clone(),
            ..crate::config::Config::default()
        };
        if config.validate().is_ok() {
            return candidate;
        }
    }
}

/// Clock rates within `[1/(1+ρ), 1+ρ]`, often at the ends.
fn rates(dice: &mut Dice, nodes: u64, error_ppm: u64) -> Vec<u64> {
    let slowest = (PPM * PPM).div_ceil(PPM + error_ppm);
    (0..nodes)
        .map(|_| match dice.below(4) {
            0 => slowest,
            1 => PPM + error_ppm,
            _ => slowest + dice.below(PPM + error_ppm - slowest + 1),
        })
        .collect()
}

fn bad_world(dice: &mut Dice) -> Faults {
    let some = |dice: &mut Dice, most| if dice.chance(50) { dice.below(most) } else { 0 };
    Faults {
        latency: 1 + dice.below(3 * SECOND),
        loss: some(dice, 40),
        repeats: some(dice, 30),
        errors: some(dice, 40),
        watch_latency: 1 + some(dice, 20 * SECOND),
        watch_loss: some(dice, 60),
        upsets: some(dice, 20),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_two_leaders_are_valid_at_once_and_one_comes_back(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let settings = timing(&mut dice);
        let nodes = 2 + dice.below(3);
        let rates = rates(&mut dice, nodes, u64::from(settings.clock_rate_error_ppm));
        let faults = bad_world(&mut dice);
        let lease = u64::try_from(settings.lease_duration.as_nanos()).unwrap();
        let mut world = World::new(dice.roll(), settings, &rates, faults);
        // Twenty leases of trouble, in which now and then a node is cut off.
        for _ in 0..40 {
            let node = usize::try_from(dice.below(nodes)).unwrap();
            if dice.chance(20) && !world.cut.remove(&node) {
                world.cut.insert(node);
            }
            world.run_until(world.now + lease / 2);
            prop_assert!(world.leaders().len() <= 1, "{:?}", world.leaders());
        }
        prop_assert_eq!(world.overlaps(true).len(), 0, "{:#?}", world.overlaps(true));
        // Then all is well, and what was under way arrives.
        let (latency, watch_latency) = (SECOND / 100, SECOND / 10);
        world.faults = Faults { latency, watch_latency, ..Faults::default() };
        world.cut.clear();
        world.run_until(world.now + 60 * SECOND + 6 * lease);
        prop_assert_eq!(world.leaders().len(), 1, "no leader although all is well");
        let leader = world.leaders()[0];
        world.run_until(world.now + 4 * lease);
        prop_assert_eq!(world.leaders(), vec![leader], "leadership moved although all is well");
        prop_assert_eq!(world.overlaps(true).len(), 0);
    }
}

/// Two replicas, the leader's clock slower and the standby's faster than true time by `factor`,
/// the leader cut off right after a renewal, no latency at all: the worst case within the rules.
fn succession_with_clocks_apart(factor: f64) -> World {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "factors between 1 and 2 times a million fit"
    )]
    let rate = |rate: f64| (rate * PPM as f64).round() as u64;
    let rates = [rate(1.0 / factor), rate(factor)];
    let mut world = World::new(7, LeaderElection::default(), &rates, Faults::default());
    world.cut.insert(1);
    world.run_until(30 * SECOND);
    assert_eq!(world.leaders(), [0], "the slow one leads");
    // Let the standby see the Lease, and cut the leader off once it renewed again.
    world.cut.clear();
    let renewed = |world: &World| world.state(0).and_then(State::valid_until);
    let seen = |world: &World| world.state(1).and_then(State::lease).cloned();
    let before = (renewed(&world), seen(&world));
    while renewed(&world) == before.0 || seen(&world) == before.1 {
        world.run_until(world.now + SECOND / 1_000);
    }
    world.cut.insert(0);
    world.run_until(world.now + 60 * SECOND);
    assert_eq!(world.reigns.len(), 2, "the fast one took over");
    world
}

#[test]
fn bound_on_clock_rates_is_tight() {
    // (R + G)·f² < L: 13·f² < 15, so f < 1.0742.
    for (factor, overlaps) in [(1.0, 0), (1.05, 0), (1.074, 0), (1.075, 1), (1.2, 1)] {
        let world = succession_with_clocks_apart(factor);
        assert_eq!(world.overlaps(true).len(), overlaps, "{factor}");
    }
}

#[test]
fn beyond_the_bound_two_replicas_are_valid_at_once() {
    // R·f² < L: 10·f² < 15, so f < 1.2247. This is why the Lease is no fence.
    for (factor, overlaps) in [(1.2, 0), (1.224, 0), (1.226, 1), (1.5, 1)] {
        let world = succession_with_clocks_apart(factor);
        assert_eq!(world.overlaps(false).len(), overlaps, "{factor}");
    }
}

/// The worlds are bad enough to mean something: all that they are meant to do happens.
#[test]
fn bad_worlds_see_many_reigns_of_several_nodes() {
    let mut reigns = 0;
    let mut busy = 0;
    for seed in 0..20 {
        let mut dice = Dice(seed);
        let settings = timing(&mut dice);
        let error_ppm = u64::from(settings.clock_rate_error_ppm);
        let rates = rates(&mut dice, 3, error_ppm);
        let faults = Faults { upsets: 20, ..bad_world(&mut dice) };
        let mut world = World::new(dice.roll(), settings, &rates, faults);
        world.run_until(600 * SECOND);
        let nodes: std::collections::BTreeSet<_> = world.reigns.iter().map(|r| r.node).collect();
        reigns += world.reigns.len();
        busy += usize::from(nodes.len() >= 2);
    }
    assert!(reigns > 100, "{reigns} reigns");
    assert!(busy > 10, "{busy} of 20 worlds saw several leaders");
}
