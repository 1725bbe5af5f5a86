//! When something is taken back (C1, C5, C6): never without a workload that is entitled to it and fits there.
//!
//! A pool above its entitlement is left alone until eligible demand within another pool's entitlement waits, is
//! placed by a plan, and that has lasted without a break for the configured time. The workload that the plan
//! serves gets a claim, so no pod is evicted twice for the same demand. Under constant demand evictions stop: a
//! claimant's pool is within its entitlement with it, and only pools above theirs give.
//!
//! Which pods go is worked out in `preemption`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_model::{Dim, PoolId};

use crate::contract::decision::{Cause, Decision, OverBy};
use crate::contract::pod::Uid;
use crate::contract::settings::WithinPool;
use crate::contract::time::Time;
use crate::preemption::candidates::Victim;
use crate::preemption::{Admits, Planned, Served, displaced, giving_leaves, plan};
use crate::state::State;
use crate::state::claims::{Claim, Source};
use crate::state::queues::{Candidate, Workload};
use crate::state::refusal::{Refusal, Refused};
use crate::state::sums::amount;

use super::checks::reservation_allows;
use super::claims;
use super::context::Round;
use super::evictions::evict;

/// Makes and carries out a plan where it is time, and returns what the claimants get for whom it is not yet time.
pub(super) fn reclaim(round: &mut Round<'_>, refused: &[Refused]) -> Vec<Served> {
    let claimants = claimants(round.state, refused);
    let suspended = suspend_claims(round.state, &claimants);
    let planned = reclaim_for(round, &claimants);
    for claim in suspended {
        // A claim from patience ends where a plan takes over.
        if !round.state.claims.has(claim.workload) {
            claims::keep(round, claim);
        }
    }
    planned
}

/// The requests that are within the entitlement of their pool and wait for room, for quota that others of the same
/// ancestor are not entitled to, or for the place of lower priorities in a pool that allows it.
fn claimants(state: &State, refused: &[Refused]) -> Vec<Candidate> {
    let waits = |&&Refused { leaf, request, refusal, again: _ }: &&Refused| {
        let waits = match refusal {
            Refusal::Placement(_) => true,
            Refusal::Quota { pool, .. } => pool != leaf || takes_within(state, leaf),
            _ => false,
        };
        waits && reservation_allows(state, leaf, request)
    };
    refused.iter().filter(waits).map(|refused| Candidate::new(refused.leaf, refused.request)).collect()
}

/// C6: whether a pool lets a higher priority take the place of lower ones.
fn takes_within(state: &State, leaf: PoolId) -> bool {
    state.pools.settings(leaf).within_pool == WithinPool::LowerPriority
}

/// Suspends the claims from patience of these claimants: a claim holds back other workloads, not the plan that is
/// made for its claimant.
fn suspend_claims(state: &mut State, claimants: &[Candidate]) -> Vec<Claim> {
    let mut all = std::mem::take(&mut state.claims);
    let asks = |claim: &Claim| {
        let at = state.position(claim.workload).filter(|_| claim.is_patient());
        let same = |at, one: &Candidate| (one.leaf, one.request) == at;
        at.is_some_and(|at| claimants.iter().any(|one| same((at.leaf, at.request), one)))
    };
    let suspended = all.take_where(asks);
    state.claims = all;
    suspended.iter().for_each(|claim| state.give_back(claim));
    suspended
}

fn reclaim_for(round: &mut Round<'_>, claimants: &[Candidate]) -> Vec<Served> {
    let first = plan_for(round, claimants, &|_, _| true);
    let wanted = asked_by(round.state, first.claimants());
    if !round.enforces() {
        // Every claimant passes in this round, so each is told of once, without a clock.
        carry_out(round, &first);
        return Vec::new();
    }
    keep_clocks(round, &wanted, first.evicts());
    if !first.evicts() || round.now < round.config.evictions_from {
        return first.served;
    }
    let ripe = ripe(round);
    if ripe.is_empty() && !claimants.iter().any(|candidate| takes_within(round.state, candidate.leaf)) {
        return first.served;
    }
    let planned = plan_for(round, claimants, &|pool, dim| ripe.contains(&(pool, dim)));
    carry_out(round, &planned);
    let served: Vec<Workload> = planned.served.iter().map(|served| served.workload).collect();
    let mut rest = first.served;
    rest.retain(|one| !served.contains(&one.workload));
    rest
}

/// Plans which victims go for these claimants, out of pools that may be taken from.
fn plan_for(round: &mut Round<'_>, claimants: &[Candidate], ripe: &dyn Fn(PoolId, Dim) -> bool) -> Planned {
    let leaves = giving_leaves(round.view(), claimants);
    if leaves.is_empty() {
        return Planned::default();
    }
    let displaced = displaced(round.state);
    let State { fit, nodes, shapes, .. } = &mut *round.state;
    let mut admits = Admits::new();
    let members = |candidate: &Candidate| shapes.request_of(candidate.request).members.iter().map(|&(shape, _)| shape);
    for id in claimants.iter().flat_map(members).chain(displaced.iter().map(|one| one.shape)) {
        admits.entry(id).or_insert_with(|| fit.admits(id, shapes.shape_of(id), nodes).to_vec());
    }
    plan(round.view(), claimants, leaves, &displaced, &admits, ripe)
}

