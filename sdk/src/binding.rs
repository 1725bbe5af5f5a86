//! The extension points behind a scheduling decision. Read this before you use one.
//!
//! kube-scheduler-wasm-extension calls the points of this file from its binding goroutines, and at the
//! version this crate was written for (2025-06) it does not do so safely:
//!
//! | point | what happens in the extension |
//! |---|---|
//! | [`Reserve`] | `reserve` is safe; `unreserve` runs in a binding goroutine, on the instance that may be scheduling another pod |
//! | [`Permit`] | takes the instance out of scheduling and, without a PostBind that gives it back, leaks one for each pod |
//! | [`PreBind`], [`Bind`], [`PostBind`] | panic the whole scheduler ("unexpected podUID") when two pods without Permit are bound back to back |
//!
//! `tests/extension/guesttest` runs each of them once, alone, where it works, and sees the panic happen.
//! They are here because the ABI has them and hosts get better. weir-scheduler refuses a module that exports
//! one unless its configuration names the point. Whatever an instance remembers between calls is not there
//! when another instance takes over.

use core::time::Duration;

use crate::{Node, Pod, Status};

/// Asked when a node was chosen, before the pod is bound to it.
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, pod};
/// use kube_scheduler_guest::{Node, Pod, Reserve, Status};
///
/// struct NoMoreOn(&'static str);
/// impl Reserve for NoMoreOn {
///     fn reserve(&self, _: &Pod, node: &Node) -> Status {
///         if node.name() == self.0 { Status::unschedulable("the node is full") } else { Status::success() }
///     }
///     fn unreserve(&self, _: &Pod, _: &Node) {}
/// }
///
/// let mut host = FakeHost::new().pod(pod("p"));
/// assert_eq!(host.reserve(&NoMoreOn("n1"), "n1").reason(), "the node is full");
/// host.unreserve(&NoMoreOn("n1"), "n1");
/// ```
pub trait Reserve {
    /// Takes note of the choice; anything but success gives it up, and [`Reserve::unreserve`] follows.
    fn reserve(&self, pod: &Pod, node: &Node) -> Status;

    /// The choice was given up, here or later. It may come for a pod that was never reserved.
    fn unreserve(&self, pod: &Pod, node: &Node);
}

/// Asked before a pod is bound: now, later or never?
///
/// ```
/// use std::time::Duration;
///
/// use kube_scheduler_guest::testing::{FakeHost, pod};
/// use kube_scheduler_guest::{Node, Permission, Permit, Pod, Status};
///
/// struct InPairs;
/// impl Permit for InPairs {
///     fn permit(&self, pod: &Pod, _: &Node) -> Permission {
///         match pod.labels().get("pair") {
///             None => Permission::Allow,
///             Some("") => Permission::Reject(Status::unschedulable("the pair has no name")),
///             Some(_) => Permission::Wait(Duration::from_secs(30)),
///         }
///     }
/// }
///
/// let permit = |pod| FakeHost::new().pod(pod).permit(&InPairs, "n1");
/// assert_eq!(permit(pod("p")), Permission::Allow);
/// assert_eq!(permit(pod("p").label("pair", "a")), Permission::Wait(Duration::from_secs(30)));
/// ```
pub trait Permit {
    /// The decision.
    fn permit(&self, pod: &Pod, node: &Node) -> Permission;
}

/// What [`Permit`] decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// The pod is bound.
    Allow,
    /// The pod waits until another plugin allows or rejects it, and is rejected after this time. The host
    /// counts whole milliseconds, up to 49 days.
    Wait(Duration),
    /// The pod is not bound, with this status.
    Reject(Status),
}

/// Asked right before a pod is bound.
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, node, pod};
/// use kube_scheduler_guest::{Node, Pod, PreBind, Status};
///
/// struct Mounted;
/// impl PreBind for Mounted {
///     fn pre_bind(&self, _: &Pod, node: &Node) -> Status {
///         match node.labels().get("data") {
///             Some("mounted") => Status::success(),
///             _ => Status::error("the data is not mounted yet"),
///         }
///     }
/// }
///
/// let mut host = FakeHost::new().pod(pod("p")).node(node("n1").label("data", "mounted"));
/// assert!(host.pre_bind(&Mounted, "n1").is_success());
/// ```
pub trait PreBind {
    /// Anything but success gives the choice of the node up.
    fn pre_bind(&self, pod: &Pod, node: &Node) -> Status;
}

/// Binds pods itself.
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, pod};
/// use kube_scheduler_guest::{Bind, Code, Node, Pod, Status};
///
/// struct LeaveIt;
/// impl Bind for LeaveIt {
///     fn bind(&self, _: &Pod, _: &Node) -> Status {
///         Status::skip()
///     }
/// }
/// assert_eq!(FakeHost::new().pod(pod("p")).bind(&LeaveIt, "n1").code(), Code::Skip);
/// ```
pub trait Bind {
    /// Success if the pod is bound, [`Status::skip`] to leave it to the next plugin.
    fn bind(&self, pod: &Pod, node: &Node) -> Status;
}

/// Told when a pod was bound.
///
/// ```
/// use kube_scheduler_guest::testing::{FakeHost, pod};
/// use kube_scheduler_guest::{Node, Pod, PostBind, klog};
///
/// struct Diary;
/// impl PostBind for Diary {
///     fn post_bind(&self, pod: &Pod, node: &Node) {
///         klog::info("bound", &[("pod", pod.name()), ("node", node.name())]);
///     }
/// }
///
/// let mut host = FakeHost::new().pod(pod("p"));
/// host.post_bind(&Diary, "n1");
/// assert_eq!(host.log()[0].1, r#"bound plugin="test" pod="p" node="n1""#);
/// ```
pub trait PostBind {
    /// The pod is bound to the node.
    fn post_bind(&self, pod: &Pod, node: &Node);
}
