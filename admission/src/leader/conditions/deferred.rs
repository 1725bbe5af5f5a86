//! Conditions that could not be written, until they are tried again.
//!
//! What cannot be written on one pod delays nothing on others (B5c), and is not tried again and again: a pod whose
//! annotations leave no room for a condition, or that a policy guards, would cost a request each few milliseconds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::pending::Slot;
use crate::convert::condition::ConditionUpdate;

/// How long to wait after the first write without an answer, after the first that was refused, and at most. Each time
/// is twice as long.
const FAILED: Duration = Duration::from_secs(1);
const REFUSED: Duration = Duration::from_secs(30);
const MOST: Duration = Duration::from_secs(600);

/// What waits for its next attempt, by pod and condition.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    updates: BTreeMap<Slot, (Instant, ConditionUpdate)>,
    /// How often each slot could not be written since it last was.
    failures: BTreeMap<Slot, u32>,
}

impl Deferred {
    /// Keeps an update for later; `refused` says that the API server will refuse it again.
    pub(super) fn defer(&mut self, slot: Slot, update: ConditionUpdate, refused: bool, now: Instant) {
        let failures = self.failures.entry(slot).or_default();
        let first = if refused { REFUSED } else { FAILED };
        let pause = first.saturating_mul(1 << (*failures).min(16)).min(MOST);
        *failures = failures.saturating_add(1);
        self.updates.insert(slot, (now + pause, update));
    }

    /// Replaces an update that waits, which keeps its time; gives it back where none does.
    pub(super) fn replace(&mut self, slot: Slot, update: ConditionUpdate) -> Option<ConditionUpdate> {
        match self.updates.get_mut(&slot) {
            Some((_, waiting)) => {
                *waiting = update;
                None
            }
            None => Some(update),
        }
    }

    /// Drops what waits in a slot; whether anything did.
    pub(super) fn remove(&mut self, slot: &Slot) -> bool {
        self.updates.remove(slot).is_some()
    }

    /// Forgets a slot: its condition stands, or its pod is gone.
    pub(super) fn forget(&mut self, slot: &Slot) {
        self.updates.remove(slot);
        self.failures.remove(slot);
    }

    /// Takes the updates whose time has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(Slot, ConditionUpdate)> {
        self.updates.extract_if(.., |_, (at, _)| *at <= now).map(|(slot, (_, update))| (slot, update)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::condition::{ConditionStatus, ConditionType};
    use crate::leader::fixture::{now, uid};

    const SLOT: Slot = Slot { pod: uid(1), condition: ConditionType::Admitted };

    fn update(message: &str) -> ConditionUpdate {
        let (condition, status) = (ConditionType::Admitted, ConditionStatus::False);
        ConditionUpdate { condition, status, reason: "WaitingForQuota", message: message.to_owned() }
    }

    /// After how many seconds each of the next attempts is due.
    fn pauses(refused: bool) -> Vec<u64> {
        let mut deferred = Deferred::default();
        let pause = |deferred: &mut Deferred| {
            deferred.defer(SLOT, update("a"), refused, now(0).instant);
            (0..=600).find(|&seconds| !deferred.take_due(now(seconds).instant).is_empty()).unwrap()
        };
        (0..6).map(|_| pause(&mut deferred)).collect()
    }

    #[test]
    fn each_attempt_comes_later_than_the_one_before() {
        assert_eq!(pauses(false), [1, 2, 4, 8, 16, 32]);
        assert_eq!(pauses(true), [30, 60, 120, 240, 480, 600]);
    }

    #[test]
    fn a_newer_update_takes_the_place_of_the_one_that_waits_and_keeps_its_time() {
        let mut deferred = Deferred::default();
        assert_eq!(deferred.replace(SLOT, update("a")), Some(update("a")));
        deferred.defer(SLOT, update("a"), true, now(0).instant);
        assert_eq!(deferred.replace(SLOT, update("b")), None);
        assert_eq!(deferred.take_due(now(29).instant), []);
        assert_eq!(deferred.take_due(now(30).instant), [(SLOT, update("b"))]);
    }

    #[test]
    fn nothing_is_kept_of_a_slot_that_is_forgotten() {
        let mut deferred = Deferred::default();
        deferred.defer(SLOT, update("a"), true, now(0).instant);
        deferred.forget(&SLOT);
        assert!(deferred.updates.is_empty() && deferred.failures.is_empty());
    }
}
