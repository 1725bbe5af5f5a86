//! What numbers alone say of every leaf in which a workload waits: the buckets that may be asked about, and those
//! that may not with their numbers. In a full cluster the first are few.

use std::collections::BTreeMap;

use weir_model::PoolId;

use crate::state::State;
use crate::state::queues::{Candidate, Workload};
use crate::state::refusal::{Refusal, Refused};
use crate::state::verdicts::{Head, LeafVerdict};

use super::checks::numbers_allow;

/// Brings the verdicts on leaves up to date where something changed, and lists the leaves that have one.
pub(super) fn judge_leaves(state: &mut State) -> Vec<PoolId> {
    let mut verdicts = std::mem::take(&mut state.verdicts);
    let changed = verdicts.renew(&state.pools, &state.usage, &state.shapes.dims);
    let claimants = claimants(state);
    let tree = &state.pools.tree;
    let leaves: Vec<PoolId> = tree.iter().filter(|&leaf| !state.demand.answers(leaf).is_empty()).collect();
    for &leaf in &leaves {
        let claimants = claimants.get(&leaf).map_or(&[][..], Vec::as_slice);
        let same = |verdict: &&mut LeafVerdict| {
            let touched = state.demand.judged.contains(&leaf) || state.demand.stale.contains(&leaf);
            let moved = || tree.path(leaf).take(verdict.reach).any(|pool| changed[pool.index()]);
            !touched && verdict.claimants == claimants && !moved()
        };
        let known = verdicts.of_mut(leaf);
        match known.as_mut().filter(same) {
            Some(verdict) => verdict.refused.iter_mut().for_each(|refused| refused.again = claimants.is_empty()),
            None => *known = Some(judge_leaf(state, leaf, claimants)),
        }
    }
    state.verdicts = verdicts;
    leaves
}

/// Finds the buckets of a leaf that numbers alone do not stop.
fn judge_leaf(state: &State, leaf: PoolId, claimants: &[Workload]) -> LeafVerdict {
    let mut verdict = LeafVerdict { claimants: claimants.to_vec(), ..LeafVerdict::default() };
    for &(request, answer) in state.demand.answers(leaf) {
        if let Err(refusal) = answer {
            verdict.refused.push(Refused::new(leaf, request, refusal));
            continue;
        }
        let Some(bucket) = state.queues[leaf].buckets.get(&request) else { continue };
        let mut free = bucket.order.iter().filter(|(_, queued)| !claimants.contains(&queued.workload));
        let Some((&key, _)) = free.next() else { continue };
        let refusal = numbers_allow(state, Candidate::new(leaf, request)).err();
        verdict.reach = verdict.reach.max(reach(state, leaf, refusal));
        match refusal {
            Some(refusal) => verdict.refused.push(Refused::new(leaf, request, refusal)),
            None => drop(verdict.open.insert(key, request)),
        }
        let obstacle = !matches!(refusal, Some(Refusal::Entitlement { .. }));
        if obstacle && verdict.head.is_none_or(|head| key < head.key) {
            verdict.head = Some(Head { key, request, refusal });
        }
    }
    verdict
}

/// On how many pools an answer depends: pools are asked from the leaf upwards, and entitlements first.
fn reach(state: &State, leaf: PoolId, refusal: Option<Refusal>) -> usize {
    let tree = &state.pools.tree;
    let last = match refusal {
        Some(Refusal::Quota { pool, .. } | Refusal::Entitlement { pool, .. }) => pool,
        _ => PoolId::ROOT,
    };
    1 + tree.depth(leaf) - tree.depth(last)
}

/// The workloads that have a claim, by leaf.
fn claimants(state: &State) -> BTreeMap<PoolId, Vec<Workload>> {
    let mut claimants: BTreeMap<PoolId, Vec<Workload>> = BTreeMap::new();
    for claim in state.claims.iter() {
        if let Some(at) = state.position(claim.workload) {
            claimants.entry(at.leaf).or_default().push(claim.workload);
        }
    }
    claimants
}
