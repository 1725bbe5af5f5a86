//! Keeps the numbers fresh that waiting pods are told (B8): of the first hundred of a queue, at most once a
//! minute, and without an event. Whoever stands further back asks `weir explain`, which computes them.

use std::time::Duration;

use weir_api::condition;
use weir_queue::Time;

use super::Term;
use crate::client::ConditionUpdate;

/// How many pods of a queue are kept up to date.
const FIRST: usize = 100;
/// How often the numbers of one pod are written at most.
const EVERY: Duration = Duration::from_secs(60);
/// In how many parts the pools are looked at, so that not all of them are written in the same second.
const PARTS: u64 = 60;

impl Term<'_> {
    /// Looks at the queues whose turn came since the last call, and will say what changed in them.
    pub(super) fn refresh_messages(&mut self, now: Time) {
        let second = now.millis() / 1000;
        let since = std::mem::replace(&mut self.report.refreshed, second).max(second.saturating_sub(PARTS));
        let tree = self.queue.pools().0;
        let turn =
            |at: usize| u64::try_from(at).is_ok_and(|at| (since + 1..=second).any(|past| past % PARTS == at % PARTS));
        let leaves = tree.iter().enumerate().filter(|&(at, pool)| tree.is_leaf(pool) && turn(at));
        let uids: Vec<_> = leaves.flat_map(|(_, pool)| self.queue.first(pool, FIRST)).collect();
        for uid in uids {
            let Some(known) = self.pods.get(uid).filter(|known| known.waits) else { continue };
            let Some((false, stands)) = &known.told else { continue };
            if now.since(known.said) < EVERY {
                continue;
            }
            let Some(why) = self.queue.explain(uid) else { continue };
            let (reason, message) = (why.reason().as_str(), why.to_string());
            // Another reason is said by whoever decided it.
            if stands == reason && known.message != message {
                let update = ConditionUpdate { condition: condition::ADMITTED, status: "False", reason, message };
                self.queue_condition(uid, update);
            }
        }
    }
}
