//! Which class of host a pod and a node belong to: asked of the same policy code as the placement filters.
//!
//! The queue counts in dimensions, which are resources of a class (A10). Were the class decided here a
//! second time, a pod could be admitted in one class and placed in another.

use std::collections::BTreeMap;

use weir_entitlement::Exclusion;
use weir_model::{Amount, Class};

use crate::pod::{Obstacle, PodShape};
use crate::selector::Taint;

/// What the filters say of pods and nodes. With a filter off, its classes fall together: the implementation
/// then names one class for all of them.
pub trait Hosts: Send + Sync {
    /// Whether this resource name means GPUs.
    fn is_gpu(&self, resource: &str) -> bool;

    /// The class that a pod may run on.
    ///
    /// # Errors
    /// What stands in the pod's way: an unknown model, or models that exclude each other.
    fn pod_class(&self, shape: &PodShape) -> Result<Class, Obstacle>;

    /// The class that a node is of.
    fn node_class(&self, node: &Node) -> Class;
}

/// A node, as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// `status.capacity`, in base units: a device that is only there tells what kind of host it is.
    pub capacity: BTreeMap<String, Amount>,
    /// `status.allocatable`, in base units; `pods` is the number of pods.
    pub allocatable: BTreeMap<String, Amount>,
    /// Why nothing new goes there; `None` for a usable node.
    pub excluded: Option<Exclusion>,
}
