//! One plan that serves all claimants: who goes, so that who fits where (C1, C2, C6).
//!
//! The plan is tried out on a copy: what is free plus what is going, usage without what is going. For each
//! pod of a claimant the node is taken on which the least is lost; after the last pod, and after quota of the
//! ancestors is free too, whoever need not go is put back, the dearest first. Trying all sets of victims would
//! take for ever; among the plans that take one node after another this one is the cheapest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};

use weir_model::{Dim, PoolId, ResourceVec};

use crate::admit::Case;
use crate::ledger::Sums;
use crate::nodes::{NodeId, Row};
use crate::order::Unit;
use crate::shape::{AskId, ShapeId};
use crate::state::Queue;
use crate::victims::Victim;

/// Somebody whom a plan gives room.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) case: Case,
    pub(crate) unit: Unit,
    pub(crate) nodes: Vec<(ShapeId, NodeId)>,
    /// Positions in [`Plan::victims`].
    pub(crate) victims: Vec<usize>,
}

/// Whose turn it may be to give: above its entitlement for long enough, by pool and dimension.
pub(crate) type Ripe<'a> = &'a dyn Fn(PoolId, Dim) -> bool;

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

/// A plan in the making.
pub(crate) struct Plan<'q> {
    queue: &'q Queue,
    ripe: Ripe<'q>,
    /// Everybody who may be taken, cheapest first.
    pub(crate) victims: Vec<Victim>,
    gone: Vec<bool>,
    /// Victims by node, cheapest first.
    on: Vec<Vec<usize>>,
    /// What is free, or will be, by node.
    rows: Vec<Row>,
    /// What the plan adds to usage, less what it takes away.
    change: Sums,
    /// What it adds to non-preemptible usage.
    fixed: Sums,
    /// How many evictions each budget still allows.
    budgets: Vec<i64>,
    pub(crate) served: Vec<Served>,
    /// See [`Plan::giving`].
    giving: HashMap<(PoolId, Dim), BTreeSet<PoolId>>,
    /// Asks that found no room, with the pool above the claimant's: its siblings would take from the same
    /// pools and find none either.
    hopeless: HashSet<(AskId, PoolId)>,
}

/// The nodes for one shape of an ask.
struct Open<'a> {
    shape: ShapeId,
    /// How many pods of it the ask has.
    count: u32,
    /// Which nodes admit it, whatever is free: 1 or 0 for each.
    admits: &'a [u32],
    /// By what would be lost there, then what is left there, then by node. An entry may be out of date; it is
    /// looked at again when its turn comes.
    heap: BinaryHeap<Reverse<(Cost, i64, NodeId)>>,
}

