//! Conditions of pods as values: what stands on a pod, what should stand there, and how the two differ.

use std::fmt;

use k8s_openapi::api::core::v1::PodCondition;
use weir_api::condition;
use weir_queue::Time;

use super::time;

/// The type of a condition that the sidecar writes on pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// Whether the pod is admitted, and why or why not.
    Admitted,
    /// Whether the pod is about to be evicted, and for whom.
    Preempted,
    /// The last request about the pod that the policy refused.
    Refused,
}

impl ConditionType {
    /// The type as it stands on the pod.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => condition::ADMITTED,
            Self::Preempted => condition::PREEMPTED,
            Self::Refused => condition::REFUSED,
        }
    }
}

/// The status of a condition. The sidecar never writes `Unknown`, and reads it as `False`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
}

impl ConditionStatus {
    /// The status as it stands on the pod.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
        }
    }
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A condition as it stands on a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingCondition {
    /// Its status.
    pub status: ConditionStatus,
    /// Its reason, one word.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// The time of its last transition.
    pub since: Time,
}

impl StandingCondition {
    /// The condition of this type; `created` is the time of a transition that the condition does not give.
    #[must_use]
    pub fn of(conditions: &[PodCondition], type_: ConditionType, created: Time) -> Option<Self> {
        let written = conditions.iter().find(|one| one.type_ == type_.as_str())?;
        Some(Self {
            status: if written.status == "True" { ConditionStatus::True } else { ConditionStatus::False },
            reason: written.reason.clone().unwrap_or_default(),
            message: written.message.clone().unwrap_or_default(),
            since: written.last_transition_time.as_ref().map_or(created, time),
        })
    }

    /// Whether the condition holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.status == ConditionStatus::True
    }

    /// Whether status and reason are the same; messages change with every number in them.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.status == other.status && self.reason == other.reason
    }
}

/// A condition that should stand on a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionUpdate {
    /// Its type.
    pub condition: ConditionType,
    /// Its status.
    pub status: ConditionStatus,
    /// Its reason, one word.
    pub reason: &'static str,
    /// Its message, one sentence with numbers.
    pub message: String,
}

/// How an update differs from the condition that stands on the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// In its status: the last transition is now, and an event goes with it.
    Transition,
    /// In its reason: an event goes with it.
    Reason,
    /// In its message alone: no event.
    Message,
}

impl ConditionUpdate {
    /// How this differs from what stands on the pod; none where both say the same.
    #[must_use]
    pub fn change_from(&self, standing: Option<&StandingCondition>) -> Option<Change> {
        match standing {
            None => Some(Change::Transition),
            Some(standing) if standing.status != self.status => Some(Change::Transition),
            Some(standing) if standing.reason != self.reason => Some(Change::Reason),
            Some(standing) => (standing.message != self.message).then_some(Change::Message),
        }
    }

    /// The condition as it stands once this was written at this time; `before` is what stood there.
    #[must_use]
    pub fn written(self, change: Change, before: Option<&StandingCondition>, now: Time) -> StandingCondition {
        let Self { condition: _, status, reason, message } = self;
        let since = match (change, before) {
            (Change::Reason | Change::Message, Some(before)) => before.since,
            (Change::Transition, _) | (_, None) => now,
        };
        StandingCondition { status, reason: reason.to_owned(), message, since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(reason: &'static str, message: &str) -> ConditionUpdate {
        let (condition, status) = (ConditionType::Admitted, ConditionStatus::False);
        ConditionUpdate { condition, status, reason, message: message.to_owned() }
    }

    #[test]
    fn an_update_is_a_transition_another_reason_other_numbers_or_nothing() {
        let at = Time::from_millis;
        let standing = waits("WaitingForQuota", "4 of 8").written(Change::Transition, None, at(1000));
        let admitted = ConditionUpdate { status: ConditionStatus::True, ..waits("OnLoan", "") };
        let change = |update: &ConditionUpdate| update.change_from(Some(&standing));
        assert_eq!(waits("WaitingForQuota", "4 of 8").change_from(None), Some(Change::Transition));
        assert_eq!(change(&admitted), Some(Change::Transition));
        assert_eq!(change(&waits("PoolHeld", "4 of 8")), Some(Change::Reason));
        assert_eq!(change(&waits("WaitingForQuota", "5 of 8")), Some(Change::Message));
        assert_eq!(change(&waits("WaitingForQuota", "4 of 8")), None);
    }

    #[test]
    fn only_a_transition_moves_the_time_of_the_last_transition() {
        let at = Time::from_millis;
        let first = waits("PoolHeld", "").written(Change::Transition, None, at(1000));
        let second = waits("WaitingForQuota", "").written(Change::Reason, Some(&first), at(2000));
        assert_eq!((first.since, second.since), (at(1000), at(1000)));
    }

    #[test]
    fn a_condition_without_a_transition_stands_since_the_pod_was_created() {
        let written =
            PodCondition { type_: "weir.dev/Admitted".into(), status: "Unknown".into(), ..Default::default() };
        let created = Time::from_millis(7);
        let standing = StandingCondition::of(&[written], ConditionType::Admitted, created).unwrap();
        assert_eq!((standing.holds(), standing.since), (false, created));
        assert_eq!(StandingCondition::of(&[], ConditionType::Preempted, created), None);
    }
}
