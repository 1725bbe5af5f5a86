//! For tests: a fake host, and builders of pods and nodes. Not compiled into WebAssembly.

mod fake_host;
pub(crate) mod message;

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

pub use self::fake_host::FakeHost;
use self::message::Message;
use crate::{Node, Pod};

/// Begins a pod with this name, and one container that asks for nothing.
///
/// ```
/// use kube_scheduler_guest::testing::pod;
/// let pod = pod("p").build();
/// assert_eq!((pod.name(), pod.containers().count(), pod.request("cpu").units()), ("p", 1, 0));
/// ```
#[must_use]
pub fn pod(name: &str) -> PodBuilder {
    PodBuilder { name: name.to_string(), ..PodBuilder::default() }
}

/// Begins a node with this name, which has nothing and says nothing.
///
/// ```
/// use kube_scheduler_guest::testing::node;
/// let node = node("n1").build();
/// assert_eq!((node.name(), node.labels().is_empty(), node.capacity().is_empty()), ("n1", true, true));
/// ```
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
    preferences: Vec<Message>,
    near: Vec<Message>,
    apart: Vec<Message>,
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
    pub fn affinity_in(mut self, key: &str, values: &[&str]) -> Self {
        self.terms.push(Message::new().message(1, requirement_in(key, values)));
        self
    }

    /// Binds the pod to one node by its name, as the DaemonSet controller does.
    #[must_use]
    pub fn bound_to(mut self, node: &str) -> Self {
        self.terms.push(Message::new().message(2, requirement_in("metadata.name", &[node])));
        self
    }

    /// Adds to the preferred node affinity that a label had better have one of these values, which counts so much.
    #[must_use]
    pub fn preference_in(mut self, weight: u8, key: &str, values: &[&str]) -> Self {
        let term = Message::new().message(1, requirement_in(key, values));
        self.preferences.push(Message::new().int(1, weight.into()).message(2, term));
        self
    }

    /// Wants to be near pods with this label; nodes are near each other that share the value of the label `topology`.
    #[must_use]
    pub fn near(mut self, key: &str, value: &str, topology: &str) -> Self {
        self.near.push(pod_term(key, value, topology));
        self
    }

    /// Wants to be away from pods with this label; see [`PodBuilder::near`].
    #[must_use]
    pub fn apart_from(mut self, key: &str, value: &str, topology: &str) -> Self {
        self.apart.push(pod_term(key, value, topology));
        self
    }

    /// The pod.
    #[must_use]
    pub fn build(self) -> Pod {
        let mut container = Message::new().text(1, "main").message(8, resource_requirements(&self.requests));
        container = container.text(14, "IfNotPresent");
        let mut spec = Message::new().message(2, container).map(7, &self.selector);
        // Node affinity has a selector around its terms, the other two have them in a list.
        let selector = Message::new().several(1, self.terms);
        let nodes = Message::new().several(1, Some(selector).filter(Message::has_any)).several(2, self.preferences);
        let parts = [nodes, Message::new().several(1, self.near), Message::new().several(1, self.apart)];
        let parts = (1..).zip(parts).filter(|(_, part)| part.has_any());
        let affinity = parts.fold(Message::new(), |all, (number, part)| all.message(number, part));
        spec = spec.several(18, Some(affinity).filter(Message::has_any));
        for requests in &self.init_requests {
            spec = spec.message(20, Message::new().text(1, "init").message(8, resource_requirements(requests)));
        }
        spec = spec.several(22, self.tolerations);
        let metadata = metadata(&self.name, &self.labels, &self.annotations).text(5, &self.uid);
        Pod::from_protobuf(Message::new().message(1, metadata).message(2, spec).0)
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
    conditions: Vec<Message>,
    images: Vec<Message>,
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

    /// Adds a condition, such as `("Ready", "False", "KubeletNotReady")`.
    #[must_use]
    pub fn condition(mut self, kind: &str, status: &str, reason: &str) -> Self {
        self.conditions.push(Message::new().text(1, kind).text(2, status).text(5, reason));
        self
    }

    /// Adds a container image that the node has.
    #[must_use]
    pub fn image(mut self, name: &str, size_bytes: u64) -> Self {
        self.images.push(Message::new().text(1, name).int(2, size_bytes));
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
        let spec = Message::new().int(4, u64::from(self.unschedulable)).several(5, self.taints);
        let status = Message::new().quantities(1, &self.capacity).quantities(2, &self.allocatable);
        let status = status.several(4, self.conditions).several(8, self.images);
        let metadata = metadata(&self.name, &self.labels, &self.annotations);
        Node::from_protobuf(Message::new().message(1, metadata).message(2, spec).message(3, status).0)
    }
}

impl From<NodeBuilder> for Node {
    fn from(builder: NodeBuilder) -> Self {
        builder.build()
    }
}

fn metadata(name: &str, labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> Message {
    Message::new().text(1, name).text(3, "default").map(11, labels).map(12, annotations)
}

fn requirement_in(key: &str, values: &[&str]) -> Message {
    let requirement = Message::new().text(1, key).text(2, "In");
    values.iter().fold(requirement, |all, value| all.text(3, value))
}

fn pod_term(key: &str, value: &str, topology: &str) -> Message {
    let labels = BTreeMap::from([(key.to_string(), value.to_string())]);
    Message::new().message(1, Message::new().map(1, &labels)).text(3, topology)
}

fn resource_requirements(requests: &BTreeMap<String, String>) -> Message {
    Message::new().quantities(2, requests)
}
