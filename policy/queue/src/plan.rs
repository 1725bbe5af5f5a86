//! One plan that serves all claimants: who goes, so that who fits where (C1, C2, C6).
//!
//! The plan is tried out on a copy: what is free plus what is going, usage without what is going. For each
//! pod of a claimant the node is taken on which the least is lost; after the last pod, and after quota of the
//! ancestors is free too, whoever need not go is put back, the dearest first. Trying all sets of victims would
//! take for ever; among the plans that take one node after another this one is the cheapest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use weir_model::{Dim, PoolId};

use crate::admit::Candidate;
use crate::candidates::Victim;
use crate::node_costs::{NodeCosts, Viewpoint};
use crate::nodes::{NodeId, Row};
use crate::queues::Workload;
use crate::shapes::{RequestId, ShapeId};
use crate::simulation::Simulation;
use crate::state::Queue;

/// Somebody whom a plan gives room.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) candidate: Candidate,
    pub(crate) workload: Workload,
    pub(crate) nodes: Vec<(ShapeId, NodeId)>,
    /// Positions in [`Plan::victims`].
    pub(crate) victims: Vec<usize>,
}

/// Whose turn it may be to give: above its entitlement for long enough, by pool and dimension.
pub(crate) type Ripe<'a> = &'a dyn Fn(PoolId, Dim) -> bool;

/// For each shape the nodes that admit it: 1 or 0 for each.
pub(crate) type Admits = BTreeMap<ShapeId, Vec<u32>>;

/// A plan in the making.
pub(crate) struct Plan<'q> {
    pub(crate) queue: &'q Queue,
    ripe: Ripe<'q>,
    /// The nodes that admit the claimants' shapes, whatever is free.
    pub(crate) admits: &'q Admits,
    /// Everybody who may be taken, cheapest first.
    pub(crate) victims: Vec<Victim>,
    pub(crate) gone: Vec<bool>,
    /// The gangs that go, whole.
    going: HashSet<u32>,
    /// The gangs of which somebody is served: more of one that runs, or all of one that waits.
    growing: HashSet<u32>,
    /// Victims by node, cheapest first.
    pub(crate) on: Vec<Vec<usize>>,
    /// What is free, or will be, by node.
    pub(crate) rows: Vec<Row>,
    /// Nodes on which the plan changed something, in order.
    pub(crate) touched: Vec<NodeId>,
    /// The nodes as claimants see them, kept from one to the next.
    node_costs: HashMap<Viewpoint, NodeCosts<'q>>,
    simulation: Simulation<'q>,
    /// How many evictions each budget still allows.
    budgets: Vec<i64>,
    pub(crate) served: Vec<Served>,
    /// See [`Plan::giving`].
    giving: HashMap<(PoolId, Dim), BTreeSet<PoolId>>,
    /// Requests that found no room, with the pool above the claimant's: its siblings would take from the same
    /// pools and find none either.
    hopeless: HashSet<(RequestId, PoolId)>,
}

impl<'q> Plan<'q> {
    pub(crate) fn new(queue: &'q Queue, victims: Vec<Victim>, admits: &'q Admits, ripe: Ripe<'q>) -> Self {
        let mut on = vec![Vec::new(); queue.nodes.len()];
        for (at, victim) in victims.iter().enumerate() {
            for &(_, node) in &victim.nodes {
                let here: &mut Vec<usize> = &mut on[node.index()];
                if here.last() != Some(&at) {
                    here.push(at);
                }
            }
        }
        let mut plan = Self {
            queue,
            ripe,
            admits,
            gone: vec![false; victims.len()],
            going: HashSet::new(),
            growing: HashSet::new(),
            victims,
            on,
            rows: queue.nodes.iter().map(|node| queue.nodes.host(node).free_soon()).collect(),
            touched: Vec::new(),
            node_costs: HashMap::new(),
            simulation: Simulation::new(queue),
            budgets: queue.budgets_left().into_iter().map(i64::from).collect(),
            served: Vec::new(),
            giving: HashMap::new(),
            hopeless: HashSet::new(),
        };
        plan.giving = plan.giving();
        plan
    }

    /// Serves as many of those who wait with one request as it can, in their order.
    pub(crate) fn serve(&mut self, candidate: Candidate) {
        let queue = self.queue;
        let Some(bucket) = queue.leaf_queues[candidate.leaf.index()].buckets.get(&candidate.request) else { return };
        let within = self.within_pool(candidate);
        let family = (candidate.request, queue.pools.tree.parent(candidate.leaf).unwrap_or(PoolId::ROOT));
        let givers = self.givers(candidate);
        if !within && (self.hopeless.contains(&family) || givers.is_empty()) {
            return;
        }
        for (key, queued) in &bucket.order {
            if queue.claims.iter().any(|claim| claim.workload == queued.workload && !claim.victims.is_empty()) {
                continue;
            }
            // More of a gang that goes by this very plan will wait for the rest of it.
            if queue.gang_of(queued.workload).is_some_and(|gang| self.going.contains(&gang)) {
                continue;
            }
            let candidate = Candidate { priority: within.then_some(key.priority.0), ..candidate };
            // A pool that has used up its own entitlement says nothing about its siblings.
            if !self.is_entitled(candidate) {
                return;
            }
            let within = candidate.priority.map(|priority| (candidate.leaf, priority));
            let viewpoint = Viewpoint { request: candidate.request, givers: givers.clone(), within };
            if !self.serve_from(viewpoint, candidate, queued.workload) {
                if within.is_none() {
                    self.hopeless.insert(family);
                }
                return;
            }
        }
    }

