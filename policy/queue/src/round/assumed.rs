//! Nodes that admitted pods are assumed on until they are bound (B6), changed where other pods need the room.
//!
//! The node model gives an admitted pod a node at once, or the next round would give the same room away again.
//! Which node it becomes is up to the scheduler, and a scheduler that is slow, or keeps the pod for another
//! reason, leaves the assumption standing. An assumption must not keep another pod waiting: on a small node that
//! only that pod can use, say. So a request that finds no room is tried once more with the assumptions as they
//! might also be, and where all of them find a node it may go.
//!
//! And the scheduler may put a pod where another one is assumed. That one needs the room that the first was
//! assumed to need, or the room would look free and be given away: so it is assumed there at once.
//!
//! A pod that was admitted a moment ago is about to be bound, and then its node is known; its assumption stays.
//! Host ports are left out: no pod with ports is moved, and none is moved for one. Nothing is changed before all
//! have found a node.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::state::State;
use crate::state::fit::{Placement, Shortfall};
use crate::state::ids::{NodeId, PodId, RequestId, ShapeId};
use crate::state::row::Row;

use super::context::Round;

/// How long after its admission a pod counts as about to be bound.
const ABOUT_TO_BE_BOUND: Duration = Duration::from_secs(10);
/// How many assumptions are looked at: more are the sign of a scheduler that is behind with all of them.
const MOST_ASSUMED: usize = 512;
/// For how many requests a round may assume other nodes.
pub(super) const REASSUME_BUDGET: u32 = 16;

/// The nodes that a request would get of what is free and not claimed.
pub(super) fn find_nodes(round: &mut Round<'_>, request: RequestId) -> Result<Placement, Shortfall> {
    let State { fit, nodes, shapes, .. } = &mut *round.state;
    fit.find(request, nodes, shapes).or_else(|short| find_nodes_reassuming(round, request, short))
}

/// The nodes that a request gets when other pods are assumed elsewhere, which they then are.
fn find_nodes_reassuming(round: &mut Round<'_>, request: RequestId, short: Shortfall) -> Result<Placement, Shortfall> {
    let Some(left) = round.reassume_budget.checked_sub(1) else { return Err(short) };
    let assumed = assumed_pods(round);
    let members = round.state.shapes.request_of(request).members.clone();
    let ports = members.iter().any(|&(shape, _)| !round.state.shapes.shape_of(shape).spec.ports.is_empty());
    if assumed.is_empty() || ports {
        return Err(short);
    }
    round.reassume_budget = left;
    let mut attempt = Attempt { state: &mut *round.state, rows: Rows::default(), moves: Vec::new() };
    let mut found = Vec::new();
    for (shape, count) in members {
        for _ in 0..count {
            let node = attempt.place(shape, &assumed).ok_or(short)?;
            found.push((shape, node));
        }
    }
    let moves = attempt.moves;
    moves.into_iter().for_each(|(pod, node)| round.state.assume(pod, Some(node)));
    Ok(found)
}

/// Assumes nodes for admitted pods that have none: their node is gone, or none was found for them before.
pub(super) fn assume_nodes(round: &mut Round<'_>) {
    let state = &mut *round.state;
    for pod in std::mem::take(&mut state.pods.unplaced) {
        let Some(record) = state.pods.record(pod) else { continue };
        let request = state.shapes.request(std::iter::once(record.shape), record.preemptible);
        let State { fit, nodes, shapes, .. } = &mut *state;
        let found = fit.find(request, nodes, shapes);
        state.withdraw(pod);
        if let (Ok(nodes), Some(running)) = (found, state.pods.running_mut(pod)) {
            running.node = nodes.first().map(|&(_, node)| node);
        }
        state.enter(pod);
    }
}

/// Assumes other nodes for pods whose room others hold by now, before anything is given away.
pub(super) fn reassume(round: &mut Round<'_>) {
    let state = &mut *round.state;
    let assumed = state.pods.unbound.iter().filter_map(|&pod| {
        let record = state.pods.record(pod)?;
        let running = record.running().filter(|running| !running.is_terminating())?;
        let node = running.node.filter(|&node| is_crowded(state, node))?;
        state.shapes.shape_of(record.shape).spec.ports.is_empty().then_some((pod, record.shape, node))
    });
    let assumed: Vec<(PodId, ShapeId, NodeId)> = assumed.take(MOST_ASSUMED).collect();
    for (pod, shape, node) in assumed {
        // The pods before may have made room enough.
        if is_crowded(state, node)
            && let Some(other) = best(state, shape, &Rows::default())
        {
            state.assume(pod, Some(other));
        }
    }
}

/// Whether a node has promised more than it has. A claim may stand on what terminating pods leave; that crowds
/// no pod out.
fn is_crowded(state: &State, node: NodeId) -> bool {
    let host = state.nodes.host(node);
    !host.free.is_sound() && !host.free_soon().is_sound()
}

