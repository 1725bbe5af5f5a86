//! Exact sums by pool and dimension.
//!
//! Sums are exact in 128 bits: with saturating ones, taking away the pod that asked for 2⁶³ bytes would take
//! every other pod's amounts away with it.

use weir_model::{Amount, Dim, PoolId, PoolTree, ResourceVec};

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

    /// Gives access to one cell; its ancestors stay as they are.
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

/// Converts an exact sum: below zero it is zero, and above the largest amount it is the largest.
pub(crate) fn amount(exact: i128) -> Amount {
    Amount::new(i64::try_from(exact).unwrap_or(if exact < 0 { 0 } else { i64::MAX }))
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
