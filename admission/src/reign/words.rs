//! What is said on pods: conditions first, then the events beside them.
//!
//! Gates go before words, and so do the pods that somebody is creating just now: nobody waits for words. But pods
//! may come all day; so once a word has waited for long enough, some go beside them. The condition is what stands on a pod and what its owner asks for, so all conditions are written before the first
//! event is; after a thousand admissions they stand in half the time. Events that wait outlive a reign that begins
//! anew, as the pods' conditions do; one that a process does not get to write is lost with it, and the condition
//! says the same for as long as the pod is there.
//!
//! At most one write of one condition of one pod is under way, or the older could arrive after the newer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use weir_api::condition;
use weir_queue::Uid;

use super::{Done, Reign};
use crate::writes::{News, Outcome, Target, Told, announce, write_condition};

/// Events that are to be written, each with the moment of what it tells. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Announcements(Arc<Mutex<VecDeque<Announcement>>>);

type Announcement = (Target, Told, Timestamp);

impl Announcements {
    fn push(&self, target: Target, told: Told) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.push_back((target, told, Timestamp::now()));
        }
    }

    fn pop(&self) -> Option<Announcement> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// One condition of one pod.
pub(super) type Place = (Uid, &'static str);

/// Part of the writers that says something while others wait for the same API server.
const BESIDE_OTHERS: usize = 32;

/// For how long somebody may not be told while pods are created and some gates go, and which part of the writers
/// speaks then.
const WHILE_PODS_COME: (Duration, usize) = (Duration::from_secs(1), 4);

/// The same while more gates are to go than there are writers: there is an end to that.
const WHILE_GATES_GO: (Duration, usize) = (Duration::from_secs(10), 16);

/// How many events may wait to be written; of more than so many changes at once some are not told of.
const MOST: usize = 20_000;

impl Reign<'_> {
    /// Will say this, unless it is being said.
    pub(super) fn will_tell(&mut self, uid: Uid, told: Told) {
        let place = (uid, told.condition);
        if self.being_told.get(&place) == Some(&told) {
            self.to_tell.remove(&place);
        } else {
            self.to_tell.put(place, told);
        }
    }

    /// Says on pods what is to be said.
    pub(super) fn say(&mut self) {
        let at_once = self.words_at_once();
        while self.being_told.len() + self.being_announced < at_once {
            if !self.say_next() && !self.announce_next() {
                return;
            }
        }
    }

    /// How many words may be written at once: next to nothing while gates, or those who create pods, wait for the
    /// same API server.
    fn words_at_once(&self) -> usize {
        let writers = self.seat.config.cycle.writers;
        let (patience, then) = match self.gates_under_way {
            many if many > writers => WHILE_GATES_GO,
            0 if !self.seat.calls.are_coming() => return writers,
            _ => WHILE_PODS_COME,
        };
        let long = self.to_tell.since().is_some_and(|since| since.elapsed() >= patience);
        writers.div_ceil(if long { then } else { BESIDE_OTHERS })
    }

    /// Begins to write the next condition, if there is one.
    fn say_next(&mut self) -> bool {
        while let Some((place, told)) = self.to_tell.next(|place| !self.being_told.contains_key(place)) {
            let Some(known) = self.pods.get_mut(place.0) else { continue };
            let Some(news) = known.news(&told) else { continue };
            known.said = super::now();
            self.report.touch(known.gang.as_ref());
            let (client, target) = (self.seat.client.clone(), known.target.clone());
            let announcements = self.seat.announcements.clone();
            if told.condition == condition::PREEMPTED {
                self.going.takes_back(place.0);
            }
            self.being_told.insert(place, told.clone());
            self.spawn(async move {
                let outcome = write_condition(&client, &target, &told, news).await;
                // Here, because nobody may listen any more to what came of it.
                if outcome == Outcome::Done && news != News::Numbers {
                    announcements.push(target, told.clone());
                }
                Done::Told { uid: place.0, told, news, outcome }
            });
            return true;
        }
        false
    }

    /// Begins to write the next event, if there is one.
    fn announce_next(&mut self) -> bool {
        let Some((target, told, at)) = self.seat.announcements.pop() else { return false };
        let client = self.seat.client.clone();
        self.being_announced += 1;
        self.spawn(async move { Done::Announced(announce(&client, &target, &told, at).await) });
        true
    }

    /// What came of writing a condition.
    pub(super) fn came_of_words(&mut self, uid: Uid, told: Told, news: News, outcome: Outcome) {
        self.being_told.remove(&(uid, told.condition));
        if told.condition == condition::PREEMPTED {
            self.going.took_back(uid);
        }
        match (outcome, self.pods.get_mut(uid)) {
            (Outcome::Done, Some(known)) => known.was_told(told, news, super::now()),
            // Where it has to go by now, that it need not is no news any more.
            (Outcome::Failed(_), Some(_)) if told.condition == condition::PREEMPTED && self.going.contains(uid) => {}
            (Outcome::Failed(error), Some(_)) => {
                tracing::warn!(error, %uid, "a condition is not written; trying again");
                self.to_tell.put_back((uid, told.condition), told);
            }
            _ => {}
        }
        self.say();
    }

    /// What came of writing an event.
    pub(super) fn came_of_announcement(&mut self, outcome: Outcome) {
        self.being_announced = self.being_announced.saturating_sub(1);
        if let Outcome::Failed(error) = outcome {
            tracing::warn!(error, "an event is not written");
        }
        self.say();
    }
}
