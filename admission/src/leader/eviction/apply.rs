//! Evictions as they reach other parts of the term: the record, the conditions of victims, the queue.
//!
//! A victim is recorded first and evicted then. What is the next step of each is decided in `state`; here a decision
//! becomes an entry of the record, and the result of a step becomes what the pod and the queue are told of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use weir_api::condition::{Preempted, Spared};
use weir_api::pool::ResourcePool;
use weir_api::round::{MAX_SENTENCE, Victim};
use weir_queue::{Cause, Event, Eviction, Grounds, Queue, Released, Time, Uid};

use super::state::{Act, Cancel, Evictions, Plan, Recorded, Verdict};
use crate::client::Outcome;
use crate::clock::Now;
use crate::convert::condition::ConditionType;
use crate::convert::{moment, time};
use crate::leader::conditions::{Conditions, spared};
use crate::leader::round_record::RoundRecord;
use crate::leader::watch_state::pod_cache::PodState;
use crate::leader::watch_state::state::WatchState;

/// The message on a pod that stays after all.
const NOT_NEEDED: &str = "it need not go any more";

/// What one step of evictions touches.
pub(in crate::leader) struct EvictionStep<'t> {
    pub(in crate::leader) evictions: &'t mut Evictions,
    pub(in crate::leader) record: &'t mut RoundRecord,
    pub(in crate::leader) conditions: &'t mut Conditions,
    pub(in crate::leader) watch: &'t mut WatchState,
    pub(in crate::leader) queue: &'t Queue,
    pub(in crate::leader) now: Now,
}

