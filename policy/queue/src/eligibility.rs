//! Which demand moves entitlements (A7): that which would be admitted if only the entitlement were larger.
//!
//! With waiting pods alone a pool's entitlement would shrink as its pods are admitted; with all of them, pods
//! that can never be admitted would take from others. Whether a gang is complete, another gate is there or an
//! owner backs off was settled when the pod was filed (`gang`). Here is decided
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
use crate::order::{Entry, Place};
use crate::shape::{Ask, AskId};
use crate::state::Queue;
use crate::why::Why;

/// What counts as demand, and the answer for each bucket; kept, and brought up to date where something changed.
#[derive(Debug, Default)]
pub(crate) struct Eligible {
    /// By leaf: what each ask has in its way, alone.
    pub(crate) alone: Vec<Vec<(AskId, Result<(), Why>)>>,
    /// By leaf: what counts.
    demand: Vec<ResourceVec>,
    /// What all that are eligible alone ask for, by leaf and summed up over its ancestors.
    wanted: Sums,
    /// The part of it that is not preemptible.
    firm: Sums,
    /// By leaf: what it has in the two sums above.
    parts: Vec<[Vec<(AskId, usize)>; 2]>,
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
        let basis = (self.edition, self.nodes.layout.end(), self.dims.len());
        let mut eligible = std::mem::take(&mut self.eligible);
        if basis != eligible.basis || eligible.alone.len() != self.lines.len() {
            eligible =
                Eligible { basis, stale: self.leaves_below(PoolId::ROOT).into_iter().collect(), ..Eligible::default() };
            eligible.alone.resize_with(self.lines.len(), Vec::new);
            eligible.demand.resize_with(self.lines.len(), ResourceVec::new);
            eligible.parts.resize_with(self.lines.len(), Default::default);
        }
        let stale = std::mem::take(&mut eligible.stale);
        stale.iter().for_each(|&leaf| self.judge_leaf(leaf, &mut eligible));
        let before = std::mem::take(&mut eligible.crowded);
        eligible.crowded = self.crowded(&eligible.wanted, &eligible.firm);
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
        let asks: Vec<(AskId, usize)> =
            self.lines[leaf.index()].buckets.iter().map(|(&ask, bucket)| (ask, bucket.order.len())).collect();
        let answers = &mut eligible.alone[leaf.index()];
        answers.clear();
        let [all, firm] = &mut eligible.parts[leaf.index()];
        (*all, *firm) = (Vec::new(), Vec::new());
        for (ask, count) in asks {
            let answer = self.alone(leaf, ask);
            answers.push((ask, answer));
            if answer.is_ok() {
                all.push((ask, count));
                if !self.shapes.ask_of(ask).preemptible {
                    firm.push((ask, count));
                }
            }
        }
        self.count_parts(leaf, eligible, 1);
    }

    fn count_parts(&self, leaf: PoolId, eligible: &mut Eligible, times: i128) {
        let Eligible { wanted, firm, parts, .. } = eligible;
        for (sums, part) in [wanted, firm].into_iter().zip(&parts[leaf.index()]) {
            for &(ask, count) in part {
                sums.change(&self.pools.tree, leaf, &self.shapes.ask_of(ask).amounts, times * count as i128);
            }
        }
    }

    /// What is in the way of an ask, whatever others use and ask for.
    fn alone(&mut self, leaf: PoolId, ask_id: AskId) -> Result<(), Why> {
        let ask = self.shapes.ask_of(ask_id);
        if let Some(pool) = self.pools.held_by(leaf) {
            return Err(Why::Held { pool });
        }
        if let Some((pool, dim, largest)) = self.pools.too_large(leaf, &ask.amounts) {
            return Err(Why::MaxWorkload { pool, dim, asked: ask.amounts.amount(dim), largest });
        }
        for pool in self.pools.tree.path(leaf) {
            for (dim, asked) in ask.amounts.iter() {
                let limit = self.pools.cap(pool, dim);
                if asked > limit {
                    return Err(Why::Limit { pool, dim, asked, limit });
                }
                if let Some(reserved) = self.pools.reserved(pool, dim).filter(|&it| !ask.preemptible && asked > it) {
                    return Err(Why::Reservation { pool, dim, asked, reserved });
                }
            }
        }
        self.places.fits_empty(ask_id, ask, &self.nodes, &self.shapes).map_err(Why::Never)
    }

    /// The topmost pools in which all that waits would, together, be more than a limit or a reservation allows.
    fn crowded(&self, demand: &Sums, fixed: &Sums) -> Vec<PoolId> {
        let tree = &self.pools.tree;
        let crowds = |pool: PoolId| {
            self.dims.iter().any(|dim| {
                let (wanted, cap) = (demand.exact(pool, dim), self.pools.cap(pool, dim));
                let limit = wanted > 0
                    && cap < Amount::MAX
                    && self.ledger.usage.exact(pool, dim) + wanted > i128::from(cap.units());
                limit
                    || fixed.exact(pool, dim) > 0
                        && self.pools.reserved(pool, dim).is_some_and(|reserved| {
                            self.ledger.fixed.exact(pool, dim) + fixed.exact(pool, dim) > i128::from(reserved.units())
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
        let mut rest: Vec<(PoolId, AskId, btree_map::Keys<'_, Place, Entry>)> = Vec::new();
        for &leaf in leaves {
            eligible.demand[leaf.index()] = ResourceVec::new();
            for &(ask_id, answer) in &eligible.alone[leaf.index()] {
                let bucket = self.lines[leaf.index()].buckets.get(&ask_id).filter(|_| answer.is_ok());
                let Some(mut places) = bucket.map(|bucket| bucket.order.keys()) else { continue };
                if let Some(&first) = places.next() {
                    queue.push(Reverse((first, rest.len())));
                    rest.push((leaf, ask_id, places));
                }
            }
        }
        let (mut counted, mut firm) = (Sums::default(), Sums::default());
        while let Some(Reverse((_, at))) = queue.pop() {
            let (leaf, ask_id, places) = &mut rest[at];
            let ask = self.shapes.ask_of(*ask_id);
            // Room only shrinks, so the rest of a bucket that does not fit never will.
            if !self.counts(*leaf, ask, &counted, &firm) {
                continue;
            }
            counted.add(&self.pools.tree, *leaf, &ask.amounts);
            if !ask.preemptible {
                firm.add(&self.pools.tree, *leaf, &ask.amounts);
            }
            if let Some(&next) = places.next() {
                queue.push(Reverse((next, at)));
            }
        }
        for &leaf in leaves {
            let all = self.dims.iter().map(|dim| (dim, counted.amount(leaf, dim)));
            eligible.demand[leaf.index()] = all.collect();
        }
    }

    /// Whether one more of an ask stays within the limits and, not preemptible, within the reservations.
    fn counts(&self, leaf: PoolId, ask: &Ask, counted: &Sums, firm: &Sums) -> bool {
        let within = |used: i128, counted: i128, asked: Amount, bound: Amount| {
            bound == Amount::MAX || used + counted + i128::from(asked.units()) <= i128::from(bound.units())
        };
        self.pools.tree.path(leaf).filter(|&pool| pool != PoolId::ROOT).all(|pool| {
            ask.amounts.iter().all(|(dim, asked)| {
                // What others have, or ask for, and what may be taken from them, is no leaf's to be held back by.
                let used = of_one(&self.ledger.usage, &self.ledger.fixed, leaf, pool, dim);
                let before = of_one(counted, firm, leaf, pool, dim);
                let reserved = self.pools.reserved(pool, dim).filter(|_| !ask.preemptible);
                within(used, before, asked, self.pools.cap(pool, dim))
                    && reserved.is_none_or(|reserved| {
                        within(self.ledger.fixed.exact(pool, dim), firm.exact(pool, dim), asked, reserved)
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
fn of_one(all: &Sums, fixed: &Sums, leaf: PoolId, pool: PoolId, dim: Dim) -> i128 {
    all.exact(leaf, dim) + fixed.exact(pool, dim) - fixed.exact(leaf, dim)
}

/// What a pool has left under a bound.
pub(crate) fn left(bound: Amount, used: i128) -> Amount {
    ledger::amount(i128::from(bound.units()) - used)
}
