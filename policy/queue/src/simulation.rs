//! What pools would use if a plan were carried out, held against B3 and B4.

use weir_model::{Dim, PoolId, ResourceVec};

use crate::admit::Candidate;
use crate::ledger::{OverEntitlement, Sums};
use crate::state::Queue;

/// The pools' sums with what a plan adds and takes away; what is going already counts as gone.
pub(crate) struct Simulation<'q> {
    queue: &'q Queue,
    /// What the plan adds to usage, less what it takes away.
    change: Sums,
    /// What it adds to non-preemptible usage.
    non_preemptible: Sums,
    /// What leaves use beyond their entitlements once the plan is carried out.
    over_entitlement: OverEntitlement,
}

impl<'q> Simulation<'q> {
    /// A trial of a plan that does nothing yet.
    pub(crate) fn new(queue: &'q Queue) -> Self {
        let mut simulation = Self {
            queue,
            change: Sums::default(),
            non_preemptible: Sums::default(),
            over_entitlement: OverEntitlement::default(),
        };
        for leaf in queue.pools.tree.iter().filter(|&pool| queue.pools.tree.is_leaf(pool)) {
            queue.dims.iter().for_each(|dim| simulation.count_over_entitlement(leaf, dim));
        }
        simulation
    }

    /// Counts one more claimant as admitted, or (`times` −1) as waiting again.
    pub(crate) fn admit(&mut self, candidate: Candidate, times: i128) {
        let request = self.queue.shapes.request_of(candidate.request);
        if !request.preemptible {
            self.non_preemptible.change(&self.queue.pools.tree, candidate.leaf, &request.amounts, times);
        }
        self.change(candidate.leaf, &request.amounts, times);
    }

    /// Counts a victim as gone (`times` −1), or as there again.
    pub(crate) fn change(&mut self, leaf: PoolId, amounts: &ResourceVec, times: i128) {
        self.change.change(&self.queue.pools.tree, leaf, amounts, times);
        amounts.iter().for_each(|(dim, _)| self.count_over_entitlement(leaf, dim));
    }

    fn count_over_entitlement(&mut self, leaf: PoolId, dim: Dim) {
        let used = self.queue.staying(leaf, dim) + self.change.exact(leaf, dim);
        let non_preemptible = self.non_preemptible_use(leaf, dim);
        self.over_entitlement.count(&self.queue.pools, leaf, dim, [used, non_preemptible]);
    }

    /// By how much a pool would be above its entitlement; negative where it would be below.
    pub(crate) fn over(&self, pool: PoolId, dim: Dim) -> i128 {
        self.queue.over(pool, dim) + self.change.exact(pool, dim)
    }

    /// B4. Victims are preemptible, so nobody who goes makes room in a reservation.
    pub(crate) fn reservation_allows(&self, candidate: Candidate) -> bool {
        let request = self.queue.shapes.request_of(candidate.request);
        let pools = &self.queue.pools;
        let fits = |pool: PoolId, dim: Dim| {
            let bound = pools.reserved(pool, dim).map(|bound| bound.min(pools.entitled(pool, dim)));
            bound.is_none_or(|bound| self.non_preemptible_use(pool, dim) <= i128::from(bound.units()))
        };
        request.preemptible
            || pools.tree.path(candidate.leaf).all(|pool| request.amounts.iter().all(|(dim, _)| fits(pool, dim)))
    }

    /// B3: the dimension in which a pool would be above its entitlement.
    pub(crate) fn short_of(&self, pool: PoolId, amounts: &ResourceVec) -> Option<Dim> {
        let queue = self.queue;
        let mut checked = amounts.iter().map(|(dim, _)| dim).filter(|&dim| queue.pools.checks(pool, dim));
        let is_short = |&dim: &Dim| {
            let more = queue.ledger.claimed.exact(pool, dim) + self.change.exact(pool, dim);
            let over_entitlement = self.over_entitlement.below(&queue.pools, pool, dim);
            let limited = queue.staying(pool, dim) + more > i128::from(queue.pools.cap(pool, dim).units());
            limited || queue.over(pool, dim) - over_entitlement + more > 0
        };
        checked.find(is_short)
    }

    fn non_preemptible_use(&self, pool: PoolId, dim: Dim) -> i128 {
        self.queue.ledger.non_preemptible.exact(pool, dim) + self.non_preemptible.exact(pool, dim)
    }
}
