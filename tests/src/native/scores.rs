//! The scores of binpack-score and loadaware-score, natively.

use std::collections::BTreeMap;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;
use weir_model::requests::pod_request;
use weir_model::{Amount, dimension};
use weir_placement::Score;
use weir_placement::binpack::{GpuRequest, Room, Shape, TypicalPods, most_allocated};
use weir_placement::gpu::GpuNames;
use weir_placement::load::{LoadSettings, NodeLoad, Occupancy, PodLoad, Sample};

use super::snapshot::{Snapshot, allocatable};
use super::view::SeenPod;
use crate::objects::GPU;

/// How the scores are configured, and what they are told of load.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    typical: Option<TypicalPods>,
    loads: BTreeMap<String, Load>,
}

/// What a node was seen to use, in a window that began before the test placed anything: all that is requested
/// there came since.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Thousandths of a core.
    pub cpu_milli: i64,
    /// Bytes.
    pub memory: i64,
}

impl Scores {
    /// As they are shipped, with what is measured on nodes by name; the others have no fresh sample.
    #[must_use]
    pub fn shipped(loads: BTreeMap<String, Load>) -> Self {
        Self { typical: None, loads }
    }

    /// Packing by fragmentation, against pods of so many whole GPUs and cores, each with its weight.
    ///
    /// # Errors
    /// When no pod has a weight.
    pub fn fragmentation_aware(typical: &[(u32, i64, u32)]) -> Result<Self> {
        let shapes = typical.iter().map(|&(gpus, cores, weight)| (shape(gpus, Amount::new(cores * 1000)), weight));
        Ok(Self { typical: Some(TypicalPods::new(shapes)?), loads: BTreeMap::new() })
    }

    /// The one score of ours that counts for a pod: packing if it asks for GPUs, else load.
    pub(super) fn of(&self, gpus: &GpuNames, cluster: &Snapshot<'_>, pod: &Pod, node: &Node) -> Result<Score> {
        if gpus.asks_for_gpus(&SeenPod(pod))? {
            self.packing(cluster, pod, node)
        } else {
            self.load(cluster, pod, node)
        }
    }

    fn packing(&self, cluster: &Snapshot<'_>, pod: &Pod, node: &Node) -> Result<Score> {
        let (has, taken) = (allocatable(node, GPU)?, cluster.requested(node, GPU)?);
        let wanted = pod_request(&SeenPod(pod), GPU)?;
        let Some(typical) = &self.typical else { return Ok(most_allocated(has, taken, wanted)) };
        let cpu = allocatable(node, dimension::CPU)?.minus(cluster.requested(node, dimension::CPU)?);
        let room = Room { cpu_milli: cpu, gpus: count(has), whole: count(has.minus(taken)), parts: Vec::new() };
        Ok(typical.score(&room, &shape(count(wanted), pod_request(&SeenPod(pod), dimension::CPU)?)))
    }

    fn load(&self, cluster: &Snapshot<'_>, pod: &Pod, node: &Node) -> Result<Score> {
        let load = self.loads.get(&node.name_any());
        let occupancy = |resource: &str, used: Option<i64>| -> Result<Occupancy> {
            let requested = cluster.requested(node, resource)?;
            let sample = used.map(|used| Sample { used, placed_since: requested });
            Ok(Occupancy { allocatable: allocatable(node, resource)?, requested, sample })
        };
        let load = NodeLoad {
            cpu: occupancy(dimension::CPU, load.map(|load| load.cpu_milli))?,
            memory: occupancy(dimension::MEMORY, load.map(|load| load.memory))?,
        };
        let wanted = |resource: &str| pod_request(&SeenPod(pod), resource);
        let pod = PodLoad { cpu: wanted(dimension::CPU)?, memory: wanted(dimension::MEMORY)? };
        Ok(LoadSettings::default().score(&load, &pod))
    }
}

fn shape(gpus: u32, cpu_milli: Amount) -> Shape {
    let gpus = if gpus == 0 { GpuRequest::Nothing } else { GpuRequest::Whole(gpus) };
    Shape { cpu_milli, gpus }
}

fn count(amount: Amount) -> u32 {
    u32::try_from(amount.units()).unwrap_or(u32::MAX)
}
