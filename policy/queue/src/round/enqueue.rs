//! Where a single pod stands: in its queue, or outside of it with a reason.

use crate::contract::explanation::Explanation;
use crate::contract::pod::{BackOff, Obstacle};
use crate::contract::time::Time;
use crate::state::State;
use crate::state::ids::PodId;
use crate::state::pods::PodRecord;
use crate::state::queues::{Position, QueuedWorkload, Rank, Workload};

use super::context::Round;

/// Takes a pod, or its gang, out of the queue and puts it where it belongs now.
pub(super) fn requeue(round: &mut Round<'_>, pod: PodId) {
    round.state.dequeue(pod);
    enqueue(round, pod);
}

/// Puts a pod that stands nowhere where it belongs; a gang is put there later, once for all its members.
pub(super) fn enqueue(round: &mut Round<'_>, pod: PodId) {
    match round.state.pods.record(pod).map(PodRecord::gang_id) {
        Some(Some(gang)) => drop(round.state.gangs.to_requeue.insert(gang)),
        Some(None) => enqueue_pod(round, pod, Rank::Ordinary),
        None => {}
    }
}

/// Puts a waiting pod into its queue, or tells it what is in its way.
pub(super) fn enqueue_pod(round: &mut Round<'_>, pod: PodId, rank: Rank) {
    let Some(record) = round.state.pods.record(pod).filter(|record| record.waits()) else { return };
    if let Some(why) = obstacle(round.state, round.now, record) {
        set_backoff_timer(round, pod);
        return round.tell([pod], &why);
    }
    let Some(leaf) = round.state.leaf_of(record) else { return };
    let request = round.state.shapes.request(std::iter::once(record.shape), record.preemptible);
    let Some(record) = round.state.pods.record_mut(pod) else { return };
    (record.request, record.rank) = (Some(request), rank);
    let (since, at) = (record.created, Position { leaf, request, key: record.queue_key() });
    round.state.push(at, QueuedWorkload { workload: Workload::Pod(pod), since });
}

/// Remembers when a pod that backs off may be looked at again.
pub(super) fn set_backoff_timer(round: &mut Round<'_>, pod: PodId) {
    let until = round.state.pods.record(pod).and_then(PodRecord::backs_off_until);
    if let Some(until) = until.filter(|&until| until > round.now) {
        round.state.pods.backoff_timers.insert((until, pod));
    }
}

/// Looks again at pods whose owners have backed off long enough.
pub(super) fn wake(round: &mut Round<'_>) {
    while let Some(&(at, pod)) = round.state.pods.backoff_timers.first().filter(|&&(at, _)| at <= round.now) {
        round.state.pods.backoff_timers.remove(&(at, pod));
        if round.state.pods.waits(pod) {
            requeue(round, pod);
        }
    }
}

/// What keeps a single pod from being considered, whatever its pool has left.
pub(super) fn obstacle(state: &State, now: Time, record: &PodRecord) -> Option<Explanation> {
    let Some(pool) = state.pools.tree.find(&record.pool) else {
        return Some(Explanation::PoolNotFound { pool: record.pool.as_ref().to_owned() });
    };
    if !state.pools.tree.is_leaf(pool) {
        return Some(Explanation::PoolNotLeaf { pool: state.pools.named(pool) });
    }
    if let Some(BackOff { until, times }) = record.back_off.filter(|back_off| back_off.until > now) {
        let seconds = until.since(now).as_millis().div_ceil(1000) as u64;
        return Some(Explanation::BackingOff { seconds, times });
    }
    if let Some(refused) = record.refused.as_deref().filter(|refused| refused.until > now) {
        let seconds = refused.until.since(now).as_millis().div_ceil(1000) as u64;
        return Some(Explanation::Refused { why: refused.why.clone(), seconds });
    }
    let shape = state.shapes.shape_of(record.shape);
    let unplaceable = shape.class.as_ref().err();
    let unknown = || shape.unknown.as_ref().map(|name| Explanation::UnknownResource { resource: name.to_string() });
    record.obstacle.as_deref().or(unplaceable).map(explain).or_else(unknown)
}

fn explain(obstacle: &Obstacle) -> Explanation {
    match obstacle {
        Obstacle::OtherGate(gate) => Explanation::OtherGate { gate: gate.clone() },
        Obstacle::Misconfigured(what) => Explanation::Misconfigured { what: what.clone() },
        Obstacle::PoolNotAllowed(namespace) => Explanation::PoolNotAllowed { namespace: namespace.clone() },
        Obstacle::UnknownModel(model) => Explanation::UnknownModel { model: model.clone() },
        Obstacle::GangUnknown(what) => Explanation::GangUnknown { what: what.clone() },
    }
}
