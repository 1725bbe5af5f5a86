//! Only pods that ask for GPUs run on GPU hosts, and they run nowhere else.

use anyhow::Result;
use serde_json::json;
use weir_tests::native::Native;
use weir_tests::objects::{GPU, node, pod};
use weir_tests::scene::{Scene, Verdict};
use weir_tests::setup::Setup;

const KEPT: &str = "1 node(s) had GPUs, which are kept for pods that ask for them";

#[tokio::test]
async fn cpu_pods_run_on_cpu_hosts_only() -> Result<()> {
    let scene = Scene::shared("cpu-pods").await?;
    let pods: Vec<_> = (0..12).map(|number| pod(&format!("etl-{number}")).cpu("100m")).collect();
    for pod in &pods {
        scene.add_pod(pod).await?;
    }
    for pod in &pods {
        let node = scene.bound(pod.name()).await?;
        assert!(["cpu-1", "cpu-2"].contains(&node.as_str()), "{} is on {node}", pod.name());
    }
    scene.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn a_cpu_pod_is_kept_off_a_gpu_host_whatever_the_host_has_to_give() -> Result<()> {
    let scene = Scene::shared("cpu-pods-kept-off").await?;
    for host in ["gpu-1", "gpu-restarting", "gpu-undriven"] {
        let why = scene.refused(&pod(&format!("to-{host}")).selecting_node(host)).await?;
        assert!(why.contains(KEPT), "{host}: {why}");
    }
    scene.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn gpu_pods_run_on_gpu_hosts_only() -> Result<()> {
    let scene = Scene::shared("gpu-pods").await?;
    for number in 0..3 {
        let host = scene.placed(&pod(&format!("train-{number}")).gpus(1)).await?;
        assert!(["gpu-1", "gpu-2"].contains(&host.as_str()), "on {host}");
    }
    scene.refused(&pod("to-cpu").gpus(1).selecting_node("cpu-1")).await?;
    scene.refused(&pod("to-many").gpus(9)).await?;
    scene.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn a_pod_that_needs_gpus_only_at_first_is_a_gpu_pod() -> Result<()> {
    let scene = Scene::shared("gpus-at-first").await?;
    let host = scene.placed(&pod("compile-then-serve").gpus_at_first(1)).await?;
    assert!(["gpu-1", "gpu-2"].contains(&host.as_str()), "on {host}");
    scene.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn a_pod_that_belongs_to_one_node_passes_anywhere() -> Result<()> {
    let scene = Scene::shared("daemons").await?;
    for host in ["cpu-1", "gpu-1", "gpu-restarting", "gpu-undriven"] {
        assert_eq!(scene.placed(&pod(&format!("log-{host}")).tied_to(host)).await?, host);
    }
    scene.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn a_daemon_set_has_a_pod_on_every_node() -> Result<()> {
    let scene = Scene::shared("daemon-set").await?;
    scene
        .create(&json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": { "name": "log" },
            "spec": {
                "selector": { "matchLabels": { "app": "log" } },
                "template": {
                    "metadata": { "labels": { "app": "log" } },
                    "spec": { "containers": [{ "name": "main", "image": "log" }] }
                }
            }
        }))
        .await?;
    let nodes = scene.record().nodes.len();
    let placed = |seen: &weir_tests::history::Record| {
        let hosts: std::collections::BTreeSet<_> = seen.pods.keys().filter_map(|pod| seen.node_of(pod)).collect();
        (hosts.len() == nodes).then_some(())
    };
    scene.until("every node has a pod of the DaemonSet", placed).await?;
    scene.agrees_with(&Native::shipped()?).await
}

#[tokio::test]
async fn a_pod_that_names_no_scheduler_is_kept_off_gpu_hosts_too() -> Result<()> {
    let scene = Scene::shared("no-scheduler-named").await?;
    let host = scene.placed(&pod("script").any_scheduler().cpu("100m")).await?;
    assert!(["cpu-1", "cpu-2"].contains(&host.as_str()), "on {host}");
    let why = scene.refused(&pod("back-door").any_scheduler().selecting_node("gpu-1")).await?;
    assert!(why.contains(KEPT), "{why}");
    scene.agrees_with(&Native::shipped()?).await
}

/// ```text
///        gpu-a (8 GPUs)          cpu-a joins
/// etl ──✗ refused ──✗ while its device plugin restarts ──▶ cpu-a
/// ```
#[tokio::test]
async fn a_cpu_pod_waits_for_a_cpu_host_while_a_device_plugin_restarts() -> Result<()> {
    let mut scene = Scene::private().await?;
    scene.add_node(&node("gpu-a").gpus(8).model("T4")).await?;
    scene.schedule(&Setup::shipped()?).await?;
    assert!(scene.refused(&pod("etl")).await?.contains(KEPT));

    // The kubelet takes the GPUs out of what is allocatable until the plugin has registered again.
    scene.change_node("gpu-a", json!({ "allocatable": { GPU: "0" } })).await?;
    // Whoever comes later is decided after everybody whom the change has woken.
    assert!(scene.refused(&pod("fence")).await?.contains(KEPT));
    assert!(matches!(scene.decided("etl").await?, Verdict::Refused(_)));
    let why = scene.refused(&pod("train").gpus(1)).await?;
    assert!(why.contains("1 Insufficient nvidia.com/gpu"), "{why}");

    scene.add_node(&node("cpu-a")).await?;
    assert_eq!(scene.bound("etl").await?, "cpu-a");
    assert_eq!(scene.bound("fence").await?, "cpu-a");
    scene.change_node("gpu-a", json!({ "allocatable": { GPU: "8" } })).await?;
    assert_eq!(scene.bound("train").await?, "gpu-a");
    scene.agrees_with(&Native::shipped()?).await
}
