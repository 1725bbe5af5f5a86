//! What each pool uses, asks for and keeps for claims, brought up to date with every change.

use weir_model::{Amount, Dim, PoolId};

use super::pools::Pools;
use super::sums::{Sums, amount};

/// What each pool uses and asks for, by pool and dimension.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// Requests of admitted pods, until the pods are gone.
    pub(crate) admitted: Sums,
    /// The part of `admitted` that cannot be taken.
    pub(crate) non_preemptible: Sums,
    /// The part of `admitted` that is going: terminating pods, and victims of plans under way.
    pub(crate) terminating: Sums,
    /// Requests of all pods that wait.
    pub(crate) waiting: Sums,
    /// What claims keep.
    pub(crate) claimed: Sums,
    /// What leaves use above their entitlement, which holds no other leaf back.
    pub(crate) over_entitlement: OverEntitlement,
}

impl Usage {
    /// What a pool uses without what is going.
    pub(crate) fn staying(&self, pool: PoolId, dim: Dim) -> i128 {
        self.admitted.exact(pool, dim) - self.terminating.exact(pool, dim)
    }

    /// What a pool uses above its entitlement once everything that is going is gone; negative below it.
    pub(crate) fn over(&self, pools: &Pools, pool: PoolId, dim: Dim) -> i128 {
        self.staying(pool, dim) - i128::from(pools.entitled(pool, dim).units())
    }

    /// What a pool may still use of its entitlement.
    pub(crate) fn unused(&self, pools: &Pools, pool: PoolId, dim: Dim) -> Amount {
        amount(i128::from(pools.entitled(pool, dim).units()) - self.admitted.exact(pool, dim))
    }

    /// Counts anew what a leaf uses above its entitlement.
    pub(crate) fn count_over_entitlement(&mut self, pools: &Pools, leaf: PoolId, dim: Dim) {
        let uses = [&self.admitted, &self.non_preemptible].map(|sums| sums.exact(leaf, dim));
        self.over_entitlement.count(pools, leaf, dim, uses);
    }
}

/// What leaves use above their entitlement and can be taken from them, summed up over their ancestors. It is
/// theirs as long as no other pool needs the room, and is taken back where one does, not for the sake of the sum.
#[derive(Clone, Debug, Default)]
pub(crate) struct OverEntitlement(Sums);

impl OverEntitlement {
    /// Counts a leaf anew from what it uses and how much of that is non-preemptible. What cannot be taken counts
    /// for its ancestors, whatever the entitlement fell to.
    pub(crate) fn count(&mut self, pools: &Pools, leaf: PoolId, dim: Dim, [used, non_preemptible]: [i128; 2]) {
        if !pools.checks(leaf, dim) {
            return;
        }
        let entitled = i128::from(pools.entitled(leaf, dim).units());
        let more = (used - entitled.max(non_preemptible)).max(0) - self.0.exact(leaf, dim);
        if more != 0 {
            pools.tree.path(leaf).for_each(|pool| *self.0.cell(pool, dim) += more);
        }
    }

    /// What of a pool's usage does not count against its entitlement. In a leaf everything counts.
    pub(crate) fn below(&self, pools: &Pools, pool: PoolId, dim: Dim) -> i128 {
        if pools.tree.is_leaf(pool) { 0 } else { self.0.exact(pool, dim) }
    }

    /// The exact sums of a pool, by position of the dimension.
    pub(crate) fn row(&self, pool: PoolId) -> &[i128] {
        self.0.row(pool)
    }
}
