//! Nodes and pods in the words of the tests, and what a pod says of itself.
//!
//! A builder begins with what is usual, so that a test mentions only what it is about. Labels, annotations and
//! reasons are literals here, because they are what users see: a renamed constant does not rename them.

mod names;
mod node;
mod pod;
mod read;

pub use names::{GPU, GPU_MODEL, HOSTNAME};
pub use node::{NodeBuilder, node};
pub use pod::{PodBuilder, pod, weir_pod};
pub use read::{
    ADMITTED, Condition, PREEMPTED, REFUSED, bound_to, condition, grounds, is_admitted, is_gated, unschedulable,
};
