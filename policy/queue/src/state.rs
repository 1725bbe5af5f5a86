//! What the queue remembers, and how one pod is counted.
//!
//! A pod is counted in exactly one way: as demand while it waits, as usage once it is admitted or its
//! admission is decided, until it is gone. `enter` and `withdraw` are the only two places that do so, and
//! each is the other backwards.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use weir_model::{Dim, Dimensions, PoolId, ResourceVec};

use crate::claims::Claim;
use crate::eligibility::Eligible;
use crate::event::Budget;
use crate::explanation::Explanation;
use crate::fit::FitIndex;
use crate::gangs::Gang;
use crate::hosts::Hosts;
use crate::ledger::Ledger;
use crate::nodes::{Holder, NodeContext, NodeId, Nodes};
use crate::pod::{Grounds, Uid};
use crate::pods::{PodRecord, Pods};
use crate::pools::Pools;
use crate::progress::Progress;
use crate::queues::{LeafQueue, Workload};
use crate::settings::Config;
use crate::shapes::{ShapeId, Shapes};
use crate::verdicts::Verdicts;
use crate::{Decision, Time};

/// Who waits, who was admitted, and all that decides who goes next.
///
/// See the [crate's documentation](crate) for what it is told and what it answers.
pub struct Queue {
    pub(crate) config: Config,
    pub(crate) hosts: Box<dyn Hosts>,
    pub(crate) dims: Dimensions,
    pub(crate) pools: Pools,
    pub(crate) shapes: Shapes,
    pub(crate) nodes: Nodes,
    pub(crate) fit_index: FitIndex,
    pub(crate) ledger: Ledger,
    /// What of the waiting moves entitlements.
    pub(crate) eligible: Eligible,
    /// What was said of those who wait, for as long as it holds.
    pub(crate) verdicts: Verdicts,
    /// By position of the leaf.
    pub(crate) leaf_queues: Vec<LeafQueue>,
    pub(crate) pods: Pods,
    pub(crate) gangs: Vec<Gang>,
    pub(crate) gang_by_key: HashMap<Arc<crate::pod::GangKey>, u32>,
    /// Pods that nobody manages, with the node they are on.
    pub(crate) unmanaged: HashMap<Uid, (NodeId, ShapeId)>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) budgets: Vec<Budget>,
    /// The positions of the budgets that a pod stands under.
    pub(crate) budgets_of: HashMap<Uid, Vec<usize>>,
    /// Since when a pool is above its entitlement while somebody waits for it.
    pub(crate) over_since: BTreeMap<(String, Dim), Time>,
    /// When pods that back off may be looked at again.
    pub(crate) backoff_timers: BTreeSet<(Time, u32)>,
    /// Admitted pods for which no node is assumed.
    pub(crate) unplaced: BTreeSet<u32>,
    pub(crate) progress: Progress,
    /// Admitted pods that are not bound.
    pub(crate) unbound: BTreeSet<u32>,
    /// For how many requests this step may still think of them elsewhere.
    pub(crate) reassume_budget: u32,
    /// Gangs whose members have to be queued anew.
    pub(crate) gangs_to_requeue: BTreeSet<u32>,
    /// Gangs without a live pod, and since when.
    pub(crate) empty_gangs: BTreeSet<(Time, u32)>,
    /// Numbers of gangs that were forgotten.
    pub(crate) unused_gangs: Vec<u32>,
    /// Pods of which it was said that they would have to go, while nothing is enforced.
    pub(crate) announced: HashSet<Uid>,
    /// When pods were killed within the last minute.
    pub(crate) kills: Vec<Time>,
    /// The round that is decided next.
    pub(crate) round: u64,
    pub(crate) now: Time,
    /// Decided while events were taken in.
    pub(crate) pending: Vec<Decision>,
    /// Counts changes of pools, so that answers about them can be remembered.
    pub(crate) pools_generation: u64,
}

