//! Changes of pools.

use std::collections::HashSet;

use crate::contract::settings::PoolConfig;
use crate::contract::time::Time;
use crate::state::clocks::Clocks;
use crate::state::pods::PodRecord;
use crate::state::pools::Pools;
use crate::state::queues::LeafQueues;
use crate::state::usage::Usage;

use super::super::claims;
use super::super::context::Round;
use super::super::enqueue::enqueue;

/// Takes over all pools as they are now. Where the tree changed its form, everything is counted and queued anew.
pub(super) fn changed(round: &mut Round<'_>, configs: Vec<PoolConfig>) {
    let state = &mut *round.state;
    let listed = configs.iter().flat_map(|config| config.resources.iter().map(|(dim, _)| dim.clone()));
    state.shapes.names.list(listed.collect());
    let new = Pools::build(configs, &mut state.shapes.dims).following(&state.pools);
    restart_clocks_of_moved(round.clocks, &state.pools, &new, round.now);
    if new.same_structure(&state.pools) {
        state.pools = new;
        return;
    }
    let claims = state.claims.take();
    claims.iter().for_each(|claim| state.give_back(claim));
    let pods = state.pods.ids();
    for &pod in &pods {
        state.dequeue(pod);
        state.withdraw(pod);
    }
    state.queues = LeafQueues::new(new.tree.len());
    state.pools = new;
    state.usage = Usage::default();
    for &pod in &pods {
        state.enter(pod);
    }
    let mut done = HashSet::new();
    for pod in pods {
        let gang = round.state.pods.record(pod).and_then(PodRecord::gang_id);
        if gang.is_none_or(|gang| done.insert(gang)) {
            enqueue(round, pod);
        }
    }
    claims.into_iter().for_each(|claim| claims::keep(round, claim));
}

/// A12: moving a pool evicts no pod for the length of the hysteresis, so its clocks start anew.
fn restart_clocks_of_moved(clocks: &mut Clocks, old: &Pools, new: &Pools, now: Time) {
    let path = |pools: &Pools, name: &str| -> Option<Vec<String>> {
        let pool = pools.tree.find(name)?;
        Some(pools.tree.path(pool).map(|at| pools.tree.name(at).to_owned()).collect())
    };
    clocks.over_since.retain(|(pool, _), _| new.tree.find(pool).is_some() || pool.is_empty());
    for ((pool, _), since) in &mut clocks.over_since {
        // A pool that becomes known was not moved: an earlier leader may have said since when it is above.
        if path(old, pool).is_some_and(|before| Some(before) != path(new, pool)) {
            *since = now;
        }
    }
}
