//! Keeps the numbers in the messages of waiting pods fresh (B8): of the first hundred of a queue, at most once a
//! minute, and without an event. For a pod further back `weir explain` computes them.

use std::time::Duration;

use weir_queue::{Queue, Time, Uid};

use super::updates::waiting;
use crate::convert::condition::ConditionUpdate;
use crate::leader::watch_state::pod_cache::PodCache;

/// How many pods of a queue are kept up to date.
const FIRST: usize = 100;
/// How often the message of one pod is written at most.
const EVERY: Duration = Duration::from_secs(60);
/// In how many parts the pools are looked at, so that not all of them are written in the same second.
const PARTS: u64 = 60;

/// The seconds whose pools were looked at.
#[derive(Debug, Default)]
pub(super) struct MessageRefresh {
    /// The last of them.
    until: u64,
}

impl MessageRefresh {
    /// What is out of date in the queues whose turn came since the last call.
    pub(super) fn due(&mut self, queue: &Queue, pods: &PodCache, now: Time) -> Vec<(Uid, ConditionUpdate)> {
        let second = now.millis() / 1000;
        let since = std::mem::replace(&mut self.until, second).max(second.saturating_sub(PARTS));
        let tree = queue.pools().0;
        let turn =
            |at: usize| u64::try_from(at).is_ok_and(|at| (since + 1..=second).any(|past| past % PARTS == at % PARTS));
        let leaves = tree.iter().enumerate().filter(|&(at, pool)| tree.is_leaf(pool) && turn(at));
        let first = leaves.flat_map(|(_, pool)| queue.first(pool, FIRST));
        first.filter_map(|uid| Some((uid, fresh(queue, pods, uid, now)?))).collect()
    }
}

/// The message of a pod with the numbers of now, where another one stands on it.
fn fresh(queue: &Queue, pods: &PodCache, uid: Uid, now: Time) -> Option<ConditionUpdate> {
    let state = pods.get(uid).filter(|state| state.waits())?;
    let standing = state.admitted.as_ref().filter(|standing| !standing.holds())?;
    if now.since(state.condition_written) < EVERY {
        return None;
    }
    let update = waiting(&queue.explain(uid)?);
    // Another reason is a decision of its own, and written when that was made.
    (standing.reason == update.reason && standing.message != update.message).then_some(update)
}
