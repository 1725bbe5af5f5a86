//! The admission of one workload: from now on it is usage, on the nodes that were found for it.

use std::sync::Arc;

use weir_model::reason::Grounds;

use crate::contract::decision::{Admission, DecidedOn, Decision};
use crate::contract::explanation::Explanation;
use crate::contract::time::Time;
use crate::state::State;
use crate::state::fit::Placement;
use crate::state::ids::{NodeId, PodId};
use crate::state::pods::{PodState, Running};
use crate::state::queues::{Candidate, Workload};
use crate::state::sums::amount;

use super::assumed::find_nodes;
use super::checks::numbers_allow;
use super::context::Round;
use crate::state::refusal::Refusal;

/// Whether a request may go now, and to which nodes.
pub(super) fn may_go(round: &mut Round<'_>, candidate: Candidate) -> Result<Placement, Refusal> {
    numbers_allow(round.state, candidate)?;
    find_nodes(round, candidate.request).map_err(Refusal::Placement)
}

/// Admits a workload to nodes that were found for it.
pub(super) fn admit(
    round: &mut Round<'_>,
    candidate: Candidate,
    workload: Workload,
    mut nodes: Placement,
    grounds: Grounds,
    would_have: Option<Explanation>,
) {
    let decided_on = decided_on(round.state, candidate);
    let members = round.state.waiting_members(workload);
    match workload {
        Workload::Pod(pod) => round.state.dequeue_pod(pod),
        Workload::Gang(gang) => {
            round.state.dequeue_gang(gang);
            round.state.gangs[gang].admitted_whole(round.now);
        }
        Workload::Group(gang, first) => round.state.dequeue_group(gang, first),
    }
    let mut pods = Vec::with_capacity(members.len());
    for pod in members {
        let Some(record) = round.state.pods.record(pod) else { continue };
        let at = nodes.iter().position(|&(shape, _)| shape == record.shape);
        let node = at.map(|at| nodes.swap_remove(at).1);
        pods.push((record.uid, node.map(|node| Arc::clone(&round.state.nodes.host(node).name))));
        become_admitted(round, pod, node, grounds);
    }
    round.decisions.push(Decision::Admit(Admission {
        round: round.number,
        pods,
        pool: round.state.pools.tree.name(candidate.leaf).to_owned(),
        amounts: round.state.shapes.amounts(candidate.request),
        grounds,
        decided_on,
        would_have,
    }));
    if grounds == Grounds::OnLoan {
        let State { usage, pools, shapes, .. } = &mut *round.state;
        shapes.dims.iter().for_each(|dim| usage.count_over_entitlement(pools, candidate.leaf, dim));
    }
}

/// Turns a waiting pod that stands nowhere into usage.
pub(super) fn become_admitted(round: &mut Round<'_>, pod: PodId, node: Option<NodeId>, grounds: Grounds) {
    let state = &mut *round.state;
    let Some(record) = state.pods.record(pod) else { return };
    let shape = record.shape;
    state.withdraw(pod);
    let counted = state.counted_on(shape, node);
    let running = Running {
        at: round.now,
        grounds,
        started: None,
        deleting: None,
        overdue: false,
        evicting: false,
        node,
        bound: false,
        counted,
        round: Some(round.number),
        spared_until: Time::ZERO,
    };
    if let Some(record) = state.pods.record_mut(pod) {
        record.state = PodState::Running(Box::new(running));
    }
    state.enter(pod);
}

/// What the pool and its ancestors were entitled to and used just before.
fn decided_on(state: &State, Candidate { leaf, request, .. }: Candidate) -> Vec<DecidedOn> {
    let State { pools, usage, shapes, .. } = state;
    let amounts = &shapes.request_of(request).amounts;
    let mut facts = Vec::new();
    for pool in pools.tree.path(leaf) {
        for (dim, asked) in amounts.iter().filter(|&(dim, _)| pools.checks(pool, dim)) {
            facts.push(DecidedOn {
                pool: pools.named(pool),
                dim: shapes.dims.name(dim).to_owned(),
                entitlement: pools.entitled(pool, dim),
                usage: usage.admitted.amount(pool, dim),
                beyond: amount(usage.over_entitlement.below(pools, pool, dim)),
                asked,
            });
        }
    }
    facts
}
