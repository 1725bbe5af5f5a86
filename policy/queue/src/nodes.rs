//! The node model: what each node has, who holds it, and what is free.
//!
//! Free is allocatable minus what pods hold there, minus what claims have been promised. It can be
//! negative: a claim stands on a node before the pods that make room for it are gone. It does not decide who
//! goes where: that is `fit`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use weir_model::{Class, Dim, Dimensions, ResourceVec};

use crate::hosts::{Hosts, Node};
use crate::ledger::amount;
use crate::pod::HostPort;
use crate::selector;
use crate::shapes::{Shape, Shapes};

/// A node, by its position in [`Nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Amounts by position of the resource name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row(Vec<i64>);

impl Row {
    pub(crate) fn at(&self, resource: usize) -> i64 {
        self.0.get(resource).copied().unwrap_or(0)
    }

    /// Adds `times` × the needs, saturating.
    pub(crate) fn change(&mut self, needs: &[(usize, i64)], times: i64) {
        for &(resource, amount) in needs {
            if self.0.len() <= resource {
                self.0.resize(resource + 1, 0);
            }
            let cell = &mut self.0[resource];
            *cell = cell.saturating_add(amount.saturating_mul(times));
        }
    }

    /// How many pods of these needs fit.
    pub(crate) fn holds(&self, needs: &[(usize, i64)]) -> u32 {
        let of = |&(resource, amount): &(usize, i64)| self.at(resource).max(0) / amount.max(1);
        u32::try_from(needs.iter().map(of).min().unwrap_or(0)).unwrap_or(u32::MAX)
    }

    /// Whether nothing is promised twice.
    pub(crate) fn is_sound(&self) -> bool {
        self.0.iter().all(|&amount| amount >= 0)
    }

    pub(crate) fn fits(&self, needs: &[(usize, i64)]) -> bool {
        needs.iter().all(|&(resource, amount)| self.at(resource) >= amount)
    }
}

/// One node. A node that is only known from a pod bound to it is there too, without a specification.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: Arc<str>,
    pub(crate) spec: Option<Node>,
    pub(crate) class: Option<Class>,
    /// What it can give to pods, in all.
    allocatable: Row,
    /// What pods that nobody admitted hold there.
    unmanaged: Row,
    /// What is left of the allocatable.
    pub(crate) free: Row,
    /// What admitted pods hold that are going.
    pub(crate) terminating: Row,
    /// What admitted pods hold there.
    admitted: Row,
    ports: BTreeMap<HostPort, u32>,
    /// The admitted pods that are there, by the caller's numbers.
    pub(crate) pods: BTreeSet<u32>,
    /// What the node adds to the capacity.
    gives: ResourceVec,
    /// What unmanaged pods keep from it.
    kept: ResourceVec,
}

/// Who holds something on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// An admitted pod.
    Admitted(u32),
    /// A pod that nobody admitted: a DaemonSet's, a mirror pod.
    Unmanaged,
    /// A claim.
    Claim,
}

impl Host {
    /// What is free once everything that is going is gone.
    pub(crate) fn free_soon(&self) -> Row {
        let mut row = self.free.clone();
        for (resource, &amount) in self.terminating.0.iter().enumerate() {
            row.change(&[(resource, amount)], 1);
        }
        row
    }
}

/// All nodes, and in which order they changed.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    hosts: Vec<Host>,
    by_name: HashMap<Arc<str>, NodeId>,
    /// Nodes whose free amounts changed, oldest first.
    pub(crate) changes: Log,
    /// Nodes whose size, labels or taints changed, oldest first.
    pub(crate) layout: Log,
    /// What the cluster has to give, by dimension.
    capacity: Vec<i128>,
    /// What unmanaged pods hold, by dimension.
    unmanaged: Vec<i128>,
}

/// Which nodes changed, in order; whoever has read up to a point needs to look at the rest only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    forgotten: u64,
    entries: Vec<NodeId>,
}

impl Log {
    fn push(&mut self, node: NodeId, nodes: usize) {
        if self.entries.len() > 4 * nodes + 64 {
            self.forgotten += self.entries.len() as u64;
            self.entries.clear();
        }
        self.entries.push(node);
    }

    /// The point behind the last change.
    pub(crate) fn end(&self) -> u64 {
        self.forgotten + self.entries.len() as u64
    }

    /// The nodes that changed since a point; `None` when that is too long ago to tell.
    pub(crate) fn since(&self, point: u64) -> Option<&[NodeId]> {
        let at = point.checked_sub(self.forgotten)?;
        self.entries.get(usize::try_from(at).ok()?..)
    }
}

