//! One plan that serves all claimants: which victims go, so that which workload fits where (C1, C2, C6).
//!
//! For each pod of a claimant the plan takes the node on which the least is lost; after the last pod, and after
//! quota of the ancestors is free too, victims that need not go are put back, the dearest first. Trying all sets
//! of victims would take for ever; among the plans that take one node after another this one is the cheapest.

use std::collections::{BTreeSet, HashMap, HashSet};

use weir_model::{Dim, PoolId};

use super::candidates::{Victim, victims_in};
use super::displaced::{self, Displaced};
use super::draft::{Draft, Ripe, Served};
use super::node_costs::{Admits, NodeCosts, Viewpoint};
use super::view::View;
use crate::contract::settings::WithinPool;
use crate::state::ids::RequestId;
use crate::state::queues::{Candidate, Workload};

/// What a plan decided, apart from the draft that it was tried out on.
#[derive(Default)]
pub(crate) struct Planned {
    pub(crate) victims: Vec<Victim>,
    pub(crate) served: Vec<Served>,
}

impl Planned {
    /// Whether any pod is evicted.
    pub(crate) fn evicts(&self) -> bool {
        self.claimants().next().is_some()
    }

    /// The claimants for which pods are evicted.
    pub(crate) fn claimants(&self) -> impl Iterator<Item = &Served> {
        self.served.iter().filter(|served| !served.victims.is_empty())
    }
}

/// The leaves from which something might be taken for these claimants.
pub(crate) fn giving_leaves(View { state, .. }: View<'_>, claimants: &[Candidate]) -> BTreeSet<PoolId> {
    let mut dims: BTreeSet<Dim> = BTreeSet::new();
    let mut leaves: BTreeSet<PoolId> = BTreeSet::new();
    for candidate in claimants {
        dims.extend(state.shapes.request_of(candidate.request).amounts.iter().map(|(dim, _)| dim));
        let within = state.pools.settings(candidate.leaf).within_pool == WithinPool::LowerPriority;
        leaves.extend(within.then_some(candidate.leaf));
    }
    let tree = &state.pools.tree;
    let above = |pool, dim| state.pools.checks(pool, dim) && state.usage.over(&state.pools, pool, dim) > 0;
    let over = |&pool: &PoolId| dims.iter().any(|&dim| above(pool, dim));
    leaves.extend(tree.iter().filter(|&pool| tree.is_leaf(pool)).filter(over));
    leaves
}

/// Plans which victims go for these claimants, in their order, out of these leaves.
pub(crate) fn plan(
    view: View<'_>,
    claimants: &[Candidate],
    leaves: BTreeSet<PoolId>,
    displaced: &[Displaced],
    admits: &Admits,
    ripe: Ripe<'_>,
) -> Planned {
    let mut draft = Draft::new(view, victims_in(view, leaves.into_iter()), ripe);
    let displaced = displaced::settle(&mut draft, displaced, admits);
    let mut plan = Plan::new(draft, displaced, admits);
    claimants.iter().for_each(|&candidate| plan.serve(candidate));
    Planned { victims: plan.draft.victims, served: plan.served }
}

/// A plan in the making.
struct Plan<'q> {
    draft: Draft<'q>,
    /// The admitted pods that have no room yet; the first claimant that would lose its room to them makes some.
    displaced: Vec<Displaced>,
    /// The nodes that admit the claimants' shapes, whatever is free.
    admits: &'q Admits,
    /// The nodes as claimants see them, kept from one to the next.
    node_costs: HashMap<Viewpoint, NodeCosts<'q>>,
    served: Vec<Served>,
    /// Below which pools there are branches that give, with these branches, as things stood when the plan began.
    giving: HashMap<(PoolId, Dim), BTreeSet<PoolId>>,
    /// Requests that found no room, with the pool above the claimant's: its siblings would take from the same
    /// pools and find none either.
    hopeless: HashSet<(RequestId, PoolId)>,
}

