//! What a plugin sees of a pod and of a node: lazy views of the bytes that the host hands out.

mod affinity;
mod map;
mod node;
mod object;
mod pod;
pub(crate) mod wire;

pub use affinity::{PodTerm, Preference, Requirement, Term};
pub use map::{Quantities, Texts};
pub(crate) use node::PodOfCall;
pub use node::{ContainerImage, Node, NodeCondition, Taint};
pub use pod::{Container, Pod, Toleration};
