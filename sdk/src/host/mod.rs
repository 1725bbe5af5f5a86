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
use crate::handle::Event;
use crate::klog::Severity;

/// A question whose answer is bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call<'a> {
    /// The pod of this cycle.
    CurrentPod,
    /// The name of the node that this call is about.
    CurrentNodeName,
    /// A node by its name.
    Node(&'a str),
    /// The plugin's settings, as text.
    Config,
    /// The pod that is added or removed.
    TargetPod,
    /// All nodes.
    NodeList,
    /// The names of the nodes that passed the filters, as JSON.
    FilteredNodeList,
    /// What became of each node in the filters, as JSON.
    NodeToStatusMap,
    /// The images on a node, as JSON.
    NodeImageStates(&'a str),
}

impl Call<'_> {
    /// The name of the host function, as it stands in the reason of a failed call.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CurrentPod => "currentPod",
            Self::CurrentNodeName => "currentNodeName",
            Self::Node(_) => "node",
            Self::Config => "get_config",
            Self::TargetPod => "targetPod",
            Self::NodeList => "nodeList",
            Self::FilteredNodeList => "filteredNodeList",
            Self::NodeToStatusMap => "nodeToStatusMap",
            Self::NodeImageStates(_) => "nodeImageStates",
        }
    }
}

/// The first thing that went wrong during a call, as a sentence.
pub(crate) type Failure = String;

/// Asks the host.
pub(crate) fn try_ask(call: Call<'_>) -> Result<Vec<u8>, Status> {
    imp::ask(call).map_err(|what| Status::error(format!("{}: {what}", call.name())))
}

/// Asks the host; what went wrong is noted and the answer is then empty.
pub(crate) fn ask(call: Call<'_>) -> Vec<u8> {
    match imp::ask(call) {
        Ok(bytes) => bytes,
        Err(what) => {
            fail(call.name(), &what);
            Vec::new()
        }
    }
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

/// The bytes of a pod that waits for permission.
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
