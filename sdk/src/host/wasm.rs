//! The host functions of kube-scheduler-wasm-extension, each beside its one safe wrapper.
//!
//! The module is only compiled for WebAssembly, which has one thread; the statics below rely on that.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::Layout;
use core::cell::UnsafeCell;

use crate::ClusterEvent;
use crate::handle::event::Event;
use crate::klog::severity::Severity;

#[link(wasm_import_module = "k8s.io/api")]
unsafe extern "C" {
    #[link_name = "node"]
    fn k8s_api_node(name: *const u8, name_len: usize, buf: *mut u8, buf_limit: usize) -> usize;
    #[link_name = "nodeList"]
    fn k8s_api_node_list(buf: *mut u8, buf_limit: usize) -> usize;
}

#[link(wasm_import_module = "k8s.io/scheduler")]
unsafe extern "C" {
    #[link_name = "currentPod"]
    fn k8s_scheduler_current_pod(buf: *mut u8, buf_limit: usize) -> usize;
    #[link_name = "currentNodeName"]
    fn k8s_scheduler_current_node_name(buf: *mut u8, buf_limit: usize) -> usize;
    #[link_name = "get_config"]
    fn k8s_scheduler_get_config(buf: *mut u8, buf_limit: usize) -> usize;
    #[link_name = "targetPod"]
    fn k8s_scheduler_target_pod(buf: *mut u8, buf_limit: usize) -> usize;
    #[link_name = "filteredNodeList"]
    fn k8s_scheduler_filtered_node_list(buf: *mut u8, buf_limit: usize) -> usize;
    #[link_name = "nodeToStatusMap"]
    fn k8s_scheduler_node_to_status_map(buf: *mut u8, buf_limit: usize) -> usize;
    #[link_name = "nodeImageStates"]
    fn k8s_scheduler_node_image_states(name: *const u8, name_len: usize, buf: *mut u8, buf_limit: usize) -> usize;
    #[link_name = "handle.eventrecorder.eventf"]
    fn k8s_scheduler_handle_eventf(buf: *const u8, buf_len: usize);
    #[link_name = "handle.get_waiting_pod"]
    fn k8s_scheduler_handle_get_waiting_pod(uid: *const u8, uid_len: usize, buf: *mut u8, buf_limit: usize);
    #[link_name = "handle.reject_waiting_pod"]
    fn k8s_scheduler_handle_reject_waiting_pod(uid: *const u8, uid_len: usize, buf: *mut u8, buf_limit: usize);
    #[link_name = "result.nominated_node_name"]
    fn k8s_scheduler_result_nominated_node_name(buf: *const u8, buf_len: usize);
    #[link_name = "result.status_reason"]
    fn k8s_scheduler_result_status_reason(buf: *const u8, buf_len: usize);
    #[link_name = "result.node_names"]
    fn k8s_scheduler_result_node_names(buf: *const u8, buf_len: usize);
    #[link_name = "result.cluster_events"]
    fn k8s_scheduler_result_cluster_events(buf: *const u8, buf_len: usize);
}

#[link(wasm_import_module = "k8s.io/klog")]
unsafe extern "C" {
    #[link_name = "logs"]
    fn k8s_klog_logs(severity: i32, msg: *const u8, msg_len: usize, kvs: *const u8, kvs_len: usize);
    #[link_name = "severity"]
    fn k8s_klog_severity() -> i32;
}

/// How large the buffer for an answer is at first. Most pods and trimmed nodes fit; what does not costs one
/// more call, and the next buffer for the same question is as large as the largest answer so far.
const FIRST_BUFFER: usize = 4096;

/// The largest waiting pod that is looked at.
const MOST_WAITING_POD: usize = 256 * 1024;

/// A value that only the one thread of a WebAssembly instance ever sees.
pub(crate) struct Global<T>(UnsafeCell<T>);

// SAFETY: without the threads proposal, which this target does not enable, an instance has one thread.
unsafe impl<T> Sync for Global<T> {}

impl<T> Global<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Looks at the value, and may change it.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: one thread, and no closure of this crate comes back here.
        change(unsafe { &mut *self.0.get() })
    }
}

