//! Nodes, and which class of host a pod and a node belong to: asked of the same policy code as the placement
//! filters.
//!
//! The queue counts in dimensions, which are resources of a class (A10). Were the class decided here a
//! second time, a pod could be admitted in one class and placed in another.

use std::collections::BTreeMap;

use weir_entitlement::Exclusion;
use weir_model::{Amount, Class};

use super::pod::{Obstacle, PodShape};
use super::selector::{Effect, Taint};

/// What the filters say of pods and nodes. With a filter off, its classes fall together: the implementation
/// then names one class for all of them.
///
/// ```
/// use weir_model::Class;
/// use weir_queue::{Hosts, Node, Obstacle, PodShape};
/// /// A cluster in which every host has GPUs.
/// struct OneClass;
/// impl Hosts for OneClass {
///     fn is_gpu(&self, resource: &str) -> bool { resource == "nvidia.com/gpu" }
///     fn pod_class(&self, _: &PodShape) -> Result<Class, Obstacle> { Ok(Class::GpuHosts) }
///     fn node_class(&self, _: &Node) -> Class { Class::GpuHosts }
/// }
/// assert_eq!(OneClass.pod_class(&PodShape::default()), Ok(OneClass.node_class(&Node::default())));
/// ```
pub trait Hosts: Send + Sync {
    /// Whether this resource name means GPUs.
    fn is_gpu(&self, resource: &str) -> bool;

    /// The class that a pod may run on.
    ///
    /// # Errors
    /// The obstacle in the pod's way: an unknown model, or models that exclude each other.
    fn pod_class(&self, shape: &PodShape) -> Result<Class, Obstacle>;

    /// The class that a node is of.
    fn node_class(&self, node: &Node) -> Class;
}

/// A node, as it is now.
///
/// ```
/// use weir_model::Amount;
/// use weir_queue::Node;
/// let allocatable = [("nvidia.com/gpu".to_owned(), Amount::new(8)), ("pods".to_owned(), Amount::new(110))].into();
/// let node = Node { name: "node-0".into(), allocatable, ..Node::default() };
/// assert!(node.excluded.is_none(), "a node is usable unless something excludes it");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The node's name.
    pub name: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `spec.taints`.
    pub taints: Vec<Taint>,
    /// `status.capacity`, in base units: a device that is only in the capacity still tells what kind of host it is.
    pub capacity: BTreeMap<String, Amount>,
    /// `status.allocatable`, in base units; `pods` is the number of pods.
    pub allocatable: BTreeMap<String, Amount>,
    /// Why nothing new goes to the node; `None` for a usable node.
    pub excluded: Option<Exclusion>,
}

impl Node {
    /// Whether selectors, required affinity and taints let a pod of this shape on the node, whatever is free there.
    ///
    /// ```
    /// use weir_queue::{Node, PodShape};
    /// let mut shape = PodShape::default();
    /// shape.node_selector.insert("zone".into(), "a".into());
    /// let mut node = Node { name: "n".into(), ..Node::default() };
    /// assert!(!node.admits(&shape));
    /// node.labels.insert("zone".into(), "a".into());
    /// assert!(node.admits(&shape));
    /// ```
    #[must_use]
    pub fn admits(&self, shape: &PodShape) -> bool {
        let Self { name, labels, taints, .. } = self;
        let repels = |taint: &Taint| {
            taint.effect != Effect::PreferNoSchedule && !shape.tolerations.iter().any(|one| one.tolerates(taint))
        };
        shape.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            && (shape.affinity.is_empty() || shape.affinity.iter().any(|term| term.matches(name, labels)))
            && !taints.iter().any(repels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::selector::{Operator, Requirement, Term, Toleration};

    fn admits(shape: &PodShape, name: &str, labels: &BTreeMap<String, String>, taints: &[Taint]) -> bool {
        let (labels, taints) = (labels.clone(), taints.to_vec());
        Node { name: name.into(), labels, taints, ..Node::default() }.admits(shape)
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
    }

    fn requires(key: &str, operator: Operator) -> PodShape {
        let expressions = vec![Requirement { key: key.into(), operator }];
        PodShape { affinity: vec![Term { expressions, names: vec![] }], ..PodShape::default() }
    }

    #[test]
    fn each_operator_reads_a_label_as_kubernetes_does() {
        let node = labels(&[("model", "T4"), ("slots", "8")]);
        let fits = |operator, key| admits(&requires(key, operator), "n", &node, &[]);
        assert!(fits(Operator::In(vec!["A10".into(), "T4".into()]), "model"));
        assert!(!fits(Operator::In(vec!["A10".into()]), "absent"));
        assert!(fits(Operator::NotIn(vec!["A10".into()]), "absent"));
        assert!(!fits(Operator::NotIn(vec!["T4".into()]), "model"));
        assert!(fits(Operator::Exists, "model") && !fits(Operator::Exists, "absent"));
        assert!(fits(Operator::DoesNotExist, "absent") && !fits(Operator::DoesNotExist, "model"));
        assert!(fits(Operator::Gt(7), "slots") && !fits(Operator::Gt(8), "slots"));
        assert!(fits(Operator::Lt(9), "slots") && !fits(Operator::Lt(9), "model"));
    }

    #[test]
    fn a_term_without_requirements_matches_no_node() {
        let shape = PodShape { affinity: vec![Term::default()], ..PodShape::default() };
        assert!(!admits(&shape, "n", &labels(&[]), &[]));
    }

    #[test]
    fn a_pod_can_be_bound_to_one_node_by_name() {
        let names = vec![Requirement { key: "metadata.name".into(), operator: Operator::In(vec!["b".into()]) }];
        let shape = PodShape { affinity: vec![Term { expressions: vec![], names }], ..PodShape::default() };
        assert!(!admits(&shape, "a", &labels(&[]), &[]));
        assert!(admits(&shape, "b", &labels(&[]), &[]));
    }

    #[test]
    fn a_taint_repels_a_pod_that_does_not_tolerate_key_value_and_effect() {
        let taint = Taint { key: "gpu".into(), value: "yes".into(), effect: Effect::NoSchedule };
        let with = |toleration| PodShape { tolerations: vec![toleration], ..PodShape::default() };
        let key = Some("gpu".to_owned());
        let fits = |shape: PodShape| admits(&shape, "n", &labels(&[]), std::slice::from_ref(&taint));
        assert!(!fits(PodShape::default()));
        assert!(fits(with(Toleration::default())));
        assert!(fits(with(Toleration { key: key.clone(), ..Toleration::default() })));
        assert!(fits(with(Toleration { key: key.clone(), value: Some("yes".into()), ..Toleration::default() })));
        assert!(!fits(with(Toleration { key: key.clone(), value: Some("no".into()), ..Toleration::default() })));
        assert!(!fits(with(Toleration { key, effect: Some(Effect::NoExecute), ..Toleration::default() })));
        let soft = Taint { effect: Effect::PreferNoSchedule, ..taint.clone() };
        assert!(admits(&PodShape::default(), "n", &labels(&[]), &[soft]));
    }
}
