//! What the scheduler host tells a plugin of a node beyond the Node object: what is requested there, and how
//! busy it is.
//!
//! It comes as annotations under `node.weir.dev/`, which the host writes into the copy of the Node that a
//! plugin gets and drops where somebody else wrote them (docs/guest-view.md). All values are decimal
//! integers in kube-scheduler's base units. A value that is missing or makes no sense is `None`: "the host
//! does not say", which is never the same as zero.

use alloc::string::String;

use crate::{Amount, NodeView};

/// The prefix of all annotations that the host adds.
pub const PREFIX: &str = "node.weir.dev/";
/// Followed by the name of a resource: what the pods on the node request of it.
pub const REQUESTED: &str = "node.weir.dev/requested.";
/// The number of pods on the node.
pub const REQUESTED_PODS: &str = "node.weir.dev/requested-pods";
/// Followed by the name of a resource: what the node was seen to use of it. Only while the sample is fresh.
pub const LOAD: &str = "node.weir.dev/load.";
/// Followed by the name of a resource: what was requested on the node when that sample was taken.
pub const LOAD_SAMPLED_REQUESTED: &str = "node.weir.dev/load-sampled-requested.";

/// What the pods on the node request of a resource.
#[must_use]
pub fn requested(node: &impl NodeView, resource: &str) -> Option<Amount> {
    amount(node, REQUESTED, resource)
}

/// How many pods are on the node.
#[must_use]
pub fn requested_pods(node: &impl NodeView) -> Option<Amount> {
    not_negative(node.annotation(REQUESTED_PODS)?)
}

/// What the node was seen to use of a resource, as it was reported; whether that can be true is for the
/// reader to judge.
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
