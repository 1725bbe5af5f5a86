//! Views of a pod and of a node, as far as placement rules may ask of them.
//!
//! The rules of `policy/placement` are written against these two traits and nothing else. The SDK's lazy
//! views implement them inside a scheduler plugin, the admission sidecar implements them for its typed
//! objects, the simulator for a line of a trace: one rule, three worlds, no copy of it.

use alloc::string::{String, ToString};

use crate::requests::PodShape;

/// A pod as far as placement looks at it.
pub trait PodView: PodShape {
    /// The value that `spec.nodeSelector` wants for a label, if it names the label.
    fn node_selector(&self, label: &str) -> Option<&str>;

    /// The terms of `spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution`, one of
    /// which a node has to meet; none when the pod has no such affinity.
    fn required_node_affinity(&self) -> impl Iterator<Item = impl TermView>;
}

/// One term of a required node affinity; a node meets it when it meets all its requirements.
pub trait TermView {
    /// Requirements on the node's labels.
    fn match_expressions(&self) -> impl Iterator<Item = impl RequirementView>;
    /// Requirements on the node's fields; the only field there is, is `metadata.name`.
    fn match_fields(&self) -> impl Iterator<Item = impl RequirementView>;
}

/// One requirement of a term.
///
/// ```
/// use weir_model::RequirementView;
///
/// /// A label, and what it has to be.
/// struct In(&'static str, &'static [&'static str]);
///
/// impl RequirementView for In {
///     fn key(&self) -> &str {
///         self.0
///     }
///     fn operator(&self) -> &str {
///         "In"
///     }
///     fn values(&self) -> impl Iterator<Item = &str> {
///         self.1.iter().copied()
///     }
/// }
/// let zone = In("zone", &["a", "b"]);
/// assert_eq!((zone.key(), zone.operator(), zone.values().any(|value| value == "b")), ("zone", "In", true));
/// ```
pub trait RequirementView {
    /// The label or field.
    fn key(&self) -> &str;
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`, as Kubernetes writes it.
    fn operator(&self) -> &str;
    /// The values that the operator compares with.
    fn values(&self) -> impl Iterator<Item = &str>;
}

/// A node as far as placement looks at it.
///
/// ```
/// use weir_model::{NodeView, node_state};
///
/// /// A node of which only its annotations are known.
/// struct Told(&'static [(&'static str, &'static str)]);
///
/// impl NodeView for Told {
///     fn label(&self, _: &str) -> Option<&str> {
///         None
///     }
///     fn annotation(&self, key: &str) -> Option<&str> {
///         self.0.iter().find(|(found, _)| *found == key).map(|(_, value)| *value)
///     }
///     fn capacity(&self) -> impl Iterator<Item = (&str, &str)> {
///         [].into_iter()
///     }
///     fn allocatable(&self) -> impl Iterator<Item = (&str, &str)> {
///         [].into_iter()
///     }
/// }
///
/// let node = Told(&[("node.weir.dev/requested.cpu", "1500"), ("node.weir.dev/load.cpu", "-7")]);
/// assert_eq!(node_state::requested(&node, "cpu").map(|cpu| cpu.units()), Some(1500));
/// assert_eq!(node_state::load(&node, "cpu"), Some(-7), "as it was reported");
/// assert_eq!(node_state::load_sampled_requested(&node, "cpu"), None);
/// assert_eq!(node_state::requested_pods(&node), None);
/// ```
pub trait NodeView {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
    /// The value of an annotation.
    fn annotation(&self, key: &str) -> Option<&str>;
    /// `status.capacity`: names and quantities.
    fn capacity(&self) -> impl Iterator<Item = (&str, &str)>;
    /// `status.allocatable`: names and quantities.
    fn allocatable(&self) -> impl Iterator<Item = (&str, &str)>;
}

/// The name of the one node that the pod may run on at all, as the DaemonSet controller writes it: every
/// term of the required node affinity holds `metadata.name In [node]`, and it is the same node in all.
///
/// Such a pod is not looking for a place, it belongs to one; rules that keep kinds of work apart let it pass.
#[must_use]
pub fn bound_to_one_node(pod: &impl PodView) -> Option<String> {
    let mut bound: Option<String> = None;
    for term in pod.required_node_affinity() {
        let named = term.match_fields().find_map(|field| only_node(&field))?;
        match &bound {
            Some(before) if *before != named => return None,
            _ => bound = Some(named),
        }
    }
    bound
}

fn only_node(field: &impl RequirementView) -> Option<String> {
    if field.key() != "metadata.name" || field.operator() != "In" {
        return None;
    }
    let mut values = field.values();
    match (values.next(), values.next()) {
        (Some(name), None) => Some(name.to_string()),
        _ => None,
    }
}
