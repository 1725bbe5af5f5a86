//! BinPackScore as kube-scheduler calls it, natively against a fake host. The arithmetic is tested in
//! `policy/placement/src/binpack.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use binpack_score::BinPackScore;
use kube_scheduler_guest::testing::{FakeHost, NodeBuilder, PodBuilder, node, pod};
use kube_scheduler_guest::{Code, Status};

/// A host with 8 GPUs and 96 cores, of which so many are requested.
fn host_with(name: &str, gpus: &str, cpu_milli: &str) -> NodeBuilder {
    node(name)
        .allocatable("cpu", "96")
        .allocatable("nvidia.com/gpu", "8")
        .annotation("node.weir.dev/requested.cpu", cpu_milli)
        .annotation("node.weir.dev/requested.nvidia.com/gpu", gpus)
}

fn gpu_pod(gpus: &str) -> PodBuilder {
    pod("p").request("cpu", "8").request("nvidia.com/gpu", gpus)
}

/// Three pods in four want one GPU and 8 cores, one in four wants a whole host with 8 GPUs.
const FRAGMENTATION: &str = r#"{"strategy": "FragmentationAware", "typicalPods": [
    {"cpu": "8", "gpus": 1, "weight": 3}, {"cpu": "64", "gpus": 8, "weight": 1}]}"#;

fn scores<const N: usize>(config: &str, pod: PodBuilder, nodes: [NodeBuilder; N]) -> [Result<i32, Status>; N] {
    let nodes = nodes.map(NodeBuilder::build);
    let names = nodes.each_ref().map(|node| node.name().to_string());
    let mut host = nodes.into_iter().fold(FakeHost::new().config(config).pod(pod), FakeHost::node);
    let plugin = host.load::<BinPackScore>().unwrap();
    names.map(|name| host.score(&plugin, &name))
}

#[test]
fn a_pod_goes_where_most_gpus_are_taken() {
    let nodes = [host_with("empty", "0", "0"), host_with("half", "4", "32000"), host_with("full", "7", "56000")];
    assert_eq!(scores("", gpu_pod("1"), nodes), [Ok(12), Ok(62), Ok(100)]);
}

#[test]
fn fragmentation_aware_keeps_a_whole_host_whole() {
    // The worked example of TypicalPods: 14 on the untouched host, 56 on the started one.
    let nodes = [host_with("untouched", "0", "0"), host_with("started", "3", "24000")];
    assert_eq!(scores(FRAGMENTATION, gpu_pod("1"), nodes), [Ok(14), Ok(56)]);
}

#[test]
fn pods_without_gpus_are_not_scored() {
    let mut host = FakeHost::new().config("").pod(pod("p").request("cpu", "8"));
    let plugin = host.load::<BinPackScore>().unwrap();
    assert_eq!(host.pre_score(&plugin), Status::skip());
    let mut host = FakeHost::new().config("").pod(gpu_pod("1"));
    assert_eq!(host.pre_score(&plugin), Status::success());
}

#[test]
fn a_host_that_does_not_say_what_is_requested_scores_all_nodes_alike_and_says_so_once() {
    let bare = |name| node(name).allocatable("nvidia.com/gpu", "8").label("gpus", name);
    let mut host = FakeHost::new().config("").pod(gpu_pod("1")).node(bare("a")).node(bare("b"));
    let plugin = host.load::<BinPackScore>().unwrap();
    assert_eq!((host.score(&plugin, "a"), host.score(&plugin, "b")), (Ok(50), Ok(50)));
    assert_eq!(host.log().len(), 1);
    assert!(host.log()[0].1.starts_with("this host does not say what is requested on a node"));
}

#[test]
fn what_the_host_says_that_is_no_amount_counts_as_not_said() {
    let nodes = [host_with("nonsense", "many", "0"), host_with("negative", "-3", "0")];
    assert_eq!(scores("", gpu_pod("1"), nodes), [Ok(50), Ok(50)]);
}

#[test]
fn an_allocatable_that_does_not_parse_is_an_error_and_no_score() {
    let broken = host_with("n", "0", "0").allocatable("nvidia.com/gpu", "eight");
    let [score] = scores("", gpu_pod("1"), [broken]);
    let status = score.unwrap_err();
    assert_eq!(status.code(), Code::Error);
    assert_eq!(status.reason(), "nvidia.com/gpu: a quantity has an unexpected character at byte 2");
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_field() {
    let typical = |pod: &str| format!(r#"{{"strategy": "FragmentationAware", "typicalPods": [{pod}]}}"#);
    let cases = [
        (
            r#"{"strategy": "LeastAllocated"}"#.to_string(),
            "settings.strategy: unknown variant `LeastAllocated`, expected `MostAllocated` or `FragmentationAware`",
        ),
        (typical(""), "settings: typicalPods: no pod has a weight above 0; list at least one"),
        (typical(r#"{"cpu": "8", "weight": -1}"#), "settings.typicalPods[0].weight: expected u32, found the number -1"),
        (
            typical(r#"{"cpu": "8 cores", "weight": 1}"#),
            "settings: typicalPods[0].cpu: a quantity has an unexpected character at byte 1",
        ),
        (
            typical(r#"{"cpu": "8", "gpuMilli": 1000, "weight": 1}"#),
            "settings: typicalPods[0].gpuMilli: write 1 to 999, or `gpus` for whole ones",
        ),
        (
            r#"{"typicalPods": [{"cpu": "8", "weight": 1}]}"#.to_string(),
            "settings: typicalPods: only the strategy FragmentationAware looks at them",
        ),
        (
            r#"{"gpuResources": []}"#.to_string(),
            "settings: gpuResources: name at least one resource, such as nvidia.com/gpu",
        ),
    ];
    for (config, message) in cases {
        let refused = FakeHost::new().config(&config).load::<BinPackScore>();
        assert_eq!(refused.err().as_deref(), Some(message), "{config}");
    }
}
