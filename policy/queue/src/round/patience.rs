//! Claims from patience (B2): the head of a queue that let others pass for long enough keeps what is freed.
//!
//! Such a claim names the nodes that it waits for and begins with nothing there. What is freed on them is kept for it,
//! up to what its pods need; what was free before stays free for pools within their entitlement, and only loans keep
//! off. So no claim ever holds a host idle that nobody gave up for it. What is freed goes to the oldest claim first,
//! by the creation time of its youngest pod and its UID, which every leader reads the same; and an older one may take
//! the room of younger ones where something was freed: two claims that each hold half of what they need would wait
//! for ever.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use weir_model::Amount;

use crate::contract::pod::Uid;
use crate::contract::time::Time;
use crate::state::State;
use crate::state::claims::{Claim, Source};
use crate::state::fit::Placement;
use crate::state::ids::{NodeId, RequestId};
use crate::state::nodes::Interest;
use crate::state::queues::{Candidate, Position, Workload};
use crate::state::refusal::{Refusal, Refused};
use crate::state::row::Row;

use super::admission::{admit, may_go};
use super::assumed::find_nodes;
use super::claims::{announce, drop_idle, eligible_position, grounds_of, keep, make, still_helps};
use super::context::Round;

/// Makes a claim for the head of a queue; from now on what is freed is kept.
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
    let mut claim = Claim::new(Source::Patience, workload, candidate.request, round.number);
    if matches!(refusal, Refusal::Placement(_)) {
        choose_nodes(round.state, &mut claim, candidate);
    }
    make(round, claim);
}

/// Takes over what became free on nodes since the last round.
pub(super) fn take_freed(round: &mut Round<'_>) {
    for (node, row) in round.state.nodes.take_freed(Interest::Unnoted) {
        round.freed.entry(node).or_default().add(&row);
    }
}

/// Begins to note what becomes free, if there is a claim that grows with it.
pub(super) fn watch_freed(round: &mut Round<'_>) {
    let any = round.state.claims.iter().any(Claim::is_patient);
    round.state.nodes.take_freed(if any { Interest::Noted } else { Interest::Unnoted });
}

/// Admits the claimants that now fit, the oldest first; the others keep what was freed for them.
pub(super) fn serve(round: &mut Round<'_>, mut claims: Vec<Claim>, refused: &mut Vec<Refused>) {
    claims.sort_by_cached_key(|claim| age(round.state, claim));
    let said: Vec<(Workload, Placement, BTreeMap<NodeId, Row>)> =
        claims.iter().map(|claim| (claim.workload, claim.nodes.clone(), claim.held.clone())).collect();
    let freed = round.freed.iter().filter(|(_, row)| row.positive().next().is_some());
    let mut freed: BTreeSet<NodeId> = freed.map(|(&node, _)| node).collect();
    let mut waiting = VecDeque::from(claims);
    grow(round, &mut waiting);
    while let Some(claim) = waiting.pop_front() {
        serve_one(round, claim, &mut waiting, &mut freed, refused);
    }
    let changed = |claim: &&Claim| {
        let before = said.iter().find(|(workload, ..)| *workload == claim.workload);
        before.is_some_and(|(_, nodes, held)| *nodes != claim.nodes || *held != claim.held)
    };
    let changed = round.state.claims.iter().filter(changed).map(|claim| announce(round.state, claim));
    let changed: Vec<_> = changed.collect();
    round.decisions.extend(changed.into_iter().flatten());
}

/// What claims are ordered by: when the last of the claimant's pods was created, then its UID.
fn age(state: &State, claim: &Claim) -> Option<(Time, Uid)> {
    let Position { leaf, request, key } = state.position(claim.workload)?;
    Some((state.queues[leaf].queued(request, &key)?.since, key.uid))
}

/// Lets claims keep what was freed on their nodes, in their order.
fn grow(round: &mut Round<'_>, claims: &mut VecDeque<Claim>) {
    let State { nodes, shapes, .. } = &mut *round.state;
    for claim in claims {
        for (node, lack) in claim.lacks(shapes) {
            let Some(freed) = round.freed.get_mut(&node) else { continue };
            let more = lack.common(freed).common(&nodes.host(node).free);
            if more.positive().next().is_some() {
                freed.take(&more);
                claim.held.entry(node).or_default().add(&more);
                nodes.keep(node, &more, 1, shapes);
            }
        }
    }
}

/// Admits a claimant, on its own nodes or others, or keeps its claim as long as it is of use.
fn serve_one(
    round: &mut Round<'_>,
    mut claim: Claim,
    younger: &mut VecDeque<Claim>,
    freed: &mut BTreeSet<NodeId>,
    refused: &mut Vec<Refused>,
) {
    round.state.give_back(&claim);
    shrink(round.state, &mut claim);
    let Some(Position { leaf, request, key }) = eligible_position(round.state, &claim) else {
        return give_up(round, claim, younger, freed);
    };
    let candidate = Candidate::new(leaf, request);
    let mut found = may_go(round, candidate);
    let room = matches!(found, Err(Refusal::Placement(_)));
    let lays_down = room && may_choose(round.state, &claim, candidate, freed);
    if lays_down {
        younger.iter().for_each(|claim| round.state.hold_room(claim, -1));
        found = find_nodes(round, request).map_err(Refusal::Placement);
        if found.is_err() {
            choose_again(round, &mut claim, candidate, younger);
        }
    }
    let dropped = match found {
        Ok(nodes) => {
            admit(round, candidate, claim.workload, nodes, grounds_of(key.rank), None);
            drop_idle(round, claim);
            None
        }
        Err(refusal) if still_helps(round.state, &claim, refusal) => {
            refused.push(Refused::new(leaf, request, refusal));
            keep(round, claim);
            None
        }
        Err(_) => Some(claim),
    };
    if lays_down {
        for claim in younger.iter_mut() {
            shrink(round.state, claim);
            round.state.hold_room(claim, 1);
        }
    }
    if let Some(claim) = dropped {
        give_up(round, claim, younger, freed);
    }
}

