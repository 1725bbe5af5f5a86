//! The pool tree laid out for division: which pool hangs under which, and what each reserves, without any names.
//!
//! Built once for a tree; a cycle then reads nothing but arrays.

use std::ops::Range;

use weir_model::{Amount, Dimensions, PoolId, PoolTree, ResourceKind, ResourceSpec};

/// What holds for one pool in one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// What the pool is guaranteed.
    pub(crate) reservation: Amount,
    /// What it may never exceed; [`Amount::MAX`] where nothing is said.
    pub(crate) limit: Amount,
    /// Its weight; 0 never borrows.
    pub(crate) share: u32,
    /// Whether it keeps what it reserves and does not use.
    pub(crate) kind: ResourceKind,
}

impl Terms {
    fn new(ResourceSpec { reservation, limit, share, kind }: ResourceSpec) -> Self {
        Self { reservation, limit: limit.unwrap_or(Amount::MAX), share, kind }
    }

    /// What the pool gets in any case, asked for or not: the reservation of a static pool.
    pub(crate) fn kept(&self) -> Amount {
        match self.kind {
            ResourceKind::Static => self.reservation,
            ResourceKind::Elastic => Amount::ZERO,
        }
    }

    /// What the pool gets of its reservation in step 1 with this requirement.
    pub(crate) fn claim(&self, requirement: Amount) -> Amount {
        match self.kind {
            ResourceKind::Static => self.reservation,
            ResourceKind::Elastic => requirement.min(self.reservation),
        }
    }
}

/// The tree by positions; parents come before their children, siblings are neighbours sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Positions of the children of each pool; empty for leaves.
    pub(crate) children: Vec<Range<usize>>,
    /// The pool above each pool; the root's is itself.
    pub(crate) parent: Vec<usize>,
    /// The same pools as the tree knows them.
    pub(crate) ids: Vec<PoolId>,
    /// The positions of pools without children.
    pub(crate) leaves: Vec<usize>,
    /// Per dimension, per pool.
    pub(crate) terms: Vec<Vec<Terms>>,
}

impl Shape {
    pub(crate) fn new(tree: &PoolTree, dims: &Dimensions) -> Self {
        let mut shape = Self { ids: tree.iter().collect(), ..Self::default() };
        for pool in tree.iter() {
            let mut children = tree.children(pool);
            let count = children.len();
            let first = children.next().map_or(0, PoolId::index);
            shape.children.push(first..first + count);
            shape.parent.push(tree.parent(pool).map_or(0, PoolId::index));
            if count == 0 {
                shape.leaves.push(pool.index());
            }
        }
        let terms = |dim| tree.iter().map(|pool| Terms::new(tree.spec(pool, dim, dims))).collect();
        shape.terms = dims.iter().map(terms).collect();
        shape
    }

    /// The pools with children, children before parents, each with its children's positions.
    pub(crate) fn inner_from_below(&self) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        self.children.iter().cloned().enumerate().rev().filter(|(_, children)| !children.is_empty())
    }

    /// How many pools there are, the root included.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}
