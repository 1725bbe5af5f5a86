//! Gates: an admission that stands in the record is applied by removing the gates of its pods.
//!
//! What comes of the removal of one gate concerns its pod and nobody else (B5c). A request without an answer is sent
//! again, after a pause that grows. A pod that changed in between is left as it is until the watch shows the version
//! that is there: the queue compares it with what it decided on (B5b), and only then the gate goes. What the API server
//! refuses is taken back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_queue::{Admission, Time, Uid};

use super::decision;
use super::recorded::Entry;
use super::watch_state::pod_cache::PodCache;
use crate::client::{Outcome, Target};

/// The removal of one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GateRemoval {
    /// The pod.
    pub(super) pod: Uid,
    /// The round that admitted it; 0 where an earlier leader recorded it.
    pub(super) round: u64,
    /// The version of the pod that the decision was made on.
    pub(super) target: Target,
    /// The grounds, written with the removal.
    pub(super) grounds: String,
    /// The record of the decision, written with the removal.
    pub(super) decision: String,
    /// What came of it so far.
    pub(super) tried: Tried,
}

/// How often a removal was tried in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tried {
    /// How often the pod had changed.
    changes: u32,
    /// How often there was no answer.
    failures: u32,
}

/// How often a pod may change while its gate is being removed, before its admission is taken back: a tenant may change
/// it for ever.
const CHANGES: u32 = 5;

/// How long to wait after the first request without an answer, and at most; each time twice as long.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What came of the removal of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    /// The gate is gone, or the pod is.
    Done,
    /// It is tried again.
    Later,
    /// The gate stays; the sentence says why.
    Refused(String),
}

/// The gates that are being removed, and those that are tried again.
#[derive(Debug, Default)]
pub(super) struct GateRemovals {
    in_flight: usize,
    again: BTreeMap<Uid, (GateRemoval, When)>,
}

/// When a removal is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    At(Instant),
    /// Once the watch shows another version of the pod.
    OtherVersion,
}

impl GateRemovals {
    /// How many are being removed at this moment.
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether any is being removed, or would be if this replica could show that it leads.
    pub(super) fn need_the_fence(&self, now: Instant) -> bool {
        let due = |(_, when): &(GateRemoval, When)| matches!(when, When::At(at) if *at <= now);
        self.in_flight > 0 || self.again.values().any(due)
    }

    /// Notes that so many are sent.
    pub(super) const fn sent(&mut self, count: usize) {
        self.in_flight += count;
    }

    /// Takes in what came of one.
    pub(super) fn came_back(&mut self, mut removal: GateRemoval, outcome: Outcome, now: Instant) -> Removed {
        self.in_flight = self.in_flight.saturating_sub(1);
        let when = match outcome {
            Outcome::Done | Outcome::Gone => return Removed::Done,
            Outcome::Refused(why) => return Removed::Refused(why),
            Outcome::Changed => {
                removal.tried.changes += 1;
                if removal.tried.changes >= CHANGES {
                    return Removed::Refused(format!("the pod changed {CHANGES} times in between"));
                }
                When::OtherVersion
            }
            Outcome::Failed(error) => {
                tracing::warn!(error, uid = %removal.pod, round = removal.round, "a gate is not removed; retrying");
                let (first, most) = PAUSE;
                let pause = first.saturating_mul(1 << removal.tried.failures.min(16)).min(most);
                removal.tried.failures += 1;
                When::At(now + pause)
            }
            Outcome::NotSent => When::At(now),
        };
        self.again.insert(removal.pod, (removal, when));
        Removed::Later
    }

    /// Those that are due again, each for the version of its pod that is known now; they count as sent. Pods that wait
    /// no more, or whose admission is not recorded any more, are dropped.
    pub(super) fn due(&mut self, pods: &PodCache, is_recorded: impl Fn(Uid) -> bool, now: Instant) -> Vec<GateRemoval> {
        let mut due = Vec::new();
        self.again.retain(|&uid, (removal, when)| {
            let Some(state) = pods.get(uid).filter(|state| state.waits() && is_recorded(uid)) else { return false };
            let is_due = match when {
                When::At(at) => *at <= now,
                When::OtherVersion => state.target.version != removal.target.version,
            };
            if is_due {
                due.push(GateRemoval { target: state.target.clone(), ..removal.clone() });
            }
            !is_due
        });
        self.in_flight += due.len();
        due
    }
}

/// The gates of an admission that is recorded under this epoch.
pub(super) fn removals(admission: &Admission, epoch: i64, pods: &PodCache, now: Time) -> Vec<GateRemoval> {
    let decision = decision::record(admission, epoch, now);
    let removal = |&(pod, _): &(Uid, _)| {
        let target = pods.get(pod)?.target.clone();
        let grounds = admission.grounds.as_str().to_owned();
        let decision = decision.clone();
        Some(GateRemoval { pod, round: admission.round, target, grounds, decision, tried: Tried::default() })
    };
    admission.pods.iter().filter_map(removal).collect()
}

