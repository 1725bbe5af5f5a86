//! Which conditions are written next, and how many at once.
//!
//! Gates come before conditions, and so do pods that are being created at this moment: an owner waits for those and
//! for no condition. But pods may be created all day, so once a condition has waited for long enough, some are
//! written beside them. The condition stands on the pod and is what its owner asks for, so all conditions are written
//! before the first event; after a thousand admissions they stand in half the time.
//!
//! At most one write of one condition of one pod is in flight, or the older could arrive after the newer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_queue::{Queue, Time, Uid};

use super::deferred::Deferred;
use super::events::{EventQueue, QueuedEvent};
use super::message_refresh::MessageRefresh;
use super::pending::{PendingConditions, Slot};
use super::updates::admitted;
use crate::client::{Outcome, Target};
use crate::clock::Now;
use crate::convert::condition::{Change, ConditionType, ConditionUpdate};
use crate::leader::decision;
use crate::leader::pod_event::PodEvent;
use crate::leader::watch_state::pod_cache::PodCache;

/// The fraction of the writers that writes conditions while gates or creations wait for the same API server.
const BESIDE_OTHERS: usize = 32;

/// How long a condition may wait while pods are created and some gates go, and the fraction of the writers after that.
const WHILE_PODS_COME: (Duration, usize) = (Duration::from_secs(1), 4);

/// The same while more gates go than there are writers: there is an end to that.
const WHILE_GATES_GO: (Duration, usize) = (Duration::from_secs(10), 16);

/// Conditions and events: what waits to be written, and what is being written.
#[derive(Debug)]
pub(in crate::leader) struct Conditions {
    pending: PendingConditions,
    deferred: Deferred,
    in_flight: BTreeMap<Slot, ConditionUpdate>,
    events: EventQueue,
    events_in_flight: usize,
    refresh: MessageRefresh,
    /// How many writes may be in flight at once.
    writers: usize,
}

/// What else waits for the API server.
#[derive(Clone, Copy, Debug)]
pub(in crate::leader) struct Load {
    /// How many gates are being removed.
    pub(in crate::leader) gates: usize,
    /// Whether pods are being created at this moment.
    pub(in crate::leader) pods_come: bool,
}

/// A write that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::leader) enum Write {
    /// Of a condition.
    Condition(ConditionWrite),
    /// Of an event about one that stands.
    Event(QueuedEvent),
}

/// A write of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::leader) struct ConditionWrite {
    /// The pod.
    pub(in crate::leader) pod: Uid,
    /// Where it is written.
    pub(in crate::leader) target: Target,
    /// The condition.
    pub(in crate::leader) update: ConditionUpdate,
    /// How it differs from what stands there.
    pub(in crate::leader) change: Change,
}

impl ConditionWrite {
    const fn slot(&self) -> Slot {
        Slot { pod: self.pod, condition: self.update.condition }
    }
}

impl Conditions {
    /// Nothing waits; events go through this queue.
    pub(in crate::leader) fn new(events: EventQueue, writers: usize) -> Self {
        Self {
            pending: PendingConditions::default(),
            deferred: Deferred::default(),
            in_flight: BTreeMap::new(),
            events,
            events_in_flight: 0,
            refresh: MessageRefresh::default(),
            writers,
        }
    }

    /// Queues a condition of a pod, unless the same one is being written.
    pub(in crate::leader) fn queue(&mut self, pod: Uid, update: ConditionUpdate, now: Now) {
        let slot = Slot { pod, condition: update.condition };
        if self.in_flight.get(&slot) == Some(&update) {
            self.pending.remove(&slot);
        } else if let Some(update) = self.deferred.replace(slot, update) {
            self.pending.put(slot, update, now.instant);
        }
    }

    /// Drops a condition of a pod that waits to be written; whether there was one.
    pub(in crate::leader) fn drop_pending(&mut self, pod: Uid, condition: ConditionType) -> bool {
        let slot = Slot { pod, condition };
        let deferred = self.deferred.remove(&slot);
        self.pending.remove(&slot).is_some() || deferred
    }

