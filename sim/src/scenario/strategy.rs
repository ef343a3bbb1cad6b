//! Scenarios drawn at random: proptest strategies over the data, so that what they can say is in
//! one place. Each run has a *swarm* mask: most kinds of fault are off in most runs, because a run
//! in which everything is broken finds only what breaks first.

mod plots;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{
    AgentShape, ApiFault, Child, Clock, Do, Meddling, S3Fault, Scenario, Server, SessionShape,
    Settings, Step, StoreKind, Way, Who,
};

/// How much happens in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Agents that are wanted from the beginning on, at least 1: a run in which nothing is wanted
    /// shows nothing.
    pub team: u32,
    /// Most Agents that users have to do with, by name.
    pub agents: u32,
    /// Most steps of users.
    pub edits: usize,
    /// Most faults.
    pub faults: usize,
    /// Until the heal, milliseconds.
    pub horizon_ms: u64,
    /// What there is more of.
    pub bias: Bias,
}

/// What scenarios are drawn more often than in the usual mix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bias {
    /// Nothing.
    #[default]
    Mix,
    /// The log is in a file, always.
    File,
    /// Users start and stop sessions, mostly.
    Sessions,
    /// Two replicas are at it at once, mostly: clocks beyond the bound, edits of the Lease.
    Rivals,
    /// Somebody with the bucket's keys changes the log.
    Tamper,
}

impl Default for Size {
    /// A few minutes of a small team's day, compressed.
    fn default() -> Self {
        Self { team: 1, agents: 20, edits: 40, faults: 12, horizon_ms: 240_000, bias: Bias::Mix }
    }
}

/// Draws the scenario that belongs to a seed.
///
/// # Panics
/// Never: the strategies reject nothing.
#[must_use]
pub fn draw(seed: u64, size: Size) -> Scenario {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let tree = scenarios(size).new_tree(&mut runner);
    tree.expect("the strategies reject nothing").current()
}

/// Every scenario of this size.
pub fn scenarios(size: Size) -> impl Strategy<Value = Scenario> {
    let files = match size.bias {
        Bias::File => 1.0,
        Bias::Mix | Bias::Sessions => 0.1,
        // A file has one writer, and nobody else has its keys.
        Bias::Rivals | Bias::Tamper => 0.0,
    };
    let topology =
        (1_u32..=5, 1_u32..=3, prop::bool::weighted(files), any::<[u32; 2]>(), settings());
    topology.prop_flat_map(move |(replicas, api_views, file, mask, settings)| {
        // A single writer by nature.
        let replicas = if file { 1 } else { replicas };
        let store = if file { StoreKind::File } else { StoreKind::S3 };
        let clocks = vec(clock(), 0..=replicas as usize);
        let latency = (1_u64..5, 0_u64..40);
        let moments = vec(0..size.horizon_ms, 1..=4);
        let faults = vec((fault(mask, replicas, api_views, file, size), close()), 0..=size.faults);
        let users = vec((user(size), close()), 1..=size.edits);
        let steps = (moments, users, faults).prop_map(move |(moments, users, faults)| {
            let users = users.into_iter().map(|(step, close)| (vec![step], close));
            let all = users.chain(faults);
            all.flat_map(|(steps, close)| gather(steps, close, &moments, size)).collect::<Vec<_>>()
        });
        (clocks, latency, steps).prop_map(move |(clocks, (least, more), drawn)| {
            let mut steps: Vec<Step> = (0..size.team.max(1)).map(member).collect();
            steps.extend(drawn);
            steps.sort_by_key(|step| step.at_ms);
            Scenario {
                replicas,
                api_views,
                store,
                settings: settings.clone(),
                clocks,
                latency_ms: (least, least + more),
                steps,
                heal_at_ms: size.horizon_ms,
                core: Vec::new(),
                unsteady: false,
            }
        })
    })
}

/// One Agent of the team; a tenth of a second after the one before.
fn member(index: u32) -> Step {
    let name = format!("agent-{index}");
    let what = Do::ApplyAgent { name, agent: AgentShape::default() };
    Step { at_ms: 100 * u64::from(index), what }
}

/// How far behind one of the run's moments a step comes, if it is not by itself: what breaks while
/// something is under way finds more than what breaks in the quiet.
fn close() -> impl Strategy<Value = Option<(prop::sample::Index, u64)>> {
    let after = prop_oneof![0_u64..200, 0_u64..2_000, 10_000_u64..25_000];
    option::weighted(0.6, (any::<prop::sample::Index>(), after))
}

/// Moves what belongs together behind its moment, and never beyond the horizon as a whole.
fn gather(
    mut steps: Vec<Step>,
    close: Option<(prop::sample::Index, u64)>,
    moments: &[u64],
    size: Size,
) -> Vec<Step> {
    if let (Some((which, after)), Some(first)) = (close, steps.iter().map(|step| step.at_ms).min())
    {
        let begins = (which.get(moments) + after).min(size.horizon_ms - 1);
        for step in &mut steps {
            step.at_ms = step.at_ms - first + begins;
        }
    }
    steps
}

