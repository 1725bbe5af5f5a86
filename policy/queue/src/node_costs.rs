//! Where a plan puts the pods of a claimant: for each shape the nodes by what would be lost there.
//!
//! Looking at every node for every claimant would take most of a step. Claimants with one request, for whom the
//! same pools give, see the same nodes; they share one set of heaps, and nodes on which the plan changed
//! something are looked at again. An entry may still be out of date, because a pool stopped or began to give;
//! it is looked at again when its turn comes, and a claimant that finds no room in heaps that others used is
//! tried once more with new ones.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use weir_model::PoolId;

use crate::admit::Candidate;
use crate::candidates::Victim;
use crate::nodes::{NodeId, Row};
use crate::plan::{Plan, Served};
use crate::shapes::{RequestId, ShapeId};

/// What is lost on a node; the smallest is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    /// Whether anything but loans goes, and its highest priority.
    worst: Option<(bool, i32)>,
    work: i128,
    pods: usize,
}

impl Cost {
    fn add(&mut self, victim: &Victim) {
        self.worst = self.worst.max(Some((victim.loss.own, victim.loss.priority)));
        self.work = self.work.saturating_add(victim.loss.work);
        self.pods += victim.pods.len();
    }
}

/// Whose nodes look the same to a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Viewpoint {
    pub(crate) request: RequestId,
    /// The pools above the claimant below which others give.
    pub(crate) givers: Vec<PoolId>,
    /// The claimant's own pool and priority, where it may take the place of lower ones.
    pub(crate) within: Option<(PoolId, i32)>,
}

/// The nodes for each shape of a request.
pub(crate) struct NodeCosts<'a> {
    open: Vec<Open<'a>>,
    /// Up to where [`Plan::touched`] was read.
    read: usize,
}

/// The nodes for one shape of a request.
struct Open<'a> {
    shape: ShapeId,
    /// How many pods of it the request has.
    count: u32,
    /// Which nodes admit it, whatever is free: 1 or 0 for each.
    admits: &'a [u32],
    /// By what would be lost there, then what is left there, then by node.
    heap: BinaryHeap<Reverse<(Cost, i64, NodeId)>>,
}

impl<'q> Plan<'q> {
    /// All nodes that might take a pod of a claimant.
    pub(crate) fn node_costs(&mut self, candidate: Candidate) -> NodeCosts<'q> {
        let mut node_costs = NodeCosts { open: Vec::new(), read: self.touched.len() };
        for &(shape, count) in &self.queue.shapes.request_of(candidate.request).members {
            let admits = self.admits.get(&shape).map_or(&[][..], Vec::as_slice);
            let mut open = Open { shape, count, admits, heap: BinaryHeap::new() };
            let entries = (0..admits.len() as u32).filter_map(|at| self.entry(candidate, &open, NodeId(at)));
            open.heap = entries.collect();
            node_costs.open.push(open);
        }
        node_costs
    }

    /// Finds a node for each pod of a claimant, and says whether there is one for all of them.
    pub(crate) fn place_all(
        &mut self,
        candidate: Candidate,
        node_costs: &mut NodeCosts<'_>,
        served: &mut Served,
    ) -> bool {
        for at in 0..node_costs.open.len() {
            for _ in 0..node_costs.open[at].count {
                self.refresh(candidate, node_costs);
                if !self.place_one(candidate, &mut node_costs.open[at], served) {
                    return false;
                }
            }
        }
        true
    }

    /// Looks again at the nodes on which something changed.
    fn refresh(&mut self, candidate: Candidate, node_costs: &mut NodeCosts<'_>) {
        let NodeCosts { open, read } = node_costs;
        let mut touched = self.touched[*read..].to_vec();
        *read = self.touched.len();
        touched.sort_unstable();
        touched.dedup();
        for open in open {
            for &node in &touched {
                let entry = self.entry(candidate, open, node);
                open.heap.extend(entry);
            }
        }
    }

    /// Takes the node on which the least is lost for one pod.
    fn place_one(&mut self, candidate: Candidate, open: &mut Open<'_>, served: &mut Served) -> bool {
        let shape = open.shape;
        while let Some(Reverse((cost, _, node))) = open.heap.pop() {
            let Some((now, victims)) = self.look(candidate, shape, node) else { continue };
            if now != cost {
                let again = self.entry(candidate, open, node);
                open.heap.extend(again);
                continue;
            }
            for victim in victims {
                served.victims.extend(self.take_all(victim));
            }
            self.free(shape, node, -1);
            served.nodes.push((shape, node));
            return true;
        }
        false
    }

    fn entry(&mut self, candidate: Candidate, open: &Open<'_>, node: NodeId) -> Option<Reverse<(Cost, i64, NodeId)>> {
        if open.admits.get(node.index()).is_none_or(|&admits| admits == 0) {
            return None;
        }
        let (cost, _) = self.look(candidate, open.shape, node)?;
        let main = self.queue.shapes.shape_of(open.shape).main;
        Some(Reverse((cost, self.rows[node.index()].at(main), node)))
    }

    /// What would have to go for one more pod on a node, and what is lost with it.
    fn look(&mut self, candidate: Candidate, shape: ShapeId, node: NodeId) -> Option<(Cost, Vec<usize>)> {
        let shape = self.queue.shapes.shape_of(shape);
        if !shape.spec.ports.is_empty() && !self.queue.nodes.ports_free(node, shape) {
            return None;
        }
        if self.rows[node.index()].fits(&shape.needs) {
            return Some((Cost::default(), Vec::new()));
        }
        if self.on[node.index()].is_empty() {
            return None;
        }
        let mut row = self.rows[node.index()].clone();
        let mut chosen = self.enough_of(candidate, &shape.needs, node, &mut row)?;
        for at in (0..chosen.len()).rev() {
            self.part(chosen[at], node, -1, &mut row);
            if row.fits(&shape.needs) {
                chosen.remove(at);
            } else {
                self.part(chosen[at], node, 1, &mut row);
            }
        }
        let mut cost = Cost::default();
        let mut all: Vec<usize> = chosen.iter().flat_map(|&victim| self.with_all(victim)).collect();
        all.sort_unstable();
        all.dedup();
        all.iter().for_each(|&victim| cost.add(&self.victims[victim]));
        Some((cost, chosen))
    }

    /// The cheapest victims on a node one after another, until a pod fits on what they leave.
    fn enough_of(
        &mut self,
        candidate: Candidate,
        needs: &[(usize, i64)],
        node: NodeId,
        row: &mut Row,
    ) -> Option<Vec<usize>> {
        let mut chosen: Vec<usize> = Vec::new();
        for at in 0..self.on[node.index()].len() {
            let victim = self.on[node.index()][at];
            if row.fits(needs) {
                break;
            }
            if !self.gone[victim] && self.may_take(candidate, victim) {
                self.part(victim, node, 1, row);
                self.count(victim, -1);
                chosen.push(victim);
            }
        }
        chosen.iter().for_each(|&victim| self.count(victim, 1));
        row.fits(needs).then_some(chosen)
    }

    /// Gives or takes what a victim holds on one node.
    fn part(&self, victim: usize, node: NodeId, times: i64, row: &mut Row) {
        for &(shape, _) in self.victims[victim].nodes.iter().filter(|&&(_, at)| at == node) {
            row.change(&self.queue.shapes.shape_of(shape).needs, times);
        }
    }
}
