//! What may be taken, and in which order (C1, C2).
//!
//! A victim is a pod or a whole gang; of a gang with parts, what it does not need goes by itself and goes first,
//! and the rest takes along what of that is left. What of it already leaves is left out: one member that hangs would
//! keep the gang for ever. A victim may be taken only if all of it is preemptible, none of it is on an excluded node
//! or under a budget that does not allow it, and it has run for its pool's minimum run time, a gang since it began:
//! a member that is replaced again and again keeps no gang young. It is taken only while every pool between it and
//! the claimant's common ancestor is above its entitlement in a dimension that the claimant has too little of. Loans
//! go first, then the lowest priority, then what a gang does not need, then what loses the least work.

use std::collections::{BTreeSet, HashMap};

use weir_model::reason::Grounds;
use weir_model::{PoolId, ResourceVec};

use super::view::View;
use crate::contract::pod::Uid;
use crate::state::fit::Placement;
use crate::state::gang_members::Divided;
use crate::state::ids::{GangId, PodId};
use crate::state::pods::Running;
use crate::state::queues::Workload;

/// Pods that may be taken in one piece.
#[derive(Clone, Debug)]
pub(crate) struct Victim {
    pub(crate) pods: Vec<PodId>,
    /// The gang that goes whole with these pods.
    pub(crate) gang: Option<GangId>,
    pub(crate) leaf: PoolId,
    /// The positions of the victims that go along: what the gang has and does not need.
    pub(crate) along: Vec<usize>,
    /// What all of it counts for.
    pub(crate) amounts: ResourceVec,
    /// Where the pods are.
    pub(crate) nodes: Placement,
    /// The positions of the budgets that cover the pods, and how often each is needed.
    pub(crate) budgets: Vec<(usize, u32)>,
    pub(crate) loss: Loss,
}

/// What is lost when a victim goes; the smallest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Loss {
    /// False for a loan.
    pub(crate) own: bool,
    pub(crate) priority: i32,
    /// False for what a gang has and does not need.
    pub(crate) needed: bool,
    /// Milliseconds of run time × what the pods hold of their main resource.
    pub(crate) work: i128,
    pub(crate) uid: Uid,
}

/// Every victim in these leaves that may be taken at all, cheapest first.
pub(crate) fn victims_in(view: View<'_>, leaves: impl Iterator<Item = PoolId>) -> Vec<Victim> {
    let View { state, .. } = view;
    let left = state.budgets.left(&state.pods);
    let mut victims = Vec::new();
    let mut seen = BTreeSet::new();
    for leaf in leaves {
        for &pod in &state.queues[leaf].admitted {
            match state.gang_of(Workload::Pod(pod)) {
                Some(gang) if seen.insert(gang) => victims_of(view, leaf, gang, &left, &mut victims),
                Some(_) => {}
                None => victims.extend(single(view, leaf, pod, &left)),
            }
        }
    }
    victims.sort_unstable_by_key(|victim| victim.loss);
    let mut extras: HashMap<GangId, Vec<usize>> = HashMap::new();
    for (at, victim) in victims.iter().enumerate().filter(|(_, victim)| !victim.loss.needed) {
        let gang = victim.pods.first().and_then(|&pod| state.gang_of(Workload::Pod(pod)));
        gang.into_iter().for_each(|gang| extras.entry(gang).or_default().push(at));
    }
    for victim in &mut victims {
        victim.along = victim.gang.and_then(|gang| extras.get(&gang).cloned()).unwrap_or_default();
    }
    victims
}

/// What of a gang may be taken: what it does not need bit by bit, and all of it if all of it may go.
fn victims_of(view: View<'_>, leaf: PoolId, gang: GangId, left: &[u32], victims: &mut Vec<Victim>) {
    let View { state, now, .. } = view;
    let Divided { elastic, mut needed } = Divided::of(&state.gangs[gang], &state.pods);
    let stays = |pod: &PodId| state.pods.running(*pod).is_some_and(|running| !running.is_terminating());
    let min_runtime = state.pools.settings(leaf).min_runtime;
    let mut whole = true;
    for mut pods in elastic {
        pods.retain(stays);
        let began = pods.iter().filter_map(|&pod| state.pods.running(pod)).map(Running::since).min();
        if began.is_some_and(|began| now.since(began) < min_runtime) {
            // Too young to go by itself; when the gang goes, it goes with it.
            needed.append(&mut pods);
        } else if !pods.is_empty() {
            let victim = victim(view, leaf, pods, None, left);
            whole &= victim.is_some();
            victims.extend(victim.map(|victim| Victim { loss: Loss { needed: false, ..victim.loss }, ..victim }));
        }
    }
    needed.retain(stays);
    let began = state.gangs[gang].began.unwrap_or(now);
    if whole && now.since(began) >= min_runtime {
        victims.extend(victim(view, leaf, needed, Some(gang), left));
    }
}

/// A pod that is in no gang as a victim, if it may be taken.
fn single(view: View<'_>, leaf: PoolId, pod: PodId, left: &[u32]) -> Option<Victim> {
    let since = view.state.pods.running(pod).filter(|running| !running.is_terminating())?.since();
    let ripe = view.now.since(since) >= view.state.pools.settings(leaf).min_runtime;
    if ripe { victim(view, leaf, vec![pod], None, left) } else { None }
}

/// These pods, none of which leaves already, as one victim, if all of them may be taken.
fn victim(
    View { state, now, .. }: View<'_>,
    leaf: PoolId,
    pods: Vec<PodId>,
    gang: Option<GangId>,
    left: &[u32],
) -> Option<Victim> {
    let first = state.pods.record(*pods.first()?)?.uid;
    let mut loss = Loss { own: false, priority: i32::MIN, needed: true, work: 0, uid: first };
    let (mut amounts, mut nodes, mut budgets) = (ResourceVec::new(), Placement::new(), Vec::new());
    for record in pods.iter().map(|&pod| state.pods.record(pod)) {
        let record = record?;
        let running = record.running()?;
        let node = running.node.filter(|&node| state.nodes.usable(node))?;
        let ran = now.since(running.since());
        let elsewhere = state.leaf_of(record) != Some(leaf);
        let spared = running.spared_until > now;
        if !record.preemptible || elsewhere || spared {
            return None;
        }
        need_budget(state.budgets.of(record.uid), &mut budgets, left)?;
        amounts.add(&running.counted);
        nodes.push((record.shape, node));
        let weight = i128::from(state.shapes.shape_of(record.shape).weight);
        loss.own |= running.grounds != Grounds::OnLoan;
        loss.priority = loss.priority.max(record.priority);
        loss.work += i128::try_from(ran.as_millis()).unwrap_or(i128::MAX / 2).saturating_mul(weight);
        loss.uid = loss.uid.min(record.uid);
    }
    Some(Victim { pods, gang, leaf, along: Vec::new(), amounts, nodes, budgets, loss })
}

/// Adds the budget that covers a pod. Two budgets on one pod make every eviction of it fail.
fn need_budget(covering: &[usize], needed: &mut Vec<(usize, u32)>, left: &[u32]) -> Option<()> {
    match *covering {
        [] => {}
        [budget] => match needed.iter_mut().find(|(known, _)| *known == budget) {
            Some((_, count)) => *count += 1,
            None => needed.push((budget, 1)),
        },
        _ => return None,
    }
    fits(needed, left).then_some(())
}

/// Whether so many evictions are allowed by every budget.
pub(crate) fn fits(needed: &[(usize, u32)], left: &[u32]) -> bool {
    needed.iter().all(|&(budget, count)| left.get(budget).is_some_and(|&left| count <= left))
}
