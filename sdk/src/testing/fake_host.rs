//! The host of a test, in the hands of the test: what it answers, and the calls that kube-scheduler would make.

use std::string::{String, ToString};
use std::vec::Vec;

use crate::handle::Event;
use crate::host::fake::Answers;
use crate::klog::Severity;
use crate::{
    Bind, ClusterEvent, Code, EnqueueExtensions, Filter, Node, Nomination, Permission, Permit, Plugin, Pod, PostBind,
    PostFilter, PreBind, PreFilter, PreFilterExtensions, PreFilterResult, PreScore, Reserve, Score, Status, host, run,
};

/// A host for tests: knows what the test told it, records what the plugin told it.
///
/// It runs the same code around a plugin as a scheduler does, so a test sees what kube-scheduler would get.
///
/// ```
/// use kube_scheduler_guest::testing::{node, pod, FakeHost};
/// use kube_scheduler_guest::{Code, Filter, Node, Pod, Status};
///
/// #[derive(Default)]
/// struct OnlySsd;
/// impl Filter for OnlySsd {
///     fn filter(&self, _: &Pod, node: &Node) -> Status {
///         if node.labels().get("disk") == Some("ssd") { Status::success() } else { Status::unschedulable("no SSD") }
///     }
/// }
///
/// let mut host = FakeHost::new().pod(pod("p")).node(node("n1").label("disk", "ssd")).node(node("n2"));
/// assert!(host.filter(&OnlySsd, "n1").is_success());
/// assert_eq!(host.filter(&OnlySsd, "n2").reason(), "no SSD");
/// assert_eq!(host.filter(&OnlySsd, "n3").reason(), "node: the host knows no node `n3`");
/// ```
#[derive(Debug, Default)]
pub struct FakeHost {
    answers: Answers,
}

impl FakeHost {
    /// A host that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The settings that the plugin is loaded with, as JSON.
    #[must_use]
    pub fn config(mut self, json: &str) -> Self {
        self.answers.config = Some(json.to_string());
        self
    }

    /// The pod that is being scheduled.
    #[must_use]
    pub fn pod(self, pod: impl Into<Pod>) -> Self {
        self.pod_bytes(pod.into().into_protobuf())
    }

    /// The pod that is being scheduled, as whatever bytes.
    ///
    /// ```
    /// # use kube_scheduler_guest::{Filter, Node, Pod, Status, testing::FakeHost};
    /// # struct Nosy;
    /// # impl Filter for Nosy {
    /// #     fn filter(&self, pod: &Pod, _: &Node) -> Status {
    /// #         if pod.name() == "p" { Status::success() } else { Status::skip() }
    /// #     }
    /// # }
    /// let status = FakeHost::new().pod_bytes(vec![10, 200]).filter(&Nosy, "n1");
    /// assert_eq!(status.reason(), "protobuf: the host's answer is cut off or no protobuf message");
    /// ```
    #[must_use]
    pub fn pod_bytes(mut self, bytes: Vec<u8>) -> Self {
        self.answers.pod = Some(bytes);
        self
    }

    /// Adds a node, under its name.
    #[must_use]
    pub fn node(self, node: impl Into<Node>) -> Self {
        let node = node.into();
        let name = node.name().to_string();
        self.node_bytes(&name, node.into_protobuf())
    }

    /// Adds a node, as whatever bytes.
    #[must_use]
    pub fn node_bytes(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.answers.nodes.insert(name.to_string(), bytes);
        self
    }

    /// The pod that is added to a node or removed from it.
    #[must_use]
    pub fn target_pod(mut self, pod: impl Into<Pod>) -> Self {
        self.answers.target_pod = Some(pod.into().into_protobuf());
        self
    }

    /// The names of the nodes that passed the filters.
    #[must_use]
    pub fn filtered_nodes(mut self, names: &[&str]) -> Self {
        self.answers.filtered_nodes = Some(names.iter().map(ToString::to_string).collect());
        self
    }

    /// What became of a node in the filters.
    #[must_use]
    pub fn node_status(mut self, node: &str, code: Code) -> Self {
        self.answers.node_statuses.get_or_insert_default().insert(node.to_string(), code as i32);
        self
    }

    /// The images on a node, as the JSON that the host answers.
    #[must_use]
    pub fn node_images(mut self, node: &str, json: &str) -> Self {
        self.answers.node_images.insert(node.to_string(), json.to_string());
        self
    }

    /// Adds a pod that waits for permission.
    #[must_use]
    pub fn waiting_pod(mut self, pod: impl Into<Pod>) -> Self {
        let pod = pod.into();
        let uid = pod.uid().to_string();
        self.answers.waiting.get_or_insert_default().insert(uid, pod.into_protobuf());
        self
    }

    /// Lets the host know that no pod waits for permission.
    #[must_use]
    pub fn no_waiting_pods(mut self) -> Self {
        self.answers.waiting.get_or_insert_default();
        self
    }