    /// Serves one claimant, if need be with nodes that were looked at for it alone.
    fn serve_from(&mut self, viewpoint: Viewpoint, candidate: Candidate, workload: Workload) -> bool {
        if let Some(mut node_costs) = self.node_costs.remove(&viewpoint)
            && self.serve_one(candidate, workload, &mut node_costs)
        {
            self.node_costs.insert(viewpoint, node_costs);
            return true;
        }
        let mut node_costs = self.node_costs(candidate);
        let done = self.serve_one(candidate, workload, &mut node_costs);
        if done {
            self.node_costs.insert(viewpoint, node_costs);
        }
        done
    }

    /// The pools above a claimant below which others give in a dimension that it asks for, as things stood
    /// when the plan was begun.
    fn givers(&self, candidate: Candidate) -> Vec<PoolId> {
        let tree = &self.queue.pools.tree;
        let asked = &self.queue.shapes.request_of(candidate.request).amounts;
        let beside = |branch: PoolId| {
            let above = tree.parent(branch)?;
            let gives = |(dim, _)| {
                let branches = self.giving.get(&(above, dim));
                branches.is_some_and(|all| all.len() > usize::from(all.contains(&branch)))
            };
            asked.iter().any(gives).then_some(above)
        };
        tree.path(candidate.leaf).filter_map(beside).collect()
    }

    /// Whether the claimant's pool has the quota, or might get it from its own.
    fn is_entitled(&mut self, candidate: Candidate) -> bool {
        self.simulation.admit(candidate, 1);
        // What a victim in the claimant's own pool would free may be what its entitlement lacks.
        let entitled = self.simulation.reservation_allows(candidate)
            && (self.leaf_allows(candidate) || self.within_pool(candidate));
        self.simulation.admit(candidate, -1);
        entitled
    }

    /// Below which pools there are branches that give, with these branches.
    fn giving(&self) -> HashMap<(PoolId, Dim), BTreeSet<PoolId>> {
        let mut giving: HashMap<(PoolId, Dim), BTreeSet<PoolId>> = HashMap::new();
        let tree = &self.queue.pools.tree;
        for victim in &self.victims {
            for (dim, _) in victim.amounts.iter() {
                let over = |pool: &PoolId| self.queue.over(*pool, dim) > 0 && (self.ripe)(*pool, dim);
                for pool in tree.path(victim.leaf).take_while(over) {
                    let Some(above) = tree.parent(pool) else { break };
                    if !giving.entry((above, dim)).or_default().insert(pool) {
                        break;
                    }
                }
            }
        }
        giving
    }

    fn serve_one(&mut self, candidate: Candidate, workload: Workload, node_costs: &mut NodeCosts<'_>) -> bool {
        let mut served = Served { candidate, workload, nodes: Vec::new(), victims: Vec::new() };
        self.simulation.admit(candidate, 1);
        if !self.place_all(candidate, node_costs, &mut served) || !self.free_quota(candidate, &mut served) {
            self.undo(&served);
            return false;
        }
        self.put_back(candidate, &mut served);
        let pods: usize = served.victims.iter().map(|&at| self.victims[at].pods.len()).sum();
        if pods > self.queue.config.largest_plan {
            self.undo(&served);
            return false;
        }
        self.growing.extend(self.queue.gang_of(workload));
        self.served.push(served);
        true
    }

    /// Whether a victim may be taken for a claimant, as things stand in the plan.
    pub(crate) fn may_take(&self, candidate: Candidate, victim: usize) -> bool {
        let Victim { leaf, amounts, loss, gang, .. } = &self.victims[victim];
        if !self.budgets_allow(victim) || gang.is_some_and(|gang| self.growing.contains(&gang)) {
            return false;
        }
        let asked = &self.queue.shapes.request_of(candidate.request).amounts;
        let mut shared = amounts.iter().map(|(dim, _)| dim).filter(|&dim| !asked.amount(dim).is_zero());
        if *leaf == candidate.leaf {
            return self.within_pool(candidate)
                && candidate.priority.is_some_and(|priority| loss.priority < priority)
                && shared.next().is_some();
        }
        shared.any(|dim| {
            let tree = &self.queue.pools.tree;
            let mut between =
                tree.path(*leaf).take_while(|pool| !tree.path(candidate.leaf).any(|above| above == *pool));
            between.all(|pool| self.simulation.over(pool, dim) > 0 && (self.ripe)(pool, dim))
        })
    }

