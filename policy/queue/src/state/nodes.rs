//! The node model: what each node has, what is held there, and what is free.
//!
//! Free is allocatable minus what pods hold there, minus what claims have been promised. It can be negative: a
//! claim stands on a node before the pods that make room for it are gone. Which pod goes where is not decided
//! here; how many fit is in `fit`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use weir_model::{Amount, Class, Dim, ResourceVec};

use super::change_log::ChangeLog;
use super::ids::{NodeId, PodId, ShapeId};
use super::row::Row;
use super::shapes::{Shape, Shapes};
use super::sums;
use crate::contract::hosts::Node;
use crate::contract::pod::{HostPort, PodShape, Uid};

/// One node. A node that is only known from a pod bound to it is there too, without a specification.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) name: Arc<str>,
    pub(crate) spec: Option<Node>,
    pub(crate) class: Option<Class>,
    /// What the node can give to pods, in all.
    allocatable: Row,
    /// What unmanaged pods hold there.
    unmanaged: Row,
    /// What is left of the allocatable.
    pub(crate) free: Row,
    /// What admitted pods hold that are terminating.
    terminating: Row,
    /// What admitted pods hold there.
    admitted: Row,
    ports: BTreeMap<HostPort, u32>,
    /// The admitted pods that are there.
    pub(crate) pods: BTreeSet<PodId>,
    /// How many pods and claims hold something there.
    holders: u32,
    /// What the node adds to the capacity.
    share: Share,
}

/// What a node adds to the sums of the cluster.
#[derive(Clone, Debug, Default)]
struct Share {
    /// What it gives to pools.
    gives: ResourceVec,
    /// What unmanaged pods keep from them.
    kept: ResourceVec,
}

/// What a pod or a claim takes of a node.
#[derive(Clone, Copy)]
struct Taken<'a> {
    needs: &'a [(usize, i64)],
    ports: &'a BTreeSet<HostPort>,
}

/// A pod that Weir does not manage: amounts and ports, whatever else is written in it.
#[derive(Clone, Debug)]
struct UnmanagedPod {
    node: NodeId,
    needs: Box<[(usize, i64)]>,
    ports: BTreeSet<HostPort>,
    /// Kept where the pod asks for names that do not exist: they may yet.
    unresolved: Option<Arc<PodShape>>,
}

/// What holds something on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// An admitted pod.
    Admitted(PodId),
    /// A pod that Weir does not manage: a DaemonSet's, a mirror pod.
    Unmanaged,
    /// A claim.
    Claim,
}

impl Host {
    fn new(name: Arc<str>) -> Self {
        Self {
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
            holders: 0,
            share: Share::default(),
        }
    }

    /// What is free once everything that is terminating is gone.
    pub(crate) fn free_soon(&self) -> Row {
        let mut row = self.free.clone();
        row.add(&self.terminating);
        row
    }

    fn change_ports(&mut self, ports: &BTreeSet<HostPort>, times: i64) {
        for port in ports {
            let count = self.ports.entry(port.clone()).or_default();
            *count = if times > 0 { *count + 1 } else { count.saturating_sub(1) };
        }
        self.ports.retain(|_, count| *count > 0);
    }

    /// Whether the node is gone and nothing is left of it.
    const fn is_nothing(&self) -> bool {
        self.spec.is_none() && self.holders == 0
    }

    /// Whether something new may go to the node.
    fn usable(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.excluded.is_none())
    }
}

/// All nodes, and in which order they changed.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    hosts: Vec<Host>,
    by_name: HashMap<Arc<str>, NodeId>,
    /// Numbers that are free.
    unused: Vec<NodeId>,
    /// Nodes that may be nothing any more.
    gone: BTreeSet<NodeId>,
    /// Nodes whose free amounts changed, oldest first.
    pub(crate) changes: ChangeLog,
    /// Nodes whose size, labels or taints changed, oldest first.
    pub(crate) layout: ChangeLog,
    /// What the cluster has to give, by dimension.
    capacity: Vec<i128>,
    /// What unmanaged pods hold, by dimension.
    unmanaged: Vec<i128>,
    /// What became free on each node since it was last taken, less what was taken there; only while it is of interest.
    freed: Option<BTreeMap<NodeId, Row>>,
    /// Unmanaged pods, with the node that each is on.
    unmanaged_pods: HashMap<Uid, UnmanagedPod>,
}

impl Nodes {
    /// The node of this name, which becomes known if it was not.
    pub(crate) fn named(&mut self, name: &str) -> NodeId {
        if let Some(&known) = self.by_name.get(name) {
            return known;
        }
        let name: Arc<str> = name.into();
        let host = Host::new(Arc::clone(&name));
        let id = match self.unused.pop() {
            Some(id) => {
                self.hosts[id.index()] = host;
                id
            }
            None => {
                self.hosts.push(host);
                NodeId::at(self.hosts.len() - 1)
            }
        };
        self.by_name.insert(name, id);
        self.gone.insert(id);
        id
    }

