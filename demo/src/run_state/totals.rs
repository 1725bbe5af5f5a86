//! What is counted over the whole run.

use std::collections::BTreeMap;

use weir_model::Amount;

use super::evictions::Evictions;
use crate::cluster_state::pod::{Origin, Pod};
use crate::cluster_state::pool::{PoolLevel, PoolState};
use crate::cluster_state::{ClusterState, News, What, pool_tree};

/// What became of the trace's pods, what the pools had at the most, and which pods went.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// By the name in the trace.
    trace: BTreeMap<String, PodOutcome>,
    /// By pool.
    most: BTreeMap<String, Most>,
    evictions: Evictions,
    /// Pods that were evicted, by Ray cluster.
    lost_by_rays: BTreeMap<String, usize>,
}

/// What became of a pod of the trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct PodOutcome {
    pub(super) asks_for_gpus: bool,
    pub(super) bound: bool,
    pub(super) finished: bool,
}

/// The most that a pool had at any time, of GPUs that are not special.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Most {
    /// What its pods used.
    pub used: Amount,
    /// What it borrowed.
    pub borrowed: Amount,
    /// Pods admitted in it and below, all together over the run.
    pub admitted: usize,
}

impl Totals {
    pub(super) fn pool_seen(&mut self, pool: &PoolState) {
        let PoolLevel { usage, borrowed, .. } = pool.gpus();
        let most = self.most.entry(pool.name.clone()).or_default();
        (most.used, most.borrowed) = (most.used.max(usage), most.borrowed.max(borrowed));
    }

    /// Counts what is new of a pod.
    pub(super) fn note(&mut self, News { pod, what }: &News, cluster: &ClusterState) {
        match what {
            What::Created => self.created(pod),
            What::Bound(_) => self.outcome(pod, |outcome| outcome.bound = true),
            What::Finished => self.outcome(pod, |outcome| outcome.finished = true),
            What::Admitted => {
                for pool in pod.pool.iter().flat_map(|pool| pool_tree::path(cluster, pool)) {
                    self.most.entry(pool.to_owned()).or_default().admitted += 1;
                }
            }
            What::Evicted(eviction) => {
                self.evictions.add(pod.pool.as_deref().unwrap_or_default(), eviction);
                if let Some(cluster) = &pod.ray_cluster {
                    *self.lost_by_rays.entry(cluster.clone()).or_default() += 1;
                }
            }
            What::MadeWhole(_) | What::Refused(_) | What::Deleted => {}
        }
    }

    fn created(&mut self, pod: &Pod) {
        if pod.origin == Origin::Trace {
            let new = PodOutcome { asks_for_gpus: !pod.asks.gpus.is_zero(), bound: false, finished: false };
            self.trace.entry(pod.name.clone()).or_insert(new);
        }
    }

    fn outcome(&mut self, pod: &Pod, note: impl FnOnce(&mut PodOutcome)) {
        if pod.origin == Origin::Trace
            && let Some(outcome) = self.trace.get_mut(&pod.name)
        {
            note(outcome);
        }
    }

    pub(super) fn outcomes(&self) -> impl Iterator<Item = &PodOutcome> {
        self.trace.values()
    }

    /// The most that a pool had so far.
    #[must_use]
    pub fn most(&self, pool: &str) -> Most {
        self.most.get(pool).copied().unwrap_or_default()
    }

    /// Pods that had to go and went: by pool, reason and beneficiary.
    #[must_use]
    pub const fn evictions(&self) -> &Evictions {
        &self.evictions
    }

    pub(super) const fn lost_by_rays(&self) -> &BTreeMap<String, usize> {
        &self.lost_by_rays
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{pod, pool, seen};

    #[test]
    fn what_a_pool_had_at_the_most_is_remembered_and_admissions_count_upwards() {
        let mut totals = Totals::default();
        let cluster = seen([pool("labs", None, [0; 4]), pool("labs-a", Some("labs"), [0; 4])]);
        for (usage, borrowed) in [(1, 0), (7, 3), (5, 4)] {
            let level =
                PoolLevel { usage: Amount::new(usage), borrowed: Amount::new(borrowed), ..PoolLevel::default() };
            let resources = [("nvidia.com/gpu".to_owned(), level)].into();
            totals.pool_seen(&PoolState { name: "labs-a".into(), parent: Some("labs".into()), resources });
        }
        let admitted = News { pod: Pod { pool: Some("labs-a".into()), ..pod("p", 1, 1) }, what: What::Admitted };
        totals.note(&admitted, &cluster);
        totals.note(&admitted, &cluster);
        assert_eq!(totals.most("labs-a"), Most { used: Amount::new(7), borrowed: Amount::new(4), admitted: 2 });
        assert_eq!(totals.most("labs"), Most { admitted: 2, ..Most::default() });
    }
}
