//! A node that is being judged.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::OnceCell;

use weir_model::{Amount, NodeView, node_state};

use super::object::Object;
use super::wire::{Index, Message, Positions, positions};
use super::{Quantities, Texts};
use crate::host::{self, Call, CurrentNodeName, NamedNode};

/// The node that is being judged, read from the host when it is first asked for more than its name.
///
/// Reading a node is the dearest thing that a plugin does: the host has to write it down for us, about 20 µs
/// for a Node of a real cluster. A plugin that can say its verdict from the pod alone should do so first.
///
/// If the host does not answer, or not with a node, everything is empty and the verdict of the call becomes
/// an error that names the host function.
///
/// ```
/// use kube_scheduler_guest::testing::node;
/// let node = node("n1").label("zone", "a").taint("dedicated", "gpu", "NoSchedule").build();
/// assert_eq!(node.name(), "n1");
/// assert_eq!(node.labels().get("zone"), Some("a"));
/// assert_eq!(node.taints().next().map(|taint| taint.effect()), Some("NoSchedule"));
/// assert!(!node.unschedulable());
/// ```
#[derive(Debug, Default)]
pub struct Node {
    /// Its name where that is all that the host has told; else it stands in the object.
    name: Option<String>,
    object: OnceCell<Object>,
    status: Index<4>,
}

/// The marks in front of a node that is told in place of its name, the first only where the pod is another one
/// than that of the call before.
const ANOTHER_POD: u8 = 1;
const INLINE: u8 = 2;

/// The annotation in which a host hands over the node as it made it before.
const PACKED: &str = "node.weir.dev/packed";

/// Fields of NodeStatus and their positions in the index.
const IN_STATUS: Positions = positions([1, 2, 4, 8]);
const CAPACITY: usize = 0;
const ALLOCATABLE: usize = 1;
const CONDITIONS: usize = 2;
const IMAGES: usize = 3;

/// What the host says about the pod of a call that is about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodOfCall {
    /// Nothing, so nothing may be kept for the next call.
    Unsaid,
    /// It is another one than that of the call before.
    Another,
    /// It is the one of the call before.
    Same,
}

impl Node {
    /// The node that this call is about, and whether the host says that its pod is the one of the call before.
    ///
    /// A host that knows how to (ABI.md) tells the node itself in place of its name, behind marks with which
    /// no name begins.
    pub(crate) fn current() -> (Self, PodOfCall) {
        let told = host::ask(CurrentNodeName);
        match told.as_slice() {
            [INLINE, ..] => (Self::inline(told, 1), PodOfCall::Same),
            [ANOTHER_POD, INLINE, ..] => (Self::inline(told, 2), PodOfCall::Another),
            _ => (Self::named(told), PodOfCall::Unsaid),
        }
    }

    fn inline(told: Vec<u8>, start: usize) -> Self {
        Self { object: Object::behind(told, start).into(), ..Self::default() }
    }

    /// A node as the host returns it for a name.
    pub(crate) fn answered(bytes: Vec<u8>) -> Self {
        Self { object: Object::new(bytes).unpacked(PACKED).into(), ..Self::default() }
    }

    fn named(told: Vec<u8>) -> Self {
        let name = String::from_utf8(told).unwrap_or_else(|_| {
            host::fail(CurrentNodeName::NAME, &"the name is not UTF-8");
            String::new()
        });
        Self { name: Some(name), ..Self::default() }
    }

    /// A node from the bytes of its protobuf message, for tests and for tools outside a scheduler.
    ///
    /// ```
    /// use kube_scheduler_guest::{Node, testing::node};
    /// let bytes = node("n1").label("zone", "a").build().protobuf().to_vec();
    /// assert_eq!(Node::from_protobuf(bytes).labels().get("zone"), Some("a"));
    /// ```
    #[must_use]
    pub fn from_protobuf(bytes: Vec<u8>) -> Self {
        Self { object: Object::new(bytes).into(), ..Self::default() }
    }