impl Queue {
    /// An empty queue: no pools, no nodes, no pods.
    #[must_use]
    pub fn new(hosts: Box<dyn Hosts>, config: Config) -> Self {
        let mut dims = Dimensions::new();
        let pools = Pools::build(Vec::new(), &mut dims);
        Self {
            config,
            hosts,
            dims,
            pools,
            shapes: Shapes::default(),
            nodes: Nodes::default(),
            fit_index: FitIndex::default(),
            ledger: Ledger::default(),
            eligible: Eligible::default(),
            verdicts: Verdicts::default(),
            leaf_queues: vec![LeafQueue::default()],
            pods: Pods::default(),
            gangs: Vec::new(),
            gang_by_key: HashMap::new(),
            unmanaged: HashMap::new(),
            claims: Vec::new(),
            budgets: Vec::new(),
            budgets_of: HashMap::new(),
            over_since: BTreeMap::new(),
            backoff_timers: BTreeSet::new(),
            unplaced: BTreeSet::new(),
            unbound: BTreeSet::new(),
            reassume_budget: 0,
            gangs_to_requeue: BTreeSet::new(),
            empty_gangs: BTreeSet::new(),
            unused_gangs: Vec::new(),
            progress: Progress::default(),
            announced: HashSet::new(),
            kills: Vec::new(),
            round: 1,
            now: Time::ZERO,
            pending: Vec::new(),
            pools_generation: 0,
        }
    }

    /// The dimensions that became known, with their names.
    #[must_use]
    pub const fn dimensions(&self) -> &Dimensions {
        &self.dims
    }

    /// The pools that hang on the root, and what is wrong with each of the others.
    #[must_use]
    pub fn pools(&self) -> (&weir_model::PoolTree, &[weir_model::PoolError]) {
        (&self.pools.tree, &self.pools.errors)
    }

    /// The entitlements that the last step decided on.
    #[must_use]
    pub fn entitlements(&self) -> &weir_entitlement::Entitlements {
        self.pools.entitlements()
    }

    /// What a pool and the pools under it use, ask for in all, and how many pods and gangs wait in a leaf.
    #[must_use]
    pub fn standing(&self, pool: PoolId, dim: Dim) -> Standing {
        Standing {
            usage: self.ledger.usage.amount(pool, dim),
            non_preemptible: self.ledger.non_preemptible.amount(pool, dim),
            demand: self.ledger.demand.amount(pool, dim),
            waiting: self.leaf_queues.get(pool.index()).map_or(0, LeafQueue::waiting),
        }
    }

    /// What pods that nobody manages hold on all nodes: it is not divided.
    #[must_use]
    pub fn unmanaged_use(&self, dim: Dim) -> weir_model::Amount {
        self.nodes.unmanaged(dim)
    }

    /// What the last step's entitlements follow from, together with [`Queue::pools`]: with these, anybody can
    /// compute them again.
    #[must_use]
    pub const fn inputs(&self) -> &weir_entitlement::Input {
        self.pools.inputs()
    }

    /// The pods at the head of a leaf's queue, at most so many, in their order; of a gang all its members.
    #[must_use]
    pub fn first(&self, leaf: PoolId, most: usize) -> Vec<Uid> {
        let Some(leaf_queue) = self.leaf_queues.get(leaf.index()) else { return Vec::new() };
        let mut heads: Vec<_> = leaf_queue.buckets.values().flat_map(|bucket| bucket.order.iter().take(most)).collect();
        heads.sort_unstable_by_key(|(key, _)| **key);
        let members = heads.into_iter().flat_map(|(_, queued)| self.uids(queued.workload));
        members.take(most).collect()
    }

    /// How many different shapes and requests were ever seen; they are kept for as long as the queue is.
    #[must_use]
    pub fn interned(&self) -> usize {
        self.shapes.len()
    }

    /// How many pods are known, waiting and admitted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether no pod is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a pod is admitted, or its admission decided, and on what grounds.
    #[must_use]
    pub fn grounds(&self, uid: Uid) -> Option<Grounds> {
        let record = self.pods.record(self.pods.find(uid)?)?;
        record.running().map(|running| running.grounds)
    }

    /// The leaf that a pod stands in, if its pool is one.
    pub(crate) fn leaf_of(&self, record: &PodRecord) -> Option<PoolId> {
        self.pools.leaf(&record.pool)
    }

