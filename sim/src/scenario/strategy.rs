//! Scenarios drawn at random: proptest strategies over the data, so that what they can say is in
//! one place. Each run has a *swarm*: every fault and every plot is off in most runs, by itself,
//! and in a quarter of the usual ones there is no plot at all, because a run in which everything is
//! broken finds only what breaks first (Groce et al., *Swarm Testing*, ISSTA 2012).

mod faults;
mod plots;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{
    AgentShape, Child, Clock, Do, Meddling, Scenario, SessionShape, Settings, Step, StoreKind, Who,
};
use faults::{Swarm, fault};

/// How much happens in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How many replicas; if not given, 1 to 5, or the one that a log in a file may have.
    pub replicas: Option<u32>,
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
        Self {
            replicas: None,
            team: 20,
            agents: 20,
            edits: 40,
            faults: 12,
            horizon_ms: 240_000,
            bias: Bias::Mix,
        }
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
        _ if size.replicas.is_some_and(|replicas| replicas > 1) => 0.0,
        Bias::File => 1.0,
        Bias::Mix | Bias::Sessions => 0.1,
        // A file has one writer, and nobody else has its keys.
        Bias::Rivals | Bias::Tamper => 0.0,
    };
    let replicas = size.replicas.map_or(1..=5, |replicas| replicas..=replicas);
    let topology = (replicas, 1_u32..=3, prop::bool::weighted(files), any::<Swarm>(), settings());
    topology.prop_flat_map(move |(replicas, api_views, file, swarm, settings)| {
        // A single writer by nature.
        let replicas = if file { 1 } else { replicas };
        let store = if file { StoreKind::File } else { StoreKind::S3 };
        let clocks = vec(clock(), 0..=replicas as usize);
        let latency = (1_u64..5, 0_u64..40);
        let moments = vec(0..size.horizon_ms, 1..=4);
        let faults = fault(swarm, faults::Place { replicas, api_views, file }, size);
        let faults = vec((faults, close()), 0..=size.faults);
        let users = vec((user(size, swarm), close()), 1..=size.edits);
        let steps = (moments, users, faults).prop_map(move |(moments, users, faults)| {
            let users = users.into_iter().map(|(step, close)| (vec![step], close));
            let all = users.chain(faults);
            all.flat_map(|(steps, close)| gather(steps, close, &moments, size)).collect::<Vec<_>>()
        });
        let all = (clocks, latency, steps, core(replicas));
        all.prop_map(move |(clocks, (least, more), drawn, core)| {
            let mut steps: Vec<Step> = (0..size.team.max(1)).map(member).collect();
            steps.extend(drawn);
            steps.sort_by_key(|step| step.at_ms);
            unhidden(&mut steps);
            Scenario {
                replicas,
                api_views,
                store,
                settings: settings.clone(),
                clocks,
                latency_ms: (least, least + more),
                steps,
                heal_at_ms: size.horizon_ms,
                core,
                unsteady: false,
            }
        })
    })
}

