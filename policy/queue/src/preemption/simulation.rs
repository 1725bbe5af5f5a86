//! What pools would use if a plan were carried out, held against B3 and B4.

use weir_model::{Dim, PoolId, ResourceVec};

use crate::state::State;
use crate::state::queues::Candidate;
use crate::state::sums::Sums;
use crate::state::usage::OverEntitlement;

/// The pools' sums with what a plan adds and takes away; what is terminating already counts as gone.
pub(super) struct Simulation<'q> {
    state: &'q State,
    /// What the plan adds to usage, less what it takes away.
    change: Sums,
    /// What the plan adds to non-preemptible usage.
    non_preemptible: Sums,
    /// What leaves use above their entitlements once the plan is carried out.
    over_entitlement: OverEntitlement,
}

impl<'q> Simulation<'q> {
    /// A simulation of a plan that does nothing yet.
    pub(super) fn new(state: &'q State) -> Self {
        let mut simulation = Self {
            state,
            change: Sums::default(),
            non_preemptible: Sums::default(),
            over_entitlement: OverEntitlement::default(),
        };
        for leaf in state.pools.tree.iter().filter(|&pool| state.pools.tree.is_leaf(pool)) {
            state.shapes.dims.iter().for_each(|dim| simulation.count_over_entitlement(leaf, dim));
        }
        simulation
    }

    /// Counts one more claimant as admitted, or (`times` −1) as waiting again.
    pub(super) fn admit(&mut self, candidate: Candidate, times: i128) {
        let request = self.state.shapes.request_of(candidate.request);
        if !request.preemptible {
            self.non_preemptible.change(&self.state.pools.tree, candidate.leaf, &request.amounts, times);
        }
        self.change(candidate.leaf, &request.amounts, times);
    }

    /// Counts a victim as gone (`times` −1), or as there again.
    pub(super) fn change(&mut self, leaf: PoolId, amounts: &ResourceVec, times: i128) {
        self.change.change(&self.state.pools.tree, leaf, amounts, times);
        amounts.iter().for_each(|(dim, _)| self.count_over_entitlement(leaf, dim));
    }

    fn count_over_entitlement(&mut self, leaf: PoolId, dim: Dim) {
        let used = self.state.usage.staying(leaf, dim) + self.change.exact(leaf, dim);
        let non_preemptible = self.non_preemptible_use(leaf, dim);
        self.over_entitlement.count(&self.state.pools, leaf, dim, [used, non_preemptible]);
    }

    /// By how much a pool would be above its entitlement; negative where it would be below.
    pub(super) fn over(&self, pool: PoolId, dim: Dim) -> i128 {
        self.state.usage.over(&self.state.pools, pool, dim) + self.change.exact(pool, dim)
    }

    /// B4. Victims are preemptible, so a pod that goes makes no room in a reservation.
    pub(super) fn reservation_allows(&self, candidate: Candidate) -> bool {
        let request = self.state.shapes.request_of(candidate.request);
        let pools = &self.state.pools;
        let fits = |pool: PoolId, dim: Dim| {
            let bound = pools.reserved(pool, dim).map(|bound| bound.min(pools.entitled(pool, dim)));
            bound.is_none_or(|bound| self.non_preemptible_use(pool, dim) <= i128::from(bound.units()))
        };
        let all_fit = |pool| request.amounts.iter().all(|(dim, _)| fits(pool, dim));
        request.preemptible || pools.tree.path(candidate.leaf).all(all_fit)
    }

    /// B3: the dimension in which a pool would be above its entitlement.
    pub(super) fn short_of(&self, pool: PoolId, amounts: &ResourceVec) -> Option<Dim> {
        let State { pools, usage, .. } = self.state;
        let mut checked = amounts.iter().map(|(dim, _)| dim).filter(|&dim| pools.checks(pool, dim));
        let is_short = |&dim: &Dim| {
            let more = usage.claimed.exact(pool, dim) + self.change.exact(pool, dim);
            let over_entitlement = self.over_entitlement.below(pools, pool, dim);
            let limited = usage.staying(pool, dim) + more > i128::from(pools.cap(pool, dim).units());
            limited || usage.over(pools, pool, dim) - over_entitlement + more > 0
        };
        checked.find(is_short)
    }

    fn non_preemptible_use(&self, pool: PoolId, dim: Dim) -> i128 {
        self.state.usage.non_preemptible.exact(pool, dim) + self.non_preemptible.exact(pool, dim)
    }
}