    /// Queues that a pod is admitted once the watch shows it without its gate, and drops what waits of one that is
    /// gone.
    ///
    /// Not before: then it is true whoever removed the gate, this leader, one before it that ended in between, or a
    /// person with the right to.
    pub(in crate::leader) fn on_event(&mut self, event: &PodEvent<'_>, now: Now) {
        match event {
            PodEvent::Seen(seen) => {
                let Some(standing) = seen.admission else { return };
                if seen.state.admitted.as_ref().is_none_or(|condition| !condition.holds()) {
                    let message = decision::sentence(standing.grounds, &seen.state.pool, standing.decision);
                    self.queue(seen.uid, admitted(standing.grounds, message), now);
                }
            }
            PodEvent::Gone { uid, .. } => {
                for condition in [ConditionType::Admitted, ConditionType::Preempted] {
                    let slot = Slot { pod: *uid, condition };
                    self.pending.remove(&slot);
                    self.deferred.forget(&slot);
                }
            }
        }
    }

    /// Queues messages whose numbers are out of date.
    pub(in crate::leader) fn refresh(&mut self, queue: &Queue, pods: &PodCache, now: Now) {
        for (pod, update) in self.refresh.due(queue, pods, now.time) {
            self.queue(pod, update, now);
        }
    }

    /// What is to be written now, as far as writers are free; all of it counts as in flight from here on.
    pub(in crate::leader) fn due(&mut self, pods: &mut PodCache, load: Load, now: Now) -> Vec<Write> {
        for (slot, update) in self.deferred.take_due(now.instant) {
            self.pending.put_back(slot, update, now.instant);
        }
        let at_once = self.at_once(load, now.instant);
        let mut writes = Vec::new();
        while self.in_flight.len() + self.events_in_flight < at_once {
            let next = self.next_condition(pods, now.time).map(Write::Condition);
            let Some(write) = next.or_else(|| self.next_event().map(Write::Event)) else { break };
            writes.push(write);
        }
        writes
    }

    /// Takes in the result of writing a condition. `is_victim` says whether the pod is to be evicted by now, which
    /// makes it obsolete that it need not go.
    pub(in crate::leader) fn came_back(
        &mut self,
        write: ConditionWrite,
        outcome: Outcome,
        pods: &mut PodCache,
        is_victim: bool,
        now: Now,
    ) {
        let slot = write.slot();
        self.in_flight.remove(&slot);
        let Some(state) = pods.get_mut(write.pod) else { return };
        let (refused, why) = match outcome {
            Outcome::Done => {
                self.deferred.forget(&slot);
                return state.was_written(write.update, write.change, now.time);
            }
            Outcome::Gone | Outcome::Changed | Outcome::NotSent => return,
            // The pod is a victim again, so the retraction is obsolete.
            _ if slot.condition == ConditionType::Preempted && is_victim => return,
            Outcome::Refused(why) => (true, why),
            Outcome::Failed(why) => (false, why),
        };
        tracing::warn!(why, uid = %write.pod, "a condition is not written; it is tried again later");
        // Something newer that waits already is as late as this.
        let update = self.pending.remove(&slot).unwrap_or(write.update);
        self.deferred.defer(slot, update, refused, now.instant);
    }

    /// Takes in the result of writing an event. One that failed is lost; its condition stands.
    pub(in crate::leader) fn event_came_back(&mut self, outcome: Outcome) {
        self.events_in_flight = self.events_in_flight.saturating_sub(1);
        if let Outcome::Failed(error) = outcome {
            tracing::warn!(error, "an event is not written");
        }
    }

    /// How many writes may be in flight: next to none while gates or creations wait for the same API server.
    fn at_once(&self, load: Load, now: Instant) -> usize {
        let (patience, then) = match load.gates {
            many if many > self.writers => WHILE_GATES_GO,
            0 if !load.pods_come => return self.writers,
            _ => WHILE_PODS_COME,
        };
        let long = self.pending.since().is_some_and(|since| now.duration_since(since) >= patience);
        self.writers.div_ceil(if long { then } else { BESIDE_OTHERS })
    }

    fn next_condition(&mut self, pods: &mut PodCache, now: Time) -> Option<ConditionWrite> {
        while let Some((slot, update)) = self.pending.next(|slot| !self.in_flight.contains_key(slot)) {
            let Some(state) = pods.get_mut(slot.pod) else { continue };
            let Some(change) = update.change_from(state.standing(slot.condition)) else { continue };
            state.condition_written = now;
            self.in_flight.insert(slot, update.clone());
            return Some(ConditionWrite { pod: slot.pod, target: state.target.clone(), update, change });
        }
        None
    }

