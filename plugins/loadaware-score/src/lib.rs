//! LoadAwareScore: pods without GPUs go to the CPU nodes that are least occupied in fact, not on paper.
//!
//! The rule is `policy/placement/src/load.rs`; this file reads pod and node, asks and answers. Pods with GPUs
//! are not scored. README.md says what it means for operators.
#![no_std]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use kube_scheduler_guest::{Node, Plugin, Pod, PreScore, Score, Status, export, klog};
use serde::Deserialize;
use weir_model::{Amount, dimension};
use weir_placement::gpu::GpuNames;
use weir_placement::load::{LoadSettings, NodeLoad, Occupancy, PodLoad, Sample};
use weir_placement::score;

static BLIND: klog::Once = klog::Once::new(
    "this host does not say what is requested on a node (node.weir.dev/requested.*), so all nodes get the same score",
);

/// The plugin, with what means GPU in this cluster and how load is judged.
#[derive(Debug)]
pub struct LoadAwareScore {
    names: GpuNames,
    load: LoadSettings,
}

/// The settings as they stand in the scheduler's configuration; percentages are of what is allocatable.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    /// Extended resources that are GPUs; a `*` at the end stands for any rest.
    gpu_resources: Vec<String>,
    /// How much of a CPU request a pod is expected to use, until it has been measured.
    estimate_percent: u8,
    /// The width of a band; nodes in one band are equally good.
    band_percent: u8,
    /// Expected CPU use above which a node is avoided.
    cpu_threshold_percent: u8,
    /// Expected memory use above which a node is avoided.
    memory_threshold_percent: u8,
}

impl Default for Settings {
    fn default() -> Self {
        let LoadSettings { estimate_percent, band_percent, cpu_threshold_percent, memory_threshold_percent } =
            LoadSettings::default();
        Self {
            gpu_resources: ["nvidia.com/gpu"].map(String::from).into(),
            estimate_percent,
            band_percent,
            cpu_threshold_percent,
            memory_threshold_percent,
        }
    }
}

impl Plugin for LoadAwareScore {
    type Settings = Settings;

    fn new(settings: Settings) -> anyhow::Result<Self> {
        let Settings { gpu_resources, estimate_percent, band_percent, cpu_threshold_percent, memory_threshold_percent } =
            settings;
        let load = LoadSettings { estimate_percent, band_percent, cpu_threshold_percent, memory_threshold_percent };
        Ok(Self { names: GpuNames::new(gpu_resources, [].into())?, load: load.checked()? })
    }
}

impl PreScore for LoadAwareScore {
    fn pre_score(&self, pod: &Pod) -> Status {
        match self.names.asks_for_gpus(pod) {
            Ok(false) => Status::success(),
            Ok(true) => Status::skip(),
            Err(error) => Status::error(error.to_string()),
        }
    }
}

impl Score for LoadAwareScore {
    fn score(&self, pod: &Pod, node: &Node) -> Result<i32, Status> {
        let Some(requested) = node.requested(dimension::CPU) else {
            BLIND.info();
            return Ok(score::Score::NEUTRAL.points().into());
        };
        let memory = node.requested(dimension::MEMORY).unwrap_or_default();
        let load = NodeLoad {
            cpu: occupancy(node, dimension::CPU, requested),
            memory: occupancy(node, dimension::MEMORY, memory),
        };
        let pod = PodLoad { cpu: pod.request(dimension::CPU), memory: pod.request(dimension::MEMORY) };
        Ok(self.load.score(&load, &pod).points().into())
    }
}

/// What the host says of one resource of the node, of which so much is requested. What it does not say is no
/// sample.
fn occupancy(node: &Node, resource: &str, requested: Amount) -> Occupancy {
    let sample = node.load(resource).and_then(|used| Some((used, node.load_sampled_requested(resource)?)));
    Occupancy {
        allocatable: node.allocatable().amount(resource),
        requested,
        sample: sample.map(|(used, sampled)| Sample { used, placed_since: requested.minus(sampled) }),
    }
}

export!(pure LoadAwareScore: PreScore, Score);
