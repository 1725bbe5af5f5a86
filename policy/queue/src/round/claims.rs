//! When claims are made, served and dropped (B2, C5).
//!
//! A claim keeps quota in its pool and the pool's ancestors, and room on nodes where room is what is missing.
//! Every other check sees both as taken. At an ancestor a claim never keeps more than its own pool is entitled to
//! still use: it is there to keep what is freed, not to take from siblings what is theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::ResourceVec;
use weir_model::reason::Grounds;

use crate::contract::decision::{Claimed, Decision, Released};
use crate::contract::event::RecordedClaim;
use crate::contract::pod::Uid;
use crate::state::State;
use crate::state::claims::Claim;
use crate::state::fit::Placement;
use crate::state::ids::{GangId, NodeId, PodId, RequestId};
use crate::state::pods::Running;
use crate::state::queues::{Candidate, Position, Rank, Workload};
use crate::state::refusal::{Refusal, Refused};

use super::admission::{admit, may_go};
use super::checks::reservation_allows;
use super::context::Round;
use super::evictions::{unmark, unmark_gang_of};

/// Admits the claimants that now fit, ahead of every queue; drops claims that are of no use any more.
pub(super) fn serve_claims(round: &mut Round<'_>) -> Vec<Refused> {
    let mut refused = Vec::new();
    for claim in round.state.claims.take() {
        round.state.give_back(&claim);
        let Some(Position { leaf, request, key }) = eligible_position(round.state, &claim) else {
            drop_idle(round, claim);
            continue;
        };
        let candidate = Candidate::new(leaf, request);
        match may_go_on(round, candidate, &claim) {
            Ok(nodes) => {
                let grounds = grounds_of(key.rank);
                admit(round, candidate, claim.workload, nodes, grounds, None);
                // The claimant went without some of the pods that were to make room; they need not go any more,
                // unless they are the rest of something.
                drop_idle(round, claim);
            }
            Err(refusal) if still_helps(round.state, &claim, refusal) => {
                refused.push(Refused::new(leaf, request, refusal));
                keep(round, claim);
            }
            Err(_) => drop_idle(round, claim),
        }
    }
    refused
}

/// The grounds on which a workload of this rank is admitted within its pool's entitlement.
pub(super) const fn grounds_of(rank: Rank) -> Grounds {
    match rank {
        Rank::Replacement => Grounds::Replacement,
        Rank::Ordinary => Grounds::WithinEntitlement,
    }
}

/// Where a claimant stands, if it still asks for what its claim keeps and is eligible.
fn eligible_position(state: &State, claim: &Claim) -> Option<Position> {
    let stands = |at: &Position| {
        let same = is_claimant(state, claim) && at.request == claim.request;
        same && state.demand.is_eligible(at.leaf, at.request)
    };
    state.position(claim.workload).filter(stands)
}

/// Whether a claim is still that of the pods it was made for: numbers of pods and gangs are used again.
fn is_claimant(state: &State, claim: &Claim) -> bool {
    match claim.workload {
        Workload::Pod(pod) | Workload::Group(_, pod) => {
            state.pods.record(pod).is_some_and(|record| claim.claimant.contains(&record.uid))
        }
        Workload::Gang(gang) => {
            let mut members = state.pods.records(state.gangs[gang].members.iter().copied());
            members.any(|record| claim.claimant.contains(&record.uid))
        }
    }
}

/// Whether the claimant may go, on the nodes that were kept or on others.
fn may_go_on(round: &mut Round<'_>, candidate: Candidate, claim: &Claim) -> Result<Placement, Refusal> {
    let anywhere = may_go(round, candidate)?;
    let kept = !claim.nodes.is_empty() && fit_together(round.state, &claim.nodes);
    Ok(if kept { claim.nodes.clone() } else { anywhere })
}

fn fit_together(state: &mut State, placement: &Placement) -> bool {
    let State { nodes, shapes, .. } = state;
    nodes.fit_together(placement, shapes)
}