impl Nodes {
    /// The node of this name, made known if it was not.
    pub(crate) fn named(&mut self, name: &str) -> NodeId {
        if let Some(&known) = self.by_name.get(name) {
            return known;
        }
        let name: Arc<str> = name.into();
        let id = NodeId(self.hosts.len() as u32);
        self.by_name.insert(Arc::clone(&name), id);
        self.hosts.push(Host {
            name,
            spec: None,
            class: None,
            allocatable: Row::default(),
            unmanaged: Row::default(),
            free: Row::default(),
            terminating: Row::default(),
            admitted: Row::default(),
            ports: BTreeMap::new(),
            pods: BTreeSet::new(),
            gives: ResourceVec::new(),
            kept: ResourceVec::new(),
        });
        id
    }

    /// Takes over what a node says of itself, or that it is gone.
    pub(crate) fn describe(
        &mut self,
        id: NodeId,
        spec: Option<Node>,
        shapes: &mut Shapes,
        context: &mut NodeContext<'_>,
    ) {
        let row = |shapes: &mut Shapes, spec: &Node| {
            let mut row = Row::default();
            for (name, amount) in &spec.allocatable {
                row.change(&[(shapes.resource(name), amount.units())], 1);
            }
            row
        };
        let allocatable = spec.as_ref().map(|spec| row(shapes, spec)).unwrap_or_default();
        let host = &mut self.hosts[id.index()];
        for resource in 0..allocatable.0.len().max(host.allocatable.0.len()) {
            let difference = allocatable.at(resource).saturating_sub(host.allocatable.at(resource));
            host.free.change(&[(resource, difference)], 1);
        }
        host.class = spec.as_ref().map(|spec| context.hosts.node_class(spec)).or(host.class.take());
        host.allocatable = allocatable;
        host.spec = spec;
        self.changed(id, Change::Layout, shapes, context);
    }

    /// Puts a pod or a claim on a node.
    pub(crate) fn take(
        &mut self,
        id: NodeId,
        shape: &Shape,
        holder: Holder,
        shapes: &Shapes,
        context: &mut NodeContext<'_>,
    ) {
        self.hold(id, shape, holder, 1, shapes, context);
    }

    /// Takes it away again.
    pub(crate) fn release(
        &mut self,
        id: NodeId,
        shape: &Shape,
        holder: Holder,
        shapes: &Shapes,
        context: &mut NodeContext<'_>,
    ) {
        self.hold(id, shape, holder, -1, shapes, context);
    }

    fn hold(
        &mut self,
        id: NodeId,
        shape: &Shape,
        holder: Holder,
        times: i64,
        shapes: &Shapes,
        context: &mut NodeContext<'_>,
    ) {
        let host = &mut self.hosts[id.index()];
        host.free.change(&shape.needs, -times);
        for port in &shape.spec.ports {
            let count = host.ports.entry(port.clone()).or_default();
            *count = if times > 0 { *count + 1 } else { count.saturating_sub(1) };
        }
        host.ports.retain(|_, count| *count > 0);
        let change = match holder {
            Holder::Admitted(pod) => {
                host.admitted.change(&shape.needs, times);
                let _ = if times > 0 { host.pods.insert(pod) } else { host.pods.remove(&pod) };
                Change::Free
            }
            Holder::Unmanaged => {
                host.unmanaged.change(&shape.needs, times);
                Change::Layout
            }
            Holder::Claim => Change::Free,
        };
        self.changed(id, change, shapes, context);
    }

    /// Notes that an admitted pod on a node is going, or (`times` −1) is no longer.
    pub(crate) fn terminating(&mut self, id: NodeId, shape: &Shape, times: i64) {
        self.hosts[id.index()].terminating.change(&shape.needs, times);
    }

    fn changed(&mut self, id: NodeId, change: Change, shapes: &Shapes, context: &mut NodeContext<'_>) {
        let count = self.hosts.len();
        self.changes.push(id, count);
        if change == Change::Layout {
            self.layout.push(id, count);
        }
        if change == Change::Layout || !self.usable(id) {
            self.recount(id, shapes, context);
        }
    }

