//! What every eviction has in common, whatever it is for: which pods are marked, named and spared.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::decision::{self, BudgetFact, Cause, Decision, Eviction, Released};
use crate::contract::pod::Uid;
use crate::preemption::candidates::Victim;
use crate::state::ids::{GangId, PodId};
use crate::state::pods::Running;
use crate::state::queues::Workload;

use super::context::Round;
use super::enqueue::enqueue;

/// Decides that these victims go, and says so; where nothing is enforced, it only says that they would.
pub(super) fn evict(round: &mut Round<'_>, cause: Cause, going: &[&Victim]) -> Vec<Uid> {
    let eviction = Eviction { cause, victims: named(round, going), budgets: budget_facts(round, going) };
    let uids: Vec<Uid> = eviction.victims.iter().map(|victim| victim.uid).collect();
    if !round.enforces() {
        would_evict(round, eviction);
        return uids;
    }
    for victim in going {
        victim.pods.iter().for_each(|&pod| round.state.set_evicting(pod, true));
        match victim.gang {
            Some(gang) => gang_goes(round, gang),
            // A pod alone stands nowhere any more, a member's gang may stand elsewhere now.
            None => victim.pods.iter().take(1).for_each(|&pod| enqueue(round, pod)),
        }
    }
    round.decisions.push(Decision::Evict(eviction));
    uids
}

/// The pods of these victims, with the notice that each is given.
fn named(round: &Round<'_>, going: &[&Victim]) -> Vec<decision::Victim> {
    let state = &*round.state;
    let mut victims = Vec::new();
    for victim in going {
        for (&pod, &(_, node)) in victim.pods.iter().zip(&victim.nodes) {
            let Some(record) = state.pods.record(pod) else { continue };
            victims.push(decision::Victim {
                uid: record.uid,
                pool: record.pool.as_ref().to_owned(),
                node: Some(Arc::clone(&state.nodes.host(node).name)),
                notice: state.pools.settings(victim.leaf).notice,
            });
        }
    }
    victims
}

/// What the budgets of these victims allow, and how many of their pods go.
fn budget_facts(round: &Round<'_>, going: &[&Victim]) -> Vec<BudgetFact> {
    let state = &*round.state;
    let left = state.budgets.left(&state.pods);
    let mut taken: BTreeMap<usize, u32> = BTreeMap::new();
    for &(budget, count) in going.iter().flat_map(|victim| &victim.budgets) {
        *taken.entry(budget).or_default() += count;
    }
    let fact = |(budget, taken): (usize, u32)| BudgetFact {
        budget: state.budgets.name(budget).to_owned(),
        allowed: left[budget],
        taken,
    };
    taken.into_iter().map(fact).collect()
}

/// Says, once of each pod, that it would have to go.
pub(super) fn would_evict(round: &mut Round<'_>, mut eviction: Eviction) {
    eviction.victims.retain(|victim| round.state.pods.announced.insert(victim.uid));
    if !eviction.victims.is_empty() {
        round.decisions.push(Decision::WouldEvict(eviction));
    }
}

/// Notes that all of a gang goes.
pub(super) fn gang_goes(round: &mut Round<'_>, gang: GangId) {
    round.state.dequeue_gang(gang);
    round.state.gangs[gang].evicting = true;
    round.state.gangs.to_requeue.insert(gang);
}

/// Lets a pod stay whose eviction was decided, and its gang with it.
pub(super) fn unmark(round: &mut Round<'_>, pod: PodId) {
    round.state.set_evicting(pod, false);
    if let Some(gang) = round.state.gang_of(Workload::Pod(pod)) {
        round.state.dequeue(pod);
        round.state.gangs[gang].evicting = false;
        enqueue(round, pod);
    }
}

/// Lets the rest of a gang stay with a member whose eviction was refused, where no claim is concerned: in a pool
/// that drains, or after a placement timeout.
pub(super) fn unmark_gang_of(round: &mut Round<'_>, uid: Uid) {
    let state = &*round.state;
    let Some(gang) = state.pods.find(uid).and_then(|pod| state.gang_of(Workload::Pod(pod))) else { return };
    let marked = |pod: &PodId| state.pods.running(*pod).is_some_and(Running::is_marked);
    let pods: Vec<PodId> = state.gangs[gang].members.iter().copied().filter(marked).collect();
    let spared: Vec<Uid> = state.pods.records(pods.iter().copied()).map(|record| record.uid).collect();
    pods.into_iter().for_each(|pod| unmark(round, pod));
    if !spared.is_empty() {
        round.decisions.push(Decision::Release(Released { claimant: Vec::new(), spared }));
    }
}
