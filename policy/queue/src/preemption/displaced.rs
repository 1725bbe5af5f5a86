//! Admitted pods that have no room in fact: their node is gone, or the scheduler put others where they were assumed.
//!
//! The scheduler knows them already, so they take the first room that becomes free, before any claimant is admitted.
//! A plan that forgot them would make room for one of them, and its claimant would have none: they come first.

use super::draft::{Draft, Served};
use super::node_costs::{Admits, cheapest};
use crate::state::State;
use crate::state::ids::{NodeId, ShapeId};
use crate::state::queues::Candidate;
use weir_model::reason::Grounds;

/// How many of them are looked at: more are the sign of a scheduler that is behind with all of them.
const MOST: usize = 64;

/// An admitted pod that has no room in fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Displaced {
    pub(crate) shape: ShapeId,
    /// The node on which it is assumed, and which holds more than it has.
    node: Option<NodeId>,
    /// Whether others may give way for it: a loan never makes another pod go.
    owed: bool,
}

/// The admitted pods that may have no room in fact.
pub(crate) fn displaced(state: &State) -> Vec<Displaced> {
    let displaced = state.pods.unbound.iter().filter_map(|&pod| {
        let record = state.pods.record(pod)?;
        let running = record.running().filter(|running| !running.is_terminating())?;
        let crowded = |node: NodeId| !state.nodes.host(node).free_soon().is_sound();
        let owed = running.grounds != Grounds::OnLoan;
        let ports = &state.shapes.shape_of(record.shape).spec.ports;
        let lost = running.node.is_none_or(crowded) && ports.is_empty();
        lost.then_some(Displaced { shape: record.shape, node: running.node, owed })
    });
    displaced.take(MOST).collect()
}

/// Puts those that fit on what is free or soon will be there, and returns the others.
pub(super) fn settle(draft: &mut Draft<'_>, displaced: &[Displaced], admits: &Admits) -> Vec<Displaced> {
    let mut left = Vec::new();
    for &one in displaced {
        let shape = draft.view.state.shapes.shape_of(one.shape);
        if let Some(node) = one.node {
            // Those before may have made room enough.
            if draft.rows[node.index()].is_sound() {
                continue;
            }
            draft.rows[node.index()].change(&shape.needs, 1);
        }
        let nodes = admits.get(&one.shape).map_or(&[][..], Vec::as_slice);
        let open =
            draft.view.state.nodes.iter().filter(|node| nodes.get(node.index()).is_some_and(|&admits| admits > 0));
        let open = open.filter(|node| draft.rows[node.index()].fits(&shape.needs));
        match open.min_by_key(|node| (draft.rows[node.index()].at(shape.main), *node)) {
            Some(node) => draft.rows[node.index()].change(&shape.needs, -1),
            None => left.extend(one.owed.then_some(one)),
        }
    }
    left
}

/// Makes room for those that would otherwise take the room of a claimant, as far as the claimant may take it.
pub(super) fn place(
    draft: &mut Draft<'_>,
    candidate: Candidate,
    displaced: &[Displaced],
    admits: &Admits,
    served: &mut Served,
) {
    let state = draft.view.state;
    let members = &state.shapes.request_of(candidate.request).members;
    let mut asked = members.iter().filter_map(|(shape, _)| admits.get(shape));
    let Some(nodes) = asked.next() else { return };
    for one in displaced {
        let Some(theirs) = admits.get(&one.shape) else { continue };
        let rivals = theirs.iter().zip(nodes).any(|(&here, &there)| here > 0 && there > 0);
        if let Some((node, victims)) = rivals.then(|| cheapest(draft, candidate, one.shape, theirs)).flatten() {
            for victim in victims {
                served.victims.extend(draft.take_all(victim));
            }
            draft.free(one.shape, node, -1);
            served.besides.push((one.shape, node));
        }
    }
}
