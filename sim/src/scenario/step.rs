//! The steps: what users do and what the nemesis breaks, each ending by itself or at the heal.

use serde::{Deserialize, Serialize};

use super::Scenario;

/// One step at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// True time since the start, milliseconds.
    pub at_ms: u64,
    /// What happens.
    pub what: Do,
}

/// A replica, by name or by what it is at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The one that the Lease names.
    Leader,
    /// The first that the Lease does not name.
    Standby,
    /// `rynxs-N`.
    Replica(u32),
    /// All of them.
    All,
}

/// One replica's clock: how much faster than true time, and how far off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clock {
    /// Millionths; negative is slower.
    pub rate_ppm: i64,
    /// Of the wall clock, milliseconds.
    pub wall_offset_ms: i64,
}

/// Which way of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Requests and answers.
    #[default]
    Both,
    /// Requests only: the server hears nothing.
    Requests,
    /// Answers only: the server hears and does, the replica learns nothing.
    Answers,
}

/// A server that a fault is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Server {
    /// Both.
    #[default]
    Any,
    /// The Kubernetes API.
    Api,
    /// The object store.
    S3,
}

/// What a user wants of an Agent. Numbers, so that a scenario shrinks to small ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentShape {
    /// Suspended in place of running.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suspended: bool,
    /// A value in its environment: the usual edit.
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u32,
    /// GiB of workspace, beyond one.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_gi: u32,
    /// Keep the workspace when the Agent is deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retain: bool,
    /// Destinations that it may reach.
    #[serde(skip_serializing_if = "is_zero")]
    pub egress: u32,
    /// 0 worker, 1 manager, 2 director.
    #[serde(skip_serializing_if = "is_zero")]
    pub rank: u32,
    /// Agents that it manages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manages: Vec<String>,
    /// CPU written as a number that the server writes differently.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub odd_cpu: bool,
    /// A spec that the schema lets pass and the operator must refuse.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
}

/// What a user wants of a Session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionShape {
    /// The Agent that it is a run of.
    pub agent: String,
    /// `maxDuration`, seconds; 0 is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_s: u32,
    /// `ttlSecondsAfterFinished`; none if 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub ttl_s: u32,
    /// Delete it when its time is over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub delete_when_over: bool,
    /// 0 running, 1 suspended, 2 cancelled.
    #[serde(skip_serializing_if = "is_zero")]
    pub mode: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A managed object of an Agent, or of a Session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Child {
    Spec,
    Workspace,
    Runtime,
    Network,
    /// The Job of a Session of that name.
    Run,
}

/// What a person does to a managed object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meddling {
    /// A label of their own: tolerated.
    Label,
    /// Something in the content: drift.
    Edit,
    /// Something more in the content, which an apply cannot take away again.
    Add,
    /// `kubectl delete`.
    Delete,
    /// The stamp: refused by the policies.
    Stamp,
}

/// What the API server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiFault {
    /// 429 with `Retry-After`.
    TooManyRequests,
    /// 500 before anything was done.
    FailsBefore,
    /// 500 after it was done.
    FailsAfter,
    /// 503 by its load balancer.
    Unavailable,
    /// 504 after it was done.
    TimesOutAfter,
    /// 403 to writes of managed objects: a quota, or another policy.
    DeniesWrites,
    /// 409 to writes of the Lease: somebody else is always faster.
    LeaseConflicts,
}

/// What the object store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum S3Fault {
    /// 503 `SlowDown` before anything was done.
    SlowDown,
    /// 500 before anything was done.
    FailsBefore,
    /// 500 after it was done.
    FailsAfter,
    /// 409 `ConditionalRequestConflict`: nothing was done.
    Conflict,
    /// 400 `RequestTimeout` before anything was done.
    RequestTimeout,
    /// 403 `ExpiredToken` behind a 400.
    ExpiredToken,
    /// The connection breaks after it was done.
    ResetAfter,
}

/// What somebody with the bucket's keys does to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tampering {
    /// One record in the middle is deleted.
    DeleteMiddle,
    /// The last record but one is deleted: a search for the end may land before the hole.
    DeleteLastButOne,
    /// Two records are swapped.
    Swap,
    /// One byte of a record is flipped.
    Flip,
    /// The last record is deleted.
    CutTail,
    /// All records are deleted.
    Empty,
    /// The bucket is brought back to what it was before: the younger half of the records is gone.
    Rollback,
}

