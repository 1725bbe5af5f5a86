//! Pods that do not end (C3): past their grace period and some slack, no plan waits for them any more.
//!
//! A pod on a node that died, or with a finalizer that no controller takes away, may be terminating for ever. What it
//! holds is not free, so it still counts; but it is not as good as free either, so claims and plans look elsewhere.

use std::time::Duration;

use weir_model::PoolId;

use crate::contract::decision::Stuck;
use crate::contract::pod::Terminating;
use crate::state::State;
use crate::state::ids::PodId;
use crate::state::pods::PodRecord;

use super::context::Round;
use super::enqueue::enqueue;

/// How long after its grace period a pod may still be there: the kubelet and the API server take their time.
const SLACK: Duration = Duration::from_secs(60);

/// Notes which pods that are being deleted are past their grace period.
pub(super) fn give_up(round: &mut Round<'_>) {
    let changed = |&pod: &PodId| {
        let running = round.state.pods.running(pod)?;
        let overdue = running.deleting.is_some_and(|deletion| is_past(round, pod, deletion));
        (running.overdue != overdue).then_some((pod, overdue))
    };
    let changed: Vec<(PodId, bool)> = round.state.pods.deleting.iter().filter_map(changed).collect();
    for (pod, overdue) in changed {
        round.state.dequeue(pod);
        round.state.set_overdue(pod, overdue);
        enqueue(round, pod);
    }
}

/// Whether a deletion takes longer than the pod's grace period, or the longest that its pool gives, and some slack.
fn is_past(round: &Round<'_>, pod: PodId, Terminating { since, grace }: Terminating) -> bool {
    let pools = &round.state.pools;
    let leaf = round.state.pods.record(pod).and_then(|record| round.state.leaf_of(record)).unwrap_or(PoolId::ROOT);
    let grace = grace.min(pools.settings(leaf).max_grace);
    round.now >= since.after(grace).after(SLACK)
}

/// The pods that do not end.
pub(crate) fn stuck(state: &State) -> Vec<Stuck> {
    let pods = state.pods.records(state.pods.deleting.iter().copied());
    pods.filter_map(|record| stuck_pod(state, record)).collect()
}

fn stuck_pod(state: &State, record: &PodRecord) -> Option<Stuck> {
    let running = record.running().filter(|running| running.overdue)?;
    Some(Stuck {
        uid: record.uid,
        pool: record.pool.as_ref().to_owned(),
        node: running.node.map(|node| state.nodes.host(node).name.clone()),
        since: running.deleting?.since,
    })
}