    /// Counts a pod: its demand, or its usage and its place on a node.
    pub(crate) fn enter(&mut self, pod: u32) {
        self.count(pod, 1);
    }

    /// Takes back what [`Queue::enter`] counted.
    pub(crate) fn withdraw(&mut self, pod: u32) {
        self.count(pod, -1);
    }

    fn count(&mut self, pod: u32, times: i8) {
        let Some(record) = self.pods.record(pod) else { return };
        let (leaf, sign) = (self.pools.leaf(&record.pool), i128::from(times));
        let shape = self.shapes.shape_of(record.shape);
        self.eligible.stale.extend(leaf);
        let Some(running) = record.running() else {
            if let Some(leaf) = leaf {
                self.ledger.demand.change(&self.pools.tree, leaf, &shape.amounts, sign);
            }
            return;
        };
        if let Some(leaf) = leaf {
            self.ledger.usage.change(&self.pools.tree, leaf, &running.counted, sign);
            if !record.preemptible {
                self.ledger.non_preemptible.change(&self.pools.tree, leaf, &running.counted, sign);
            }
            if running.is_terminating() {
                self.ledger.terminating.change(&self.pools.tree, leaf, &running.counted, sign);
            }
            let leaf_queue = &mut self.leaf_queues[leaf.index()];
            let _ = if times > 0 { leaf_queue.admitted.insert(pod) } else { leaf_queue.admitted.remove(&pod) };
        }
        if !running.bound {
            let _ = if times > 0 { self.unbound.insert(pod) } else { self.unbound.remove(&pod) };
        }
        let Some(node) = running.node else {
            let _ = if times > 0 { self.unplaced.insert(pod) } else { self.unplaced.remove(&pod) };
            return;
        };
        // A pod whose pool is unknown belongs to nobody; what it holds cannot be divided.
        let holder = if leaf.is_some() { Holder::Admitted(pod) } else { Holder::Unmanaged };
        if running.is_terminating() {
            self.nodes.terminating(node, shape, i64::from(times));
        }
        let mut context = NodeContext { hosts: &*self.hosts, dims: &mut self.dims };
        match times > 0 {
            true => self.nodes.take(node, shape, holder, &self.shapes, &mut context),
            false => self.nodes.release(node, shape, holder, &self.shapes, &mut context),
        }
    }

    /// What a pod of this shape counts for on a node: in the node's class, or in its own before that is known.
    pub(crate) fn counted(&mut self, shape: ShapeId, node: Option<NodeId>) -> ResourceVec {
        let class = node.and_then(|node| self.nodes.host(node).class.clone());
        match class {
            Some(class) => self.shapes.counted_in(shape, &class, &*self.hosts, &mut self.dims),
            None => self.shapes.shape_of(shape).amounts.clone(),
        }
    }

    /// The pods of a workload that wait.
    pub(crate) fn members(&self, workload: Workload) -> Vec<u32> {
        match workload {
            Workload::Pod(pod) => vec![pod],
            Workload::Gang(gang) => self.gangs[gang as usize].in_one_piece(),
            Workload::Group(gang, first) => self.gangs[gang as usize].group(first).to_vec(),
        }
    }

    /// Tells pods why they wait, unless they were told the same reason before.
    pub(crate) fn tell(&mut self, pods: impl IntoIterator<Item = u32>, why: &Explanation) {
        let reason = why.reason();
        let mut told = Vec::new();
        for pod in pods {
            let Some(record) = self.pods.record_mut(pod) else { continue };
            if record.waits() && record.told != Some(reason) {
                record.told = Some(reason);
                told.push(record.uid);
            }
        }
        if !told.is_empty() {
            self.pending.push(Decision::Wait(crate::decision::Waiting { pods: told, why: why.clone() }));
        }
    }
}

/// Where a pool stands in one dimension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests of admitted pods.
    pub usage: weir_model::Amount,
    /// The part of it that cannot be taken.
    pub non_preemptible: weir_model::Amount,
    /// Requests of all waiting pods, eligible or not.
    pub demand: weir_model::Amount,
    /// How many pods and gangs stand in the queue of a leaf; those that are not complete do not.
    pub waiting: usize,
}