impl Tampering {
    /// Every manipulation.
    pub const ALL: [Self; 7] = [
        Self::DeleteMiddle,
        Self::DeleteLastButOne,
        Self::Swap,
        Self::Flip,
        Self::CutTail,
        Self::Empty,
        Self::Rollback,
    ];

    /// Whether it may undo or hide what was done to the log before it: a swap undoes a swap, and
    /// what is cut off shows nothing.
    #[must_use]
    pub fn may_hide(self) -> bool {
        !matches!(self, Self::DeleteMiddle | Self::DeleteLastButOne)
    }
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
#[allow(missing_docs, reason = "fields repeat the words of their variants")]
pub enum Do {
    /// A user creates an Agent, or makes it what the shape says.
    ApplyAgent { name: String, agent: AgentShape },
    /// A user deletes an Agent.
    DeleteAgent { name: String },
    /// A user deletes an Agent with `--cascade=orphan`: its objects stay, and belong to nobody.
    OrphanAgent { name: String },
    /// A user deletes an Agent and creates another one of that name at once.
    RecreateAgent { name: String, agent: AgentShape },
    /// A user creates or edits a Session.
    ApplySession { name: String, session: SessionShape },
    /// A user deletes a Session.
    DeleteSession { name: String },
    /// A person changes a managed object of an Agent.
    Meddle { agent: String, child: Child, how: Meddling },
    /// A person creates an object under the name of an Agent's managed object.
    Squat { agent: String, child: Child, for_ms: u64 },
    /// A person creates an object that says of itself that it is a managed object of an Agent, by
    /// a copy of its labels, and belongs to nobody.
    Stray { agent: String, child: Child },
    /// A person deletes the Lease.
    DeleteLease {},
    /// A person writes another holder into the Lease; empty is none.
    EditLease { holder: String },

    /// The process is killed and started again.
    Crash { who: Who, back_after_ms: u64 },
    /// It is killed at its nth request that writes from now on: when it was applied but not
    /// answered, or before it arrives.
    CrashAtWrite { who: Who, nth: u32, applied: bool, back_after_ms: u64 },
    /// The answer to its nth request that writes, from now on, is lost.
    LoseAnswer { who: Who, nth: u32 },
    /// It is killed at its nth await of anything from now on.
    CrashAtAwait { who: Who, nth: u32, back_after_ms: u64 },
    /// It stands still; requests under way go on.
    Freeze { who: Who, for_ms: u64 },
    /// It is asked to stop, and started again.
    Stop { who: Who, back_after_ms: u64 },
    /// All replicas, one after the other, are stopped and started with another default image.
    Upgrade { image: u32, pause_ms: u64 },

    /// Its monotonic clock runs differently from now on.
    ClockRate { who: Who, rate_ppm: i64 },
    /// A clock jumps.
    ClockJump { who: Who, mono_ms: i64, wall_ms: i64 },

    /// Messages between a replica and a server are lost.
    Partition { who: Who, server: Server, way: Way, for_ms: u64 },
    /// Of 1,000 messages so many are lost.
    Lose { who: Who, server: Server, way: Way, per_mille: u32, for_ms: u64 },
    /// Of 1,000 requests so many arrive twice.
    Duplicate { who: Who, per_mille: u32, for_ms: u64 },
    /// Every message takes so much longer.
    Slow { who: Who, server: Server, more_ms: u64, for_ms: u64 },
    /// Each message takes up to so much longer, by chance: later ones overtake earlier ones.
    Reorder { who: Who, server: Server, up_to_ms: u64, for_ms: u64 },
    /// Its next request that writes there arrives so much later: what makes a zombie's write.
    HoldWrite { who: Who, server: Server, for_ms: u64 },
    /// Its next request that writes there is not held: whatever is held begins behind it.
    PassWrite { who: Who, server: Server },
    /// A broken proxy sends its next apply of an object again, so much later, with the
    /// resourceVersion that the object has then: what no honest client does. A Lease is left alone.
    ReplayWrite { who: Who, for_ms: u64 },
    /// Open watches of a replica break.
    BreakWatches { who: Who },
    /// Of 1,000 watch events so many are shown twice, the second time behind up to four others.
    DuplicateEvents { who: Who, per_mille: u32, for_ms: u64 },
    /// Of 1,000 watch events behind which another one of the same object follows within half a
    /// second, so many are left out: what happened in between shows in no event.
    CoalesceEvents { who: Who, per_mille: u32, for_ms: u64 },
    /// Of 1,000 watch events so many are silently left out; open watches break when it ends.
    DropEvents { who: Who, per_mille: u32, for_ms: u64 },

