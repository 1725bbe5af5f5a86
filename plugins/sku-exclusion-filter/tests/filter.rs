//! SKUExclusionFilter as kube-scheduler calls it, natively against a fake host. What names a model is decided
//! and tested in `policy/placement/src/sku.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use kube_scheduler_guest::testing::{FakeHost, NodeBuilder, PodBuilder, node, pod};
use kube_scheduler_guest::{ActionType, ClusterEvent, Resource, Status};
use sku_exclusion_filter::SkuExclusionFilter;

const LIST: &str = r#"{
    "labelKeys": ["gpu-node-label-model", "nvidia.com/gpu.product"],
    "models": [
        {"model": "NVIDIA_H100_80GB_HBM3", "aliases": ["H100"], "gpusPerHost": 8},
        {"model": "NVIDIA_A100_SXM4_80GB", "aliases": ["A100"], "gpusPerHost": 8}
    ]
}"#;

fn judge(pod: PodBuilder, node: NodeBuilder) -> Status {
    let mut host = FakeHost::new().config(LIST).pod(pod).node(node);
    let filter = host.load::<SkuExclusionFilter>().unwrap();
    host.filter(&filter, "n")
}

fn h100() -> NodeBuilder {
    node("n").label("gpu-node-label-model", "NVIDIA_H100_80GB_HBM3")
}

fn t4() -> NodeBuilder {
    node("n").label("gpu-node-label-model", "T4")
}

fn trainer() -> PodBuilder {
    pod("p").request("nvidia.com/gpu", "8")
}

const KEPT: &str = "node(s) had special GPUs, which are kept for pods that name them";
const OTHER: &str = "node(s) did not have the special GPU model that the pod names";

#[test]
fn a_general_pod_never_runs_on_special_hardware() {
    assert_eq!(judge(trainer(), h100()), Status::unresolvable(KEPT));
    assert_eq!(judge(trainer(), t4()), Status::success());
    assert_eq!(judge(trainer(), node("n")), Status::success());
}

#[test]
fn a_pod_that_names_a_model_runs_on_that_model_only() {
    for name in ["NVIDIA_H100_80GB_HBM3", "H100"] {
        let pod = || trainer().selector("gpu-node-label-model", name);
        assert_eq!(judge(pod(), h100()), Status::success());
        assert_eq!(judge(pod(), t4()), Status::unresolvable(OTHER));
    }
    let by_affinity = trainer().affinity_in("nvidia.com/gpu.product", &["A100"]);
    assert_eq!(judge(by_affinity, h100()), Status::unresolvable(OTHER));
}

#[test]
fn a_pod_that_names_several_models_is_told_so() {
    let status = judge(trainer().affinity_in("gpu-node-label-model", &["H100", "A100"]), h100());
    let said =
        "the pod names several special GPU models (NVIDIA_H100_80GB_HBM3, NVIDIA_A100_SXM4_80GB); name one of them";
    assert_eq!(status, Status::unresolvable(said));
}

#[test]
fn a_pod_that_is_bound_to_one_node_by_name_passes() {
    assert_eq!(judge(pod("p").bound_to("n"), h100()), Status::success());
}

#[test]
fn without_a_list_nothing_is_special() {
    let mut host = FakeHost::new().config("").pod(trainer()).node(h100());
    let filter = host.load::<SkuExclusionFilter>().unwrap();
    assert_eq!(host.filter(&filter, "n"), Status::success());
}

#[test]
fn a_list_that_makes_no_sense_is_refused_with_the_field() {
    let cases = [
        (r#"{"models": [{"model": "H100"}]}"#, "settings.models[0]: missing field `gpusPerHost`"),
        (
            r#"{"models": [{"model": "H100", "gpusPerHost": "8"}]}"#,
            "settings.models[0].gpusPerHost: expected u32, found the text \"8\"",
        ),
        (
            r#"{"models": [{"model": "H100", "gpusPerHost": 0}]}"#,
            "settings: models[0].gpusPerHost: a host of H100 has at least 1 GPU",
        ),
        (r#"{"modelz": []}"#, "settings: unknown field `modelz`, expected `labelKeys` or `models`"),
    ];
    for (config, message) in cases {
        let refused = FakeHost::new().config(config).load::<SkuExclusionFilter>();
        assert_eq!(refused.err().as_deref(), Some(message), "{config}");
    }
}

#[test]
fn a_rejected_pod_is_tried_again_when_a_node_changed_what_it_is() {
    let mut host = FakeHost::new().config("");
    let filter = host.load::<SkuExclusionFilter>().unwrap();
    let node = ActionType::ADD
        | ActionType::UPDATE_NODE_LABEL
        | ActionType::UPDATE_NODE_ALLOCATABLE
        | ActionType::UPDATE_NODE_TAINT;
    assert_eq!(host.events_to_register(&filter), [ClusterEvent::new(Resource::Node, node)]);
}
