//! What the queue remembers: plain data, each kind with its own invariants. No rule is here, and nothing here
//! knows what a round is.
//!
//! What concerns several kinds at once is in [`State`]: a pod is counted in exactly one way, as demand while it
//! waits, as usage once it is admitted or its admission is decided, until it is gone. [`State::enter`] and
//! [`State::withdraw`] are the only two places that do so, and each is the other backwards.

mod arena;
pub(crate) mod budgets;
mod change_log;
pub(crate) mod claims;
pub(crate) mod clocks;
pub(crate) mod demand;
pub(crate) mod fit;
pub(crate) mod gang_members;
pub(crate) mod gangs;
pub(crate) mod ids;
pub(crate) mod nodes;
pub(crate) mod pods;
pub(crate) mod pools;
mod progress;
pub(crate) mod queues;
pub(crate) mod refusal;
mod resource_names;
pub(crate) mod row;
pub(crate) mod shapes;
pub(crate) mod sums;
mod sweep;
pub(crate) mod usage;
pub(crate) mod verdicts;

use weir_model::{PoolId, ResourceVec};

use budgets::Budgets;
use claims::{Claim, Claims, Source};
use demand::EligibleDemand;
use fit::FitIndex;
use gangs::{Gangs, QueuePosition};
use ids::{GangId, NodeId, PodId, ShapeId};
use nodes::{Holder, Nodes};
use pods::{PodRecord, Pods, Running};
use pools::Pools;
use queues::{LeafQueues, Position, QueuedWorkload, Workload};
use shapes::Shapes;
use usage::Usage;
use verdicts::Verdicts;

use crate::contract::hosts::Hosts;
use crate::contract::pod::Uid;

/// All that is remembered from one round to the next, except what is counted in time.
pub(crate) struct State {
    pub(crate) shapes: Shapes,
    pub(crate) pools: Pools,
    pub(crate) nodes: Nodes,
    pub(crate) fit: FitIndex,
    pub(crate) usage: Usage,
    pub(crate) demand: EligibleDemand,
    pub(crate) verdicts: Verdicts,
    pub(crate) queues: LeafQueues,
    pub(crate) pods: Pods,
    pub(crate) gangs: Gangs,
    pub(crate) claims: Claims,
    pub(crate) budgets: Budgets,
    /// How many shapes and requests the last sweep left.
    after_sweep: usize,
}

impl State {
    /// No pools, no nodes, no pods.
    pub(crate) fn new(hosts: Box<dyn Hosts>) -> Self {
        let mut shapes = Shapes::new(hosts);
        let pools = Pools::build(Vec::new(), &mut shapes.dims);
        Self {
            shapes,
            queues: LeafQueues::new(pools.tree.len()),
            pools,
            nodes: Nodes::default(),
            fit: FitIndex::default(),
            usage: Usage::default(),
            demand: EligibleDemand::default(),
            verdicts: Verdicts::default(),
            pods: Pods::default(),
            gangs: Gangs::default(),
            claims: Claims::default(),
            budgets: Budgets::default(),
            after_sweep: 0,
        }
    }

    /// Forgets all that is only remembered to be quick. Decisions do not depend on it.
    pub(crate) fn forget_caches(&mut self) {
        self.verdicts = Verdicts::default();
        self.demand = EligibleDemand::default();
        self.fit = FitIndex::default();
    }

    /// The leaf that a pod stands in, if its pool is one.
    pub(crate) fn leaf_of(&self, record: &PodRecord) -> Option<PoolId> {
        self.pools.leaf(&record.pool)
    }

    /// Counts a pod: its demand, or its usage and its place on a node.
    pub(crate) fn enter(&mut self, pod: PodId) {
        self.count(pod, 1);
    }

    /// Takes back what [`State::enter`] counted.
    pub(crate) fn withdraw(&mut self, pod: PodId) {
        self.count(pod, -1);
    }

    fn count(&mut self, pod: PodId, times: i8) {
        let Some(record) = self.pods.record(pod) else { return };
        let (mut leaf, sign) = (self.pools.leaf(&record.pool), i128::from(times));
        let (tree, shape) = (&self.pools.tree, record.shape);
        self.demand.stale.extend(leaf);
        let Some(running) = record.running() else {
            if let Some(leaf) = leaf {
                self.usage.waiting.change(tree, leaf, &self.shapes.shape_of(shape).amounts, sign);
            }
            return;
        };
        // A pod that does not end on a node that is away holds the node's room, and no quota.
        leaf = leaf.filter(|_| !self.is_stranded(running));
        let ends_soon = running.ends_soon();
        if let Some(leaf) = leaf {
            self.usage.admitted.change(tree, leaf, &running.counted, sign);
            if !record.preemptible {
                self.usage.non_preemptible.change(tree, leaf, &running.counted, sign);
            }
            if ends_soon {
                self.usage.terminating.change(tree, leaf, &running.counted, sign);
            }
            let admitted = &mut self.queues[leaf].admitted;
            let _ = if times > 0 { admitted.insert(pod) } else { admitted.remove(&pod) };
        }
        let (node, bound, deleting) = (running.node, running.bound, running.deleting.is_some());
        if deleting {
            let _ = if times > 0 { self.pods.deleting.insert(pod) } else { self.pods.deleting.remove(&pod) };
        }
        if !bound {
            let _ = if times > 0 { self.pods.unbound.insert(pod) } else { self.pods.unbound.remove(&pod) };
        }
        let Some(node) = node else {
            let _ = if times > 0 { self.pods.unplaced.insert(pod) } else { self.pods.unplaced.remove(&pod) };
            return;
        };
        // A pod whose pool is unknown is no pool's; what it holds cannot be divided.
        let holder = if leaf.is_some() { Holder::Admitted(pod) } else { Holder::Unmanaged };
        if ends_soon {
            self.nodes.change_terminating(node, self.shapes.shape_of(shape), i64::from(times));
        }
        match times > 0 {
            true => self.nodes.take(node, shape, holder, &mut self.shapes),
            false => self.nodes.release(node, shape, holder, &mut self.shapes),
        }
    }

