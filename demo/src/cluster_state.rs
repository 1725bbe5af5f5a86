//! What the steps go by: who has which role and how far everybody is, what is free on which host, and what the
//! pools say. Read from the watch alone, like everything that is shown.

use std::collections::BTreeMap;

use weir_model::Amount;
use weir_model::dimension::GPU;

use super::roles::Role;
use super::run_state::{self, Gate, PoolFigures, PoolLevel};

/// What is known now.
#[derive(Clone, Debug, Default)]
pub(super) struct ClusterState {
    nodes: BTreeMap<String, run_state::Node>,
    /// By UID.
    pods: BTreeMap<String, PodState>,
    pools: BTreeMap<String, PoolLevel>,
}

/// A pod that has not ended.
#[derive(Clone, Debug)]
pub(super) struct PodState {
    pub(super) name: String,
    /// `None` for a pod of the trace.
    pub(super) role: Option<Role>,
    /// The Ray cluster that it is of.
    pub(super) ray_cluster: Option<String>,
    /// The pool that its GPUs count in, from when it was admitted on; `None` also for special GPUs.
    pub(super) counts_in: Option<String>,
    pub(super) gpus: Amount,
    /// The one GPU model that it takes, if it takes only one.
    pub(super) model: Option<String>,
    /// Whether it is in no gang.
    pub(super) alone: bool,
    pub(super) node: Option<String>,
    /// Whether it was told why it waits, by the sidecar or by the scheduler.
    pub(super) told: bool,
}

/// What is free on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FreeHost {
    /// The host's GPU model.
    pub(super) model: Option<String>,
    /// GPUs that nobody holds.
    pub(super) gpus: i64,
    /// Whether that is all of the host.
    pub(super) whole: bool,
}

/// How far the pods of a role are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Pods that are there.
    pub(super) all: usize,
    /// Of them, those that have a node.
    pub(super) running: usize,
    /// Of them, those that wait and know why.
    pub(super) told: usize,
}

impl Progress {
    /// Whether each runs or knows why it does not.
    pub(super) const fn is_settled(self) -> bool {
        self.running + self.told == self.all
    }
}

/// Whether a pod that waits with this gate was told something that will last: the rest of its gang comes at once.
pub(super) fn is_told(gate: &Gate) -> bool {
    gate.reason.is_some() && gate.outlook != run_state::Outlook::Incomplete
}

impl ClusterState {
    pub(super) fn node_seen(&mut self, node: &run_state::Node) {
        self.nodes.insert(node.name.clone(), node.clone());
    }

