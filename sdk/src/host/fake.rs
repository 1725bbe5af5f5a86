//! A host for tests that run natively: answers what the test set, and panics when asked for anything else.
//!
//! A fake that answered "nothing" to an unexpected question would make a test green that proves nothing.
#![allow(clippy::panic, reason = "only tests run against the fake, and an unset answer is a mistake in the test")]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::string::{String, ToString};
use std::vec::Vec;

use crate::handle::event::Event;
use crate::klog::severity::Severity;
use crate::testing::message;

std::thread_local! {
    static CURRENT: RefCell<Option<Answers>> = const { RefCell::new(None) };
    /// The first thing that went wrong during a call, as a sentence.
    static FAILURE: RefCell<Option<String>> = const { RefCell::new(None) };
    static CYCLE: RefCell<u64> = const { RefCell::new(0) };
}

/// What the test set, and what the plugin said.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) config: Option<String>,
    pub(crate) pod: Option<Vec<u8>>,
    pub(crate) nodes: HashMap<String, Vec<u8>>,
    pub(crate) current_node: Option<String>,
    pub(crate) target_pod: Option<Vec<u8>>,
    pub(crate) filtered_nodes: Option<Vec<String>>,
    pub(crate) node_statuses: Option<BTreeMap<String, i32>>,
    pub(crate) node_images: HashMap<String, String>,
    pub(crate) waiting: Option<HashMap<String, Vec<u8>>>,
    pub(crate) events: Vec<Event>,
    pub(crate) log: Vec<(Severity, String)>,
}

impl Answers {
    /// Does something with these as the answers that plugin code gets.
    pub(crate) fn during<R>(&mut self, act: impl FnOnce() -> R) -> R {
        CURRENT.set(Some(std::mem::take(self)));
        let result = act();
        *self = CURRENT.take().unwrap_or_default();
        result
    }
}

/// Answers from the host of the running test.
fn current<R>(what: &str, answer: impl FnOnce(&mut Answers) -> Option<R>) -> R {
    CURRENT.with_borrow_mut(|host| {
        let host = host.as_mut().unwrap_or_else(|| panic!("`{what}` was called outside a FakeHost"));
        answer(host).unwrap_or_else(|| panic!("the plugin called `{what}`, which this test did not set"))
    })
}

/// The real host can fail; the signatures are its.
type Answer = Result<Vec<u8>, String>;

pub(super) fn current_pod() -> Answer {
    Ok(current("currentPod", |host| host.pod.clone()))
}

pub(super) fn target_pod() -> Answer {
    Ok(current("targetPod", |host| host.target_pod.clone()))
}

pub(super) fn current_node_name() -> Answer {
    Ok(current("currentNodeName", |host| host.current_node.clone().map(String::into_bytes)))
}

pub(super) fn config() -> Answer {
    Ok(current("get_config", |host| host.config.clone().map(String::into_bytes)))
}

pub(super) fn node_list() -> Answer {
    Ok(current("nodeList", |host| Some(message::node_list(host.nodes.values())).filter(|list| !list.is_empty())))
}

pub(super) fn filtered_node_list() -> Answer {
    Ok(current("filteredNodeList", |host| {
        host.filtered_nodes.as_ref().and_then(|names| serde_json::to_vec(names).ok())
    }))
}

pub(super) fn node_to_status_map() -> Answer {
    Ok(current("nodeToStatusMap", |host| host.node_statuses.as_ref().and_then(|map| serde_json::to_vec(map).ok())))
}

pub(super) fn node(name: &str) -> Answer {
    // A real host answers nothing for a node it does not know; so does a fake that knows some nodes.
    Ok(current("node", |host| (!host.nodes.is_empty()).then(|| host.nodes.get(name).cloned().unwrap_or_default())))
}

pub(super) fn node_image_states(name: &str) -> Answer {
    Ok(current("nodeImageStates", |host| host.node_images.get(name).cloned().map(String::into_bytes)))
}

pub(super) fn record(event: &Event) {
    current("handle.eventrecorder.eventf", |host| {
        host.events.push(event.clone());
        Some(())
    });
}

pub(super) fn waiting_pod(uid: &str) -> Option<Vec<u8>> {
    current("handle.get_waiting_pod", |host| host.waiting.as_ref().map(|waiting| waiting.get(uid).cloned()))
}

pub(super) fn reject_waiting_pod(uid: &str) -> bool {
    current("handle.reject_waiting_pod", |host| host.waiting.as_mut().map(|waiting| waiting.remove(uid).is_some()))
}

pub(super) fn with_cycle<R>(change: impl FnOnce(&mut u64) -> R) -> R {
    CYCLE.with_borrow_mut(change)
}

pub(super) fn with_failure<R>(change: impl FnOnce(&mut Option<String>) -> R) -> R {
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
