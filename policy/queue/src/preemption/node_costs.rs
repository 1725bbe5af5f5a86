//! Where a plan puts the pods of a claimant: for each shape the nodes by what would be lost there.
//!
//! Looking at every node for every claimant would take most of a round. Claimants with one request, for which the
//! same pools give, see the same nodes; they share one set of heaps, and nodes on which the plan changed something
//! are looked at again. An entry may still be out of date, because a pool stopped or began to give; it is looked
//! at again when its turn comes, and a claimant that finds no room in heaps that others used is tried once more
//! with new ones.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use weir_model::PoolId;

use super::candidates::Victim;
use super::draft::{Draft, Lack, Served};
use crate::state::ids::{NodeId, RequestId, ShapeId};
use crate::state::queues::Candidate;
use crate::state::row::Row;
use crate::state::shapes::Shape;

/// For each shape the nodes that admit it: 1 or 0 for each.
pub(crate) type Admits = BTreeMap<ShapeId, Vec<u16>>;

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

/// What makes the nodes look the same to claimants of one plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Viewpoint {
    pub(super) request: RequestId,
    /// The pools above the claimant below which others give.
    pub(super) givers: Vec<PoolId>,
    /// The claimant's own pool and priority, where it may take the place of lower ones.
    pub(super) within: Option<(PoolId, i32)>,
}

/// The nodes for each shape of a request.
pub(super) struct NodeCosts<'q> {
    open: Vec<Open<'q>>,
    /// Up to where [`Draft::touched`] was read.
    read: usize,
}

/// The nodes for one shape of a request.
struct Open<'q> {
    shape: ShapeId,
    /// How many pods of the shape the request has.
    count: u32,
    /// Which nodes admit the shape, whatever is free: 1 or 0 for each.
    admits: &'q [u16],
    heap: BinaryHeap<Reverse<Entry>>,
}

/// A node for one pod; the smallest is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    cost: Cost,
    /// What is left there of the shape's main resource.
    left: i64,
    node: NodeId,
}

impl<'q> NodeCosts<'q> {
    /// All nodes that might take a pod of a claimant.
    pub(super) fn new(draft: &mut Draft<'q>, candidate: Candidate, admits: &'q Admits) -> Self {
        let read = draft.touched.len();
        let members = &draft.view.state.shapes.request_of(candidate.request).members;
        let open = members.iter().map(|&(shape, count)| {
            let admits = admits.get(&shape).map_or(&[][..], Vec::as_slice);
            let mut open = Open { shape, count, admits, heap: BinaryHeap::new() };
            let entries = (0..admits.len()).filter_map(|at| open.entry(draft, candidate, NodeId::at(at)));
            open.heap = entries.map(Reverse).collect();
            open
        });
        Self { open: open.collect(), read }
    }

    /// Finds a node for each pod of a claimant, and says whether there is one for all of them.
    pub(super) fn place_all(&mut self, draft: &mut Draft<'_>, served: &mut Served) -> bool {
        for at in 0..self.open.len() {
            for _ in 0..self.open[at].count {
                self.refresh(draft, served.candidate);
                if !self.open[at].place_one(draft, served) {
                    return false;
                }
            }
        }
        true
    }

    /// Looks again at the nodes on which something changed.
    fn refresh(&mut self, draft: &mut Draft<'_>, candidate: Candidate) {
        let mut touched = draft.touched[self.read..].to_vec();
        self.read = draft.touched.len();
        touched.sort_unstable();
        touched.dedup();
        for open in &mut self.open {
            for &node in &touched {
                let entry = open.entry(draft, candidate, node);
                open.heap.extend(entry.map(Reverse));
            }
        }
    }
}