    pub(super) fn node_gone(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    pub(super) fn pod_seen(&mut self, key: String, pod: PodState) {
        self.pods.insert(key, pod);
    }

    /// A pod ended, or is gone.
    pub(super) fn pod_gone(&mut self, key: &str) {
        self.pods.remove(key);
    }

    pub(super) fn pool_seen(&mut self, figures: &PoolFigures) {
        self.pools.insert(figures.name.clone(), figures.resources.get(GPU).copied().unwrap_or_default());
    }

    /// What nobody holds on hosts that take general pods.
    pub(super) fn free(&self) -> Vec<FreeHost> {
        let mut held: BTreeMap<&str, Amount> = BTreeMap::new();
        for PodState { node, gpus, .. } in self.pods.values() {
            if let Some(node) = node {
                *held.entry(node).or_default() += *gpus;
            }
        }
        let host = |node: &run_state::Node| {
            let held = held.get(node.name.as_str()).copied().unwrap_or_default();
            let gpus = node.gpus.minus(held).units();
            (gpus > 0).then(|| FreeHost { model: node.model.clone(), gpus, whole: held.is_zero() })
        };
        self.general().filter_map(host).collect()
    }

    /// What is free and no pod of research that waits alone asks for.
    pub(super) fn unclaimed(&self) -> Vec<FreeHost> {
        let mut waiting: BTreeMap<(Option<String>, i64), usize> = BTreeMap::new();
        let waits = |pod: &&PodState| pod.role == Some(Role::Research) && pod.node.is_none() && pod.alone;
        for pod in self.pods.values().filter(waits) {
            *waiting.entry((pod.model.clone(), pod.gpus.units())).or_default() += 1;
        }
        let mut asked_for = |host: &FreeHost| {
            let pods = waiting.get_mut(&(host.model.clone(), host.gpus)).filter(|pods| **pods > 0);
            pods.map(|pods| *pods -= 1).is_some()
        };
        let mut free = self.free();
        free.retain(|host| !asked_for(host));
        free
    }

    /// GPUs of hosts that take general pods.
    pub(super) fn general_gpus(&self) -> i64 {
        self.general().map(|node| node.gpus.units()).sum()
    }

    /// Whether what the statuses of these pools say is what their pods use, to one in fifty: pods come and go.
    pub(super) fn is_up_to_date(&self, pools: &[&str]) -> bool {
        pools.iter().all(|pool| {
            let of_pool = self.pods.values().filter(|pod| pod.counts_in.as_deref() == Some(*pool));
            let used = of_pool.map(|pod| pod.gpus).sum::<Amount>().units();
            self.pool(pool).usage.units().abs_diff(used) <= used.unsigned_abs() / 50
        })
    }

    /// The GPUs of the largest host that takes general pods.
    pub(super) fn largest_host(&self) -> i64 {
        self.general().map(|node| node.gpus.units()).max().unwrap_or(0)
    }

    /// How far a role is.
    pub(super) fn progress(&self, role: Role) -> Progress {
        self.progress_of(|pod| pod.role == Some(role))
    }

    /// How far the Ray cluster of a job is; it is named after it.
    pub(super) fn ray(&self, job: &str) -> Progress {
        let is_of = |cluster: &str| cluster.strip_prefix(job).is_some_and(|rest| rest.starts_with('-'));
        self.progress_of(|pod| pod.ray_cluster.as_deref().is_some_and(is_of))
    }

    fn progress_of(&self, is_in: impl Fn(&PodState) -> bool) -> Progress {
        let mut progress = Progress::default();
        for pod in self.pods.values().filter(|pod| is_in(pod)) {
            progress.all += 1;
            progress.running += usize::from(pod.node.is_some());
            progress.told += usize::from(pod.node.is_none() && pod.told);
        }
        progress
    }

    /// The first host, by name, that pods of a role run on.
    pub(super) fn host_of(&self, role: Role) -> Option<&str> {
        let of_role = self.pods.values().filter(|pod| pod.role == Some(role));
        of_role.filter_map(|pod| pod.node.as_deref()).min()
    }

    /// The names of the pods on a host.
    pub(super) fn on(&self, node: &str) -> Vec<String> {
        let here = self.pods.values().filter(|pod| pod.node.as_deref() == Some(node));
        here.map(|pod| pod.name.clone()).collect()
    }

    /// The figures of a pool for GPUs that are not special.
    pub(super) fn pool(&self, name: &str) -> PoolLevel {
        self.pools.get(name).copied().unwrap_or_default()
    }

    fn general(&self) -> impl Iterator<Item = &run_state::Node> {
        self.nodes.values().filter(|node| !node.special && !node.cordoned && !node.gpus.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::run_state::{Event, Outlook};

    fn seen(event: Event, cluster: &mut ClusterState) {
        let Event::NodeSeen(node) = event else { panic!("{event:?}") };
        cluster.node_seen(&node);
    }

    fn pod(name: &str, role: Option<Role>, gpus: i64, node: Option<&str>) -> PodState {
        let gpus = Amount::new(gpus);
        let (node, model, told) = (node.map(Into::into), Some("T4".into()), name.starts_with("told"));
        let counts_in = Some("pool".into());
        PodState {
            name: name.into(),
            role,
            ray_cluster: None,
            counts_in,
            gpus,
            model,
            alone: !name.ends_with("gang"),
            node,
            told,
        }
    }

    /// Two hosts of 8 and 2 GPUs, one that is special and one without.
    fn cluster() -> ClusterState {
        let mut cluster = ClusterState::default();
        seen(example::node("g1", Some("T4"), 8, 64), &mut cluster);
        seen(example::node("g2", Some("T4"), 2, 64), &mut cluster);
        seen(example::node("g3", Some("G3"), 8, 64), &mut cluster);
        seen(example::node("c1", None, 0, 64), &mut cluster);
        cluster.pod_seen("u1".into(), pod("trace", None, 3, Some("g1")));
        cluster
    }

    fn gpus(hosts: &[FreeHost]) -> Vec<(i64, bool)> {
        hosts.iter().map(|host| (host.gpus, host.whole)).collect()
    }

    #[test]
    fn what_is_free_is_what_nobody_holds_on_general_hosts() {
        let mut cluster = cluster();
        assert_eq!((gpus(&cluster.free()), cluster.largest_host()), (vec![(5, false), (2, true)], 8));
        cluster.pod_seen("u2".into(), pod("more", Some(Role::Research), 5, Some("g1")));
        assert_eq!(gpus(&cluster.free()), [(2, true)]);
        cluster.pod_gone("u1");
        assert_eq!(gpus(&cluster.free()), [(3, false), (2, true)]);
        let Event::NodeSeen(node) = example::node("g2", Some("T4"), 2, 64) else { panic!() };
        cluster.node_seen(&run_state::Node { cordoned: true, ..node });
        assert_eq!(gpus(&cluster.free()), [(3, false)]);
    }

    #[test]
    fn a_hole_is_what_is_free_and_nobody_of_research_waits_for_alone() {
        let mut cluster = cluster();
        assert_eq!((gpus(&cluster.unclaimed()), cluster.general_gpus()), (vec![(5, false), (2, true)], 10));
        cluster.pod_seen("u2".into(), pod("waits", Some(Role::Research), 2, None));
        cluster.pod_seen("u3".into(), pod("waits in a gang", Some(Role::Research), 5, None));
        cluster.pod_seen("u4".into(), pod("waits", Some(Role::Production), 5, None));
        assert_eq!(gpus(&cluster.unclaimed()), [(5, false)]);
        let other = PodState { model: None, ..pod("waits", Some(Role::Research), 5, None) };
        cluster.pod_seen("u6".into(), other);
        assert_eq!(gpus(&cluster.unclaimed()), [(5, false)], "it takes any model");
        cluster.pod_seen("u5".into(), pod("waits", Some(Role::Research), 5, None));
        assert_eq!(cluster.unclaimed(), []);
    }

    #[test]
    fn a_part_is_settled_when_each_of_its_pods_runs_or_knows_why_it_waits() {
        let mut cluster = cluster();
        cluster.pod_seen("u2".into(), pod("runs", Some(Role::Research), 1, Some("g2")));
        cluster.pod_seen("u3".into(), pod("waits", Some(Role::Research), 1, None));
        cluster.pod_seen("u4".into(), pod("other", Some(Role::Production), 1, Some("g1")));
        assert!(!cluster.progress(Role::Research).is_settled());
        cluster.pod_seen("u3".into(), pod("told", Some(Role::Research), 1, None));
        assert_eq!(cluster.progress(Role::Research), Progress { all: 2, running: 1, told: 1 });
        assert!(cluster.progress(Role::Research).is_settled());
    }

    #[test]
    fn it_is_known_who_is_where() {
        let mut cluster = cluster();
        assert_eq!(cluster.host_of(Role::Production), None);
        cluster.pod_seen("u2".into(), pod("b", Some(Role::Production), 1, Some("g2")));
        cluster.pod_seen("u3".into(), pod("a", Some(Role::Production), 1, Some("g1")));
        assert_eq!(
            (cluster.host_of(Role::Production), cluster.on("g1")),
            (Some("g1"), vec!["trace".into(), "a".into()])
        );
    }

    #[test]
    fn what_a_pool_says_is_up_to_date_once_it_is_what_its_pods_use() {
        let mut cluster = cluster();
        let Event::PoolSeen(figures) = example::pool("pool", None, [8, 3, 0, 0]) else { panic!() };
        cluster.pool_seen(&figures);
        assert!(cluster.is_up_to_date(&["pool"]));
        cluster.pod_seen("u2".into(), pod("b", None, 1, None));
        assert!(!cluster.is_up_to_date(&["pool"]));
        cluster.pod_seen("u2".into(), PodState { counts_in: None, ..pod("b", None, 1, None) });
        assert!(cluster.is_up_to_date(&["pool", "unknown"]));
    }

    #[test]
    fn that_the_rest_of_a_gang_is_missing_is_nothing_that_lasts() {
        let gate = |reason: Option<&str>, outlook| Gate { reason: reason.map(Into::into), outlook, ..Gate::default() };
        assert!(is_told(&gate(Some("WaitingForQuota"), Outlook::MayPass)));
        assert!(!is_told(&gate(Some("WaitingForGang"), Outlook::Incomplete)));
        assert!(!is_told(&gate(None, Outlook::MayPass)));
    }
}
