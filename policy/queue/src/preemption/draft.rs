//! What a plan has changed so far: which victims are gone, what is free without them, what pools would use.
//!
//! The draft starts as a copy: what is free plus what is terminating, usage without what is terminating. It can
//! take every step back, so that a claimant that finds no room leaves no trace.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use weir_model::{Dim, PoolId};

use super::candidates::Victim;
use super::simulation::Simulation;
use super::view::View;
use crate::contract::settings::WithinPool;
use crate::state::fit::Placement;
use crate::state::ids::{GangId, NodeId, ShapeId};
use crate::state::pools::Pools;
use crate::state::queues::{Candidate, Workload};
use crate::state::row::Row;
use crate::state::shapes::Shape;

/// Whether a pool may be taken from in a dimension: above its entitlement for long enough.
pub(crate) type Ripe<'q> = &'q dyn Fn(PoolId, Dim) -> bool;

/// A workload that a plan gives room.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) candidate: Candidate,
    pub(crate) workload: Workload,
    pub(crate) nodes: Placement,
    /// Where admitted pods go that have no room, and would take the workload's.
    pub(crate) besides: Placement,
    /// Positions among all victims.
    pub(crate) victims: Vec<usize>,
}

/// Something that a claimant has too little of: on a node, or in the quota of a pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lack {
    /// The dimension in which it counts, where it counts at all.
    dim: Option<Dim>,
    /// The dimension that it follows where it does not count for either side: on GPU hosts the pod's GPUs.
    main: Option<Dim>,
}

impl Lack {
    /// Too little quota in a dimension.
    const fn of_quota(dim: Dim) -> Self {
        Self { dim: Some(dim), main: None }
    }

    /// What a pod of this shape has too little of in what is free on a node.
    pub(super) fn on_node(shape: &Shape, free: &Row) -> Vec<Self> {
        let main = shape.needs.iter().position(|&(resource, _)| resource == shape.main);
        let main = main.and_then(|at| shape.counts_in[at]);
        let short = shape.needs.iter().zip(&shape.counts_in).filter(|&(&(at, amount), _)| free.at(at) < amount);
        short.map(|(_, &dim)| Self { dim, main }).collect()
    }

    /// The dimension in which a pool has to be above its entitlement to give what is lacking here: one that is
    /// checked for it.
    fn counts_in(self, pools: &Pools, claimant: PoolId, victim: PoolId) -> Option<Dim> {
        let checked = |leaf: PoolId| self.dim.filter(|&dim| pools.checks(leaf, dim));
        let follows = || self.main.filter(|_| checked(claimant).is_none());
        checked(victim).or_else(follows)
    }
}

/// What a plan has changed so far.
pub(super) struct Draft<'q> {
    pub(super) view: View<'q>,
    ripe: Ripe<'q>,
    /// All that may be taken, cheapest first.
    pub(super) victims: Vec<Victim>,
    /// By victim: whether it goes.
    pub(super) gone: Vec<bool>,
    /// Victims by node, cheapest first.
    pub(super) on: Vec<Vec<usize>>,
    /// The gangs that go, whole.
    going: HashSet<GangId>,
    /// The gangs of which a workload is served: more of one that runs, or all of one that waits.
    growing: HashSet<GangId>,
    /// What is free, or will be, by node.
    pub(super) rows: Vec<Row>,
    /// Nodes on which the plan changed something, in order.
    pub(super) touched: Vec<NodeId>,
    simulation: Simulation<'q>,
    /// How many evictions each budget still allows.
    budgets: Vec<i64>,
}

impl<'q> Draft<'q> {
    /// A draft that changes nothing yet.
    pub(super) fn new(view: View<'q>, victims: Vec<Victim>, ripe: Ripe<'q>) -> Self {
        let state = view.state;
        let mut on = vec![Vec::new(); state.nodes.len()];
        for (at, victim) in victims.iter().enumerate() {
            for &(_, node) in &victim.nodes {
                let here: &mut Vec<usize> = &mut on[node.index()];
                if here.last() != Some(&at) {
                    here.push(at);
                }
            }
        }
        Self {
            view,
            ripe,
            gone: vec![false; victims.len()],
            victims,
            on,
            going: HashSet::new(),
            growing: HashSet::new(),
            rows: state.nodes.iter().map(|node| state.nodes.host(node).free_soon()).collect(),
            touched: Vec::new(),
            simulation: Simulation::new(state),
            budgets: state.budgets.left(&state.pods).into_iter().map(i64::from).collect(),
        }
    }

    /// Whether a gang goes whole by this plan.
    pub(super) fn goes(&self, gang: GangId) -> bool {
        self.going.contains(&gang)
    }

    /// Counts a claimant as admitted before it has nodes.
    pub(super) fn begin(&mut self, candidate: Candidate) {
        self.simulation.admit(candidate, 1);
    }

    /// Takes back all that was done for a claimant.
    pub(super) fn undo(&mut self, served: &Served) {
        let all = served.nodes.iter().chain(&served.besides);
        all.for_each(|&(shape, node)| self.free(shape, node, 1));
        served.victims.iter().for_each(|&victim| self.restore(victim));
        self.simulation.admit(served.candidate, -1);
    }

    /// Notes that a claimant is served, so that its own gang is not taken for it or for another.
    pub(super) fn finish(&mut self, workload: Workload) {
        self.growing.extend(self.view.state.gang_of(workload));
    }

