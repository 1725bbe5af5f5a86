//! Amounts by pool and dimension, dense: what the queue hands in and looks up all the time.

use weir_model::{Amount, Dim, PoolId, PoolTree, ResourceVec};

/// An [`Amount`] for each pool and dimension, zero where nothing was set.
///
/// Kept dimension by dimension, because entitlements are divided one dimension at a time; a dimension that
/// becomes known later takes room when it is first set.
///
/// ```
/// use weir_entitlement::PoolTable;
/// use weir_model::{Amount, Dimensions, PoolId, PoolTree, ResourceVec};
/// let mut dims = Dimensions::new();
/// let gpu = dims.intern("nvidia.com/gpu");
/// let (tree, _) = PoolTree::build(vec![], &dims);
/// let mut usage = PoolTable::new(&tree);
/// usage.add(PoolId::ROOT, &ResourceVec::from_iter([(gpu, Amount::new(8))]));
/// assert_eq!(usage.amount(PoolId::ROOT, gpu), Amount::new(8));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolTable {
    /// The number of pools in a column.
    pools: usize,
    /// Column after column, one for each dimension.
    cells: Vec<Amount>,
}

impl PoolTable {
    /// Zero for every pool of the tree.
    #[must_use]
    pub fn new(tree: &PoolTree) -> Self {
        Self { pools: tree.len(), cells: Vec::new() }
    }

    /// The amount of a pool in a dimension.
    #[must_use]
    pub fn amount(&self, pool: PoolId, dim: Dim) -> Amount {
        self.column(dim).get(pool.index()).copied().unwrap_or_default()
    }

    /// Sets the amount of a pool in a dimension; a pool of another tree is ignored.
    ///
    /// ```
    /// use weir_entitlement::PoolTable;
    /// use weir_model::{Amount, Dimensions, PoolId, PoolTree};
    /// let gpu = Dimensions::new().intern("nvidia.com/gpu");
    /// let mut usage = PoolTable::new(&PoolTree::build(vec![], &Dimensions::new()).0);
    /// usage.set(PoolId::ROOT, gpu, Amount::new(4));
    /// assert_eq!(usage.column(gpu), [Amount::new(4)]);
    /// ```
    pub fn set(&mut self, pool: PoolId, dim: Dim, amount: Amount) {
        if pool.index() >= self.pools {
            return;
        }
        let at = dim.index() * self.pools + pool.index();
        if at >= self.cells.len() {
            self.cells.resize((dim.index() + 1) * self.pools, Amount::ZERO);
        }
        self.cells[at] = amount;
    }

    /// Adds to a pool, dimension by dimension, saturating.
    ///
    /// ```
    /// use weir_entitlement::PoolTable;
    /// use weir_model::{Amount, Dimensions, PoolId, PoolTree, ResourceVec};
    /// let gpu = Dimensions::new().intern("nvidia.com/gpu");
    /// let mut usage = PoolTable::new(&PoolTree::build(vec![], &Dimensions::new()).0);
    /// let pod = ResourceVec::from_iter([(gpu, Amount::new(4))]);
    /// usage.add(PoolId::ROOT, &pod);
    /// usage.add(PoolId::ROOT, &pod);
    /// assert_eq!(usage.amount(PoolId::ROOT, gpu), Amount::new(8));
    /// ```
    pub fn add(&mut self, pool: PoolId, amounts: &ResourceVec) {
        for (dim, amount) in amounts.iter() {
            self.set(pool, dim, self.amount(pool, dim) + amount);
        }
    }

    /// Takes from a pool, dimension by dimension, stopping at zero.
    ///
    /// ```
    /// use weir_entitlement::PoolTable;
    /// use weir_model::{Amount, Dimensions, PoolId, PoolTree, ResourceVec};
    /// let gpu = Dimensions::new().intern("nvidia.com/gpu");
    /// let mut usage = PoolTable::new(&PoolTree::build(vec![], &Dimensions::new()).0);
    /// usage.subtract(PoolId::ROOT, &ResourceVec::from_iter([(gpu, Amount::new(4))]));
    /// assert!(usage.amount(PoolId::ROOT, gpu).is_zero());
    /// ```
    pub fn subtract(&mut self, pool: PoolId, amounts: &ResourceVec) {
        for (dim, amount) in amounts.iter() {
            self.set(pool, dim, self.amount(pool, dim).minus(amount));
        }
    }

    /// Sets every amount to zero; the memory is kept.
    pub fn clear(&mut self) {
        self.cells.fill(Amount::ZERO);
    }

    /// One dimension, pool by pool; empty where nothing was ever set.
    #[must_use]
    pub fn column(&self, dim: Dim) -> &[Amount] {
        let start = dim.index() * self.pools;
        self.cells.get(start..start + self.pools).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_model::{Dimensions, PoolSpec};

    fn two_pools(dims: &Dimensions) -> PoolTree {
        let pool = |name: &str| PoolSpec { name: name.into(), ..PoolSpec::default() };
        PoolTree::build(vec![pool("a"), pool("b")], dims).0
    }

    #[test]
    fn a_dimension_that_becomes_known_later_takes_room_then() {
        let mut dims = Dimensions::new();
        let cpu = dims.intern("cpu");
        let tree = two_pools(&dims);
        let b = tree.find("b").unwrap();
        let mut table = PoolTable::new(&tree);
        table.set(b, cpu, Amount::new(3));
        let late = dims.intern("example.com/nic");
        assert_eq!(table.amount(b, late), Amount::ZERO);
        table.set(b, late, Amount::new(4));
        assert_eq!(table.column(cpu), [0, 0, 3].map(Amount::new));
        assert_eq!(table.column(late), [0, 0, 4].map(Amount::new));
    }

    #[test]
    fn what_was_added_can_be_taken_again_and_never_goes_below_zero() {
        let mut dims = Dimensions::new();
        let cpu = dims.intern("cpu");
        let tree = two_pools(&dims);
        let a = tree.find("a").unwrap();
        let mut table = PoolTable::new(&tree);
        table.add(a, &ResourceVec::from_iter([(cpu, Amount::new(3))]));
        table.subtract(a, &ResourceVec::from_iter([(cpu, Amount::new(2))]));
        assert_eq!(table.amount(a, cpu), Amount::new(1));
        table.subtract(a, &ResourceVec::from_iter([(cpu, Amount::new(2))]));
        assert_eq!(table.amount(a, cpu), Amount::ZERO);
    }
}
