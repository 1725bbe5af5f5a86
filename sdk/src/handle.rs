//! What a plugin can ask the scheduler beyond the pod and the node of the call.
//!
//! A plugin that uses any of this cannot be declared `pure`: its verdict then depends on more than pod and
//! node, and a host that remembered it would be wrong.
//!
//! An answer that makes no sense is an error [`Status`] with the name of the host function, to be handed on
//! with `?`.

pub(crate) mod event;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use self::event::{Event, EventType, ObjectReference};
use crate::host::{self, Call, FilteredNodeList, NamedNode, NodeImageStates, NodeList};
use crate::view::wire::Message;
use crate::{Node, Pod, Status, tree};

/// Every node of the scheduler's snapshot. The host writes all of them down, 11 to 15 KB each: for a large
/// cluster that takes tens of milliseconds and does not fit the memory that most modules allow themselves.
///
/// ```
/// # use kube_scheduler_guest::{testing::{node, pod, FakeHost}, *};
/// # #[derive(Default)]
/// # struct Count;
/// # impl PreFilter for Count {
/// #     fn pre_filter(&self, _: &Pod) -> Result<PreFilterResult, Status> {
/// let in_a = handle::nodes()?.iter().filter(|node| node.labels().get("zone") == Some("a")).count();
/// #         assert_eq!(in_a, 1);
/// #         Ok(PreFilterResult::AllNodes)
/// #     }
/// # }
/// # let mut host = FakeHost::new().node(node("n1").label("zone", "a")).node(node("n2"));
/// # assert!(host.pre_filter(&Count).is_ok());
/// ```
///
/// # Errors
/// When the host's answer is too large, or not a list of nodes.
pub fn nodes() -> Result<Vec<Node>, Status> {
    let list = host::try_ask(NodeList)?;
    Ok(Message(&list).messages(2).map(|node| Node::from_protobuf(node.0.into())).collect())
}

/// A node by its name.
///
/// # Errors
/// When the host knows no such node.
///
/// ```
/// # use kube_scheduler_guest::{testing::{node, FakeHost}, *};
/// # #[derive(Default)]
/// # struct Near;
/// # impl PreFilter for Near {
/// #     fn pre_filter(&self, _: &Pod) -> Result<PreFilterResult, Status> {
/// let zone = handle::node("gateway")?.labels().get("zone").map(String::from);
/// #         assert_eq!(zone.as_deref(), Some("a"));
/// #         Ok(PreFilterResult::AllNodes)
/// #     }
/// # }
/// # let mut host = FakeHost::new().node(node("gateway").label("zone", "a"));
/// # assert!(host.pre_filter(&Near).is_ok());
/// ```
pub fn node(name: &str) -> Result<Node, Status> {
    let bytes = host::try_ask(NamedNode(name))?;
    if bytes.is_empty() {
        return Err(Status::error(format!("node: the host knows no node `{name}`")));
    }
    Ok(Node::answered(bytes))
}

/// The names of the nodes that passed all filters; there are some in PreScore only.
///
/// ```
/// # use kube_scheduler_guest::{testing::{pod, FakeHost}, *};
/// # struct Count;
/// # impl Score for Count {
/// #     fn score(&self, _: &Pod, _: &Node) -> Result<i32, Status> { Ok(0) }
/// # }
/// # impl PreScore for Count {
/// #     fn pre_score(&self, _: &Pod) -> Status {
/// let passed = handle::filtered_nodes().unwrap_or_default();
/// #         assert_eq!(passed, ["n1", "n2"]);
/// #         Status::success()
/// #     }
/// # }
/// # assert!(FakeHost::new().pod(pod("p")).filtered_nodes(&["n1", "n2"]).pre_score(&Count).is_success());
/// ```
///
/// # Errors
/// When the host's answer is not a list of names.
pub fn filtered_nodes() -> Result<Vec<String>, Status> {
    from_json(FilteredNodeList)
}

/// An image on a node, as the scheduler sees the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageState {
    /// Its size in bytes.
    pub size: i64,
    /// How many nodes have it.
    pub num_nodes: i64,
}