static PODS: Global<usize> = Global::new(FIRST_BUFFER);
static NODES: Global<usize> = Global::new(FIRST_BUFFER);
static TEXTS: Global<usize> = Global::new(FIRST_BUFFER);
static LISTS: Global<usize> = Global::new(FIRST_BUFFER);
static CYCLE: Global<u64> = Global::new(0);
/// The first thing that went wrong during a call, as a sentence.
static FAILURE: Global<Option<String>> = Global::new(None);
static PLUGIN_NAME: Global<&str> = Global::new("");

/// Puts a question until its answer fits: `question` gets a buffer and its size, and says how long the answer
/// is. `largest` is the size to begin with, and becomes that of the largest answer so far.
fn answer(largest: &Global<usize>, question: &dyn Fn(*mut u8, usize) -> usize) -> Result<Vec<u8>, String> {
    // SAFETY: one thread, and no question comes back here.
    let largest = unsafe { &mut *largest.0.get() };
    // The second round has a buffer of the length that the host asked for in the first.
    for _ in 0..2 {
        let Some(mut buffer) = buffer_of(*largest) else {
            return Err(format!("no memory for an answer of {largest} bytes"));
        };
        let len = question(buffer.as_mut_ptr(), buffer.capacity());
        if len <= buffer.capacity() {
            // SAFETY: the host has written `len` bytes, which the buffer holds.
            unsafe { buffer.set_len(len) };
            return Ok(buffer);
        }
        *largest = len.checked_next_power_of_two().unwrap_or(len);
    }
    Err("the answer grew between two calls".into())
}

/// An empty buffer with room for so many bytes. What `Vec` does to get one is half of the time that it takes.
fn buffer_of(size: usize) -> Option<Vec<u8>> {
    let layout = Layout::array::<u8>(size).ok().filter(|layout| layout.size() > 0)?;
    // SAFETY: the layout has a size; what comes back is room for it, or null.
    let start = unsafe { alloc::alloc::alloc(layout) };
    // SAFETY: allocated just now with the layout of a `Vec<u8>` of this capacity.
    (!start.is_null()).then(|| unsafe { Vec::from_raw_parts(start, 0, size) })
}

pub(super) fn current_pod() -> Result<Vec<u8>, String> {
    // SAFETY: the host writes at most `limit` bytes to `buf`, during the call.
    answer(&PODS, &|buf, limit| unsafe { k8s_scheduler_current_pod(buf, limit) })
}

pub(super) fn target_pod() -> Result<Vec<u8>, String> {
    // SAFETY: the host writes at most `limit` bytes to `buf`, during the call.
    answer(&PODS, &|buf, limit| unsafe { k8s_scheduler_target_pod(buf, limit) })
}

pub(super) fn current_node_name() -> Result<Vec<u8>, String> {
    // SAFETY: the host writes at most `limit` bytes to `buf`, during the call.
    answer(&TEXTS, &|buf, limit| unsafe { k8s_scheduler_current_node_name(buf, limit) })
}

pub(super) fn config() -> Result<Vec<u8>, String> {
    // SAFETY: the host writes at most `limit` bytes to `buf`, during the call.
    answer(&TEXTS, &|buf, limit| unsafe { k8s_scheduler_get_config(buf, limit) })
}

pub(super) fn node_list() -> Result<Vec<u8>, String> {
    // SAFETY: the host writes at most `limit` bytes to `buf`, during the call.
    answer(&LISTS, &|buf, limit| unsafe { k8s_api_node_list(buf, limit) })
}

pub(super) fn filtered_node_list() -> Result<Vec<u8>, String> {
    // SAFETY: the host writes at most `limit` bytes to `buf`, during the call.
    answer(&LISTS, &|buf, limit| unsafe { k8s_scheduler_filtered_node_list(buf, limit) })
}

pub(super) fn node_to_status_map() -> Result<Vec<u8>, String> {
    // SAFETY: the host writes at most `limit` bytes to `buf`, during the call.
    answer(&LISTS, &|buf, limit| unsafe { k8s_scheduler_node_to_status_map(buf, limit) })
}

