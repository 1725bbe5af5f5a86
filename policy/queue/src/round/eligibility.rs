//! Which demand moves entitlements (A7): that which would be admitted if only the entitlement were larger.
//!
//! With waiting pods alone a pool's entitlement would shrink as its pods are admitted; with all of them, pods
//! that can never be admitted would take from others. Whether a gang is complete, another gate is there or an
//! owner backs off was settled when the pod was queued (`gangs`, `enqueue`). Here is decided
//!
//! - **alone**: whether its pool takes a request, it is within every limit and, if it is not preemptible, every
//!   reservation on its path, and it would fit if the usable nodes were empty;
//! - **together**: how many of a leaf's workloads stay within the limits of pool and ancestors, taken in queue
//!   order in every dimension at once, and how many of the non-preemptible ones within the reservations (B4).
//!
//! What other leaves use or ask for and may be taken from them does not count against a limit that they share:
//! entitlements divide it. Otherwise those that use it up first would keep their siblings from what these reserve.
//!
//! The second walk is only made below pools where all of it together would be too much.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, btree_map};

use weir_model::{Amount, Dim, PoolId, ResourceVec};

use crate::state::State;
use crate::state::demand::{Basis, Counted, EligibleDemand};
use crate::state::ids::RequestId;
use crate::state::queues::{QueueKey, QueuedWorkload};
use crate::state::refusal::Refusal;
use crate::state::shapes::Request;
use crate::state::sums::Sums;

/// Sorts the waiting workloads into those that move entitlements and the others.
pub(super) fn judge_eligibility(state: &mut State) {
    let basis =
        Basis { pools: state.pools.generation, layout: state.nodes.layout.end(), dims: state.shapes.dims.len() };
    let all_leaves = state.leaves_below(PoolId::ROOT);
    let mut demand = std::mem::take(&mut state.demand);
    if basis != demand.basis || demand.alone.len() != state.queues.len() {
        demand = EligibleDemand::new(basis, state.queues.len(), all_leaves.iter().copied());
    }
    let stale = std::mem::take(&mut demand.stale);
    stale.iter().for_each(|&leaf| judge_leaf(state, leaf, &mut demand));
    let before = std::mem::take(&mut demand.crowded);
    demand.crowded = crowded(state, &demand.wanted, &demand.non_preemptible);
    let same = before == demand.crowded;
    let mut below = BTreeSet::new();
    for top in demand.crowded.clone() {
        let leaves = state.leaves_below(top);
        if !same || leaves.iter().any(|leaf| stale.contains(leaf)) {
            walk(state, &leaves, &mut demand);
        }
        below.extend(leaves);
    }
    for leaf in all_leaves.into_iter().filter(|leaf| !below.contains(leaf)) {
        if !same || stale.contains(&leaf) {
            let all = state.shapes.dims.iter().map(|dim| (dim, demand.wanted.amount(leaf, dim)));
            demand.demand[leaf.index()] = all.collect();
        }
    }
    demand.judged = stale;
    state.demand = demand;
}

/// Judges every bucket of a leaf anew, and counts what is eligible by itself.
fn judge_leaf(state: &mut State, leaf: PoolId, demand: &mut EligibleDemand) {
    count(state, leaf, demand, -1);
    let buckets = state.queues[leaf].buckets.iter();
    let requests: Vec<(RequestId, usize)> = buckets.map(|(&request, bucket)| (request, bucket.order.len())).collect();
    let mut counted = Counted::default();
    let mut answers = std::mem::take(&mut demand.alone[leaf.index()]);
    answers.clear();
    for (request, count) in requests {
        let answer = alone(state, leaf, request);
        answers.push((request, answer));
        if answer.is_ok() {
            counted.all.push((request, count));
            if !state.shapes.request_of(request).preemptible {
                counted.non_preemptible.push((request, count));
            }
        }
    }
    demand.alone[leaf.index()] = answers;
    demand.counted[leaf.index()] = counted;
    count(state, leaf, demand, 1);
}

/// Adds what was counted of a leaf to the sums, or (`times` −1) takes it away.
fn count(state: &State, leaf: PoolId, demand: &mut EligibleDemand, times: i128) {
    let EligibleDemand { wanted, non_preemptible, counted, .. } = demand;
    let Counted { all, non_preemptible: part } = &counted[leaf.index()];
    for (sums, counted) in [(wanted, all), (non_preemptible, part)] {
        for &(request, count) in counted {
            let amounts = &state.shapes.request_of(request).amounts;
            sums.change(&state.pools.tree, leaf, amounts, times * count as i128);
        }
    }
}

/// What is in the way of a request, whatever others use and ask for.
fn alone(state: &mut State, leaf: PoolId, id: RequestId) -> Result<(), Refusal> {
    let State { pools, shapes, fit, nodes, .. } = state;
    let request = shapes.request_of(id);
    if let Some(pool) = pools.held_by(leaf) {
        return Err(Refusal::Held { pool });
    }
    if let Some((pool, dim, largest)) = pools.too_large(leaf, &request.amounts) {
        return Err(Refusal::MaxWorkload { pool, dim, asked: request.amounts.amount(dim), largest });
    }
    for pool in pools.tree.path(leaf) {
        for (dim, asked) in request.amounts.iter() {
            let limit = pools.cap(pool, dim);
            if asked > limit {
                return Err(Refusal::Limit { pool, dim, asked, limit });
            }
            if let Some(reserved) = pools.reserved(pool, dim).filter(|&it| !request.preemptible && asked > it) {
                return Err(Refusal::Reservation { pool, dim, asked, reserved });
            }
        }
    }
    fit.fits_empty(id, nodes, shapes).map_err(Refusal::Never)
}

