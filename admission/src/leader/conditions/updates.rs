//! The conditions that the leader writes on pods.

use weir_api::condition::{Preempted, Spared};
use weir_api::round::Victim;
use weir_queue::{Explanation, Grounds};

use crate::convert::condition::{ConditionStatus, ConditionType, ConditionUpdate};

/// Says why a pod waits.
pub(in crate::leader) fn waiting(why: &Explanation) -> ConditionUpdate {
    let (condition, status) = (ConditionType::Admitted, ConditionStatus::False);
    ConditionUpdate { condition, status, reason: why.reason().as_str(), message: why.to_string() }
}

/// Says why a pod was admitted.
pub(in crate::leader) fn admitted(grounds: Grounds, message: String) -> ConditionUpdate {
    let (condition, status) = (ConditionType::Admitted, ConditionStatus::True);
    ConditionUpdate { condition, status, reason: grounds.as_str(), message }
}

/// Says why a pod is not evicted after all.
pub(in crate::leader) fn spared(reason: Spared, message: String) -> ConditionUpdate {
    let (condition, status) = (ConditionType::Preempted, ConditionStatus::False);
    ConditionUpdate { condition, status, reason: reason.as_str(), message }
}

/// Says for whom a recorded victim is about to be evicted.
pub(in crate::leader) fn preempted(victim: &Victim) -> ConditionUpdate {
    let (condition, status) = (ConditionType::Preempted, ConditionStatus::True);
    let reason = victim.reason.parse().unwrap_or(Preempted::Reclaimed).as_str();
    ConditionUpdate { condition, status, reason, message: victim.message.clone() }
}