    /// Whether every budget allows a victim and all who go with it.
    fn budgets_allow(&self, victim: usize) -> bool {
        let Victim { budgets, along, .. } = &self.victims[victim];
        if along.is_empty() {
            return budgets.iter().all(|&(budget, count)| i64::from(count) <= self.budgets[budget]);
        }
        let mut needed: BTreeMap<usize, i64> = BTreeMap::new();
        for at in self.with_all(victim) {
            for &(budget, count) in &self.victims[at].budgets {
                *needed.entry(budget).or_default() += i64::from(count);
            }
        }
        needed.into_iter().all(|(budget, count)| count <= self.budgets[budget])
    }

    /// Those who go with a victim and are not gone yet, and then itself.
    pub(crate) fn with_all(&self, victim: usize) -> impl Iterator<Item = usize> + '_ {
        let along = self.victims[victim].along.iter().copied().filter(|&at| !self.gone[at]);
        along.chain([victim])
    }

    fn within_pool(&self, candidate: Candidate) -> bool {
        self.queue.pools.settings(candidate.leaf).within_pool == crate::settings::WithinPool::LowerPriority
    }

    /// Whether the claimant's own pool has room for it in what it is entitled to.
    fn leaf_allows(&self, candidate: Candidate) -> bool {
        self.simulation.short_of(candidate.leaf, &self.queue.shapes.request_of(candidate.request).amounts).is_none()
    }

    /// Takes from pools above their entitlement until the claimant's pool and its ancestors have the quota.
    fn free_quota(&mut self, candidate: Candidate, served: &mut Served) -> bool {
        let amounts = &self.queue.shapes.request_of(candidate.request).amounts;
        let path: Vec<PoolId> = self.queue.pools.tree.path(candidate.leaf).collect();
        for pool in path {
            while let Some(dim) = self.simulation.short_of(pool, amounts) {
                let under = |victim: &Victim| self.queue.pools.tree.path(victim.leaf).any(|above| above == pool);
                let helps = |&at: &usize| {
                    let victim = &self.victims[at];
                    !self.gone[at]
                        && !victim.amounts.amount(dim).is_zero()
                        && under(victim)
                        && self.may_take(candidate, at)
                };
                let Some(cheapest) = (0..self.victims.len()).find(helps) else { return false };
                served.victims.extend(self.take_all(cheapest));
            }
        }
        true
    }

    /// Puts back whoever need not go, the dearest first.
    fn put_back(&mut self, candidate: Candidate, served: &mut Served) {
        let path: Vec<PoolId> = self.queue.pools.tree.path(candidate.leaf).collect();
        let amounts = &self.queue.shapes.request_of(candidate.request).amounts;
        let mut order = served.victims.clone();
        order.sort_unstable_by_key(|&at| Reverse((self.victims[at].loss.needed, self.victims[at].loss)));
        for victim in order {
            // Nobody stays who is of no use without somebody that goes.
            let bound = |&at: &usize| self.gone[at] && self.victims[at].along.contains(&victim);
            if served.victims.iter().any(bound) {
                continue;
            }
            self.restore(victim);
            let mut touched = self.victims[victim].nodes.iter();
            let room = touched.all(|&(_, node)| self.rows[node.index()].is_sound());
            if room && path.iter().all(|&pool| self.simulation.short_of(pool, amounts).is_none()) {
                served.victims.retain(|&at| at != victim);
            } else {
                self.take(victim);
            }
        }
    }

    /// Counts a victim as gone (`times` −1) or as there again, in quota and budgets.
    pub(crate) fn count(&mut self, victim: usize, times: i64) {
        let Victim { leaf, amounts, budgets, .. } = &self.victims[victim];
        self.simulation.change(*leaf, amounts, times.into());
        for &(budget, count) in budgets {
            self.budgets[budget] += times * i64::from(count);
        }
    }

    /// Takes a victim with those who go with it, and says who all went.
    pub(crate) fn take_all(&mut self, victim: usize) -> Vec<usize> {
        let all: Vec<usize> = self.with_all(victim).filter(|&at| !self.gone[at]).collect();
        all.iter().for_each(|&at| self.take(at));
        all
    }

    fn take(&mut self, victim: usize) {
        self.shift(victim, 1);
        self.gone[victim] = true;
        self.going.extend(self.victims[victim].gang);
    }

    fn restore(&mut self, victim: usize) {
        self.shift(victim, -1);
        self.gone[victim] = false;
        if let Some(gang) = self.victims[victim].gang {
            self.going.remove(&gang);
        }
    }

    fn shift(&mut self, victim: usize, times: i64) {
        self.count(victim, -times);
        for at in 0..self.victims[victim].nodes.len() {
            let (shape, node) = self.victims[victim].nodes[at];
            self.free(shape, node, times);
        }
    }

    /// Frees the room of a pod on a node, or (`times` −1) takes it.
    pub(crate) fn free(&mut self, shape: ShapeId, node: NodeId, times: i64) {
        self.rows[node.index()].change(&self.queue.shapes.shape_of(shape).needs, times);
        self.touched.push(node);
    }

    fn undo(&mut self, served: &Served) {
        served.nodes.iter().for_each(|&(shape, node)| self.free(shape, node, 1));
        served.victims.iter().for_each(|&victim| self.restore(victim));
        self.simulation.admit(served.candidate, -1);
    }
}
