//! Labels, annotations and names that rynxs puts on objects; policies and charts use the same.

/// Decimal stamp of the decision that an object's content comes from.
pub const STAMP: &str = "rynxs.universe.ai/stamp";
/// Identity of the log that holds the decision; for people and for telling installations apart.
pub const LOG: &str = "rynxs.universe.ai/log";
/// Epoch of the leader that wrote; for people.
pub const EPOCH: &str = "rynxs.universe.ai/epoch";
/// `true` on an object that a decision deletes.
pub const DELETING: &str = "rynxs.universe.ai/deleting";
/// On a workspace that outlives its Agent: `namespace/name` of the Agent that may adopt it.
pub const RETAINED_FOR: &str = "rynxs.universe.ai/retained-for";
/// Label on every managed object, with value [`MANAGED_BY_VALUE`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_VALUE: &str = "rynxs";
/// Label on managed objects and pods: name of the Agent.
pub const AGENT: &str = "rynxs.universe.ai/agent";
/// Label on managed objects and pods: name of the Session.
pub const SESSION: &str = "rynxs.universe.ai/session";
/// Label on an agent's objects and pods: its role.
pub const ROLE: &str = "rynxs.universe.ai/role";
/// Label on an agent's objects and pods: its team.
pub const TEAM: &str = "rynxs.universe.ai/team";
/// Field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "rynxs";
/// Label on pods and their objects: which of an agent's two kinds of pods, [`COMPONENT_RUNTIME`] or
/// [`COMPONENT_SESSION`].
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Value of [`COMPONENT`]: the agent's own runtime.
pub const COMPONENT_RUNTIME: &str = "runtime";
/// Value of [`COMPONENT`]: the run of a session.
pub const COMPONENT_SESSION: &str = "session";
