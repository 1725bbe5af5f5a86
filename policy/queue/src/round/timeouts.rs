//! What goes without a claimant: pods of draining pools (A12), and pods that were admitted and not placed in
//! time (B7). Both are rate-limited together, so that a mistake in a pool or a broken scheduler does not empty
//! the cluster within a minute.

use std::sync::Arc;
use std::time::Duration;

use weir_model::PoolId;

use crate::contract::decision::{self, Cause, Decision, Eviction};
use crate::contract::settings::BarePods;
use crate::preemption::candidates::{fits, victims_in};
use crate::state::State;
use crate::state::ids::{GangId, PodId};
use crate::state::pods::{GangSeat, Running};

use super::context::Round;
use super::enqueue::requeue;
use super::evictions::{evict, gang_goes, would_evict};

/// Evicts preemptible pods of draining pools; others run to their end.
pub(super) fn drain(round: &mut Round<'_>) {
    let pools = &round.state.pools;
    let drains = |&pool: &PoolId| pools.tree.is_leaf(pool) && pools.drains(pool);
    let leaves: Vec<PoolId> = pools.tree.iter().filter(drains).collect();
    if leaves.is_empty() || round.now < round.config.evictions_from {
        return;
    }
    for victim in victims_in(round.view(), leaves.into_iter()) {
        let State { budgets, pods, pools, .. } = &*round.state;
        let said = victim.pods.iter().all(|&pod| was_announced(round.state, pod));
        if said || !fits(&victim.budgets, &budgets.left(pods)) {
            continue;
        }
        let cause = Cause::Drain { pool: pools.named(pools.held_by(victim.leaf).unwrap_or(victim.leaf)) };
        if !may_kill(round, victim.pods.len()) {
            return;
        }
        evict(round, cause, &[&victim]);
    }
}

/// Kills what was admitted and not placed in time: a gang whole if it never ran whole, other pods alone.
pub(super) fn time_out(round: &mut Round<'_>) {
    if round.now < round.config.evictions_from {
        return;
    }
    let overdue = |pod: &PodId| is_overdue(round, *pod);
    let overdue: Vec<PodId> = round.state.pods.unbound.iter().copied().filter(overdue).collect();
    for pod in overdue {
        let Some(record) = round.state.pods.record(pod) else { continue };
        if record.running().is_none_or(Running::is_terminating) || was_announced(round.state, pod) {
            continue;
        }
        let kill = Kill::of(round.state, pod, record.gang);
        let cause = Cause::PlacementTimeout { waited: waited(round, pod), placed: kill.placed, of: kill.of };
        if !may_kill(round, kill.pods.len()) {
            return;
        }
        carry_out(round, &kill, cause);
    }
}

/// What goes with a pod that was not placed in time.
struct Kill {
    pods: Vec<PodId>,
    /// The gang that goes whole.
    whole: Option<GangId>,
    /// How many of the gang, or of one pod, were placed.
    placed: u32,
    /// How many there are.
    of: u32,
}

impl Kill {
    fn of(state: &State, pod: PodId, seat: Option<GangSeat>) -> Self {
        let alone = || Self { pods: vec![pod], whole: None, placed: 0, of: 1 };
        let Some(GangSeat { gang, size }) = seat.filter(|seat| !state.gangs[seat.gang].ran_whole) else {
            return alone();
        };
        let pods: Vec<PodId> = state.gangs[gang].running(&state.pods).collect();
        let bound = |pod: &&PodId| state.pods.running(**pod).is_some_and(|running| running.bound);
        let placed = pods.iter().filter(bound).count() as u32;
        let whole = (pods.len() > 1 || size > 1).then_some(gang);
        Self { pods, whole, placed, of: size }
    }
}

/// For how long the scheduler has worked since a pod was admitted.
fn waited(round: &Round<'_>, pod: PodId) -> Duration {
    let since = |at| round.clocks.progress.worked(at, round.now, round.config.scheduler_patience);
    round.state.pods.running(pod).map_or(Duration::ZERO, |running| since(running.at))
}

fn was_announced(state: &State, pod: PodId) -> bool {
    state.pods.record(pod).is_some_and(|record| state.pods.announced.contains(&record.uid))
}

fn is_overdue(round: &Round<'_>, pod: PodId) -> bool {
    let Some(record) = round.state.pods.record(pod) else { return false };
    let spared = record.running().is_some_and(|running| running.spared_until > round.now);
    let goes = record.controlled || round.config.bare_pods == BarePods::Kill;
    goes && !spared && waited(round, pod) >= round.config.placement_timeout
}

/// Whether so many more pods may go within this minute.
fn may_kill(round: &mut Round<'_>, pods: usize) -> bool {
    round.clocks.kills.allow(round.now, pods, round.config.kills_per_minute)
}

/// Decides that these pods go, and with them all of a gang.
fn carry_out(round: &mut Round<'_>, kill: &Kill, cause: Cause) {
    let state = &*round.state;
    let mut victims = Vec::new();
    for record in state.pods.records(kill.pods.iter().copied()) {
        let node = record.running().and_then(|running| running.node.filter(|_| running.bound));
        victims.push(decision::Victim {
            uid: record.uid,
            pool: record.pool.as_ref().to_owned(),
            node: node.map(|node| Arc::clone(&state.nodes.host(node).name)),
            notice: Duration::ZERO,
        });
    }
    let eviction = Eviction { cause, victims, budgets: Vec::new() };
    if !round.enforces() {
        return would_evict(round, eviction);
    }
    kill.pods.iter().for_each(|&pod| round.state.set_evicting(pod, true));
    match kill.whole {
        Some(gang) => gang_goes(round, gang),
        None => kill.pods.iter().for_each(|&pod| requeue(round, pod)),
    }
    round.decisions.push(Decision::Evict(eviction));
}
