//! For tests: a fake host, and builders of pods and nodes. Not compiled into WebAssembly.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

pub use crate::host::fake::FakeHost;
use crate::{Node, Pod};

/// Begins a pod with this name, and one container that asks for nothing.
#[must_use]
pub fn pod(name: &str) -> PodBuilder {
    PodBuilder { name: name.to_string(), ..PodBuilder::default() }
}

/// Begins a node with this name.
#[must_use]
pub fn node(name: &str) -> NodeBuilder {
    NodeBuilder { name: name.to_string(), ..NodeBuilder::default() }
}

/// Builds a [`Pod`]; [`PodBuilder::build`] ends it.
///
/// ```
/// use kube_scheduler_guest::testing::pod;
/// let pod = pod("p").uid("1").label("team", "vision").annotation("note", "x").selector("zone", "a");
/// let pod = pod.request("cpu", "500m").init_request("cpu", "2").toleration("dedicated", "Exists", "", "");
/// let pod = pod.affinity_in("disk", &["ssd", "nvme"]).bound_to("n1").build();
/// assert_eq!((pod.name(), pod.uid()), ("p", "1"));
/// assert_eq!(pod.node_selector().get("zone"), Some("a"));
/// assert_eq!(pod.request("cpu").units(), 2000, "the init container needs more");
/// assert_eq!(pod.required_node_affinity().count(), 2);
/// ```
#[derive(Clone, Debug, Default)]
pub struct PodBuilder {
    name: String,
    uid: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    selector: BTreeMap<String, String>,
    requests: BTreeMap<String, String>,
    init_requests: Vec<BTreeMap<String, String>>,
    terms: Vec<Message>,
    tolerations: Vec<Message>,
}

impl PodBuilder {
    /// Sets the UID.
    #[must_use]
    pub fn uid(mut self, uid: &str) -> Self {
        self.uid = uid.to_string();
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_string(), value.to_string());
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_string(), value.to_string());
        self
    }

    /// Adds a label that the node must have.
    #[must_use]
    pub fn selector(mut self, key: &str, value: &str) -> Self {
        self.selector.insert(key.to_string(), value.to_string());
        self
    }

    /// Lets the pod's container ask for something, such as `("nvidia.com/gpu", "8")`.
    #[must_use]
    pub fn request(mut self, resource: &str, quantity: &str) -> Self {
        self.requests.insert(resource.to_string(), quantity.to_string());
        self
    }

    /// Adds an init container that asks for something.
    #[must_use]
    pub fn init_request(mut self, resource: &str, quantity: &str) -> Self {
        self.init_requests.push(BTreeMap::from([(resource.to_string(), quantity.to_string())]));
        self
    }

    /// Adds a toleration; empty texts are what Kubernetes takes them for.
    #[must_use]
    pub fn toleration(mut self, key: &str, operator: &str, value: &str, effect: &str) -> Self {
        self.tolerations.push(Message::new().text(1, key).text(2, operator).text(3, value).text(4, effect));
        self
    }

    /// Adds a term to the required node affinity that wants a label to have one of these values.
    #[must_use]
    pub fn affinity_in(self, key: &str, values: &[&str]) -> Self {
        self.term(1, key, values)
    }

    /// Binds the pod to one node by its name, as the DaemonSet controller does.
    #[must_use]
    pub fn bound_to(self, node: &str) -> Self {
        self.term(2, "metadata.name", &[node])
    }

    /// The pod.
    #[must_use]
    pub fn build(self) -> Pod {
        let mut container = Message::new().text(1, "main").message(8, resource_requirements(&self.requests));
        container = container.text(14, "IfNotPresent");
        let mut spec = Message::new().message(2, container).map(7, &self.selector);
        if !self.terms.is_empty() {
            let selector = self.terms.into_iter().fold(Message::new(), |all, term| all.message(1, term));
            spec = spec.message(18, Message::new().message(1, Message::new().message(1, selector)));
        }
        for requests in &self.init_requests {
            spec = spec.message(20, Message::new().text(1, "init").message(8, resource_requirements(requests)));
        }
        spec = self.tolerations.into_iter().fold(spec, |spec, toleration| spec.message(22, toleration));
        let metadata = metadata(&self.name, &self.labels, &self.annotations).text(5, &self.uid);
        Pod::from_protobuf(Message::new().message(1, metadata).message(2, spec).0)
    }

    fn term(mut self, field: u32, key: &str, values: &[&str]) -> Self {
        let requirement = Message::new().text(1, key).text(2, "In");
        let requirement = values.iter().fold(requirement, |all, value| all.text(3, value));
        self.terms.push(Message::new().message(field, requirement));
        self
    }
}

