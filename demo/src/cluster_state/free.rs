//! The free GPUs of hosts that take general pods.

use std::collections::BTreeMap;

use weir_model::Amount;

use super::node::NodeState;
use super::state::ClusterState;
use crate::scenario::role::Role;

/// The free GPUs of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeHost {
    /// The host's GPU model.
    pub model: Option<String>,
    /// GPUs that no pod holds.
    pub gpus: i64,
    /// Whether that is all of the host.
    pub whole: bool,
}

/// The hosts that have GPUs which no pod holds.
#[must_use]
pub fn free(cluster: &ClusterState) -> Vec<FreeHost> {
    let mut held: BTreeMap<&str, Amount> = BTreeMap::new();
    for pod in cluster.pods() {
        if let Some(node) = pod.holds() {
            *held.entry(node).or_default() += pod.pod.asks.gpus;
        }
    }
    let free = |node: &NodeState| {
        let held = held.get(node.name.as_str()).copied().unwrap_or_default();
        let gpus = node.gpus.minus(held).units();
        (gpus > 0).then(|| FreeHost { model: node.model.clone(), gpus, whole: held.is_zero() })
    };
    general(cluster).filter_map(free).collect()
}

/// GPUs that no pod holds.
#[must_use]
pub fn free_gpus(cluster: &ClusterState) -> i64 {
    free(cluster).iter().map(|host| host.gpus).sum()
}

/// The free hosts that no pod of research which waits alone asks for.
#[must_use]
pub fn unclaimed(cluster: &ClusterState) -> Vec<FreeHost> {
    let mut asked: BTreeMap<(Option<String>, i64), usize> = BTreeMap::new();
    for pod in cluster.pods().filter(|pod| pod.waits() && pod.role() == Some(Role::Research)) {
        if pod.pod.gang.is_none() {
            let model = pod.pod.models.last().cloned();
            *asked.entry((model, pod.pod.asks.gpus.units())).or_default() += 1;
        }
    }
    let mut is_asked_for = |host: &FreeHost| {
        let pods = asked.get_mut(&(host.model.clone(), host.gpus)).filter(|pods| **pods > 0);
        pods.map(|pods| *pods -= 1).is_some()
    };
    let mut free = free(cluster);
    free.retain(|host| !is_asked_for(host));
    free
}

/// GPUs of hosts that take general pods.
#[must_use]
pub fn general_gpus(cluster: &ClusterState) -> i64 {
    general(cluster).map(|node| node.gpus.units()).sum()
}

/// The GPUs of the largest host that takes general pods.
#[must_use]
pub fn largest_host(cluster: &ClusterState) -> i64 {
    general(cluster).map(|node| node.gpus.units()).max().unwrap_or(0)
}

fn general(cluster: &ClusterState) -> impl Iterator<Item = &NodeState> {
    cluster.nodes().filter(|node| node.takes_general_pods())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_state::Change;
    use crate::cluster_state::pod::{GangOf, Origin, Pod};
    use crate::example::{NOW, gone, host, on, pod, seen, waiting};

    /// Two hosts of 8 and 2 GPUs, one that is special and one without.
    fn cluster() -> ClusterState {
        seen([
            host("g1", Some("T4"), 8, 64),
            host("g2", Some("T4"), 2, 64),
            host("g3", Some("G3"), 8, 64),
            host("c1", None, 0, 64),
            on("g1", pod("trace", 3, 1)),
        ])
    }

    fn of(role: Role, key: &str, gpus: i64) -> Pod {
        Pod { origin: Origin::Story(role), models: vec!["T4".into()], ..pod(key, gpus, 1) }
    }

    fn gpus(hosts: &[FreeHost]) -> Vec<(i64, bool)> {
        hosts.iter().map(|host| (host.gpus, host.whole)).collect()
    }

    #[test]
    fn what_is_free_is_what_no_pod_holds_on_general_hosts() {
        let mut cluster = cluster();
        assert_eq!((gpus(&free(&cluster)), largest_host(&cluster)), (vec![(5, false), (2, true)], 8));
        cluster.apply(NOW, on("g1", of(Role::Research, "more", 5)));
        assert_eq!(gpus(&free(&cluster)), [(2, true)]);
        cluster.apply(NOW, gone("trace"));
        assert_eq!(gpus(&free(&cluster)), [(3, false), (2, true)]);
        let Change::Node(node) = host("g2", Some("T4"), 2, 64) else { panic!() };
        cluster.apply(NOW, Change::Node(NodeState { cordoned: true, ..node }));
        assert_eq!((gpus(&free(&cluster)), free_gpus(&cluster)), (vec![(3, false)], 3));
    }

    #[test]
    fn what_is_unclaimed_is_free_and_no_pod_of_research_waits_for_it_alone() {
        let mut cluster = cluster();
        assert_eq!((gpus(&unclaimed(&cluster)), general_gpus(&cluster)), (vec![(5, false), (2, true)], 10));
        cluster.apply(NOW, waiting(of(Role::Research, "u2", 2)));
        let gang = Some(GangOf { name: "g".into(), size: 2 });
        cluster.apply(NOW, waiting(Pod { gang, ..of(Role::Research, "u3", 5) }));
        cluster.apply(NOW, waiting(of(Role::Production, "u4", 5)));
        assert_eq!(gpus(&unclaimed(&cluster)), [(5, false)]);
        cluster.apply(NOW, waiting(Pod { models: Vec::new(), ..of(Role::Research, "u6", 5) }));
        assert_eq!(gpus(&unclaimed(&cluster)), [(5, false)], "it takes any model");
        cluster.apply(NOW, waiting(of(Role::Research, "u5", 5)));
        assert_eq!(unclaimed(&cluster), []);
    }
}
