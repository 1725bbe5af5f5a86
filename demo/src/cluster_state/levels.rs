//! How much of the cluster is taken, by class of host.
//!
//! CPU of CPU hosts and CPU of GPU hosts are kept apart: the filters never let a pod without GPUs onto a GPU host, so
//! one sum over both would show a cluster as nearly empty while every CPU host is full.

use std::collections::BTreeMap;

use weir_model::Amount;

use super::node::NodeState;
use super::pod::{Asks, PodState};
use super::state::ClusterState;

/// How much of one resource there is, is taken and is waited for, in its base unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// What the nodes have to give; a cordoned one gives what pods still hold on it.
    pub capacity: Amount,
    /// What bound pods hold that have not ended.
    pub used: Amount,
    /// The part of it that may be taken back.
    pub preemptible: Amount,
    /// What pods ask for that exist and have no node.
    pub demand: Amount,
}

impl Level {
    /// What is taken as a part of what there is, between 0 and 1; 0 where there is nothing.
    #[must_use]
    pub fn used_ratio(&self) -> f64 {
        if self.capacity.is_zero() { 0.0 } else { self.used.units() as f64 / self.capacity.units() as f64 }
    }

    fn hold(&mut self, amount: Amount, preemptible: bool) {
        self.used += amount;
        if preemptible {
            self.preemptible += amount;
        }
    }
}

/// The levels that are shown, each a dimension of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// GPUs of all models, in devices.
    pub gpu: Level,
    /// CPU of CPU hosts, in milli-CPU.
    pub cpu: Level,
    /// CPU of GPU hosts, in milli-CPU.
    pub gpu_host_cpu: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HostClass {
    Cpu,
    Gpu,
}

impl HostClass {
    fn of(node: &NodeState) -> Self {
        if node.is_gpu_host() { Self::Gpu } else { Self::Cpu }
    }

    /// Where a pod can run.
    const fn wanted_by(asks: &Asks) -> Self {
        if asks.gpus.is_zero() { Self::Cpu } else { Self::Gpu }
    }
}

impl Levels {
    /// How full a cluster is.
    #[must_use]
    pub fn of(cluster: &ClusterState) -> Self {
        let mut levels = Self::default();
        let mut held: BTreeMap<&str, Asks> = BTreeMap::new();
        for pod in cluster.pods().filter(|pod| !pod.ended) {
            levels.count(cluster, pod);
            if let Some(node) = pod.holds() {
                let held = held.entry(node).or_default();
                held.gpus += pod.pod.asks.gpus;
                held.cpu_milli += pod.pod.asks.cpu_milli;
            }
        }
        for node in cluster.nodes() {
            // Taking a host out takes away what was free on it, never what is held.
            let (gpus, cpu_milli) = match node.cordoned {
                true => held.get(node.name.as_str()).map_or_else(Default::default, |held| (held.gpus, held.cpu_milli)),
                false => (node.gpus, node.cpu_milli),
            };
            levels.gpu.capacity += gpus;
            levels.cpu_of(HostClass::of(node)).capacity += cpu_milli;
        }
        levels
    }

    /// A bound pod counts in the class of the node it is on, even where it should not be there; a waiting pod, and one
    /// whose node is not known, in the class of hosts that it can run on.
    fn count(&mut self, cluster: &ClusterState, PodState { pod, node, .. }: &PodState) {
        let wanted = HostClass::wanted_by(&pod.asks);
        match node {
            None => {
                self.gpu.demand += pod.asks.gpus;
                self.cpu_of(wanted).demand += pod.asks.cpu_milli;
            }
            Some(node) => {
                let class = cluster.node(node).map_or(wanted, HostClass::of);
                self.gpu.hold(pod.asks.gpus, pod.preemptible);
                self.cpu_of(class).hold(pod.asks.cpu_milli, pod.preemptible);
            }
        }
    }

