//! When a run is over: every pod of the trace came, and nothing that will still happen by itself gives one of those that
//! wait a node.
//!
//! What will still happen is that pods end. So as long as a pod runs that will end, and a pod waits that this may help,
//! the run goes on: a queue drains as lifetimes end. A pod that waits for good does not hold it up: one that asks for
//! more than there is or than it may have, and a member of a gang that will never be whole, because no pod comes any
//! more. What runs on and gives nothing back changes nothing either. Then it is over as soon as the sidecar and the
//! scheduler have looked at every pod once more.

use std::time::Duration;

use crate::run_state::counts::Counts;

/// For how long nothing may change before the last verdicts stand: longer than the sidecar's longest pause
/// between two decisions.
const QUIET: Duration = Duration::from_secs(3);
/// How long kube-scheduler lets a refused pod wait at most before it tries again. Pods that finish make it try
/// for as long as any run, so that waiting for empty queues alone could take that long.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(10);
/// How long nothing may happen while a pod has no verdict.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// Whether the run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Something may still change.
    GoOn,
    /// Nothing will.
    Over,
    /// A pod has no verdict, and nothing has happened for [`PATIENCE`].
    Stuck,
}

/// What was seen so far.
#[derive(Clone, Debug)]
pub(super) struct Completion {
    /// Pods of the trace that will come.
    pods: usize,
    last: Decided,
    since: Duration,
}

/// What moves the end, when it changes. That pods end does not, for as long as any run; that the last one has is
/// the news.
type Decided = ([usize; 7], bool);

const fn decided(counts: Counts) -> Decided {
    let Counts { created, waiting, refused, queued, unexplained, for_good, incomplete, ending, .. } = counts;
    ([created, waiting, refused, queued, unexplained, for_good, incomplete], ending > 0)
}

impl Completion {
    /// Of a run with so many pods.
    pub(super) fn new(pods: usize) -> Self {
        Self { pods, last: decided(Counts::default()), since: Duration::ZERO }
    }

    /// Looks at how things are at `now`; `to_be_tried` pods stand in the scheduler's queues.
    pub(super) fn verdict(&mut self, now: Duration, counts: Counts, to_be_tried: u64) -> Verdict {
        let decided = decided(counts);
        if decided != self.last {
            (self.last, self.since) = (decided, now);
            // A pod that is being looked at in this moment is in no queue; the next look tells.
            return if counts.created == self.pods && counts.waiting == 0 { Verdict::Over } else { Verdict::GoOn };
        }
        if counts.created < self.pods {
            return Verdict::GoOn;
        }
        let Counts { waiting, refused, queued, unexplained, for_good, incomplete, ending, .. } = counts;
        let quiet = now.saturating_sub(self.since);
        let undecided = waiting.saturating_sub(queued + refused) + unexplained;
        let may_be_helped = waiting.saturating_sub(for_good + incomplete);
        let tried = to_be_tried == 0 || quiet > LONGEST_BACK_OFF;
        match (undecided, may_be_helped) {
            (1.., _) if quiet > PATIENCE => Verdict::Stuck,
            (1.., _) => Verdict::GoOn,
            (0, 1..) if ending > 0 => Verdict::GoOn,
            _ if quiet >= QUIET && tried => Verdict::Over,
            _ => Verdict::GoOn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Ten pods came, seven run and will end, three wait.
    fn counts() -> Counts {
        Counts { created: 10, waiting: 3, ending: 7, running: 7, ..Counts::default() }
    }

    fn verdict_after(counts: Counts, seconds: u64) -> Verdict {
        let mut completion = Completion::new(10);
        completion.verdict(at(100), counts, 0);
        completion.verdict(at(100 + seconds), counts, 0)
    }

    #[test]
    fn a_run_is_over_at_once_when_nobody_waits_and_all_have_come() {
        let mut completion = Completion::new(10);
        assert_eq!(completion.verdict(at(1), Counts { created: 9, ..Counts::default() }, 0), Verdict::GoOn);
        assert_eq!(
            completion.verdict(at(2), Counts { created: 10, ending: 10, ..Counts::default() }, 0),
            Verdict::Over
        );
    }

    #[test]
    fn who_waits_for_quota_or_room_is_waited_for_as_long_as_somebody_ends() {
        let waits = Counts { queued: 2, refused: 1, ..counts() };
        assert_eq!(verdict_after(waits, 3600), Verdict::GoOn);
        assert_eq!(
            verdict_after(Counts { ending: 0, ..waits }, 2),
            Verdict::GoOn,
            "the sidecar may not have looked yet"
        );
        assert_eq!(verdict_after(Counts { ending: 0, ..waits }, 3), Verdict::Over);
    }

    #[test]
    fn who_waits_for_good_holds_nobody_up() {
        let waits = Counts { queued: 3, for_good: 2, incomplete: 1, ..counts() };
        assert_eq!(verdict_after(waits, 3), Verdict::Over);
        assert_eq!(verdict_after(Counts { for_good: 1, ..waits }, 3), Verdict::GoOn);
    }

    #[test]
    fn what_the_scheduler_will_try_by_itself_is_waited_for_but_not_for_ever() {
        let waits = Counts { refused: 3, ending: 0, ..counts() };
        let mut completion = Completion::new(10);
        completion.verdict(at(0), waits, 1);
        assert_eq!(completion.verdict(at(10), waits, 1), Verdict::GoOn);
        assert_eq!(completion.verdict(at(11), waits, 1), Verdict::Over);
    }

    #[test]
    fn without_a_verdict_nothing_ends_until_patience_does() {
        let silent = Counts { queued: 1, unexplained: 1, refused: 2, ..counts() };
        assert_eq!(verdict_after(silent, 90), Verdict::GoOn);
        assert_eq!(verdict_after(silent, 91), Verdict::Stuck);
        assert_eq!(
            verdict_after(Counts { refused: 2, ..counts() }, 91),
            Verdict::Stuck,
            "one pod is neither refused nor waiting"
        );
    }

    #[test]
    fn that_pods_end_is_no_news_and_that_the_last_one_did_is() {
        let waits = Counts { queued: 3, for_good: 3, ..counts() };
        let mut completion = Completion::new(10);
        completion.verdict(at(0), waits, 0);
        assert_eq!(completion.verdict(at(2), Counts { ending: 5, ..waits }, 0), Verdict::GoOn);
        assert_eq!(completion.verdict(at(3), Counts { ending: 4, ..waits }, 0), Verdict::Over);
        let mut completion = Completion::new(10);
        let helped = Counts { for_good: 0, ..waits };
        completion.verdict(at(0), helped, 0);
        assert_eq!(completion.verdict(at(60), Counts { ending: 0, ..helped }, 0), Verdict::GoOn, "the queue moves now");
    }

    #[test]
    fn before_the_last_pod_came_nothing_ends() {
        assert_eq!(verdict_after(Counts { created: 9, waiting: 0, ..counts() }, 3600), Verdict::GoOn);
    }
}
