//! Single faults, each behind a switch of its own that a run's swarm sets.

use proptest::prelude::*;

use super::plots;
use super::{Bias, Size};
use crate::scenario::{ApiFault, Do, S3Fault, Server, Step, Tampering, Way, Who};

/// Random bits: a switch is on where they say so.
pub(super) type Swarm = [u64; 3];

/// Where faults happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) replicas: u32,
    pub(super) api_views: u32,
    /// Whether the log is in a file.
    pub(super) file: bool,
}

/// A kind of fault, and how often it is drawn among those that are on.
type Kind = (u32, BoxedStrategy<Do>);

/// Nothing is promised of a log, or of a clock, that somebody broke for good: such faults are in
/// one run of so many only, or the other oracles would have little to say.
const FOR_GOOD_IN: u64 = 16;

/// A plot is a fault of its own, with a switch of its own, and it is made of faults whose switches
/// may be off. In one run of so many there is none, so that there what is off is off altogether.
const NO_PLOT_IN: u64 = 4;

/// A fault whose switch is on, or several that only together make a plot; and when.
pub(super) fn fault(swarm: Swarm, place: Place, size: Size) -> impl Strategy<Value = Vec<Step>> {
    let bit = |word: u64, index: usize| word >> index & 1 == 1;
    // On in a quarter of the runs.
    let quarter = |index: &usize| bit(swarm[0] & swarm[1], *index);
    let mut on: Vec<Kind> = switched(kinds(place), quarter);
    if swarm[2] >> 32 & (FOR_GOOD_IN - 1) == 0 {
        // On in half of those.
        on.extend(switched(for_good(place), |index| bit(swarm[0], 63 - index)));
    }
    let single = if on.is_empty() {
        let crash = |who| Do::Crash { who, back_after_ms: 5_000 };
        who(place.replicas).prop_map(crash).boxed()
    } else {
        prop::strategy::Union::new_weighted(on).boxed()
    };
    let single = single.prop_map(|what| vec![Step { at_ms: 0, what }]).boxed();
    // Of few plots all are on; of many, half.
    let plots = plots::plots(place.file, size);
    let few = plots.len() < 5;
    let none = !few && swarm[2] >> 36 & (NO_PLOT_IN - 1) == 0;
    let plots = switched(plots, |index| few || !none && bit(swarm[2], *index));
    let (singles, plotted) = match size.bias {
        _ if plots.is_empty() => (1, 0),
        Bias::Rivals | Bias::Tamper => (1, 3),
        _ if place.file => (2, 1),
        Bias::Mix | Bias::File | Bias::Sessions => (5, 1),
    };
    let what = match plotted {
        0 => single,
        _ => {
            let plot = prop::strategy::Union::new_weighted(plots);
            prop_oneof![singles => single, plotted => plot].boxed()
        }
    };
    (1_000..size.horizon_ms, what).prop_map(|(at_ms, steps)| {
        let later = |step: Step| Step { at_ms: step.at_ms + at_ms, ..step };
        steps.into_iter().map(later).collect()
    })
}

pub(super) fn switched<T>(all: Vec<T>, is_on: impl Fn(&usize) -> bool) -> Vec<T> {
    let numbered = all.into_iter().enumerate();
    numbered.filter(|(index, _)| is_on(index)).map(|(_, one)| one).collect()
}

/// Whom a fault is about: mostly the leader, who has something to lose.
fn who(replicas: u32) -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => Just(Who::Leader),
        1 => Just(Who::Standby),
        2 => (0..replicas).prop_map(Who::Replica),
        1 => Just(Who::All),
    ]
}

fn server() -> impl Strategy<Value = Server> {
    prop_oneof![Just(Server::Any), Just(Server::Api), Just(Server::S3)]
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::Both), Just(Way::Requests), Just(Way::Answers)]
}

/// Spans in which something is broken, milliseconds: from a hiccup to several leases.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![500_u64..5_000, 5_000_u64..60_000]
}

fn per_mille() -> impl Strategy<Value = u32> {
    prop_oneof![1_u32..100, 100_u32..1_000]
}

