//! Pods by what became of them.

use super::totals::{PodOutcome, Totals};
use crate::cluster_state::pod::Outlook;
use crate::cluster_state::{ClusterState, queue};

/// How many pods are how far. Pods of the trace count once, recreated or not; others not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Seen at all.
    pub created: usize,
    /// Without GPUs and bound at least once.
    pub bound_cpu: usize,
    /// With GPUs and bound at least once.
    pub bound_gpu: usize,
    /// Ran to their end.
    pub finished: usize,
    /// Exist now and have no node; these do not come from the trace alone.
    pub waiting: usize,
    /// Of those that wait, how many the scheduler has already found no node for.
    pub refused: usize,
    /// Of those that wait, how many are not admitted yet: the scheduler does not look at them.
    pub queued: usize,
    /// Of the queued ones, how many were not told why.
    pub unexplained: usize,
    /// Of the queued ones, how many wait in vain: they ask for more than there is, or than they may have.
    pub for_good: usize,
    /// Of the queued ones, how many wait for the rest of their gang.
    pub incomplete: usize,
    /// Hold a node now.
    pub running: usize,
    /// Of those that hold a node, how many end by themselves.
    pub ending: usize,
}

impl Counts {
    pub(super) fn of(totals: &Totals, cluster: &ClusterState) -> Self {
        let mut counts = Self::default();
        for &PodOutcome { asks_for_gpus, bound, finished } in totals.outcomes() {
            counts.created += 1;
            counts.bound_gpu += usize::from(bound && asks_for_gpus);
            counts.bound_cpu += usize::from(bound && !asks_for_gpus);
            counts.finished += usize::from(finished);
        }
        for pod in cluster.pods() {
            let runs = pod.holds().is_some();
            counts.waiting += usize::from(pod.waits());
            counts.refused += usize::from(pod.waits() && pod.refusal.is_some());
            counts.running += usize::from(runs);
            counts.ending += usize::from(runs && pod.pod.ends);
        }
        for (_, gate) in queue::gated(cluster) {
            counts.queued += 1;
            counts.unexplained += usize::from(gate.reason.is_none());
            counts.for_good += usize::from(gate.outlook == Outlook::ForGood);
            counts.incomplete += usize::from(gate.outlook == Outlook::Incomplete);
        }
        counts
    }

    /// Bound at least once.
    #[must_use]
    pub const fn bound(&self) -> usize {
        self.bound_cpu + self.bound_gpu
    }

    /// Never bound; when the run is over, this is what was refused.
    #[must_use]
    pub const fn never_bound(&self) -> usize {
        self.created.saturating_sub(self.bound())
    }
}