    /// Forgets nodes that are gone and hold nothing, so that their numbers can be used again.
    pub(crate) fn forget_gone(&mut self) {
        for id in std::mem::take(&mut self.gone) {
            let host = &self.hosts[id.index()];
            if host.is_nothing() && self.by_name.remove(&host.name).is_some() {
                self.unused.push(id);
            }
        }
    }

    /// Takes over what a node says of itself, or that the node is gone.
    pub(crate) fn describe(&mut self, id: NodeId, spec: Option<Node>, shapes: &mut Shapes) {
        let mut allocatable = Row::default();
        for (name, amount) in spec.iter().flat_map(|spec| &spec.allocatable) {
            allocatable.change(&[(shapes.names.position(name), amount.units())], 1);
        }
        let host = &mut self.hosts[id.index()];
        shapes.learn_node(host.spec.as_ref(), spec.as_ref());
        let more = allocatable.minus(&host.allocatable);
        host.free.add(&more);
        if let Some(freed) = &mut self.freed {
            freed.entry(id).or_default().add(&more);
        }
        host.class = spec.as_ref().map(|spec| shapes.node_class(spec)).or(host.class.take());
        host.allocatable = allocatable;
        host.spec = spec;
        self.changed(id, Change::Layout, shapes);
    }

    /// Puts a pod or a claim on a node.
    pub(crate) fn take(&mut self, id: NodeId, shape: ShapeId, holder: Holder, shapes: &mut Shapes) {
        self.hold(id, shape, holder, 1, shapes);
    }

    /// Takes a pod or a claim off a node.
    pub(crate) fn release(&mut self, id: NodeId, shape: ShapeId, holder: Holder, shapes: &mut Shapes) {
        self.hold(id, shape, holder, -1, shapes);
    }

    fn hold(&mut self, id: NodeId, shape: ShapeId, holder: Holder, times: i64, shapes: &mut Shapes) {
        let Shape { needs, spec, .. } = shapes.shape_of(shape);
        let change = self.count(id, Taken { needs, ports: &spec.ports }, holder, times);
        self.changed(id, change, shapes);
    }

    fn count(&mut self, id: NodeId, Taken { needs, ports }: Taken<'_>, holder: Holder, times: i64) -> Change {
        let host = &mut self.hosts[id.index()];
        host.free.change(needs, -times);
        host.change_ports(ports, times);
        host.holders = if times > 0 { host.holders + 1 } else { host.holders.saturating_sub(1) };
        if let Some(freed) = self.freed.as_mut().filter(|_| holder != Holder::Claim) {
            freed.entry(id).or_default().change(needs, -times);
        }
        if host.is_nothing() {
            self.gone.insert(id);
        }
        match holder {
            Holder::Admitted(pod) => {
                host.admitted.change(needs, times);
                let _ = if times > 0 { host.pods.insert(pod) } else { host.pods.remove(&pod) };
                Change::Free
            }
            Holder::Unmanaged => {
                host.unmanaged.change(needs, times);
                Change::Layout
            }
            Holder::Claim => Change::Free,
        }
    }

    /// Keeps so much on a node for a claim, or (`times` −1) gives it back.
    pub(crate) fn keep(&mut self, id: NodeId, amounts: &Row, times: i64, shapes: &mut Shapes) {
        let host = &mut self.hosts[id.index()];
        match times > 0 {
            true => host.free.take(amounts),
            false => host.free.add(amounts),
        }
        self.changed(id, Change::Free, shapes);
    }

    /// What became free since this was last asked, by node. From now on it is noted if it is of interest.
    pub(crate) fn take_freed(&mut self, interest: Interest) -> BTreeMap<NodeId, Row> {
        let next = (interest == Interest::Noted).then(BTreeMap::new);
        std::mem::replace(&mut self.freed, next).unwrap_or_default()
    }

    /// Puts an unmanaged pod on a node, wherever it was before.
    pub(crate) fn put_unmanaged(&mut self, uid: Uid, node: NodeId, spec: &Arc<PodShape>, shapes: &mut Shapes) {
        self.drop_unmanaged(uid, shapes);
        let needs: Box<[_]> = shapes.needs(spec).into();
        let asked = spec.requests.values().filter(|amount| !amount.is_zero()).count();
        let unresolved = (needs.len() <= asked).then(|| Arc::clone(spec));
        let change = self.count(node, Taken { needs: &needs, ports: &spec.ports }, Holder::Unmanaged, 1);
        self.changed(node, change, shapes);
        self.unmanaged_pods.insert(uid, UnmanagedPod { node, needs, ports: spec.ports.clone(), unresolved });
    }

    /// Takes an unmanaged pod off its node, if there is one of this UID.
    pub(crate) fn drop_unmanaged(&mut self, uid: Uid, shapes: &mut Shapes) {
        if let Some(UnmanagedPod { node, needs, ports, .. }) = self.unmanaged_pods.remove(&uid) {
            let change = self.count(node, Taken { needs: &needs, ports: &ports }, Holder::Unmanaged, -1);
            self.changed(node, change, shapes);
        }
    }

