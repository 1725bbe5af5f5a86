//! Evictions, from what was decided to what became of them. What is done next is decided in `going`; here it
//! is recorded first and carried out then.
//!
//! An eviction is sent only while the record was written a moment ago: a leader that lost the lease without
//! knowing it fails at that write, and whoever took over may have spared the pod since.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_api::condition::{self, Preempted, Spared};
use weir_api::round::{MAX_VICTIMS, Victim};
use weir_queue::{Cause, Event, Eviction, Grounds, Released, Time, Uid};

use super::evictions::{Act, Attempt, Cancel, Plan, Recorded, Verdict};
use super::{Term, WriteResult};
use crate::client::{Change, ConditionUpdate, Outcome, evict, write_condition_and_event};
use crate::convert::{moment, time};
use crate::leader::pod_cache::PodState;
use crate::leader::round_record::RecordError;

/// For how long a written record vouches that this replica still leads.
const FENCE: Duration = Duration::from_secs(2);

/// How many characters of a sentence the record takes.
const SENTENCE: usize = 1000;

impl Term<'_> {
    /// Says on pods that they would have to go, where nothing is enforced.
    pub(super) fn would_evict(&mut self, eviction: &Eviction) {
        let sentence = self.sentence(eviction);
        for victim in &eviction.victims {
            let message = format!("not enforced; it would have been evicted: {sentence}");
            self.set_back(victim.uid, Spared::NotEnforced, message);
        }
    }

    /// Lines up an eviction. What no record can hold at once goes in several, one after the other.
    pub(super) fn will_evict(&mut self, eviction: Eviction) {
        self.back_off(&eviction);
        self.to_evict.extend(pieces(eviction));
    }

    /// Enters the next evictions into the record, as far as there is room; whether there were any.
    pub(super) fn enter_evictions(&mut self) -> bool {
        let mut entered = false;
        while self.to_evict.front().is_some_and(|next| next.victims.len() <= self.record.room_for_victims()) {
            let Some(eviction) = self.to_evict.pop_front() else { break };
            entered |= self.enter_eviction(&eviction);
        }
        entered
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
            self.record.victims.insert(victim.uid, entry);
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
        let entered = std::mem::take(&mut self.entered);
        entered.iter().for_each(|&uid| self.set_evicting(uid));
        if !entered.is_empty() {
            self.note_begun(&entered);
        }
    }

    fn set_evicting(&mut self, uid: Uid) {
        self.pending.remove(&(uid, condition::PREEMPTED));
        let (Some(entry), Some(known)) = (self.record.victims.get(&uid), self.pods.get(uid)) else { return };
        let has_condition = known
            .preempted
            .as_deref()
            .is_some_and(|(yes, reason, message)| *yes && *reason == entry.reason && *message == entry.message);
        let deadline = entry.deadline.as_ref().map(time).unwrap_or_default();
        let recorded =
            Recorded { plan: plan(entry, known), deadline, budgeted: self.budgets.cover(uid), has_condition };
        self.evictions.add(uid, recorded);
    }

    /// Goes on with what an earlier leader recorded, and takes back what it said of others.
    pub(super) fn resume_evictions(&mut self) {
        let victims: Vec<Uid> = self.record.victims.keys().copied().collect();
        for &uid in &victims {
            if self.pods.get(uid).is_some_and(|known| !known.terminating) {
                self.set_evicting(uid);
            }
        }
        self.note_begun(&victims);
        self.line_up_the_rest();
        let said = |known: &PodState| known.preempted.as_deref().is_some_and(|(yes, _, _)| *yes) && !known.terminating;
        let spared: Vec<Uid> =
            self.pods.iter().filter(|(uid, known)| said(known) && !victims.contains(uid)).map(|(uid, _)| uid).collect();
        for uid in spared {
            self.set_back(uid, Spared::NotNeeded, "it need not go any more".to_owned());
        }
    }

    /// Lines up again whoever goes for a recorded claim and had no room in the record yet.
    fn line_up_the_rest(&mut self) {
        let goes = |uid: &Uid| {
            let stays = self.pods.get(*uid).is_some_and(|known| !known.terminating && !known.waits);
            stays && !self.record.victims.contains_key(uid)
        };
        let victim = |uid: Uid| {
            let pool = self.pods.get(uid).map(|known| known.pool.to_string()).unwrap_or_default();
            let spec =
                self.context.caches.pool(&pool).and_then(|pool| pool.spec.preemption.clone()).unwrap_or_default();
            weir_queue::Victim { uid, pool, node: None, notice: spec.notice.map(Duration::from).unwrap_or_default() }
        };
        let mut rest = Vec::new();
        for claim in self.record.claims.values() {
            let uids = claim.victims.iter().filter_map(|uid| uid.parse().ok()).filter(goes);
            let victims: Vec<weir_queue::Victim> = uids.map(victim).collect();
            if !victims.is_empty() {
                let nodes =
                    claim.nodes.iter().map(|node| Arc::from(node.as_str())).chain(std::iter::repeat(Arc::from("")));
                let claimant = claim.claimant.iter().filter_map(|uid| uid.parse().ok()).zip(nodes).collect();
                let cause = Cause::Reclaim { claimant, pool: claim.pool.clone(), over: Vec::new() };
                rest.push(Eviction { cause, victims, budgets: Vec::new() });
            }
        }
        rest.into_iter().for_each(|eviction| self.will_evict(eviction));
    }

    /// Tells apart the plans of which somebody is gone, or going, already.
    fn note_begun(&mut self, victims: &[Uid]) {
        let stays = |uid: &String| {
            let known = uid.parse().ok().and_then(|uid| self.pods.get(uid));
            known.is_some_and(|known| !known.terminating)
        };
        let begun = self.record.claims.iter().filter(|(_, claim)| !claim.victims.iter().all(stays));
        let mut plans: BTreeSet<Plan> = begun.map(|(claimant, _)| Plan::Claimant(claimant.to_string())).collect();
        for &uid in victims {
            let Some(known) = self.pods.get(uid).filter(|known| known.terminating) else { continue };
            if let Some((namespace, name)) = &known.gang {
                plans.insert(Plan::Gang(namespace.clone(), name.clone()));
            }
        }
        plans.iter().for_each(|plan| self.evictions.begun(plan));
    }

    /// Does what is due, after making sure that this replica still leads.
    pub(super) async fn run_evictions(&mut self, now: Time) -> anyhow::Result<()> {
        let acts = self.evictions.due(now);
        if acts.iter().any(|act| matches!(act, Act::Evict(_))) && !self.is_fenced() {
            match self.record.write(None).await {
                Ok(()) => self.fence_renewed = Instant::now(),
                Err(error @ RecordError::Conflict { .. }) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "the record cannot be renewed, so nobody is evicted; trying again");
                    acts.into_iter().for_each(|act| self.evictions.not_sent(act));
                    return Ok(());
                }
            }
        }
        acts.into_iter().for_each(|act| self.act(act));
        Ok(())
    }

    fn is_fenced(&self) -> bool {
        self.fence_renewed.elapsed() < FENCE
    }

    fn act(&self, act: Act) {
        let (Act::WriteCondition(uid) | Act::Evict(uid)) = act;
        let (Some(known), Some(entry)) = (self.pods.get(uid), self.record.victims.get(&uid)) else { return };
        let (target, writers) = (known.target.clone(), self.context.writers.clone());
        match act {
            Act::WriteCondition(_) => {
                let reason = entry.reason.parse().unwrap_or(Preempted::Reclaimed).as_str();
                let (condition, message) = (condition::PREEMPTED, entry.message.clone());
                let update = ConditionUpdate { condition, status: "True", reason, message };
                let client = self.context.client.clone();
                self.spawn(async move {
                    let _permit = writers.acquire().await;
                    let outcome = write_condition_and_event(&client, &target, &update, Change::Transition).await;
                    WriteResult::Reason { uid, outcome }
                });
            }
            Act::Evict(_) => {
                let evictor = self.context.evictor.clone();
                self.spawn(async move {
                    let _permit = writers.acquire().await;
                    WriteResult::Evicted { uid, outcome: evict(&evictor, &target).await }
                });
            }
        }
    }

    /// What came of a reason or an eviction. The next of the plan goes at once where the fence still holds;
    /// otherwise the cycle renews it first.
    pub(super) fn on_eviction_result(&mut self, uid: Uid, outcome: Outcome, step: Step) {
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
            Step::Reason if attempt == Attempt::Done && !self.evictions.contains(uid) => self.was_spared(uid),
            Step::Reason => self.evictions.condition_written(uid, attempt, now),
            // It was spared meanwhile, and it stays.
            Step::Eviction
                if matches!(attempt, Attempt::Refused | Attempt::Failed) && !self.evictions.contains(uid) =>
            {
                self.set_back(uid, Spared::NotNeeded, "it need not go any more".to_owned());
            }
            Step::Eviction => {
                if attempt == Attempt::Done
                    && let Some(entry) = self.record.victims.get(&uid)
                {
                    self.context.metrics.evicted(&entry.pool, &entry.reason);
                }
                let patience = Duration::from(self.context.config.cycle.eviction_retry);
                if self.evictions.evicted(uid, attempt, now, patience) == Verdict::Dropped {
                    self.record.victims.remove(&uid);
                    self.set_back(uid, Spared::Refused, format!("it stays: {sentence}"));
                    self.events.push(Event::EvictionRefused(uid));
                }
            }
        }
        if self.is_fenced() {
            self.evictions.due(now).into_iter().for_each(|act| self.act(act));
        }
    }

    /// A claim is over: whom it spares need not go, and who goes all the same goes on without a claimant.
    pub(super) fn release(&mut self, Released { claimant, spared }: Released) {
        claimant.iter().for_each(|uid| drop(self.record.claims.remove(uid)));
        spared.into_iter().for_each(|uid| self.spare(uid));
        let of = claimant.first().map(Uid::to_string).unwrap_or_default();
        self.record
            .victims
            .values_mut()
            .filter(|victim| victim.claimant == of)
            .for_each(|victim| victim.claimant.clear());
    }

    /// A victim that is not gone need not go any more.
    pub(super) fn spare(&mut self, uid: Uid) {
        self.to_evict.iter_mut().for_each(|eviction| eviction.victims.retain(|victim| victim.uid != uid));
        self.entered.retain(|&entered| entered != uid);
        let cancelled = self.evictions.cancel(uid);
        if self.record.victims.remove(&uid).is_some() && cancelled == Cancel::InTime {
            self.set_back(uid, Spared::NotNeeded, "it need not go any more".to_owned());
        }
    }

    /// A pod was spared while the reason was being written on it, which may stand there now.
    fn was_spared(&mut self, uid: Uid) {
        if let Some(known) = self.pods.get_mut(uid).filter(|known| !known.terminating) {
            known.preempted = None;
            self.set_back(uid, Spared::NotNeeded, "it need not go any more".to_owned());
        }
    }

    fn set_back(&mut self, uid: Uid, reason: Spared, message: String) {
        let condition = condition::PREEMPTED;
        self.queue_condition(uid, ConditionUpdate { condition, status: "False", reason: reason.as_str(), message });
    }
}