impl From<PodBuilder> for Pod {
    fn from(builder: PodBuilder) -> Self {
        builder.build()
    }
}

/// Builds a [`Node`]; [`NodeBuilder::build`] ends it.
///
/// ```
/// use kube_scheduler_guest::testing::node;
/// let node = node("n1").label("zone", "a").annotation("note", "x").taint("dedicated", "gpu", "NoSchedule");
/// let node = node.capacity("nvidia.com/gpu", "8").allocatable("nvidia.com/gpu", "0").cordoned().build();
/// assert_eq!(node.capacity().text("nvidia.com/gpu"), Some("8"));
/// assert_eq!(node.allocatable().text("nvidia.com/gpu"), Some("0"));
/// assert!(node.unschedulable());
/// ```
#[derive(Clone, Debug, Default)]
pub struct NodeBuilder {
    name: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    capacity: BTreeMap<String, String>,
    allocatable: BTreeMap<String, String>,
    taints: Vec<Message>,
    unschedulable: bool,
}

impl NodeBuilder {
    /// Adds a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_string(), value.to_string());
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_string(), value.to_string());
        self
    }

    /// What the node has of a resource.
    #[must_use]
    pub fn capacity(mut self, resource: &str, quantity: &str) -> Self {
        self.capacity.insert(resource.to_string(), quantity.to_string());
        self
    }

    /// What the node can give of a resource.
    #[must_use]
    pub fn allocatable(mut self, resource: &str, quantity: &str) -> Self {
        self.allocatable.insert(resource.to_string(), quantity.to_string());
        self
    }

    /// Adds a taint.
    #[must_use]
    pub fn taint(mut self, key: &str, value: &str, effect: &str) -> Self {
        self.taints.push(Message::new().text(1, key).text(2, value).text(3, effect));
        self
    }

    /// Marks the node as cordoned.
    #[must_use]
    pub fn cordoned(mut self) -> Self {
        self.unschedulable = true;
        self
    }

    /// The node.
    #[must_use]
    pub fn build(self) -> Node {
        let mut spec = Message::new().int(4, u64::from(self.unschedulable));
        for taint in self.taints {
            spec = spec.message(5, taint);
        }
        let status = Message::new().quantities(1, &self.capacity).quantities(2, &self.allocatable);
        let metadata = metadata(&self.name, &self.labels, &self.annotations);
        Node::from_protobuf(Message::new().message(1, metadata).message(2, spec).message(3, status).0)
    }
}

impl From<NodeBuilder> for Node {
    fn from(builder: NodeBuilder) -> Self {
        builder.build()
    }
}

/// A NodeList of these nodes.
pub(crate) fn node_list<'a>(nodes: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    nodes.fold(Message::new(), |list, node| list.bytes(2, node)).0
}

fn metadata(name: &str, labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> Message {
    Message::new().text(1, name).text(3, "default").map(11, labels).map(12, annotations)
}

fn resource_requirements(requests: &BTreeMap<String, String>) -> Message {
    Message::new().quantities(2, requests)
}

/// A protobuf message that is being written.
#[derive(Clone, Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn new() -> Self {
        Self::default()
    }

    fn int(mut self, number: u32, value: u64) -> Self {
        self.varint(u64::from(number) << 3);
        self.varint(value);
        self
    }

    fn text(self, number: u32, text: &str) -> Self {
        self.bytes(number, text.as_bytes())
    }

    fn message(self, number: u32, message: Self) -> Self {
        self.bytes(number, &message.0)
    }

    fn map(self, number: u32, map: &BTreeMap<String, String>) -> Self {
        map.iter().fold(self, |all, (key, value)| all.message(number, Self::new().text(1, key).text(2, value)))
    }

    fn quantities(self, number: u32, map: &BTreeMap<String, String>) -> Self {
        map.iter().fold(self, |all, (key, value)| {
            all.message(number, Self::new().text(1, key).message(2, Self::new().text(1, value)))
        })
    }

    fn bytes(mut self, number: u32, bytes: &[u8]) -> Self {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
