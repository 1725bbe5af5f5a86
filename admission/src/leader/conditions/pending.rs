//! Conditions that wait to be written, in the order in which they came up.
//!
//! A condition that changes before it is written keeps its turn: where conditions change faster than they are
//! written, each pod still gets one.

use std::collections::BTreeMap;
use std::time::Instant;

use weir_queue::Uid;

use crate::convert::condition::{ConditionType, ConditionUpdate};

/// One condition of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    /// The pod.
    pub(super) pod: Uid,
    /// The condition.
    pub(super) condition: ConditionType,
}

/// A queue in which each slot stands once.
#[derive(Debug, Default)]
pub(super) struct PendingConditions {
    updates: BTreeMap<Slot, Turn>,
    turns: BTreeMap<u64, (Slot, Instant)>,
    next: u64,
}

#[derive(Debug)]
struct Turn {
    number: u64,
    update: ConditionUpdate,
}

impl PendingConditions {
    /// Replaces what waits in a slot and keeps its turn; a slot in which nothing waits comes last.
    pub(super) fn put(&mut self, slot: Slot, update: ConditionUpdate, now: Instant) {
        if let Some(turn) = self.updates.get_mut(&slot) {
            turn.update = update;
            return;
        }
        self.updates.insert(slot, Turn { number: self.next, update });
        self.turns.insert(self.next, (slot, now));
        self.next += 1;
    }

    /// As [`Self::put`], unless something newer waits in the slot.
    pub(super) fn put_back(&mut self, slot: Slot, update: ConditionUpdate, now: Instant) {
        if !self.updates.contains_key(&slot) {
            self.put(slot, update, now);
        }
    }

    /// Takes what waits in a slot.
    pub(super) fn remove(&mut self, slot: &Slot) -> Option<ConditionUpdate> {
        let Turn { number, update } = self.updates.remove(slot)?;
        self.turns.remove(&number);
        Some(update)
    }

    /// Takes the first whose slot is free.
    pub(super) fn next(&mut self, free: impl Fn(&Slot) -> bool) -> Option<(Slot, ConditionUpdate)> {
        let slot = self.turns.values().map(|(slot, _)| *slot).find(free)?;
        Some((slot, self.remove(&slot)?))
    }

    /// Since when the first one waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.turns.first_key_value().map(|(_, (_, since))| *since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::condition::ConditionStatus;

    const fn slot(pod: u128) -> Slot {
        Slot { pod: Uid::new(pod), condition: ConditionType::Admitted }
    }

    fn update(message: &str) -> ConditionUpdate {
        let (condition, status) = (ConditionType::Admitted, ConditionStatus::False);
        ConditionUpdate { condition, status, reason: "WaitingForQuota", message: message.to_owned() }
    }

    /// The slots in the order in which they are written, each with what.
    fn all(pending: &mut PendingConditions) -> Vec<(Slot, String)> {
        std::iter::from_fn(|| pending.next(|_| true)).map(|(slot, update)| (slot, update.message)).collect()
    }

    #[test]
    fn what_came_first_is_written_first_and_keeps_its_turn_when_it_changes() {
        let (mut pending, now) = (PendingConditions::default(), Instant::now());
        assert_eq!(pending.since(), None);
        [9, 1, 5].into_iter().for_each(|pod| pending.put(slot(pod), update("first"), now));
        pending.put(slot(9), update("second"), now);
        pending.put_back(slot(1), update("older"), now);
        assert_eq!(pending.remove(&slot(5)).map(|update| update.message).as_deref(), Some("first"));
        assert_eq!(pending.since(), Some(now));
        assert_eq!(all(&mut pending), [(slot(9), "second".to_owned()), (slot(1), "first".to_owned())]);
        assert_eq!((pending.since(), pending.updates.len()), (None, 0));
    }

    #[test]
    fn a_slot_that_is_being_written_is_passed_and_not_forgotten() {
        let (mut pending, now) = (PendingConditions::default(), Instant::now());
        pending.put(slot(1), update("a"), now);
        pending.put(slot(2), update("b"), now);
        assert_eq!(pending.next(|at| *at != slot(1)).map(|(at, _)| at), Some(slot(2)));
        assert_eq!(pending.next(|at| *at != slot(1)), None);
        assert_eq!(pending.next(|_| true).map(|(at, _)| at), Some(slot(1)));
    }
}