/// The gates that an earlier leader recorded and did not remove.
pub(super) fn finishing(entries: &BTreeMap<Uid, Entry>, epoch: i64, pods: &PodCache, now: Time) -> Vec<GateRemoval> {
    let decision = decision::finishing(epoch, now);
    let removal = |(&pod, entry): (&Uid, &Entry)| {
        let target = pods.get(pod)?.target.clone();
        let (grounds, decision) = (entry.reason().to_owned(), decision.clone());
        Some(GateRemoval { pod, round: 0, target, grounds, decision, tried: Tried::default() })
    };
    entries.iter().filter_map(removal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leader::fixture::{cache, now, placed, uid, waiting};
    use crate::leader::watch_state::pod_cache::PodState;

    fn removal(number: u128) -> GateRemoval {
        GateRemoval {
            pod: uid(number),
            round: 1,
            target: waiting(number).target,
            grounds: "WithinEntitlement".to_owned(),
            decision: "{}".to_owned(),
            tried: Tried::default(),
        }
    }

    fn sent(count: usize) -> GateRemovals {
        let mut gates = GateRemovals::default();
        gates.sent(count);
        gates
    }

    /// The same pod in another version.
    fn version(number: u128, version: &str) -> PodState {
        let mut state = waiting(number);
        version.clone_into(&mut state.target.version);
        state
    }

    fn due(gates: &mut GateRemovals, pods: &PodCache, seconds: u64) -> Vec<GateRemoval> {
        gates.due(pods, |_| true, now(seconds).instant)
    }

    #[test]
    fn a_request_without_an_answer_is_sent_again_after_pauses_that_grow() {
        let (mut gates, pods) = (sent(1), cache([waiting(1)]));
        let mut next = removal(1);
        for (at, pause) in [(0, 1), (1, 2), (3, 4), (7, 8), (15, 16), (31, 30), (61, 30)] {
            let failed = Outcome::Failed("reset".to_owned());
            assert_eq!(gates.came_back(next, failed, now(at).instant), Removed::Later);
            assert_eq!(gates.in_flight(), 0);
            assert_eq!(due(&mut gates, &pods, at + pause - 1), []);
            next = due(&mut gates, &pods, at + pause).remove(0);
            assert_eq!(gates.in_flight(), 1);
        }
    }

    #[test]
    fn a_pod_that_changed_is_tried_once_the_watch_shows_its_other_version() {
        let mut gates = sent(1);
        assert_eq!(gates.came_back(removal(1), Outcome::Changed, now(1).instant), Removed::Later);
        assert_eq!(due(&mut gates, &cache([waiting(1)]), 9), []);
        let again = due(&mut gates, &cache([version(1, "8")]), 9);
        assert_eq!(again[0].target.version, "8");
    }

    #[test]
    fn a_pod_that_changes_for_ever_loses_its_admission() {
        let mut gates = sent(1);
        let mut next = removal(1);
        for change in 1..CHANGES {
            assert_eq!(gates.came_back(next, Outcome::Changed, now(1).instant), Removed::Later);
            next = due(&mut gates, &cache([version(1, &format!("v{change}"))]), 1).remove(0);
        }
        let why = "the pod changed 5 times in between".to_owned();
        assert_eq!(gates.came_back(next, Outcome::Changed, now(1).instant), Removed::Refused(why));
        assert!(gates.in_flight == 0 && gates.again.is_empty());
    }

    #[test]
    fn nothing_is_tried_again_for_a_pod_that_waits_no_more_or_is_not_recorded_any_more() {
        for (pods, recorded) in [(cache([]), true), (cache([placed(1)]), true), (cache([waiting(1)]), false)] {
            let mut gates = sent(1);
            gates.came_back(removal(1), Outcome::NotSent, now(1).instant);
            assert_eq!(gates.due(&pods, |_| recorded, now(1).instant), []);
            assert!(gates.in_flight == 0 && gates.again.is_empty());
        }
    }

    #[test]
    fn what_the_api_server_refuses_is_not_tried_again() {
        let mut gates = sent(3);
        let refused = || Outcome::Refused("too long".to_owned());
        assert_eq!(gates.came_back(removal(1), refused(), now(1).instant), Removed::Refused("too long".to_owned()));
        assert_eq!(gates.came_back(removal(2), Outcome::Gone, now(1).instant), Removed::Done);
        assert_eq!(gates.came_back(removal(3), Outcome::Done, now(1).instant), Removed::Done);
        assert!(gates.in_flight == 0 && gates.again.is_empty());
    }
}
