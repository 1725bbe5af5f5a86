//! The queues of leaf pools: priority first, then creation time, then UID; replacements before all.
//!
//! The workloads of a queue stand in **buckets**, one for each request. Every workload in a bucket gets the same
//! answer from every check, and within one round an answer of no stays no, because what is used only grows; so a
//! round asks once for each bucket, not once for each of a hundred thousand pods.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Index, IndexMut};

use weir_model::PoolId;
use weir_model::reason::Waiting;

use super::ids::{GangId, PodId, RequestId};
use super::refusal::Refusal;
use crate::contract::pod::Uid;
use crate::contract::time::Time;

/// What is admitted in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Workload {
    /// A pod.
    Pod(PodId),
    /// A gang; where it has parts, what it needs of each.
    Gang(GangId),
    /// Elastic pods of a gang that go together, by the first of them.
    Group(GangId, PodId),
}

/// The sort key of a workload in its queue; the smallest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueKey {
    /// A replaced member of a gang that runs goes ahead of its queue.
    pub(crate) rank: Rank,
    pub(crate) priority: Reverse<i32>,
    pub(crate) created: Time,
    pub(crate) uid: Uid,
}

/// Whether a workload stands in the queue or ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rank {
    Replacement,
    Ordinary,
}

/// A workload that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuedWorkload {
    pub(crate) workload: Workload,
    /// When the last of its pods was created. Patience counts from here, so that every leader reads the same.
    pub(crate) since: Time,
}

/// Where a workload stands: the leaf, the bucket, and the key in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) leaf: PoolId,
    pub(crate) request: RequestId,
    pub(crate) key: QueueKey,
}

/// A request of a leaf that a check is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) leaf: PoolId,
    pub(crate) request: RequestId,
    /// The priority of the claimant where its pool lets it take the place of lower ones (C6).
    pub(crate) priority: Option<i32>,
}

impl Candidate {
    /// A request of a leaf that takes no other pod's place.
    pub(crate) const fn new(leaf: PoolId, request: RequestId) -> Self {
        Self { leaf, request, priority: None }
    }
}

/// The heads of the buckets of one leaf that are still to be asked about in a round.
pub(crate) type Open = BTreeMap<QueueKey, RequestId>;

/// The workloads of a queue that ask for the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) order: BTreeMap<QueueKey, QueuedWorkload>,
    /// The reason that all but the fresh workloads were told.
    pub(crate) told: Option<Waiting>,
    /// Why they wait, as of the last round.
    pub(crate) refusal: Option<Refusal>,
    /// The round in which they were last told.
    pub(crate) told_in: u64,
    /// The workloads that came since the others were told.
    pub(crate) fresh: Vec<Workload>,
}

/// The queue of a leaf pool, and what of the pool is admitted.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeafQueue {
    pub(crate) buckets: BTreeMap<RequestId, Bucket>,
    pub(crate) admitted: BTreeSet<PodId>,
}

impl LeafQueue {
    /// Puts a workload into the bucket of its request.
    pub(crate) fn insert(&mut self, request: RequestId, key: QueueKey, queued: QueuedWorkload) {
        let bucket = self.buckets.entry(request).or_default();
        bucket.order.insert(key, queued);
        bucket.fresh.push(queued.workload);
    }

    /// Takes a workload out of its bucket; an empty bucket goes with it.
    pub(crate) fn remove(&mut self, request: RequestId, key: &QueueKey) {
        if let Some(bucket) = self.buckets.get_mut(&request) {
            bucket.order.remove(key);
            if bucket.order.is_empty() {
                self.buckets.remove(&request);
            }
        }
    }

    /// The first workload of a bucket.
    pub(crate) fn first_of(&self, request: RequestId) -> Option<(QueueKey, QueuedWorkload)> {
        self.buckets.get(&request)?.order.first_key_value().map(|(&key, &queued)| (key, queued))
    }

    /// The workload under a key of a bucket.
    pub(crate) fn queued(&self, request: RequestId, key: &QueueKey) -> Option<QueuedWorkload> {
        self.buckets.get(&request)?.order.get(key).copied()
    }

    /// How many workloads wait.
    pub(crate) fn waiting(&self) -> usize {
        self.buckets.values().map(|bucket| bucket.order.len()).sum()
    }
}

/// The queues of all pools; those of inner pools stay empty.
#[derive(Clone, Debug)]
pub(crate) struct LeafQueues(Vec<LeafQueue>);

impl LeafQueues {
    /// Empty queues for so many pools.
    pub(crate) fn new(pools: usize) -> Self {
        Self(vec![LeafQueue::default(); pools])
    }

    pub(crate) fn get(&self, pool: PoolId) -> Option<&LeafQueue> {
        self.0.get(pool.index())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LeafQueue> {
        self.0.iter()
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }
}

impl Index<PoolId> for LeafQueues {
    type Output = LeafQueue;
    fn index(&self, pool: PoolId) -> &LeafQueue {
        &self.0[pool.index()]
    }
}

impl IndexMut<PoolId> for LeafQueues {
    fn index_mut(&mut self, pool: PoolId) -> &mut LeafQueue {
        &mut self.0[pool.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(rank: Rank, priority: i32, created: u64, uid: u128) -> QueueKey {
        QueueKey { rank, priority: Reverse(priority), created: Time::from_millis(created), uid: Uid::new(uid) }
    }

    #[test]
    fn the_order_is_replacement_then_priority_then_creation_then_uid() {
        let sorted = [
            key(Rank::Replacement, 0, 9, 9),
            key(Rank::Ordinary, 5, 9, 9),
            key(Rank::Ordinary, 0, 1, 9),
            key(Rank::Ordinary, 0, 2, 1),
            key(Rank::Ordinary, 0, 2, 2),
        ];
        assert!(sorted.is_sorted());
    }
}
