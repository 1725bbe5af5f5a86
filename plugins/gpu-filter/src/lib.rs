//! GPUFilter: only pods that ask for GPUs run on GPU hosts, and they run nowhere else.
//!
//! The rule is `policy/placement/src/gpu.rs`; this file reads the settings, asks it and answers. README.md
//! says what it means for users and operators.
#![no_std]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use kube_scheduler_guest::{
    ActionType, ClusterEvent, EnqueueExtensions, Filter, Node, Plugin, Pod, Resource, Status, export,
};
use serde::Deserialize;
use weir_placement::gpu::{GpuNames, Refusal};

/// The plugin, with what means GPU in this cluster.
#[derive(Debug)]
pub struct GpuFilter {
    names: GpuNames,
}

/// The settings, each with a default that fits NVIDIA's device plugin.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Extended resources that are GPUs; a `*` at the end stands for any rest.
    gpu_resources: Vec<String>,
    /// Labels that only GPU hosts carry, whatever their value.
    model_labels: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gpu_resources: ["nvidia.com/gpu"].map(String::from).into(),
            model_labels: ["gpu-node-label-model", "nvidia.com/gpu.product"].map(String::from).into(),
        }
    }
}

impl Plugin for GpuFilter {
    type Settings = Settings;

    fn new(Settings { gpu_resources, model_labels }: Settings) -> anyhow::Result<Self> {
        Ok(Self { names: GpuNames::new(gpu_resources, model_labels)? })
    }
}

impl Filter for GpuFilter {
    fn filter(&self, pod: &Pod, node: &Node) -> Status {
        match self.names.judge(pod, node) {
            Ok(()) => Status::success(),
            // Which kind of host a node is does not change when pods leave it, so preemption cannot help.
            Err(refusal @ (Refusal::NoGpuHost | Refusal::KeptForGpuPods)) => Status::unresolvable(refusal.to_string()),
            Err(Refusal::Unreadable(error)) => Status::error(error.to_string()),
        }
    }
}

impl EnqueueExtensions for GpuFilter {
    fn events_to_register(&self) -> Vec<ClusterEvent> {
        let node = ActionType::ADD
            | ActionType::UPDATE_NODE_LABEL
            | ActionType::UPDATE_NODE_ALLOCATABLE
            | ActionType::UPDATE_NODE_TAINT;
        [ClusterEvent::new(Resource::Node, node)].into()
    }
}

export!(pure GpuFilter: Filter, EnqueueExtensions);
