//! Which demand moves entitlements (A7): that which would be admitted if only the entitlement were larger.
//!
//! With waiting pods alone a pool's entitlement would shrink as its pods are admitted; with all of them, pods
//! that can never be admitted would take from others. Whether a gang is complete, another gate is there or an
//! owner backs off was settled when the pod was queued (`gangs`). Here is decided
//!
//! - **alone**: whether its pool takes it, it is within every limit and, if it is not preemptible, every
//!   reservation on its path, and it would fit if the usable nodes were empty;
//! - **together**: how many of a leaf's stay within the limits of pool and ancestors, taken in queue order in
//!   every dimension at once, and how many of the non-preemptible ones within the reservations (B4).
//!
//! What other leaves use or ask for and may be taken from them does not count against a limit that they share:
//! entitlements divide it. Otherwise those who use it up first would keep their siblings from what these reserve.
//!
//! The second walk is only made below pools where all of it together would be too much.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, btree_map};

use weir_model::{Amount, Dim, PoolId, ResourceVec};

use crate::ledger::{self, Sums};
use crate::queues::{QueueKey, QueuedWorkload};
use crate::refusal::Refusal;
use crate::shapes::{Request, RequestId};
use crate::state::Queue;

/// What counts as demand, and the answer for each bucket; kept, and brought up to date where something changed.
#[derive(Debug, Default)]
pub(crate) struct Eligible {
    /// By leaf: what each request has in its way, alone.
    pub(crate) alone: Vec<Vec<(RequestId, Result<(), Refusal>)>>,
    /// By leaf: what counts.
    demand: Vec<ResourceVec>,
    /// What all that are eligible alone ask for, by leaf and summed up over its ancestors.
    wanted: Sums,
    /// The part of it that is not preemptible.
    non_preemptible: Sums,
    /// By leaf: what it has in the two sums above.
    parts: Vec<[Vec<(RequestId, usize)>; 2]>,
    /// The pools below which the second walk was made.
    crowded: Vec<PoolId>,
    /// The state of pools and nodes that the answers hold for.
    basis: (u64, u64, usize),
    /// Leaves of which something changed since.
    pub(crate) stale: BTreeSet<PoolId>,
    /// Leaves that were judged anew in this step.
    pub(crate) judged: BTreeSet<PoolId>,
}

impl Eligible {
    /// The eligible demand of a leaf.
    pub(crate) fn demand(&self, leaf: PoolId, dim: Dim) -> Amount {
        self.demand.get(leaf.index()).map_or(Amount::ZERO, |row| row.amount(dim))
    }
}

impl Queue {
    /// Sorts the waiting into those that move entitlements and the others.
    pub(crate) fn judge_eligibility(&mut self) {
        let basis = (self.pools_generation, self.nodes.layout.end(), self.dims.len());
        let mut eligible = std::mem::take(&mut self.eligible);
        if basis != eligible.basis || eligible.alone.len() != self.leaf_queues.len() {
            eligible =
                Eligible { basis, stale: self.leaves_below(PoolId::ROOT).into_iter().collect(), ..Eligible::default() };
            eligible.alone.resize_with(self.leaf_queues.len(), Vec::new);
            eligible.demand.resize_with(self.leaf_queues.len(), ResourceVec::new);
            eligible.parts.resize_with(self.leaf_queues.len(), Default::default);
        }
        let stale = std::mem::take(&mut eligible.stale);
        stale.iter().for_each(|&leaf| self.judge_leaf(leaf, &mut eligible));
        let before = std::mem::take(&mut eligible.crowded);
        eligible.crowded = self.crowded(&eligible.wanted, &eligible.non_preemptible);
        let same = before == eligible.crowded;
        let mut below = BTreeSet::new();
        for top in eligible.crowded.clone() {
            let leaves = self.leaves_below(top);
            if !same || leaves.iter().any(|leaf| stale.contains(leaf)) {
                self.walk(&leaves, &mut eligible);
            }
            below.extend(leaves);
        }
        for leaf in self.leaves_below(PoolId::ROOT).into_iter().filter(|leaf| !below.contains(leaf)) {
            if !same || stale.contains(&leaf) {
                let all = self.dims.iter().map(|dim| (dim, eligible.wanted.amount(leaf, dim)));
                eligible.demand[leaf.index()] = all.collect();
            }
        }
        eligible.judged = stale;
        self.eligible = eligible;
    }

