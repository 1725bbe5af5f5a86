//! Evictions, from what was decided to what became of them. What is done next is decided in `going`; here it
//! is recorded first and carried out then.
//!
//! An eviction is sent only while the record was written a moment ago: a leader that was deposed without
//! knowing it fails at that write, and whoever took over may have spared the pod since.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use weir_api::condition::{self, Preempted, Spared};
use weir_api::round::{MAX_VICTIMS, Victim};
use weir_queue::{Cause, Event, Eviction, Grounds, Time, Uid};

use super::going::{Act, Attempt, Plan, Recorded, Verdict};
use super::{Done, Reign};
use crate::book::BookError;
use crate::pods::Known;
use crate::read::{moment, time};
use crate::writes::{News, Outcome, Told, evict, tell};

/// For how long a written record vouches that this replica still leads.
const FENCE: Duration = Duration::from_secs(2);

/// How many characters of a sentence the record takes.
const SENTENCE: usize = 1000;

impl Reign<'_> {
    /// Says on pods that they would have to go, where nothing is enforced.
    pub(super) fn would_evict(&mut self, eviction: &Eviction) {
        let sentence = self.sentence(eviction);
        for victim in &eviction.victims {
            let message = format!("not enforced; it would have been evicted: {sentence}");
            self.set_back(victim.uid, Spared::NotEnforced, message);
        }
    }

    /// Enters the next evictions into the record, as far as there is room; whether there were any.
    pub(super) fn enter_evictions(&mut self) -> bool {
        let mut entered = false;
        while self.to_evict.front().is_some_and(|next| self.fits_or_never(next)) {
            let Some(eviction) = self.to_evict.pop_front() else { break };
            if let Some(first) = eviction.victims.first().filter(|_| is_too_large(&eviction)) {
                tracing::error!(
                    pods = eviction.victims.len(),
                    "a gang is too large to be evicted in one record; it stays"
                );
                self.events.push(Event::EvictionRefused(first.uid));
                continue;
            }
            self.back_off(&eviction);
            entered |= self.enter_eviction(&eviction);
        }
        entered
    }

    fn fits_or_never(&self, eviction: &Eviction) -> bool {
        is_too_large(eviction) || eviction.victims.len() <= self.book.room_for_victims()
    }

    fn enter_eviction(&mut self, eviction: &Eviction) -> bool {
        let sentence = self.sentence(eviction);
        let claimant = match &eviction.cause {
            Cause::Reclaim { claimant, .. } | Cause::WithinPool { claimant, .. } => claimant.first(),
            Cause::Drain { .. } | Cause::PlacementTimeout { .. } => None,
        };
        let claimant = claimant.map(|(uid, _)| uid.to_string()).unwrap_or_default();
        let now = super::now();
        for victim in &eviction.victims {
            let Some(known) = self.pods.get(victim.uid) else { continue };
            let loan = self.queue.grounds(victim.uid) == Some(Grounds::OnLoan);
            // The record holds whole seconds, and nobody goes before the moment that was promised.
            let deadline = match victim.notice.is_zero() {
                true => now,
                false => Time::from_millis(now.after(victim.notice).millis().div_ceil(1000) * 1000),
            };
            let message = match victim.notice.is_zero() {
                true => sentence.clone(),
                false => format!("{sentence}; it goes at {}", moment(deadline).0),
            };
            let entry = Victim {
                uid: known.target.uid.clone(),
                namespace: known.target.namespace.clone(),
                name: known.target.name.clone(),
                pool: victim.pool.clone(),
                claimant: claimant.clone(),
                deadline: Some(moment(deadline)),
                reason: reason(&eviction.cause, loan).as_str().to_owned(),
                message: message.chars().take(SENTENCE).collect(),
            };
            self.book.victims.insert(victim.uid, entry);
            self.entered.push(victim.uid);
        }
        !eviction.victims.is_empty()
    }

    fn sentence(&self, eviction: &Eviction) -> String {
        let called = |uid: Uid| {
            let target = self.pods.get(uid).map(|known| &known.target);
            target.map_or_else(|| uid.to_string(), |target| format!("{}/{}", target.namespace, target.name))
        };
        eviction.sentence(called)
    }

    /// What was entered stands in the record now: it may be carried out.
    pub(super) fn evictions_recorded(&mut self) {
        for uid in std::mem::take(&mut self.entered) {
            self.set_going(uid);
        }
    }

    fn set_going(&mut self, uid: Uid) {
        let (Some(entry), Some(known)) = (self.book.victims.get(&uid), self.pods.get(uid)) else { return };
        let told = known
            .preempted
            .as_deref()
            .is_some_and(|(yes, reason, message)| *yes && *reason == entry.reason && *message == entry.message);
        let deadline = entry.deadline.as_ref().map(time).unwrap_or_default();
        let recorded = Recorded { plan: plan(entry, known), deadline, budgeted: self.budgets.cover(uid), told };
        self.going.add(uid, recorded);
    }

    /// Goes on with what an earlier leader recorded, and takes back what it said of others.
    pub(super) fn resume_evictions(&mut self) {
        let victims: Vec<Uid> = self.book.victims.keys().copied().collect();
        for &uid in &victims {
            if self.pods.get(uid).is_some_and(|known| !known.terminating) {
                self.set_going(uid);
            }
        }
        for plan in self.begun_plans(&victims) {
            self.going.begun(&plan);
        }
        let said = |known: &Known| known.preempted.as_deref().is_some_and(|(yes, _, _)| *yes) && !known.terminating;
        let spared: Vec<Uid> =
            self.pods.iter().filter(|(uid, known)| said(known) && !victims.contains(uid)).map(|(uid, _)| uid).collect();
        for uid in spared {
            self.set_back(uid, Spared::NotNeeded, "it need not go any more".to_owned());
        }
    }

    /// The plans of which somebody is gone, or going, already.
    fn begun_plans(&self, victims: &[Uid]) -> BTreeSet<Plan> {
        let mut begun = BTreeSet::new();
        for (&claimant, claim) in &self.book.claims {
            let there = |uid: &String| uid.parse().is_ok_and(|uid| self.going.contains(uid));
            if claim.victims.iter().any(there) && !claim.victims.iter().all(there) {
                begun.insert(Plan::Claimant(claimant.to_string()));
            }
        }
        for &uid in victims {
            let Some(known) = self.pods.get(uid).filter(|known| known.terminating) else { continue };
            if let Some((namespace, name)) = &known.gang {
                begun.insert(Plan::Gang(namespace.clone(), name.clone()));
            }
        }
        begun
    }

    /// Does what is due, after making sure that this replica still leads.
    pub(super) async fn give_back(&mut self, now: Time) -> anyhow::Result<()> {
        let acts = self.going.due(now);
        if acts.iter().any(|act| matches!(act, Act::Evict(_))) && !self.is_fenced() {
            match self.book.write(None).await {
                Ok(()) => self.fenced = Instant::now(),
                Err(error @ BookError::Deposed { .. }) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "the record cannot be renewed, so nobody is evicted; trying again");
                    acts.into_iter().for_each(|act| self.going.not_done(act));
                    return Ok(());
                }
            }
        }
        acts.into_iter().for_each(|act| self.act(act));
        Ok(())
    }

    fn is_fenced(&self) -> bool {
        self.fenced.elapsed() < FENCE
    }

    fn act(&self, act: Act) {
        let (Act::Tell(uid) | Act::Evict(uid)) = act;
        let (Some(known), Some(entry)) = (self.pods.get(uid), self.book.victims.get(&uid)) else { return };
        let (client, target, writers) = (self.seat.client.clone(), known.target.clone(), self.seat.writers.clone());
        match act {
            Act::Tell(_) => {
                let reason = entry.reason.parse().unwrap_or(Preempted::Reclaimed).as_str();
                let (condition, message) = (condition::PREEMPTED, entry.message.clone());
                let told = Told { condition, status: "True", reason, message };
                self.spawn(async move {
                    let _permit = writers.acquire().await;
                    let outcome = tell(&client, &target, &told, News::Transition).await;
                    Done::Reason { uid, outcome }
                });
            }
            Act::Evict(_) => self.spawn(async move {
                let _permit = writers.acquire().await;
                Done::Evicted { uid, outcome: evict(&client, &target).await }
            }),
        }
    }

    /// What came of a reason or an eviction. The next of the plan goes at once where the fence still holds;
    /// otherwise the cycle renews it first.
    pub(super) fn came_of_eviction(&mut self, uid: Uid, outcome: Outcome, step: Step) {
        let now = super::now();
        let (attempt, sentence) = match outcome {
            Outcome::Done => (Attempt::Done, String::new()),
            Outcome::Gone => (Attempt::Gone, String::new()),
            Outcome::Refused(sentence) => (Attempt::Refused, sentence),
            Outcome::Failed(sentence) => (Attempt::Failed, sentence),
        };
        if !sentence.is_empty() {
            tracing::info!(%uid, sentence, ?step, "not done");
        }
        match step {
            Step::Reason => self.going.told(uid, attempt, now),
            Step::Eviction => {
                if attempt == Attempt::Done
                    && let Some(entry) = self.book.victims.get(&uid)
                {
                    self.seat.metrics.evicted(&entry.pool, &entry.reason);
                }
                let patience = Duration::from(self.seat.config.cycle.eviction_retry);
                if self.going.evicted(uid, attempt, now, patience) == Verdict::Dropped {
                    self.book.victims.remove(&uid);
                    self.set_back(uid, Spared::Refused, format!("it stays: {sentence}"));
                    self.events.push(Event::EvictionRefused(uid));
                }
            }
        }
        if self.is_fenced() {
            self.going.due(now).into_iter().for_each(|act| self.act(act));
        }
    }

    /// A victim that is not gone need not go any more.
    pub(super) fn spare(&mut self, uid: Uid) {
        self.to_evict.iter_mut().for_each(|eviction| eviction.victims.retain(|victim| victim.uid != uid));
        self.entered.retain(|&entered| entered != uid);
        self.going.spare(uid);
        if self.book.victims.remove(&uid).is_some() {
            self.set_back(uid, Spared::NotNeeded, "it need not go any more".to_owned());
        }
    }

    fn set_back(&mut self, uid: Uid, reason: Spared, message: String) {
        let condition = condition::PREEMPTED;
        self.will_tell(uid, Told { condition, status: "False", reason: reason.as_str(), message });
    }
}

