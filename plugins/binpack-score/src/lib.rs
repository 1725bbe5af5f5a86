//! BinPackScore: GPU pods sit close together, so that whole hosts stay free for pods that need whole hosts.
//!
//! The two ways to score are `policy/placement/src/binpack.rs`; this file reads pod and node, asks and
//! answers. Pods without GPUs are not scored. README.md says what it means for operators.
#![no_std]

extern crate alloc;

use alloc::string::ToString;

use kube_scheduler_guest::{Node, Plugin, Pod, PreScore, Score, Status, export, klog};
use weir_model::{Amount, dimension};
use weir_placement::binpack::{GpuRequest, Room, Shape, TypicalPods, most_allocated};
use weir_placement::gpu::GpuNames;
use weir_placement::score;

mod settings;
pub use settings::{Settings, Strategy, TypicalPod};

static BLIND: klog::Once = klog::Once::new(
    "this host does not say what is requested on a node (node.weir.dev/requested.*), so all nodes get the same score",
);

/// The plugin, with what means GPU in this cluster and the way to score.
#[derive(Debug)]
pub struct BinPackScore {
    names: GpuNames,
    /// The pods that fragmentation is measured against; `None` for the most allocated.
    typical: Option<TypicalPods>,
}

impl Plugin for BinPackScore {
    type Settings = Settings;

    fn new(settings: Settings) -> anyhow::Result<Self> {
        let typical = settings.typical()?;
        Ok(Self { names: GpuNames::new(settings.gpu_resources, [].into())?, typical })
    }
}

impl PreScore for BinPackScore {
    fn pre_score(&self, pod: &Pod) -> Status {
        match self.names.asks_for_gpus(pod) {
            Ok(true) => Status::success(),
            Ok(false) => Status::skip(),
            Err(error) => Status::error(error.to_string()),
        }
    }
}

impl Score for BinPackScore {
    fn score(&self, pod: &Pod, node: &Node) -> Result<i32, Status> {
        let Some(gpus) = self.gpus(pod, node) else {
            BLIND.info();
            return Ok(score::Score::NEUTRAL.points().into());
        };
        let points = match &self.typical {
            None => most_allocated(gpus.allocatable, gpus.requested, gpus.wanted),
            Some(typical) => typical.score(&room(&gpus, node)?, &shape(&gpus, pod)),
        };
        Ok(points.points().into())
    }
}

/// The GPUs of a node and of a pod, in pieces.
struct Gpus {
    allocatable: Amount,
    requested: Amount,
    wanted: Amount,
}

impl BinPackScore {
    /// Sums over all GPU resources of the node; `None` when the host does not say what is requested.
    fn gpus(&self, pod: &Pod, node: &Node) -> Option<Gpus> {
        let mut gpus = Gpus { allocatable: Amount::ZERO, requested: Amount::ZERO, wanted: Amount::ZERO };
        for (resource, _) in node.allocatable().iter().filter(|(resource, _)| self.names.is_gpu(resource)) {
            gpus.allocatable += node.allocatable().amount(resource);
            gpus.requested += node.requested(resource)?;
            gpus.wanted += pod.request(resource);
        }
        Some(gpus)
    }
}

/// What the node has left. A pod takes whole devices here: the resource cannot be split.
fn room(gpus: &Gpus, node: &Node) -> Result<Room, Status> {
    let cpu =
        node.requested(dimension::CPU).ok_or_else(|| Status::error("the host does not say what CPU is requested"))?;
    Ok(Room {
        cpu_milli: node.allocatable().amount(dimension::CPU).minus(cpu),
        gpus: pieces(gpus.allocatable),
        whole: pieces(gpus.allocatable.minus(gpus.requested)),
        parts: [].into(),
    })
}

fn shape(gpus: &Gpus, pod: &Pod) -> Shape {
    let gpus = match pieces(gpus.wanted) {
        0 => GpuRequest::Nothing,
        count => GpuRequest::Whole(count),
    };
    Shape { cpu_milli: pod.request(dimension::CPU), gpus }
}

fn pieces(amount: Amount) -> u32 {
    u32::try_from(amount.units()).unwrap_or(u32::MAX)
}

export!(pure BinPackScore: PreScore, Score);
