//! Ray clusters of CPU data nodes and GPU workers, special hardware and daemons, all on one scheduler: every
//! decision is the one that the policy code makes natively.

use anyhow::Result;
use weir_tests::native::{Native, Scores};
use weir_tests::objects::{PodOf, node, pod};
use weir_tests::scene::{Scene, Verdict};
use weir_tests::setup::Setup;

/// ```text
/// cpu-1, cpu-2         32 cores                 g3          8 GPUs, special
/// t4-1, t4-2, t4-3     8 GPUs, general          v100        8 GPUs, special
/// restarting           8 GPUs, none allocatable
/// ```
async fn cluster() -> Result<Scene> {
    let mut scene = Scene::private().await?;
    for name in ["cpu-1", "cpu-2"] {
        scene.add_node(&node(name).cores(32)).await?;
    }
    for name in ["t4-1", "t4-2", "t4-3"] {
        scene.add_node(&node(name).cores(64).gpus(8).model("T4")).await?;
    }
    scene.add_node(&node("g3").cores(64).gpus(8).model("G3")).await?;
    scene.add_node(&node("v100").cores(64).gpus(8).model("V100M32")).await?;
    scene.add_node(&node("restarting").cores(64).gpus(8).allocatable_gpus(0)).await?;
    scene.schedule(&Setup::shipped()?).await?;
    Ok(scene)
}

/// A head, data nodes without GPUs, and workers with them.
fn ray_cluster(name: &str, data_nodes: usize, workers: usize, gpus: u32) -> Vec<PodOf> {
    let head = pod(&format!("{name}-head")).cpu("2");
    let data = (0..data_nodes).map(|number| pod(&format!("{name}-data-{number}")).cpu("4"));
    let workers = (0..workers).map(|number| pod(&format!("{name}-worker-{number}")).cpu("4").gpus(gpus));
    [head].into_iter().chain(data).chain(workers).collect()
}

#[tokio::test]
async fn every_decision_about_ray_clusters_is_the_native_one() -> Result<()> {
    let scene = cluster().await?;
    let special = |name: &str, model: &str| pod(name).gpus(4).selecting_model(model);
    let mut pods = ray_cluster("small", 2, 4, 1);
    pods.extend(ray_cluster("large", 4, 2, 8));
    pods.extend([special("g3-a", "G3"), special("g3-b", "G3"), special("g3-c", "G3"), special("v100", "V100M32")]);
    pods.extend(ray_cluster("late", 1, 3, 2));
    let mut bound = 0;
    for pod in &pods {
        scene.add_pod(pod).await?;
        bound += usize::from(matches!(scene.decided(pod.name()).await?, Verdict::Bound(_)));
    }
    // small and large leave 4 of the 24 general GPUs; the third `G3` pod and the last worker of late find none.
    assert_eq!((pods.len(), bound), (23, 21));
    let record = scene.record();
    for host in ["cpu-1", "cpu-2", "restarting"] {
        let gpu_pods = record.pods_on(host).into_iter().filter(|name| name.contains("worker")).count();
        assert_eq!(gpu_pods, 0, "{host}");
    }
    // Each pod was decided once or, where somebody's arrival changed the reason, more often; none is left out.
    let native = Native::shipped()?.with(Scores::default());
    let compared = native.compare(&scene.record())?;
    assert!(compared.decisions >= pods.len(), "{} decisions about {} pods", compared.decisions, pods.len());
    // The comparison would tell: had `T4` been special and not `G3`, half of the decisions were wrong.
    let other = Native::shipped()?.keeping(&["T4"])?.compare(&scene.record())?;
    assert_eq!(other.decisions, compared.decisions);
    assert!(other.differences.len() >= 9, "{:?}", other.differences);
    scene.agrees_with(&native).await
}

#[tokio::test]
async fn every_kind_of_pod_on_every_kind_of_node_is_judged_as_natively() -> Result<()> {
    let scene = cluster().await?;
    type Kind = fn(PodOf) -> PodOf;
    let kinds: [(&str, Kind); 7] = [
        ("cpu", |pod| pod),
        ("gpu", |pod| pod.gpus(1)),
        ("gpu-at-first", |pod| pod.gpus_at_first(1)),
        ("g3", |pod| pod.gpus(1).selecting_model("G3")),
        ("g3-or-t4", |pod| pod.gpus(1).accepting_models(&["G3", "T4"])),
        ("two-special", |pod| pod.gpus(1).accepting_models(&["G3", "V100M32"])),
        ("no-scheduler", PodOf::any_scheduler),
    ];
    let hosts = ["cpu-1", "t4-1", "g3", "v100", "restarting"];
    let mut bound = Vec::new();
    for (kind, of_kind) in kinds {
        for host in hosts {
            let pod = of_kind(pod(&format!("{kind}-on-{host}")).cpu("100m")).selecting_node(host);
            scene.add_pod(&pod).await?;
            if matches!(scene.decided(pod.name()).await?, Verdict::Bound(_)) {
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
    scene.agrees_with(&Native::shipped()?).await
}
