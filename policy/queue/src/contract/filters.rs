//! The placement filters as [`Hosts`]: the classes that the queue counts in are those of `weir_placement`.
//!
//! Only translates: shapes and nodes of this crate into the views that the filters read, and their answers
//! back.

use weir_model::{Amount, Class, NodeView, PodView, requests, view};
use weir_placement::Filters;
use weir_placement::gpu::GpuNames;

use super::hosts::{Hosts, Node};
use super::pod::{Obstacle, PodShape};
use super::selector::{Operator, Requirement, Term};

/// The placement filters that are on, as [`Hosts`].
///
/// ```
/// use weir_model::Class;
/// use weir_placement::{Filters, gpu::GpuNames};
/// use weir_queue::{FilterHosts, Hosts, Node, PodShape};
/// let gpu = GpuNames::new(vec!["nvidia.com/gpu".into()], vec![])?;
/// let hosts = FilterHosts { filters: Filters { gpu: Some(gpu.clone()), sku: None }, gpu };
/// let mut shape = PodShape::default();
/// shape.requests.insert("nvidia.com/gpu".into(), weir_model::Amount::new(1));
/// assert_eq!(hosts.pod_class(&shape), Ok(Class::GpuHosts));
/// assert_eq!(hosts.node_class(&Node::default()), Class::CpuHosts);
/// # Ok::<(), weir_placement::gpu::GpuNamesError>(())
/// ```
#[derive(Clone)]
pub struct FilterHosts {
    /// The filters that are on.
    pub filters: Filters,
    /// The resource names that mean GPU, even where gpu-filter is off.
    pub gpu: GpuNames,
}

impl Hosts for FilterHosts {
    fn is_gpu(&self, resource: &str) -> bool {
        self.gpu.is_gpu(resource)
    }

    fn pod_class(&self, shape: &PodShape) -> Result<Class, Obstacle> {
        let no = |no: weir_placement::NoClass| Obstacle::Misconfigured(no.to_string());
        self.filters.class_of_pod(&ShapeView::new(shape)).map_err(no)
    }

    fn node_class(&self, node: &Node) -> Class {
        self.filters.class_of_node(&HostView::new(node))
    }
}

/// Names and quantities as text.
type Texts = Vec<(String, String)>;

fn texts<'a>(amounts: impl IntoIterator<Item = (&'a String, &'a Amount)>) -> Texts {
    // Milli-CPU would be written "4000m"; the filters only ask whether a name is there and not zero.
    amounts.into_iter().map(|(name, amount)| (name.clone(), amount.to_string())).collect()
}

fn pairs(texts: &Texts) -> impl Iterator<Item = (&str, &str)> {
    texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))
}

/// A shape as the filters read pods: one container asks for all that the pod asks for.
pub struct ShapeView<'a> {
    shape: &'a PodShape,
    requests: Texts,
    terms: Vec<TermText<'a>>,
}

/// A term with its numbers as text.
struct TermText<'a> {
    expressions: Vec<RequirementText<'a>>,
    names: Vec<RequirementText<'a>>,
}

struct RequirementText<'a> {
    requirement: &'a Requirement,
    number: Option<String>,
}

impl<'a> ShapeView<'a> {
    /// The view of a shape.
    ///
    /// ```
    /// use weir_model::PodView;
    /// use weir_queue::{PodShape, ShapeView};
    /// let mut shape = PodShape::default();
    /// shape.node_selector.insert("zone".into(), "a".into());
    /// assert_eq!(ShapeView::new(&shape).node_selector("zone"), Some("a"));
    /// ```
    #[must_use]
    pub fn new(shape: &'a PodShape) -> Self {
        let requirement = |requirement: &'a Requirement| {
            let number = match requirement.operator {
                Operator::Gt(bound) | Operator::Lt(bound) => Some(bound.to_string()),
                _ => None,
            };
            RequirementText { requirement, number }
        };
        let term = |Term { expressions, names }: &'a Term| TermText {
            expressions: expressions.iter().map(requirement).collect(),
            names: names.iter().map(requirement).collect(),
        };
        Self { shape, requests: texts(&shape.requests), terms: shape.affinity.iter().map(term).collect() }
    }
}

/// All that a pod asks for, as if one container did.
struct Whole<'a>(&'a Texts);

impl requests::ContainerShape for Whole<'_> {
    fn requests(&self) -> impl requests::Resources<'_> {
        pairs(self.0)
    }

    fn is_sidecar(&self) -> bool {
        false
    }
}

impl requests::PodShape for ShapeView<'_> {
    fn containers(&self) -> impl Iterator<Item = impl requests::ContainerShape> {
        std::iter::once(Whole(&self.requests))
    }

    fn init_containers(&self) -> impl Iterator<Item = impl requests::ContainerShape> {
        std::iter::empty::<Whole<'_>>()
    }

    fn overhead(&self) -> impl requests::Resources<'_> {
        std::iter::empty()
    }
}

