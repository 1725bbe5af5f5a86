//! What goes without a claimant: pods of draining pools (A12), and pods that were admitted and not placed in
//! time (B7). Both are rate-limited together, so that a mistake in a pool or a broken scheduler does not empty
//! the cluster within a minute.

use std::time::Duration;

use weir_model::PoolId;

use crate::candidates;
use crate::decision::{self, Cause, Decision, Eviction};
use crate::settings::{BarePods, Enforcement};
use crate::state::Queue;

impl Queue {
    /// Evicts preemptible workloads of draining pools; others run to their end.
    pub(crate) fn drain(&mut self) {
        let drains = |&pool: &PoolId| self.pools.tree.is_leaf(pool) && self.pools.drains(pool);
        let leaves: Vec<PoolId> = self.pools.tree.iter().filter(drains).collect();
        if leaves.is_empty() || self.now < self.config.evictions_from {
            return;
        }
        for victim in self.victims_in(leaves.into_iter()) {
            let said = victim.pods.iter().all(|&pod| self.was_announced(pod));
            if said || !candidates::fits(&victim.budgets, &self.budgets_left()) {
                continue;
            }
            if !self.may_kill(victim.pods.len()) {
                return;
            }
            let pool = self.pools.held_by(victim.leaf).unwrap_or(victim.leaf);
            let cause = Cause::Drain { pool: self.pools.named(pool) };
            self.evict(cause, &[&victim]);
        }
    }

    /// Kills what was admitted and not placed in time: a gang whole if it never ran whole, others alone.
    pub(crate) fn time_out(&mut self) {
        if self.now < self.config.evictions_from {
            return;
        }
        let overdue: Vec<u32> = self.unbound.iter().copied().filter(|&pod| self.is_overdue(pod)).collect();
        for pod in overdue {
            let Some(record) = self.pods.record(pod) else { continue };
            if record.running().is_none_or(|running| running.is_terminating()) || self.was_announced(pod) {
                continue;
            }
            let (gang, waited) = (record.gang, self.waited(pod));
            let (pods, placed, of) = match gang {
                Some((gang, size)) if !self.gangs[gang as usize].ran_whole => {
                    let members = self.running_members(gang);
                    let bound = |pod: &&u32| {
                        self.pods.record(**pod).and_then(|record| record.running()).is_some_and(|running| running.bound)
                    };
                    let placed = members.iter().filter(bound).count() as u32;
                    (members, placed, size)
                }
                _ => (vec![pod], 0, 1),
            };
            if !self.may_kill(pods.len()) {
                return;
            }
            let whole = gang.filter(|_| pods.len() > 1 || of > 1).map(|(gang, _)| gang);
            self.kill(&pods, whole, Cause::PlacementTimeout { waited, placed, of });
        }
    }

    /// How long the scheduler has worked since a pod was admitted.
    fn waited(&self, pod: u32) -> Duration {
        let running = self.pods.record(pod).and_then(|record| record.running());
        let since = |at| self.progress.worked(at, self.now, self.config.scheduler_patience);
        running.map_or(Duration::ZERO, |running| since(running.at))
    }

    fn was_announced(&self, pod: u32) -> bool {
        self.pods.record(pod).is_some_and(|record| self.announced.contains(&record.uid))
    }

    fn is_overdue(&self, pod: u32) -> bool {
        let Some(record) = self.pods.record(pod) else { return false };
        let spared = record.running().is_some_and(|running| running.spared_until > self.now);
        let goes = record.controlled || self.config.bare_pods == BarePods::Kill;
        goes && !spared && self.waited(pod) >= self.config.placement_timeout
    }

    /// Decides that these pods go, and with them all of a gang.
    fn kill(&mut self, pods: &[u32], whole: Option<u32>, cause: Cause) {
        let mut victims = Vec::new();
        for &pod in pods {
            let Some(record) = self.pods.record(pod) else { continue };
            let node = record.running().and_then(|running| running.node.filter(|_| running.bound));
            victims.push(decision::Victim {
                uid: record.uid,
                pool: record.pool.as_ref().to_owned(),
                node: node.map(|node| std::sync::Arc::clone(&self.nodes.host(node).name)),
                notice: Duration::ZERO,
            });
        }
        let eviction = Eviction { cause, victims, budgets: Vec::new() };
        if self.config.enforcement == Enforcement::Off {
            return self.would_evict(eviction);
        }
        pods.iter().for_each(|&pod| self.mark_evicting(pod));
        match whole {
            Some(gang) => self.gang_goes(gang),
            None => pods.iter().for_each(|&pod| self.requeue(pod)),
        }
        self.pending.push(Decision::Evict(eviction));
    }

    /// Whether so many more pods may go within this minute. A gang larger than the limit goes when nothing
    /// else went: it would never go otherwise.
    fn may_kill(&mut self, pods: usize) -> bool {
        let now = self.now;
        self.kills.retain(|&at| now.since(at) < Duration::from_secs(60));
        let fits = self.kills.len() + pods <= self.config.kills_per_minute as usize;
        let goes = fits || (self.kills.is_empty() && self.config.kills_per_minute > 0);
        if goes {
            self.kills.extend(std::iter::repeat_n(now, pods));
        }
        goes
    }

    /// Forgets gangs that have had no pod for an hour, so that their numbers can be used again.
    pub(crate) fn forget_gangs(&mut self) {
        while let Some(&(since, number)) = self.empty_gangs.first() {
            if self.now.since(since) < Duration::from_secs(3600) {
                return;
            }
            self.empty_gangs.remove(&(since, number));
            let gang = &self.gangs[number as usize];
            if gang.members.is_empty() && gang.empty_since == Some(since) {
                self.gang_by_key.remove(&gang.key);
                self.unused_gangs.push(number);
            }
        }
    }
}
