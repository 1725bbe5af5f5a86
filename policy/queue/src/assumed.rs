//! Where pods are thought to go that were admitted and are not bound: changed where somebody else needs the room.
//!
//! The node model gives an admitted pod a node at once, or the next round would give the same room away again.
//! Which node it becomes is up to the scheduler, and one that is slow, or keeps the pod for another reason, leaves
//! the guess standing. A guess must not keep anybody waiting: on a small node that only he can use, say. So
//! whoever finds no room is asked for once more with the guesses as they might also be, and where all of them
//! find a node he may go.
//!
//! And the scheduler may put a pod where another was thought to go. That one needs the room that the first was
//! thought to need, or it would look free and be given away: so it is thought of there at once.
//!
//! A pod that was admitted a moment ago is about to be bound, and then it is known where it is; its guess stays.
//! Host ports are left out: of those who have some nobody is moved, and nobody is moved for them. Nothing is
//! changed before all have found a node.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::fit::Shortfall;
use crate::nodes::{NodeId, Row};
use crate::shapes::{RequestId, ShapeId};
use crate::state::Queue;

/// How long after its admission a pod counts as about to be bound.
const ABOUT_TO_BE_BOUND: Duration = Duration::from_secs(10);
/// How many guesses are looked at: more are the sign of a scheduler that is behind with all of them.
const MOST_ASSUMED: usize = 512;
/// For how many requests it is tried in one step.
pub(crate) const REASSUME_BUDGET: u32 = 16;

/// What would be free, where that is other than what is.
#[derive(Default)]
struct Changed(BTreeMap<NodeId, Row>);

/// A pod, where it is thought to go, and where it might go instead.
type Move = (u32, NodeId);

impl Queue {
    /// The nodes that a request gets when others are thought of elsewhere, which is then how they are thought of.
    pub(crate) fn find_nodes_reassuming(
        &mut self,
        request: RequestId,
        short: Shortfall,
    ) -> Result<Vec<(ShapeId, NodeId)>, Shortfall> {
        let Some(left) = self.reassume_budget.checked_sub(1) else { return Err(short) };
        let assumed = self.assumed_pods();
        let members = self.shapes.request_of(request).members.clone();
        let ports = members.iter().any(|&(shape, _)| !self.shapes.shape_of(shape).spec.ports.is_empty());
        if assumed.is_empty() || ports {
            return Err(short);
        }
        self.reassume_budget = left;
        let (mut changed, mut moves, mut found) = (Changed::default(), Vec::new(), Vec::new());
        for (shape, count) in members {
            for _ in 0..count {
                let free = self.best(shape, &changed);
                let node = free.or_else(|| self.clear(shape, &assumed, &mut changed, &mut moves)).ok_or(short)?;
                self.change(&mut changed, node, shape, -1);
                found.push((shape, node));
            }
        }
        moves.into_iter().for_each(|(pod, node)| self.assume(pod, Some(node)));
        Ok(found)
    }

    /// Thinks of pods elsewhere whose room others hold by now, before anything is given away.
    pub(crate) fn reassume(&mut self) {
        let crowded = |queue: &Self, node: NodeId| {
            let host = queue.nodes.host(node);
            // A claim may stand on what those leave who are going; that crowds nobody out.
            !host.free.is_sound() && !host.free_soon().is_sound()
        };
        let thought = self.unbound.iter().filter_map(|&pod| {
            let record = self.pods.record(pod)?;
            let running = record.running().filter(|running| !running.is_terminating())?;
            let node = running.node.filter(|&node| crowded(self, node))?;
            self.shapes.shape_of(record.shape).spec.ports.is_empty().then_some((pod, record.shape, node))
        });
        let thought: Vec<(u32, ShapeId, NodeId)> = thought.take(MOST_ASSUMED).collect();
        for (pod, shape, node) in thought {
            // Those before may have made room enough.
            if crowded(self, node)
                && let Some(other) = self.best(shape, &Changed::default())
            {
                self.assume(pod, Some(other));
            }
        }
    }

    /// Thinks of a node for an admitted pod that is not bound.
    pub(crate) fn assume(&mut self, pod: u32, node: Option<NodeId>) {
        let Some(record) = self.pods.record(pod) else { return };
        let shape = record.shape;
        self.withdraw(pod);
        let counted = self.counted(shape, node);
        if let Some(running) = self.pods.record_mut(pod).and_then(|record| record.running_mut()) {
            (running.node, running.counted) = (node, counted);
        }
        self.enter(pod);
    }