    /// Asks anew about every bucket of a leaf.
    fn judge_leaf(&mut self, leaf: PoolId, eligible: &mut Eligible) {
        self.count_parts(leaf, eligible, -1);
        let requests: Vec<(RequestId, usize)> = self.leaf_queues[leaf.index()]
            .buckets
            .iter()
            .map(|(&request, bucket)| (request, bucket.order.len()))
            .collect();
        let verdicts = &mut eligible.alone[leaf.index()];
        verdicts.clear();
        let [all, non_preemptible] = &mut eligible.parts[leaf.index()];
        (*all, *non_preemptible) = (Vec::new(), Vec::new());
        for (request, count) in requests {
            let verdict = self.alone(leaf, request);
            verdicts.push((request, verdict));
            if verdict.is_ok() {
                all.push((request, count));
                if !self.shapes.request_of(request).preemptible {
                    non_preemptible.push((request, count));
                }
            }
        }
        self.count_parts(leaf, eligible, 1);
    }

    fn count_parts(&self, leaf: PoolId, eligible: &mut Eligible, times: i128) {
        let Eligible { wanted, non_preemptible, parts, .. } = eligible;
        for (sums, part) in [wanted, non_preemptible].into_iter().zip(&parts[leaf.index()]) {
            for &(request, count) in part {
                sums.change(&self.pools.tree, leaf, &self.shapes.request_of(request).amounts, times * count as i128);
            }
        }
    }

    /// What is in the way of a request, whatever others use and ask for.
    fn alone(&mut self, leaf: PoolId, request_id: RequestId) -> Result<(), Refusal> {
        let request = self.shapes.request_of(request_id);
        if let Some(pool) = self.pools.held_by(leaf) {
            return Err(Refusal::Held { pool });
        }
        if let Some((pool, dim, largest)) = self.pools.too_large(leaf, &request.amounts) {
            return Err(Refusal::MaxWorkload { pool, dim, asked: request.amounts.amount(dim), largest });
        }
        for pool in self.pools.tree.path(leaf) {
            for (dim, asked) in request.amounts.iter() {
                let limit = self.pools.cap(pool, dim);
                if asked > limit {
                    return Err(Refusal::Limit { pool, dim, asked, limit });
                }
                if let Some(reserved) = self.pools.reserved(pool, dim).filter(|&it| !request.preemptible && asked > it)
                {
                    return Err(Refusal::Reservation { pool, dim, asked, reserved });
                }
            }
        }
        self.fit_index.fits_empty(request_id, request, &self.nodes, &self.shapes).map_err(Refusal::Never)
    }

    /// The topmost pools in which all that waits would, together, be more than a limit or a reservation allows.
    fn crowded(&self, demand: &Sums, non_preemptible: &Sums) -> Vec<PoolId> {
        let tree = &self.pools.tree;
        let crowds = |pool: PoolId| {
            self.dims.iter().any(|dim| {
                let (wanted, cap) = (demand.exact(pool, dim), self.pools.cap(pool, dim));
                let limit = wanted > 0
                    && cap < Amount::MAX
                    && self.ledger.usage.exact(pool, dim) + wanted > i128::from(cap.units());
                limit
                    || non_preemptible.exact(pool, dim) > 0
                        && self.pools.reserved(pool, dim).is_some_and(|reserved| {
                            self.ledger.non_preemptible.exact(pool, dim) + non_preemptible.exact(pool, dim)
                                > i128::from(reserved.units())
                        })
            })
        };
        let (mut below, mut topmost) = (vec![false; tree.len()], Vec::new());
        for pool in tree.iter().filter(|&pool| pool != PoolId::ROOT) {
            let above = tree.parent(pool).is_some_and(|parent| below[parent.index()]);
            below[pool.index()] = above || crowds(pool);
            if below[pool.index()] && !above {
                topmost.push(pool);
            }
        }
        topmost
    }