    /// The bytes of its protobuf message, empty if it was never read.
    #[cfg(not(target_family = "wasm"))]
    #[must_use]
    pub fn protobuf(&self) -> &[u8] {
        self.object.get().map_or(&[], Object::bytes)
    }

    /// The bytes of the node, empty if it was never read.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn into_protobuf(self) -> Vec<u8> {
        self.object.into_inner().map(Object::into_bytes).unwrap_or_default()
    }

    /// `metadata.name`. Asking for it does not fetch the node.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.object().name())
    }

    /// `metadata.labels`.
    #[must_use]
    pub fn labels(&self) -> Texts<'_> {
        self.object().labels()
    }

    /// `metadata.annotations`. A host that tells what is requested on a node and how busy it is, does so
    /// here, under `node.weir.dev/`.
    #[must_use]
    pub fn annotations(&self) -> Texts<'_> {
        self.object().annotations()
    }

    /// `spec.unschedulable`: the node is cordoned.
    #[must_use]
    pub fn unschedulable(&self) -> bool {
        self.object().spec().int(4) != 0
    }

    /// `spec.taints`.
    pub fn taints(&self) -> impl Iterator<Item = Taint<'_>> {
        self.object().spec().messages(5).map(Taint)
    }

    /// `status.capacity`: what the node has, whether it can give it at the moment or not.
    #[must_use]
    pub fn capacity(&self) -> Quantities<'_> {
        Quantities::new(self.object().front_of_status(&self.status, CAPACITY), 1)
    }

    /// `status.allocatable`: what the node can give to pods altogether, used or not.
    ///
    /// ```
    /// use kube_scheduler_guest::testing::node;
    /// let node = node("n1").capacity("cpu", "8").allocatable("cpu", "7500m").build();
    /// assert_eq!(node.capacity().amount("cpu").units(), 8000);
    /// assert_eq!(node.allocatable().amount("cpu").units(), 7500);
    /// ```
    #[must_use]
    pub fn allocatable(&self) -> Quantities<'_> {
        Quantities::new(self.status(ALLOCATABLE), 2)
    }

    /// `status.conditions`: what the node's own agent and others say of it.
    pub fn conditions(&self) -> impl Iterator<Item = NodeCondition<'_>> {
        self.status(CONDITIONS).messages(4).map(NodeCondition)
    }

    /// `status.images`: the container images on the node, the largest of them.
    pub fn images(&self) -> impl Iterator<Item = ContainerImage<'_>> {
        self.status(IMAGES).messages(8).map(ContainerImage)
    }

    /// What the pods on the node request of a resource, in its base unit: milli-CPU for `cpu`, whole units
    /// for all others. `None` when the host does not say, as the unmodified extension never does.
    ///
    /// ```
    /// use kube_scheduler_guest::testing::node;
    /// let node = node("n1").annotation("node.weir.dev/requested.nvidia.com/gpu", "3").build();
    /// assert_eq!(node.requested("nvidia.com/gpu").map(|gpus| gpus.units()), Some(3));
    /// assert_eq!(node.requested("cpu"), None);
    /// ```
    #[must_use]
    pub fn requested(&self, resource: &str) -> Option<Amount> {
        node_state::requested(self, resource)
    }

    /// How many pods are on the node; `None` when the host does not say.
    ///
    /// ```
    /// use kube_scheduler_guest::testing::node;
    /// let node = node("n1").annotation("node.weir.dev/requested-pods", "7").build();
    /// assert_eq!(node.requested_pods().map(|pods| pods.units()), Some(7));
    /// ```
    #[must_use]
    pub fn requested_pods(&self) -> Option<Amount> {
        node_state::requested_pods(self)
    }

    /// What the node was seen to use of a resource, in its base unit; `None` when there is no fresh sample.
    /// It is what was reported, so it may be nonsense.
    ///
    /// ```
    /// use kube_scheduler_guest::testing::node;
    /// let told = |key: &str| format!("node.weir.dev/{key}.cpu");
    /// let node = node("n1").annotation(&told("load"), "800").annotation(&told("load-sampled-requested"), "2000");
    /// let node = node.build();
    /// assert_eq!(node.load("cpu"), Some(800));
    /// assert_eq!(node.load_sampled_requested("cpu").map(|cpu| cpu.units()), Some(2000));
    /// assert_eq!(node.load("memory"), None);
    /// ```
    #[must_use]
    pub fn load(&self, resource: &str) -> Option<i64> {
        node_state::load(self, resource)
    }

    /// What was requested on the node when its load was sampled; `None` when there is no fresh sample.
    #[must_use]
    pub fn load_sampled_requested(&self, resource: &str) -> Option<Amount> {
        node_state::load_sampled_requested(self, resource)
    }

    fn status(&self, position: usize) -> Message<'_> {
        self.object().status_part(&self.status, &IN_STATUS, position)
    }

    fn object(&self) -> &Object {
        self.object.get_or_init(|| {
            // Without an object there is a name.
            let name = self.name.as_deref().unwrap_or_default();
            let bytes = host::ask(NamedNode(name));
            if bytes.is_empty() {
                host::fail(NamedNode::NAME, &format_args!("the host knows no node `{name}`"));
            }
            Object::new(bytes).unpacked(PACKED)
        })
    }
}

