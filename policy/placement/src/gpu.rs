//! GPU hosts are for pods that ask for GPUs, and pods that ask for GPUs run nowhere else.
//!
//! Decides this for one pod and one node. It does not decide whether the GPUs suffice (kube-scheduler's own
//! NodeResourcesFit does) nor which model of GPU a pod may have (the SKU rule does).
//!
//! A host is a GPU host by what it *is*, not by what it has to give at the moment: while a device plugin
//! restarts, a node's allocatable GPUs are 0 for a minute, and CPU work that slipped in then would stay for
//! days. So the name of a GPU resource in its capacity, with whatever amount, or a model label is enough.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use weir_model::view::bound_to_one_node;
use weir_model::{NodeView, PodView, RequestError, requests};

/// What means GPU: names of resources and of node labels.
///
/// ```
/// use weir_placement::gpu::GpuNames;
/// let names = GpuNames::new(vec!["nvidia.com/gpu".into(), "nvidia.com/mig-*".into()], vec![])?;
/// assert!(names.is_gpu("nvidia.com/gpu"));
/// assert!(names.is_gpu("nvidia.com/mig-1g.5gb"));
/// assert!(!names.is_gpu("nvidia.com/gpu.shared"));
/// # Ok::<(), weir_placement::gpu::GpuNamesError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuNames {
    resources: Vec<String>,
    model_labels: Vec<String>,
}

impl GpuNames {
    /// `resources` are names of extended resources, where a `*` at the end stands for any rest;
    /// `model_labels` are keys of node labels that only GPU hosts carry.
    ///
    /// # Errors
    /// When there is no resource name, when a name is empty, or when a `*` stands anywhere but behind
    /// `vendor/`: a pattern that matched `cpu` would make every host a GPU host.
    pub fn new(resources: Vec<String>, model_labels: Vec<String>) -> Result<Self, GpuNamesError> {
        if resources.is_empty() {
            return Err(GpuNamesError::NoResource);
        }
        if let Some(index) = resources.iter().position(|name| !is_resource_pattern(name)) {
            return Err(GpuNamesError::Resource { index });
        }
        match model_labels.iter().position(String::is_empty) {
            Some(index) => Err(GpuNamesError::ModelLabel { index }),
            None => Ok(Self { resources, model_labels }),
        }
    }

    /// Whether a resource of this name is a GPU.
    #[must_use]
    pub fn is_gpu(&self, resource: &str) -> bool {
        self.resources.iter().any(|name| match name.strip_suffix('*') {
            Some(prefix) => resource.starts_with(prefix),
            None => resource == name,
        })
    }

    /// Whether a node is a GPU host, even if it has no GPU to give at the moment.
    #[must_use]
    pub fn is_gpu_host(&self, node: &impl NodeView) -> bool {
        node.capacity().any(|(name, _)| self.is_gpu(name))
            || self.model_labels.iter().any(|key| node.label(key).is_some())
    }

    /// Whether a pod asks for GPUs in any of its containers.
    ///
    /// # Errors
    /// When the quantity of a GPU resource does not parse.
    pub fn asks_for_gpus(&self, pod: &impl PodView) -> Result<bool, RequestError> {
        requests::asks_for(pod, |name| self.is_gpu(name))
    }

    /// Whether the pod may run on the node as far as GPUs go.
    ///
    /// # Errors
    /// The reason why not, in the words that the user reads on the pod.
    pub fn judge(&self, pod: &impl PodView, node: &impl NodeView) -> Result<(), Refusal> {
        let asks = self.asks_for_gpus(pod).map_err(Refusal::Unreadable)?;
        match (asks, self.is_gpu_host(node)) {
            (true, true) | (false, false) => Ok(()),
            (true, false) => Err(Refusal::NoGpuHost),
            // Looked up last: hardly any pod is bound like this.
            (false, true) if bound_to_one_node(pod).is_some() => Ok(()),
            (false, true) => Err(Refusal::KeptForGpuPods),
        }
    }
}