impl Open<'_> {
    /// Takes the node on which the least is lost for one pod.
    fn place_one(&mut self, draft: &mut Draft<'_>, served: &mut Served) -> bool {
        let (shape, candidate) = (self.shape, served.candidate);
        while let Some(Reverse(Entry { cost, node, .. })) = self.heap.pop() {
            let Some((now, victims)) = look(draft, candidate, shape, node) else { continue };
            if now != cost {
                let again = self.entry(draft, candidate, node);
                self.heap.extend(again.map(Reverse));
                continue;
            }
            for victim in victims {
                served.victims.extend(draft.take_all(victim));
            }
            draft.free(shape, node, -1);
            served.nodes.push((shape, node));
            return true;
        }
        false
    }

    /// What one more pod on a node would cost, if it can be there at all.
    fn entry(&self, draft: &mut Draft<'_>, candidate: Candidate, node: NodeId) -> Option<Entry> {
        if self.admits.get(node.index()).is_none_or(|&admits| admits == 0) {
            return None;
        }
        let (cost, _) = look(draft, candidate, self.shape, node)?;
        let main = draft.view.state.shapes.shape_of(self.shape).main;
        Some(Entry { cost, left: draft.rows[node.index()].at(main), node })
    }
}

/// The node on which the least is lost for one pod of a shape, with the victims there.
pub(super) fn cheapest(
    draft: &mut Draft<'_>,
    candidate: Candidate,
    shape: ShapeId,
    admits: &[u16],
) -> Option<(NodeId, Vec<usize>)> {
    let mut best: Option<(Cost, NodeId, Vec<usize>)> = None;
    for at in (0..admits.len()).filter(|&at| admits[at] > 0) {
        let node = NodeId::at(at);
        if let Some((cost, victims)) = look(draft, candidate, shape, node)
            && best.as_ref().is_none_or(|(least, ..)| cost < *least)
        {
            best = Some((cost, node, victims));
        }
    }
    best.map(|(_, node, victims)| (node, victims))
}

/// The victims that would have to go for one more pod on a node, and what is lost with them.
fn look(draft: &mut Draft<'_>, candidate: Candidate, shape: ShapeId, node: NodeId) -> Option<(Cost, Vec<usize>)> {
    let state = draft.view.state;
    let shape = state.shapes.shape_of(shape);
    if !shape.spec.ports.is_empty() && !state.nodes.ports_free(node, shape) {
        return None;
    }
    if draft.rows[node.index()].fits(&shape.needs) {
        return Some((Cost::default(), Vec::new()));
    }
    if draft.on[node.index()].is_empty() {
        return None;
    }
    let mut row = draft.rows[node.index()].clone();
    let mut chosen = enough_of(draft, candidate, shape, node, &mut row)?;
    for at in (0..chosen.len()).rev() {
        part(draft, chosen[at], node, -1, &mut row);
        if row.fits(&shape.needs) {
            chosen.remove(at);
        } else {
            part(draft, chosen[at], node, 1, &mut row);
        }
    }
    let mut cost = Cost::default();
    let mut all: Vec<usize> = chosen.iter().flat_map(|&victim| draft.with_all(victim)).collect();
    all.sort_unstable();
    all.dedup();
    all.iter().for_each(|&victim| cost.add(&draft.victims[victim]));
    Some((cost, chosen))
}

/// The cheapest victims on a node one after another, until a pod fits on what they leave.
fn enough_of(
    draft: &mut Draft<'_>,
    candidate: Candidate,
    shape: &Shape,
    node: NodeId,
    row: &mut Row,
) -> Option<Vec<usize>> {
    let (needs, short) = (&shape.needs, Lack::on_node(shape, row));
    let mut chosen: Vec<usize> = Vec::new();
    for at in 0..draft.on[node.index()].len() {
        let victim = draft.on[node.index()][at];
        if row.fits(needs) {
            break;
        }
        if !draft.gone[victim] && draft.may_take(candidate, victim, &short) {
            part(draft, victim, node, 1, row);
            draft.count(victim, -1);
            chosen.push(victim);
        }
    }
    chosen.iter().for_each(|&victim| draft.count(victim, 1));
    row.fits(needs).then_some(chosen)
}

/// Gives what a victim holds on one node to a row, or (`times` −1) takes it.
fn part(draft: &Draft<'_>, victim: usize, node: NodeId, times: i64, row: &mut Row) {
    for &(shape, _) in draft.victims[victim].nodes.iter().filter(|&&(_, at)| at == node) {
        row.change(&draft.view.state.shapes.shape_of(shape).needs, times);
    }
}