fn settings() -> impl Strategy<Value = Settings> {
    (option::weighted(0.2, 1_u32..8), option::weighted(0.2, 1_u32..4)).prop_map(
        |(max_events, concurrency)| Settings { max_events, concurrency, ..Settings::default() },
    )
}

/// Clocks within the default bound of 5 %.
fn clock() -> impl Strategy<Value = Clock> {
    (-47_000_i64..=50_000, -5_000_i64..5_000)
        .prop_map(|(rate_ppm, wall_offset_ms)| Clock { rate_ppm, wall_offset_ms })
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

fn name(prefix: &'static str, most: u32) -> impl Strategy<Value = String> {
    (0..most.max(1)).prop_map(move |index| format!("{prefix}-{index}"))
}

fn shape() -> impl Strategy<Value = AgentShape> {
    let flags = (
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.05),
    );
    (flags, 0_u32..6, 0_u32..3, 0_u32..3, 0_u32..3).prop_map(
        |((suspended, retain, odd_cpu, invalid), value, more_gi, egress, rank)| AgentShape {
            suspended,
            value,
            more_gi,
            retain,
            egress,
            rank,
            manages: if rank == 1 { vec!["agent-0".to_owned()] } else { Vec::new() },
            odd_cpu,
            invalid,
        },
    )
}

fn session(agents: u32) -> impl Strategy<Value = SessionShape> {
    let times = (prop_oneof![Just(0_u32), 5_u32..60], prop_oneof![Just(0_u32), 1_u32..30]);
    let mode = prop_oneof![6 => Just(0_u32), 1 => Just(1_u32), 1 => Just(2_u32)];
    (name("agent", agents), times, any::<bool>(), mode).prop_map(
        |(agent, (max_s, ttl_s), delete_when_over, mode)| SessionShape {
            agent,
            max_s,
            ttl_s,
            delete_when_over,
            mode,
        },
    )
}

fn child() -> impl Strategy<Value = Child> {
    prop_oneof![
        Just(Child::Spec),
        Just(Child::Workspace),
        Just(Child::Runtime),
        Just(Child::Network),
    ]
}

fn meddling() -> impl Strategy<Value = Meddling> {
    prop_oneof![
        Just(Meddling::Label),
        Just(Meddling::Edit),
        Just(Meddling::Add),
        Just(Meddling::Delete),
        Just(Meddling::Stamp)
    ]
}

/// What a user does, and when.
fn user(size: Size) -> impl Strategy<Value = Step> {
    let agents = size.agents;
    let agent = move || name("agent", agents);
    let sessions = if size.bias == Bias::Sessions { 20 } else { 3 };
    let apply = |name: String, agent: AgentShape| -> Do { Do::ApplyAgent { name, agent } };
    let what = prop_oneof![
        8 => (agent(), shape()).prop_map(move |(name, agent)| apply(name, agent)),
        1 => agent().prop_map(|name| Do::DeleteAgent { name }),
        1 => agent().prop_map(|name| Do::OrphanAgent { name }),
        1 => (agent(), shape()).prop_map(|(name, agent)| Do::RecreateAgent { name, agent }),
        sessions => (name("run", 8), session(agents))
            .prop_map(|(name, session)| Do::ApplySession { name, session }),
        1 => name("run", 8).prop_map(|name| Do::DeleteSession { name }),
        2 => (agent(), child(), meddling())
            .prop_map(|(agent, child, how)| Do::Meddle { agent, child, how }),
        1 => name("run", 8).prop_map(|agent| Do::Meddle {
            agent,
            child: Child::Run,
            how: Meddling::Delete,
        }),
        1 => (agent(), child(), 1_000_u64..60_000)
            .prop_map(|(agent, child, for_ms)| Do::Squat { agent, child, for_ms }),
        1 => (name("stray", 2), child()).prop_map(|(agent, child)| Do::Stray { agent, child }),
    ];
    (0..size.horizon_ms, what).prop_map(|(at_ms, what)| Step { at_ms, what })
}

fn api_fault() -> impl Strategy<Value = ApiFault> {
    prop_oneof![
        Just(ApiFault::TooManyRequests),
        Just(ApiFault::FailsBefore),
        Just(ApiFault::FailsAfter),
        Just(ApiFault::Unavailable),
        Just(ApiFault::TimesOutAfter),
        Just(ApiFault::DeniesWrites),
        Just(ApiFault::LeaseConflicts),
    ]
}

fn s3_fault() -> impl Strategy<Value = S3Fault> {
    prop_oneof![
        Just(S3Fault::SlowDown),
        Just(S3Fault::FailsBefore),
        Just(S3Fault::FailsAfter),
        Just(S3Fault::Conflict),
        Just(S3Fault::RequestTimeout),
        Just(S3Fault::ExpiredToken),
        Just(S3Fault::ResetAfter),
    ]
}