    /// Of 1,000 requests to the API so many meet this.
    ApiFault { fault: ApiFault, per_mille: u32, for_ms: u64 },
    /// The watch cache of a view stands still: watches and cached lists show the past.
    FreezeView { view: u32, for_ms: u64 },
    /// The watch cache of a view is behind by at least so much, and by less than twice that.
    LagView { view: u32, lag_ms: u64, for_ms: u64 },
    /// A replica talks to another view.
    MoveToView { who: Who, view: u32 },
    /// Kubernetes' own controllers stand still: nothing runs, and nobody collects garbage.
    StallControllers { for_ms: u64 },
    /// The API forgets its past: watches from there are answered 410.
    Compact {},

    /// Of 1,000 requests to the store so many meet this.
    S3Fault { fault: S3Fault, per_mille: u32, for_ms: u64 },
    /// The store ignores `If-None-Match`, from now on for ever.
    IgnoreCondition {},
    /// Somebody changes the log in the bucket.
    Tamper { how: Tampering },

    /// Syncs of the disk fail, and the kernel forgets what was dirty.
    FailSyncs { count: u32 },
    /// The disk is full but for so many bytes.
    FillDisk { free_bytes: u64, for_ms: u64 },
    /// The machine loses power: what was not synced is lost, torn at a sector if so asked.
    PowerLoss { torn: bool, back_after_ms: u64 },
    /// One bit of the log's file flips, while the machine is off.
    BitRot { back_after_ms: u64 },
}

impl Clock {
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        check_rate(self.rate_ppm)
    }
}

/// A clock between a tenth of true time and ten times it.
fn check_rate(rate_ppm: i64) -> Result<(), String> {
    if (-900_000..=9_000_000).contains(&rate_ppm) {
        return Ok(());
    }
    Err(format!("rate_ppm: {rate_ppm} is not between -900000 and 9000000"))
}

impl Do {
    /// What is wrong with it in this scenario.
    pub(super) fn check(&self, scenario: &Scenario) -> Result<(), String> {
        if let Some(Who::Replica(index)) = self.who()
            && index >= scenario.replicas
        {
            let replicas = scenario.replicas;
            return Err(format!("who: rynxs-{index}, but there are {replicas} replicas, from 0"));
        }
        match self {
            Self::ClockRate { rate_ppm, .. } => check_rate(*rate_ppm),
            Self::Lose { per_mille, .. }
            | Self::Duplicate { per_mille, .. }
            | Self::DuplicateEvents { per_mille, .. }
            | Self::CoalesceEvents { per_mille, .. }
            | Self::DropEvents { per_mille, .. }
            | Self::ApiFault { per_mille, .. }
            | Self::S3Fault { per_mille, .. }
                if *per_mille > 1_000 =>
            {
                Err(format!("per_mille: {per_mille} is more than 1000"))
            }
            Self::LagView { lag_ms: 0, .. } => Err("lag_ms: 0 is no lag".to_owned()),
            Self::FreezeView { view, .. }
            | Self::LagView { view, .. }
            | Self::MoveToView { view, .. }
                if *view >= scenario.api_views =>
            {
                let views = scenario.api_views;
                Err(format!("view: {view}, but there are {views} views, from 0"))
            }
            _ => Ok(()),
        }
    }

    /// The replica that it is about.
    #[must_use]
    pub fn who(&self) -> Option<Who> {
        match self {
            Self::Crash { who, .. }
            | Self::CrashAtWrite { who, .. }
            | Self::LoseAnswer { who, .. }
            | Self::CrashAtAwait { who, .. }
            | Self::Freeze { who, .. }
            | Self::Stop { who, .. }
            | Self::ClockRate { who, .. }
            | Self::ClockJump { who, .. }
            | Self::Partition { who, .. }
            | Self::Lose { who, .. }
            | Self::Duplicate { who, .. }
            | Self::Slow { who, .. }
            | Self::Reorder { who, .. }
            | Self::HoldWrite { who, .. }
            | Self::PassWrite { who, .. }
            | Self::ReplayWrite { who, .. }
            | Self::BreakWatches { who }
            | Self::DuplicateEvents { who, .. }
            | Self::CoalesceEvents { who, .. }
            | Self::DropEvents { who, .. }
            | Self::MoveToView { who, .. } => Some(*who),
            _ => None,
        }
    }
}