impl EvictionStep<'_> {
    /// Says on pods that they would be evicted, where nothing is enforced.
    pub(in crate::leader) fn would_evict(&mut self, eviction: &Eviction) {
        let sentence = self.sentence(eviction);
        for victim in &eviction.victims {
            let message = format!("not enforced; it would have been evicted: {sentence}");
            self.conditions.queue(victim.uid, spared(Spared::NotEnforced, message), self.now);
        }
    }

    /// Lines up an eviction that was decided.
    pub(in crate::leader) fn line_up(&mut self, eviction: Eviction) {
        self.evictions.line_up(eviction);
    }

    /// Enters the next evictions into the record, as far as there is room.
    pub(in crate::leader) fn enter(&mut self) {
        while let Some(eviction) = self.evictions.next_to_enter(self.record.room_for_victims()) {
            self.enter_one(&eviction);
        }
    }

    fn enter_one(&mut self, eviction: &Eviction) {
        let sentence = self.sentence(eviction);
        let claimant = match &eviction.cause {
            Cause::Reclaim { claimant, .. } | Cause::WithinPool { claimant, .. } => claimant.first(),
            Cause::Drain { .. } | Cause::PlacementTimeout { .. } => None,
        };
        let claimant = claimant.map(|(uid, _)| uid.to_string()).unwrap_or_default();
        for victim in &eviction.victims {
            let Some(state) = self.watch.pods.get(victim.uid) else { continue };
            let loan = self.queue.grounds(victim.uid) == Some(Grounds::OnLoan);
            let deadline = deadline(victim.notice, self.now.time);
            let message = match victim.notice.is_zero() {
                true => sentence.clone(),
                false => format!("{sentence}; it goes at {}", moment(deadline).0),
            };
            let entry = Victim {
                uid: state.target.uid.clone(),
                namespace: state.target.namespace.clone(),
                name: state.target.name.clone(),
                pool: victim.pool.clone(),
                claimant: claimant.clone(),
                deadline: Some(moment(deadline)),
                reason: reason(&eviction.cause, loan).as_str().to_owned(),
                message: message[..message.floor_char_boundary(MAX_SENTENCE)].to_owned(),
            };
            self.record.victims.insert(victim.uid, entry);
            self.evictions.entered(victim.uid);
        }
    }

    fn sentence(&self, eviction: &Eviction) -> String {
        let called = |uid: Uid| {
            let target = self.watch.pods.get(uid).map(|state| &state.target);
            target.map_or_else(|| uid.to_string(), |target| format!("{}/{}", target.namespace, target.name))
        };
        eviction.sentence(called)
    }

    /// The record was written: what was entered may be carried out.
    pub(in crate::leader) fn recorded(&mut self) {
        let entered = self.evictions.take_entered();
        entered.iter().for_each(|&uid| self.begin(uid));
        if !entered.is_empty() {
            self.note_begun(&entered);
        }
    }

    fn begin(&mut self, uid: Uid) {
        self.conditions.drop_pending(uid, ConditionType::Preempted);
        let (Some(entry), Some(state)) = (self.record.victims.get(&uid), self.watch.pods.get(uid)) else { return };
        let has_condition = state
            .eviction_reason()
            .is_some_and(|standing| standing.reason == entry.reason && standing.message == entry.message);
        let deadline = entry.deadline.as_ref().map(time).unwrap_or_default();
        let budgeted = self.watch.is_budgeted(uid);
        self.evictions.add(uid, Recorded { plan: plan(entry, state), deadline, budgeted, has_condition });
    }

    /// Goes on with what an earlier leader recorded, and takes back what it said of others; `pool` is the pool of a
    /// name.
    pub(in crate::leader) fn resume(&mut self, pool: impl Fn(&str) -> Option<Arc<ResourcePool>>) {
        let victims: Vec<Uid> = self.record.victims.keys().copied().collect();
        for &uid in &victims {
            if self.watch.pods.get(uid).is_some_and(|state| !state.terminating()) {
                self.begin(uid);
            }
        }
        self.note_begun(&victims);
        self.line_up_the_rest(pool);
        let told = |state: &PodState| state.eviction_reason().is_some() && !state.terminating();
        let pods = self.watch.pods.iter().filter(|(uid, state)| told(state) && !victims.contains(uid));
        let spared: Vec<Uid> = pods.map(|(uid, _)| uid).collect();
        spared.into_iter().for_each(|uid| self.retract(uid));
    }

    /// Lines up again the victims of a recorded claim that had no room in the record yet.
    fn line_up_the_rest(&mut self, pool: impl Fn(&str) -> Option<Arc<ResourcePool>>) {
        let (pods, recorded) = (&self.watch.pods, &self.record.victims);
        let stays = |uid: &Uid| pods.get(*uid).is_some_and(|state| !state.terminating() && !state.waits());
        let victim = |uid: Uid| {
            let name = pods.get(uid).map(|state| state.pool.to_string()).unwrap_or_default();
            let spec = pool(&name).and_then(|pool| pool.spec.preemption.clone()).unwrap_or_default();
            let notice = spec.notice.map(Duration::from).unwrap_or_default();
            weir_queue::Victim { uid, pool: name, node: None, notice }
        };
        let mut rest = Vec::new();
        for claim in self.record.claims.values() {
            let uids = claim.victims.iter().filter_map(|uid| uid.parse().ok());
            let victims: Vec<weir_queue::Victim> =
                uids.filter(stays).filter(|uid| !recorded.contains_key(uid)).map(victim).collect();
            if !victims.is_empty() {
                let nodes =
                    claim.nodes.iter().map(|node| Arc::from(node.as_str())).chain(std::iter::repeat(Arc::from("")));
                let claimant = claim.claimant.iter().filter_map(|uid| uid.parse().ok()).zip(nodes).collect();
                let cause = Cause::Reclaim { claimant, pool: claim.pool.clone(), over: Vec::new() };
                rest.push(Eviction { cause, victims, budgets: Vec::new() });
            }
        }
        rest.into_iter().for_each(|eviction| self.line_up(eviction));
    }

    /// Tells apart the plans of which a pod is gone or terminating already.
    fn note_begun(&mut self, victims: &[Uid]) {
        let pods = &self.watch.pods;
        let stays = |uid: &String| {
            let state = uid.parse().ok().and_then(|uid| pods.get(uid));
            state.is_some_and(|state| !state.terminating())
        };
        let begun = self.record.claims.iter().filter(|(_, claim)| !claim.victims.iter().all(stays));
        let mut plans: BTreeSet<Plan> = begun.map(|(claimant, _)| Plan::Claimant(claimant.to_string())).collect();
        for &uid in victims {
            let state = pods.get(uid).filter(|state| state.terminating());
            plans.extend(state.and_then(|state| state.gang.as_ref()).map(|gang| Plan::Gang(gang.name.clone())));
        }
        plans.iter().for_each(|plan| self.evictions.begun(plan));
    }

    /// Takes in the result of a step; `patience` is how long the rest of a plan is retried. The answer is the record
    /// of a pod that was evicted just now.
    pub(in crate::leader) fn came_back(&mut self, act: Act, outcome: Outcome, patience: Duration) -> Option<Victim> {
        let uid = act.pod();
        if let Outcome::Refused(sentence) | Outcome::Failed(sentence) = &outcome {
            tracing::info!(%uid, sentence, ?act, "a step of an eviction is not done");
        }
        let evicted = matches!((act, &outcome), (Act::Evict(_), Outcome::Done));
        let stays = matches!((act, &outcome), (Act::Evict(_), Outcome::Refused(_) | Outcome::Failed(_)));
        if stays && !self.evictions.contains(uid) {
            // The eviction was cancelled meanwhile.
            self.retract(uid);
        }
        match self.evictions.came_back(act, &outcome, self.now.time, patience) {
            Verdict::GoesOn => {}
            Verdict::Abandoned => self.retract_unseen(uid),
            Verdict::Dropped => self.drop_victim(uid, outcome),
        }
        self.record.victims.get(&uid).filter(|_| evicted).cloned()
    }

    /// A victim that cannot be evicted stays.
    fn drop_victim(&mut self, uid: Uid, outcome: Outcome) {
        self.record.victims.remove(&uid);
        let why = match outcome {
            Outcome::Refused(sentence) | Outcome::Failed(sentence) => sentence,
            Outcome::Done | Outcome::Gone | Outcome::Changed | Outcome::NotSent => String::new(),
        };
        self.conditions.queue(uid, spared(Spared::Refused, format!("it stays: {why}")), self.now);
        self.watch.push(Event::EvictionRefused(uid));
    }

    /// A claim ends: pods that it spares stay, and those that go all the same go on without a claimant.
    pub(in crate::leader) fn release(&mut self, Released { claimant, spared }: Released) {
        spared.into_iter().for_each(|uid| self.spare(uid));
        self.record.release(&claimant);
    }

    /// A victim that is not gone need not go any more.
    fn spare(&mut self, uid: Uid) {
        let cancelled = self.evictions.cancel(uid);
        if self.record.victims.remove(&uid).is_some() && cancelled == Cancel::InTime {
            self.retract(uid);
        }
    }

    /// A pod was spared while its reason was being written, which may stand there now although no watch showed it. A
    /// pod that is a victim again by now gets a new reason in its place.
    fn retract_unseen(&mut self, uid: Uid) {
        if let Some(state) = self.watch.pods.get_mut(uid).filter(|state| !state.terminating()) {
            state.preempted = None;
            if !self.evictions.contains(uid) {
                self.retract(uid);
            }
        }
    }

    fn retract(&mut self, uid: Uid) {
        self.conditions.queue(uid, spared(Spared::NotNeeded, NOT_NEEDED.to_owned()), self.now);
    }
}

