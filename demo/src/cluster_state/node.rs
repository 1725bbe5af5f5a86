//! A node, as far as the run needs it.

use weir_model::Amount;

/// A node as the watch told it last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    /// Unique in the cluster.
    pub name: String,
    /// The GPU model of its label; `None` for a CPU host.
    pub model: Option<String>,
    /// Whether that model is kept for the pods that name it.
    pub special: bool,
    /// Whether it takes no new pods: it is cordoned or under maintenance.
    pub cordoned: bool,
    /// Allocatable GPUs.
    pub gpus: Amount,
    /// Allocatable CPU in milli-CPU.
    pub cpu_milli: Amount,
}

impl NodeState {
    /// Whether it is a GPU host: it has GPUs, or a model that says it will have some again.
    #[must_use]
    pub fn is_gpu_host(&self) -> bool {
        self.model.is_some() || !self.gpus.is_zero()
    }

    /// Whether pods that name no special hardware may take GPUs of it.
    #[must_use]
    pub fn takes_general_pods(&self) -> bool {
        !self.special && !self.cordoned && !self.gpus.is_zero()
    }
}
