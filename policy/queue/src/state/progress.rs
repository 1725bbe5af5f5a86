//! The time for which the scheduler has worked, as far as its marks tell: a pod bound, a verdict said.
//!
//! A scheduler counts as working from each mark for as long as it may be silent (`scheduler_patience`). What
//! is kept are the stretches of time in which marks followed one another that closely, so that a new leader
//! that is told of old marks comes to the same times as the one before.

use std::time::Duration;

use crate::contract::time::Time;

/// How many stretches are remembered; between two of them the scheduler was silent for minutes.
const MOST: usize = 64;

/// When the scheduler worked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// First and last mark of each stretch, in order and apart.
    stretches: Vec<(Time, Time)>,
}

impl Progress {
    /// Notes a mark. Marks may be told in any order.
    pub(crate) fn mark(&mut self, at: Time, patience: Duration) {
        self.stretches.push((at, at));
        self.stretches.sort_unstable();
        let mut joined: Vec<(Time, Time)> = Vec::with_capacity(self.stretches.len());
        for &(first, last) in &self.stretches {
            match joined.last_mut().filter(|(_, before)| first <= before.after(patience)) {
                Some((_, before)) => *before = (*before).max(last),
                None => joined.push((first, last)),
            }
        }
        let surplus = joined.len().saturating_sub(MOST);
        self.stretches = joined.split_off(surplus);
    }

    /// The time for which the scheduler worked between two moments.
    pub(crate) fn worked(&self, from: Time, until: Time, patience: Duration) -> Duration {
        let within = self.stretches.iter().map(|&(first, last)| {
            let (begin, end) = (first.max(from), last.after(patience).min(until));
            end.since(begin)
        });
        within.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(360);

    fn seconds(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn the_time_in_which_nothing_was_heard_is_left_out() {
        let mut progress = Progress::default();
        for mark in [1000, 1300, 9000] {
            progress.mark(seconds(mark), PATIENCE);
        }
        // 1000 to 1660, and from 9000 on.
        let worked = |from: u64, until: u64| progress.worked(seconds(from), seconds(until), PATIENCE).as_secs();
        assert_eq!(worked(0, 9100), 660 + 100);
        assert_eq!(worked(1500, 9100), 160 + 100);
        assert_eq!(worked(2000, 8000), 0);
    }

    #[test]
    fn the_order_in_which_marks_are_told_does_not_matter() {
        let marks = [5000, 1000, 1300, 1650, 4900];
        let of = |marks: &mut dyn Iterator<Item = u64>| {
            let mut progress = Progress::default();
            marks.for_each(|mark| progress.mark(seconds(mark), PATIENCE));
            progress
        };
        assert_eq!(of(&mut marks.into_iter()), of(&mut marks.into_iter().rev()));
        assert_eq!(
            of(&mut marks.into_iter()).stretches,
            [(seconds(1000), seconds(1650)), (seconds(4900), seconds(5000))]
        );
    }
}
