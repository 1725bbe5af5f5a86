//! How far the pods of a role or of a RayJob are, and whether the pools' figures keep up with them.

use weir_model::Amount;

use super::pod::PodState;
use super::state::ClusterState;
use crate::scenario::role::Role;

/// How far some pods are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Pods that exist and have not ended.
    pub all: usize,
    /// Of them, those that have a node.
    pub running: usize,
    /// Of them, those that wait and know why.
    pub told: usize,
}

impl Progress {
    /// How far the pods of a role are.
    #[must_use]
    pub fn of_role(cluster: &ClusterState, role: Role) -> Self {
        Self::of(cluster, |pod| pod.role() == Some(role))
    }

    /// How far the Ray cluster of a RayJob is.
    #[must_use]
    pub fn of_ray_job(cluster: &ClusterState, job: &str) -> Self {
        Self::of(cluster, |pod| pod.pod.ray_cluster.as_deref().is_some_and(|cluster| is_of_job(cluster, job)))
    }

    fn of(cluster: &ClusterState, is_in: impl Fn(&PodState) -> bool) -> Self {
        let mut progress = Self::default();
        for pod in cluster.pods().filter(|pod| !pod.ended && is_in(pod)) {
            progress.all += 1;
            progress.running += usize::from(!pod.waits());
            progress.told += usize::from(pod.waits() && pod.knows_why());
        }
        progress
    }

    /// Whether each pod runs or knows why it does not.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        self.running + self.told == self.all
    }
}

/// Whether a Ray cluster was made for a RayJob: KubeRay names it after the job.
#[must_use]
pub fn is_of_job(cluster: &str, job: &str) -> bool {
    cluster.strip_prefix(job).is_some_and(|rest| rest.starts_with('-'))
}

/// The first host, by name, that pods of a role run on.
#[must_use]
pub fn host_of(cluster: &ClusterState, role: Role) -> Option<&str> {
    cluster.pods().filter(|pod| pod.role() == Some(role)).filter_map(PodState::holds).min()
}

/// Whether the statuses of these pools say what their pods use, to one in fifty: pods come and go.
#[must_use]
pub fn is_up_to_date(cluster: &ClusterState, pools: &[&str]) -> bool {
    pools.iter().all(|pool| {
        let of_pool = cluster.pods().filter(|pod| pod.counts_in() == Some(*pool));
        let used = of_pool.map(|pod| pod.pod.asks.gpus).sum::<Amount>().units();
        cluster.pool_gpus(pool).usage.units().abs_diff(used) <= used.unsigned_abs() / 50
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_state::pod::{Origin, Pod};
    use crate::example::{NOW, gated, host, on, pod, pool, seen, waiting};

    fn of(role: Role, key: &str) -> Pod {
        Pod { origin: Origin::Story(role), ..pod(key, 1, 1) }
    }

    #[test]
    fn a_role_is_settled_when_each_of_its_pods_runs_or_knows_why_it_waits() {
        let mut cluster = seen([
            host("g1", Some("T4"), 8, 64),
            on("g1", of(Role::Research, "runs")),
            waiting(of(Role::Research, "waits")),
            on("g1", of(Role::Production, "other")),
        ]);
        let progress = |cluster: &ClusterState| Progress::of_role(cluster, Role::Research);
        assert!(!progress(&cluster).is_settled());
        cluster.apply(NOW, gated("WaitingForQuota", of(Role::Research, "waits")));
        assert_eq!(progress(&cluster), Progress { all: 2, running: 1, told: 1 });
        assert!(progress(&cluster).is_settled());
    }

    #[test]
    fn it_is_known_who_is_where() {
        let mut cluster = seen([on("g1", pod("trace", 1, 1))]);
        assert_eq!(host_of(&cluster, Role::Production), None);
        cluster.apply(NOW, on("g2", of(Role::Production, "b")));
        cluster.apply(NOW, on("g1", of(Role::Production, "a")));
        let names: Vec<&str> = cluster.pods_on("g1").map(|pod| pod.pod.name.as_str()).collect();
        assert_eq!((host_of(&cluster, Role::Production), names), (Some("g1"), vec!["a", "trace"]));
    }

    #[test]
    fn what_a_pool_says_is_up_to_date_once_it_is_what_its_pods_use() {
        let of_pool = |key: &str, gpus| Pod { pool: Some("pool".into()), ..pod(key, gpus, 1) };
        let mut cluster = seen([on("g1", of_pool("trace", 3)), pool("pool", None, [8, 3, 0, 0])]);
        assert!(is_up_to_date(&cluster, &["pool"]));
        cluster.apply(NOW, waiting(of_pool("b", 1)));
        assert!(!is_up_to_date(&cluster, &["pool"]));
        cluster.apply(NOW, gated("WaitingForQuota", of_pool("b", 1)));
        assert!(is_up_to_date(&cluster, &["pool", "unknown"]));
    }

    #[test]
    fn a_ray_job_is_known_by_the_clusters_that_are_named_after_it() {
        let of_cluster = |key: &str, name: &str| Pod { ray_cluster: Some(name.into()), ..pod(key, 1, 1) };
        let cluster = seen([
            on("g1", of_cluster("a", "nightly-x7k2p")),
            waiting(of_cluster("b", "nightly-x7k2p")),
            on("g1", of_cluster("c", "nightlyer-aaaaa")),
        ]);
        assert_eq!(Progress::of_ray_job(&cluster, "nightly"), Progress { all: 2, running: 1, told: 0 });
    }
}
