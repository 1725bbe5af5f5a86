//! What pools would use if a plan were carried out, held against B3 and B4.

use weir_model::{Dim, PoolId, ResourceVec};

use crate::admit::Case;
use crate::ledger::{Beyond, Sums};
use crate::state::Queue;

/// The pools' sums with what a plan adds and takes away; what is going already counts as gone.
pub(crate) struct Trial<'q> {
    queue: &'q Queue,
    /// What the plan adds to usage, less what it takes away.
    change: Sums,
    /// What it adds to non-preemptible usage.
    fixed: Sums,
    /// What leaves use beyond their entitlements once the plan is carried out.
    beyond: Beyond,
}

impl<'q> Trial<'q> {
    /// A trial of a plan that does nothing yet.
    pub(crate) fn new(queue: &'q Queue) -> Self {
        let mut trial = Self { queue, change: Sums::default(), fixed: Sums::default(), beyond: Beyond::default() };
        for leaf in queue.pools.tree.iter().filter(|&pool| queue.pools.tree.is_leaf(pool)) {
            queue.dims.iter().for_each(|dim| trial.count_beyond(leaf, dim));
        }
        trial
    }

    /// Counts one more claimant as admitted, or (`times` −1) as waiting again.
    pub(crate) fn admit(&mut self, case: Case, times: i128) {
        let ask = self.queue.shapes.ask_of(case.ask);
        if !ask.preemptible {
            self.fixed.change(&self.queue.pools.tree, case.leaf, &ask.amounts, times);
        }
        self.change(case.leaf, &ask.amounts, times);
    }

    /// Counts a victim as gone (`times` −1), or as there again.
    pub(crate) fn change(&mut self, leaf: PoolId, amounts: &ResourceVec, times: i128) {
        self.change.change(&self.queue.pools.tree, leaf, amounts, times);
        amounts.iter().for_each(|(dim, _)| self.count_beyond(leaf, dim));
    }

    fn count_beyond(&mut self, leaf: PoolId, dim: Dim) {
        let used = self.queue.staying(leaf, dim) + self.change.exact(leaf, dim);
        let fixed = self.fixed_use(leaf, dim);
        self.beyond.count(&self.queue.pools, leaf, dim, [used, fixed]);
    }

    /// By how much a pool would be above its entitlement; negative where it would be below.
    pub(crate) fn over(&self, pool: PoolId, dim: Dim) -> i128 {
        self.queue.over(pool, dim) + self.change.exact(pool, dim)
    }

    /// B4. Victims are preemptible, so nobody who goes makes room in a reservation.
    pub(crate) fn firm_allows(&self, case: Case) -> bool {
        let ask = self.queue.shapes.ask_of(case.ask);
        let pools = &self.queue.pools;
        let fits = |pool: PoolId, dim: Dim| {
            let bound = pools.reserved(pool, dim).map(|bound| bound.min(pools.entitled(pool, dim)));
            bound.is_none_or(|bound| self.fixed_use(pool, dim) <= i128::from(bound.units()))
        };
        ask.preemptible || pools.tree.path(case.leaf).all(|pool| ask.amounts.iter().all(|(dim, _)| fits(pool, dim)))
    }

    /// B3: the dimension in which a pool would be above its entitlement.
    pub(crate) fn short_of(&self, pool: PoolId, amounts: &ResourceVec) -> Option<Dim> {
        let queue = self.queue;
        let mut checked = amounts.iter().map(|(dim, _)| dim).filter(|&dim| queue.pools.checks(pool, dim));
        let is_short = |&dim: &Dim| {
            let more = queue.ledger.held.exact(pool, dim) + self.change.exact(pool, dim);
            let beyond = self.beyond.below(&queue.pools, pool, dim);
            let limited = queue.staying(pool, dim) + more > i128::from(queue.pools.cap(pool, dim).units());
            limited || queue.over(pool, dim) - beyond + more > 0
        };
        checked.find(is_short)
    }

    fn fixed_use(&self, pool: PoolId, dim: Dim) -> i128 {
        self.queue.ledger.fixed.exact(pool, dim) + self.fixed.exact(pool, dim)
    }
}