    /// Reads unmanaged pods and all nodes again where other names exist than before.
    pub(crate) fn reread(&mut self, shapes: &mut Shapes) {
        let unresolved = self
            .unmanaged_pods
            .iter()
            .filter_map(|(&uid, pod)| Some((uid, pod.node, Arc::clone(pod.unresolved.as_ref()?))));
        for (uid, node, spec) in unresolved.collect::<Vec<_>>() {
            self.put_unmanaged(uid, node, &spec, shapes);
        }
        self.iter().for_each(|id| self.recount(id, shapes));
    }

    /// Notes that an admitted pod on a node is terminating, or (`times` −1) is no longer there.
    pub(crate) fn change_terminating(&mut self, id: NodeId, shape: &Shape, times: i64) {
        self.hosts[id.index()].terminating.change(&shape.needs, times);
    }

    fn changed(&mut self, id: NodeId, change: Change, shapes: &mut Shapes) {
        let count = self.hosts.len();
        self.changes.push(id, count);
        if change == Change::Layout {
            self.layout.push(id, count);
        }
        if change == Change::Layout || !self.usable(id) {
            self.recount(id, shapes);
        }
    }

    /// A5: a usable node gives what unmanaged pods leave of it, another one exactly what admitted pods hold.
    fn recount(&mut self, id: NodeId, shapes: &mut Shapes) {
        let host = &mut self.hosts[id.index()];
        let usable = host.usable();
        let (mut gives, mut kept) = (ResourceVec::new(), ResourceVec::new());
        if let Some(class) = &host.class {
            let lengths = [&host.allocatable, &host.admitted, &host.unmanaged].map(Row::len);
            let first = usize::from(!shapes.names.counts_pods());
            for resource in first..lengths.into_iter().max().unwrap_or(0) {
                let units = match usable {
                    true => host.allocatable.at(resource).saturating_sub(host.unmanaged.at(resource)),
                    false => host.admitted.at(resource),
                };
                if units <= 0 && host.unmanaged.at(resource) == 0 {
                    continue;
                }
                let dim = shapes.dim_on(class, resource);
                gives.set(dim, gives.amount(dim) + Amount::new(units));
                kept.set(dim, kept.amount(dim) + Amount::new(host.unmanaged.at(resource)));
            }
        }
        let before = std::mem::replace(&mut host.share, Share { gives: gives.clone(), kept: kept.clone() });
        add(&mut self.capacity, &before.gives, -1);
        add(&mut self.capacity, &gives, 1);
        add(&mut self.unmanaged, &before.kept, -1);
        add(&mut self.unmanaged, &kept, 1);
    }

    /// What the cluster has to give in a dimension.
    pub(crate) fn capacity(&self, dim: Dim) -> Amount {
        sums::amount(self.capacity.get(dim.index()).copied().unwrap_or(0))
    }

    /// What unmanaged pods hold on all nodes in a dimension.
    pub(crate) fn unmanaged(&self, dim: Dim) -> Amount {
        sums::amount(self.unmanaged.get(dim.index()).copied().unwrap_or(0))
    }

    /// Whether something new may go to a node.
    pub(crate) fn usable(&self, id: NodeId) -> bool {
        self.hosts[id.index()].usable()
    }

    pub(crate) fn host(&self, id: NodeId) -> &Host {
        &self.hosts[id.index()]
    }

    pub(crate) fn len(&self) -> usize {
        self.hosts.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.hosts.len()).map(NodeId::at)
    }

    /// Whether a pod of this shape may run on a node, whatever is free.
    pub(crate) fn admits(&self, id: NodeId, shape: &Shape) -> bool {
        let host = &self.hosts[id.index()];
        let Some(spec) = host.spec.as_ref().filter(|spec| spec.excluded.is_none()) else { return false };
        shape.unknown.is_none() && shape.class.as_ref().ok() == host.class.as_ref() && spec.admits(&shape.spec)
    }

    /// Whether no port that a shape needs is taken on a node.
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

    /// Whether a pod of each of these shapes fits on its node, all of them together.
    pub(crate) fn fit_together(&mut self, placement: &[(ShapeId, NodeId)], shapes: &mut Shapes) -> bool {
        let mut taken = 0;
        for &(id, node) in placement {
            let shape = shapes.shape_of(id);
            if !self.admits(node, shape) || self.slots(node, shape) == 0 {
                break;
            }
            self.take(node, id, Holder::Claim, shapes);
            taken += 1;
        }
        placement[..taken].iter().for_each(|&(id, node)| self.release(node, id, Holder::Claim, shapes));
        taken == placement.len()
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
        allocatable.minus(unmanaged)
    }
}

/// Adds `times` × the amounts to sums by dimension.
fn add(sums: &mut Vec<i128>, amounts: &ResourceVec, times: i128) {
    for (dim, amount) in amounts.iter() {
        if sums.len() <= dim.index() {
            sums.resize(dim.index() + 1, 0);
        }
        sums[dim.index()] += times * i128::from(amount.units());
    }
}

/// Whether what becomes free on nodes is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// No claim grows with it.
    Unnoted,
    /// A claim from patience does.
    Noted,
}

/// What of a node changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Only what is free.
    Free,
    /// What it would have when empty.
    Layout,
}
