//! What happens around a call of a plugin, the same in a scheduler and in a test.

use alloc::format;
use alloc::string::{String, ToString};

use crate::host::{self, Config, NodeToStatusMap};
use crate::view::PodOfCall;
use crate::{
    Bind, Filter, Node, NodeStatuses, Nomination, Permission, Permit, Plugin, Pod, PostBind, PostFilter, PreBind,
    PreFilter, PreFilterExtensions, PreFilterResult, PreScore, Reserve, Score, Status, handle, kept, klog, settings,
    tree,
};

/// kube-scheduler's bounds of a score.
const SCORES: (i32, i32) = (0, 100);

/// Makes the plugin from the settings that the host has.
pub(crate) fn load<P: Plugin>() -> Result<P, String> {
    let text = host::ask(Config);
    let unreadable = host::settle(Status::success());
    if !unreadable.is_success() {
        return Err(unreadable.reason().to_string());
    }
    let text = core::str::from_utf8(&text).map_err(|_| "settings: not UTF-8".to_string())?;
    // `{:#}` prints the whole chain of an anyhow error in one line.
    P::new(settings::parse(text)?).map_err(|error| format!("settings: {error:#}"))
}

/// Does something with the pod and the node of a call. A scheduler asks about one pod and a thousand nodes; the
/// pod is asked for once where the host says that it is the same.
fn about<R>(act: impl FnOnce(&Pod, &Node) -> R) -> R {
    let (node, of_call) = Node::current();
    let known = kept::take_pod();
    let pod = known.filter(|_| of_call == PodOfCall::Same).unwrap_or_else(Pod::current);
    let result = act(&pod, &node);
    // Half a pod is not kept: the next call would not notice what was wrong with it.
    if of_call != PodOfCall::Unsaid && !host::has_failed() {
        kept::keep_pod(pod);
    }
    result
}

pub(crate) fn filter(plugin: &impl Filter) -> Status {
    host::settle(about(|pod, node| plugin.filter(pod, node)))
}

pub(crate) fn score(plugin: &impl Score) -> Result<i32, Status> {
    let score = about(|pod, node| plugin.score(pod, node));
    settled(score).map(|score| score.clamp(SCORES.0, SCORES.1))
}

pub(crate) fn pre_filter(plugin: &impl PreFilter) -> Result<PreFilterResult, Status> {
    host::begin_cycle();
    match settled(plugin.pre_filter(&Pod::current()))? {
        // The ABI cannot tell "no node" from "all nodes".
        PreFilterResult::Only(names) if names.is_empty() => Err(Status::unresolvable("no node is worth looking at")),
        result => Ok(result),
    }
}

pub(crate) fn pre_score(plugin: &impl PreScore) -> Status {
    host::settle(plugin.pre_score(&Pod::current()))
}

pub(crate) fn post_filter(plugin: &impl PostFilter) -> Result<Nomination, Status> {
    let statuses: tree::Pairs<i32> = handle::from_json(NodeToStatusMap)?;
    settled(plugin.post_filter(&Pod::current(), &NodeStatuses(statuses.0)))
}

pub(crate) fn add_pod(plugin: &impl PreFilterExtensions) -> Status {
    host::settle(about(|pod, node| plugin.add_pod(pod, &Pod::target(), node)))
}

pub(crate) fn remove_pod(plugin: &impl PreFilterExtensions) -> Status {
    host::settle(about(|pod, node| plugin.remove_pod(pod, &Pod::target(), node)))
}

pub(crate) fn reserve(plugin: &impl Reserve) -> Status {
    host::settle(about(|pod, node| plugin.reserve(pod, node)))
}

pub(crate) fn unreserve(plugin: &impl Reserve) {
    about(|pod, node| plugin.unreserve(pod, node));
    report_to_log();
}

pub(crate) fn permit(plugin: &impl Permit) -> Permission {
    let permission = about(|pod, node| plugin.permit(pod, node));
    match host::settle(Status::success()) {
        verdict if verdict.is_success() => permission,
        failure => Permission::Reject(failure),
    }
}

pub(crate) fn pre_bind(plugin: &impl PreBind) -> Status {
    host::settle(about(|pod, node| plugin.pre_bind(pod, node)))
}

pub(crate) fn bind(plugin: &impl Bind) -> Status {
    host::settle(about(|pod, node| plugin.bind(pod, node)))
}

pub(crate) fn post_bind(plugin: &impl PostBind) {
    about(|pod, node| plugin.post_bind(pod, node));
    report_to_log();
}

/// Where there is no status to put a failure into.
fn report_to_log() {
    let verdict = host::settle(Status::success());
    if !verdict.is_success() {
        klog::error("the host gave an answer that makes no sense", &[("error", verdict.reason())]);
    }
}

/// The plugin's answer, or an error if it was found on a wrong answer of the host.
fn settled<T>(answer: Result<T, Status>) -> Result<T, Status> {
    let (answer, verdict) = match answer {
        Ok(answer) => (Some(answer), Status::success()),
        Err(status) => (None, status),
    };
    let verdict = host::settle(verdict);
    match answer {
        Some(answer) if verdict.is_success() => Ok(answer),
        _ => Err(verdict),
    }
}
