//! The pods that the story adds to the trace's, and what belongs to them.
//!
//! Research asks for whatever is free, each pod for what one host has left, so that the cluster is full to the last GPU
//! with about as many pods as it has hosts. These pods name the model, as many of the trace's do: where a pod that needs
//! little takes a part of a large host, another pod would find none. Production asks for whole hosts, for no more than
//! half of what its pool has left of its reservation. All of them carry labels, so that the watch tells them apart from
//! the trace's, which alone are counted at the end.

use std::cmp::Reverse;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use weir_simulator::openb::TracePod;

use super::members::{GangPlan, Member};
use super::objects;
use super::role::Role;
use super::timeline::Arrival;
use crate::cluster_state::free::FreeHost;

/// The pools in which research asks for what is free.
pub(crate) const RESEARCH_POOLS: [&str; 2] = ["vision-research", "speech-research"];
/// The pool whose demand arrives.
pub(crate) const PRODUCTION_POOL: &str = "vision-production";

/// How many pods make a gang.
const GANG: usize = 4;
/// How many hosts production asks for at most: enough to see, in a time in which people watch.
const MOST_HOSTS: i64 = 48;
/// CPU and memory for each GPU: less than any host has, so that GPUs are what runs out.
const CPU_MILLI: i64 = 1000;
const MEMORY_MIB: i64 = 1024;

/// Research that takes these free hosts, after so many pods of it. At first every second bunch of equal pods is a gang;
/// later ones come alone, because a free host that opens is for one.
pub(crate) fn research(hosts: &[FreeHost], before: usize) -> Vec<Pod> {
    let mut hosts: Vec<&FreeHost> = hosts.iter().collect();
    // The largest first: they fit fewest hosts.
    hosts.sort_unstable_by_key(|host| (Reverse(host.gpus), host.model.as_deref()));
    let alike = |a: &&FreeHost, b: &&FreeHost| (a.gpus, &a.model) == (b.gpus, &b.model);
    let bunches = hosts.chunk_by(alike).flat_map(|equal| equal.chunks(GANG));
    let mut pods = Vec::with_capacity(hosts.len());
    for (number, bunch) in bunches.enumerate() {
        // What comes later asks one pool, so that no other pool of research finds itself entitled to what is freed.
        let pool = RESEARCH_POOLS[if before == 0 { number / 2 % RESEARCH_POOLS.len() } else { 0 }];
        let whole = before == 0 && number % 2 == 0 && bunch.len() > 1;
        let gang =
            whole.then(|| GangPlan { name: format!("{pool}-story-{number}"), size: bunch.len(), held_up: false });
        for host in bunch {
            let member = Member { at: Duration::ZERO, pool, preemptible: true, gang: gang.clone() };
            let model = host.model.clone().into_iter().collect();
            pods.push(pod(Role::Research, before + pods.len(), host.gpus, model, member));
        }
    }
    pods
}

/// Production: whole hosts of so many GPUs, half of what its pool has left, at least one and at most [`MOST_HOSTS`].
pub(crate) fn production(left: i64, host: i64) -> Vec<Pod> {
    let gpus = host.min(left);
    if gpus <= 0 {
        return Vec::new();
    }
    let member = || Member { at: Duration::ZERO, pool: PRODUCTION_POOL, preemptible: false, gang: None };
    let count = (left / 2 / gpus).clamp(1, MOST_HOSTS);
    (0..count).zip(0..).map(|(_, number)| pod(Role::Production, number, gpus, Vec::new(), member())).collect()
}

