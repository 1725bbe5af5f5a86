//! What is replayed, and why nothing can be.

use weir_placement::binpack::TypicalPodsError;

use super::workload::Fractions;
use crate::openb::{TraceNode, TracePod};

/// The experiment: a cluster, pods and a load.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The cluster.
    pub nodes: Vec<TraceNode>,
    /// The pods that arrive, some of them again when the trace is too short for the load.
    pub pods: Vec<TracePod>,
    /// The GPUs that all pods ask for, in percent of the cluster's; at least 100.
    pub load_percent: u32,
    /// The seeds; each is one run. A seed decides order and choice of the pods, and chance among equal nodes.
    pub seeds: Vec<u64>,
    /// Which of the nodes with equal scores gets the pod.
    pub ties: Ties,
    /// Whether gpu-filter is on.
    pub gpu_filter: GpuFilter,
    /// The treatment of pods that ask for a part of a GPU.
    pub fractions: Fractions,
}

/// Which of the nodes with equal scores gets the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// Any node, as in kube-scheduler.
    Random,
    /// The first node by name, as in the published simulator.
    Name,
}

/// Whether GPU hosts and CPU hosts are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuFilter {
    /// Pods without GPUs may use GPU hosts.
    Off,
    /// GPU hosts are for pods that ask for GPUs.
    On,
}

/// The reason why nothing can be replayed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// No node has a GPU.
    #[error("nodes: none of them has a GPU; there is nothing to pack")]
    NoGpus,
    /// No pod asks for a GPU.
    #[error("pods: none of them asks for a GPU (of the kind that is left); there is nothing to pack")]
    NoDemand,
    /// Too low a load.
    #[error("load: {0} % is below 100 %, where the first figures are taken; ask for more")]
    LowLoad(u32),
    /// No run is asked for.
    #[error("seeds: name at least one")]
    NoSeed,
    /// The shapes of the pods cannot be used.
    #[error("pods: {0}")]
    Typical(#[from] TypicalPodsError),
}