    fn next_event(&mut self) -> Option<QueuedEvent> {
        let event = self.events.pop()?;
        self.events_in_flight += 1;
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use weir_api::condition::Spared;
    use weir_queue::Grounds;

    use super::*;
    use crate::convert::condition::ConditionStatus;
    use crate::leader::conditions::spared;
    use crate::leader::fixture::{cache, now, placed, uid, waiting};
    use crate::leader::pod_event::{PodSeen, StandingAdmission};

    const WRITERS: usize = 64;
    const QUIET: Load = Load { gates: 0, pods_come: false };

    fn conditions() -> Conditions {
        Conditions::new(EventQueue::default(), WRITERS)
    }

    fn waits(reason: &'static str) -> ConditionUpdate {
        let (condition, status) = (ConditionType::Admitted, ConditionStatus::False);
        ConditionUpdate { condition, status, reason, message: "4 of 8".to_owned() }
    }

    fn condition(write: Write) -> ConditionWrite {
        match write {
            Write::Condition(write) => write,
            Write::Event(event) => panic!("{event:?}"),
        }
    }

    /// What is due, of which all are conditions.
    fn due(conditions: &mut Conditions, pods: &mut PodCache, load: Load, seconds: u64) -> Vec<ConditionWrite> {
        conditions.due(pods, load, now(seconds)).into_iter().map(condition).collect()
    }

    #[test]
    fn what_stands_on_a_pod_already_is_not_written_again() {
        let (mut conditions, mut pods) = (conditions(), cache([waiting(1)]));
        conditions.queue(uid(1), waits("PoolHeld"), now(1));
        let first = due(&mut conditions, &mut pods, QUIET, 1).remove(0);
        assert_eq!(first.change, Change::Transition);
        conditions.queue(uid(1), waits("PoolHeld"), now(2));
        assert_eq!(due(&mut conditions, &mut pods, QUIET, 2), [], "it is being written");
        conditions.came_back(first, Outcome::Done, &mut pods, false, now(3));
        conditions.queue(uid(1), waits("PoolHeld"), now(3));
        assert_eq!(due(&mut conditions, &mut pods, QUIET, 3), []);
        conditions.queue(uid(1), waits("WaitingForQuota"), now(4));
        assert_eq!(due(&mut conditions, &mut pods, QUIET, 4)[0].change, Change::Reason);
    }

    #[test]
    fn one_condition_of_a_pod_is_written_at_a_time_and_a_failure_is_retried_unless_something_newer_waits() {
        let (mut conditions, mut pods) = (conditions(), cache([waiting(1)]));
        conditions.queue(uid(1), waits("PoolHeld"), now(1));
        let first = due(&mut conditions, &mut pods, QUIET, 1).remove(0);
        conditions.queue(uid(1), waits("WaitingForQuota"), now(2));
        assert_eq!(due(&mut conditions, &mut pods, QUIET, 2), []);
        conditions.came_back(first, Outcome::Failed("reset".into()), &mut pods, false, now(3));
        assert_eq!(due(&mut conditions, &mut pods, QUIET, 3), []);
        let second = due(&mut conditions, &mut pods, QUIET, 4).remove(0);
        assert_eq!(second.update.reason, "WaitingForQuota");
        conditions.came_back(second, Outcome::Failed("reset".into()), &mut pods, false, now(4));
        assert_eq!(due(&mut conditions, &mut pods, QUIET, 6)[0].update.reason, "WaitingForQuota");
    }

    #[test]
    fn a_pod_that_takes_no_condition_is_tried_seldom_and_delays_no_other() {
        let (mut conditions, mut pods) = (conditions(), cache([waiting(1), waiting(2)]));
        conditions.queue(uid(1), waits("PoolHeld"), now(1));
        let first = due(&mut conditions, &mut pods, QUIET, 1).remove(0);
        conditions.came_back(first, Outcome::Refused("too long".into()), &mut pods, false, now(1));
        conditions.queue(uid(1), waits("WaitingForQuota"), now(2));
        conditions.queue(uid(2), waits("WaitingForQuota"), now(2));
        let written = due(&mut conditions, &mut pods, QUIET, 30);
        assert_eq!(written.iter().map(|write| write.pod).collect::<Vec<_>>(), [uid(2)]);
        let again = due(&mut conditions, &mut pods, QUIET, 31);
        assert_eq!(
            again.iter().map(|write| (write.pod, write.update.reason)).collect::<Vec<_>>(),
            [(uid(1), "WaitingForQuota")]
        );
    }

    #[test]
    fn that_a_pod_stays_is_not_retried_once_it_has_to_go_after_all() {
        let (mut conditions, mut pods) = (conditions(), cache([placed(1)]));
        conditions.queue(uid(1), spared(Spared::NotNeeded, String::new()), now(1));
        let write = due(&mut conditions, &mut pods, QUIET, 1).remove(0);
        conditions.came_back(write, Outcome::Failed("reset".into()), &mut pods, true, now(2));
        assert_eq!(due(&mut conditions, &mut pods, QUIET, 2), []);
    }

    #[test]
    fn gates_and_creations_come_first_and_conditions_that_waited_get_a_part_of_the_writers() {
        let many = || (conditions(), cache((1..=100).map(waiting)));
        let count = |load: Load, seconds: u64| {
            let (mut conditions, mut pods) = many();
            (1..=100).for_each(|pod| conditions.queue(uid(pod), waits("PoolHeld"), now(1)));
            conditions.due(&mut pods, load, now(seconds)).len()
        };
        let (creations, some, more) = (
            Load { gates: 0, pods_come: true },
            Load { gates: 1, pods_come: false },
            Load { gates: WRITERS + 1, pods_come: false },
        );
        assert_eq!(count(QUIET, 1), 64);
        assert_eq!([creations, some, more].map(|load| count(load, 1)), [2, 2, 2]);
        assert_eq!([creations, some, more].map(|load| count(load, 2)), [16, 16, 2]);
        assert_eq!(count(more, 11), 4);
    }

    #[test]
    fn events_are_written_behind_all_conditions() {
        let events = EventQueue::default();
        let mut conditions = Conditions::new(events.clone(), 1);
        let mut pods = cache([waiting(1)]);
        let target = waiting(1).target;
        events.push(QueuedEvent { target, update: waits("PoolHeld"), at: Timestamp::UNIX_EPOCH });
        conditions.queue(uid(1), waits("PoolHeld"), now(1));
        let write = due(&mut conditions, &mut pods, QUIET, 1).remove(0);
        assert_eq!(conditions.due(&mut pods, QUIET, now(1)), [], "one writer");
        conditions.came_back(write, Outcome::Done, &mut pods, false, now(1));
        assert!(matches!(conditions.due(&mut pods, QUIET, now(1))[..], [Write::Event(_)]));
        assert_eq!(conditions.due(&mut pods, QUIET, now(1)), []);
        conditions.event_came_back(Outcome::Failed("reset".into()));
        assert_eq!(conditions.due(&mut pods, QUIET, now(1)), [], "a lost event is not written again");
    }

    #[test]
    fn that_a_pod_is_admitted_is_written_once_its_gate_is_gone_and_nothing_of_a_pod_that_is() {
        let (mut conditions, mut pods) = (conditions(), cache([placed(1)]));
        conditions.queue(uid(1), waits("PoolHeld"), now(1));
        let state = placed(1);
        let admission = Some(StandingAdmission { grounds: Grounds::OnLoan, decision: None });
        let seen = PodEvent::Seen(PodSeen { uid: uid(1), before: None, state: &state, admission });
        conditions.on_event(&seen, now(1));
        let write = due(&mut conditions, &mut pods, QUIET, 1).remove(0);
        let said = (write.update.status, write.update.reason, write.update.message.as_str());
        assert_eq!(said, (ConditionStatus::True, "OnLoan", "admitted to pool \"research\""));
        conditions.came_back(write, Outcome::Gone, &mut pods, false, now(2));
        conditions.on_event(&seen, now(2));
        conditions.on_event(&PodEvent::Gone { uid: uid(1), last: None }, now(2));
        assert_eq!(due(&mut conditions, &mut pods, QUIET, 2), []);
    }
}
