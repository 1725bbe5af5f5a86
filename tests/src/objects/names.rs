//! The well-known names of the tests, as literals.

/// The resource that is GPUs.
pub const GPU: &str = "nvidia.com/gpu";

/// The label with a node's GPU model, which a pod selects.
pub const GPU_MODEL: &str = "gpu-node-label-model";

/// The label by which a pod asks for one node without being tied to it.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
