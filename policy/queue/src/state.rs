//! What the queue remembers, and how one pod is counted.
//!
//! A pod is counted in exactly one way: as demand while it waits, as usage once it is admitted or its
//! admission is decided, until it is gone. `enter` and `withdraw` are the only two places that do so, and
//! each is the other backwards.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use weir_model::{Dim, Dimensions, PoolId, ResourceVec};

use crate::answers::Answers;
use crate::claim::Claim;
use crate::eligibility::Eligible;
use crate::event::Budget;
use crate::explain::Explanation;
use crate::gang::Gang;
use crate::hosts::Hosts;
use crate::ledger::Ledger;
use crate::nodes::{Books, Holder, NodeId, Nodes};
use crate::order::{Line, Unit};
use crate::place::Places;
use crate::pod::{Grounds, Uid};
use crate::pools::Pools;
use crate::progress::Progress;
use crate::records::{PodRecord, Pods};
use crate::settings::Config;
use crate::shape::{ShapeId, Shapes};
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
    pub(crate) places: Places,
    pub(crate) ledger: Ledger,
    /// What of the waiting moves entitlements.
    pub(crate) eligible: Eligible,
    /// What was said of those who wait, for as long as it holds.
    pub(crate) answers: Answers,
    /// By position of the leaf.
    pub(crate) lines: Vec<Line>,
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
    pub(crate) alarms: BTreeSet<(Time, u32)>,
    /// Admitted pods for which no node was thought of.
    pub(crate) unplaced: BTreeSet<u32>,
    pub(crate) progress: Progress,
    /// Admitted pods that are not bound.
    pub(crate) unbound: BTreeSet<u32>,
    /// For how many asks this step may still think of them elsewhere.
    pub(crate) tries: u32,
    /// Gangs that have to be put where they belong.
    pub(crate) unfiled: BTreeSet<u32>,
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
    pub(crate) edition: u64,
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
            places: Places::default(),
            ledger: Ledger::default(),
            eligible: Eligible::default(),
            answers: Answers::default(),
            lines: vec![Line::default()],
            pods: Pods::default(),
            gangs: Vec::new(),
            gang_by_key: HashMap::new(),
            unmanaged: HashMap::new(),
            claims: Vec::new(),
            budgets: Vec::new(),
            budgets_of: HashMap::new(),
            over_since: BTreeMap::new(),
            alarms: BTreeSet::new(),
            unplaced: BTreeSet::new(),
            unbound: BTreeSet::new(),
            tries: 0,
            unfiled: BTreeSet::new(),
            empty_gangs: BTreeSet::new(),
            unused_gangs: Vec::new(),
            progress: Progress::default(),
            announced: HashSet::new(),
            kills: Vec::new(),
            round: 1,
            now: Time::ZERO,
            pending: Vec::new(),
            edition: 0,
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
            non_preemptible: self.ledger.fixed.amount(pool, dim),
            demand: self.ledger.demand.amount(pool, dim),
            waiting: self.lines.get(pool.index()).map_or(0, Line::waiting),
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
        let Some(line) = self.lines.get(leaf.index()) else { return Vec::new() };
        let mut heads: Vec<_> = line.buckets.values().flat_map(|bucket| bucket.order.iter().take(most)).collect();
        heads.sort_unstable_by_key(|(place, _)| **place);
        let members = heads.into_iter().flat_map(|(_, entry)| self.uids(entry.unit));
        members.take(most).collect()
    }

    /// How many different shapes and asks were ever seen; they are kept for as long as the queue is.
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
                self.ledger.fixed.change(&self.pools.tree, leaf, &running.counted, sign);
            }
            if running.leaves() {
                self.ledger.leaving.change(&self.pools.tree, leaf, &running.counted, sign);
            }
            let line = &mut self.lines[leaf.index()];
            let _ = if times > 0 { line.admitted.insert(pod) } else { line.admitted.remove(&pod) };
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
        if running.leaves() {
            self.nodes.leaving(node, shape, i64::from(times));
        }
        let mut books = Books { hosts: &*self.hosts, dims: &mut self.dims };
        match times > 0 {
            true => self.nodes.take(node, shape, holder, &self.shapes, &mut books),
            false => self.nodes.release(node, shape, holder, &self.shapes, &mut books),
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

    /// The pods of a unit that wait.
    pub(crate) fn members(&self, unit: Unit) -> Vec<u32> {
        match unit {
            Unit::Pod(pod) => vec![pod],
            Unit::Gang(gang) => self.gangs[gang as usize].in_one_piece(),
            Unit::Group(gang, first) => self.gangs[gang as usize].group(first).to_vec(),
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