    /// The pods that might also be elsewhere, by the node that they are thought to go to.
    fn assumed_pods(&self) -> BTreeMap<NodeId, Vec<u32>> {
        let mut assumed: BTreeMap<NodeId, Vec<u32>> = BTreeMap::new();
        let guessed = self.unbound.iter().filter_map(|&pod| {
            let record = self.pods.record(pod)?;
            let running = record.running()?;
            let settled = self.now.since(running.at) >= ABOUT_TO_BE_BOUND && !running.is_terminating();
            let ports = &self.shapes.shape_of(record.shape).spec.ports;
            (settled && ports.is_empty()).then_some((running.node?, pod))
        });
        for (node, pod) in guessed.take(MOST_ASSUMED) {
            assumed.entry(node).or_default().push(pod);
        }
        assumed
    }

    /// Makes room for a pod on a node by thinking of others elsewhere; the node, if there is one.
    fn clear(
        &mut self,
        shape: ShapeId,
        assumed: &BTreeMap<NodeId, Vec<u32>>,
        changed: &mut Changed,
        moves: &mut Vec<Move>,
    ) -> Option<NodeId> {
        let admits = self.fit_index.admits(shape, self.shapes.shape_of(shape), &self.nodes).to_vec();
        for (&node, pods) in assumed.iter().filter(|(node, _)| admits[node.index()] > 0) {
            let needs = &self.shapes.shape_of(shape).needs;
            let mut free = changed.free(node, self);
            let mut going = Vec::new();
            for &pod in pods.iter().filter(|&&pod| moves.iter().all(|&(moved, _)| moved != pod)) {
                if free.fits(needs) {
                    break;
                }
                let Some(record) = self.pods.record(pod) else { continue };
                free.change(&self.shapes.shape_of(record.shape).needs, 1);
                going.push((pod, record.shape));
            }
            if free.fits(needs) && self.elsewhere(shape, node, &going, changed, moves) {
                return Some(node);
            }
        }
        None
    }

    /// Finds other nodes for those who are to leave one, on which a pod of this shape takes their place.
    fn elsewhere(
        &mut self,
        shape: ShapeId,
        node: NodeId,
        going: &[(u32, ShapeId)],
        changed: &mut Changed,
        moves: &mut Vec<Move>,
    ) -> bool {
        let mut tried = Changed(changed.0.clone());
        going.iter().for_each(|&(_, theirs)| self.change(&mut tried, node, theirs, 1));
        self.change(&mut tried, node, shape, -1);
        let mut theirs = Vec::new();
        for &(pod, shape) in going {
            let Some(other) = self.best(shape, &tried) else { return false };
            self.change(&mut tried, other, shape, -1);
            theirs.push((pod, other));
        }
        // The caller takes the room for itself.
        self.change(&mut tried, node, shape, 1);
        *changed = tried;
        moves.append(&mut theirs);
        true
    }

    /// The node with the least left on which a pod of this shape would fit.
    fn best(&mut self, id: ShapeId, changed: &Changed) -> Option<NodeId> {
        let shape = self.shapes.shape_of(id);
        let admits = self.fit_index.admits(id, shape, &self.nodes);
        let fits = |node: NodeId| match changed.0.get(&node) {
            Some(row) => row.fits(&shape.needs),
            None => self.nodes.host(node).free.fits(&shape.needs),
        };
        let left = |node: NodeId| match changed.0.get(&node) {
            Some(row) => row.at(shape.main),
            None => self.nodes.host(node).free.at(shape.main),
        };
        let open = self.nodes.iter().filter(|&node| admits[node.index()] > 0 && fits(node));
        open.min_by_key(|&node| (left(node), &self.nodes.host(node).name))
    }

    fn change(&self, changed: &mut Changed, node: NodeId, shape: ShapeId, times: i64) {
        let row = changed.0.entry(node).or_insert_with(|| self.nodes.host(node).free.clone());
        row.change(&self.shapes.shape_of(shape).needs, times);
    }
}

impl Changed {
    fn free(&self, node: NodeId, queue: &Queue) -> Row {
        self.0.get(&node).unwrap_or(&queue.nodes.host(node).free).clone()
    }
}