impl<'q> Plan<'q> {
    fn new(draft: Draft<'q>, displaced: Vec<Displaced>, admits: &'q Admits) -> Self {
        let giving = giving(&draft);
        Self {
            draft,
            displaced,
            admits,
            node_costs: HashMap::new(),
            served: Vec::new(),
            giving,
            hopeless: HashSet::new(),
        }
    }

    /// Serves as many of the workloads that wait with one request as it can, in their order.
    fn serve(&mut self, candidate: Candidate) {
        let state = self.draft.view.state;
        let Some(bucket) = state.queues[candidate.leaf].buckets.get(&candidate.request) else { return };
        let within = self.draft.takes_within(candidate);
        let family = (candidate.request, state.pools.tree.parent(candidate.leaf).unwrap_or(PoolId::ROOT));
        let givers = self.givers(candidate);
        if !within && (self.hopeless.contains(&family) || givers.is_empty()) {
            return;
        }
        for (key, queued) in &bucket.order {
            if state.claims.with_victims_for(queued.workload).is_some() {
                continue;
            }
            // More of a gang that goes by this very plan will wait for the rest of it.
            if state.gang_of(queued.workload).is_some_and(|gang| self.draft.goes(gang)) {
                continue;
            }
            let candidate = Candidate { priority: within.then_some(key.priority.0), ..candidate };
            // A pool that has used up its own entitlement says nothing about its siblings.
            if !self.draft.is_entitled(candidate) {
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
        if let Some(mut known) = self.node_costs.remove(&viewpoint)
            && self.serve_one(candidate, workload, &mut known)
        {
            self.node_costs.insert(viewpoint, known);
            return true;
        }
        let mut node_costs = NodeCosts::new(&mut self.draft, candidate, self.admits);
        let done = self.serve_one(candidate, workload, &mut node_costs);
        if done {
            self.node_costs.insert(viewpoint, node_costs);
        }
        done
    }

    fn serve_one(&mut self, candidate: Candidate, workload: Workload, node_costs: &mut NodeCosts<'_>) -> bool {
        let draft = &mut self.draft;
        let mut served = Served { candidate, workload, nodes: Vec::new(), besides: Vec::new(), victims: Vec::new() };
        draft.begin(candidate);
        displaced::place(draft, candidate, &self.displaced, self.admits, &mut served);
        if !node_costs.place_all(draft, &mut served) || !draft.free_quota(candidate, &mut served) {
            draft.undo(&served);
            return false;
        }
        draft.put_back(&mut served);
        let pods: usize = served.victims.iter().map(|&at| draft.victims[at].pods.len()).sum();
        if pods > draft.view.config.largest_plan {
            draft.undo(&served);
            return false;
        }
        draft.finish(workload);
        for &(shape, _) in &served.besides {
            let at = self.displaced.iter().position(|one| one.shape == shape);
            at.map(|at| self.displaced.remove(at));
        }
        self.served.push(served);
        true
    }

    /// The pools above a claimant below which others give in a dimension that it asks for.
    fn givers(&self, candidate: Candidate) -> Vec<PoolId> {
        let state = self.draft.view.state;
        let tree = &state.pools.tree;
        let asked = &state.shapes.request_of(candidate.request).amounts;
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
}

/// Below which pools there are branches that give, with these branches.
fn giving(draft: &Draft<'_>) -> HashMap<(PoolId, Dim), BTreeSet<PoolId>> {
    let mut giving: HashMap<(PoolId, Dim), BTreeSet<PoolId>> = HashMap::new();
    let tree = &draft.view.state.pools.tree;
    for victim in &draft.victims {
        for (dim, _) in victim.amounts.iter() {
            for pool in tree.path(victim.leaf).take_while(|&pool| draft.gives(pool, dim)) {
                let Some(above) = tree.parent(pool) else { break };
                if !giving.entry((above, dim)).or_default().insert(pool) {
                    break;
                }
            }
        }
    }
    giving
}
