//! A host for tests that run natively: answers what the test set, and panics when asked for anything else.
//!
//! A fake that answered "nothing" to an unexpected question would make a test green that proves nothing.
#![allow(clippy::panic, reason = "only tests run against the fake, and an unset answer is a mistake in the test")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::string::{String, ToString};
use std::vec::Vec;

use super::{Call, Failure};
use crate::klog::Severity;
use crate::{ClusterEvent, Node, Pod, Status, run};
use crate::{EnqueueExtensions, Filter, Plugin, PreFilter, PreFilterResult, PreScore, Score};

std::thread_local! {
    static CURRENT: RefCell<Option<FakeHost>> = const { RefCell::new(None) };
    static FAILURE: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

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
    config: Option<String>,
    pod: Option<Vec<u8>>,
    nodes: HashMap<String, Vec<u8>>,
    current_node: Option<String>,
    log: Vec<(Severity, String)>,
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
        self.config = Some(json.to_string());
        self
    }

    /// The pod that is being scheduled.
    #[must_use]
    pub fn pod(self, pod: impl Into<Pod>) -> Self {
        self.pod_bytes(pod.into().into_protobuf())
    }

    /// The pod that is being scheduled, as whatever bytes.
    #[must_use]
    pub fn pod_bytes(mut self, bytes: Vec<u8>) -> Self {
        self.pod = Some(bytes);
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
        self.nodes.insert(name.to_string(), bytes);
        self
    }

    /// What the plugin has logged so far: severity, and the line with its pairs as `key="value"`.
    #[must_use]
    pub fn log(&self) -> &[(Severity, String)] {
        &self.log
    }

    /// Loads a plugin with the settings of [`FakeHost::config`], as a scheduler does at its start.
    ///
    /// # Errors
    /// The message with which the plugin refuses its settings.
    pub fn load<P: Plugin>(&mut self) -> Result<P, String> {
        self.during(run::load)
    }

    /// Calls a filter for a node, as kube-scheduler does.
    pub fn filter(&mut self, plugin: &impl Filter, node: &str) -> Status {
        self.current_node = Some(node.to_string());
        self.during(|| run::filter(plugin))
    }

    /// Calls a score for a node, as kube-scheduler does.
    ///
    /// # Errors
    /// The status that the plugin answers instead of a score.
    pub fn score(&mut self, plugin: &impl Score, node: &str) -> Result<i32, Status> {
        self.current_node = Some(node.to_string());
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

    /// Asks which events the plugin wants to hear of.
    pub fn events_to_register(&mut self, plugin: &impl EnqueueExtensions) -> Vec<ClusterEvent> {
        self.during(|| plugin.events_to_register())
    }

    /// Does something with this host as the one that plugin code talks to.
    fn during<R>(&mut self, act: impl FnOnce() -> R) -> R {
        CURRENT.set(Some(std::mem::take(self)));
        let result = act();
        *self = CURRENT.take().unwrap_or_default();
        result
    }
}

/// Answers from the host of the running test.
fn current<R>(what: &str, answer: impl FnOnce(&mut FakeHost) -> Option<R>) -> R {
    CURRENT.with_borrow_mut(|host| {
        let host = host.as_mut().unwrap_or_else(|| panic!("`{what}` was called outside a FakeHost"));
        answer(host).unwrap_or_else(|| panic!("the plugin called `{what}`, which this test did not set"))
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the real host can fail; this signature is its")]
pub(super) fn ask(call: Call<'_>) -> Result<Vec<u8>, String> {
    Ok(current(call.name(), |host| match call {
        Call::CurrentPod => host.pod.clone(),
        Call::CurrentNodeName => host.current_node.clone().map(String::into_bytes),
        // A real host answers nothing for a node it does not know; so does a fake that knows some nodes.
        Call::Node(name) if !host.nodes.is_empty() => Some(host.nodes.get(name).cloned().unwrap_or_default()),
        Call::Node(_) => None,
        Call::Config => host.config.clone().map(String::into_bytes),
    }))
}

pub(super) fn with_failure<R>(change: impl FnOnce(&mut Option<Failure>) -> R) -> R {
    FAILURE.with_borrow_mut(change)
}

pub(super) fn log(severity: Severity, message: &str, pairs: &[(&str, &str)]) {
    let mut line = message.to_string();
    for (key, value) in pairs {
        line += &std::format!(" {key}={value:?}");
    }
    current("klog.logs", |host| {
        host.log.push((severity, line));
        Some(())
    });
}

pub(super) fn log_severity() -> i32 {
    current("klog.severity", |_| Some(0))
}

pub(super) fn plugin_name() -> &'static str {
    "test"
}
