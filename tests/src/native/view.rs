//! Kubernetes' typed objects as the policy code looks at them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use weir_model::{ContainerShape, NodeView, PodShape, PodView, RequirementView, Resources, TermView};

/// A pod as the API server tells of it.
#[derive(Clone, Copy)]
pub(super) struct SeenPod<'a>(pub(super) &'a Pod);

/// A node as the API server tells of it.
#[derive(Clone, Copy)]
pub(super) struct SeenNode<'a>(pub(super) &'a Node);

impl<'a> SeenPod<'a> {
    fn spec(self) -> Option<&'a PodSpec> {
        self.0.spec.as_ref()
    }

    /// The terms of its required node affinity.
    pub(super) fn terms(self) -> &'a [NodeSelectorTerm] {
        let affinity = self.spec().and_then(|spec| spec.affinity.as_ref()?.node_affinity.as_ref());
        let required = affinity.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
        required.map_or(&[], |required| &required.node_selector_terms)
    }
}

impl PodShape for SeenPod<'_> {
    fn containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        self.spec().into_iter().flat_map(|spec| &spec.containers).map(SeenContainer)
    }

    fn init_containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        self.spec().into_iter().flat_map(|spec| spec.init_containers.iter().flatten()).map(SeenContainer)
    }

    fn overhead(&self) -> impl Resources<'_> {
        pairs(self.spec().and_then(|spec| spec.overhead.as_ref()))
    }
}

impl PodView for SeenPod<'_> {
    fn node_selector(&self, label: &str) -> Option<&str> {
        self.spec()?.node_selector.as_ref()?.get(label).map(String::as_str)
    }

    fn required_node_affinity(&self) -> impl Iterator<Item = impl TermView> {
        self.terms().iter().map(SeenTerm)
    }
}

struct SeenContainer<'a>(&'a Container);

impl ContainerShape for SeenContainer<'_> {
    fn requests(&self) -> impl Resources<'_> {
        pairs(self.0.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
    }

    fn is_sidecar(&self) -> bool {
        self.0.restart_policy.as_deref() == Some("Always")
    }
}

struct SeenTerm<'a>(&'a NodeSelectorTerm);

impl TermView for SeenTerm<'_> {
    fn match_expressions(&self) -> impl Iterator<Item = impl RequirementView> {
        self.0.match_expressions.iter().flatten().map(SeenRequirement)
    }

    fn match_fields(&self) -> impl Iterator<Item = impl RequirementView> {
        self.0.match_fields.iter().flatten().map(SeenRequirement)
    }
}

struct SeenRequirement<'a>(&'a NodeSelectorRequirement);

impl RequirementView for SeenRequirement<'_> {
    fn key(&self) -> &str {
        &self.0.key
    }

    fn operator(&self) -> &str {
        &self.0.operator
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        self.0.values.iter().flatten().map(String::as_str)
    }
}

impl NodeView for SeenNode<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.0.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.0.metadata.annotations.as_ref()?.get(key).map(String::as_str)
    }

    fn capacity(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(self.0.status.as_ref().and_then(|status| status.capacity.as_ref()))
    }

    fn allocatable(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(self.0.status.as_ref().and_then(|status| status.allocatable.as_ref()))
    }
}

fn pairs(resources: Option<&BTreeMap<String, Quantity>>) -> impl Iterator<Item = (&str, &str)> {
    resources.into_iter().flatten().map(|(name, Quantity(text))| (name.as_str(), text.as_str()))
}