/// An eviction in as many pieces as it takes records.
fn pieces(eviction: Eviction) -> Vec<Eviction> {
    let most = usize::try_from(MAX_VICTIMS).unwrap_or(usize::MAX);
    let Eviction { cause, victims, budgets } = eviction;
    let piece = |victims: &[_]| Eviction { cause: cause.clone(), victims: victims.to_vec(), budgets: budgets.clone() };
    victims.chunks(most).map(piece).collect()
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
fn plan(entry: &Victim, known: &PodState) -> Plan {
    match (&known.gang, entry.claimant.is_empty()) {
        (_, false) => Plan::Claimant(entry.claimant.clone()),
        (Some((namespace, name)), true) => Plan::Gang(namespace.clone(), name.clone()),
        (None, true) => entry.uid.parse().map_or_else(|_| Plan::Claimant(entry.uid.clone()), Plan::Alone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gang_that_no_record_holds_goes_in_several() {
        let victim = |at: u32| {
            let (pool, notice) = ("research".to_owned(), Duration::ZERO);
            weir_queue::Victim { uid: Uid::new(u128::from(at)), pool, node: None, notice }
        };
        let of = |count: u32| {
            let cause = Cause::PlacementTimeout { waited: Duration::from_secs(1500), placed: 0, of: count };
            let pieces = pieces(Eviction { cause, victims: (0..count).map(victim).collect(), budgets: Vec::new() });
            pieces.iter().map(|piece| piece.victims.len()).collect::<Vec<_>>()
        };
        assert_eq!(of(3), [3]);
        assert_eq!(of(1024), [1024]);
        assert_eq!(of(2500), [1024, 1024, 452]);
    }
}
