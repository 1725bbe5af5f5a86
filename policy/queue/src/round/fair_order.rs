//! The fair order of pools (B2): which leaf goes next.
//!
//! From the root down, at each level the child with the lowest usage ÷ entitlement, the largest over the
//! dimensions that its head asks for, then by name. 0/0 counts as 0: a pool that asks for nothing that is
//! divided is in no pool's way. x/0 is infinite: a pool that uses what it is not entitled to comes last.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use weir_model::{PoolId, PoolTree};

use crate::state::ids::RequestId;

/// The part of its entitlement that a pool uses: an exact ratio of two numbers that are not negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DominantShare {
    over: i128,
    under: i128,
}

impl DominantShare {
    pub(crate) const ZERO: Self = Self { over: 0, under: 1 };

    /// `over ÷ under`, with 0/0 = 0.
    pub(crate) const fn new(over: i128, under: i128) -> Self {
        if over <= 0 { Self::ZERO } else { Self { over, under: if under < 0 { 0 } else { under } } }
    }
}

impl Ord for DominantShare {
    /// Compares as fractions without multiplying, so that nothing can overflow: whole parts first, then the
    /// reciprocals of what is left, the other way round.
    fn cmp(&self, other: &Self) -> Ordering {
        let (mut a, mut b) = ((self.over, self.under), (other.over, other.under));
        loop {
            match (a.1 == 0, b.1 == 0) {
                (true, true) => return Ordering::Equal,
                (true, false) => return Ordering::Greater,
                (false, true) => return Ordering::Less,
                (false, false) => {}
            }
            let whole = (a.0 / a.1).cmp(&(b.0 / b.1));
            if whole != Ordering::Equal {
                return whole;
            }
            (a, b) = ((b.1, b.0 % b.1), (a.1, a.0 % a.1));
        }
    }
}

impl PartialOrd for DominantShare {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DominantShare {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for DominantShare {}

/// The pools in which a workload may go, in order, level by level.
#[derive(Debug)]
pub(crate) struct FairOrder {
    /// The children of each pool that have a head; siblings' positions are in the order of their names.
    children: Vec<BTreeSet<(DominantShare, PoolId)>>,
    /// The share under which a pool stands with its parent.
    dominant_share: Vec<Option<DominantShare>>,
    /// The request that goes next in each pool.
    head: Vec<Option<RequestId>>,
}

impl FairOrder {
    pub(crate) fn new(tree: &PoolTree) -> Self {
        let count = tree.len();
        Self { children: vec![BTreeSet::new(); count], dominant_share: vec![None; count], head: vec![None; count] }
    }

    /// Takes over which request goes next in a leaf, if any, and what that means for its ancestors.
    pub(crate) fn offer(
        &mut self,
        tree: &PoolTree,
        leaf: PoolId,
        head: Option<RequestId>,
        dominant_share: impl Fn(PoolId, RequestId) -> DominantShare,
    ) {
        self.head[leaf.index()] = head;
        let mut at = leaf;
        while let Some(parent) = tree.parent(at) {
            if let Some(before) = self.dominant_share[at.index()].take() {
                self.children[parent.index()].remove(&(before, at));
            }
            if let Some(request) = self.head[at.index()] {
                let now = dominant_share(at, request);
                self.dominant_share[at.index()] = Some(now);
                self.children[parent.index()].insert((now, at));
            }
            let first = self.children[parent.index()].first();
            self.head[parent.index()] = first.and_then(|&(_, child)| self.head[child.index()]);
            at = parent;
        }
    }

    /// The leaf that goes next.
    pub(crate) fn next(&self) -> Option<PoolId> {
        let mut at = PoolId::ROOT;
        while let Some(&(_, child)) = self.children.get(at.index())?.first() {
            at = child;
        }
        (at != PoolId::ROOT).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_nothing_is_zero_and_something_of_nothing_is_infinite() {
        assert_eq!(DominantShare::new(0, 0), DominantShare::ZERO);
        assert!(DominantShare::new(1, 0) > DominantShare::new(i128::from(i64::MAX), 1));
        assert_eq!(DominantShare::new(1, 0), DominantShare::new(2, 0));
    }

    #[test]
    fn ratios_compare_exactly_and_never_overflow() {
        let huge = i128::MAX;
        assert!(DominantShare::new(huge - 1, huge) < DominantShare::new(1, 1));
        assert!(DominantShare::new(huge - 2, huge - 1) < DominantShare::new(huge - 1, huge));
        assert_eq!(DominantShare::new(2, 4), DominantShare::new(1, 2));
        assert!(DominantShare::new(1, 3) < DominantShare::new(2, 5));
    }
}