pub(super) fn node(name: &str) -> Result<Vec<u8>, String> {
    // SAFETY: the host reads the name and writes at most `limit` bytes to `buf`, during the call.
    answer(&NODES, &|buf, limit| unsafe { k8s_api_node(name.as_ptr(), name.len(), buf, limit) })
}

pub(super) fn node_image_states(name: &str) -> Result<Vec<u8>, String> {
    // SAFETY: the host reads the name and writes at most `limit` bytes to `buf`, during the call.
    answer(&LISTS, &|buf, limit| unsafe { k8s_scheduler_node_image_states(name.as_ptr(), name.len(), buf, limit) })
}

pub(super) fn with_failure<R>(change: impl FnOnce(&mut Option<String>) -> R) -> R {
    FAILURE.with(change)
}

pub(crate) fn status_reason(reason: &str) {
    // SAFETY: the host reads the bytes during the call.
    unsafe { k8s_scheduler_result_status_reason(reason.as_ptr(), reason.len()) }
}

pub(crate) fn node_names(names: &[String]) {
    let text = nul_terminated(names.iter().map(String::as_str));
    // SAFETY: the host reads the bytes during the call.
    unsafe { k8s_scheduler_result_node_names(text.as_ptr(), text.len()) }
}

pub(crate) fn cluster_events(events: &[ClusterEvent]) {
    let bytes: Vec<u8> = events.iter().flat_map(|event| event.encoded()).collect();
    // SAFETY: the host reads the bytes during the call.
    unsafe { k8s_scheduler_result_cluster_events(bytes.as_ptr(), bytes.len()) }
}

pub(crate) fn nominated_node_name(name: &str) {
    // SAFETY: the host reads the bytes during the call.
    unsafe { k8s_scheduler_result_nominated_node_name(name.as_ptr(), name.len()) }
}

pub(super) fn record(event: &Event) {
    // The host takes the note for a format.
    let event = Event { note: event.note.replace('%', "%%"), ..event.clone() };
    if let Ok(text) = serde_json::to_vec(&event) {
        // SAFETY: the host reads the bytes during the call.
        unsafe { k8s_scheduler_handle_eventf(text.as_ptr(), text.len()) }
    }
}

pub(super) fn waiting_pod(uid: &str) -> Option<Vec<u8>> {
    let mut pod = alloc::vec![0; MOST_WAITING_POD];
    // SAFETY: the host writes at most the length of `pod` to it.
    unsafe { k8s_scheduler_handle_get_waiting_pod(uid.as_ptr(), uid.len(), pod.as_mut_ptr(), pod.len()) };
    Some(pod)
}

pub(super) fn reject_waiting_pod(uid: &str) -> bool {
    let mut answer = [0; 8];
    // SAFETY: the host writes eight bytes.
    unsafe { k8s_scheduler_handle_reject_waiting_pod(uid.as_ptr(), uid.len(), answer.as_mut_ptr(), answer.len()) };
    u64::from_le_bytes(answer) != 0
}

pub(super) fn with_cycle<R>(change: impl FnOnce(&mut u64) -> R) -> R {
    CYCLE.with(change)
}

pub(super) fn log(severity: Severity, message: &str, pairs: &[(&str, &str)]) {
    let pairs = nul_terminated(pairs.iter().flat_map(|(key, value)| [*key, *value]));
    // SAFETY: the host reads the bytes during the call.
    unsafe { k8s_klog_logs(severity as i32, message.as_ptr(), message.len(), pairs.as_ptr(), pairs.len()) }
}

pub(super) fn log_severity() -> i32 {
    // SAFETY: takes nothing and answers a number.
    unsafe { k8s_klog_severity() }
}

/// The texts one after the other, each with a zero byte behind it; zero bytes inside are left out.
fn nul_terminated<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut all = String::new();
    for text in texts {
        all.extend(text.chars().filter(|char| *char != '\0'));
        all.push('\0');
    }
    all
}

pub(crate) fn set_plugin_name(name: &'static str) {
    PLUGIN_NAME.with(|known| *known = name);
}

pub(super) fn plugin_name() -> &'static str {
    PLUGIN_NAME.with(|name| *name)
}