/// A fault that the mask lets happen, or several that only together make a plot; and when.
fn fault(
    mask: [u32; 2],
    replicas: u32,
    views: u32,
    file: bool,
    size: Size,
) -> impl Strategy<Value = Vec<Step>> {
    let kinds = kinds(replicas, views, file);
    // Each kind is on in a quarter of the runs.
    let on: Vec<_> = kinds
        .into_iter()
        .enumerate()
        .filter(|(index, _)| (mask[0] & mask[1]) >> index & 1 == 1)
        .map(|(_, kind)| kind)
        .collect();
    let single = if on.is_empty() {
        who(replicas).prop_map(|who| Do::Crash { who, back_after_ms: 5_000 }).boxed()
    } else {
        prop::strategy::Union::new(on).boxed()
    };
    let single = single.prop_map(|what| vec![Step { at_ms: 0, what }]);
    let (singles, plots) = match size.bias {
        Bias::Rivals | Bias::Tamper => (1, 3),
        _ if file => (2, 1),
        Bias::Mix | Bias::File | Bias::Sessions => (5, 1),
    };
    let what = prop_oneof![singles => single, plots => plots::plot(file, size)];
    (1_000..size.horizon_ms, what).prop_map(|(at_ms, steps)| {
        let later = |step: Step| Step { at_ms: step.at_ms + at_ms, ..step };
        steps.into_iter().map(later).collect()
    })
}

/// Spans in which something is broken, milliseconds: from a hiccup to several leases.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![500_u64..5_000, 5_000_u64..60_000]
}

fn per_mille() -> impl Strategy<Value = u32> {
    prop_oneof![1_u32..100, 100_u32..1_000]
}

/// All kinds of faults that break nothing for good.
fn kinds(replicas: u32, views: u32, file: bool) -> Vec<BoxedStrategy<Do>> {
    let who = || who(replicas);
    let mut kinds = vec![
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
    ];
    kinds.extend(network_kinds(replicas));
    kinds.extend(api_kinds(replicas, views));
    if file {
        kinds.push((0_u32..3).prop_map(|count| Do::FailSyncs { count }).boxed());
        kinds.push(
            (0_u64..4_000, span())
                .prop_map(|(free_bytes, for_ms)| Do::FillDisk { free_bytes, for_ms })
                .boxed(),
        );
        kinds.push(
            (any::<bool>(), span())
                .prop_map(|(torn, back_after_ms)| Do::PowerLoss { torn, back_after_ms })
                .boxed(),
        );
    } else {
        kinds.push(
            (s3_fault(), per_mille(), span())
                .prop_map(|(fault, per_mille, for_ms)| Do::S3Fault { fault, per_mille, for_ms })
                .boxed(),
        );
    }
    kinds
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
        (who(), server(), span())
            .prop_map(|(who, server, for_ms)| Do::HoldWrite { who, server, for_ms })
            .boxed(),
        (who(), span()).prop_map(|(who, for_ms)| Do::ReplayWrite { who, for_ms }).boxed(),
        who().prop_map(|who| Do::BreakWatches { who }).boxed(),
        (who(), per_mille(), span())
            .prop_map(|(who, per_mille, for_ms)| Do::DuplicateEvents { who, per_mille, for_ms })
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
        (api_fault(), per_mille(), span())
            .prop_map(|(fault, per_mille, for_ms)| Do::ApiFault { fault, per_mille, for_ms })
            .boxed(),
        (0..views, span()).prop_map(|(view, for_ms)| Do::FreezeView { view, for_ms }).boxed(),
        (who(), 0..views).prop_map(|(who, view)| Do::MoveToView { who, view }).boxed(),
        span().prop_map(|for_ms| Do::StallControllers { for_ms }).boxed(),
        Just(Do::Compact {}).boxed(),
        Just(Do::DeleteLease {}).boxed(),
        prop_oneof![Just(String::new()), Just("somebody".to_owned())]
            .prop_map(|holder| Do::EditLease { holder })
            .boxed(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same_scenario_and_each_can_be_run() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let scenario = draw(seed, Size::default());
            assert_eq!(scenario, draw(seed, Size::default()));
            scenario.check().expect("drawn scenarios can be run");
            let faults = scenario.steps.iter().filter(|step| !crate::world::is_users(&step.what));
            kinds.extend(faults.map(|step| crate::fault::name(&step.what)));
        }
        // All but those that break something for good, and the rates beyond the bound.
        let never: Vec<_> = crate::fault::TABLE
            .iter()
            .map(|row| row.fault)
            .filter(|fault| !kinds.contains(fault))
            .collect();
        let expected = ["clock-rate-beyond", "s3-ignores-condition", "bit-rot"];
        let for_good = |fault: &&str| expected.contains(fault) || fault.starts_with("tamper-");
        assert!(never.iter().all(for_good), "never drawn: {never:?}");
    }
}