/// Leaves out what somebody with the bucket's keys does to the log if it could hide what was done
/// before: then nobody could be asked to notice that.
fn unhidden(steps: &mut Vec<Step>) {
    let mut changed = false;
    steps.retain(|step| match step.what {
        Do::Tamper { how } if changed => !how.may_hide(),
        Do::Tamper { .. } => {
            changed = true;
            true
        }
        _ => true,
    });
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

/// Which replicas come back when the faults stop: mostly all.
fn core(replicas: u32) -> BoxedStrategy<Vec<u32>> {
    let some = prop::sample::subsequence((0..replicas).collect::<Vec<_>>(), 1..=replicas as usize);
    prop_oneof![5 => Just(Vec::new()), 1 => some].boxed()
}

fn settings() -> impl Strategy<Value = Settings> {
    let records = (option::weighted(0.2, 1_u32..8), option::weighted(0.2, 1_u32..4));
    let times = (option::weighted(0.2, 8_000_u64..60_000), option::weighted(0.2, 60_u64..300));
    (election(), records, times).prop_map(
        |(election, (max_events, concurrency), (append_deadline_ms, resync_s))| Settings {
            max_events,
            concurrency,
            append_deadline_ms,
            resync_s,
            ..election
        },
    )
}

/// The election's times: mostly the defaults, else quicker or slower ones that keep its
/// inequalities.
fn election() -> impl Strategy<Value = Settings> {
    let times = |(lease_s, renew, retry, request, grace): (u64, u64, u64, u64, u64)| Settings {
        lease_s: Some(lease_s),
        renew_deadline_ms: Some(renew),
        retry_period_ms: Some(retry),
        request_timeout_ms: Some(request),
        stop_grace_ms: Some(grace),
        ..Settings::default()
    };
    prop_oneof![
        6 => Just(Settings::default()),
        1 => Just((8, 5_000, 1_000, 2_000, 2_000)).prop_map(times),
        1 => Just((30, 20_000, 3_000, 5_000, 5_000)).prop_map(times),
    ]
}

/// Clocks within the default bound of 5 %.
fn clock() -> impl Strategy<Value = Clock> {
    (-47_000_i64..=50_000, -5_000_i64..5_000)
        .prop_map(|(rate_ppm, wall_offset_ms)| Clock { rate_ppm, wall_offset_ms })
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

/// What a user does, and when: edits and sessions in each run, everything else in half of them.
fn user(size: Size, swarm: Swarm) -> impl Strategy<Value = Step> {
    let agents = size.agents;
    let agent = move || name("agent", agents);
    let sessions = if size.bias == Bias::Sessions { 20 } else { 3 };
    let apply = |name: String, agent: AgentShape| -> Do { Do::ApplyAgent { name, agent } };
    let begin = (name("run", 8), session(agents));
    let mut wishes = vec![
        (8, (agent(), shape()).prop_map(move |(name, agent)| apply(name, agent)).boxed()),
        (sessions, begin.prop_map(|(name, session)| Do::ApplySession { name, session }).boxed()),
    ];
    let lost = |agent| Do::Meddle { agent, child: Child::Run, how: Meddling::Delete };
    let others = vec![
        (1, agent().prop_map(|name| Do::DeleteAgent { name }).boxed()),
        (1, agent().prop_map(|name| Do::OrphanAgent { name }).boxed()),
        (1, (agent(), shape()).prop_map(|(name, agent)| Do::RecreateAgent { name, agent }).boxed()),
        (1, name("run", 8).prop_map(|name| Do::DeleteSession { name }).boxed()),
        (
            2,
            (agent(), child(), meddling())
                .prop_map(|(agent, child, how)| Do::Meddle { agent, child, how })
                .boxed(),
        ),
        (1, name("run", 8).prop_map(lost).boxed()),
        (
            1,
            (agent(), child(), 1_000_u64..60_000)
                .prop_map(|(agent, child, for_ms)| Do::Squat { agent, child, for_ms })
                .boxed(),
        ),
        (
            1,
            (name("stray", 2), child())
                .prop_map(|(agent, child)| Do::Stray { agent, child })
                .boxed(),
        ),
    ];
    wishes.extend(faults::switched(others, |index| swarm[2] >> (40 + index) & 1 == 1));
    let what = prop::strategy::Union::new_weighted(wishes);
    (0..size.horizon_ms, what).prop_map(|(at_ms, what)| Step { at_ms, what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same_scenario_and_each_can_be_run() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..2_000 {
            let scenario = draw(seed, Size::default());
            assert_eq!(scenario, draw(seed, Size::default()));
            scenario.check().expect("drawn scenarios can be run");
            let config = crate::world::config_of(&scenario);
            assert!(config.validate().is_ok(), "{:?}", config.validate());
            kinds.extend(crate::fault::of(&scenario));
        }
        let rows = crate::fault::TABLE.iter().map(|row| row.fault);
        let never: Vec<_> = rows.filter(|fault| !kinds.contains(fault)).collect();
        assert_eq!(never, Vec::<&str>::new(), "never drawn");
    }
}