    /// Whether a pod is past its grace period on a node that is excluded: it may be there for as long as the node is.
    fn is_stranded(&self, running: &Running) -> bool {
        running.overdue && running.node.is_some_and(|node| !self.nodes.usable(node))
    }

    /// Notes that a pod is past its grace period, or that it is not.
    pub(crate) fn set_overdue(&mut self, pod: PodId, overdue: bool) {
        self.withdraw(pod);
        if let Some(running) = self.pods.running_mut(pod) {
            running.overdue = overdue;
        }
        self.enter(pod);
    }

    /// The pods on a node that are past their grace period.
    pub(crate) fn overdue_on(&self, node: NodeId) -> Vec<PodId> {
        let overdue =
            |pod: &PodId| self.pods.running(*pod).is_some_and(|running| running.overdue && running.node == Some(node));
        self.pods.deleting.iter().copied().filter(overdue).collect()
    }

    /// What a pod of this shape counts for on a node: in the node's class, or in its own before that is known.
    pub(crate) fn counted_on(&mut self, shape: ShapeId, node: Option<NodeId>) -> ResourceVec {
        let class = node.and_then(|node| self.nodes.host(node).class.as_ref());
        self.shapes.counted_on(shape, class)
    }

    /// Lets an admitted pod count on another node, or on none.
    pub(crate) fn assume(&mut self, pod: PodId, node: Option<NodeId>) {
        let Some(record) = self.pods.record(pod) else { return };
        let shape = record.shape;
        self.withdraw(pod);
        let counted = self.counted_on(shape, node);
        if let Some(running) = self.pods.running_mut(pod) {
            (running.node, running.counted) = (node, counted);
        }
        self.enter(pod);
    }

    /// Marks that an admitted pod is being evicted, or that it is not any more.
    pub(crate) fn set_evicting(&mut self, pod: PodId, evicting: bool) {
        self.withdraw(pod);
        if let Some(running) = self.pods.running_mut(pod) {
            running.evicting = evicting;
        }
        self.enter(pod);
    }

    /// Keeps what a claim names: quota, and room on nodes.
    pub(crate) fn keep(&mut self, claim: &Claim) {
        self.count_claim(claim, 1);
        match claim.source {
            Source::Patience => self.hold_room(claim, 1),
            Source::Plan => claim
                .nodes
                .iter()
                .for_each(|&(shape, node)| self.nodes.take(node, shape, Holder::Claim, &mut self.shapes)),
        }
    }

    /// Gives back what [`State::keep`] kept.
    pub(crate) fn give_back(&mut self, claim: &Claim) {
        self.count_claim(claim, -1);
        match claim.source {
            Source::Patience => self.hold_room(claim, -1),
            Source::Plan => claim
                .nodes
                .iter()
                .for_each(|&(shape, node)| self.nodes.release(node, shape, Holder::Claim, &mut self.shapes)),
        }
    }

    /// Keeps what a claim from patience holds on nodes, or (`times` −1) gives it back.
    pub(crate) fn hold_room(&mut self, claim: &Claim, times: i64) {
        claim.held.iter().for_each(|(&node, held)| self.nodes.keep(node, held, times, &mut self.shapes));
    }

    fn count_claim(&mut self, claim: &Claim, times: i128) {
        for (pool, amounts) in &claim.claimed {
            for (dim, amount) in amounts.iter() {
                *self.usage.claimed.cell(*pool, dim) += times * i128::from(amount.units());
            }
        }
    }

    /// Whether a claim waits for a victim that does not end.
    pub(crate) fn waits_in_vain(&self, claim: &Claim) -> bool {
        let overdue = |&uid: &Uid| {
            self.pods.find(uid).and_then(|pod| self.pods.running(pod)).is_some_and(|running| running.overdue)
        };
        claim.victims.iter().any(overdue)
    }

    /// How many victims of a claim are still there.
    pub(crate) fn victims_left(&self, claim: &Claim) -> u32 {
        claim.victims.iter().filter(|&&uid| self.pods.find(uid).is_some()).count() as u32
    }