    /// The events that the plugin has recorded so far.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.answers.events
    }

    /// What the plugin has logged so far: severity, and the line with its pairs as `key="value"`.
    #[must_use]
    pub fn log(&self) -> &[(Severity, String)] {
        &self.answers.log
    }

    /// Loads a plugin with the settings of [`FakeHost::config`], as a scheduler does at its start.
    ///
    /// ```
    /// # use kube_scheduler_guest::{settings::NoSettings, testing::FakeHost};
    /// #[derive(Debug, Default)]
    /// struct WithoutSettings;
    /// let refused = FakeHost::new().config(r#"{"zone": "a"}"#).load::<WithoutSettings>();
    /// assert_eq!(refused.unwrap_err(), "settings: unknown field `zone`, there are no fields");
    /// ```
    ///
    /// # Errors
    /// The message with which the plugin refuses its settings.
    pub fn load<P: Plugin>(&mut self) -> Result<P, String> {
        self.during(run::load)
    }

    /// Calls a filter for a node, as kube-scheduler does.
    pub fn filter(&mut self, plugin: &impl Filter, node: &str) -> Status {
        self.answers.current_node = Some(node.to_string());
        self.during(|| run::filter(plugin))
    }

    /// Calls a score for a node, as kube-scheduler does.
    ///
    /// # Errors
    /// The status that the plugin answers instead of a score.
    pub fn score(&mut self, plugin: &impl Score, node: &str) -> Result<i32, Status> {
        self.answers.current_node = Some(node.to_string());
        self.during(|| run::score(plugin))
    }

    /// Calls a pre-filter, as kube-scheduler does.
    ///
    /// # Errors
    /// The status that the plugin answers instead of nodes.
    pub fn pre_filter(&mut self, plugin: &impl PreFilter) -> Result<PreFilterResult, Status> {
        self.during(|| run::pre_filter(plugin))
    }

    /// Calls a pre-score, as kube-scheduler does.
    pub fn pre_score(&mut self, plugin: &impl PreScore) -> Status {
        self.during(|| run::pre_score(plugin))
    }

    /// Calls a post-filter, as kube-scheduler does.
    ///
    /// # Errors
    /// The status that the plugin answers instead of a nomination.
    pub fn post_filter(&mut self, plugin: &impl PostFilter) -> Result<Nomination, Status> {
        self.during(|| run::post_filter(plugin))
    }

    /// Tells a plugin that the target pod is added to a node.
    pub fn add_pod(&mut self, plugin: &impl PreFilterExtensions, node: &str) -> Status {
        self.answers.current_node = Some(node.to_string());
        self.during(|| run::add_pod(plugin))
    }

    /// Tells a plugin that the target pod is removed from a node.
    pub fn remove_pod(&mut self, plugin: &impl PreFilterExtensions, node: &str) -> Status {
        self.answers.current_node = Some(node.to_string());
        self.during(|| run::remove_pod(plugin))
    }

    /// Calls a reserve, as kube-scheduler does.
    pub fn reserve(&mut self, plugin: &impl Reserve, node: &str) -> Status {
        self.answers.current_node = Some(node.to_string());
        self.during(|| run::reserve(plugin))
    }

    /// Calls an unreserve, as kube-scheduler does.
    pub fn unreserve(&mut self, plugin: &impl Reserve, node: &str) {
        self.answers.current_node = Some(node.to_string());
        self.during(|| run::unreserve(plugin));
    }

    /// Calls a permit, as kube-scheduler does.
    pub fn permit(&mut self, plugin: &impl Permit, node: &str) -> Permission {
        self.answers.current_node = Some(node.to_string());
        self.during(|| run::permit(plugin))
    }

    /// Calls a pre-bind, as kube-scheduler does.
    pub fn pre_bind(&mut self, plugin: &impl PreBind, node: &str) -> Status {
        self.answers.current_node = Some(node.to_string());
        self.during(|| run::pre_bind(plugin))
    }

    /// Calls a bind, as kube-scheduler does.
    pub fn bind(&mut self, plugin: &impl Bind, node: &str) -> Status {
        self.answers.current_node = Some(node.to_string());
        self.during(|| run::bind(plugin))
    }

    /// Calls a post-bind, as kube-scheduler does.
    pub fn post_bind(&mut self, plugin: &impl PostBind, node: &str) {
        self.answers.current_node = Some(node.to_string());
        self.during(|| run::post_bind(plugin));
    }

    /// Begins a scheduling cycle, as kube-scheduler does for each pod.
    pub fn begin_cycle(&mut self) {
        self.during(host::begin_cycle);
    }

    /// Asks which events the plugin wants to hear of.
    pub fn events_to_register(&mut self, plugin: &impl EnqueueExtensions) -> Vec<ClusterEvent> {
        self.during(|| plugin.events_to_register())
    }

    /// Does something with this host as the one that plugin code talks to.
    fn during<R>(&mut self, act: impl FnOnce() -> R) -> R {
        self.answers.during(act)
    }
}