/// Whether a claim is of use for as long as this refusal stands: while its victims are going or, if it has none,
/// while room or quota is short.
fn still_helps(state: &State, claim: &Claim, refusal: Refusal) -> bool {
    let usable = claim.nodes.iter().all(|&(_, node)| state.nodes.usable(node));
    let short = matches!(
        refusal,
        Refusal::Quota { .. } | Refusal::Entitlement { .. } | Refusal::Reserved { .. } | Refusal::Placement(_)
    );
    let reserved = state.position(claim.workload).is_some_and(|at| reservation_allows(state, at.leaf, at.request));
    let comes = || state.victims_left(claim) > 0 && !state.waits_in_vain(claim);
    usable && short && reserved && (claim.is_patient() || comes())
}

/// B2: makes a claim for the head of a queue, which has waited long enough; from now on what is freed is kept.
pub(super) fn claim_for_head(round: &mut Round<'_>, candidate: Candidate, workload: Workload, refusal: Refusal) {
    let state = &mut *round.state;
    state.verdicts.invalidate();
    let mut claims = std::mem::take(&mut state.claims);
    let in_pool = |claim: &Claim| state.position(claim.workload).is_none_or(|at| at.leaf == candidate.leaf);
    // One claim from patience for each pool: another head has come.
    let before = claims.take_where(|claim| claim.is_patient() && in_pool(claim));
    state.claims = claims;
    for claim in before {
        round.state.give_back(&claim);
        drop_idle(round, claim);
    }
    let mut claim = Claim::new(workload, candidate.request, round.number);
    if matches!(refusal, Refusal::Placement(_)) {
        claim.nodes = nodes_to_wait_for(round.state, candidate.request);
    }
    make(round, claim);
}

/// The nodes where room for a request is nearest: what is free now, then the nodes with the most free.
fn nodes_to_wait_for(state: &mut State, request: RequestId) -> Placement {
    let State { fit, nodes, shapes, .. } = state;
    let mut placement = Placement::new();
    for &(id, count) in &shapes.request_of(request).members {
        let shape = shapes.shape_of(id);
        let slots = fit.slots(id, shape, nodes).to_vec();
        let admits = fit.admits(id, shape, nodes);
        let mut open: Vec<(i64, &str, NodeId)> = Vec::new();
        for node in nodes.iter().filter(|node| admits[node.index()] > 0) {
            let host = nodes.host(node);
            open.push((-host.free.at(shape.main), &host.name, node));
        }
        open.sort_unstable();
        let now = open.iter().flat_map(|&(_, _, node)| (0..slots[node.index()]).map(move |_| node));
        let most = |node: NodeId| nodes.slots_when_empty(node, shape).saturating_sub(u32::from(slots[node.index()]));
        let later = open.iter().flat_map(|&(_, _, node)| (0..most(node)).map(move |_| node));
        placement.extend(now.chain(later).take(count as usize).map(|node| (id, node)));
    }
    placement
}

/// Records a new claim and says so.
pub(super) fn make(round: &mut Round<'_>, mut claim: Claim) {
    let state = &*round.state;
    let Some(at) = state.position(claim.workload) else { return };
    claim.claimant = state.uids(claim.workload);
    round.decisions.push(Decision::Claim(Claimed {
        claimant: claim.claimant.clone(),
        pool: state.pools.tree.name(at.leaf).to_owned(),
        amounts: state.shapes.amounts(claim.request),
        nodes: claim.nodes.iter().map(|&(_, node)| Arc::clone(&state.nodes.host(node).name)).collect(),
        victims: claim.victims.clone(),
    }));
    keep(round, claim);
}

/// Keeps quota and room for a claim; a claim whose claimant is gone is dropped.
pub(super) fn keep(round: &mut Round<'_>, mut claim: Claim) {
    let State { pools, usage, shapes, .. } = &*round.state;
    let Some(Position { leaf, .. }) = round.state.position(claim.workload) else { return drop_idle(round, claim) };
    let asked = &shapes.request_of(claim.request).amounts;
    let due: ResourceVec = asked.iter().map(|(dim, asked)| (dim, asked.min(usage.unused(pools, leaf, dim)))).collect();
    let of = |pool| if pool == leaf { asked.clone() } else { due.clone() };
    claim.claimed = pools.tree.path(leaf).map(|pool| (pool, of(pool))).collect();
    round.state.keep(&claim);
    round.state.claims.push(claim);
}

