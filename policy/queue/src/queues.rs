//! In which order the pods of a pool go: priority, then creation time, then UID; replacements before all.
//!
//! The pods of a queue stand in **buckets**, one for each request. Everybody in a bucket gets the same answer
//! from every check, and within one round an answer of no stays no, because what is used only grows; so a
//! round asks once for each bucket, not once for each of a hundred thousand pods.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::Time;
use crate::pod::Uid;
use crate::refusal::Refusal;
use crate::shapes::RequestId;
use weir_model::reason::Waiting;

/// What is admitted in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Workload {
    /// A pod, by its number.
    Pod(u32),
    /// A gang, by its number; where it has parts, what it needs of each.
    Gang(u32),
    /// Elastic pods of a gang that go together, by the numbers of the gang and of the first of them.
    Group(u32, u32),
}

/// The place of a workload in its queue; the smallest goes first.
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

/// One that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuedWorkload {
    pub(crate) workload: Workload,
    /// Since when nothing but quota and room was in its way.
    pub(crate) since: Time,
}

/// The workloads of a queue that ask for the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) order: BTreeMap<QueueKey, QueuedWorkload>,
    /// The reason that all but the fresh ones were told.
    pub(crate) told: Option<Waiting>,
    /// Why they wait, as of the last round.
    pub(crate) refusal: Option<Refusal>,
    /// The round in which they were last told.
    pub(crate) told_in: u64,
    /// Came since the others were told.
    pub(crate) fresh: Vec<Workload>,
}

/// The queue of a leaf pool, and what of it is admitted.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeafQueue {
    pub(crate) buckets: BTreeMap<RequestId, Bucket>,
    /// Admitted pods, by their numbers.
    pub(crate) admitted: BTreeSet<u32>,
}

impl LeafQueue {
    pub(crate) fn insert(&mut self, request: RequestId, key: QueueKey, queued: QueuedWorkload) {
        let bucket = self.buckets.entry(request).or_default();
        bucket.order.insert(key, queued);
        bucket.fresh.push(queued.workload);
    }

    pub(crate) fn remove(&mut self, request: RequestId, key: &QueueKey) {
        if let Some(bucket) = self.buckets.get_mut(&request) {
            bucket.order.remove(key);
            if bucket.order.is_empty() {
                self.buckets.remove(&request);
            }
        }
    }

    /// How many workloads wait.
    pub(crate) fn waiting(&self) -> usize {
        self.buckets.values().map(|bucket| bucket.order.len()).sum()
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