/// Of the faults that break nothing for good, those of one server's answers are so many that each
/// is drawn less often.
const USUAL: u32 = 4;

/// All kinds of faults that break nothing for good.
fn kinds(place: Place) -> Vec<Kind> {
    let usual = |what| (USUAL, what);
    let mut kinds: Vec<Kind> = process_kinds(place.replicas).into_iter().map(usual).collect();
    kinds.extend(network_kinds(place.replicas).into_iter().map(usual));
    kinds.extend(api_kinds(place.replicas, place.api_views).into_iter().map(usual));
    kinds.extend(api_faults().into_iter().map(|what| (1, what)));
    if place.file {
        kinds.extend(disk_kinds().into_iter().map(usual));
    } else {
        kinds.extend(s3_faults().into_iter().map(|what| (1, what)));
    }
    kinds
}

fn process_kinds(replicas: u32) -> Vec<BoxedStrategy<Do>> {
    let who = || who(replicas);
    vec![
        (who(), span()).prop_map(|(who, back_after_ms)| Do::Crash { who, back_after_ms }).boxed(),
        (who(), 1_u32..40, any::<bool>(), span())
            .prop_map(|(who, nth, applied, back_after_ms)| Do::CrashAtWrite {
                who,
                nth,
                applied,
                back_after_ms,
            })
            .boxed(),
        (who(), 1_u32..40).prop_map(|(who, nth)| Do::LoseAnswer { who, nth }).boxed(),
        (who(), 1_u32..200, span())
            .prop_map(|(who, nth, back_after_ms)| Do::CrashAtAwait { who, nth, back_after_ms })
            .boxed(),
        (who(), span()).prop_map(|(who, back_after_ms)| Do::Stop { who, back_after_ms }).boxed(),
        (1_u32..4, 4_000_u64..30_000)
            .prop_map(|(image, pause_ms)| Do::Upgrade { image, pause_ms })
            .boxed(),
        (who(), span()).prop_map(|(who, for_ms)| Do::Freeze { who, for_ms }).boxed(),
    ]
}

fn network_kinds(replicas: u32) -> Vec<BoxedStrategy<Do>> {
    let who = || who(replicas);
    vec![
        (who(), server(), way(), span())
            .prop_map(|(who, server, way, for_ms)| Do::Partition { who, server, way, for_ms })
            .boxed(),
        (who(), server(), way(), per_mille(), span())
            .prop_map(|(who, server, way, per_mille, for_ms)| Do::Lose {
                who,
                server,
                way,
                per_mille,
                for_ms,
            })
            .boxed(),
        (who(), per_mille(), span())
            .prop_map(|(who, per_mille, for_ms)| Do::Duplicate { who, per_mille, for_ms })
            .boxed(),
        (who(), server(), 10_u64..3_000, span())
            .prop_map(|(who, server, more_ms, for_ms)| Do::Slow { who, server, more_ms, for_ms })
            .boxed(),
        (who(), server(), 10_u64..3_000, span())
            .prop_map(|(who, server, up_to_ms, for_ms)| Do::Reorder {
                who,
                server,
                up_to_ms,
                for_ms,
            })
            .boxed(),
        (who(), server(), span())
            .prop_map(|(who, server, for_ms)| Do::HoldWrite { who, server, for_ms })
            .boxed(),
        (who(), span()).prop_map(|(who, for_ms)| Do::ReplayWrite { who, for_ms }).boxed(),
        who().prop_map(|who| Do::BreakWatches { who }).boxed(),
        (who(), per_mille(), span())
            .prop_map(|(who, per_mille, for_ms)| Do::DuplicateEvents { who, per_mille, for_ms })
            .boxed(),
        (who(), per_mille(), span())
            .prop_map(|(who, per_mille, for_ms)| Do::CoalesceEvents { who, per_mille, for_ms })
            .boxed(),
        (who(), per_mille(), span())
            .prop_map(|(who, per_mille, for_ms)| Do::DropEvents { who, per_mille, for_ms })
            .boxed(),
        // Within the bound that the default settings allow for.
        (who(), -47_000_i64..=50_000)
            .prop_map(|(who, rate_ppm)| Do::ClockRate { who, rate_ppm })
            .boxed(),
        (who(), 0_i64..60_000, -60_000_i64..60_000)
            .prop_map(|(who, mono_ms, wall_ms)| Do::ClockJump { who, mono_ms, wall_ms })
            .boxed(),
    ]
}