    /// Puts a workload into the queue of a leaf.
    pub(crate) fn push(&mut self, at: Position, queued: QueuedWorkload) {
        self.queues[at.leaf].insert(at.request, at.key, queued);
        self.demand.stale.insert(at.leaf);
    }

    /// Takes a pod, and the gang it belongs to, out of the queue.
    pub(crate) fn dequeue(&mut self, pod: PodId) {
        match self.pods.record(pod).map(PodRecord::gang_id) {
            Some(Some(gang)) => self.dequeue_gang(gang),
            Some(None) => self.dequeue_pod(pod),
            None => {}
        }
    }

    /// Takes one pod, and no other member of its gang, out of the queue.
    pub(crate) fn dequeue_pod(&mut self, pod: PodId) {
        let Some(record) = self.pods.record_mut(pod) else { return };
        let Some(request) = record.request.take() else { return };
        let key = record.queue_key();
        if let Some(leaf) = self.pools.leaf(&record.pool) {
            self.queues[leaf].remove(request, &key);
            self.demand.stale.insert(leaf);
        }
    }

    /// Takes a gang, and those of its members that stand alone, out of the queue.
    pub(crate) fn dequeue_gang(&mut self, gang: GangId) {
        let position = self.gangs[gang].position.take();
        position.into_iter().for_each(|position| self.remove(&position));
        let groups = std::mem::take(&mut self.gangs[gang].groups);
        groups.into_values().for_each(|group| self.remove(&group.position));
        let stands = |pod: &PodId| self.pods.record(*pod).is_some_and(|record| record.request.is_some());
        let alone: Vec<PodId> = self.gangs[gang].members.iter().copied().filter(stands).collect();
        alone.into_iter().for_each(|pod| self.dequeue_pod(pod));
    }

    /// Takes elastic pods that go together out of the queue.
    pub(crate) fn dequeue_group(&mut self, gang: GangId, first: PodId) {
        if let Some(group) = self.gangs[gang].groups.remove(&first) {
            self.remove(&group.position);
        }
    }

    fn remove(&mut self, position: &QueuePosition) {
        if let Some(leaf) = self.pools.leaf(&position.pool) {
            self.queues[leaf].remove(position.request, &position.key);
            self.demand.stale.insert(leaf);
        }
    }

    /// Where a workload stands, if it stands in a queue.
    pub(crate) fn position(&self, workload: Workload) -> Option<Position> {
        let named = |&QueuePosition { ref pool, request, key }: &QueuePosition| {
            Some(Position { leaf: self.pools.leaf(pool)?, request, key })
        };
        match workload {
            Workload::Pod(pod) => {
                let record = self.pods.record(pod).filter(|record| record.waits())?;
                Some(Position { leaf: self.leaf_of(record)?, request: record.request?, key: record.queue_key() })
            }
            Workload::Gang(gang) => named(self.gangs[gang].position.as_ref()?),
            Workload::Group(gang, first) => named(&self.gangs[gang].groups.get(&first)?.position),
        }
    }

    /// What a pod would be admitted as a part of.
    pub(crate) fn workload_of(&self, pod: PodId) -> Workload {
        let in_gang = |record: &PodRecord| record.gang_id().filter(|_| record.request.is_none());
        let Some(gang) = self.pods.record(pod).and_then(in_gang) else { return Workload::Pod(pod) };
        self.gangs[gang].group_of(pod).map_or(Workload::Gang(gang), |first| Workload::Group(gang, first))
    }

    /// The gang that a workload is, or is a part of.
    pub(crate) fn gang_of(&self, workload: Workload) -> Option<GangId> {
        match workload {
            Workload::Pod(pod) => self.pods.record(pod)?.gang_id(),
            Workload::Gang(gang) | Workload::Group(gang, _) => Some(gang),
        }
    }

    /// The pods of a workload.
    pub(crate) fn members(&self, workload: Workload) -> Vec<PodId> {
        match workload {
            Workload::Pod(pod) => vec![pod],
            Workload::Gang(gang) => self.gangs[gang].in_one_piece(),
            Workload::Group(gang, first) => self.gangs[gang].group(first).to_vec(),
        }
    }

    /// The waiting pods of a workload, in the order of their UIDs.
    pub(crate) fn waiting_members(&self, workload: Workload) -> Vec<PodId> {
        let mut members = self.members(workload);
        members.retain(|&pod| self.pods.waits(pod));
        members.sort_unstable_by_key(|&pod| self.pods.record(pod).map(|record| record.uid));
        members
    }

    /// The UIDs of the waiting pods of a workload.
    pub(crate) fn uids(&self, workload: Workload) -> Vec<Uid> {
        self.pods.records(self.waiting_members(workload)).map(|record| record.uid).collect()
    }

    /// The leaves under a pool, or the pool itself, in their order.
    pub(crate) fn leaves_below(&self, top: PoolId) -> Vec<PoolId> {
        let (mut open, mut leaves) = (vec![top], Vec::new());
        while let Some(pool) = open.pop() {
            if self.pools.tree.is_leaf(pool) {
                leaves.push(pool);
            }
            open.extend(self.pools.tree.children(pool));
        }
        leaves.sort_unstable();
        leaves
    }
}