/// The topmost pools in which all that waits would, together, be more than a limit or a reservation allows.
fn crowded(state: &State, demand: &Sums, non_preemptible: &Sums) -> Vec<PoolId> {
    let State { pools, usage, shapes, .. } = state;
    let above_limit = |pool: PoolId, dim: Dim| {
        let (wanted, cap) = (demand.exact(pool, dim), pools.cap(pool, dim));
        let used = usage.admitted.exact(pool, dim);
        wanted > 0 && cap < Amount::MAX && used + wanted > i128::from(cap.units())
    };
    let above_reservation = |pool: PoolId, dim: Dim| {
        let wanted = non_preemptible.exact(pool, dim);
        let used = usage.non_preemptible.exact(pool, dim);
        let reserved = || pools.reserved(pool, dim).filter(|reserved| used + wanted > i128::from(reserved.units()));
        wanted > 0 && reserved().is_some()
    };
    let crowds = |pool| shapes.dims.iter().any(|dim| above_limit(pool, dim) || above_reservation(pool, dim));
    let (mut below, mut topmost) = (vec![false; pools.tree.len()], Vec::new());
    for pool in pools.tree.iter().filter(|&pool| pool != PoolId::ROOT) {
        let above = pools.tree.parent(pool).is_some_and(|parent| below[parent.index()]);
        below[pool.index()] = above || crowds(pool);
        if below[pool.index()] && !above {
            topmost.push(pool);
        }
    }
    topmost
}

/// The workloads of a bucket that were not walked over yet.
struct Rest<'a> {
    leaf: PoolId,
    request: RequestId,
    keys: btree_map::Keys<'a, QueueKey, QueuedWorkload>,
}

/// Counts anew in these leaves, in queue order: a workload that is above a limit is left out, and others go on.
fn walk(state: &State, leaves: &[PoolId], demand: &mut EligibleDemand) {
    let tree = &state.pools.tree;
    let mut queue = BinaryHeap::new();
    let mut buckets: Vec<Rest<'_>> = Vec::new();
    for &leaf in leaves {
        for &(request, answer) in demand.answers(leaf) {
            let bucket = state.queues[leaf].buckets.get(&request).filter(|_| answer.is_ok());
            let Some(mut keys) = bucket.map(|bucket| bucket.order.keys()) else { continue };
            if let Some(&first) = keys.next() {
                queue.push(Reverse((first, buckets.len())));
                buckets.push(Rest { leaf, request, keys });
            }
        }
    }
    let (mut counted, mut non_preemptible) = (Sums::default(), Sums::default());
    while let Some(Reverse((_, at))) = queue.pop() {
        let Rest { leaf, request, keys } = &mut buckets[at];
        let request = state.shapes.request_of(*request);
        // Room only shrinks, so the rest of a bucket that does not fit never will.
        if !counts(state, *leaf, request, &counted, &non_preemptible) {
            continue;
        }
        counted.add(tree, *leaf, &request.amounts);
        if !request.preemptible {
            non_preemptible.add(tree, *leaf, &request.amounts);
        }
        if let Some(&next) = keys.next() {
            queue.push(Reverse((next, at)));
        }
    }
    for &leaf in leaves {
        let all = state.shapes.dims.iter().map(|dim| (dim, counted.amount(leaf, dim)));
        demand.demand[leaf.index()] = all.collect::<ResourceVec>();
    }
}

/// Whether one more of a request stays within the limits and, not preemptible, within the reservations.
fn counts(state: &State, leaf: PoolId, request: &Request, counted: &Sums, non_preemptible: &Sums) -> bool {
    let State { pools, usage, .. } = state;
    let within = |used: i128, counted: i128, asked: Amount, bound: Amount| {
        bound == Amount::MAX || used + counted + i128::from(asked.units()) <= i128::from(bound.units())
    };
    pools.tree.path(leaf).filter(|&pool| pool != PoolId::ROOT).all(|pool| {
        request.amounts.iter().all(|(dim, asked)| {
            // What others have, or ask for, and what may be taken from them, holds no leaf back.
            let used = of_one(&usage.admitted, &usage.non_preemptible, leaf, pool, dim);
            let before = of_one(counted, non_preemptible, leaf, pool, dim);
            let reserved = pools.reserved(pool, dim).filter(|_| !request.preemptible);
            within(used, before, asked, pools.cap(pool, dim))
                && reserved.is_none_or(|reserved| {
                    let used = usage.non_preemptible.exact(pool, dim);
                    within(used, non_preemptible.exact(pool, dim), asked, reserved)
                })
        })
    })
}

/// What counts in a pool for one of its leaves: all that is the leaf's own, and of others what is not preemptible.
fn of_one(all: &Sums, non_preemptible: &Sums, leaf: PoolId, pool: PoolId, dim: Dim) -> i128 {
    all.exact(leaf, dim) + non_preemptible.exact(pool, dim) - non_preemptible.exact(leaf, dim)
}
