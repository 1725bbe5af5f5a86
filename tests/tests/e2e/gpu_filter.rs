//! Only pods that ask for GPUs run on GPU hosts, and they run nowhere else.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::json;
use weir_tests::history::View;
use weir_tests::namespace::placement::Verdict;
use weir_tests::native::Native;
use weir_tests::objects::{GPU, bound_to, node, pod, weir_pod};
use weir_tests::setup::Setup;
use weir_tests::world::{World, shared};

const KEPT: &str = "1 node(s) had GPUs, which are kept for pods that ask for them";

#[tokio::test]
async fn cpu_pods_run_on_cpu_hosts_only() -> Result<()> {
    let ns = shared::placing()?.namespace("cpu-pods").await?;
    let pods: Vec<_> = (0..12).map(|number| weir_pod(&format!("etl-{number}")).cpu("100m")).collect();
    for pod in &pods {
        ns.create_pod(pod).await?;
    }
    for pod in &pods {
        let node = ns.until_bound(pod.name()).await?;
        assert!(["cpu-1", "cpu-2"].contains(&node.as_str()), "{} is on {node}", pod.name());
    }
    ns.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn a_cpu_pod_is_kept_off_a_gpu_host_whatever_the_host_has_to_give() -> Result<()> {
    let ns = shared::placing()?.namespace("cpu-pods-kept-off").await?;
    for host in ["gpu-1", "gpu-restarting", "gpu-undriven"] {
        let why = ns.unschedulable(&weir_pod(&format!("to-{host}")).selecting_node(host)).await?;
        assert!(why.contains(KEPT), "{host}: {why}");
    }
    ns.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn gpu_pods_run_on_gpu_hosts_only() -> Result<()> {
    let ns = shared::placing()?.namespace("gpu-pods").await?;
    for number in 0..3 {
        let host = ns.placed(&weir_pod(&format!("train-{number}")).gpus(1)).await?;
        assert!(["gpu-1", "gpu-2"].contains(&host.as_str()), "on {host}");
    }
    ns.unschedulable(&weir_pod("to-cpu").gpus(1).selecting_node("cpu-1")).await?;
    ns.unschedulable(&weir_pod("to-many").gpus(9)).await?;
    ns.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn a_pod_that_needs_gpus_only_at_first_is_a_gpu_pod() -> Result<()> {
    let ns = shared::placing()?.namespace("gpus-at-first").await?;
    let host = ns.placed(&weir_pod("compile-then-serve").gpus_at_first(1)).await?;
    assert!(["gpu-1", "gpu-2"].contains(&host.as_str()), "on {host}");
    ns.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn a_pod_that_belongs_to_one_node_passes_anywhere() -> Result<()> {
    let ns = shared::placing()?.namespace("daemons").await?;
    for host in ["cpu-1", "gpu-1", "gpu-restarting", "gpu-undriven"] {
        assert_eq!(ns.placed(&weir_pod(&format!("log-{host}")).tied_to(host)).await?, host);
    }
    ns.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn a_daemon_set_has_a_pod_on_every_node() -> Result<()> {
    let ns = shared::placing()?.namespace("daemon-set").await?;
    ns.apply(&json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": { "name": "log", "namespace": ns.name },
        "spec": {
            "selector": { "matchLabels": { "app": "log" } },
            "template": {
                "metadata": { "labels": { "app": "log" } },
                "spec": { "containers": [{ "name": "main", "image": "log" }] }
            }
        }
    }))
    .await?;
    let placed = |seen: View<'_>| {
        let hosts: BTreeSet<_> = seen.pods().filter_map(bound_to).collect();
        (hosts.len() == seen.cluster.nodes.len()).then_some(())
    };
    ns.until("every node has a pod of the DaemonSet", placed).await?;
    ns.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn a_pod_that_names_no_scheduler_is_kept_off_gpu_hosts_too() -> Result<()> {
    let ns = shared::placing()?.namespace("no-scheduler-named").await?;
    let host = ns.placed(&pod("script").cpu("100m")).await?;
    assert!(["cpu-1", "cpu-2"].contains(&host.as_str()), "on {host}");
    let why = ns.unschedulable(&pod("back-door").selecting_node("gpu-1")).await?;
    assert!(why.contains(KEPT), "{why}");
    ns.agrees_with(&Native::shipped()?).await
}

/// ```text
///        gpu-a (8 GPUs)          cpu-a joins
/// etl ──✗ refused ──✗ while its device plugin restarts ──▶ cpu-a
/// ```
#[tokio::test]
async fn a_cpu_pod_waits_for_a_cpu_host_while_a_device_plugin_restarts() -> Result<()> {
    let ns = World::start().await?.namespace("test").await?;
    ns.world.add_node(&node("gpu-a").gpus(8).model("T4")).await?;
    ns.world.run_scheduler(&Setup::shipped()?).await?;
    assert!(ns.unschedulable(&weir_pod("etl")).await?.contains(KEPT));

    // The kubelet takes the GPUs out of what is allocatable until the plugin has registered again.
    ns.world.change_node("gpu-a", json!({ "allocatable": { GPU: "0" } })).await?;
    // A pod that comes later is decided after all that the change has woken.
    assert!(ns.unschedulable(&weir_pod("fence")).await?.contains(KEPT));
    assert!(matches!(ns.decided("etl").await?, Verdict::Unschedulable(_)));
    let why = ns.unschedulable(&weir_pod("train").gpus(1)).await?;
    assert!(why.contains("1 Insufficient nvidia.com/gpu"), "{why}");

    ns.world.add_node(&node("cpu-a")).await?;
    assert_eq!(ns.until_bound("etl").await?, "cpu-a");
    assert_eq!(ns.until_bound("fence").await?, "cpu-a");
    ns.world.change_node("gpu-a", json!({ "allocatable": { GPU: "8" } })).await?;
    assert_eq!(ns.until_bound("train").await?, "gpu-a");
    ns.agrees_with(&Native::shipped()?).await
}
