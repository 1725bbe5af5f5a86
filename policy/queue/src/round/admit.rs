//! Which workloads are admitted within entitlements (B2): the claimants first, then the pools in their fair
//! order, each by its own order.
//!
//! An entitlement does not move while a round is decided: what is admitted was eligible demand and becomes usage,
//! and the requirement is their sum. So usage only grows, free room only shrinks, and an answer of no holds for
//! every workload with the same request until the round ends.

use std::ops::Bound::{Excluded, Unbounded};

use weir_model::{Amount, Dim, PoolId};

use crate::contract::settings::Strategy;
use crate::state::State;
use crate::state::claims::Claim;
use crate::state::ids::RequestId;
use crate::state::queues::{Candidate, Open, QueueKey};
use crate::state::refusal::{Refusal, Refused};
use crate::state::verdicts::Head;

use super::admission::{admit, may_go};
use super::checks::{exceeds_entitlement, reservation_allows};
use super::claims::{grounds_of, serve_plan};
use super::context::Round;
use super::fair_order::{DominantShare, FairOrder};
use super::leaves::judge_leaves;
use super::patience::{self, claim_for_head};

/// Admits all that may go, and returns what may not.
pub(super) fn admit_all(round: &mut Round<'_>) -> Vec<Refused> {
    let mut refused = serve_claims(round);
    let mut open: Vec<Open> = vec![Open::new(); round.state.queues.len()];
    let mut fair_order = FairOrder::new(&round.state.pools.tree);
    for leaf in judge_leaves(round.state) {
        let Some(verdict) = round.state.verdicts.of(leaf) else { continue };
        let here = &mut open[leaf.index()];
        here.clone_from(&verdict.open);
        refused.extend_from_slice(&verdict.refused);
        if let Some(head) = verdict.head {
            look_at_head(round, leaf, head, here, &mut refused);
        }
        offer(round.state, &mut fair_order, leaf, here);
    }
    while let Some(leaf) = fair_order.next() {
        let here = &mut open[leaf.index()];
        let Some((key, request)) = here.pop_first() else { break };
        let candidate = Candidate::new(leaf, request);
        match may_go(round, candidate) {
            Ok(nodes) => {
                if let Some(queued) = round.state.queues[leaf].queued(request, &key) {
                    admit(round, candidate, queued.workload, nodes, grounds_of(key.rank), None);
                }
                open_next(round.state, candidate, key, here);
            }
            Err(refusal) => {
                refused.push(Refused::new(leaf, request, refusal));
                if is_head(round.state, leaf, key) {
                    head_refused(round, candidate, key, refusal, here, &mut refused);
                }
            }
        }
        offer(round.state, &mut fair_order, leaf, here);
    }
    refused
}

/// Admits the claimants that now fit, ahead of every queue; drops claims that are of no use any more. What is freed goes
/// to the claim of the plan that freed it first.
fn serve_claims(round: &mut Round<'_>) -> Vec<Refused> {
    let mut refused = Vec::new();
    let (patient, plans): (Vec<Claim>, Vec<Claim>) = round.state.claims.take().into_iter().partition(Claim::is_patient);
    for claim in plans {
        serve_plan(round, claim, &mut refused);
    }
    patience::serve(round, patient, &mut refused);
    refused
}

/// What the first workload that may go now or later, or one with a claim before it, means for the others of its leaf.
fn look_at_head(round: &mut Round<'_>, leaf: PoolId, head: Head, open: &mut Open, refused: &mut Vec<Refused>) {
    let Head { key, request, refusal } = head;
    if let Some(first) = head_with_claim(round.state, leaf).filter(|&first| first < key) {
        if round.state.pools.settings(leaf).strategy == Strategy::Strict {
            stand_behind(leaf, first, open, refused);
        }
    } else if let Some(refusal) = refusal {
        head_refused(round, Candidate::new(leaf, request), key, refusal, open, refused);
    }
}

/// Whether no eligible workload stands before this one, but for those that are larger than the entitlement.
fn is_head(state: &State, leaf: PoolId, key: QueueKey) -> bool {
    let eligible = state.demand.answers(leaf).iter().filter(|(_, answer)| answer.is_ok());
    let obstacle = |(request, _): &&(RequestId, _)| !exceeds_entitlement(state, leaf, *request);
    let first = eligible
        .filter(obstacle)
        .filter_map(|&(request, _)| state.queues[leaf].first_of(request))
        .map(|(key, _)| key)
        .min();
    first.is_none_or(|first| first >= key)
}

/// Opens the next workload of a bucket that has no claim of its own; those with one were asked before.
fn open_next(state: &State, Candidate { leaf, request, .. }: Candidate, after: QueueKey, open: &mut Open) {
    let Some(bucket) = state.queues[leaf].buckets.get(&request) else { return };
    let mut rest = bucket.order.range((Excluded(after), Unbounded));
    if let Some((&key, _)) = rest.find(|(_, queued)| !state.claims.has(queued.workload)) {
        open.insert(key, request);
    }
}

/// Says to the fair order what goes next in a leaf.
fn offer(state: &State, fair_order: &mut FairOrder, leaf: PoolId, open: &Open) {
    let head = open.first_key_value().map(|(_, &request)| request);
    fair_order.offer(&state.pools.tree, leaf, head, |pool, request| dominant_share(state, pool, request));
}

/// B2: usage ÷ entitlement, the largest over the dimensions that are asked for.
fn dominant_share(state: &State, pool: PoolId, request: RequestId) -> DominantShare {
    let State { pools, usage, shapes, .. } = state;
    let dims = shapes.request_of(request).amounts.iter().filter(|&(dim, _)| pools.checks(pool, dim));
    let of = |(dim, _): (Dim, Amount)| {
        DominantShare::new(usage.admitted.exact(pool, dim), i128::from(pools.entitled(pool, dim).units()))
    };
    dims.map(of).max().unwrap_or(DominantShare::ZERO)
}

/// B2: in a Strict pool nothing passes the head; elsewhere others may, until it has waited for the pool's patience.
/// From then on it holds a claim.
fn head_refused(
    round: &mut Round<'_>,
    candidate: Candidate,
    key: QueueKey,
    refusal: Refusal,
    open: &mut Open,
    refused: &mut Vec<Refused>,
) {
    let Candidate { leaf, request, .. } = candidate;
    let Some(queued) = round.state.queues[leaf].queued(request, &key) else { return };
    let settings = round.state.pools.settings(leaf);
    if settings.strategy == Strategy::Strict {
        stand_behind(leaf, key, open, refused);
    }
    // What other pods give back is no use to a head that its own kind keeps out of the reservation.
    if round.now.since(queued.since) >= settings.patience && reservation_allows(round.state, leaf, request) {
        claim_for_head(round, candidate, queued.workload, refusal);
    }
}

/// The key of the head of a pool, where it has a claim from patience.
fn head_with_claim(state: &State, leaf: PoolId) -> Option<QueueKey> {
    let mut patient = state.claims.iter().filter(|claim| claim.is_patient());
    patient.find_map(|claim| state.position(claim.workload).filter(|at| at.leaf == leaf)).map(|at| at.key)
}

/// In a Strict pool nothing passes the head.
fn stand_behind(leaf: PoolId, head: QueueKey, open: &mut Open, refused: &mut Vec<Refused>) {
    let refusal = Refusal::Behind { pool: leaf, head: head.uid };
    refused.extend(std::mem::take(open).into_values().map(|request| Refused::new(leaf, request, refusal)));
}
