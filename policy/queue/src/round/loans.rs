//! Loans (B9): what no pool is entitled to and no pod can use now is lent, so that nothing stands still.
//!
//! Two gangs that each need 64 of 100 GPUs are each entitled to 50 for ever. When all that B3 allows is
//! admitted and something that waits fits what is free, it goes on loan: preemptible only, within every
//! limit, in the order least (usage ÷ capacity) ÷ share, longest wait, name. A loan is never given out of a
//! claim, nor of the nodes and the quota of a plan that is being made; everything else is lent while an entitled
//! workload waits. A claim from patience keeps what was freed for it, and loans keep off what was free before as
//! well. A loan is the first to be taken back.

use std::collections::{BTreeSet, HashMap};

use weir_model::reason::Grounds;
use weir_model::{Amount, Dim, PoolId};

use crate::contract::settings::Strategy;
use crate::contract::time::Time;
use crate::preemption::Served;
use crate::state::State;
use crate::state::claims::{Claim, Source};
use crate::state::ids::RequestId;
use crate::state::queues::{Candidate, QueueKey, Workload};
use crate::state::refusal::{Refusal, Refused};

use super::admission::admit;
use super::assumed::find_nodes;
use super::claims::reserve;
use super::context::Round;
use super::fair_order::DominantShare;

/// A workload that might go on loan; the smallest is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Borrower {
    share: DominantShare,
    since: Time,
    leaf: PoolId,
    key: QueueKey,
    request: RequestId,
}

/// Lends what is left to workloads that entitlements alone hold back; `planned` is what entitled workloads get by a
/// plan for which it is not yet time.
pub(super) fn lend(round: &mut Round<'_>, refused: &[Refused], planned: Vec<Served>) {
    let candidates = may_borrow(round.state, refused);
    if candidates.is_empty() {
        return;
    }
    let kept = keep_off(round.state, planned, round.number);
    lend_to(round, candidates);
    for claim in kept {
        round.state.give_back(&claim);
    }
}

/// Keeps what plans are about to use, and what claims from patience wait for.
fn keep_off(state: &mut State, planned: Vec<Served>, round: u64) -> Vec<Claim> {
    let mut kept = Vec::new();
    for served in planned {
        let mut claim = Claim::new(Source::Plan, served.workload, served.candidate.request, round);
        claim.nodes = served.nodes;
        if reserve(state, &mut claim) {
            kept.push(claim);
        }
    }
    let patient = state.claims.iter().filter(|claim| claim.is_patient());
    let waits = patient.map(|claim| Claim { held: claim.lacks(&state.shapes), claimed: Vec::new(), ..claim.clone() });
    let waits: Vec<Claim> = waits.collect();
    waits.iter().for_each(|claim| state.keep(claim));
    kept.extend(waits);
    kept
}

fn lend_to(round: &mut Round<'_>, candidates: Vec<Candidate>) {
    let mut borrowers: BTreeSet<Borrower> = BTreeSet::new();
    // Room only shrinks while things are lent: what finds none now is not asked about leaf by leaf.
    let mut fits: HashMap<RequestId, bool> = HashMap::new();
    for candidate in candidates {
        let request = candidate.request;
        if *fits.entry(request).or_insert_with(|| may_fit(round, request)) {
            borrowers.extend(first_borrower(round.state, candidate));
        }
    }
    while let Some(Borrower { leaf, key, request, .. }) = borrowers.pop_first() {
        let candidate = Candidate::new(leaf, request);
        let Some(queued) = round.state.queues[leaf].queued(request, &key) else { continue };
        if !within_limits(round.state, candidate) || !leaves_claims(round.state, candidate, queued.workload) {
            continue;
        }
        let Ok(nodes) = find_nodes(round, request) else { continue };
        admit(round, candidate, queued.workload, nodes, Grounds::OnLoan, None);
        borrowers.extend(first_borrower(round.state, candidate));
    }
}

/// Whether a request might find room now. Of several shapes one takes the other's place, so only trying tells.
fn may_fit(round: &mut Round<'_>, request: RequestId) -> bool {
    round.state.shapes.request_of(request).members.len() > 1 || find_nodes(round, request).is_ok()
}

