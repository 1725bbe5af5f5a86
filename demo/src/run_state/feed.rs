//! What happened, in lines that a person can follow.
//!
//! At hundreds of pods per second a line for each would be noise, so what happens again within [`TOGETHER`] of the line
//! that began it is counted on that line instead of adding one.

use std::collections::VecDeque;
use std::time::Duration;

use crate::At;
use crate::cluster_state::eviction::Eviction;
use crate::cluster_state::pod::{GangOf, Pod};
use crate::cluster_state::refusal::Refusal;
use crate::cluster_state::{News, What};

/// Lines kept; more than the tallest view shows.
const KEPT: usize = 100;

/// How long a line takes in what is like it.
const TOGETHER: Duration = Duration::from_millis(1000);

/// How a line should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// A step done, a pod placed.
    Good,
    /// A pod that waits.
    Warn,
    /// A failure or a breach.
    Bad,
}

/// One line of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it began.
    pub at: At,
    /// How it should look.
    pub tone: Tone,
    /// What it says.
    pub text: String,
}

/// The latest lines, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    entries: VecDeque<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    line: Line,
    /// What the line counts and how many it has; `None` for a line that stands for one thing alone.
    counted: Option<(Kind, usize)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Admitted,
    Bound,
    Finished,
    Evicted {
        pool: Option<String>,
        reason: String,
        /// The pool that gets the room.
        to: Option<String>,
    },
    /// With the reason that tells most.
    Refused(String),
}

impl Feed {
    /// The lines, oldest first; the newest last.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = &Line> + ExactSizeIterator {
        self.entries.iter().map(|entry| &entry.line)
    }

    pub(super) fn say(&mut self, at: At, tone: Tone, text: String) {
        self.push(Entry { line: Line { at, tone, text }, counted: None });
    }

    /// Says what became of a pod.
    pub(super) fn news(&mut self, at: At, News { pod, what }: News) {
        match what {
            What::MadeWhole(GangOf { name, size }) => {
                self.say(at, Tone::Plain, format!("gang {name} is whole: {size} pods"));
            }
            What::Admitted => self.admitted(at, &pod),
            What::Refused(refusal) => self.refused(at, &pod.name, &refusal),
            What::Bound(node) => self.bound(at, &pod.name, &node),
            What::Finished | What::Deleted => self.finished(at, &pod.name),
            What::Evicted(eviction) => self.evicted(at, &pod, &eviction),
            What::Created => {}
        }
    }

    /// Of a gang the last member that went is named by the gang.
    fn admitted(&mut self, at: At, pod: &Pod) {
        let name = pod.gang.as_ref().map_or_else(|| pod.name.clone(), |gang| format!("gang {}", gang.name));
        self.count(at, Tone::Plain, Kind::Admitted, &|count| match count {
            1 => format!("{name} admitted"),
            _ => format!("{name} admitted, {count} pods in all"),
        });
    }

    fn bound(&mut self, at: At, pod: &str, node: &str) {
        self.count(at, Tone::Good, Kind::Bound, &|count| match count {
            1 => format!("{pod} → {node}"),
            _ => format!("{pod} → {node}, and {} more placed", count - 1),
        });
    }

    fn finished(&mut self, at: At, pod: &str) {
        self.count(at, Tone::Plain, Kind::Finished, &|count| match count {
            1 => format!("{pod} finished"),
            _ => format!("{pod} and {} more finished", count - 1),
        });
    }

    fn evicted(&mut self, at: At, pod: &Pod, eviction: &Eviction) {
        let Eviction { reason, message } = eviction;
        let (pool, to) = (pod.pool.clone(), eviction.to().map(str::to_owned));
        self.count(at, Tone::Warn, Kind::Evicted { pool, reason: reason.clone(), to }, &|count| match count {
            1 => format!("{} evicted ({reason}): {message}", pod.name),
            _ => format!("{} and {} more evicted ({reason}): {message}", pod.name, count - 1),
        });
    }

    fn refused(&mut self, at: At, pod: &str, refusal: &Refusal) {
        let reason = refusal.telling();
        self.count(at, Tone::Warn, Kind::Refused(reason.to_owned()), &|count| match count {
            1 => format!("{pod} waits: {reason}"),
            _ => format!("{pod} and {} more wait: {reason}", count - 1),
        });
    }

    fn count(&mut self, at: At, tone: Tone, kind: Kind, text: &dyn Fn(usize) -> String) {
        let mut fresh = self.entries.iter_mut().rev().take_while(|entry| at.saturating_sub(entry.line.at) < TOGETHER);
        let same = fresh.find_map(|Entry { line, counted }| match counted {
            Some((counted, count)) if *counted == kind => Some((line, count)),
            _ => None,
        });
        match same {
            Some((line, count)) => {
                *count += 1;
                line.text = text(*count);
            }
            None => self.push(Entry { line: Line { at, tone, text: text(1) }, counted: Some((kind, 1)) }),
        }
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> At {
        Duration::from_millis(millis)
    }

    fn texts(feed: &Feed) -> Vec<&str> {
        feed.lines().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn what_happens_again_within_a_second_is_counted_on_one_line() {
        let mut feed = Feed::default();
        feed.bound(at(0), "a", "n1");
        feed.bound(at(400), "b", "n2");
        feed.bound(at(999), "c", "n3");
        feed.bound(at(1000), "d", "n4");
        assert_eq!(texts(&feed), ["c → n3, and 2 more placed", "d → n4"]);
    }

    #[test]
    fn another_kind_of_thing_gets_a_line_of_its_own_and_does_not_interrupt_the_count() {
        let mut feed = Feed::default();
        let refused = |reason: &str| Refusal { parts: vec![(Some(3), reason.into())] };
        feed.bound(at(0), "a", "n1");
        feed.refused(at(1), "b", &refused("Insufficient cpu"));
        feed.refused(at(2), "c", &refused("Insufficient cpu"));
        feed.refused(at(3), "d", &refused("Insufficient memory"));
        feed.say(at(4), Tone::Plain, "node n1 is drained".into());
        feed.bound(at(5), "e", "n1");
        assert_eq!(
            texts(&feed),
            [
                "e → n1, and 1 more placed",
                "c and 1 more wait: Insufficient cpu",
                "d waits: Insufficient memory",
                "node n1 is drained"
            ]
        );
    }

    #[test]
    fn only_the_latest_lines_are_kept() {
        let mut feed = Feed::default();
        for number in 0..250 {
            feed.say(at(number), Tone::Plain, number.to_string());
        }
        assert_eq!(feed.lines().len(), 100);
        assert_eq!(feed.lines().next().map(|line| line.text.as_str()), Some("150"));
    }
}
