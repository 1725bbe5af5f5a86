//! What an author implements: one trait for each extension point, with upstream's names.
//!
//! A plugin implements [`Plugin`] (by itself, if it is `Default`) and the traits of the points at which it
//! wants to be asked, and lists those in [`export!`](crate::export).

use alloc::string::String;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;

use crate::settings::NoSettings;
use crate::{ClusterEvent, Code, Node, Pod, Status};

/// How a plugin is made from its settings, once, when the scheduler loads it.
///
/// A type that is `Default` is a plugin without settings. Otherwise:
///
/// ```
/// use kube_scheduler_guest::Plugin;
/// use serde::Deserialize;
///
/// struct ZoneFilter {
///     zone: String,
/// }
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Settings {
///     zone: String,
/// }
///
/// impl Plugin for ZoneFilter {
///     type Settings = Settings;
///     fn new(settings: Settings) -> anyhow::Result<Self> {
///         anyhow::ensure!(!settings.zone.is_empty(), "zone: name the zone to which pods go");
///         Ok(Self { zone: settings.zone })
///     }
/// }
///
/// use kube_scheduler_guest::testing::FakeHost;
/// let loaded = FakeHost::new().config(r#"{"zone": ""}"#).load::<ZoneFilter>();
/// assert_eq!(loaded.err().unwrap(), "settings: zone: name the zone to which pods go");
/// ```
pub trait Plugin: Sized {
    /// The settings as they stand in the scheduler's configuration, as JSON. `deny_unknown_fields` makes a
    /// mistyped key an error at load; without it, it would silently mean the default.
    type Settings: DeserializeOwned;

    /// Makes the plugin, or says what is wrong with the settings; then the scheduler does not load it.
    ///
    /// # Errors
    /// When the settings make no sense. The message should begin with the name of the field.
    fn new(settings: Self::Settings) -> anyhow::Result<Self>;
}

impl<P: Default> Plugin for P {
    type Settings = NoSettings;
    fn new(_: NoSettings) -> anyhow::Result<Self> {
        Ok(Self::default())
    }
}

/// Asked once for each pod and node: may the pod run there?
pub trait Filter {
    /// Success if the pod may run on the node; else why not.
    fn filter(&self, pod: &Pod, node: &Node) -> Status;
}

/// Asked once for each pod and each node that passed all filters: how good is it?
pub trait Score {
    /// A number between 0 and 100, more is better. What is outside is brought to the nearest bound:
    /// kube-scheduler would fail the pod's whole attempt.
    ///
    /// # Errors
    /// A status that ends this attempt to schedule the pod.
    fn score(&self, pod: &Pod, node: &Node) -> Result<i32, Status>;
}

/// Asked once for each pod, before any filter.
pub trait PreFilter {
    /// Which nodes are worth looking at.
    ///
    /// # Errors
    /// A status that ends the attempt, or [`Status::skip`] to leave this plugin's filter out for this pod.
    fn pre_filter(&self, pod: &Pod) -> Result<PreFilterResult, Status>;
}

/// Which nodes are worth looking at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PreFilterResult {
    /// All of them, as far as this plugin knows.
    #[default]
    AllNodes,
    /// Only those with these names; none at all makes the pod unschedulable.
    Only(Vec<String>),
}

/// Asked once for each pod, after the filters and before the scores.
pub trait PreScore: Score {
    /// Success to be asked for scores, [`Status::skip`] to leave this plugin's scores out for this pod.
    fn pre_score(&self, pod: &Pod) -> Status;
}

/// Asked when no node passed the filters: can the pod be made schedulable?
///
/// The extension answers success with nothing for every filter module that does not export this point, which
/// ends the chain; see RATIONALE.md.
pub trait PostFilter: Filter {
    /// Where the pod could go once something was done about it.
    ///
    /// # Errors
    /// [`Status::unschedulable`] when nothing can be done; then the next plugin is asked.
    fn post_filter(&self, pod: &Pod, nodes: &NodeStatuses) -> Result<Nomination, Status>;
}

/// What a [`PostFilter`] does about the node that is nominated for a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Nomination {
    /// Leaves it as it is.
    #[default]
    Keep,
    /// Nominates this node.
    Node(String),
    /// Nominates none.
    Clear,
}

/// What became of the nodes in the filters: names and codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatuses(pub(crate) Vec<(String, i32)>);

impl NodeStatuses {
    /// The nodes, each with the code that it got; a code that this crate does not know is an error's.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Code)> {
        self.0.iter().map(|(node, code)| (node.as_str(), Code::from_number(*code)))
    }
}

/// Asked while kube-scheduler tries out what would be if a pod came to a node or left it, so that a filter
/// that keeps something per cycle can keep it right.
pub trait PreFilterExtensions: PreFilter {
    /// As if `added` were on the node.
    fn add_pod(&self, pod: &Pod, added: &Pod, node: &Node) -> Status;

    /// As if `removed` were gone from the node.
    fn remove_pod(&self, pod: &Pod, removed: &Pod, node: &Node) -> Status;
}

/// Tells kube-scheduler when a pod that this plugin has rejected is worth another attempt.
///
/// Without it, every event in the cluster is taken as a reason to try again.
pub trait EnqueueExtensions {
    /// The events. An empty list is read by the host as "all of them".
    fn events_to_register(&self) -> Vec<ClusterEvent>;
}
