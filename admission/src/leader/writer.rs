//! Writes the conditions of pods first, then their events.
//!
//! Gates come before conditions, and so do pods that are being created at this moment: an owner waits for those and
//! for no condition. But pods may be created all day, so once a condition has waited for long enough, some are
//! written beside them. The condition stands on the pod and is what its owner asks for, so all conditions are written
//! before the first event; after a thousand admissions they stand in half the time. The event queue outlives a
//! resync, as the conditions on pods do; a process that ends loses its events, and the condition says the same for
//! as long as the pod exists.
//!
//! At most one write of one condition of one pod is in flight, or the older could arrive after the newer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use weir_api::condition;
use weir_queue::Uid;

use super::{Term, WriteResult};
use crate::client::{Change, ConditionUpdate, Outcome, Target, announce, write_condition};

/// Events that wait to be written, each with the time of its condition. Clones share one queue.
#[derive(Clone, Debug, Default)]
pub struct EventQueue(Arc<Mutex<VecDeque<QueuedEvent>>>);

type QueuedEvent = (Target, ConditionUpdate, Timestamp);

impl EventQueue {
    fn push(&self, target: Target, update: ConditionUpdate) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.push_back((target, update, Timestamp::now()));
        }
    }

    fn pop(&self) -> Option<QueuedEvent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// One condition of one pod.
pub(super) type Place = (Uid, &'static str);

/// The fraction of the writers that writes conditions while gates or creations wait for the same API server.
const BESIDE_OTHERS: usize = 32;

/// How long a condition may wait while pods are created and some gates go, and the fraction of the writers after that.
const WHILE_PODS_COME: (Duration, usize) = (Duration::from_secs(1), 4);

/// The same while more gates are to go than there are writers: there is an end to that.
const WHILE_GATES_GO: (Duration, usize) = (Duration::from_secs(10), 16);

/// How many events may wait to be written; beyond that, changes get no event.
const MOST: usize = 20_000;

impl Term<'_> {
    /// Queues a condition, unless the same one is being written.
    pub(super) fn queue_condition(&mut self, uid: Uid, update: ConditionUpdate) {
        let place = (uid, update.condition);
        if self.in_flight.get(&place) == Some(&update) {
            self.pending.remove(&place);
        } else {
            self.pending.put(place, update);
        }
    }

    /// Writes what is pending, as far as writers are free.
    pub(super) fn flush(&mut self) {
        let at_once = self.writes_at_once();
        while self.in_flight.len() + self.events_in_flight < at_once {
            if !self.write_next_condition() && !self.write_next_event() {
                return;
            }
        }
    }

    /// How many conditions and events may be written at once: next to none while gates or creations wait for the same
    /// API server.
    fn writes_at_once(&self) -> usize {
        let writers = self.context.config.cycle.writers;
        let (patience, then) = match self.gates_under_way {
            many if many > writers => WHILE_GATES_GO,
            0 if !self.context.calls.are_coming() => return writers,
            _ => WHILE_PODS_COME,
        };
        let long = self.pending.since().is_some_and(|since| since.elapsed() >= patience);
        writers.div_ceil(if long { then } else { BESIDE_OTHERS })
    }

    /// Begins to write the next condition, if there is one.
    fn write_next_condition(&mut self) -> bool {
        while let Some((place, update)) = self.pending.next(|place| !self.in_flight.contains_key(place)) {
            let Some(known) = self.pods.get_mut(place.0) else { continue };
            let Some(change) = known.change(&update) else { continue };
            known.said = super::now();
            self.report.touch(known.gang.as_ref());
            let (client, target) = (self.context.client.clone(), known.target.clone());
            let event_queue = self.context.event_queue.clone();
            if update.condition == condition::PREEMPTED {
                self.evictions.retracting(place.0);
            }
            self.in_flight.insert(place, update.clone());
            self.spawn(async move {
                let outcome = write_condition(&client, &target, &update, change).await;
                // Here, because the term may have ended and its results are not received any more.
                if outcome == Outcome::Done && change != Change::Message {
                    event_queue.push(target, update.clone());
                }
                WriteResult::Condition { uid: place.0, update, change, outcome }
            });
            return true;
        }
        false
    }

    /// Begins to write the next event, if there is one.
    fn write_next_event(&mut self) -> bool {
        let Some((target, update, at)) = self.context.event_queue.pop() else { return false };
        let client = self.context.client.clone();
        self.events_in_flight += 1;
        self.spawn(async move { WriteResult::Event(announce(&client, &target, &update, at).await) });
        true
    }

    /// Takes the result of writing a condition.
    pub(super) fn on_condition_written(&mut self, uid: Uid, update: ConditionUpdate, change: Change, outcome: Outcome) {
        self.in_flight.remove(&(uid, update.condition));
        if update.condition == condition::PREEMPTED {
            self.evictions.retracted(uid);
        }
        match (outcome, self.pods.get_mut(uid)) {
            (Outcome::Done, Some(known)) => known.condition_written(update, change, super::now()),
            // The pod is a victim again, so the retraction is obsolete.
            (Outcome::Failed(_), Some(_))
                if update.condition == condition::PREEMPTED && self.evictions.contains(uid) => {}
            (Outcome::Failed(error), Some(_)) => {
                tracing::warn!(error, %uid, "a condition is not written; retrying");
                self.pending.put_back((uid, update.condition), update);
            }
            _ => {}
        }
        self.flush();
    }

    /// Takes the result of writing an event.
    pub(super) fn on_event_written(&mut self, outcome: Outcome) {
        self.events_in_flight = self.events_in_flight.saturating_sub(1);
        if let Outcome::Failed(error) = outcome {
            tracing::warn!(error, "an event is not written");
        }
        self.flush();
    }
}
