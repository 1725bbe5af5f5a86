//! Weir's custom resources and the registry of well-known strings.
//!
//! This crate says what the objects look like and what one object alone must obey; the API server enforces
//! it from the schema, so a mistake is answered by `kubectl apply` and not by a log somewhere. What takes
//! several objects to see (a parent that does not exist, children that reserve more than their parent) is a
//! condition that the sidecar writes. Nothing here decides which pods may run.
//!
//! | object | scope | written by | says |
//! |---|---|---|---|
//! | [`ResourcePool`] | cluster | administrators; status by the sidecar | how the cluster is divided |
//! | [`Gang`] | namespace | the sidecar | how far a gang has come |
//! | [`AdmissionRound`] | cluster, one | the sidecar | what is about to be admitted or evicted |
//! | [`NodeLoad`] | cluster, one per node | the node's agent | how busy a node is |
//!
//! What a Pod says of its admission is read by [`PodInfo`], here and nowhere else.
//!
//! Every label, annotation, condition and metric that Weir reads or writes is a constant of [`names`],
//! [`condition`] or [`metrics`], with a sentence; a test of the workspace refuses the literal elsewhere.

pub mod condition;
pub mod gang;
pub mod metrics;
pub mod node_load;
pub mod pod;
pub mod pool;
pub mod quantity;
pub mod requests;
pub mod round;
mod schema;

pub use weir_model::names;

pub use gang::{Gang, GangSpec, GangStatus};
pub use node_load::{NodeLoad, NodeLoadSpec};
pub use pod::PodInfo;
pub use pool::{ResourcePool, ResourcePoolSpec, ResourcePoolStatus};
pub use round::{AdmissionRound, AdmissionRoundSpec};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::CustomResourceExt;

/// The API group of all of Weir's objects.
pub const GROUP: &str = "weir.dev";
/// The version that is served and stored.
pub const VERSION: &str = "v1alpha1";

/// The definitions of all of Weir's objects, sorted by name, as they are installed.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![AdmissionRound::crd(), Gang::crd(), NodeLoad::crd(), ResourcePool::crd()]
}