/// The images on a node, by name.
///
/// ```
/// # use kube_scheduler_guest::{testing::{pod, FakeHost}, *};
/// # struct Near;
/// # impl Score for Near {
/// #     fn score(&self, _: &Pod, node: &Node) -> Result<i32, Status> {
/// let bytes: i64 = handle::node_images(node.name())?.iter().map(|(_, image)| image.size / image.num_nodes).sum();
/// #         Ok(bytes as i32)
/// #     }
/// # }
/// # let images = r#"{"example.com/train:1": {"Size": 80, "NumNodes": 2}}"#;
/// # assert_eq!(FakeHost::new().pod(pod("p")).node_images("n1", images).score(&Near, "n1"), Ok(40));
/// ```
///
/// # Errors
/// When the host's answer makes no sense.
pub fn node_images(node: &str) -> Result<Vec<(String, ImageState)>, Status> {
    let images: Option<tree::Pairs<ImageState>> = from_json(NodeImageStates(node))?;
    Ok(images.unwrap_or_default().0)
}

impl From<&Pod> for ObjectReference {
    fn from(pod: &Pod) -> Self {
        Self {
            kind: "Pod".into(),
            api_version: "v1".into(),
            name: pod.name().to_string(),
            namespace: pod.namespace().to_string(),
            uid: pod.uid().to_string(),
            resource_version: String::new(),
        }
    }
}

/// Records an event.
///
/// The extension formats the note with one argument too many, so that a person reads
/// `%!(EXTRA <nil>)` behind it; percent signs in the note are kept as they are.
///
/// ```
/// # use kube_scheduler_guest::{testing::{pod, FakeHost}, *};
/// use kube_scheduler_guest::handle::{Event, EventType, record};
///
/// # #[derive(Default)]
/// # struct Talkative;
/// # impl Filter for Talkative {
/// #     fn filter(&self, pod: &Pod, _: &Node) -> Status {
/// record(&Event {
///     regarding: pod.into(),
///     event_type: EventType::Warning,
///     reason: "TooHot".into(),
///     action: "Filtering".into(),
///     note: "no node is below 90 %".into(),
///     ..Event::default()
/// });
/// #         Status::success()
/// #     }
/// # }
/// # let mut host = FakeHost::new().pod(pod("p"));
/// # host.filter(&Talkative, "n1");
/// # assert_eq!(host.events()[0].note, "no node is below 90 %");
/// ```
pub fn record(event: &Event) {
    host::record(event);
}

/// A pod that waits for permission, by its UID; `None` when there is none.
///
/// The extension does not say how large its answer is; a pod of more than 256 KiB is not found either.
///
/// ```
/// # use kube_scheduler_guest::{testing::{pod, FakeHost}, *};
/// # struct Second;
/// # impl Permit for Second {
/// #     fn permit(&self, pod: &Pod, _: &Node) -> Permission {
/// if let Some(first) = handle::waiting_pod("uid-of-the-first") {
///     if first.namespace() != pod.namespace() {
///         handle::reject_waiting_pod("uid-of-the-first");
///     }
/// }
/// #         Permission::Allow
/// #     }
/// # }
/// # let mut host = FakeHost::new().pod(pod("p")).waiting_pod(pod("first").uid("uid-of-the-first"));
/// # assert_eq!(host.permit(&Second, "n1"), Permission::Allow);
/// ```
#[must_use]
pub fn waiting_pod(uid: &str) -> Option<Pod> {
    let mut pod = host::waiting_pod(uid)?;
    // The host does not say how much it wrote; behind the pod there are only zeros.
    pod.truncate(Message(&pod).len_before_zeros());
    (!pod.is_empty()).then(|| Pod::from_protobuf(pod))
}

/// Rejects a pod that waits for permission; false when there is no such pod.
#[must_use]
pub fn reject_waiting_pod(uid: &str) -> bool {
    host::reject_waiting_pod(uid)
}

/// Reads an answer that is JSON.
pub(crate) fn from_json<T: DeserializeOwned, C: Call>(call: C) -> Result<T, Status> {
    let text = host::try_ask(call)?;
    let text = core::str::from_utf8(&text).unwrap_or_default();
    tree::from_json(text).map_err(|error| Status::error(format!("{}{}: {}", C::NAME, error.path, error.what)))
}
