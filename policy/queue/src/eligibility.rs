//! Which demand moves entitlements (A7): that which would be admitted if only the entitlement were larger.
//!
//! With waiting pods alone a pool's entitlement would shrink as its pods are admitted; with all of them, pods
//! that can never be admitted would take from others. Whether a gang is complete, another gate is there or an
//! owner backs off was settled when the pod was filed (`gang`). Here is decided
//!
//! - **alone**: whether its pool takes it, it is within every limit and, if it is not preemptible, every
//!   reservation on its path, and it would fit if the usable nodes were empty;
//! - **together**: how many of those stay within the limits of pool and ancestors, taken in queue order in
//!   every dimension at once, and how many of the non-preemptible ones within the reservations (B4).
//!
//! The second walk is only made below pools where all of it together would be too much.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::btree_map;

use weir_model::{Amount, PoolId};

use crate::admit::Why;
use crate::ledger::{self, Sums};
use crate::order::{Entry, Place};
use crate::shape::{Ask, AskId};
use crate::state::Queue;

/// What counts as demand, and the answer for each bucket.
#[derive(Debug, Default)]
pub(crate) struct Eligible {
    /// By leaf, and summed up over its ancestors.
    pub(crate) demand: Sums,
    /// By leaf: what each ask has in its way, alone.
    pub(crate) alone: Vec<Vec<(AskId, Result<(), Why>)>>,
}

impl Queue {
    /// Sorts the waiting into those that move entitlements and the others.
    pub(crate) fn eligible(&mut self) -> Eligible {
        let mut eligible = Eligible { alone: vec![Vec::new(); self.lines.len()], ..Eligible::default() };
        let mut fixed = Sums::default();
        for leaf in self.pools.tree.iter() {
            for (ask_id, count) in self.asks_in(leaf) {
                let answer = self.alone(leaf, ask_id);
                eligible.alone[leaf.index()].push((ask_id, answer));
                if answer.is_ok() {
                    let ask = self.shapes.ask_of(ask_id);
                    eligible.demand.change(&self.pools.tree, leaf, &ask.amounts, count as i128);
                    if !ask.preemptible {
                        fixed.change(&self.pools.tree, leaf, &ask.amounts, count as i128);
                    }
                }
            }
        }
        for pool in self.crowded(&eligible.demand, &fixed) {
            self.walk(pool, &mut eligible);
        }
        eligible
    }

    fn asks_in(&self, leaf: PoolId) -> Vec<(AskId, usize)> {
        self.lines[leaf.index()].buckets.iter().map(|(&ask, bucket)| (ask, bucket.order.len())).collect()
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

    /// Counts anew below `top`, in queue order: whoever is above a limit is left out, and others go on.
    fn walk(&self, top: PoolId, eligible: &mut Eligible) {
        let mut queue = BinaryHeap::new();
        let mut rest: Vec<(PoolId, AskId, btree_map::Keys<'_, Place, Entry>)> = Vec::new();
        for leaf in self.leaves_below(top) {
            for &(ask_id, answer) in &eligible.alone[leaf.index()] {
                let Some(bucket) = self.lines[leaf.index()].buckets.get(&ask_id).filter(|_| answer.is_ok()) else {
                    continue;
                };
                let whole = &self.shapes.ask_of(ask_id).amounts;
                eligible.demand.change(&self.pools.tree, leaf, whole, -(bucket.order.len() as i128));
                let mut places = bucket.order.keys();
                if let Some(&first) = places.next() {
                    queue.push(Reverse((first, rest.len())));
                    rest.push((leaf, ask_id, places));
                }
            }
        }
        let mut fixed = Sums::default();
        while let Some(Reverse((_, at))) = queue.pop() {
            let (leaf, ask_id, places) = &mut rest[at];
            let ask = self.shapes.ask_of(*ask_id);
            // Room only shrinks, so the rest of a bucket that does not fit never will.
            if !self.counts(*leaf, ask, &eligible.demand, &fixed) {
                continue;
            }
            eligible.demand.add(&self.pools.tree, *leaf, &ask.amounts);
            if !ask.preemptible {
                fixed.add(&self.pools.tree, *leaf, &ask.amounts);
            }
            if let Some(&next) = places.next() {
                queue.push(Reverse((next, at)));
            }
        }
    }

    /// Whether one more of an ask stays within the limits and, not preemptible, within the reservations.
    fn counts(&self, leaf: PoolId, ask: &Ask, demand: &Sums, fixed: &Sums) -> bool {
        let within = |used: i128, counted: i128, asked: Amount, bound: Amount| {
            bound == Amount::MAX || used + counted + i128::from(asked.units()) <= i128::from(bound.units())
        };
        self.pools.tree.path(leaf).filter(|&pool| pool != PoolId::ROOT).all(|pool| {
            ask.amounts.iter().all(|(dim, asked)| {
                let used = self.ledger.usage.exact(pool, dim);
                let reserved = self.pools.reserved(pool, dim).filter(|_| !ask.preemptible);
                within(used, demand.exact(pool, dim), asked, self.pools.cap(pool, dim))
                    && reserved.is_none_or(|reserved| {
                        within(self.ledger.fixed.exact(pool, dim), fixed.exact(pool, dim), asked, reserved)
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

/// What a pool has left under a bound.
pub(crate) fn left(bound: Amount, used: i128) -> Amount {
    ledger::amount(i128::from(bound.units()) - used)
}