    /// Whether the claimant's pool has the quota, or might get it from its own pods.
    pub(super) fn is_entitled(&mut self, candidate: Candidate) -> bool {
        self.simulation.admit(candidate, 1);
        // What a victim in the claimant's own pool would free may be what its entitlement lacks.
        let entitled = self.simulation.reservation_allows(candidate)
            && (self.leaf_allows(candidate) || self.takes_within(candidate));
        self.simulation.admit(candidate, -1);
        entitled
    }

    /// C6: whether the claimant's pool lets it take the place of lower priorities.
    pub(super) fn takes_within(&self, candidate: Candidate) -> bool {
        self.view.state.pools.settings(candidate.leaf).within_pool == WithinPool::LowerPriority
    }

    /// Whether the claimant's own pool has room for it in what the pool is entitled to.
    fn leaf_allows(&self, candidate: Candidate) -> bool {
        let amounts = &self.view.state.shapes.request_of(candidate.request).amounts;
        self.simulation.short_of(candidate.leaf, amounts).is_none()
    }

    /// Whether a pool is above its entitlement in a dimension and may be taken from there.
    pub(super) fn gives(&self, pool: PoolId, dim: Dim) -> bool {
        self.view.state.pools.checks(pool, dim) && self.simulation.over(pool, dim) > 0 && (self.ripe)(pool, dim)
    }

    /// Whether a victim may be taken for a claimant that is short of this, as things stand in the plan.
    pub(super) fn may_take(&self, candidate: Candidate, victim: usize, short: &[Lack]) -> bool {
        let Victim { leaf, amounts, loss, gang, .. } = &self.victims[victim];
        if !self.budgets_allow(victim) || gang.is_some_and(|gang| self.growing.contains(&gang)) {
            return false;
        }
        let pools = &self.view.state.pools;
        let mut helps = short.iter().filter_map(|lack| lack.counts_in(pools, candidate.leaf, *leaf));
        let mut helps = helps.by_ref().filter(|&dim| !amounts.amount(dim).is_zero());
        if *leaf == candidate.leaf {
            return self.takes_within(candidate)
                && candidate.priority.is_some_and(|priority| loss.priority < priority)
                && helps.next().is_some();
        }
        let tree = &pools.tree;
        helps.any(|dim| {
            let mut between =
                tree.path(*leaf).take_while(|pool| !tree.path(candidate.leaf).any(|above| above == *pool));
            between.all(|pool| self.gives(pool, dim))
        })
    }

    /// Whether every budget allows a victim and all that go along.
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

    /// The victims that go along with one and are not gone yet, and then itself.
    pub(super) fn with_all(&self, victim: usize) -> impl Iterator<Item = usize> + '_ {
        let along = self.victims[victim].along.iter().copied().filter(|&at| !self.gone[at]);
        along.chain([victim])
    }

    /// Takes from pools above their entitlement until the claimant's pool and its ancestors have the quota.
    pub(super) fn free_quota(&mut self, candidate: Candidate, served: &mut Served) -> bool {
        let state = self.view.state;
        let amounts = &state.shapes.request_of(candidate.request).amounts;
        for pool in state.pools.tree.path(candidate.leaf) {
            while let Some(dim) = self.simulation.short_of(pool, amounts) {
                let short = [Lack::of_quota(dim)];
                let under = |victim: &Victim| state.pools.tree.path(victim.leaf).any(|above| above == pool);
                let helps = |&at: &usize| {
                    let victim = &self.victims[at];
                    !self.gone[at]
                        && !victim.amounts.amount(dim).is_zero()
                        && under(victim)
                        && self.may_take(candidate, at, &short)
                };
                let Some(cheapest) = (0..self.victims.len()).find(helps) else { return false };
                served.victims.extend(self.take_all(cheapest));
            }
        }
        true
    }

    /// Puts back the victims that need not go, the dearest first.
    pub(super) fn put_back(&mut self, served: &mut Served) {
        let Candidate { leaf, request, .. } = served.candidate;
        let state = self.view.state;
        let amounts = &state.shapes.request_of(request).amounts;
        let mut order = served.victims.clone();
        order.sort_unstable_by_key(|&at| Reverse((self.victims[at].loss.needed, self.victims[at].loss)));
        for victim in order {
            // What is of no use without a victim that goes does not stay.
            let bound = |&at: &usize| self.gone[at] && self.victims[at].along.contains(&victim);
            if served.victims.iter().any(bound) {
                continue;
            }
            self.restore(victim);
            let mut nodes = self.victims[victim].nodes.iter();
            let room = nodes.all(|&(_, node)| self.rows[node.index()].is_sound());
            let quota = || state.pools.tree.path(leaf).all(|pool| self.simulation.short_of(pool, amounts).is_none());
            if room && quota() {
                served.victims.retain(|&at| at != victim);
            } else {
                self.take(victim);
            }
        }
    }

    /// Counts a victim as gone (`times` −1) or as there again, in quota and budgets.
    pub(super) fn count(&mut self, victim: usize, times: i64) {
        let Victim { leaf, amounts, budgets, .. } = &self.victims[victim];
        self.simulation.change(*leaf, amounts, times.into());
        for &(budget, count) in budgets {
            self.budgets[budget] += times * i64::from(count);
        }
    }

    /// Takes a victim with all that go along, and says which all went.
    pub(super) fn take_all(&mut self, victim: usize) -> Vec<usize> {
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
    pub(super) fn free(&mut self, shape: ShapeId, node: NodeId, times: i64) {
        self.rows[node.index()].change(&self.view.state.shapes.shape_of(shape).needs, times);
        self.touched.push(node);
    }
}
