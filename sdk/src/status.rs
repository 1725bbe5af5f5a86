//! What a plugin answers: a code that kube-scheduler knows, and a reason that the user reads.

use alloc::borrow::Cow;

/// kube-scheduler's codes, with its names and numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// The pod may go on.
    #[default]
    Success = 0,
    /// Something is broken; the pod is tried again and the error is logged.
    Error = 1,
    /// Not here, as things are; another pod's leaving or preemption might change that.
    Unschedulable = 2,
    /// Not here, and no preemption would change that.
    UnschedulableAndUnresolvable = 3,
    /// Only from Permit: wait for a decision.
    Wait = 4,
    /// Only from PreFilter and PreScore: this plugin has nothing to say on this pod, leave it out.
    Skip = 5,
    /// Not now; the pod waits until something happens, without an attempt in between.
    Pending = 6,
}

impl Code {
    /// The code of this number; a number that means nothing is an error's.
    pub(crate) fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Success,
            2 => Self::Unschedulable,
            3 => Self::UnschedulableAndUnresolvable,
            4 => Self::Wait,
            5 => Self::Skip,
            6 => Self::Pending,
            _ => Self::Error,
        }
    }
}

/// A plugin's answer.
///
/// kube-scheduler adds up how many nodes gave the same reason and writes the sum on the pod ("0/40 nodes are
/// available: 12 node(s) had no GPUs"). So a reason names no node and begins in lower case.
///
/// ```
/// use kube_scheduler_guest::{Code, Status};
/// let status = Status::unschedulable("node(s) had no SSD");
/// assert_eq!(status.code(), Code::Unschedulable);
/// assert_eq!(status.reason(), "node(s) had no SSD");
/// assert!(Status::success().is_success());
/// assert_eq!(Status::unresolvable("node(s) had no SSD").code(), Code::UnschedulableAndUnresolvable);
/// assert_eq!(Status::error("spec.x: not a number").code(), Code::Error);
/// assert_eq!(Status::skip().code(), Code::Skip);
/// assert_eq!(Status::new(Code::Pending, "the quota is not there yet").code(), Code::Pending);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    code: Code,
    reason: Cow<'static, str>,
}

impl Status {
    /// The pod may go on.
    #[must_use]
    pub const fn success() -> Self {
        Self { code: Code::Success, reason: Cow::Borrowed("") }
    }

    /// Not here, as things are; preemption may try to change that.
    #[must_use]
    pub fn unschedulable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unschedulable, reason)
    }

    /// Not here, and no preemption would change that: the node is of the wrong kind.
    #[must_use]
    pub fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::UnschedulableAndUnresolvable, reason)
    }

    /// Something is broken. kube-scheduler ends this attempt and tries the pod again later.
    #[must_use]
    pub fn error(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Error, reason)
    }

    /// This plugin has nothing to say on this pod: from PreFilter its Filter is left out, from PreScore its
    /// Score.
    #[must_use]
    pub const fn skip() -> Self {
        Self { code: Code::Skip, reason: Cow::Borrowed("") }
    }

    /// A status of any code.
    #[must_use]
    pub fn new(code: Code, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The reason; empty when there is nothing to say.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether the pod may go on.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Code::Success
    }
}