/// Of production one pod may be moved at a time.
pub(crate) fn budget(pods: usize) -> PodDisruptionBudget {
    let others = i32::try_from(pods).unwrap_or(i32::MAX).saturating_sub(1);
    PodDisruptionBudget {
        metadata: ObjectMeta { name: Some(Role::Production.name().to_owned()), ..ObjectMeta::default() },
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(others)),
            selector: Some(LabelSelector {
                match_labels: Some(Role::Production.labels().into()),
                ..LabelSelector::default()
            }),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

fn pod(role: Role, number: usize, gpus: i64, models: Vec<String>, member: Member) -> Pod {
    let trace = TracePod {
        name: format!("{}-{number:04}", role.name()),
        cpu_milli: gpus * CPU_MILLI,
        memory_mib: gpus * MEMORY_MIB,
        gpus,
        gpu_milli: 1000,
        models,
        created: None,
        deleted: None,
    };
    let mut pod = objects::pod(&Arrival { at: Duration::ZERO, runs_for: None, pod: trace, member });
    pod.labels_mut().extend(role.labels());
    pod
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use weir_api::PodInfo;
    use weir_api::pod::AnnouncedGang;

    use super::*;

    fn gpus(pod: &Pod) -> String {
        let resources = pod.spec.as_ref().unwrap().containers[0].resources.as_ref().unwrap();
        resources.requests.as_ref().unwrap()["nvidia.com/gpu"].0.clone()
    }

    fn hosts(gpus: &[i64]) -> Vec<FreeHost> {
        gpus.iter().map(|&gpus| FreeHost { model: Some("T4".into()), gpus, whole: true }).collect()
    }

    #[test]
    fn research_asks_for_what_each_host_has_left_and_some_of_it_comes_in_gangs() {
        let pods = research(&hosts(&[8, 2, 8, 8, 8, 8, 3, 8, 8]), 0);
        assert_eq!(pods.iter().map(gpus).collect::<Vec<_>>(), ["8", "8", "8", "8", "8", "8", "8", "3", "2"]);
        let mut gangs: BTreeMap<&str, (u32, usize)> = BTreeMap::new();
        for AnnouncedGang { name, size } in pods.iter().filter_map(|pod| PodInfo::of(pod).gang()) {
            gangs.entry(name).or_insert((size, 0)).1 += 1;
        }
        assert_eq!(gangs, BTreeMap::from([("vision-research-story-0", (4, 4))]));
        assert!(pods.iter().all(|pod| PodInfo::of(pod).preemptible() && Role::of(pod) == Some(Role::Research)));
        assert_eq!(pods[0].name_any(), "research-0000");
        let selector = pods[0].spec.as_ref().unwrap().node_selector.clone();
        assert_eq!(selector, Some([("gpu-node-label-model".to_owned(), "T4".to_owned())].into()));
    }

    #[test]
    fn what_opens_later_is_asked_for_by_pods_alone_under_names_of_their_own() {
        let pods = research(&hosts(&[2, 2, 2]), 9);
        assert_eq!(pods.iter().map(|pod| pod.name_any()).collect::<Vec<_>>()[2], "research-0011");
        assert!(pods.iter().all(|pod| PodInfo::of(pod).gang().is_none()));
    }

    #[test]
    fn production_asks_for_half_of_what_is_left_to_it_in_whole_hosts() {
        let asked = |left, host| production(left, host).iter().map(gpus).collect::<Vec<_>>();
        assert_eq!(asked(50, 8), ["8", "8", "8"]);
        assert_eq!(asked(9, 8), ["8"]);
        assert_eq!(asked(3, 8), ["3"], "less than a host is left");
        assert_eq!(asked(0, 8), [""; 0]);
        assert_eq!(asked(5000, 8).len(), 48);
        let pods = production(50, 8);
        assert!(
            pods.iter().all(|pod| !PodInfo::of(pod).preemptible() && PodInfo::of(pod).pool() == Some(PRODUCTION_POOL))
        );
        assert_eq!(Role::of(&pods[0]), Some(Role::Production));
    }

    #[test]
    fn the_budget_covers_production_and_lets_one_pod_go() {
        let budget = serde_json::to_value(budget(3).spec).unwrap();
        let labels =
            serde_json::json!({ "app.kubernetes.io/name": "story", "app.kubernetes.io/component": "production" });
        assert_eq!(budget, serde_json::json!({ "minAvailable": 2, "selector": { "matchLabels": labels } }));
    }
}
