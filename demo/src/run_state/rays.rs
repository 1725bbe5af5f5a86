//! Ray clusters of a run: how many of their pods there are and how far they are, worked out from the pods.

use std::collections::BTreeMap;

use crate::cluster_state::ClusterState;
use crate::cluster_state::progress::is_of_job;

/// The pods of a Ray cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RayCluster {
    /// Pods that have not ended.
    pub(super) pods: usize,
    /// Of them, those that have a node.
    pub(super) running: usize,
    /// Of them, those that wait for admission.
    pub(super) waiting: usize,
    /// The reason of one of those that wait.
    pub(super) reason: Option<String>,
    /// Pods that had to go and went, over the whole run.
    pub(super) evicted: usize,
}

/// Ray clusters by name.
pub(super) type Rays = BTreeMap<String, RayCluster>;

/// The Ray clusters as they are, and how many pods of each were `evicted`.
pub(super) fn rays(cluster: &ClusterState, evicted: &BTreeMap<String, usize>) -> Rays {
    let with = |(name, &evicted): (&String, &usize)| (name.clone(), RayCluster { evicted, ..RayCluster::default() });
    let mut rays: Rays = evicted.iter().map(with).collect();
    for pod in cluster.pods().filter(|pod| !pod.ended) {
        let Some(name) = &pod.pod.ray_cluster else { continue };
        let ray = rays.entry(name.clone()).or_default();
        ray.pods += 1;
        ray.running += usize::from(!pod.waits());
        if let Some(gate) = pod.waits_behind() {
            ray.waiting += 1;
            ray.reason.clone_from(&gate.reason);
        }
    }
    rays
}

/// The clusters of a RayJob together.
fn of_job(rays: &Rays, job: &str) -> RayCluster {
    let mut all = RayCluster::default();
    for (_, RayCluster { pods, running, waiting, reason, evicted }) in
        rays.iter().filter(|(name, _)| is_of_job(name, job))
    {
        all.pods += pods;
        all.running += running;
        all.waiting += waiting;
        all.evicted += evicted;
        all.reason = all.reason.or_else(|| reason.clone());
    }
    all
}

/// The sentence of a RayJob that runs.
pub(super) fn runs(rays: &Rays, job: &str) -> String {
    let RayCluster { pods, running, .. } = of_job(rays, job);
    format!("RayJob {job}: {running} of the {pods} pods of its cluster run, its head among them")
}

/// The sentence of a RayJob that waits.
pub(super) fn waits(rays: &Rays, job: &str) -> String {
    format!("RayJob {job}: {}", waiting(&of_job(rays, job)))
}

/// The sentence of a RayJob that had to go.
pub(super) fn went(rays: &Rays, job: &str) -> String {
    let now = of_job(rays, job);
    let again = waiting(&now);
    format!("RayJob {job}: {} pods were evicted, head and workers; KubeRay made them again: {again}", now.evicted)
}

fn waiting(RayCluster { pods, running, waiting, reason, evicted: _ }: &RayCluster) -> String {
    let reason = reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    format!("all or none, {waiting} of {pods} pods wait{reason} and {running} run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_told_by_the_pods_of_the_clusters_that_are_named_after_it() {
        let cluster = |waiting, running, evicted| RayCluster {
            pods: waiting + running,
            running,
            waiting,
            reason: (waiting > 0).then(|| "WaitingForQuota".to_owned()),
            evicted,
        };
        let rays = Rays::from([
            ("nightly-x7k2p".to_owned(), cluster(3, 0, 3)),
            ("nightlyer-aaaaa".to_owned(), cluster(0, 5, 0)),
            ("sweep-bbbbb".to_owned(), cluster(3, 0, 0)),
        ]);
        let waits_so = "all or none, 3 of 3 pods wait (WaitingForQuota) and 0 run";
        assert_eq!(waits(&rays, "sweep"), format!("RayJob sweep: {waits_so}"));
        let said =
            format!("RayJob nightly: 3 pods were evicted, head and workers; KubeRay made them again: {waits_so}");
        assert_eq!(went(&rays, "nightly"), said);
        assert_eq!(
            runs(&rays, "nightlyer"),
            "RayJob nightlyer: 5 of the 5 pods of its cluster run, its head among them"
        );
    }
}