    /// A5: a usable node gives what unmanaged pods leave of it, another one exactly what admitted pods hold.
    fn recount(&mut self, id: NodeId, shapes: &Shapes, context: &mut NodeContext<'_>) {
        let usable = self.usable(id);
        let host = &mut self.hosts[id.index()];
        let (mut gives, mut kept) = (ResourceVec::new(), ResourceVec::new());
        if let Some(class) = &host.class {
            let lengths = [&host.allocatable, &host.admitted, &host.unmanaged].map(|row| row.0.len());
            for resource in 1..lengths.into_iter().max().unwrap_or(0) {
                let units = match usable {
                    true => host.allocatable.at(resource).saturating_sub(host.unmanaged.at(resource)),
                    false => host.admitted.at(resource),
                };
                let name = shapes.resource_name(resource);
                let dim = context.dims.intern(&class.dimension(name, context.hosts.is_gpu(name)));
                gives.set(dim, gives.amount(dim) + weir_model::Amount::new(units));
                kept.set(dim, kept.amount(dim) + weir_model::Amount::new(host.unmanaged.at(resource)));
            }
        }
        let before = std::mem::replace(&mut host.gives, gives.clone());
        let kept_before = std::mem::replace(&mut host.kept, kept.clone());
        give(&mut self.capacity, &before, -1);
        give(&mut self.capacity, &gives, 1);
        give(&mut self.unmanaged, &kept_before, -1);
        give(&mut self.unmanaged, &kept, 1);
    }

    /// What the cluster has to give in a dimension.
    pub(crate) fn capacity(&self, dim: Dim) -> weir_model::Amount {
        amount(self.capacity.get(dim.index()).copied().unwrap_or(0))
    }

    /// What pods hold that nobody manages, on all nodes, in a dimension.
    pub(crate) fn unmanaged(&self, dim: Dim) -> weir_model::Amount {
        amount(self.unmanaged.get(dim.index()).copied().unwrap_or(0))
    }

    /// Whether something new may go to a node.
    pub(crate) fn usable(&self, id: NodeId) -> bool {
        self.hosts[id.index()].spec.as_ref().is_some_and(|spec| spec.excluded.is_none())
    }

    pub(crate) fn host(&self, id: NodeId) -> &Host {
        &self.hosts[id.index()]
    }

    pub(crate) fn len(&self) -> usize {
        self.hosts.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.hosts.len() as u32).map(NodeId)
    }

    /// Whether a pod of this shape may run there, whatever is free.
    pub(crate) fn admits(&self, id: NodeId, shape: &Shape) -> bool {
        let host = &self.hosts[id.index()];
        let Some(spec) = host.spec.as_ref().filter(|spec| spec.excluded.is_none()) else { return false };
        shape.class.as_ref().ok() == host.class.as_ref()
            && selector::admits(&shape.spec, &spec.name, &spec.labels, &spec.taints)
    }

    /// Whether no port that a shape needs is taken.
    pub(crate) fn ports_free(&self, id: NodeId, shape: &Shape) -> bool {
        let ports = &self.hosts[id.index()].ports;
        !shape.spec.ports.iter().any(|port| ports.keys().any(|other| port.conflicts(other)))
    }

    /// How many pods of this shape fit on what is free of a node that admits them.
    pub(crate) fn slots(&self, id: NodeId, shape: &Shape) -> u32 {
        let host = &self.hosts[id.index()];
        match shape.spec.ports.is_empty() {
            true => host.free.holds(&shape.needs),
            false if !self.ports_free(id, shape) => 0,
            false => host.free.holds(&shape.needs).min(1),
        }
    }

    /// How many pods of this shape fit on a node that admits them when only unmanaged pods are there.
    pub(crate) fn slots_when_empty(&self, id: NodeId, shape: &Shape) -> u32 {
        let host = &self.hosts[id.index()];
        let left = |&(resource, amount): &(usize, i64)| {
            host.allocatable.at(resource).saturating_sub(host.unmanaged.at(resource)).max(0) / amount.max(1)
        };
        let slots = shape.needs.iter().map(left).min().unwrap_or(0);
        let slots = if shape.spec.ports.is_empty() { slots } else { slots.min(1) };
        u32::try_from(slots).unwrap_or(u32::MAX)
    }

    /// What is left on a node when only unmanaged pods are there.
    pub(crate) fn empty(&self, id: NodeId) -> Row {
        let Host { allocatable, unmanaged, .. } = &self.hosts[id.index()];
        let length = allocatable.0.len().max(unmanaged.0.len());
        Row((0..length).map(|at| allocatable.at(at).saturating_sub(unmanaged.at(at))).collect())
    }
}

/// Adds `times` × the amounts to sums by dimension.
fn give(sums: &mut Vec<i128>, amounts: &ResourceVec, times: i128) {
    for (dim, amount) in amounts.iter() {
        if sums.len() <= dim.index() {
            sums.resize(dim.index() + 1, 0);
        }
        sums[dim.index()] += times * i128::from(amount.units());
    }
}

/// What has to be known to count a node's part of the capacity.
pub(crate) struct NodeContext<'a> {
    pub(crate) hosts: &'a dyn Hosts,
    pub(crate) dims: &'a mut Dimensions,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Only what is free.
    Free,
    /// What it would have when empty.
    Layout,
}