    const fn cpu_of(&mut self, class: HostClass) -> &mut Level {
        match class {
            HostClass::Cpu => &mut self.cpu,
            HostClass::Gpu => &mut self.gpu_host_cpu,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_state::Change;
    use crate::example::{NOW, gone, host, levels, on, pod, seen, waiting};

    fn level(capacity: i64, used: i64, demand: i64) -> Level {
        let [capacity, used, demand] = [capacity, used, demand].map(Amount::new);
        Level { capacity, used, demand, preemptible: Amount::ZERO }
    }

    #[test]
    fn cores_of_gpu_hosts_are_counted_apart() {
        let Levels { gpu, cpu, gpu_host_cpu } = levels([
            host("c1", None, 0, 32),
            host("g1", Some("T4"), 4, 64),
            on("c1", pod("web", 0, 8)),
            on("g1", pod("train", 1, 6)),
            waiting(pod("next", 2, 4)),
        ]);
        assert_eq!(gpu, level(4, 1, 2));
        assert_eq!(cpu, level(32_000, 8_000, 0));
        assert_eq!(gpu_host_cpu, level(64_000, 6_000, 4_000));
    }

    #[test]
    fn a_node_seen_again_counts_once_and_a_changed_one_as_it_is_now() {
        let mut cluster = seen([host("g1", Some("T4"), 4, 64), host("g1", Some("T4"), 4, 64)]);
        assert_eq!(Levels::of(&cluster).gpu, level(4, 0, 0));
        cluster.apply(NOW, host("g1", Some("T4"), 3, 64));
        assert_eq!(Levels::of(&cluster).gpu, level(3, 0, 0));
        assert_eq!(cluster.nodes().len(), 1);
    }

    #[test]
    fn what_a_pod_held_is_given_back_even_when_its_node_has_gone() {
        let mut cluster = seen([host("g1", Some("T4"), 4, 64), on("g1", pod("train", 1, 6))]);
        cluster.apply(NOW, Change::NodeGone("g1".into()));
        assert_eq!(Levels::of(&cluster).gpu, level(0, 1, 0));
        cluster.apply(NOW, gone("train"));
        assert_eq!(Levels::of(&cluster), Levels::default());
    }

    #[test]
    fn a_cordoned_host_gives_what_is_still_held_on_it() {
        let mut cluster =
            seen([host("g1", Some("T4"), 4, 64), host("g2", Some("T4"), 4, 64), on("g1", pod("train", 1, 6))]);
        let Change::Node(g1) = host("g1", Some("T4"), 4, 64) else { panic!() };
        cluster.apply(NOW, Change::Node(NodeState { cordoned: true, ..g1.clone() }));
        let now = Levels::of(&cluster);
        assert_eq!((now.gpu, now.gpu_host_cpu), (level(5, 1, 0), level(70_000, 6_000, 0)));
        cluster.apply(NOW, gone("train"));
        assert_eq!(Levels::of(&cluster).gpu, level(4, 0, 0));
        cluster.apply(NOW, Change::Node(g1));
        assert_eq!(Levels::of(&cluster).gpu, level(8, 0, 0));
    }

    #[test]
    fn what_may_be_taken_back_is_a_part_of_what_is_used() {
        let mut research = pod("research", 2, 6);
        research.preemptible = true;
        let mut cluster = seen([host("g1", Some("T4"), 4, 64), on("g1", research), on("g1", pod("production", 1, 6))]);
        let gpu = Levels::of(&cluster).gpu;
        assert_eq!((gpu.used, gpu.preemptible), (Amount::new(3), Amount::new(2)));
        cluster.apply(NOW, gone("research"));
        assert_eq!(Levels::of(&cluster).gpu, level(4, 1, 0));
    }

    #[test]
    fn nothing_of_nothing_is_not_a_number_but_zero() {
        assert_eq!(level(0, 5, 5).used_ratio(), 0.0);
    }
}