/// Drops a claim that holds nothing any more: what it kept goes to the next.
fn give_up(round: &mut Round<'_>, claim: Claim, younger: &mut VecDeque<Claim>, freed: &mut BTreeSet<NodeId>) {
    for (&node, held) in &claim.held {
        round.freed.entry(node).or_default().add(held);
        freed.insert(node);
    }
    drop_idle(round, claim);
    grow(round, younger);
}

/// Lets a claim that is laid down keep no more than there is.
fn shrink(state: &State, claim: &mut Claim) {
    for (&node, held) in &mut claim.held {
        *held = held.common(&state.nodes.host(node).free);
    }
}

/// Whether a claim may choose other nodes: it has none, its pool's entitlement is another, or something was freed on
/// a node that it may use. Otherwise claims would change places in every round.
fn may_choose(state: &mut State, claim: &Claim, candidate: Candidate, freed: &BTreeSet<NodeId>) -> bool {
    if claim.nodes.is_empty() || claim.entitled != entitled(state, candidate) {
        return true;
    }
    let State { fit, nodes, shapes, .. } = state;
    shapes.request_of(candidate.request).members.iter().any(|&(id, _)| {
        let admits = fit.admits(id, shapes.shape_of(id), nodes);
        freed.iter().any(|node| admits[node.index()] > 0)
    })
}

fn entitled(state: &State, Candidate { leaf, request, .. }: Candidate) -> Vec<Amount> {
    let amounts = state.shapes.request_of(request).amounts.iter();
    amounts.map(|(dim, _)| state.pools.entitled(leaf, dim)).collect()
}

/// Chooses the nodes of a claim anew, and lets it keep there what was kept for it, or for younger ones, or was freed.
fn choose_again(round: &mut Round<'_>, claim: &mut Claim, candidate: Candidate, younger: &mut VecDeque<Claim>) {
    let mut pot = std::mem::take(&mut round.freed);
    for (&node, held) in younger.iter().chain([&*claim]).flat_map(|claim| &claim.held) {
        pot.entry(node).or_default().add(held);
    }
    choose_nodes(round.state, claim, candidate);
    let share = |claim: &mut Claim, wanted: BTreeMap<NodeId, Row>, pot: &mut BTreeMap<NodeId, Row>| {
        claim.held.clear();
        for (node, row) in wanted {
            let Some(left) = pot.get_mut(&node) else { continue };
            let kept = row.common(left);
            left.take(&kept);
            claim.held.insert(node, kept);
        }
    };
    share(claim, claim.needs(&round.state.shapes), &mut pot);
    shrink(round.state, claim);
    for claim in younger.iter_mut() {
        share(claim, claim.held.clone(), &mut pot);
    }
    round.freed = pot;
}

fn choose_nodes(state: &mut State, claim: &mut Claim, candidate: Candidate) {
    claim.entitled = entitled(state, candidate);
    claim.nodes = nodes_to_wait_for(state, claim, candidate.request);
}

/// The nodes where room for a request is nearest: what is free now, then the nodes with the most free, and of equal
/// ones those that the claim waits for already. What older claims wait for there is theirs.
fn nodes_to_wait_for(state: &mut State, claim: &Claim, request: RequestId) -> Placement {
    let State { fit, nodes, shapes, claims, .. } = state;
    let (mut lacks, mut needs) = (BTreeMap::<NodeId, Row>::new(), BTreeMap::<NodeId, Row>::new());
    for older in claims.iter().filter(|claim| claim.is_patient()) {
        older.lacks(shapes).iter().for_each(|(&node, row)| lacks.entry(node).or_default().add(row));
        older.needs(shapes).iter().for_each(|(&node, row)| needs.entry(node).or_default().add(row));
    }
    let mine: BTreeSet<NodeId> = claim.nodes.iter().map(|&(_, node)| node).collect();
    let mut placement = Placement::new();
    for &(id, count) in &shapes.request_of(request).members {
        let shape = shapes.shape_of(id);
        let admits = fit.admits(id, shape, nodes);
        let mut open = Vec::new();
        for node in nodes.iter().filter(|node| admits[node.index()] > 0) {
            let left = |row: &Row, theirs: &BTreeMap<NodeId, Row>| {
                let mut row = row.clone();
                theirs.get(&node).into_iter().for_each(|theirs| row.take(theirs));
                row
            };
            let (free, empty) = (left(&nodes.host(node).free, &lacks), left(&nodes.empty(node), &needs));
            let ports = if shape.spec.ports.is_empty() { u32::MAX } else { 1 };
            let (now, most) = (free.holds(&shape.needs).min(ports), empty.holds(&shape.needs).min(ports));
            if most > 0 {
                let key = (-free.at(shape.main), !mine.contains(&node), &nodes.host(node).name);
                open.push((key, node, now.min(most), most));
            }
        }
        open.sort_unstable();
        let now = open.iter().flat_map(|&(_, node, now, _)| (0..now).map(move |_| node));
        let later = open.iter().flat_map(|&(_, node, now, most)| (now..most).map(move |_| node));
        let chosen: Vec<NodeId> = now.chain(later).take(count as usize).collect();
        for node in chosen {
            placement.push((id, node));
            lacks.entry(node).or_default().change(&shape.needs, 1);
            needs.entry(node).or_default().change(&shape.needs, 1);
        }
    }
    placement
}
