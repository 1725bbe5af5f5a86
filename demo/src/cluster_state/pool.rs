//! A pool, as far as the run needs it.

use std::collections::BTreeMap;

use weir_model::Amount;
use weir_model::dimension::GPU;

/// The figures of a pool, as its status says them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolState {
    /// Unique in the cluster.
    pub name: String,
    /// The pool above; `None` right under the cluster.
    pub parent: Option<String>,
    /// By dimension.
    pub resources: BTreeMap<String, PoolLevel>,
}

/// One dimension of a pool, in its base unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolLevel {
    /// What is guaranteed to it.
    pub reserved: Amount,
    /// What the pool may use now.
    pub entitlement: Amount,
    /// What its pods use.
    pub usage: Amount,
    /// What its waiting pods ask for.
    pub demand: Amount,
    /// The part of the entitlement that comes from others' reservations.
    pub borrowed: Amount,
}

impl PoolState {
    /// The figures for GPUs that are not special.
    #[must_use]
    pub fn gpus(&self) -> PoolLevel {
        self.resources.get(GPU).copied().unwrap_or_default()
    }
}
