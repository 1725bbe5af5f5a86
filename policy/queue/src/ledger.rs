//! Who uses, asks for and holds how much, by pool and dimension, kept up to date with every change.
//!
//! Sums are exact in 128 bits: with saturating ones, taking away the pod that asked for 2⁶³ bytes would
//! take everybody else's away with it.

use weir_model::{Amount, Dim, PoolId, PoolTree, ResourceVec};

use crate::pools::Pools;

/// Exact sums by pool and dimension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums(Vec<Vec<i128>>);

impl Sums {
    /// Adds to a pool and all its ancestors.
    pub(crate) fn add(&mut self, tree: &PoolTree, pool: PoolId, amounts: &ResourceVec) {
        self.change(tree, pool, amounts, 1);
    }

    /// Adds `times` × the amounts to a pool and all its ancestors.
    pub(crate) fn change(&mut self, tree: &PoolTree, pool: PoolId, amounts: &ResourceVec, times: i128) {
        for at in tree.path(pool) {
            for (dim, amount) in amounts.iter() {
                *self.cell(at, dim) += times * i128::from(amount.units());
            }
        }
    }

    /// Changes one cell and no ancestor.
    pub(crate) fn cell(&mut self, pool: PoolId, dim: Dim) -> &mut i128 {
        if self.0.len() <= pool.index() {
            self.0.resize(pool.index() + 1, Vec::new());
        }
        let row = &mut self.0[pool.index()];
        if row.len() <= dim.index() {
            row.resize(dim.index() + 1, 0);
        }
        &mut row[dim.index()]
    }

    /// The exact sums of a pool, by position of the dimension.
    pub(crate) fn row(&self, pool: PoolId) -> &[i128] {
        self.0.get(pool.index()).map_or(&[], Vec::as_slice)
    }

    /// The exact sum.
    pub(crate) fn exact(&self, pool: PoolId, dim: Dim) -> i128 {
        self.0.get(pool.index()).and_then(|row| row.get(dim.index())).copied().unwrap_or(0)
    }

    /// The sum as an amount.
    pub(crate) fn amount(&self, pool: PoolId, dim: Dim) -> Amount {
        amount(self.exact(pool, dim))
    }
}

/// An exact sum as an amount: never negative, and everything above the largest is the largest.
pub(crate) fn amount(exact: i128) -> Amount {
    Amount::new(i64::try_from(exact).unwrap_or(if exact < 0 { 0 } else { i64::MAX }))
}

/// What the queue knows in numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Requests of admitted pods, until they are gone.
    pub(crate) usage: Sums,
    /// The part of the usage that cannot be taken.
    pub(crate) non_preemptible: Sums,
    /// The part of the usage that is going: terminating pods, and victims of plans under way.
    pub(crate) terminating: Sums,
    /// Requests of all pods that wait.
    pub(crate) demand: Sums,
    /// What claims hold.
    pub(crate) claimed: Sums,
    /// What leaves use beyond their entitlement, which holds no other leaf back.
    pub(crate) over_entitlement: OverEntitlement,
}

/// What leaves use beyond their entitlement and can be taken from them, summed up over their ancestors. It is theirs
/// as long as nobody needs the room, and taken back where somebody does, not for the sake of the sum.
#[derive(Clone, Debug, Default)]
pub(crate) struct OverEntitlement(Sums);

impl OverEntitlement {
    /// Counts a leaf anew that uses so much, so much of it fixed: what cannot be taken counts for its ancestors
    /// whatever the entitlement fell to.
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

    /// As [`Sums::row`].
    pub(crate) fn row(&self, pool: PoolId) -> &[i128] {
        self.0.row(pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::{Dimensions, PoolSpec};

    #[test]
    fn a_pod_that_asks_for_everything_leaves_the_others_as_they_were() {
        let mut dims = Dimensions::new();
        let cpu = dims.intern("cpu");
        let pool = PoolSpec { name: "a".into(), ..PoolSpec::default() };
        let (tree, _) = PoolTree::build(vec![pool], &dims);
        let a = tree.find("a").unwrap();
        let vector = |units| ResourceVec::from_iter([(cpu, Amount::new(units))]);
        let mut sums = Sums::default();
        sums.add(&tree, a, &vector(5));
        sums.add(&tree, a, &vector(i64::MAX));
        assert_eq!(sums.amount(PoolId::ROOT, cpu), Amount::MAX);
        sums.change(&tree, a, &vector(i64::MAX), -1);
        assert_eq!(sums.amount(a, cpu), Amount::new(5));
        assert_eq!(sums.amount(PoolId::ROOT, cpu), Amount::new(5));
    }
}