impl<'q> Plan<'q> {
    pub(crate) fn new(queue: &'q Queue, victims: Vec<Victim>, ripe: Ripe<'q>) -> Self {
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
            gone: vec![false; victims.len()],
            victims,
            on,
            rows: queue.nodes.iter().map(|node| queue.nodes.host(node).free_soon()).collect(),
            change: Sums::default(),
            fixed: Sums::default(),
            budgets: queue.budgets.iter().map(|budget| i64::from(budget.allowed)).collect(),
            served: Vec::new(),
            giving: HashMap::new(),
            hopeless: HashSet::new(),
        };
        plan.giving = plan.giving();
        plan
    }

    /// Serves as many of those who wait with one ask as it can, in their order.
    pub(crate) fn serve(&mut self, case: Case, admits: &BTreeMap<ShapeId, Vec<u32>>) {
        let queue = self.queue;
        let Some(bucket) = queue.lines[case.leaf.index()].buckets.get(&case.ask) else { return };
        let within = self.within_pool(case);
        let family = (case.ask, queue.pools.tree.parent(case.leaf).unwrap_or(PoolId::ROOT));
        if !within && (self.hopeless.contains(&family) || !self.somebody_gives(case)) {
            return;
        }
        let mut asked: Option<(Case, Vec<Open<'_>>)> = None;
        for (place, entry) in &bucket.order {
            if queue.claims.iter().any(|claim| claim.unit == entry.unit && !claim.victims.is_empty()) {
                continue;
            }
            let case = Case { priority: within.then_some(place.priority.0), ..case };
            let open = match &mut asked {
                Some((known, open)) if known.priority == case.priority => open,
                _ => &mut asked.insert((case, self.open(case, admits))).1,
            };
            if !self.serve_one(case, entry.unit, open) {
                // A pool that has used up its own entitlement says nothing about its siblings.
                self.admit(case, 1);
                let own = self.firm_allows(case) && self.leaf_allows(case);
                self.admit(case, -1);
                if own && !within {
                    self.hopeless.insert(family);
                }
                return;
            }
        }
    }

    /// Whether anything could be taken for a claimant at all, as things stood when the plan was begun.
    fn somebody_gives(&self, case: Case) -> bool {
        let tree = &self.queue.pools.tree;
        let asked = &self.queue.shapes.ask_of(case.ask).amounts;
        let beside = |branch: PoolId| {
            let Some(above) = tree.parent(branch) else { return false };
            asked.iter().any(|(dim, _)| {
                let all = self.giving.get(&(above, dim)).map_or(0, BTreeSet::len);
                let own = self.giving.get(&(above, dim)).is_some_and(|branches| branches.contains(&branch));
                all > usize::from(own)
            })
        };
        self.within_pool(case) || tree.path(case.leaf).any(beside)
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

    /// The nodes for each shape of an ask, by what would be lost there.
    fn open<'a>(&mut self, case: Case, admits: &'a BTreeMap<ShapeId, Vec<u32>>) -> Vec<Open<'a>> {
        let mut all = Vec::new();
        for &(shape, count) in &self.queue.shapes.ask_of(case.ask).members {
            let admits = admits.get(&shape).map_or(&[][..], Vec::as_slice);
            let mut open = Open { shape, count, admits, heap: BinaryHeap::new() };
            for at in 0..admits.len() as u32 {
                let entry = self.entry(case, &open, NodeId(at));
                open.heap.extend(entry);
            }
            all.push(open);
        }
        all
    }

    fn serve_one(&mut self, case: Case, unit: Unit, heaps: &mut [Open<'_>]) -> bool {
        let mut served = Served { case, unit, nodes: Vec::new(), victims: Vec::new() };
        self.admit(case, 1);
        // What a victim in the claimant's own pool would free may be what its entitlement lacks.
        let mut complete = self.firm_allows(case) && (self.leaf_allows(case) || self.within_pool(case));
        for at in 0..heaps.len() {
            for _ in 0..heaps[at].count {
                complete = complete && self.place_one(case, at, heaps, &mut served);
            }
        }
        complete = complete && self.free_quota(case, &mut served);
        if !complete {
            self.undo(&served);
            return false;
        }
        self.put_back(case, &mut served);
        self.served.push(served);
        true
    }

    /// Takes the node on which the least is lost for one pod.
    fn place_one(&mut self, case: Case, at: usize, heaps: &mut [Open<'_>], served: &mut Served) -> bool {
        let shape = heaps[at].shape;
        while let Some(Reverse((cost, _, node))) = heaps[at].heap.pop() {
            let Some((now, victims)) = self.look(case, shape, node) else { continue };
            if now != cost {
                let again = self.entry(case, &heaps[at], node);
                heaps[at].heap.extend(again);
                continue;
            }
            let mut touched = vec![node];
            for victim in victims {
                touched.extend(self.victims[victim].nodes.iter().map(|&(_, node)| node));
                self.take(victim);
                served.victims.push(victim);
            }
            self.rows[node.index()].change(&self.queue.shapes.shape_of(shape).needs, -1);
            served.nodes.push((shape, node));
            touched.sort_unstable();
            touched.dedup();
            for open in heaps.iter_mut() {
                for &node in &touched {
                    let entry = self.entry(case, open, node);
                    open.heap.extend(entry);
                }
            }
            return true;
        }
        false
    }

    fn entry(&mut self, case: Case, open: &Open<'_>, node: NodeId) -> Option<Reverse<(Cost, i64, NodeId)>> {
        if open.admits.get(node.index()).is_none_or(|&admits| admits == 0) {
            return None;
        }
        let (cost, _) = self.look(case, open.shape, node)?;
        let main = self.queue.shapes.shape_of(open.shape).main;
        Some(Reverse((cost, self.rows[node.index()].at(main), node)))
    }

    /// What would have to go for one more pod on a node, and what is lost with it.
    fn look(&mut self, case: Case, shape: ShapeId, node: NodeId) -> Option<(Cost, Vec<usize>)> {
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
        let mut chosen: Vec<usize> = Vec::new();
        for at in 0..self.on[node.index()].len() {
            let victim = self.on[node.index()][at];
            if row.fits(&shape.needs) {
                break;
            }
            if !self.gone[victim] && self.may_take(case, victim) {
                self.part(victim, node, 1, &mut row);
                self.count(victim, -1);
                chosen.push(victim);
            }
        }
        chosen.iter().for_each(|&victim| self.count(victim, 1));
        if !row.fits(&shape.needs) {
            return None;
        }
        for at in (0..chosen.len()).rev() {
            self.part(chosen[at], node, -1, &mut row);
            if row.fits(&shape.needs) {
                chosen.remove(at);
            } else {
                self.part(chosen[at], node, 1, &mut row);
            }
        }
        let mut cost = Cost::default();
        chosen.iter().for_each(|&victim| cost.add(&self.victims[victim]));
        Some((cost, chosen))
    }

    /// Gives or takes what a victim holds on one node.
    fn part(&self, victim: usize, node: NodeId, times: i64, row: &mut Row) {
        for &(shape, _) in self.victims[victim].nodes.iter().filter(|&&(_, at)| at == node) {
            row.change(&self.queue.shapes.shape_of(shape).needs, times);
        }
    }

    /// Whether a victim may be taken for a claimant, as things stand in the plan.
    fn may_take(&self, case: Case, victim: usize) -> bool {
        let Victim { leaf, amounts, budgets, loss, .. } = &self.victims[victim];
        if budgets.iter().any(|&(budget, count)| i64::from(count) > self.budgets[budget]) {
            return false;
        }
        let asked = &self.queue.shapes.ask_of(case.ask).amounts;
        let mut shared = amounts.iter().map(|(dim, _)| dim).filter(|&dim| !asked.amount(dim).is_zero());
        if *leaf == case.leaf {
            return self.within_pool(case)
                && case.priority.is_some_and(|priority| loss.priority < priority)
                && shared.next().is_some();
        }
        shared.any(|dim| {
            let tree = &self.queue.pools.tree;
            let mut between = tree.path(*leaf).take_while(|pool| !tree.path(case.leaf).any(|above| above == *pool));
            between.all(|pool| self.queue.over(pool, dim) + self.change.exact(pool, dim) > 0 && (self.ripe)(pool, dim))
        })
    }

    fn within_pool(&self, case: Case) -> bool {
        self.queue.pools.settings(case.leaf).within_pool == crate::settings::WithinPool::LowerPriority
    }

    /// Whether the claimant's own pool has room for it in what it is entitled to.
    fn leaf_allows(&self, case: Case) -> bool {
        self.short_of(case.leaf, &self.queue.shapes.ask_of(case.ask).amounts).is_none()
    }

    /// B4 with what the plan adds. Victims are preemptible, so nobody who goes makes room in a reservation.
    fn firm_allows(&self, case: Case) -> bool {
        let ask = self.queue.shapes.ask_of(case.ask);
        self.queue.pools.tree.path(case.leaf).all(|pool| {
            ask.preemptible
                || ask.amounts.iter().all(|(dim, _)| {
                    let bound = self.queue.pools.reserved(pool, dim);
                    bound.is_none_or(|bound| {
                        let bound = bound.min(self.queue.pools.entitled(pool, dim));
                        let used = self.queue.ledger.fixed.exact(pool, dim) + self.fixed.exact(pool, dim);
                        used <= i128::from(bound.units())
                    })
                })
        })
    }

    /// The dimension in which a pool would be above its entitlement with what the plan adds.
    fn short_of(&self, pool: PoolId, amounts: &ResourceVec) -> Option<Dim> {
        let queue = self.queue;
        let checked = amounts.iter().map(|(dim, _)| dim).filter(|&dim| queue.pools.checks(pool, dim));
        let mut short = checked.filter(|&dim| {
            let held = queue.ledger.held.exact(pool, dim);
            queue.over(pool, dim) + held + self.change.exact(pool, dim) > 0
        });
        short.next()
    }

    /// Takes from pools above their entitlement until the claimant's pool and its ancestors have the quota.
    fn free_quota(&mut self, case: Case, served: &mut Served) -> bool {
        let amounts = &self.queue.shapes.ask_of(case.ask).amounts;
        let path: Vec<PoolId> = self.queue.pools.tree.path(case.leaf).collect();
        for pool in path {
            while let Some(dim) = self.short_of(pool, amounts) {
                let under = |victim: &Victim| self.queue.pools.tree.path(victim.leaf).any(|above| above == pool);
                let helps = |&at: &usize| {
                    let victim = &self.victims[at];
                    !self.gone[at] && !victim.amounts.amount(dim).is_zero() && under(victim) && self.may_take(case, at)
                };
                let Some(cheapest) = (0..self.victims.len()).find(helps) else { return false };
                self.take(cheapest);
                served.victims.push(cheapest);
            }
        }
        true
    }

    /// Puts back whoever need not go, the dearest first.
    fn put_back(&mut self, case: Case, served: &mut Served) {
        let path: Vec<PoolId> = self.queue.pools.tree.path(case.leaf).collect();
        let amounts = &self.queue.shapes.ask_of(case.ask).amounts;
        let mut order = served.victims.clone();
        order.sort_unstable_by_key(|&at| Reverse(self.victims[at].loss));
        for victim in order {
            self.restore(victim);
            let mut touched = self.victims[victim].nodes.iter();
            let room = touched.all(|&(_, node)| self.rows[node.index()].is_sound());
            if room && path.iter().all(|&pool| self.short_of(pool, amounts).is_none()) {
                served.victims.retain(|&at| at != victim);
            } else {
                self.take(victim);
            }
        }
    }

    fn admit(&mut self, case: Case, times: i128) {
        let ask = self.queue.shapes.ask_of(case.ask);
        self.change.change(&self.queue.pools.tree, case.leaf, &ask.amounts, times);
        if !ask.preemptible {
            self.fixed.change(&self.queue.pools.tree, case.leaf, &ask.amounts, times);
        }
    }

    fn count(&mut self, victim: usize, times: i128) {
        let Victim { leaf, amounts, .. } = &self.victims[victim];
        self.change.change(&self.queue.pools.tree, *leaf, amounts, times);
    }

    fn take(&mut self, victim: usize) {
        self.shift(victim, 1);
        self.gone[victim] = true;
    }

    fn restore(&mut self, victim: usize) {
        self.shift(victim, -1);
        self.gone[victim] = false;
    }

    fn shift(&mut self, victim: usize, times: i64) {
        self.count(victim, -i128::from(times));
        for &(shape, node) in &self.victims[victim].nodes {
            self.rows[node.index()].change(&self.queue.shapes.shape_of(shape).needs, times);
        }
        for &(budget, count) in &self.victims[victim].budgets {
            self.budgets[budget] -= times * i64::from(count);
        }
    }

    fn undo(&mut self, served: &Served) {
        for &(shape, node) in &served.nodes {
            self.rows[node.index()].change(&self.queue.shapes.shape_of(shape).needs, 1);
        }
        served.victims.iter().for_each(|&victim| self.restore(victim));
        self.admit(served.case, -1);
    }
}
