//! State of a node that the scheduler host tells a plugin beyond the Node object: what is requested there, and
//! how busy the node is.
//!
//! It comes as annotations under `node.weir.dev/`, which the host writes into the copy of the Node that a
//! plugin gets, and drops where they stood on the Node before (docs/guest-view.md). All values are decimal
//! integers in kube-scheduler's base units. A value that is missing or makes no sense is `None`: "the host
//! does not say", which is never the same as zero.

use alloc::string::String;

use crate::{Amount, NodeView};

/// The prefix of all annotations that the host adds.
pub const PREFIX: &str = crate::names::NODE_PREFIX;
/// Followed by the name of a resource: what the pods on the node request of it.
pub const REQUESTED: &str = "node.weir.dev/requested.";
/// The number of pods on the node.
pub const REQUESTED_PODS: &str = "node.weir.dev/requested-pods";
/// Followed by the name of a resource: what the node was seen to use of it. Only while the sample is fresh.
pub const LOAD: &str = "node.weir.dev/load.";
/// Followed by the name of a resource: what was requested on the node when that sample was taken.
pub const LOAD_SAMPLED_REQUESTED: &str = "node.weir.dev/load-sampled-requested.";

/// What the pods on the node request of a resource.
///
/// ```
/// # use weir_model::NodeView;
/// # struct Told(&'static [(&'static str, &'static str)]);
/// # impl NodeView for Told {
/// #     fn label(&self, _: &str) -> Option<&str> { None }
/// #     fn annotation(&self, key: &str) -> Option<&str> {
/// #         self.0.iter().find(|(found, _)| *found == key).map(|(_, value)| *value)
/// #     }
/// #     fn capacity(&self) -> impl Iterator<Item = (&str, &str)> { [].into_iter() }
/// #     fn allocatable(&self) -> impl Iterator<Item = (&str, &str)> { [].into_iter() }
/// # }
/// let node = Told(&[("node.weir.dev/requested.cpu", "1500")]);
/// assert_eq!(weir_model::node_state::requested(&node, "cpu").map(|cpu| cpu.units()), Some(1500));
/// assert_eq!(weir_model::node_state::requested(&node, "memory"), None, "the host does not say");
/// ```
#[must_use]
pub fn requested(node: &impl NodeView, resource: &str) -> Option<Amount> {
    amount(node, REQUESTED, resource)
}

/// The number of pods on the node.
///
/// ```
/// # use weir_model::NodeView;
/// # struct Told(&'static [(&'static str, &'static str)]);
/// # impl NodeView for Told {
/// #     fn label(&self, _: &str) -> Option<&str> { None }
/// #     fn annotation(&self, key: &str) -> Option<&str> {
/// #         self.0.iter().find(|(found, _)| *found == key).map(|(_, value)| *value)
/// #     }
/// #     fn capacity(&self) -> impl Iterator<Item = (&str, &str)> { [].into_iter() }
/// #     fn allocatable(&self) -> impl Iterator<Item = (&str, &str)> { [].into_iter() }
/// # }
/// let node = Told(&[("node.weir.dev/requested-pods", "12")]);
/// assert_eq!(weir_model::node_state::requested_pods(&node).map(|pods| pods.units()), Some(12));
/// ```
#[must_use]
pub fn requested_pods(node: &impl NodeView) -> Option<Amount> {
    not_negative(node.annotation(REQUESTED_PODS)?)
}

/// What the node was seen to use of a resource, as it was reported; whether that can be true is for the
/// reader to judge.
///
/// ```
/// # use weir_model::NodeView;
/// # struct Told(&'static [(&'static str, &'static str)]);
/// # impl NodeView for Told {
/// #     fn label(&self, _: &str) -> Option<&str> { None }
/// #     fn annotation(&self, key: &str) -> Option<&str> {
/// #         self.0.iter().find(|(found, _)| *found == key).map(|(_, value)| *value)
/// #     }
/// #     fn capacity(&self) -> impl Iterator<Item = (&str, &str)> { [].into_iter() }
/// #     fn allocatable(&self) -> impl Iterator<Item = (&str, &str)> { [].into_iter() }
/// # }
/// let node = Told(&[("node.weir.dev/load.cpu", "-7")]);
/// assert_eq!(weir_model::node_state::load(&node, "cpu"), Some(-7));
/// ```
#[must_use]
pub fn load(node: &impl NodeView, resource: &str) -> Option<i64> {
    node.annotation(&key(LOAD, resource))?.parse().ok()
}

/// What was requested on the node when its load was sampled.
#[must_use]
pub fn load_sampled_requested(node: &impl NodeView, resource: &str) -> Option<Amount> {
    amount(node, LOAD_SAMPLED_REQUESTED, resource)
}

fn amount(node: &impl NodeView, prefix: &str, resource: &str) -> Option<Amount> {
    not_negative(node.annotation(&key(prefix, resource))?)
}

fn not_negative(text: &str) -> Option<Amount> {
    text.parse().ok().filter(|units| *units >= 0).map(Amount::new)
}

fn key(prefix: &str, resource: &str) -> String {
    let mut key = String::with_capacity(prefix.len() + resource.len());
    key.push_str(prefix);
    key.push_str(resource);
    key
}
