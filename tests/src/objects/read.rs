//! What a pod says of itself.

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use kube::ResourceExt as _;

/// The condition that says whether a pod is admitted, or why it waits.
pub const ADMITTED: &str = "weir.dev/Admitted";

/// The condition that an eviction begins with.
pub const PREEMPTED: &str = "weir.dev/Preempted";

/// The condition that says which request about a pod was refused.
pub const REFUSED: &str = "weir.dev/Refused";

/// Whether the pod carries Weir's gate.
#[must_use]
pub fn is_gated(pod: &Pod) -> bool {
    let gates = pod.spec.iter().flat_map(|spec| spec.scheduling_gates.iter().flatten());
    gates.into_iter().any(|gate| gate.name == "weir.dev/admission")
}

/// Whether the pod went through the webhook and has no gate any more.
#[must_use]
pub fn is_admitted(pod: &Pod) -> bool {
    !is_gated(pod) && pod.labels().contains_key("weir.dev/pool") && pod.annotations().contains_key("weir.dev/pool")
}

/// On what grounds the pod was admitted.
#[must_use]
pub fn grounds(pod: &Pod) -> Option<&str> {
    pod.annotations().get("weir.dev/admitted-as").map(String::as_str)
}

/// The node that the pod was bound to.
#[must_use]
pub fn bound_to(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Why the scheduler found no node for the pod, in its words, if that is what it said last.
#[must_use]
pub fn unschedulable(pod: &Pod) -> Option<&str> {
    let condition = condition(pod, "PodScheduled")?;
    (condition.is_false() && condition.reason() == "Unschedulable").then_some(condition.message())
}

/// The condition of this type.
#[must_use]
pub fn condition<'p>(pod: &'p Pod, type_: &str) -> Option<Condition<'p>> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|one| one.type_ == type_).map(Condition)
}

/// A condition that stands on a pod.
#[derive(Clone, Copy, Debug)]
pub struct Condition<'p>(pub &'p PodCondition);

impl<'p> Condition<'p> {
    /// Whether its status is `True`.
    #[must_use]
    pub fn is_true(self) -> bool {
        self.0.status == "True"
    }

    /// Whether its status is `False`.
    #[must_use]
    pub fn is_false(self) -> bool {
        self.0.status == "False"
    }

    /// Its reason; empty without one.
    #[must_use]
    pub fn reason(self) -> &'p str {
        self.0.reason.as_deref().unwrap_or_default()
    }

    /// Its sentence; empty without one.
    #[must_use]
    pub fn message(self) -> &'p str {
        self.0.message.as_deref().unwrap_or_default()
    }

    /// Whether it gives this reason in a sentence with these words.
    #[must_use]
    pub fn says(self, reason: &str, words: &str) -> bool {
        self.reason() == reason && self.message().contains(words)
    }
}
