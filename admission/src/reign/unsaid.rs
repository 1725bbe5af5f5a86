//! What is to be said on pods and is not said yet, in the order in which it came up.
//!
//! What changes before it was said keeps its turn: where words change faster than they are written, everybody is
//! still told something.

use std::collections::BTreeMap;
use std::time::Instant;

use super::words::Place;
use crate::writes::Told;

/// A queue in which each place stands once.
#[derive(Debug, Default)]
pub(super) struct Unsaid {
    words: BTreeMap<Place, (u64, Told)>,
    turns: BTreeMap<u64, (Place, Instant)>,
    next: u64,
}

impl Unsaid {
    /// Says this instead of what was to be said there, in its turn; where nothing was, last.
    pub(super) fn put(&mut self, place: Place, told: Told) {
        if let Some((_, before)) = self.words.get_mut(&place) {
            *before = told;
            return;
        }
        self.words.insert(place, (self.next, told));
        self.turns.insert(self.next, (place, Instant::now()));
        self.next += 1;
    }

    /// As [`Self::put`], unless something newer is to be said there.
    pub(super) fn put_back(&mut self, place: Place, told: Told) {
        if !self.words.contains_key(&place) {
            self.put(place, told);
        }
    }

    /// Takes what is to be said in a place.
    pub(super) fn remove(&mut self, place: &Place) -> Option<Told> {
        let (turn, told) = self.words.remove(place)?;
        self.turns.remove(&turn);
        Some(told)
    }

    /// Takes the first whose place is free.
    pub(super) fn next(&mut self, free: impl Fn(&Place) -> bool) -> Option<(Place, Told)> {
        let place = self.turns.values().map(|(place, _)| *place).find(free)?;
        Some((place, self.remove(&place)?))
    }

    /// Since when the first waits.
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

    fn told(message: &str) -> Told {
        Told { condition: condition::ADMITTED, status: "False", reason: "WaitingForQuota", message: message.to_owned() }
    }

    /// The pods in the order in which they are told, each with what.
    fn all(unsaid: &mut Unsaid) -> Vec<(Place, String)> {
        std::iter::from_fn(|| unsaid.next(|_| true)).map(|(place, told)| (place, told.message)).collect()
    }

    #[test]
    fn whoever_came_first_is_told_first_and_keeps_its_turn_when_the_words_change() {
        let mut unsaid = Unsaid::default();
        assert_eq!(unsaid.since(), None);
        [9, 1, 5].into_iter().for_each(|pod| unsaid.put(place(pod), told("first")));
        unsaid.put(place(9), told("second"));
        unsaid.put_back(place(1), told("older"));
        assert_eq!(unsaid.remove(&place(5)).map(|told| told.message).as_deref(), Some("first"));
        assert!(unsaid.since().is_some());
        assert_eq!(all(&mut unsaid), [(place(9), "second".to_owned()), (place(1), "first".to_owned())]);
        assert_eq!((unsaid.since(), unsaid.words.len()), (None, 0));
    }

    #[test]
    fn one_whose_words_are_being_written_is_passed_and_not_forgotten() {
        let mut unsaid = Unsaid::default();
        unsaid.put(place(1), told("a"));
        unsaid.put(place(2), told("b"));
        assert_eq!(unsaid.next(|at| *at != place(1)).map(|(at, _)| at), Some(place(2)));
        assert_eq!(unsaid.next(|at| *at != place(1)), None);
        assert_eq!(unsaid.next(|_| true).map(|(at, _)| at), Some(place(1)));
    }
}
