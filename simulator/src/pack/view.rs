//! A line of the trace as Weir's placement rules see it: the same pods and nodes that `make run` creates from it,
//! reduced to what a filter reads.

use weir_model::{ContainerShape, NodeView, PodShape, PodView, RequirementView, Resources, TermView};

use crate::openb::{TraceNode, TracePod};

/// The resource that pods ask for and GPU hosts have.
pub(super) const GPU: &str = weir_model::dimension::GPU;

/// A pod of the trace. A part of a GPU counts as asking for one.
pub(super) struct SeenPod {
    gpus: String,
}

impl SeenPod {
    pub(super) fn new(pod: &TracePod) -> Self {
        Self { gpus: pod.gpus.to_string() }
    }
}

impl PodShape for SeenPod {
    fn containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        std::iter::once(SeenContainer(self))
    }

    fn init_containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        std::iter::empty::<SeenContainer<'_>>()
    }

    fn overhead(&self) -> impl Resources<'_> {
        std::iter::empty()
    }
}

impl PodView for SeenPod {
    fn node_selector(&self, _: &str) -> Option<&str> {
        None
    }

    fn required_node_affinity(&self) -> impl Iterator<Item = impl TermView> {
        std::iter::empty::<NoTerm>()
    }
}

struct SeenContainer<'a>(&'a SeenPod);

impl ContainerShape for SeenContainer<'_> {
    fn requests(&self) -> impl Resources<'_> {
        std::iter::once((GPU, self.0.gpus.as_str()))
    }

    fn is_sidecar(&self) -> bool {
        false
    }
}

/// The affinity of a pod: none in the trace. Its list of models counts where a pod is fitted.
enum NoTerm {}

impl TermView for NoTerm {
    fn match_expressions(&self) -> impl Iterator<Item = impl RequirementView> {
        std::iter::empty::<Self>()
    }

    fn match_fields(&self) -> impl Iterator<Item = impl RequirementView> {
        std::iter::empty::<Self>()
    }
}

impl RequirementView for NoTerm {
    fn key(&self) -> &str {
        match *self {}
    }

    fn operator(&self) -> &str {
        match *self {}
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
}

/// A node of the trace.
pub(super) struct SeenNode {
    gpus: String,
}

impl SeenNode {
    pub(super) fn new(node: &TraceNode) -> Self {
        Self { gpus: node.gpus.to_string() }
    }

    fn resources(&self) -> impl Iterator<Item = (&str, &str)> {
        (self.gpus != "0").then_some((GPU, self.gpus.as_str())).into_iter()
    }
}

impl NodeView for SeenNode {
    fn label(&self, _: &str) -> Option<&str> {
        None
    }

    fn annotation(&self, _: &str) -> Option<&str> {
        None
    }

    fn capacity(&self) -> impl Iterator<Item = (&str, &str)> {
        self.resources()
    }

    fn allocatable(&self) -> impl Iterator<Item = (&str, &str)> {
        self.resources()
    }
}
