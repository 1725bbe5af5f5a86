//! Conditions that wait to be written, in the order in which they came up.
//!
//! A condition that changes before it is written keeps its turn: where conditions change faster than they are
//! written, each pod still gets one.

use std::collections::BTreeMap;
use std::time::Instant;

use super::writer::Place;
use crate::client::ConditionUpdate;

/// A queue in which each place stands once.
#[derive(Debug, Default)]
pub(super) struct PendingConditions {
    updates: BTreeMap<Place, (u64, ConditionUpdate)>,
    turns: BTreeMap<u64, (Place, Instant)>,
    next: u64,
}

impl PendingConditions {
    /// Replaces what waits in this place and keeps its turn; a new place comes last.
    pub(super) fn put(&mut self, place: Place, update: ConditionUpdate) {
        if let Some((_, before)) = self.updates.get_mut(&place) {
            *before = update;
            return;
        }
        self.updates.insert(place, (self.next, update));
        self.turns.insert(self.next, (place, Instant::now()));
        self.next += 1;
    }

    /// As [`Self::put`], unless something newer waits in this place.
    pub(super) fn put_back(&mut self, place: Place, update: ConditionUpdate) {
        if !self.updates.contains_key(&place) {
            self.put(place, update);
        }
    }

    /// Takes what waits in a place.
    pub(super) fn remove(&mut self, place: &Place) -> Option<ConditionUpdate> {
        let (turn, update) = self.updates.remove(place)?;
        self.turns.remove(&turn);
        Some(update)
    }

    /// Takes the first whose place is free.
    pub(super) fn next(&mut self, free: impl Fn(&Place) -> bool) -> Option<(Place, ConditionUpdate)> {
        let place = self.turns.values().map(|(place, _)| *place).find(free)?;
        Some((place, self.remove(&place)?))
    }

    /// Since when the first one waits.
    pub(super) fn since(&self) -> Option<Instant> {
        self.turns.first_key_value().map(|(_, (_, since))| *since)
    }
}

#[cfg(test)]
mod tests {
    use weir_api::condition;
    use weir_queue::Uid;

    use super::*;

    const fn place(pod: u128) -> Place {
        (Uid::new(pod), condition::ADMITTED)
    }

    fn update(message: &str) -> ConditionUpdate {
        ConditionUpdate {
            condition: condition::ADMITTED,
            status: "False",
            reason: "WaitingForQuota",
            message: message.to_owned(),
        }
    }

    /// The pods in the order in which they are written, each with what.
    fn all(pending: &mut PendingConditions) -> Vec<(Place, String)> {
        std::iter::from_fn(|| pending.next(|_| true)).map(|(place, update)| (place, update.message)).collect()
    }

    #[test]
    fn whoever_came_first_is_told_first_and_keeps_its_turn_when_the_words_change() {
        let mut pending = PendingConditions::default();
        assert_eq!(pending.since(), None);
        [9, 1, 5].into_iter().for_each(|pod| pending.put(place(pod), update("first")));
        pending.put(place(9), update("second"));
        pending.put_back(place(1), update("older"));
        assert_eq!(pending.remove(&place(5)).map(|update| update.message).as_deref(), Some("first"));
        assert!(pending.since().is_some());
        assert_eq!(all(&mut pending), [(place(9), "second".to_owned()), (place(1), "first".to_owned())]);
        assert_eq!((pending.since(), pending.updates.len()), (None, 0));
    }

    #[test]
    fn one_whose_words_are_being_written_is_passed_and_not_forgotten() {
        let mut pending = PendingConditions::default();
        pending.put(place(1), update("a"));
        pending.put(place(2), update("b"));
        assert_eq!(pending.next(|at| *at != place(1)).map(|(at, _)| at), Some(place(2)));
        assert_eq!(pending.next(|at| *at != place(1)), None);
        assert_eq!(pending.next(|_| true).map(|(at, _)| at), Some(place(1)));
    }
}
