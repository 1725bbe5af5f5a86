//! When claims are made, served and dropped (C5); those from patience are served in `patience` (B2).
//!
//! A claim keeps quota in its pool and the pool's ancestors, and room on nodes where room is what is missing.
//! Every other check sees both as taken. At an ancestor a claim never keeps more than its own pool is entitled to
//! still use: it is there to keep what is freed, not to take from siblings what is theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_model::reason::Grounds;
use weir_model::{Amount, ResourceVec};

use crate::contract::decision::{Claimed, Decision, Held, Released};
use crate::contract::event::RecordedClaim;
use crate::contract::pod::Uid;
use crate::state::State;
use crate::state::claims::{Claim, Source};
use crate::state::fit::Placement;
use crate::state::ids::{GangId, NodeId, PodId};
use crate::state::pods::Running;
use crate::state::queues::{Candidate, Position, Rank, Workload};
use crate::state::refusal::{Refusal, Refused};
use crate::state::row::Row;

use super::admission::{admit, may_go};
use super::checks::reservation_allows;
use super::context::Round;
use super::evictions::{unmark, unmark_gang_of};

/// Admits the claimant of a plan, or keeps its claim while its victims are going.
pub(super) fn serve_plan(round: &mut Round<'_>, claim: Claim, refused: &mut Vec<Refused>) {
    round.state.give_back(&claim);
    let Some(Position { leaf, request, key }) = eligible_position(round.state, &claim) else {
        note_freed(round, &claim);
        return drop_idle(round, claim);
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
        Err(_) => {
            note_freed(round, &claim);
            drop_idle(round, claim);
        }
    }
}

/// Notes that the room of a claim that ends is free for others.
fn note_freed(round: &mut Round<'_>, claim: &Claim) {
    let held = match claim.source {
        Source::Patience => claim.held.clone(),
        Source::Plan => claim.needs(&round.state.shapes),
    };
    for (node, row) in held {
        round.freed.entry(node).or_default().add(&row);
    }
}

/// The grounds on which a workload of this rank is admitted within its pool's entitlement.
pub(super) const fn grounds_of(rank: Rank) -> Grounds {
    match rank {
        Rank::Replacement => Grounds::Replacement,
        Rank::Ordinary => Grounds::WithinEntitlement,
    }
}

/// Where a claimant stands, if it still asks for what its claim keeps and is eligible.
pub(super) fn eligible_position(state: &State, claim: &Claim) -> Option<Position> {
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
pub(super) fn still_helps(state: &State, claim: &Claim, refusal: Refusal) -> bool {
    let usable = claim.nodes.iter().all(|&(_, node)| state.nodes.usable(node));
    let short = match refusal {
        Refusal::Quota { .. } | Refusal::Reserved { .. } | Refusal::Placement(_) => true,
        // What is larger than its entitlement keeps nothing from others; victims that are going go for it all the same.
        Refusal::Entitlement { .. } => !claim.is_patient(),
        _ => false,
    };
    let reserved = state.position(claim.workload).is_some_and(|at| reservation_allows(state, at.leaf, at.request));
    let comes = || state.victims_left(claim) > 0 && !state.waits_in_vain(claim);
    usable && short && reserved && (claim.is_patient() || comes())
}

/// Records a new claim and says so.
pub(super) fn make(round: &mut Round<'_>, mut claim: Claim) {
    claim.claimant = round.state.uids(claim.workload);
    let Some(decision) = announce(round.state, &claim) else { return };
    round.decisions.push(decision);
    keep(round, claim);
}

/// What is recorded of a claim.
pub(super) fn announce(state: &State, claim: &Claim) -> Option<Decision> {
    let Position { leaf, .. } = state.position(claim.workload)?;
    let name = |node: NodeId| Arc::clone(&state.nodes.host(node).name);
    let amount = |(resource, units)| (state.shapes.names.name(resource).to_owned(), Amount::new(units));
    let held = |(&node, row): (&NodeId, &Row)| Held { node: name(node), amounts: row.positive().map(amount).collect() };
    Some(Decision::Claim(Claimed {
        claimant: claim.claimant.clone(),
        pool: state.pools.tree.name(leaf).to_owned(),
        amounts: state.shapes.amounts(claim.request),
        nodes: claim.nodes.iter().map(|&(_, node)| name(node)).collect(),
        held: claim.held.iter().map(held).filter(|held| !held.amounts.is_empty()).collect(),
        victims: claim.victims.clone(),
    }))
}

/// Keeps quota and room for a claim; a claim whose claimant is gone is dropped.
pub(super) fn keep(round: &mut Round<'_>, mut claim: Claim) {
    match reserve(round.state, &mut claim) {
        true => round.state.claims.push(claim),
        false => drop_idle(round, claim),
    }
}

/// Takes the quota and the room of a claim; whether its claimant still stands somewhere.
pub(super) fn reserve(state: &mut State, claim: &mut Claim) -> bool {
    let State { pools, usage, shapes, .. } = &*state;
    let Some(Position { leaf, .. }) = state.position(claim.workload) else { return false };
    let asked = &shapes.request_of(claim.request).amounts;
    let due: ResourceVec = asked.iter().map(|(dim, asked)| (dim, asked.min(usage.unused(pools, leaf, dim)))).collect();
    let of = |pool| if pool == leaf { asked.clone() } else { due.clone() };
    claim.claimed = pools.tree.path(leaf).map(|pool| (pool, of(pool))).collect();
    state.keep(claim);
    true
}

/// Drops a claim that still keeps something, and with it all evictions that were not carried out.
pub(super) fn abandon(round: &mut Round<'_>, claim: Claim) {
    round.state.give_back(&claim);
    note_freed(round, &claim);
    release(round, claim, Begun::Stays);
}

/// Drops a claim that keeps nothing any more: victims that are not going yet may stay. Half a gang is of no use,
/// so where some pods of a group are gone the rest follows.
pub(super) fn drop_idle(round: &mut Round<'_>, claim: Claim) {
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
    let source = if recorded.victims.is_empty() { Source::Patience } else { Source::Plan };
    let mut claim = Claim::new(source, workload, request, 0);
    let mut names = recorded.nodes.iter();
    for &(shape, count) in &state.shapes.request_of(request).members {
        let here = names.by_ref().take(count as usize);
        claim.nodes.extend(here.map(|name| (shape, state.nodes.named(name))));
    }
    (claim.claimant, claim.victims) = (recorded.claimant.clone(), recorded.victims.clone());
    claim.victim_groups = victim_groups_of(state, &claim.victims);
    let needs = claim.needs(&state.shapes);
    for Held { node, amounts } in &recorded.held {
        let node = state.nodes.named(node);
        let position = |(name, amount): &(String, Amount)| Some((state.shapes.names.find(name)?, amount.units()));
        let amounts = amounts.iter().filter_map(position);
        let mut row = Row::default();
        row.change(&amounts.collect::<Vec<_>>(), 1);
        // A record is read like anything else that others may write: no claim holds more than its pods need.
        if let Some(needs) = needs.get(&node) {
            claim.held.insert(node, needs.common(&row));
        }
    }
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
