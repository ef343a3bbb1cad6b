//! The small part of Kubernetes' own controllers that matters.
//!
//! They read through [`Cluster::objects`] and [`Cluster::changes`] and write through
//! [`Cluster::call`], so policies and ownership apply to them as to anybody.

use crate::server::Cluster;

/// What the controllers remember between ticks.
#[derive(Debug, Default)]
pub(crate) struct Controllers;

/// Runs every controller once; returns when it wants to run again.
pub(crate) fn tick(_cluster: &mut Cluster, _now_ms: u64) -> Option<u64> {
    None
}
