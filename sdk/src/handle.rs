//! What a plugin can ask the scheduler beyond the pod and the node of the call.
//!
//! A plugin that uses any of this cannot be declared `pure`: its verdict then depends on more than pod and
//! node, and a host that remembered it would be wrong.
//!
//! An answer that makes no sense is an error [`Status`] with the name of the host function, to be handed on
//! with `?`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::host::{self, Call};
use crate::view::wire::Message;
use crate::{Node, Pod, Status, tree};

/// Every node of the scheduler's snapshot. The host writes all of them down, 11 to 15 KB each: for a large
/// cluster that takes tens of milliseconds and does not fit the memory that most modules allow themselves.
///
/// # Errors
/// When the host's answer is too large, or not a list of nodes.
pub fn nodes() -> Result<Vec<Node>, Status> {
    let list = host::try_ask(Call::NodeList)?;
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
    let bytes = host::try_ask(Call::Node(name))?;
    if bytes.is_empty() {
        return Err(Status::error(format!("node: the host knows no node `{name}`")));
    }
    Ok(Node::from_protobuf(bytes))
}

/// The names of the nodes that passed all filters; there are some in PreScore only.
///
/// # Errors
/// When the host's answer is not a list of names.
pub fn filtered_nodes() -> Result<Vec<String>, Status> {
    from_json(Call::FilteredNodeList)
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
/// # Errors
/// When the host's answer makes no sense.
pub fn node_images(node: &str) -> Result<Vec<(String, ImageState)>, Status> {
    let images: Option<tree::Pairs<ImageState>> = from_json(Call::NodeImageStates(node))?;
    Ok(images.unwrap_or_default().0)
}

/// An object that an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ObjectReference {
    /// Its kind, such as `Pod`.
    pub kind: String,
    /// Its API version, such as `v1`.
    #[serde(rename = "APIVersion")]
    pub api_version: String,
    /// Its name.
    pub name: String,
    /// Its namespace; empty for what is in none.
    pub namespace: String,
    /// Its UID; empty if it does not matter which one of the name.
    #[serde(rename = "UID")]
    pub uid: String,
    /// Its resource version; empty if it does not matter.
    pub resource_version: String,
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

/// Whether an event is good news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum EventType {
    /// Good to know.
    #[default]
    Normal,
    /// Somebody should look.
    Warning,
}

/// A Kubernetes event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// What it is about.
    #[serde(rename = "RegardingReference")]
    pub regarding: ObjectReference,
    /// What else plays a part in it.
    #[serde(rename = "RelatedReference")]
    pub related: ObjectReference,
    /// Whether it is good news.
    #[serde(rename = "Eventtype")]
    pub event_type: EventType,
    /// Why, in one word: `TooHot`.
    pub reason: String,
    /// What was done: `Scoring`.
    pub action: String,
    /// The sentence that a person reads.
    pub note: String,
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
#[must_use]
pub fn waiting_pod(uid: &str) -> Option<Pod> {
    host::waiting_pod(uid).map(Pod::from_protobuf)
}

/// Rejects a pod that waits for permission; false when there is no such pod.
#[must_use]
pub fn reject_waiting_pod(uid: &str) -> bool {
    host::reject_waiting_pod(uid)
}

/// Reads an answer that is JSON.
pub(crate) fn from_json<T: DeserializeOwned>(call: Call<'_>) -> Result<T, Status> {
    let text = host::try_ask(call)?;
    let text = core::str::from_utf8(&text).unwrap_or_default();
    tree::from_json(text).map_err(|error| Status::error(format!("{}{}: {}", call.name(), error.path, error.what)))
}