/// Preemptible requests that quota alone holds back. Where nothing may pass the head, only the head.
fn may_borrow(state: &State, refused: &[Refused]) -> Vec<Candidate> {
    let short = |refused: &&Refused| {
        let Refused { request, refusal, .. } = refused;
        let quota = matches!(refusal, Refusal::Quota { .. } | Refusal::Entitlement { .. } | Refusal::Behind { .. });
        quota && state.shapes.request_of(*request).preemptible
    };
    let claim_in = |leaf: PoolId| {
        let stands = |claim: &&Claim| state.position(claim.workload).is_some_and(|at| at.leaf == leaf);
        state.claims.iter().filter(|claim| claim.is_patient()).find(stands)
    };
    let first = |refused: &&Refused| match (state.pools.settings(refused.leaf).strategy, claim_in(refused.leaf)) {
        (_, Some(claim)) => claim.request == refused.request,
        (Strategy::Strict, None) => !matches!(refused.refusal, Refusal::Behind { .. }),
        (Strategy::BestEffort, None) => true,
    };
    let borrows = refused.iter().filter(short).filter(first);
    borrows.map(|refused| Candidate::new(refused.leaf, refused.request)).collect()
}

/// The first workload of a bucket, if its leaf borrows.
fn first_borrower(state: &State, candidate: Candidate) -> Option<Borrower> {
    let Candidate { leaf, request, .. } = candidate;
    let share = loan_share(state, candidate)?;
    let (key, queued) = state.queues[leaf].first_of(request)?;
    Some(Borrower { share, since: queued.since, leaf, key, request })
}

/// (usage ÷ capacity) ÷ share, the largest over what is asked for; `None` where the share is 0.
fn loan_share(state: &State, Candidate { leaf, request, .. }: Candidate) -> Option<DominantShare> {
    let State { pools, usage, shapes, nodes, .. } = state;
    let mut largest = DominantShare::ZERO;
    for (dim, _) in shapes.request_of(request).amounts.iter().filter(|&(dim, _)| pools.checks(leaf, dim)) {
        let share = pools.tree.spec(leaf, dim, &shapes.dims).share;
        if share == 0 {
            return None;
        }
        let capacity = i128::from(nodes.capacity(dim).units()) * i128::from(share);
        largest = largest.max(DominantShare::new(usage.admitted.exact(leaf, dim), capacity));
    }
    Some(largest)
}

/// Whether every claim of another workload, where this loan would count too, keeps the quota that it has. Without
/// this an eviction would free quota for the next loan instead of for the claimant. What a leaf is lent above its
/// own entitlement does not count above it, except against a limit, where all that stays does.
fn leaves_claims(state: &State, Candidate { leaf, request, .. }: Candidate, workload: Workload) -> bool {
    let State { pools, usage, shapes, .. } = state;
    let own = state.claims.of(workload);
    let leaves = |pool: PoolId, dim: Dim, asked: Amount| {
        let own = own.map_or(0, |claim| claim.claimed_in(pool, dim));
        let claimed = usage.claimed.exact(pool, dim) - own;
        if claimed <= 0 {
            return true;
        }
        let counts = if pool == leaf { asked } else { asked.min(usage.unused(pools, leaf, dim)) };
        let over_entitlement = usage.over_entitlement.below(pools, pool, dim);
        let used = usage.admitted.exact(pool, dim) - over_entitlement + i128::from(counts.units());
        let stays = usage.staying(pool, dim) + i128::from(asked.units());
        let within = |all: i128, bound: Amount| all + claimed <= i128::from(bound.units());
        within(used, pools.entitled(pool, dim)) && within(stays, pools.cap(pool, dim))
    };
    let amounts = &shapes.request_of(request).amounts;
    let leaves_in = |pool| {
        let checked = amounts.iter().filter(|&(dim, _)| pools.checks(pool, dim));
        checked.into_iter().all(|(dim, asked)| leaves(pool, dim, asked))
    };
    pools.tree.path(leaf).all(leaves_in)
}

fn within_limits(state: &State, Candidate { leaf, request, .. }: Candidate) -> bool {
    let State { pools, usage, shapes, .. } = state;
    let amounts = &shapes.request_of(request).amounts;
    pools.tree.path(leaf).filter(|&pool| pool != PoolId::ROOT).all(|pool| {
        amounts.iter().all(|(dim, asked)| {
            let used = usage.admitted.exact(pool, dim);
            used + i128::from(asked.units()) <= i128::from(pools.cap(pool, dim).units())
        })
    })
}
