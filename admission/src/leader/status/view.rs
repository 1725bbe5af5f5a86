//! What a report is made from.

use std::sync::Arc;

use weir_api::pool::ResourcePool;
use weir_queue::{Queue, Time};

use crate::convert::name::NamespacedName;
use crate::leader::watch_state::pod_cache::PodCache;

/// The state of the term that is reported.
pub(in crate::leader) struct View<'a> {
    /// What was decided, and how pools stand.
    pub(in crate::leader) queue: &'a Queue,
    /// The pods.
    pub(in crate::leader) pods: &'a PodCache,
    /// The pools as they are written.
    pub(in crate::leader) pools: &'a [Arc<ResourcePool>],
    /// The job of the RayCluster of this name.
    pub(in crate::leader) job: &'a dyn Fn(&NamespacedName) -> Option<String>,
    /// The time of the report.
    pub(in crate::leader) now: Time,
}

/// A dimension of a pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::leader) struct OverIn {
    /// The pool.
    pub(in crate::leader) pool: String,
    /// The dimension.
    pub(in crate::leader) dim: String,
}
