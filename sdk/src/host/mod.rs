//! The border to the host: questions, answers, and what to do when an answer makes no sense.
//!
//! Inside a scheduler the host is kube-scheduler-wasm-extension and everything goes through imported
//! functions ([`wasm`]). In a test that runs natively it is a [`fake`] that answers what the test set and
//! panics when it is asked for anything else. The rest of the SDK does not know which one it talks to.
//!
//! A wrong answer never panics. It is noted here, the plugin goes on with something empty, and when the
//! plugin is done its verdict is replaced by an error that names the host function: half the truth about a
//! node must not become "feasible".

#[cfg(not(target_family = "wasm"))]
pub(crate) mod fake;
#[cfg(target_family = "wasm")]
pub(crate) mod wasm;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

#[cfg(not(target_family = "wasm"))]
use fake as imp;
#[cfg(target_family = "wasm")]
use wasm as imp;

use crate::Status;
use crate::handle::event::Event;
use crate::klog::severity::Severity;

/// A question whose answer is bytes.
///
/// Each is a type of its own and not one variant of many: a module imports exactly the host functions of the
/// questions that its code asks, whatever the optimizer sees. A host takes a module for pure by its imports.
pub(crate) trait Call: Copy {
    /// The name of the host function, as it stands in the reason of a failed call.
    const NAME: &'static str;

    /// Asks the host.
    fn ask(self) -> Result<Vec<u8>, String>;
}

/// The pod of this cycle.
#[derive(Clone, Copy)]
pub(crate) struct CurrentPod;

impl Call for CurrentPod {
    const NAME: &'static str = "currentPod";

    fn ask(self) -> Result<Vec<u8>, String> {
        imp::current_pod()
    }
}

/// The pod that is added to a node or removed from it.
#[derive(Clone, Copy)]
pub(crate) struct TargetPod;

impl Call for TargetPod {
    const NAME: &'static str = "targetPod";

    fn ask(self) -> Result<Vec<u8>, String> {
        imp::target_pod()
    }
}

/// The name of the node that this call is about.
#[derive(Clone, Copy)]
pub(crate) struct CurrentNodeName;

impl Call for CurrentNodeName {
    const NAME: &'static str = "currentNodeName";

    fn ask(self) -> Result<Vec<u8>, String> {
        imp::current_node_name()
    }
}

/// The plugin's settings, as text.
#[derive(Clone, Copy)]
pub(crate) struct Config;

impl Call for Config {
    const NAME: &'static str = "get_config";

    fn ask(self) -> Result<Vec<u8>, String> {
        imp::config()
    }
}

/// All nodes.
#[derive(Clone, Copy)]
pub(crate) struct NodeList;

impl Call for NodeList {
    const NAME: &'static str = "nodeList";

    fn ask(self) -> Result<Vec<u8>, String> {
        imp::node_list()
    }
}

/// The names of the nodes that passed the filters, as JSON.
#[derive(Clone, Copy)]
pub(crate) struct FilteredNodeList;

impl Call for FilteredNodeList {
    const NAME: &'static str = "filteredNodeList";

    fn ask(self) -> Result<Vec<u8>, String> {
        imp::filtered_node_list()
    }
}

/// What became of each node in the filters, as JSON.
#[derive(Clone, Copy)]
pub(crate) struct NodeToStatusMap;

impl Call for NodeToStatusMap {
    const NAME: &'static str = "nodeToStatusMap";

    fn ask(self) -> Result<Vec<u8>, String> {
        imp::node_to_status_map()
    }
}

/// A node by its name.
#[derive(Clone, Copy)]
pub(crate) struct NamedNode<'a>(pub(crate) &'a str);

impl Call for NamedNode<'_> {
    const NAME: &'static str = "node";

    fn ask(self) -> Result<Vec<u8>, String> {
        imp::node(self.0)
    }
}

/// The images on a node, as JSON.
#[derive(Clone, Copy)]
pub(crate) struct NodeImageStates<'a>(pub(crate) &'a str);

impl Call for NodeImageStates<'_> {
    const NAME: &'static str = "nodeImageStates";

    fn ask(self) -> Result<Vec<u8>, String> {
        imp::node_image_states(self.0)
    }
}

/// Asks the host.
pub(crate) fn try_ask<C: Call>(call: C) -> Result<Vec<u8>, Status> {
    call.ask().map_err(|what| Status::error(format!("{}: {what}", C::NAME)))
}

/// Asks the host; what went wrong is noted and the answer is then empty.
pub(crate) fn ask<C: Call>(call: C) -> Vec<u8> {
    call.ask().unwrap_or_else(|what| {
        fail(C::NAME, &what);
        Vec::new()
    })
}

/// Notes what is wrong with an answer of the host; only the first such note of a call is kept.
///
/// `place` is the host function, or the part of its answer.
pub(crate) fn fail(place: &str, what: &dyn fmt::Display) {
    imp::with_failure(|failure| {
        if failure.is_none() {
            *failure = Some(format!("{place}: {what}"));
        }
    });
}

/// Notes that an answer is not the protobuf message it should be.
pub(crate) fn note_malformed() {
    fail("protobuf", &"the host's answer is cut off or no protobuf message");
}

/// The verdict that the host gets: the plugin's own, or an error if it was found on a wrong answer.
pub(crate) fn settle(verdict: Status) -> Status {
    match imp::with_failure(Option::take) {
        None => verdict,
        Some(failure) => Status::error(failure),
    }
}

/// Whether an answer of this call made no sense so far.
pub(crate) fn has_failed() -> bool {
    imp::with_failure(|failure| failure.is_some())
}

/// Writes a line to the scheduler's log.
pub(crate) fn log(severity: Severity, message: &str, pairs: &[(&str, &str)]) {
    imp::log(severity, message, pairs);
}

/// The lowest severity that the scheduler's configuration wants to see.
pub(crate) fn log_severity() -> i32 {
    imp::log_severity()
}

/// Records an event.
pub(crate) fn record(event: &Event) {
    imp::record(event);
}

/// The bytes of a pod that waits for permission; zeros may follow it.
pub(crate) fn waiting_pod(uid: &str) -> Option<Vec<u8>> {
    imp::waiting_pod(uid)
}

/// Rejects a pod that waits for permission, and says whether there was one.
pub(crate) fn reject_waiting_pod(uid: &str) -> bool {
    imp::reject_waiting_pod(uid)
}

/// The number of the scheduling cycle, counted from the load of the module.
pub(crate) fn cycle() -> u64 {
    imp::with_cycle(|cycle| *cycle)
}

/// Notes that a scheduling cycle begins.
pub(crate) fn begin_cycle() {
    imp::with_cycle(|cycle| *cycle += 1);
}

/// The name of the plugin, for the log.
pub(crate) fn plugin_name() -> &'static str {
    imp::plugin_name()
}
