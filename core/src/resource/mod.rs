//! The resources of group `universe.ai/v1alpha1` and what their status says.

mod agent;
pub mod children;
pub mod quantity;
mod session;
pub mod validate;

pub use agent::{
    AgentSpec, Egress, EgressPort, EnvVar, ImageSpec, OperatingMode, Protocol, Role, SessionLimits,
    WorkspaceSpec,
};
pub use session::{SessionMode, SessionSpec, ShutdownPolicy};

/// API group of the resources.
pub const GROUP: &str = "universe.ai";
/// Version of the resources.
pub const VERSION: &str = "v1alpha1";
