//! When a run is over: every pod of the trace came, and nothing that will still happen by itself gives one of
//! those that wait a node.
//!
//! What will still happen is that pods end. So as long as one runs that will, and one waits that this may help,
//! the run goes on: a queue drains as lifetimes end. Who waits for good does not hold it up: who asks for more
//! than there is or may have, and members of a gang that will never be whole, because nobody comes any more.
//! What runs on and gives nothing back changes nothing either. Then it is over as soon as the sidecar and the
//! scheduler have looked at everybody once more.

use std::time::Duration;

use super::story::Counts;

/// For how long nothing may change before the last verdicts stand: longer than the sidecar's longest pause
/// between two decisions.
const QUIET: Duration = Duration::from_secs(3);
/// How long kube-scheduler lets a refused pod wait at most before it tries again. Pods that finish make it try
/// for as long as any run, so that waiting for empty queues alone could take that long.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(10);
/// How long nothing may happen while somebody has no verdict.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// What a look says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Something may still change.
    GoOn,
    /// Nothing will.
    Over,
    /// Somebody has no verdict, and nothing has happened for [`PATIENCE`].
    Stuck,
}

/// What was seen so far.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    /// Pods of the trace that will come.
    pods: usize,
    last: Verdicts,
    since: Duration,
}

/// What moves the end, when it changes. That pods end does not, for as long as any run; that the last one has is
/// the news.
type Verdicts = ([usize; 7], bool);

const fn verdicts(counts: Counts) -> Verdicts {
    let Counts { created, waiting, refused, queued, unexplained, for_good, incomplete, ending, .. } = counts;
    ([created, waiting, refused, queued, unexplained, for_good, incomplete], ending > 0)
}

impl Ending {
    /// Of a run with so many pods.
    pub(super) fn new(pods: usize) -> Self {
        Self { pods, last: verdicts(Counts::default()), since: Duration::ZERO }
    }

    /// Looks at how things are at `now`; `to_be_tried` pods stand in the scheduler's queues.
    pub(super) fn look(&mut self, now: Duration, counts: Counts, to_be_tried: u64) -> Look {
        let verdicts = verdicts(counts);
        if verdicts != self.last {
            (self.last, self.since) = (verdicts, now);
            // A pod that is being looked at in this moment is in no queue; the next look tells.
            return if counts.created == self.pods && counts.waiting == 0 { Look::Over } else { Look::GoOn };
        }
        if counts.created < self.pods {
            return Look::GoOn;
        }
        let Counts { waiting, refused, queued, unexplained, for_good, incomplete, ending, .. } = counts;
        let quiet = now.saturating_sub(self.since);
        let undecided = waiting.saturating_sub(queued + refused) + unexplained;
        let may_be_helped = waiting.saturating_sub(for_good + incomplete);
        let tried = to_be_tried == 0 || quiet > LONGEST_BACK_OFF;
        match (undecided, may_be_helped) {
            (1.., _) if quiet > PATIENCE => Look::Stuck,
            (1.., _) => Look::GoOn,
            (0, 1..) if ending > 0 => Look::GoOn,
            _ if quiet >= QUIET && tried => Look::Over,
            _ => Look::GoOn,
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

    fn looks(counts: Counts, seconds: u64) -> Look {
        let mut ending = Ending::new(10);
        ending.look(at(100), counts, 0);
        ending.look(at(100 + seconds), counts, 0)
    }

    #[test]
    fn a_run_is_over_at_once_when_nobody_waits_and_all_have_come() {
        let mut ending = Ending::new(10);
        assert_eq!(ending.look(at(1), Counts { created: 9, ..Counts::default() }, 0), Look::GoOn);
        assert_eq!(ending.look(at(2), Counts { created: 10, ending: 10, ..Counts::default() }, 0), Look::Over);
    }

    #[test]
    fn who_waits_for_quota_or_room_is_waited_for_as_long_as_somebody_ends() {
        let waits = Counts { queued: 2, refused: 1, ..counts() };
        assert_eq!(looks(waits, 3600), Look::GoOn);
        assert_eq!(looks(Counts { ending: 0, ..waits }, 2), Look::GoOn, "the sidecar may not have looked yet");
        assert_eq!(looks(Counts { ending: 0, ..waits }, 3), Look::Over);
    }

    #[test]
    fn who_waits_for_good_holds_nobody_up() {
        let waits = Counts { queued: 3, for_good: 2, incomplete: 1, ..counts() };
        assert_eq!(looks(waits, 3), Look::Over);
        assert_eq!(looks(Counts { for_good: 1, ..waits }, 3), Look::GoOn);
    }

    #[test]
    fn what_the_scheduler_will_try_by_itself_is_waited_for_but_not_for_ever() {
        let waits = Counts { refused: 3, ending: 0, ..counts() };
        let mut ending = Ending::new(10);
        ending.look(at(0), waits, 1);
        assert_eq!(ending.look(at(10), waits, 1), Look::GoOn);
        assert_eq!(ending.look(at(11), waits, 1), Look::Over);
    }

    #[test]
    fn without_a_verdict_nothing_ends_until_patience_does() {
        let silent = Counts { queued: 1, unexplained: 1, refused: 2, ..counts() };
        assert_eq!(looks(silent, 90), Look::GoOn);
        assert_eq!(looks(silent, 91), Look::Stuck);
        assert_eq!(looks(Counts { refused: 2, ..counts() }, 91), Look::Stuck, "one is in nobody's hands");
    }

    #[test]
    fn that_pods_end_is_no_news_and_that_the_last_one_did_is() {
        let waits = Counts { queued: 3, for_good: 3, ..counts() };
        let mut ending = Ending::new(10);
        ending.look(at(0), waits, 0);
        assert_eq!(ending.look(at(2), Counts { ending: 5, ..waits }, 0), Look::GoOn);
        assert_eq!(ending.look(at(3), Counts { ending: 4, ..waits }, 0), Look::Over);
        let mut ending = Ending::new(10);
        let helped = Counts { for_good: 0, ..waits };
        ending.look(at(0), helped, 0);
        assert_eq!(ending.look(at(60), Counts { ending: 0, ..helped }, 0), Look::GoOn, "the queue moves now");
    }

    #[test]
    fn before_the_last_pod_came_nothing_ends() {
        assert_eq!(looks(Counts { created: 9, waiting: 0, ..counts() }, 3600), Look::GoOn);
    }
}
