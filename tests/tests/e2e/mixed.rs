//! Ray clusters of CPU data nodes and GPU workers, special hardware and daemons, all on one scheduler: every
//! decision is the one that the policy code makes natively.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::Value;
use weir_tests::namespace::TestNamespace;
use weir_tests::namespace::placement::Verdict;
use weir_tests::native::{Native, Scores};
use weir_tests::objects::{PodBuilder, bound_to, node, weir_pod};
use weir_tests::setup::Setup;
use weir_tests::world::World;

/// ```text
/// cpu-1, cpu-2         32 cores                 g3          8 GPUs, special
/// t4-1, t4-2, t4-3     8 GPUs, general          v100        8 GPUs, special
/// restarting           8 GPUs, none allocatable
/// ```
async fn cluster() -> Result<TestNamespace> {
    let ns = World::start().await?.namespace("test").await?;
    for name in ["cpu-1", "cpu-2"] {
        ns.world.add_node(&node(name).cores(32)).await?;
    }
    for name in ["t4-1", "t4-2", "t4-3"] {
        ns.world.add_node(&node(name).cores(64).gpus(8).model("T4")).await?;
    }
    ns.world.add_node(&node("g3").cores(64).gpus(8).model("G3")).await?;
    ns.world.add_node(&node("v100").cores(64).gpus(8).model("V100M32")).await?;
    ns.world.add_node(&node("restarting").cores(64).gpus(8).allocatable_gpus(0)).await?;
    ns.world.run_scheduler(&Setup::shipped()?).await?;
    Ok(ns)
}

/// A head, data nodes without GPUs, and workers with them.
fn ray_cluster(name: &str, data_nodes: usize, workers: usize, gpus: u32) -> Vec<PodBuilder> {
    let head = weir_pod(&format!("{name}-head")).cpu("2");
    let data = (0..data_nodes).map(|number| weir_pod(&format!("{name}-data-{number}")).cpu("4"));
    let workers = (0..workers).map(|number| weir_pod(&format!("{name}-worker-{number}")).cpu("4").gpus(gpus));
    [head].into_iter().chain(data).chain(workers).collect()
}

#[tokio::test]
async fn every_decision_about_ray_clusters_is_the_native_one() -> Result<()> {
    let ns = cluster().await?;
    let special = |name: &str, model: &str| weir_pod(name).gpus(4).selecting_model(model);
    let mut pods = ray_cluster("small", 2, 4, 1);
    pods.extend(ray_cluster("large", 4, 2, 8));
    pods.extend([special("g3-a", "G3"), special("g3-b", "G3"), special("g3-c", "G3"), special("v100", "V100M32")]);
    pods.extend(ray_cluster("late", 1, 3, 2));
    let mut bound = 0;
    for pod in &pods {
        ns.create_pod(pod).await?;
        bound += usize::from(matches!(ns.decided(pod.name()).await?, Verdict::Bound(_)));
    }
    // small and large leave 4 of the 24 general GPUs; the third `G3` pod and the last worker of late find none.
    assert_eq!((pods.len(), bound), (23, 21));
    for host in ["cpu-1", "cpu-2", "restarting"] {
        let is_gpu_pod = |pod: &&Pod| bound_to(pod) == Some(host) && pod.name_any().contains("worker");
        let gpu_pods = ns.now(|seen| seen.pods().filter(is_gpu_pod).count());
        assert_eq!(gpu_pods, 0, "{host}");
    }
    // Each pod was decided once or, where another's arrival changed the reason, more often; none is left out.
    let native = Native::shipped()?.with(Scores::default());
    let compared = ns.now(|seen| native.compare(seen))?;
    assert!(compared.decisions >= pods.len(), "{} decisions about {} pods", compared.decisions, pods.len());
    // The comparison would tell: had `T4` been special and not `G3`, half of the decisions were wrong.
    let keeping_t4 = Native::shipped()?.keeping(&["T4"])?;
    let other = ns.now(|seen| keeping_t4.compare(seen))?;
    assert_eq!(other.decisions, compared.decisions);
    assert!(other.differences.len() >= 9, "{:?}", other.differences);
    ns.agrees_with(&native).await
}

#[tokio::test]
async fn every_kind_of_pod_on_every_kind_of_node_is_judged_as_natively() -> Result<()> {
    let ns = cluster().await?;
    type Kind = fn(PodBuilder) -> PodBuilder;
    let kinds: [(&str, Kind); 7] = [
        ("cpu", |pod| pod),
        ("gpu", |pod| pod.gpus(1)),
        ("gpu-at-first", |pod| pod.gpus_at_first(1)),
        ("g3", |pod| pod.gpus(1).selecting_model("G3")),
        ("g3-or-t4", |pod| pod.gpus(1).accepting_models(&["G3", "T4"])),
        ("two-special", |pod| pod.gpus(1).accepting_models(&["G3", "V100M32"])),
        ("no-scheduler", |pod| pod.with("schedulerName", Value::Null)),
    ];
    let hosts = ["cpu-1", "t4-1", "g3", "v100", "restarting"];
    let mut bound = Vec::new();
    for (kind, of_kind) in kinds {
        for host in hosts {
            let pod = of_kind(weir_pod(&format!("{kind}-on-{host}")).cpu("100m")).selecting_node(host);
            ns.create_pod(&pod).await?;
            if matches!(ns.decided(pod.name()).await?, Verdict::Bound(_)) {
                bound.push(pod.name().to_owned());
            }
        }
    }
    let expected = [
        "cpu-on-cpu-1",
        "gpu-on-t4-1",
        "gpu-at-first-on-t4-1",
        "g3-on-g3",
        "g3-or-t4-on-t4-1",
        "no-scheduler-on-cpu-1",
    ];
    assert_eq!(bound, expected);
    ns.agrees_with(&Native::shipped()?).await
}