/// Why a pod may not run on a node, as far as GPUs go.
///
/// ```
/// use weir_placement::gpu::Refusal;
/// // What a user reads behind "12 ".
/// assert_eq!(Refusal::NoGpuHost.to_string(), "node(s) had no GPUs, which the pod asks for");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The pod asks for GPUs and the node is not a GPU host.
    NoGpuHost,
    /// The node is a GPU host and the pod asks for no GPU.
    KeptForGpuPods,
    /// What the pod asks for cannot be read.
    Unreadable(RequestError),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // kube-scheduler counts nodes by this text ("12 node(s) had no GPUs"), so it names no node.
        match self {
            Self::NoGpuHost => f.write_str("node(s) had no GPUs, which the pod asks for"),
            Self::KeptForGpuPods => f.write_str("node(s) had GPUs, which are kept for pods that ask for them"),
            Self::Unreadable(source) => source.fmt(f),
        }
    }
}

/// What is wrong with the names that mean GPU.
///
/// ```
/// use weir_placement::gpu::{GpuNames, GpuNamesError};
/// let every_host = GpuNames::new(vec!["nvidia.com/gpu".into(), "cpu".into()], vec![]);
/// assert_eq!(every_host, Err(GpuNamesError::Resource { index: 1 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuNamesError {
    /// No resource is named, so nothing would be a GPU.
    NoResource,
    /// The resource at this position is not of the form `vendor/name` or `vendor/prefix*`.
    Resource {
        /// Its position, counted from 0.
        index: usize,
    },
    /// The label at this position is empty.
    ModelLabel {
        /// Its position, counted from 0.
        index: usize,
    },
}

impl fmt::Display for GpuNamesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoResource => f.write_str("gpuResources: name at least one resource, such as nvidia.com/gpu"),
            Self::Resource { index } => {
                write!(f, "gpuResources[{index}]: write vendor/name, or vendor/prefix* for all that begin so")
            }
            Self::ModelLabel { index } => write!(f, "modelLabels[{index}]: a label key cannot be empty"),
        }
    }
}

impl core::error::Error for GpuNamesError {}

/// `vendor/name`, or `vendor/prefix*` with a prefix that may be empty.
fn is_resource_pattern(pattern: &str) -> bool {
    let (name, any_rest) = match pattern.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (pattern, false),
    };
    let Some((vendor, rest)) = name.split_once('/') else {
        return false;
    };
    !vendor.is_empty() && !name.contains('*') && (any_rest || !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use std::vec;

    fn names(resources: &[&str], model_labels: &[&str]) -> Result<GpuNames, GpuNamesError> {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        GpuNames::new(owned(resources), owned(model_labels))
    }

    #[test]
    fn a_pattern_matches_only_what_stands_behind_its_vendor() {
        let names = names(&["nvidia.com/mig-*", "amd.com/*"], &[]).unwrap();
        let gpus = ["nvidia.com/mig-1g.5gb", "nvidia.com/gpu", "amd.com/gpu", "amd.com.example/gpu", "cpu"]
            .map(|name| names.is_gpu(name));
        assert_eq!(gpus, [true, false, true, false, false]);
    }

    #[test]
    fn names_that_would_make_every_host_a_gpu_host_are_refused() {
        assert_eq!(names(&[], &[]), Err(GpuNamesError::NoResource));
        for name in ["cpu", "*", "/gpu", "nvidia.com/", "nvidia.com/*/gpu", "nvidia*/gpu"] {
            assert_eq!(names(&["a/b", name], &[]), Err(GpuNamesError::Resource { index: 1 }), "{name}");
        }
        assert_eq!(names(&["a/b"], &["model", ""]), Err(GpuNamesError::ModelLabel { index: 1 }));
    }

    #[test]
    fn an_error_begins_with_the_field() {
        let messages = vec![
            GpuNamesError::NoResource.to_string(),
            GpuNamesError::Resource { index: 1 }.to_string(),
            GpuNamesError::ModelLabel { index: 0 }.to_string(),
        ];
        assert_eq!(
            messages,
            [
                "gpuResources: name at least one resource, such as nvidia.com/gpu",
                "gpuResources[1]: write vendor/name, or vendor/prefix* for all that begin so",
                "modelLabels[0]: a label key cannot be empty",
            ]
        );
    }
}
