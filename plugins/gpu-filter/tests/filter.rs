//! GPUFilter as kube-scheduler calls it, natively against a fake host.
//!
//! The same cases run through the .wasm in the unmodified extension: `tests/extension/guesttest`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use gpu_filter::GpuFilter;
use kube_scheduler_guest::testing::{FakeHost, NodeBuilder, PodBuilder, node, pod};
use kube_scheduler_guest::{ActionType, ClusterEvent, Code, Resource, Status};

fn judge(config: &str, pod: PodBuilder, node: NodeBuilder) -> Status {
    let mut host = FakeHost::new().config(config).pod(pod).node(node);
    match host.load::<GpuFilter>() {
        Ok(filter) => host.filter(&filter, "n"),
        Err(error) => Status::error(error),
    }
}

fn cpu_host() -> NodeBuilder {
    node("n").capacity("cpu", "64").allocatable("cpu", "64")
}

fn gpu_host() -> NodeBuilder {
    cpu_host().capacity("nvidia.com/gpu", "8").allocatable("nvidia.com/gpu", "8")
}

fn cpu_pod() -> PodBuilder {
    pod("p").request("cpu", "1")
}

fn gpu_pod() -> PodBuilder {
    cpu_pod().request("nvidia.com/gpu", "1")
}

const KEPT: &str = "node(s) had GPUs, which are kept for pods that ask for them";

#[test]
fn a_pod_without_gpus_runs_on_cpu_hosts_only() {
    assert_eq!(judge("", cpu_pod(), cpu_host()), Status::success());
    assert_eq!(judge("", cpu_pod(), gpu_host()), Status::unresolvable(KEPT));
    assert_eq!(judge("", cpu_pod().request("nvidia.com/gpu", "0"), gpu_host()), Status::unresolvable(KEPT));
}

#[test]
fn a_pod_with_gpus_runs_on_gpu_hosts_only() {
    assert_eq!(judge("", gpu_pod(), gpu_host()), Status::success());
    let refused = Status::unresolvable("node(s) had no GPUs, which the pod asks for");
    assert_eq!(judge("", gpu_pod(), cpu_host()), refused);
    assert_eq!(judge("", cpu_pod().init_request("nvidia.com/gpu", "1"), cpu_host()), refused);
}

#[test]
fn a_gpu_host_stays_one_while_it_has_no_gpu_to_give() {
    let restarting = cpu_host().capacity("nvidia.com/gpu", "8").allocatable("nvidia.com/gpu", "0");
    assert_eq!(judge("", cpu_pod(), restarting).code(), Code::UnschedulableAndUnresolvable);
    let forgotten = cpu_host().capacity("nvidia.com/gpu", "0");
    assert_eq!(judge("", cpu_pod(), forgotten).code(), Code::UnschedulableAndUnresolvable);
    let gone = cpu_host().label("gpu-node-label-model", "T4");
    assert_eq!(judge("", cpu_pod(), gone.clone()).code(), Code::UnschedulableAndUnresolvable);
    assert_eq!(judge("", gpu_pod(), gone), Status::success());
}

#[test]
fn a_pod_that_is_bound_to_one_node_by_name_passes() {
    assert_eq!(judge("", cpu_pod().bound_to("n"), gpu_host()), Status::success());
    // The same node in every term is one node.
    assert_eq!(judge("", cpu_pod().bound_to("n").bound_to("n"), gpu_host()), Status::success());
}

#[test]
fn a_pod_that_may_choose_between_nodes_is_not_bound_to_one() {
    let refused = Status::unresolvable(KEPT);
    assert_eq!(judge("", cpu_pod().bound_to("n").bound_to("m"), gpu_host()), refused);
    assert_eq!(judge("", cpu_pod().bound_to("n").affinity_in("zone", &["a"]), gpu_host()), refused);
    assert_eq!(judge("", cpu_pod().affinity_in("metadata.name", &["n"]), gpu_host()), refused);
}

#[test]
fn which_names_mean_gpu_is_configuration() {
    let config = r#"{"gpuResources": ["amd.com/gpu", "nvidia.com/mig-*"], "modelLabels": ["model"]}"#;
    let slice = || cpu_pod().request("nvidia.com/mig-1g.5gb", "1");
    let sliced = || cpu_host().capacity("nvidia.com/mig-1g.5gb", "7");
    assert_eq!(judge(config, slice(), sliced()), Status::success());
    assert_eq!(judge(config, cpu_pod(), cpu_host().label("model", "MI300")), Status::unresolvable(KEPT));
    // What the defaults would say no longer counts.
    assert_eq!(judge(config, cpu_pod(), gpu_host()), Status::success());
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_field() {
    let cases = [
        (r#"{"gpuResourcez": []}"#, "settings: unknown field `gpuResourcez`, expected `gpuResources` or `modelLabels`"),
        (r#"{"modelLabels": "model"}"#, "settings.modelLabels: expected a sequence, found the text \"model\""),
        (r#"{"gpuResources": []}"#, "settings: gpuResources: name at least one resource, such as nvidia.com/gpu"),
        (r#"{"modelLabels": [""]}"#, "settings: modelLabels[0]: a label key cannot be empty"),
        ("[]", "settings: expected an object, found a list"),
        ("{", "settings: no JSON: EOF while parsing an object at line 1 column 1"),
    ];
    for (config, message) in cases {
        assert_eq!(judge(config, cpu_pod(), cpu_host()), Status::error(message), "{config}");
    }
}

#[test]
fn a_request_that_does_not_parse_is_an_error_and_no_verdict() {
    let status = judge("", cpu_pod().request("nvidia.com/gpu", "one"), gpu_host());
    let message =
        "spec.containers[0].resources.requests[nvidia.com/gpu]: a quantity has an unexpected character at byte 0";
    assert_eq!(status, Status::error(message));
}

#[test]
fn a_node_that_is_cut_off_is_an_error_and_no_verdict() {
    let mut host = FakeHost::new().config("").pod(cpu_pod()).node_bytes("n", vec![10, 200, 1, 10]);
    let filter = host.load::<GpuFilter>().unwrap();
    assert_eq!(
        host.filter(&filter, "n"),
        Status::error("protobuf: the host's answer is cut off or no protobuf message")
    );
}

#[test]
fn a_rejected_pod_is_tried_again_when_a_node_changed_what_it_is() {
    let mut host = FakeHost::new().config("");
    let filter = host.load::<GpuFilter>().unwrap();
    let node = ActionType::ADD
        | ActionType::UPDATE_NODE_LABEL
        | ActionType::UPDATE_NODE_ALLOCATABLE
        | ActionType::UPDATE_NODE_TAINT;
    assert_eq!(host.events_to_register(&filter), [ClusterEvent::new(Resource::Node, node)]);
}
