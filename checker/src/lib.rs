//! The judge of histories: reads what an API server's watch tells and says which of Weir's promises were broken.
//!
//! It is written from the promises and from Kubernetes' own objects. It shares no code with the policy that decides
//! what is judged here: a mistake made twice in the same way would go unseen. Only the entitlements that an admission
//! names are computed again, from the inputs that stand beside it. The judge holds no clock and sends no requests; what
//! the watch did not tell, it does not judge.
//!
//! [`Checker`] takes in the watch, object by object. Each promise is a type of [`promises`] in a file of its own.
//!
//! ```
//! use weir_checker::promises::GpuHosts;
//! use weir_checker::Checker;
//!
//! let mut checker = Checker::new(vec![Box::new(GpuHosts::default())]);
//! let node = serde_json::json!({ "metadata": { "name": "n1", "labels": { "gpu-node-label-model": "T4" } } });
//! checker.node_seen(&serde_json::from_value(node).unwrap());
//! let pod = serde_json::json!({
//!     "metadata": { "namespace": "team", "name": "web", "uid": "u1" },
//!     "spec": { "nodeName": "n1", "containers": [] },
//! });
//! let found = checker.pod_seen(&serde_json::from_value(pod).unwrap());
//! assert_eq!(
//!     found[0].to_string(),
//!     "D1 broken: pod team/web on node n1: asks for no GPU, but this is a GPU host (gpu-node-label-model=T4)"
//! );
//! ```

mod admission;
mod checker;
mod eviction;
mod gang;
mod invariant;
mod moment;
pub mod promises;
mod special_models;

pub use admission::Admission;
pub use checker::Checker;
pub use eviction::{is_evicted, says_why};
pub use invariant::{Breach, Invariant, Violation};
pub use special_models::SpecialModels;

#[cfg(test)]
mod tests;
