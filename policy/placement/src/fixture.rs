//! Pods and nodes for tests, as little of them as a rule looks at.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use weir_model::{ContainerShape, NodeView, PodShape, PodView, RequirementView, Resources, TermView};

type Pairs = Vec<(String, String)>;

fn pairs(pairs: &Pairs) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

fn value<'a>(list: &'a Pairs, key: &str) -> Option<&'a str> {
    pairs(list).find(|&(name, _)| name == key).map(|(_, value)| value)
}

/// A pod with one container that asks for nothing.
pub(crate) fn pod() -> Pod {
    Pod::default()
}

/// A node without labels that has nothing.
pub(crate) fn node() -> Node {
    Node::default()
}

/// A term of a node affinity without requirements.
pub(crate) fn term() -> Term {
    Term::default()
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Pod {
    container: Container,
    selector: Pairs,
    terms: Vec<Term>,
}

impl Pod {
    pub(crate) fn requests(mut self, resource: &str, quantity: &str) -> Self {
        self.container.requests.push((resource.to_owned(), quantity.to_owned()));
        self
    }

    pub(crate) fn selects(mut self, label: &str, value: &str) -> Self {
        self.selector.push((label.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn affinity(mut self, terms: impl IntoIterator<Item = Term>) -> Self {
        self.terms.extend(terms);
        self
    }
}

#[derive(Clone, Debug, Default)]
struct Container {
    requests: Pairs,
}

impl ContainerShape for &Container {
    fn requests(&self) -> impl Resources<'_> {
        pairs(&self.requests)
    }

    fn is_sidecar(&self) -> bool {
        false
    }
}

impl PodShape for Pod {
    fn containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        core::iter::once(&self.container)
    }

    fn init_containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        core::iter::empty::<&Container>()
    }

    fn overhead(&self) -> impl Resources<'_> {
        core::iter::empty()
    }
}

impl PodView for Pod {
    fn node_selector(&self, label: &str) -> Option<&str> {
        value(&self.selector, label)
    }

    fn required_node_affinity(&self) -> impl Iterator<Item = impl TermView> {
        self.terms.iter()
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Term {
    expressions: Vec<Requirement>,
    fields: Vec<Requirement>,
}

impl Term {
    pub(crate) fn with(mut self, key: &str, operator: &'static str, values: &[&str]) -> Self {
        self.expressions.push(Requirement::new(key, operator, values));
        self
    }

    pub(crate) fn one_of(self, key: &str, values: &[&str]) -> Self {
        self.with(key, "In", values)
    }

    pub(crate) fn on_node(mut self, name: &str) -> Self {
        self.fields.push(Requirement::new("metadata.name", "In", &[name]));
        self
    }
}

impl TermView for &Term {
    fn match_expressions(&self) -> impl Iterator<Item = impl RequirementView> {
        self.expressions.iter()
    }

    fn match_fields(&self) -> impl Iterator<Item = impl RequirementView> {
        self.fields.iter()
    }
}

#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    operator: &'static str,
    values: Vec<String>,
}

impl Requirement {
    fn new(key: &str, operator: &'static str, values: &[&str]) -> Self {
        Self { key: key.to_owned(), operator, values: values.iter().map(|&value| value.to_owned()).collect() }
    }
}

impl RequirementView for &Requirement {
    fn key(&self) -> &str {
        &self.key
    }

    fn operator(&self) -> &str {
        self.operator
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(String::as_str)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    labels: Pairs,
    resources: Pairs,
}

impl Node {
    pub(crate) fn labelled(mut self, key: &str, value: &str) -> Self {
        self.labels.push((key.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn has(mut self, resource: &str, quantity: &str) -> Self {
        self.resources.push((resource.to_owned(), quantity.to_owned()));
        self
    }
}

impl NodeView for Node {
    fn label(&self, key: &str) -> Option<&str> {
        value(&self.labels, key)
    }

    fn annotation(&self, _: &str) -> Option<&str> {
        None
    }

    fn capacity(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.resources)
    }

    fn allocatable(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.resources)
    }
}