/// The dimensions that these claimants ask for.
fn asked_by<'a>(state: &State, served: impl Iterator<Item = &'a Served>) -> Vec<Dim> {
    let asked = served.flat_map(|served| state.shapes.request_of(served.candidate.request).amounts.iter());
    asked.map(|(dim, _)| dim).collect::<BTreeSet<Dim>>().into_iter().collect()
}

/// Starts the clock of every pool that is above its entitlement in a wanted dimension, keeps those that run, and
/// stops the others: the time has to pass without a break.
fn keep_clocks(round: &mut Round<'_>, wanted: &[Dim], any_claimant: bool) {
    let State { pools, usage, shapes, .. } = &*round.state;
    let mut running = BTreeMap::new();
    for pool in pools.tree.iter().filter(|&pool| pool != PoolId::ROOT) {
        let above = |dim| pools.checks(pool, dim) && usage.over(pools, pool, dim) > 0;
        for &dim in wanted.iter().filter(|&&dim| any_claimant && above(dim)) {
            let key = (pools.tree.name(pool).to_owned(), dim);
            let since = round.clocks.over_since.get(&key).copied().unwrap_or(round.now);
            running.insert(key, since);
        }
    }
    let said = |(pool, dim): &(String, Dim), since: Option<Time>| Decision::Over {
        pool: pool.clone(),
        dim: shapes.dims.name(*dim).to_owned(),
        since,
    };
    let before = std::mem::replace(&mut round.clocks.over_since, running);
    let now = &round.clocks.over_since;
    let ended = before.keys().filter(|key| !now.contains_key(*key));
    round.decisions.extend(ended.map(|key| said(key, None)));
    let begun = now.iter().filter(|(key, _)| !before.contains_key(*key));
    round.decisions.extend(begun.map(|(key, since)| said(key, Some(*since))));
}

/// The pools and dimensions that have been above their entitlement for long enough.
fn ripe(round: &Round<'_>) -> BTreeSet<(PoolId, Dim)> {
    let long_enough = |since: Time| round.now.since(since) >= round.config.hysteresis;
    let due = round.clocks.over_since.iter().filter(|&(_, &since)| long_enough(since));
    due.filter_map(|((pool, dim), _)| Some((round.state.pools.tree.find(pool)?, *dim))).collect()
}

fn carry_out(round: &mut Round<'_>, planned: &Planned) {
    for served in planned.claimants() {
        let cause = cause(round.state, served, &planned.victims);
        let going: Vec<&Victim> = served.victims.iter().map(|&at| &planned.victims[at]).collect();
        let victims = evict(round, cause, &going);
        if !round.enforces() {
            continue;
        }
        let mut claim = Claim::new(Source::Plan, served.workload, served.candidate.request, round.number);
        (claim.nodes, claim.victims) = (served.nodes.clone(), victims);
        claim.victim_groups = victim_groups(round.state, served, &planned.victims);
        claims::make(round, claim);
    }
}

/// What victims are evicted for: their own pool's higher priority, or another pool's entitlement.
fn cause(state: &State, served: &Served, victims: &[Victim]) -> Cause {
    let leaf = served.candidate.leaf;
    let claimant = claimant(state, served);
    let pool = state.pools.tree.name(leaf).to_owned();
    match served.victims.iter().all(|&at| victims[at].leaf == leaf) {
        true => Cause::WithinPool { claimant, pool },
        false => Cause::Reclaim { claimant, pool, over: over_facts(state, served, victims) },
    }
}

/// The pods of a claimant, each with the node that is kept for it.
fn claimant(state: &State, served: &Served) -> Vec<(Uid, Arc<str>)> {
    let mut nodes = served.nodes.clone();
    let mut claimant = Vec::new();
    for record in state.pods.records(state.waiting_members(served.workload)) {
        if let Some(at) = nodes.iter().position(|&(known, _)| known == record.shape) {
            claimant.push((record.uid, Arc::clone(&state.nodes.host(nodes.swap_remove(at).1).name)));
        }
    }
    claimant
}

/// The victims of a claimant by what goes as a whole.
fn victim_groups(state: &State, served: &Served, victims: &[Victim]) -> Vec<Vec<Uid>> {
    let along: BTreeSet<usize> = served.victims.iter().flat_map(|&at| &victims[at].along).copied().collect();
    let first = served.victims.iter().filter(|at| !along.contains(at));
    let group = |&at: &usize| {
        let with = victims[at].along.iter().filter(|other| served.victims.contains(other)).copied();
        let pods = with.chain([at]).flat_map(|at| victims[at].pods.iter().copied());
        state.pods.records(pods).map(|record| record.uid).collect()
    };
    first.map(group).collect()
}

/// By how much the victims' pools are above their entitlements in what the claimant asks for.
fn over_facts(state: &State, served: &Served, victims: &[Victim]) -> Vec<OverBy> {
    let State { pools, usage, shapes, .. } = state;
    let asked = &shapes.request_of(served.candidate.request).amounts;
    let leaves: BTreeSet<PoolId> = served.victims.iter().map(|&at| victims[at].leaf).collect();
    let mut facts = Vec::new();
    for leaf in leaves {
        for (dim, _) in asked.iter().filter(|&(dim, _)| usage.over(pools, leaf, dim) > 0) {
            facts.push(OverBy {
                pool: pools.named(leaf),
                dim: shapes.dims.name(dim).to_owned(),
                usage: amount(usage.staying(leaf, dim)),
                entitlement: pools.entitled(leaf, dim),
            });
        }
    }
    facts
}