impl PodView for ShapeView<'_> {
    fn node_selector(&self, label: &str) -> Option<&str> {
        self.shape.node_selector.get(label).map(String::as_str)
    }

    fn required_node_affinity(&self) -> impl Iterator<Item = impl view::TermView> {
        self.terms.iter()
    }
}

impl view::TermView for &TermText<'_> {
    fn match_expressions(&self) -> impl Iterator<Item = impl view::RequirementView> {
        self.expressions.iter()
    }

    fn match_fields(&self) -> impl Iterator<Item = impl view::RequirementView> {
        self.names.iter()
    }
}

impl view::RequirementView for &RequirementText<'_> {
    fn key(&self) -> &str {
        &self.requirement.key
    }

    fn operator(&self) -> &str {
        match self.requirement.operator {
            Operator::In(_) => "In",
            Operator::NotIn(_) => "NotIn",
            Operator::Exists => "Exists",
            Operator::DoesNotExist => "DoesNotExist",
            Operator::Gt(_) => "Gt",
            Operator::Lt(_) => "Lt",
        }
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        let listed = match &self.requirement.operator {
            Operator::In(values) | Operator::NotIn(values) => values.as_slice(),
            _ => &[],
        };
        listed.iter().map(String::as_str).chain(self.number.as_deref())
    }
}

/// A node with its amounts as text.
struct HostView<'a> {
    node: &'a Node,
    capacity: Texts,
    allocatable: Texts,
}

impl<'a> HostView<'a> {
    fn new(node: &'a Node) -> Self {
        Self { node, capacity: texts(&node.capacity), allocatable: texts(&node.allocatable) }
    }
}

impl NodeView for HostView<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.node.labels.get(key).map(String::as_str)
    }

    fn annotation(&self, _: &str) -> Option<&str> {
        None
    }

    fn capacity(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.capacity)
    }

    fn allocatable(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.allocatable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use weir_placement::sku::{MODEL_LABEL, SpecialHardware, SpecialHardwareList, SpecialModel};

    fn hosts() -> FilterHosts {
        let gpu = GpuNames::new(vec!["nvidia.com/gpu".into()], vec![MODEL_LABEL.into()]).unwrap();
        let h100 =
            SpecialModel { model: "H100".into(), aliases: vec![], label_values: BTreeMap::new(), gpus_per_host: 8 };
        let list = SpecialHardwareList { models: vec![h100], ..Default::default() };
        let filters = Filters { gpu: Some(gpu.clone()), sku: Some(SpecialHardware::new(list).unwrap()) };
        FilterHosts { filters, gpu }
    }

    fn asks(requests: &[(&str, i64)]) -> PodShape {
        let requests = requests.iter().map(|&(name, amount)| (name.to_owned(), Amount::new(amount))).collect();
        PodShape { requests, ..PodShape::default() }
    }

    #[test]
    fn pods_and_nodes_have_the_classes_of_the_filters() {
        let hosts = hosts();
        assert_eq!(hosts.pod_class(&asks(&[("cpu", 4000)])), Ok(Class::CpuHosts));
        assert_eq!(hosts.pod_class(&asks(&[("nvidia.com/gpu", 1)])), Ok(Class::GpuHosts));
        let mut special = asks(&[("nvidia.com/gpu", 1)]);
        special.node_selector.insert(MODEL_LABEL.into(), "H100".into());
        assert_eq!(hosts.pod_class(&special), Ok(Class::Sku("H100".into())));
        let labels = BTreeMap::from([(MODEL_LABEL.to_owned(), "H100".to_owned())]);
        assert_eq!(hosts.node_class(&Node { labels, ..Node::default() }), Class::Sku("H100".into()));
        assert_eq!(hosts.node_class(&Node::default()), Class::CpuHosts);
    }

    #[test]
    fn affinity_to_one_special_model_names_it() {
        let operator = Operator::In(vec!["H100".into()]);
        let expressions = vec![Requirement { key: MODEL_LABEL.into(), operator }];
        let mut shape = asks(&[("nvidia.com/gpu", 1)]);
        shape.affinity = vec![Term { expressions, names: vec![] }];
        assert_eq!(hosts().pod_class(&shape), Ok(Class::Sku("H100".into())));
    }

    #[test]
    fn a_model_without_gpus_is_an_obstacle_that_says_what_to_do() {
        let mut shape = asks(&[("cpu", 1)]);
        shape.node_selector.insert(MODEL_LABEL.into(), "H100".into());
        let Err(Obstacle::Misconfigured(what)) = hosts().pod_class(&shape) else { panic!("no class") };
        assert_eq!(what, "the pod names the GPU model H100 and asks for no GPU; ask for GPUs or name no model");
    }
}
