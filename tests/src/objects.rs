//! Nodes and pods in the words of the tests, and what a pod says of itself.
//!
//! A builder begins with what is usual, so that a test mentions only what it is about. Labels, annotations and
//! reasons are literals here, because they are what users see: a renamed constant does not rename them.

mod node;
mod pod;
mod read;

pub use node::{NodeBuilder, node};
pub use pod::{PodBuilder, pod, weir_pod};
pub use read::{
    ADMITTED, Condition, PREEMPTED, REFUSED, bound_to, condition, grounds, is_admitted, is_gated, unschedulable,
};

/// The resource that is GPUs.
pub const GPU: &str = "nvidia.com/gpu";

/// The label with a node's GPU model, which a pod selects.
pub const GPU_MODEL: &str = "gpu-node-label-model";

/// The label by which a pod asks for one node without being tied to it.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
