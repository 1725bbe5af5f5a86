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
//! `scheduler/internal/guesttest` runs each of them once, alone, where it works, and sees the panic happen.
//! They are here because the ABI has them and hosts get better. weir-scheduler refuses a module that exports
//! one unless its configuration names the point. Whatever an instance remembers between calls is not there
//! when another instance takes over.

use core::time::Duration;

use crate::{Node, Pod, Status};

/// Asked when a node was chosen, before the pod is bound to it.
pub trait Reserve {
    /// Takes note of the choice; anything but success gives it up, and [`Reserve::unreserve`] follows.
    fn reserve(&self, pod: &Pod, node: &Node) -> Status;

    /// The choice was given up, here or later. It may come for a pod that was never reserved.
    fn unreserve(&self, pod: &Pod, node: &Node);
}

/// Asked before a pod is bound: now, later or never?
pub trait Permit {
    /// The decision.
    fn permit(&self, pod: &Pod, node: &Node) -> Permission;
}

/// What [`Permit`] decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// The pod is bound.
    Allow,
    /// The pod waits for somebody to allow or reject it, and is rejected after this time. The host counts
    /// whole milliseconds, up to 49 days.
    Wait(Duration),
    /// The pod is not bound, with this status.
    Reject(Status),
}

/// Asked right before a pod is bound.
pub trait PreBind {
    /// Anything but success gives the choice of the node up.
    fn pre_bind(&self, pod: &Pod, node: &Node) -> Status;
}

/// Binds pods itself.
pub trait Bind {
    /// Success if the pod is bound, [`Status::skip`] to leave it to the next plugin.
    fn bind(&self, pod: &Pod, node: &Node) -> Status;
}

/// Told when a pod was bound.
pub trait PostBind {
    /// The pod is bound to the node.
    fn post_bind(&self, pod: &Pod, node: &Node);
}