/// Whether no record can hold an eviction. Plans are kept below that; a gang that drains may be larger.
fn is_too_large(eviction: &Eviction) -> bool {
    u64::try_from(eviction.victims.len()).unwrap_or(u64::MAX) > MAX_VICTIMS
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To write the reason.
    Reason,
    /// To evict.
    Eviction,
}

/// The word for a cause.
fn reason(cause: &Cause, loan: bool) -> Preempted {
    match cause {
        Cause::Reclaim { .. } if loan => Preempted::LoanRecalled,
        Cause::Reclaim { .. } => Preempted::Reclaimed,
        Cause::WithinPool { .. } => Preempted::HigherPriority,
        Cause::Drain { .. } => Preempted::Drained,
        Cause::PlacementTimeout { .. } => Preempted::PlacementTimeout,
    }
}

/// What a victim belongs to.
fn plan(entry: &Victim, known: &Known) -> Plan {
    match (&known.gang, entry.claimant.is_empty()) {
        (_, false) => Plan::Claimant(entry.claimant.clone()),
        (Some((namespace, name)), true) => Plan::Gang(namespace.clone(), name.clone()),
        (None, true) => entry.uid.parse().map_or_else(|_| Plan::Claimant(entry.uid.clone()), Plan::Alone),
    }
}