impl NodeView for Node {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels().get(key)
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations().get(key)
    }

    fn capacity(&self) -> impl Iterator<Item = (&str, &str)> {
        Self::capacity(self).iter()
    }

    fn allocatable(&self) -> impl Iterator<Item = (&str, &str)> {
        Self::allocatable(self).iter()
    }
}

/// A taint of a [`Node`].
///
/// ```
/// use kube_scheduler_guest::testing::node;
/// let node = node("n1").taint("dedicated", "gpu", "NoSchedule").build();
/// let taint = node.taints().next().unwrap();
/// assert_eq!((taint.key(), taint.value(), taint.effect()), ("dedicated", "gpu", "NoSchedule"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Taint<'a>(Message<'a>);

impl<'a> Taint<'a> {
    /// Its key.
    #[must_use]
    pub fn key(self) -> &'a str {
        self.0.text(1)
    }

    /// Its value, often empty.
    #[must_use]
    pub fn value(self) -> &'a str {
        self.0.text(2)
    }

    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[must_use]
    pub fn effect(self) -> &'a str {
        self.0.text(3)
    }
}

/// A condition of a [`Node`].
///
/// ```
/// use kube_scheduler_guest::testing::node;
/// let node = node("n1").condition("MemoryPressure", "True", "KubeletHasInsufficientMemory").build();
/// let pressure = node.conditions().find(|condition| condition.kind().ends_with("Pressure")).unwrap();
/// assert_eq!((pressure.status(), pressure.reason()), ("True", "KubeletHasInsufficientMemory"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NodeCondition<'a>(Message<'a>);

impl<'a> NodeCondition<'a> {
    /// `type`: `Ready`, `MemoryPressure` and others.
    #[must_use]
    pub fn kind(self) -> &'a str {
        self.0.text(1)
    }

    /// `True`, `False` or `Unknown`.
    #[must_use]
    pub fn status(self) -> &'a str {
        self.0.text(2)
    }

    /// Why, in one word.
    #[must_use]
    pub fn reason(self) -> &'a str {
        self.0.text(5)
    }

    /// Why, in a sentence.
    #[must_use]
    pub fn message(self) -> &'a str {
        self.0.text(6)
    }
}

/// A container image on a [`Node`].
///
/// ```
/// use kube_scheduler_guest::testing::node;
/// let node = node("n1").image("example.com/train:2", 8_000_000_000).build();
/// let image = node.images().find(|image| image.names().any(|name| name == "example.com/train:2"));
/// assert_eq!(image.map(|image| image.size_bytes()), Some(8_000_000_000));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ContainerImage<'a>(Message<'a>);

impl<'a> ContainerImage<'a> {
    /// The names under which it is known.
    pub fn names(self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.texts(1)
    }

    /// Its size.
    #[must_use]
    pub fn size_bytes(self) -> i64 {
        self.0.int(2)
    }
}
