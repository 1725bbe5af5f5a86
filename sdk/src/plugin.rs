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
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, node, pod};
/// use kube_scheduler_guest::{Filter, Node, Pod, Status};
///
/// struct NotCordoned;
/// impl Filter for NotCordoned {
///     fn filter(&self, _: &Pod, node: &Node) -> Status {
///         if node.unschedulable() { Status::unschedulable("node(s) were cordoned") } else { Status::success() }
///     }
/// }
///
/// let mut host = FakeHost::new().pod(pod("p")).node(node("n1").cordoned());
/// assert_eq!(host.filter(&NotCordoned, "n1").reason(), "node(s) were cordoned");
/// ```
pub trait Filter {
    /// Success if the pod may run on the node; else why not.
    fn filter(&self, pod: &Pod, node: &Node) -> Status;
}

/// Asked once for each pod and each node that passed all filters: how good is it?
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, node, pod};
/// use kube_scheduler_guest::{Node, Pod, PreScore, Score, Status};
///
/// struct ManyCores;
/// impl Score for ManyCores {
///     fn score(&self, _: &Pod, node: &Node) -> Result<i32, Status> {
///         Ok((node.capacity().amount("cpu").units() / 1000) as i32)
///     }
/// }
/// impl PreScore for ManyCores {
///     fn pre_score(&self, pod: &Pod) -> Status {
///         if pod.request("cpu").is_zero() { Status::skip() } else { Status::success() }
///     }
/// }
///
/// let mut host = FakeHost::new().pod(pod("p").request("cpu", "1")).node(node("n1").capacity("cpu", "512"));
/// assert!(host.pre_score(&ManyCores).is_success());
/// assert_eq!(host.score(&ManyCores, "n1"), Ok(100), "brought to the nearest bound");
/// ```
pub trait Score {
    /// A number between 0 and 100, more is better. What is outside is brought to the nearest bound:
    /// kube-scheduler would fail the pod's whole attempt.
    ///
    /// # Errors
    /// A status that ends this attempt to schedule the pod.
    fn score(&self, pod: &Pod, node: &Node) -> Result<i32, Status>;
}

/// Asked once for each pod, before any filter.
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, pod};
/// use kube_scheduler_guest::{Pod, PreFilter, PreFilterResult, Status};
///
/// struct OnNamedHost;
/// impl PreFilter for OnNamedHost {
///     fn pre_filter(&self, pod: &Pod) -> Result<PreFilterResult, Status> {
///         Ok(match pod.annotations().get("host") {
///             Some(host) => PreFilterResult::Only(vec![host.into()]),
///             None => PreFilterResult::AllNodes,
///         })
///     }
/// }
///
/// let mut host = FakeHost::new().pod(pod("p").annotation("host", "n1"));
/// assert_eq!(host.pre_filter(&OnNamedHost), Ok(PreFilterResult::Only(vec!["n1".into()])));
/// ```
pub trait PreFilter {
    /// Which nodes are worth looking at.
    ///
    /// # Errors
    /// A status that ends the attempt, or [`Status::skip`] to leave this plugin's filter out for this pod.
    fn pre_filter(&self, pod: &Pod) -> Result<PreFilterResult, Status>;
}

/// Which nodes are worth looking at.
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, pod};
/// use kube_scheduler_guest::{Pod, PreFilter, PreFilterResult, Status};
///
/// struct Nowhere;
/// impl PreFilter for Nowhere {
///     fn pre_filter(&self, _: &Pod) -> Result<PreFilterResult, Status> {
///         Ok(PreFilterResult::Only(vec![]))
///     }
/// }
/// let answer = FakeHost::new().pod(pod("p")).pre_filter(&Nowhere);
/// assert_eq!(answer, Err(Status::unresolvable("no node is worth looking at")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PreFilterResult {
    /// All of them, as far as this plugin knows.
    #[default]
    AllNodes,
    /// Only those with these names; none at all makes the pod unschedulable.
    Only(Vec<String>),
}

/// Asked once for each pod, after the filters and before the scores.
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, pod};
/// use kube_scheduler_guest::{Code, Node, Pod, PreScore, Score, Status};
///
/// struct SmallFirst;
/// impl Score for SmallFirst {
///     fn score(&self, _: &Pod, node: &Node) -> Result<i32, Status> {
///         Ok(100 - (node.capacity().amount("cpu").units() / 1000) as i32)
///     }
/// }
/// impl PreScore for SmallFirst {
///     fn pre_score(&self, pod: &Pod) -> Status {
///         if pod.labels().get("size") == Some("small") { Status::success() } else { Status::skip() }
///     }
/// }
/// let asked = |size| FakeHost::new().pod(pod("p").label("size", size)).pre_score(&SmallFirst).code();
/// assert_eq!((asked("small"), asked("large")), (Code::Success, Code::Skip));
/// ```
pub trait PreScore: Score {
    /// Success to be asked for scores, [`Status::skip`] to leave this plugin's scores out for this pod.
    fn pre_score(&self, pod: &Pod) -> Status;
}

