//! How busy the hosts of a run look: the `NodeLoad` that an agent on each of them would write.
//!
//! The pods of a run are made up, and so is what they use: each uses a part of its CPU and memory requests that
//! follows from its name, between a fifth and nearly all of it, the same in every run. What runs where is read
//! from the watch. Of CPU hosts only: on no other does a plugin ask for the load.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use weir_api::{NodeLoad, NodeLoadSpec, PodInfo};
use weir_model::Amount;
use weir_model::dimension::{CPU, MEMORY};
use weir_simulator::openb::TraceNode;

/// The window that the figures stand for, and how often an agent writes; in seconds.
pub(super) const WINDOW: i32 = 30;

/// What an idle host uses for itself, in milli-CPU and bytes.
const OWN: Use = Use { cpu_milli: 250, memory: 512 << 20 };

/// The hosts that report, and what runs on them.
#[derive(Clone, Debug, Default)]
pub(super) struct Loads {
    /// By host, by pod.
    hosts: BTreeMap<String, BTreeMap<String, Use>>,
    /// The host of each pod that runs on one of them.
    places: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Use {
    cpu_milli: i64,
    memory: i64,
}

impl Loads {
    /// The hosts without GPUs among these.
    #[must_use]
    pub(super) fn of(nodes: &[TraceNode]) -> Self {
        let hosts = nodes.iter().filter(|node| node.gpus == 0).map(|node| (node.name.clone(), BTreeMap::new()));
        Self { hosts: hosts.collect(), places: BTreeMap::new() }
    }

    /// The names of the hosts.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.keys().map(String::as_str)
    }

    /// Takes in a pod that is new or changed.
    pub(super) fn pod_seen(&mut self, pod: &Pod) {
        let node = PodInfo::of(pod).node().filter(|_| !PodInfo::of(pod).has_ended());
        match node.and_then(|node| Some((node, self.hosts.get_mut(node)?))) {
            Some((node, host)) => {
                host.insert(key(pod), used_by(pod));
                self.places.insert(key(pod), node.to_owned());
            }
            None => self.pod_gone(pod),
        }
    }

    /// Takes in that a pod is gone.
    pub(super) fn pod_gone(&mut self, pod: &Pod) {
        let node = self.places.remove(&key(pod));
        if let Some(host) = node.and_then(|node| self.hosts.get_mut(&node)) {
            host.remove(&key(pod));
        }
    }

    /// What the agent of a host would write at `now`.
    #[must_use]
    pub(super) fn report(&self, host: &str, now: Timestamp) -> NodeLoad {
        let pods = self.hosts.get(host).into_iter().flat_map(BTreeMap::values);
        let sum = pods.fold(OWN, |sum, pod| Use {
            cpu_milli: sum.cpu_milli.saturating_add(pod.cpu_milli),
            memory: sum.memory.saturating_add(pod.memory),
        });
        let usage = [(CPU, format!("{}m", sum.cpu_milli)), (MEMORY, sum.memory.to_string())];
        let usage = usage.map(|(resource, text)| (resource.to_owned(), Quantity(text))).into();
        NodeLoad::new(host, NodeLoadSpec { sample_time: Time(now), window_seconds: WINDOW, usage })
    }
}

fn used_by(pod: &Pod) -> Use {
    let asked = weir_api::requests::of(pod).unwrap_or_default();
    let hundredths = hundredths(&pod.name_any());
    let part = |resource: &str| {
        let amount = asked.iter().find(|(name, _)| name == resource).map_or(Amount::ZERO, |(_, amount)| *amount);
        amount.scale(hundredths, 100).units()
    };
    Use { cpu_milli: part(CPU), memory: part(MEMORY) }
}

/// Between 20 and 95, by the name alone.
fn hundredths(name: &str) -> i64 {
    let mixed = name.bytes().fold(17_u32, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(u32::from(byte)));
    i64::from(mixed % 76) + 20
}

fn key(pod: &Pod) -> String {
    pod.uid().unwrap_or_else(|| pod.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn loads() -> Loads {
        let node =
            |name: &str, gpus| TraceNode { name: name.into(), cpu_milli: 32_000, memory_mib: 1024, gpus, model: None };
        Loads::of(&[node("cpu-1", 0), node("cpu-2", 0), node("gpu-1", 8)])
    }

    fn pod(node: Value, phase: &str) -> Pod {
        let requests = json!({ "requests": { "cpu": "10", "memory": "100Mi" } });
        serde_json::from_value(json!({ "metadata": { "name": "p", "uid": "u" }, "status": { "phase": phase },
            "spec": { "nodeName": node, "containers": [{ "name": "c", "resources": requests }] } }))
        .unwrap()
    }

    fn usage(loads: &Loads, host: &str) -> Value {
        serde_json::to_value(loads.report(host, Timestamp::UNIX_EPOCH).spec.usage).unwrap()
    }

    #[test]
    fn only_hosts_without_gpus_report() {
        assert_eq!(loads().hosts().collect::<Vec<_>>(), ["cpu-1", "cpu-2"]);
    }

    #[test]
    fn a_host_reports_what_runs_on_it_and_a_little_of_its_own() {
        let mut loads = loads();
        assert_eq!(usage(&loads, "cpu-1"), json!({ "cpu": "250m", "memory": "536870912" }));
        loads.pod_seen(&pod(json!("cpu-1"), "Running"));
        loads.pod_seen(&pod(json!("cpu-1"), "Running"));
        // "p" uses 51 % of 10 cores and of 100 MiB
        assert_eq!(hundredths("p"), 51);
        assert_eq!(usage(&loads, "cpu-1"), json!({ "cpu": "5350m", "memory": "590348288" }));
        assert_eq!(usage(&loads, "cpu-2")["cpu"], "250m");
        loads.pod_seen(&pod(json!("cpu-1"), "Succeeded"));
        assert_eq!(usage(&loads, "cpu-1")["cpu"], "250m");
    }

    #[test]
    fn pods_elsewhere_and_nowhere_count_for_nobody() {
        let mut loads = loads();
        loads.pod_seen(&pod(json!("gpu-1"), "Running"));
        loads.pod_seen(&pod(Value::Null, "Pending"));
        loads.pod_gone(&pod(json!("cpu-2"), "Running"));
        assert_eq!([usage(&loads, "cpu-1"), usage(&loads, "cpu-2")].map(|it| it["cpu"].clone()), ["250m", "250m"]);
    }

    #[test]
    fn names_lead_to_parts_between_a_fifth_and_nearly_all() {
        let parts: Vec<i64> = (0..2000).map(|at| hundredths(&format!("openb-pod-{at:04}"))).collect();
        assert!(parts.iter().all(|part| (20..=95).contains(part)));
        let mean = parts.iter().sum::<i64>() / 2000;
        assert!((50..=65).contains(&mean), "{mean}");
    }
}