/// Drops a claim that still keeps something, and with it all evictions that were not carried out.
pub(super) fn abandon(round: &mut Round<'_>, claim: Claim) {
    round.state.give_back(&claim);
    release(round, claim, Begun::Stays);
}

/// Drops a claim that keeps nothing any more: victims that are not going yet may stay. Half a gang is of no use,
/// so where some pods of a group are gone the rest follows.
fn drop_idle(round: &mut Round<'_>, claim: Claim) {
    release(round, claim, Begun::Follows);
}

/// What becomes of the rest of a group of victims of which some are gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    Follows,
    Stays,
}

fn release(round: &mut Round<'_>, claim: Claim, begun: Begun) {
    let pods = &round.state.pods;
    let running = |uid: &Uid| pods.running(pods.find(*uid)?);
    let whole =
        |group: &&Vec<Uid>| group.iter().all(|uid| running(uid).is_some_and(|running| running.deleting.is_none()));
    let stay = claim.victim_groups.iter().filter(|group| begun == Begun::Stays || whole(group)).flatten();
    let marked = |uid: &&Uid| running(uid).is_some_and(Running::is_marked);
    let spared: Vec<Uid> = stay.filter(marked).copied().collect();
    let found: Vec<PodId> = spared.iter().filter_map(|&uid| pods.find(uid)).collect();
    found.into_iter().for_each(|pod| unmark(round, pod));
    round.decisions.push(Decision::Release(Released { claimant: claim.claimant, spared }));
}

/// C3: ends the plan of a refused eviction. Its other victims stay, and gang members that are gone already may
/// rejoin their gang one by one.
pub(super) fn eviction_refused(round: &mut Round<'_>, uid: Uid) {
    let until = round.now.after(round.config.eviction_retry);
    if let Some(pod) = round.state.pods.find(uid) {
        unmark(round, pod);
        if let Some(running) = round.state.pods.running_mut(pod) {
            running.spared_until = until;
        }
    }
    match round.state.claims.take_of_victim(uid) {
        Some(claim) => abandon(round, claim),
        None => unmark_gang_of(round, uid),
    }
}

/// Takes over a claim that an earlier leader recorded.
pub(super) fn restore_claim(round: &mut Round<'_>, recorded: &RecordedClaim) {
    let state = &mut *round.state;
    let Some(first) = recorded.claimant.iter().find_map(|&uid| state.pods.find(uid)) else { return };
    let workload = match state.pods.record(first).map(|record| record.rank) {
        Some(Rank::Ordinary) => state.workload_of(first),
        Some(Rank::Replacement) => Workload::Pod(first),
        None => return,
    };
    let Some(Position { request, .. }) = state.position(workload) else { return };
    let mut claim = Claim::new(workload, request, 0);
    let mut names = recorded.nodes.iter();
    for &(shape, count) in &state.shapes.request_of(request).members {
        let here = names.by_ref().take(count as usize);
        claim.nodes.extend(here.map(|name| (shape, state.nodes.named(name))));
    }
    (claim.claimant, claim.victims) = (recorded.claimant.clone(), recorded.victims.clone());
    claim.victim_groups = victim_groups_of(state, &claim.victims);
    keep(round, claim);
}

/// What of these victims goes as a whole, as far as that can be told of those that are gone: of each gang all of
/// them.
fn victim_groups_of(state: &State, victims: &[Uid]) -> Vec<Vec<Uid>> {
    let known = |uid: Uid| state.pods.find(uid).and_then(|pod| state.pods.record(pod));
    let gone: Vec<Uid> = victims.iter().copied().filter(|&uid| known(uid).is_none()).collect();
    let (mut groups, mut gangs) = (Vec::new(), BTreeMap::<GangId, Vec<Uid>>::new());
    for record in victims.iter().filter_map(|&uid| known(uid)) {
        match record.gang_id() {
            Some(gang) => gangs.entry(gang).or_insert_with(|| gone.clone()).push(record.uid),
            None => groups.push(vec![record.uid]),
        }
    }
    groups.extend(gangs.into_values());
    groups
}