fn api_kinds(replicas: u32, views: u32) -> Vec<BoxedStrategy<Do>> {
    let who = || who(replicas);
    vec![
        (0..views, span()).prop_map(|(view, for_ms)| Do::FreezeView { view, for_ms }).boxed(),
        (0..views, 50_u64..5_000, span())
            .prop_map(|(view, lag_ms, for_ms)| Do::LagView { view, lag_ms, for_ms })
            .boxed(),
        (who(), 0..views).prop_map(|(who, view)| Do::MoveToView { who, view }).boxed(),
        span().prop_map(|for_ms| Do::StallControllers { for_ms }).boxed(),
        Just(Do::Compact {}).boxed(),
        Just(Do::DeleteLease {}).boxed(),
        prop_oneof![Just(String::new()), Just("somebody".to_owned())]
            .prop_map(|holder| Do::EditLease { holder })
            .boxed(),
    ]
}

/// What a server's answers may meet, a kind each.
fn answers<F: Copy + 'static>(all: [F; 7], what: fn(F, u32, u64) -> Do) -> Vec<BoxedStrategy<Do>> {
    let one = |fault| {
        let times = (per_mille(), span());
        times.prop_map(move |(per_mille, for_ms)| what(fault, per_mille, for_ms)).boxed()
    };
    all.into_iter().map(one).collect()
}

fn api_faults() -> Vec<BoxedStrategy<Do>> {
    let all = [
        ApiFault::TooManyRequests,
        ApiFault::FailsBefore,
        ApiFault::FailsAfter,
        ApiFault::Unavailable,
        ApiFault::TimesOutAfter,
        ApiFault::DeniesWrites,
        ApiFault::LeaseConflicts,
    ];
    answers(all, |fault, per_mille, for_ms| Do::ApiFault { fault, per_mille, for_ms })
}

fn s3_faults() -> Vec<BoxedStrategy<Do>> {
    let all = [
        S3Fault::SlowDown,
        S3Fault::FailsBefore,
        S3Fault::FailsAfter,
        S3Fault::Conflict,
        S3Fault::RequestTimeout,
        S3Fault::ExpiredToken,
        S3Fault::ResetAfter,
    ];
    answers(all, |fault, per_mille, for_ms| Do::S3Fault { fault, per_mille, for_ms })
}

fn disk_kinds() -> Vec<BoxedStrategy<Do>> {
    vec![
        (1_u32..4).prop_map(|count| Do::FailSyncs { count }).boxed(),
        (0_u64..4_000, span())
            .prop_map(|(free_bytes, for_ms)| Do::FillDisk { free_bytes, for_ms })
            .boxed(),
        (any::<bool>(), span())
            .prop_map(|(torn, back_after_ms)| Do::PowerLoss { torn, back_after_ms })
            .boxed(),
    ]
}

/// Faults that no heal mends, and clocks that no settings allow for.
fn for_good(place: Place) -> Vec<Kind> {
    let rate = prop_oneof![-500_000_i64..-60_000, 60_000_i64..1_000_000];
    let clock = (who(place.replicas), rate);
    let clock = clock.prop_map(|(who, rate_ppm)| Do::ClockRate { who, rate_ppm }).boxed();
    let mut kinds = vec![(2, clock)];
    if place.file {
        let rot = span().prop_map(|back_after_ms| Do::BitRot { back_after_ms }).boxed();
        kinds.push((2, rot));
    } else {
        kinds.push((2, Just(Do::IgnoreCondition {}).boxed()));
        kinds.extend(Tampering::ALL.map(|how| (1, Just(Do::Tamper { how }).boxed())));
    }
    kinds
}
