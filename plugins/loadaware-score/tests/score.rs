//! LoadAwareScore as kube-scheduler calls it, natively against a fake host. The arithmetic is tested in
//! `policy/placement/src/load.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use kube_scheduler_guest::testing::{FakeHost, NodeBuilder, node, pod};
use kube_scheduler_guest::{Code, Status};
use loadaware_score::LoadAwareScore;

/// A node with 32 cores and 64 GiB on which 20 cores are requested.
fn cpu_host(name: &str) -> NodeBuilder {
    node(name)
        .allocatable("cpu", "32")
        .allocatable("memory", "64Gi")
        .annotation("node.weir.dev/requested.cpu", "20000")
        .annotation("node.weir.dev/requested.memory", "0")
}

/// With a fresh sample: so many milli-CPU were used while so many were requested.
fn sampled(name: &str, used: &str, requested: &str) -> NodeBuilder {
    cpu_host(name)
        .annotation("node.weir.dev/load.cpu", used)
        .annotation("node.weir.dev/load-sampled-requested.cpu", requested)
}

fn scores<const N: usize>(config: &str, nodes: [NodeBuilder; N]) -> [i32; N] {
    let nodes = nodes.map(NodeBuilder::build);
    let names = nodes.each_ref().map(|node| node.name().to_string());
    let host = FakeHost::new().config(config).pod(pod("p").request("cpu", "2"));
    let mut host = nodes.into_iter().fold(host, FakeHost::node);
    let plugin = host.load::<LoadAwareScore>().unwrap();
    names.map(|name| host.score(&plugin, &name).unwrap())
}

#[test]
fn a_pod_goes_where_least_is_used_and_what_came_since_the_sample_counts() {
    // The worked example of LoadSettings: 8 cores used and 4 requested since, then nothing since, then hot.
    let nodes = [sampled("since", "8000", "16000"), sampled("same", "8000", "20000"), sampled("hot", "26000", "20000")];
    assert_eq!(scores("", nodes), [62, 72, 1]);
}

#[test]
fn a_sample_that_is_missing_or_absurd_is_neutral_and_never_zero_use() {
    let nodes = [
        cpu_host("missing"),
        sampled("half", "8000", "unknown"),
        sampled("negative", "-1", "20000"),
        sampled("absurd", "999999999", "20000"),
        sampled("text", "idle", "20000"),
    ];
    // 20 + 2 of 32 cores requested: 50 − 68 ÷ 4
    assert_eq!(scores("", nodes), [33; 5]);
}

#[test]
fn memory_above_its_threshold_makes_a_node_hot() {
    let full = sampled("full", "8000", "20000")
        .annotation("node.weir.dev/load.memory", "68000000000")
        .annotation("node.weir.dev/load-sampled-requested.memory", "0");
    assert_eq!(scores("", [full, sampled("same", "8000", "20000")]), [7, 72]);
}

#[test]
fn pods_with_gpus_are_not_scored() {
    let mut host = FakeHost::new().config("").pod(pod("p").request("nvidia.com/gpu", "1"));
    let plugin = host.load::<LoadAwareScore>().unwrap();
    assert_eq!(host.pre_score(&plugin), Status::skip());
    let mut host = FakeHost::new().config("").pod(pod("p").request("cpu", "1"));
    assert_eq!(host.pre_score(&plugin), Status::success());
}

#[test]
fn a_host_that_says_nothing_of_its_nodes_scores_them_alike_and_is_told_once() {
    let bare = |name, cores| node(name).allocatable("cpu", cores);
    let mut host = FakeHost::new().config("").pod(pod("p")).node(bare("a", "32")).node(bare("b", "1"));
    let plugin = host.load::<LoadAwareScore>().unwrap();
    assert_eq!((host.score(&plugin, "a"), host.score(&plugin, "b")), (Ok(50), Ok(50)));
    assert_eq!(host.log().len(), 1);
}

#[test]
fn a_request_that_does_not_parse_is_an_error_and_no_score() {
    let mut host = FakeHost::new().config("").pod(pod("p").request("memory", "8GB")).node(cpu_host("n"));
    let plugin = host.load::<LoadAwareScore>().unwrap();
    let status = host.score(&plugin, "n").unwrap_err();
    assert_eq!(status.code(), Code::Error);
    assert_eq!(
        status.reason(),
        "currentPod: spec.containers[0].resources.requests[memory]: a quantity has an unexpected character at byte 2"
    );
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_field() {
    let cases = [
        (r#"{"bandPercent": 0}"#, "settings: bandPercent: 0 is not a percentage between 1 and 50"),
        (r#"{"cpuThresholdPercent": 300}"#, "settings.cpuThresholdPercent: expected u8, found the number 300"),
        (
            r#"{"gpuResources": ["gpu"]}"#,
            "settings: gpuResources[0]: write vendor/name, or vendor/prefix* for all that begin so",
        ),
    ];
    for (config, message) in cases {
        let refused = FakeHost::new().config(config).load::<LoadAwareScore>();
        assert_eq!(refused.err().as_deref(), Some(message), "{config}");
    }
}
