//! How busy the hosts of a run look: the `NodeLoad` that an agent on each of them would write.
//!
//! The pods of a run are made up, and so is what they use: each uses a part of its CPU and memory requests that follows
//! from its name, between a fifth and nearly all of it, the same in every run. CPU hosts alone report: on no other does
//! a plugin ask for the load.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use weir_api::{NodeLoad, NodeLoadSpec};
use weir_model::dimension::{CPU, MEMORY};
use weir_simulator::openb::TraceNode;

use crate::cluster_state::ClusterState;
use crate::cluster_state::pod::Pod;

/// The window that the figures stand for, and how often an agent writes; in seconds.
pub(super) const WINDOW: i32 = 30;

/// What an idle host uses for itself, in milli-CPU and bytes.
const OWN: Use = Use { cpu_milli: 250, memory: 512 << 20 };

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Use {
    cpu_milli: i64,
    memory: i64,
}

/// The hosts among these nodes that report.
pub(super) fn hosts(nodes: &[TraceNode]) -> impl Iterator<Item = &str> {
    nodes.iter().filter(|node| node.gpus == 0).map(|node| node.name.as_str())
}

/// What the agent of a host would write at `now`.
pub(super) fn report(cluster: &ClusterState, host: &str, now: Timestamp) -> NodeLoad {
    let sum = cluster.pods_on(host).map(|pod| used_by(&pod.pod)).fold(OWN, |sum, pod| Use {
        cpu_milli: sum.cpu_milli.saturating_add(pod.cpu_milli),
        memory: sum.memory.saturating_add(pod.memory),
    });
    let usage = [(CPU, format!("{}m", sum.cpu_milli)), (MEMORY, sum.memory.to_string())];
    let usage = usage.map(|(resource, text)| (resource.to_owned(), Quantity(text))).into();
    NodeLoad::new(host, NodeLoadSpec { sample_time: Time(now), window_seconds: WINDOW, usage })
}

fn used_by(pod: &Pod) -> Use {
    let hundredths = hundredths(&pod.name);
    let [cpu_milli, memory] = [pod.asks.cpu_milli, pod.asks.memory].map(|amount| amount.scale(hundredths, 100).units());
    Use { cpu_milli, memory }
}

/// Between 20 and 95, by the name alone.
fn hundredths(name: &str) -> i64 {
    let mixed = name.bytes().fold(17_u32, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(u32::from(byte)));
    i64::from(mixed % 76) + 20
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use weir_model::Amount;

    use super::*;
    use crate::cluster_state::Change;
    use crate::cluster_state::pod::{Origin, PodState};
    use crate::example::{NOW, gone, seen};

    /// A pod of 10 cores and 100 MiB.
    fn pod(node: Option<&str>, ended: bool) -> Change {
        let mut pod = Pod::plain("p", Origin::Trace, Amount::ZERO, Amount::new(10_000));
        pod.asks.memory = Amount::new(100 << 20);
        Change::Pod(Box::new(PodState { node: node.map(Into::into), ended, ..PodState::new(pod) }))
    }

    fn usage(cluster: &ClusterState, host: &str) -> Value {
        serde_json::to_value(report(cluster, host, Timestamp::UNIX_EPOCH).spec.usage).unwrap()
    }

    #[test]
    fn only_hosts_without_gpus_report() {
        let node =
            |name: &str, gpus| TraceNode { name: name.into(), cpu_milli: 32_000, memory_mib: 1024, gpus, model: None };
        let nodes = [node("cpu-1", 0), node("cpu-2", 0), node("gpu-1", 8)];
        assert_eq!(hosts(&nodes).collect::<Vec<_>>(), ["cpu-1", "cpu-2"]);
    }

    #[test]
    fn a_host_reports_what_runs_on_it_and_a_little_of_its_own() {
        let mut cluster = ClusterState::default();
        assert_eq!(usage(&cluster, "cpu-1"), json!({ "cpu": "250m", "memory": "536870912" }));
        cluster.apply(NOW, pod(Some("cpu-1"), false));
        cluster.apply(NOW, pod(Some("cpu-1"), false));
        // "p" uses 51 % of 10 cores and of 100 MiB
        assert_eq!(hundredths("p"), 51);
        assert_eq!(usage(&cluster, "cpu-1"), json!({ "cpu": "5350m", "memory": "590348288" }));
        assert_eq!(usage(&cluster, "cpu-2")["cpu"], "250m");
        cluster.apply(NOW, pod(Some("cpu-1"), true));
        assert_eq!(usage(&cluster, "cpu-1")["cpu"], "250m");
    }

    #[test]
    fn pods_elsewhere_and_nowhere_count_for_nobody() {
        let mut cluster = seen([pod(Some("gpu-1"), false)]);
        let cpus =
            |cluster: &ClusterState| [usage(cluster, "cpu-1"), usage(cluster, "cpu-2")].map(|it| it["cpu"].clone());
        assert_eq!(cpus(&cluster), ["250m", "250m"]);
        cluster.apply(NOW, gone("p"));
        cluster.apply(NOW, pod(None, false));
        assert_eq!(cpus(&cluster), ["250m", "250m"]);
    }

    #[test]
    fn names_lead_to_parts_between_a_fifth_and_nearly_all() {
        let parts: Vec<i64> = (0..2000).map(|at| hundredths(&format!("openb-pod-{at:04}"))).collect();
        assert!(parts.iter().all(|part| (20..=95).contains(part)));
        let mean = parts.iter().sum::<i64>() / 2000;
        assert!((50..=65).contains(&mean), "{mean}");
    }
}