/// Asked when no node passed the filters: can the pod be made schedulable?
///
/// The extension answers success with nothing for every filter module that does not export this point, which
/// ends the chain; see RATIONALE.md.
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, pod};
/// use kube_scheduler_guest::{Code, Filter, Node, NodeStatuses, Nomination, Pod, PostFilter, Status};
///
/// struct Hopeful;
/// impl Filter for Hopeful {
///     fn filter(&self, _: &Pod, _: &Node) -> Status {
///         Status::success()
///     }
/// }
/// impl PostFilter for Hopeful {
///     fn post_filter(&self, _: &Pod, nodes: &NodeStatuses) -> Result<Nomination, Status> {
///         let node = nodes.iter().find(|(_, code)| *code == Code::Unschedulable);
///         node.map(|(node, _)| Nomination::Node(node.into())).ok_or_else(|| Status::unschedulable("nobody can go"))
///     }
/// }
///
/// let mut host = FakeHost::new().pod(pod("p")).node_status("n1", Code::Unschedulable);
/// assert_eq!(host.post_filter(&Hopeful), Ok(Nomination::Node("n1".into())));
/// ```
pub trait PostFilter: Filter {
    /// Where the pod could go once something was done about it.
    ///
    /// # Errors
    /// [`Status::unschedulable`] when nothing can be done; then the next plugin is asked.
    fn post_filter(&self, pod: &Pod, nodes: &NodeStatuses) -> Result<Nomination, Status>;
}

/// What a [`PostFilter`] does about the node that is nominated for a pod. [`PostFilter`] has an example.
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
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, pod};
/// use kube_scheduler_guest::{Code, Filter, Node, NodeStatuses, Nomination, Pod, PostFilter, Status};
///
/// struct Counts;
/// impl Filter for Counts {
///     fn filter(&self, _: &Pod, _: &Node) -> Status {
///         Status::success()
///     }
/// }
/// impl PostFilter for Counts {
///     fn post_filter(&self, _: &Pod, nodes: &NodeStatuses) -> Result<Nomination, Status> {
///         let full = nodes.iter().filter(|(_, code)| *code == Code::Unschedulable).count();
///         Err(Status::unschedulable(format!("{full} of {} node(s) would do if they were empty", nodes.iter().count())))
///     }
/// }
/// let host = FakeHost::new().pod(pod("p")).node_status("n1", Code::Unschedulable);
/// let refused = host.node_status("n2", Code::UnschedulableAndUnresolvable).post_filter(&Counts).unwrap_err();
/// assert_eq!(refused.reason(), "1 of 2 node(s) would do if they were empty");
/// ```
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
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, pod};
/// use kube_scheduler_guest::{Node, Pod, PreFilter, PreFilterExtensions, PreFilterResult, Status};
///
/// struct OnePerNode;
/// impl PreFilter for OnePerNode {
///     fn pre_filter(&self, _: &Pod) -> Result<PreFilterResult, Status> {
///         Ok(PreFilterResult::AllNodes)
///     }
/// }
/// impl PreFilterExtensions for OnePerNode {
///     fn add_pod(&self, _: &Pod, added: &Pod, node: &Node) -> Status {
///         Status::unschedulable(format!("{} is on {}", added.name(), node.name()))
///     }
///     fn remove_pod(&self, _: &Pod, _: &Pod, _: &Node) -> Status {
///         Status::success()
///     }
/// }
///
/// let mut host = FakeHost::new().pod(pod("p")).target_pod(pod("other"));
/// assert_eq!(host.add_pod(&OnePerNode, "n1").reason(), "other is on n1");
/// assert!(host.remove_pod(&OnePerNode, "n1").is_success());
/// ```
pub trait PreFilterExtensions: PreFilter {
    /// As if `added` were on the node.
    fn add_pod(&self, pod: &Pod, added: &Pod, node: &Node) -> Status;

    /// As if `removed` were gone from the node.
    fn remove_pod(&self, pod: &Pod, removed: &Pod, node: &Node) -> Status;
}

/// Tells kube-scheduler when a pod that this plugin has rejected is worth another attempt.
///
/// Without it, every event in the cluster is taken as a reason to try again.
///
/// ```
/// use kube_scheduler_guest::testing::FakeHost;
/// use kube_scheduler_guest::{ActionType, ClusterEvent, EnqueueExtensions, Resource};
///
/// struct OnNodes;
/// impl EnqueueExtensions for OnNodes {
///     fn events_to_register(&self) -> Vec<ClusterEvent> {
///         vec![ClusterEvent::new(Resource::Node, ActionType::ADD | ActionType::UPDATE_NODE_LABEL)]
///     }
/// }
/// assert_eq!(FakeHost::new().events_to_register(&OnNodes).len(), 1);
/// ```
pub trait EnqueueExtensions {
    /// The events. An empty list is read by the host as "all of them".
    fn events_to_register(&self) -> Vec<ClusterEvent>;
}