/// When a victim may be evicted. The record holds whole seconds, and no pod goes before the time that was promised.
fn deadline(notice: Duration, now: Time) -> Time {
    match notice.is_zero() {
        true => now,
        false => Time::from_millis(now.after(notice).millis().div_ceil(1000) * 1000),
    }
}

/// The reason of the condition for a cause.
const fn reason(cause: &Cause, loan: bool) -> Preempted {
    match cause {
        Cause::Reclaim { .. } if loan => Preempted::LoanRecalled,
        Cause::Reclaim { .. } => Preempted::Reclaimed,
        Cause::WithinPool { .. } => Preempted::HigherPriority,
        Cause::Drain { .. } => Preempted::Drained,
        Cause::PlacementTimeout { .. } => Preempted::PlacementTimeout,
    }
}

/// What a victim belongs to.
fn plan(entry: &Victim, state: &PodState) -> Plan {
    match (&state.gang, entry.claimant.is_empty()) {
        (_, false) => Plan::Claimant(entry.claimant.clone()),
        (Some(gang), true) => Plan::Gang(gang.name.clone()),
        (None, true) => entry.uid.parse().map_or_else(|_| Plan::Claimant(entry.uid.clone()), Plan::Alone),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_api::round::{AdmissionRound, AdmissionRoundSpec, Claim};

    use super::*;
    use crate::config::Config;
    use crate::convert::hosts::Rules;
    use crate::leader::conditions::{EventQueue, Load, Write};
    use crate::leader::fixture::{now, placed, uid, waiting};
    use crate::leader::watch_state::read_by::ReadBy;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// The parts of a term that evictions touch.
    struct Parts {
        evictions: Evictions,
        record: RoundRecord,
        conditions: Conditions,
        watch: WatchState,
        queue: Queue,
    }

    impl Parts {
        /// Pod 1 waits; pods 8 and 9 run.
        fn new() -> Self {
            let rules = Rules::new(&Config::default(), Default::default()).unwrap();
            let queue = Queue::new(rules.hosts(), weir_queue::Config::default());
            let mut watch = WatchState::new(rules, ReadBy::default());
            for (number, state) in [(1, waiting(1)), (8, placed(8)), (9, placed(9))] {
                watch.pods.insert(uid(number), state);
            }
            let record = RoundRecord::new(AdmissionRound::new("weir", AdmissionRoundSpec::default()), "replica-0");
            let conditions = Conditions::new(EventQueue::default(), 32);
            Self { evictions: Evictions::default(), record, conditions, watch, queue }
        }

        fn step(&mut self, seconds: u64) -> EvictionStep<'_> {
            let Self { evictions, record, conditions, watch, queue } = self;
            EvictionStep { evictions, record, conditions, watch, queue, now: now(seconds) }
        }

        /// Enters what is lined up, as if the record was written.
        fn recorded(&mut self, seconds: u64) {
            self.step(seconds).enter();
            assert!(self.evictions.has_entered());
            self.step(seconds).recorded();
        }

        /// What is written on pods now: which pod, and status and reason.
        fn written(&mut self, seconds: u64) -> Vec<(Uid, &'static str, &'static str)> {
            let load = Load { gates: 0, pods_come: false };
            let writes = self.conditions.due(&mut self.watch.pods, load, now(seconds)).into_iter();
            let condition = |write| match write {
                Write::Condition(write) => Some((write.pod, write.update.status.as_str(), write.update.reason)),
                Write::Event(_) => None,
            };
            writes.filter_map(condition).collect()
        }
    }

    /// Pods 8 and 9 have to go for pod 1.
    fn reclaim(notice: u64) -> Eviction {
        let victim = |number| weir_queue::Victim {
            uid: uid(number),
            pool: "research".to_owned(),
            node: None,
            notice: Duration::from_secs(notice),
        };
        let cause = Cause::Reclaim { claimant: vec![(uid(1), "n".into())], pool: "prod".to_owned(), over: Vec::new() };
        Eviction { cause, victims: vec![victim(8), victim(9)], budgets: Vec::new() }
    }

    #[test]
    fn a_victim_is_recorded_with_its_claimant_its_deadline_and_the_sentence_that_it_gets() {
        let mut parts = Parts::new();
        parts.step(100).line_up(reclaim(90));
        parts.recorded(100);
        let entry = &parts.record.victims[&uid(8)];
        assert_eq!((entry.name.as_str(), entry.claimant.as_str()), ("p8", uid(1).to_string().as_str()));
        assert_eq!(entry.reason, "Reclaimed");
        let sentence = "the room goes to pod team/p1 of pool \"prod\"; it goes at 1970-01-01T00:03:10Z";
        assert_eq!(entry.message, sentence);
        assert_eq!(parts.evictions.due(now(100).time), [8, 9].map(|pod| Act::WriteCondition(uid(pod))));
    }

    #[test]
    fn a_refusal_drops_the_plan_and_says_so_on_the_pod_and_to_the_queue() {
        let mut parts = Parts::new();
        parts.step(100).line_up(reclaim(0));
        parts.recorded(100);
        for act in parts.evictions.due(now(100).time) {
            assert_eq!(parts.step(100).came_back(act, Outcome::Done, PATIENCE), None);
        }
        assert_eq!(parts.evictions.due(now(101).time), [Act::Evict(uid(8))]);
        let refused = Outcome::Refused("violates a budget".to_owned());
        assert_eq!(parts.step(101).came_back(Act::Evict(uid(8)), refused, PATIENCE), None);
        assert!(!parts.record.victims.contains_key(&uid(8)));
        assert_eq!(parts.written(101), [(uid(8), "False", "Refused")]);
        assert_eq!(parts.watch.take_events(), [Event::EvictionRefused(uid(8))]);
    }

    #[test]
    fn an_eviction_that_is_done_returns_its_record_once() {
        let mut parts = Parts::new();
        parts.step(100).line_up(reclaim(0));
        parts.recorded(100);
        for act in parts.evictions.due(now(100).time) {
            parts.step(100).came_back(act, Outcome::Done, PATIENCE);
        }
        parts.evictions.due(now(101).time);
        let evicted = parts.step(101).came_back(Act::Evict(uid(8)), Outcome::Done, PATIENCE);
        assert_eq!(evicted.map(|victim| victim.pool).as_deref(), Some("research"));
        assert_eq!(parts.evictions.due(now(102).time), [Act::Evict(uid(9))]);
    }

    #[test]
    fn a_released_claim_spares_its_victims_and_takes_back_what_was_said() {
        let mut parts = Parts::new();
        parts.step(100).line_up(reclaim(600));
        parts.recorded(100);
        let released = Released { claimant: vec![uid(1)], spared: vec![uid(8), uid(9)] };
        parts.step(101).release(released);
        assert!(parts.record.victims.is_empty());
        assert_eq!(parts.written(101), [8, 9].map(|pod| (uid(pod), "False", "NotNeeded")));
    }

    #[test]
    fn a_reason_that_arrives_after_the_pod_was_spared_is_taken_back() {
        let mut parts = Parts::new();
        parts.step(100).line_up(reclaim(0));
        parts.recorded(100);
        let acts = parts.evictions.due(now(100).time);
        parts.step(100).release(Released { claimant: vec![uid(1)], spared: vec![uid(8)] });
        assert_eq!(parts.written(100), [], "a retraction could arrive before the reason");
        parts.step(101).came_back(acts[0], Outcome::Done, PATIENCE);
        assert_eq!(parts.written(101), [(uid(8), "False", "NotNeeded")]);
    }

    #[test]
    fn a_pod_that_is_a_victim_again_while_its_old_reason_is_written_waits_for_that_answer() {
        let mut parts = Parts::new();
        parts.step(100).line_up(reclaim(0));
        parts.recorded(100);
        let acts = parts.evictions.due(now(100).time);
        parts.step(100).release(Released { claimant: vec![uid(1)], spared: vec![uid(8), uid(9)] });
        parts.step(100).line_up(reclaim(0));
        parts.recorded(100);
        assert_eq!(parts.evictions.due(now(100).time), []);
        parts.step(101).came_back(acts[0], Outcome::Failed("no answer".to_owned()), PATIENCE);
        assert_eq!(parts.written(101), []);
        assert_eq!(parts.evictions.due(now(101).time), [Act::WriteCondition(uid(8))]);
    }

    #[test]
    fn a_new_leader_goes_on_with_what_is_recorded_and_takes_back_the_rest() {
        let mut parts = Parts::new();
        let claim = Claim { claimant: vec![uid(1).to_string()], pool: "prod".to_owned(), ..Claim::default() };
        parts.record.claims.insert(uid(1), Claim { victims: vec![uid(8).to_string()], ..claim });
        let mut told = placed(9);
        let condition = json!({ "type": "weir.dev/Preempted", "status": "True", "reason": "Drained" });
        let condition = serde_json::from_value(condition).unwrap();
        told.preempted =
            crate::convert::condition::StandingCondition::of(&[condition], ConditionType::Preempted, Time::ZERO)
                .map(Box::new);
        parts.watch.pods.insert(uid(9), told);
        parts.step(100).resume(|_| None);
        assert_eq!(parts.written(100), [(uid(9), "False", "NotNeeded")]);
        parts.recorded(100);
        assert_eq!(parts.record.victims[&uid(8)].claimant, uid(1).to_string(), "it had no room in the record before");
    }

    #[test]
    fn where_nothing_is_enforced_a_pod_is_only_told() {
        let mut parts = Parts::new();
        parts.step(100).would_evict(&reclaim(0));
        assert_eq!(parts.written(100), [8, 9].map(|pod| (uid(pod), "False", "NotEnforced")));
        parts.step(100).enter();
        assert!(!parts.evictions.has_entered());
    }
}
