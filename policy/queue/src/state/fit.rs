//! Where a request fits: how many pods of a shape each node can take, and which nodes a request would get.
//!
//! For each shape the index remembers how many pods fit on each node; a change of one node costs one look at it
//! for each shape that is asked about. "6 of 8 fit" is then one number, and a full cluster says no without a
//! search. Nodes are filled most-allocated first, in the shape's main resource, then by name, so that whole
//! hosts stay free and the same state always gives the same nodes.

use std::collections::HashMap;

use super::change_log::ChangeLog;
use super::ids::{NodeId, RequestId, ShapeId};
use super::nodes::{Holder, Nodes};
use super::row::Row;
use super::shapes::{Request, Shape, Shapes};

/// A pod of each of these shapes, on these nodes.
pub(crate) type Placement = Vec<(ShapeId, NodeId)>;

/// The answer that not all pods of a request find room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortfall {
    /// How many do.
    pub(crate) fit: u32,
    /// How many there are.
    pub(crate) of: u32,
}

/// How many pods of one shape fit on each node; two bytes for each, because there are hundreds of shapes and thousands
/// of nodes. No kubelet takes as many pods as two bytes can count.
#[derive(Debug, Default)]
struct ShapeFit {
    slots: Vec<u16>,
    total: u64,
    /// Up to where the log of changes was read.
    read: u64,
}

impl ShapeFit {
    /// Looks again at the nodes that changed.
    fn sync(&mut self, nodes: &Nodes, log: &ChangeLog, slots: impl Fn(NodeId) -> u32) {
        let known = self.slots.len();
        self.slots.resize(nodes.len(), 0);
        let mut look = |node: NodeId| {
            let now = u16::try_from(slots(node)).unwrap_or(u16::MAX);
            let before = std::mem::replace(&mut self.slots[node.index()], now);
            self.total = self.total + u64::from(now) - u64::from(before);
        };
        match log.since(self.read).filter(|_| known > 0) {
            Some(changed) => changed.iter().for_each(|&node| look(node)),
            None => nodes.iter().for_each(look),
        }
        self.read = log.end();
    }

    /// The nodes with room, each with how many pods fit there.
    fn open(&self) -> impl Iterator<Item = (NodeId, u32)> + '_ {
        let open = self.slots.iter().enumerate().filter(|&(_, &slots)| slots > 0);
        open.map(|(at, &slots)| (NodeId::at(at), u32::from(slots)))
    }
}

/// The most answers that are kept, of one shape for one node each: 32 MiB. A cluster has some hundred shapes; with
/// more than that the oldest answers are found out again.
const MOST_SLOTS: usize = 16 << 20;

/// What was found out about shapes and requests, kept until a node changes.
#[derive(Debug, Default)]
pub(crate) struct FitIndex {
    /// On what is free now.
    free: Vec<ShapeFit>,
    /// On nodes that admit the shape, with only unmanaged pods on them.
    empty: Vec<ShapeFit>,
    /// Of gangs with several shapes: the answer for an empty cluster, and the layout that it holds for.
    mixed: HashMap<RequestId, (u64, Result<(), Shortfall>)>,
    /// How many shapes were asked about since answers were last dropped.
    asked: usize,
}

impl FitIndex {
    /// Drops what was found out about shapes and requests that are given back.
    pub(crate) fn forget(&mut self, shapes: &[ShapeId], requests: &[RequestId]) {
        for fits in [&mut self.free, &mut self.empty] {
            for id in shapes {
                fits.get_mut(id.index()).into_iter().for_each(|fit| *fit = ShapeFit::default());
            }
        }
        for request in requests {
            self.mixed.remove(request);
        }
    }

    /// Drops all answers where they would become more than are kept.
    fn make_room(&mut self, id: ShapeId, nodes: &Nodes) {
        let known = self.empty.get(id.index()).is_some_and(|fit| !fit.slots.is_empty());
        if known {
            return;
        }
        self.asked += 1;
        if 2 * self.asked * nodes.len() > MOST_SLOTS {
            *self = Self { asked: 1, ..Self::default() };
        }
    }

    /// The nodes that a request would get of what is free now, in the order of its shapes.
    pub(crate) fn find(
        &mut self,
        request: RequestId,
        nodes: &mut Nodes,
        shapes: &mut Shapes,
    ) -> Result<Placement, Shortfall> {
        let request = shapes.request_of(request);
        if let [(id, count)] = request.members[..] {
            let mut found = Vec::with_capacity(count as usize);
            self.fill(id, shapes.shape_of(id), count, nodes, &mut found);
            let short = found.len() < count as usize;
            return if short { Err(Shortfall { fit: found.len() as u32, of: count }) } else { Ok(found) };
        }
        let (members, pods) = (request.members.clone(), request.pods);
        let mut found = Vec::with_capacity(pods as usize);
        let mut short = false;
        for (id, count) in members {
            let start = found.len();
            self.fill(id, shapes.shape_of(id), count, nodes, &mut found);
            short |= found.len() - start < count as usize;
            for &(_, node) in &found[start..] {
                nodes.take(node, id, Holder::Claim, shapes);
            }
        }
        for &(id, node) in &found {
            nodes.release(node, id, Holder::Claim, shapes);
        }
        if short { Err(Shortfall { fit: found.len() as u32, of: pods }) } else { Ok(found) }
    }

