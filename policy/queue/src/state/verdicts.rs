//! What numbers alone said of the buckets of each leaf, kept from one round to the next.
//!
//! A verdict depends on what stands in the leaf and, pool by pool upwards, on what is used, claimed and entitled
//! there, up to the pool that said no. Where none of that changed the verdict is the same; after one change that
//! is nearly everywhere so. What time alone can change, a head's patience, is not kept here.

use weir_model::{Amount, Dimensions, PoolId};

use super::ids::RequestId;
use super::pools::Pools;
use super::queues::{Open, QueueKey, Workload};
use super::refusal::{Refusal, Refused};
use super::usage::Usage;

/// The first workload of a leaf that may go at all and is not larger than the leaf's entitlement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) key: QueueKey,
    pub(crate) request: RequestId,
    /// Why numbers say no to it, if they do.
    pub(crate) refusal: Option<Refusal>,
}

/// What numbers said of the buckets of one leaf.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeafVerdict {
    /// The heads of the buckets that numbers do not stop.
    pub(crate) open: Open,
    /// The buckets that something stops.
    pub(crate) refused: Vec<Refused>,
    pub(crate) head: Option<Head>,
    /// The workloads that had a claim and were left out.
    pub(crate) claimants: Vec<Workload>,
    /// On how many pools the verdict depends, from the leaf upwards.
    pub(crate) reach: usize,
}

/// All that numbers are judged by in one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Basis {
    sums: [Vec<i128>; 4],
    entitled: Vec<Amount>,
}

/// The verdicts of the last round, and what they were based on.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    /// By pool.
    basis: Vec<Basis>,
    /// By leaf.
    leaves: Vec<Option<LeafVerdict>>,
}

impl Verdicts {
    /// Forgets on what the verdicts were based, because that changed while they were given.
    pub(crate) fn invalidate(&mut self) {
        self.basis.clear();
    }

    /// Takes down what verdicts are based on from now on, and says in which pools it is new.
    pub(crate) fn renew(&mut self, pools: &Pools, usage: &Usage, dims: &Dimensions) -> Vec<bool> {
        let count = pools.tree.len();
        if self.basis.len() != count {
            self.basis = vec![Basis::default(); count];
            self.leaves = vec![None; count];
        }
        let Usage { admitted, non_preemptible, claimed, over_entitlement, terminating: _, waiting: _ } = usage;
        let mut changed = Vec::with_capacity(count);
        for (pool, Basis { sums, entitled }) in pools.tree.iter().zip(&mut self.basis) {
            let rows = [admitted.row(pool), non_preemptible.row(pool), claimed.row(pool), over_entitlement.row(pool)];
            let mut new = false;
            for (known, row) in sums.iter_mut().zip(rows) {
                if known != row {
                    new = true;
                    *known = row.to_vec();
                }
            }
            if !dims.iter().map(|dim| pools.entitled(pool, dim)).eq(entitled.iter().copied()) {
                new = true;
                *entitled = dims.iter().map(|dim| pools.entitled(pool, dim)).collect();
            }
            changed.push(new);
        }
        changed
    }

    /// The verdict on a leaf.
    pub(crate) fn of(&self, leaf: PoolId) -> Option<&LeafVerdict> {
        self.leaves.get(leaf.index())?.as_ref()
    }

    /// The place where the verdict on a leaf is kept.
    pub(crate) fn of_mut(&mut self, leaf: PoolId) -> &mut Option<LeafVerdict> {
        &mut self.leaves[leaf.index()]
    }
}