/// The pods that might also be elsewhere, by the node that they are assumed on.
fn assumed_pods(round: &Round<'_>) -> BTreeMap<NodeId, Vec<PodId>> {
    let state = &*round.state;
    let mut assumed: BTreeMap<NodeId, Vec<PodId>> = BTreeMap::new();
    let movable = state.pods.unbound.iter().filter_map(|&pod| {
        let record = state.pods.record(pod)?;
        let running = record.running()?;
        let settled = round.now.since(running.at) >= ABOUT_TO_BE_BOUND && !running.is_terminating();
        let ports = &state.shapes.shape_of(record.shape).spec.ports;
        (settled && ports.is_empty()).then_some((running.node?, pod))
    });
    for (node, pod) in movable.take(MOST_ASSUMED) {
        assumed.entry(node).or_default().push(pod);
    }
    assumed
}

/// The node with the least left on which a pod of this shape would fit.
fn best(state: &mut State, id: ShapeId, rows: &Rows) -> Option<NodeId> {
    let State { fit, nodes, shapes, .. } = state;
    let shape = shapes.shape_of(id);
    let admits = fit.admits(id, shape, nodes);
    let free = |node: NodeId| rows.0.get(&node).unwrap_or_else(|| &nodes.host(node).free);
    let open = nodes.iter().filter(|&node| admits[node.index()] > 0 && free(node).fits(&shape.needs));
    open.min_by_key(|&node| (free(node).at(shape.main), &nodes.host(node).name))
}

/// What would be free, where that is other than what is.
#[derive(Clone, Default)]
struct Rows(BTreeMap<NodeId, Row>);

impl Rows {
    fn free(&self, state: &State, node: NodeId) -> Row {
        self.0.get(&node).unwrap_or_else(|| &state.nodes.host(node).free).clone()
    }

    /// Frees the room of a pod on a node, or (`times` −1) takes it.
    fn change(&mut self, state: &State, node: NodeId, shape: ShapeId, times: i64) {
        let row = self.0.entry(node).or_insert_with(|| state.nodes.host(node).free.clone());
        row.change(&state.shapes.shape_of(shape).needs, times);
    }
}

/// An attempt to find nodes for a request by moving assumptions; nothing is changed while it lasts.
struct Attempt<'a> {
    state: &'a mut State,
    rows: Rows,
    /// The pods that are assumed elsewhere, and where.
    moves: Vec<(PodId, NodeId)>,
}

impl Attempt<'_> {
    /// Takes a node for one pod, if need be one that others are moved away from.
    fn place(&mut self, shape: ShapeId, assumed: &BTreeMap<NodeId, Vec<PodId>>) -> Option<NodeId> {
        let node = best(self.state, shape, &self.rows).or_else(|| self.clear(shape, assumed))?;
        self.rows.change(self.state, node, shape, -1);
        Some(node)
    }

    /// Makes room for a pod on a node by moving others; the node, if there is one.
    fn clear(&mut self, shape: ShapeId, assumed: &BTreeMap<NodeId, Vec<PodId>>) -> Option<NodeId> {
        let State { fit, nodes, shapes, .. } = &mut *self.state;
        let admits = fit.admits(shape, shapes.shape_of(shape), nodes).to_vec();
        for (&node, pods) in assumed.iter().filter(|(node, _)| admits[node.index()] > 0) {
            let needs = &self.state.shapes.shape_of(shape).needs;
            let mut free = self.rows.free(self.state, node);
            let mut going = Vec::new();
            for &pod in pods.iter().filter(|&&pod| self.moves.iter().all(|&(moved, _)| moved != pod)) {
                if free.fits(needs) {
                    break;
                }
                let Some(record) = self.state.pods.record(pod) else { continue };
                free.change(&self.state.shapes.shape_of(record.shape).needs, 1);
                going.push((pod, record.shape));
            }
            if free.fits(needs) && self.move_away(shape, node, &going) {
                return Some(node);
            }
        }
        None
    }

    /// Finds other nodes for pods that are to leave one, on which a pod of this shape takes their place.
    fn move_away(&mut self, shape: ShapeId, node: NodeId, going: &[(PodId, ShapeId)]) -> bool {
        let mut rows = self.rows.clone();
        going.iter().for_each(|&(_, theirs)| rows.change(self.state, node, theirs, 1));
        rows.change(self.state, node, shape, -1);
        let mut moves = Vec::new();
        for &(pod, theirs) in going {
            let Some(other) = best(self.state, theirs, &rows) else { return false };
            rows.change(self.state, other, theirs, -1);
            moves.push((pod, other));
        }
        // The caller takes the room for itself.
        rows.change(self.state, node, shape, 1);
        self.rows = rows;
        self.moves.append(&mut moves);
        true
    }
}