    /// Counts anew in these leaves, in queue order: whoever is above a limit is left out, and others go on.
    fn walk(&self, leaves: &[PoolId], eligible: &mut Eligible) {
        let mut queue = BinaryHeap::new();
        let mut rest: Vec<(PoolId, RequestId, btree_map::Keys<'_, QueueKey, QueuedWorkload>)> = Vec::new();
        for &leaf in leaves {
            eligible.demand[leaf.index()] = ResourceVec::new();
            for &(request_id, verdict) in &eligible.alone[leaf.index()] {
                let bucket = self.leaf_queues[leaf.index()].buckets.get(&request_id).filter(|_| verdict.is_ok());
                let Some(mut keys) = bucket.map(|bucket| bucket.order.keys()) else { continue };
                if let Some(&first) = keys.next() {
                    queue.push(Reverse((first, rest.len())));
                    rest.push((leaf, request_id, keys));
                }
            }
        }
        let (mut counted, mut non_preemptible) = (Sums::default(), Sums::default());
        while let Some(Reverse((_, at))) = queue.pop() {
            let (leaf, request_id, keys) = &mut rest[at];
            let request = self.shapes.request_of(*request_id);
            // Room only shrinks, so the rest of a bucket that does not fit never will.
            if !self.counts(*leaf, request, &counted, &non_preemptible) {
                continue;
            }
            counted.add(&self.pools.tree, *leaf, &request.amounts);
            if !request.preemptible {
                non_preemptible.add(&self.pools.tree, *leaf, &request.amounts);
            }
            if let Some(&next) = keys.next() {
                queue.push(Reverse((next, at)));
            }
        }
        for &leaf in leaves {
            let all = self.dims.iter().map(|dim| (dim, counted.amount(leaf, dim)));
            eligible.demand[leaf.index()] = all.collect();
        }
    }

    /// Whether one more of a request stays within the limits and, not preemptible, within the reservations.
    fn counts(&self, leaf: PoolId, request: &Request, counted: &Sums, non_preemptible: &Sums) -> bool {
        let within = |used: i128, counted: i128, asked: Amount, bound: Amount| {
            bound == Amount::MAX || used + counted + i128::from(asked.units()) <= i128::from(bound.units())
        };
        self.pools.tree.path(leaf).filter(|&pool| pool != PoolId::ROOT).all(|pool| {
            request.amounts.iter().all(|(dim, asked)| {
                // What others have, or ask for, and what may be taken from them, is no leaf's to be held back by.
                let used = of_one(&self.ledger.usage, &self.ledger.non_preemptible, leaf, pool, dim);
                let before = of_one(counted, non_preemptible, leaf, pool, dim);
                let reserved = self.pools.reserved(pool, dim).filter(|_| !request.preemptible);
                within(used, before, asked, self.pools.cap(pool, dim))
                    && reserved.is_none_or(|reserved| {
                        within(
                            self.ledger.non_preemptible.exact(pool, dim),
                            non_preemptible.exact(pool, dim),
                            asked,
                            reserved,
                        )
                    })
            })
        })
    }

    /// The leaves under a pool, or the pool itself.
    pub(crate) fn leaves_below(&self, top: PoolId) -> Vec<PoolId> {
        let (mut open, mut leaves) = (vec![top], Vec::new());
        while let Some(pool) = open.pop() {
            if self.pools.tree.is_leaf(pool) {
                leaves.push(pool);
            }
            open.extend(self.pools.tree.children(pool));
        }
        leaves.sort_unstable();
        leaves
    }
}

/// What counts in a pool for one of its leaves: all that is the leaf's own, and of others what is not preemptible.
fn of_one(all: &Sums, non_preemptible: &Sums, leaf: PoolId, pool: PoolId, dim: Dim) -> i128 {
    all.exact(leaf, dim) + non_preemptible.exact(pool, dim) - non_preemptible.exact(leaf, dim)
}

/// What a pool has left under a bound.
pub(crate) fn left(bound: Amount, used: i128) -> Amount {
    ledger::amount(i128::from(bound.units()) - used)
}