    /// Adds up to `count` nodes for one shape, most allocated first.
    fn fill(&mut self, id: ShapeId, shape: &Shape, count: u32, nodes: &Nodes, found: &mut Placement) {
        self.make_room(id, nodes);
        let fit = self.free(id, shape, nodes);
        let key = |node: NodeId| (nodes.host(node).free.at(shape.main), &nodes.host(node).name);
        let many = |(node, slots): (NodeId, u32)| (0..slots).map(move |_| (id, node));
        if fit.total < u64::from(count) {
            // All that fit are counted, so that the pod can say "6 of 8 fit".
            found.extend(fit.open().flat_map(many).take(count as usize));
        } else if count == 1 {
            let best = fit.open().map(|(node, _)| node).min_by_key(|&node| key(node));
            found.extend(best.map(|node| (id, node)));
        } else {
            let mut open: Vec<(NodeId, u32)> = fit.open().collect();
            open.sort_unstable_by_key(|&(node, _)| key(node));
            found.extend(open.into_iter().flat_map(many).take(count as usize));
        }
    }

    /// Whether all pods of a request fit on the usable nodes when only unmanaged pods are there.
    pub(crate) fn fits_empty(&mut self, id: RequestId, nodes: &Nodes, shapes: &Shapes) -> Result<(), Shortfall> {
        let request = shapes.request_of(id);
        request.members.iter().for_each(|&(shape, _)| self.make_room(shape, nodes));
        if let [(shape, count)] = request.members[..] {
            let total = self.empty(shape, shapes.shape_of(shape), nodes).total;
            let fit = u32::try_from(total).unwrap_or(u32::MAX);
            return if fit >= count { Ok(()) } else { Err(Shortfall { fit, of: count }) };
        }
        let layout = nodes.layout.end();
        if let Some((_, known)) = self.mixed.get(&id).filter(|(at, _)| *at == layout) {
            return *known;
        }
        let answer = self.pack_empty(request, nodes, shapes);
        self.mixed.insert(id, (layout, answer));
        answer
    }

    /// Packs a gang of several shapes into the empty cluster, the largest first.
    fn pack_empty(&mut self, request: &Request, nodes: &Nodes, shapes: &Shapes) -> Result<(), Shortfall> {
        let mut rows: Vec<Row> = nodes.iter().map(|node| nodes.empty(node)).collect();
        let mut fit = 0;
        for &(id, count) in &request.members {
            let shape = shapes.shape_of(id);
            let open = &self.empty(id, shape, nodes).slots;
            let mut order: Vec<usize> = (0..rows.len()).filter(|&at| open[at] > 0).collect();
            order.sort_unstable_by_key(|&at| (rows[at].at(shape.main), &nodes.host(NodeId::at(at)).name));
            let mut left = count;
            for at in order {
                let ports = if shape.spec.ports.is_empty() { u32::MAX } else { 1 };
                let here = rows[at].holds(&shape.needs).min(left).min(ports);
                rows[at].change(&shape.needs, -i64::from(here));
                left -= here;
            }
            fit += count - left;
        }
        if fit == request.pods { Ok(()) } else { Err(Shortfall { fit, of: request.pods }) }
    }

    /// Which nodes admit a shape, and have room for it when only unmanaged pods are there: none where it is 0.
    pub(crate) fn admits(&mut self, id: ShapeId, shape: &Shape, nodes: &Nodes) -> &[u16] {
        self.make_room(id, nodes);
        &self.empty(id, shape, nodes).slots
    }

    fn free(&mut self, id: ShapeId, shape: &Shape, nodes: &Nodes) -> &ShapeFit {
        self.empty(id, shape, nodes);
        let admits = &self.empty[id.index()].slots;
        let fit = of_shape(&mut self.free, id);
        fit.sync(nodes, &nodes.changes, |node| if admits[node.index()] > 0 { nodes.slots(node, shape) } else { 0 });
        fit
    }

    fn empty(&mut self, id: ShapeId, shape: &Shape, nodes: &Nodes) -> &ShapeFit {
        let fit = of_shape(&mut self.empty, id);
        let slots = |node| if nodes.admits(node, shape) { nodes.slots_when_empty(node, shape) } else { 0 };
        fit.sync(nodes, &nodes.layout, slots);
        fit
    }
}

fn of_shape(fits: &mut Vec<ShapeFit>, id: ShapeId) -> &mut ShapeFit {
    if fits.len() <= id.index() {
        fits.resize_with(id.index() + 1, ShapeFit::default);
    }
    &mut fits[id.index()]
}
