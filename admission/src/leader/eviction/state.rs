//! Which pods are about to be evicted, and the next step of each: a state machine without effects.
//!
//! Victims of one claimant, and the members of one gang, are one **plan**. Its reasons stand on all of its pods before
//! the first one is evicted; then they are evicted one after another, those under a budget first, so that a refusal
//! comes before anything is lost. Once a pod of a plan is gone the rest is retried for a bounded time; before that, a
//! refusal ends the plan at once (C3).
//!
//! Everything here can be built again from the record and the pods: a new leader goes on where the record stands, and
//! repeats at most what changes nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use weir_api::round::MAX_VICTIMS;
use weir_queue::{Eviction, Time, Uid};

use crate::client::Outcome;
use crate::convert::name::NamespacedName;
use crate::leader::pod_event::PodEvent;

/// What belongs together: it goes as a whole or, as far as it can be helped, not at all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plan {
    /// The victims of this claimant, by its first pod.
    Claimant(String),
    /// A gang that is evicted without a claimant.
    Gang(NamespacedName),
    /// One pod that is evicted without a claimant.
    Alone(Uid),
}

/// A victim as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    /// What it belongs to.
    pub(super) plan: Plan,
    /// The earliest time of its eviction.
    pub(super) deadline: Time,
    /// Whether a budget covers it.
    pub(super) budgeted: bool,
    /// Whether its reason stands on it.
    pub(super) has_condition: bool,
}

/// The next step of an eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::leader) enum Act {
    /// Write the reason on the pod.
    WriteCondition(Uid),
    /// Evict the pod.
    Evict(Uid),
}

impl Act {
    /// The pod.
    pub(in crate::leader) const fn pod(self) -> Uid {
        match self {
            Self::WriteCondition(uid) | Self::Evict(uid) => uid,
        }
    }
}

/// What the result of a step means for the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The plan goes on.
    GoesOn,
    /// This pod cannot be evicted; the plan is dropped.
    Dropped,
    /// The eviction was cancelled while this was being written, and what stands on the pod is unknown.
    Abandoned,
}

/// What cancelling an eviction comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    /// The pod stays.
    InTime,
    /// The pod stays; its reason is being written and may arrive after all. The answer comes as
    /// [`Verdict::Abandoned`].
    WhileWriting,
    /// The eviction is on its way: the pod goes unless the API server refuses, so the reason must stand on it.
    TooLate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The reason does not stand on the pod; it is not written before this time.
    NeedsCondition(Time),
    /// The reason is being written.
    WritingCondition,
    /// The reason stands on the pod; the eviction is not sent before this time.
    Ready(Time),
    /// The eviction was sent.
    BeingEvicted,
    /// The API server took the eviction.
    Evicted,
}

#[derive(Clone, Debug)]
struct Victim {
    recorded: Recorded,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// Whether a pod of the plan is gone or terminating.
    begun: bool,
    /// Since when the API server has been refusing.
    refused_since: Option<Time>,
}

/// All evictions, from the decision to the watch that shows the pod gone.
#[derive(Clone, Debug, Default)]
pub(in crate::leader) struct Evictions {
    /// Decided, and not in the record yet, for want of room there.
    lined_up: VecDeque<Eviction>,
    /// In the record since its next write.
    entered: Vec<Uid>,
    /// Recorded.
    victims: BTreeMap<Uid, Victim>,
    plans: BTreeMap<Plan, Standing>,
    /// How many writes are in flight that say on a pod that it need not go. If it has to go after all, such a write
    /// could arrive after the new reason, so the new reason waits for it.
    retractions: BTreeMap<Uid, u32>,
    /// Pods whose eviction was cancelled while their reason was being written. Until the answer is there, nobody
    /// knows what stands on the pod, so neither a retraction nor a new reason is written.
    abandoned: BTreeSet<Uid>,
}

/// How long to wait before a step is retried.
const PAUSE: Duration = Duration::from_secs(2);

impl Evictions {
    /// Lines up an eviction. What no record can hold at once goes in several, one after the other.
    pub(in crate::leader) fn line_up(&mut self, eviction: Eviction) {
        self.lined_up.extend(pieces(eviction));
    }

    /// Takes the next eviction, if the record has room for it.
    pub(super) fn next_to_enter(&mut self, room: usize) -> Option<Eviction> {
        self.lined_up.pop_front_if(|next| next.victims.len() <= room)
    }

    /// Notes that a victim was entered into the record.
    pub(super) fn entered(&mut self, uid: Uid) {
        self.entered.push(uid);
    }

    /// Whether victims were entered since the record was written.
    pub(in crate::leader) const fn has_entered(&self) -> bool {
        !self.entered.is_empty()
    }

    /// Takes the victims that were entered since the record was written.
    pub(super) fn take_entered(&mut self) -> Vec<Uid> {
        std::mem::take(&mut self.entered)
    }

    /// Takes in a victim that stands in the record.
    pub(super) fn add(&mut self, uid: Uid, recorded: Recorded) {
        let crosses = self.retractions.contains_key(&uid) || self.abandoned.contains(&uid);
        let ready = recorded.has_condition && !crosses;
        let stage = if ready { Stage::Ready(Time::ZERO) } else { Stage::NeedsCondition(Time::ZERO) };
        self.plans.entry(recorded.plan.clone()).or_default();
        self.victims.insert(uid, Victim { recorded, stage });
    }

    /// Notes that a pod of a plan is gone already.
    pub(super) fn begun(&mut self, plan: &Plan) {
        if let Some(standing) = self.plans.get_mut(plan) {
            standing.begun = true;
        }
    }

    /// A write is in flight that says on a pod that it need not go.
    pub(in crate::leader) fn retracting(&mut self, uid: Uid) {
        *self.retractions.entry(uid).or_default() += 1;
    }

    /// That write came back, whatever its result.
    pub(in crate::leader) fn retracted(&mut self, uid: Uid) {
        if let Some(writes) = self.retractions.get_mut(&uid) {
            *writes = writes.saturating_sub(1);
            if *writes == 0 {
                self.retractions.remove(&uid);
            }
        }
    }

    /// Takes in what happened to a pod: a victim that terminates or is gone has left.
    pub(in crate::leader) fn on_event(&mut self, event: &PodEvent<'_>) {
        match event {
            PodEvent::Seen(seen) if seen.state.terminating() => self.left(seen.uid),
            PodEvent::Seen(_) => {}
            PodEvent::Gone { uid, .. } => self.left(*uid),
        }
    }

    /// Cancels the eviction of a pod.
    pub(super) fn cancel(&mut self, uid: Uid) -> Cancel {
        self.lined_up.iter_mut().for_each(|eviction| eviction.victims.retain(|victim| victim.uid != uid));
        self.entered.retain(|&entered| entered != uid);
        let stage = self.victims.get(&uid).map(|victim| victim.stage);
        self.remove(uid);
        match stage {
            Some(Stage::BeingEvicted | Stage::Evicted) => Cancel::TooLate,
            Some(Stage::WritingCondition) => {
                self.abandoned.insert(uid);
                Cancel::WhileWriting
            }
            _ => Cancel::InTime,
        }
    }

    /// Whether a pod is a recorded victim.
    pub(in crate::leader) fn contains(&self, uid: Uid) -> bool {
        self.victims.contains_key(&uid)
    }

    /// The steps that are due; all of them count as sent from here on.
    pub(in crate::leader) fn due(&mut self, now: Time) -> Vec<Act> {
        let mut acts = Vec::new();
        let mut without_condition: BTreeSet<Plan> = BTreeSet::new();
        let mut busy: BTreeSet<Plan> = BTreeSet::new();
        for (&uid, victim) in &mut self.victims {
            match victim.stage {
                Stage::NeedsCondition(from) => {
                    without_condition.insert(victim.recorded.plan.clone());
                    let crosses = self.retractions.contains_key(&uid) || self.abandoned.contains(&uid);
                    if from <= now && !crosses {
                        victim.stage = Stage::WritingCondition;
                        acts.push(Act::WriteCondition(uid));
                    }
                }
                Stage::WritingCondition | Stage::BeingEvicted => drop(busy.insert(victim.recorded.plan.clone())),
                Stage::Ready(_) | Stage::Evicted => {}
            }
        }
        let mut next: BTreeMap<&Plan, (bool, Uid)> = BTreeMap::new();
        for (&uid, Victim { recorded, stage }) in &self.victims {
            let ready = matches!(stage, Stage::Ready(from) if *from <= now) && recorded.deadline <= now;
            if ready && !without_condition.contains(&recorded.plan) && !busy.contains(&recorded.plan) {
                let rank = (!recorded.budgeted, uid);
                let first = next.entry(&recorded.plan).or_insert(rank);
                *first = rank.min(*first);
            }
        }
        let evict: Vec<Uid> = next.into_values().map(|(_, uid)| uid).collect();
        for uid in evict {
            self.set(uid, Stage::BeingEvicted);
            acts.push(Act::Evict(uid));
        }
        acts
    }

    /// Takes in the result of a step; `patience` is how long the rest of a plan is retried.
    pub(super) fn came_back(&mut self, act: Act, outcome: &Outcome, now: Time, patience: Duration) -> Verdict {
        match act {
            Act::WriteCondition(uid) if self.abandoned.remove(&uid) => Verdict::Abandoned,
            Act::WriteCondition(uid) => {
                match outcome {
                    Outcome::Done => self.set(uid, Stage::Ready(Time::ZERO)),
                    Outcome::Gone => self.left(uid),
                    // A tenant could make its pods unfit to be written, and no such pod would ever go.
                    Outcome::Refused(_) => self.set(uid, Stage::Ready(Time::ZERO)),
                    Outcome::Failed(_) | Outcome::Changed | Outcome::NotSent => {
                        self.set(uid, Stage::NeedsCondition(now.after(PAUSE)));
                    }
                }
                Verdict::GoesOn
            }
            Act::Evict(uid) => self.eviction_came_back(uid, outcome, now, patience),
        }
    }

    fn eviction_came_back(&mut self, uid: Uid, outcome: &Outcome, now: Time, patience: Duration) -> Verdict {
        let Some(plan) = self.victims.get(&uid).map(|victim| victim.recorded.plan.clone()) else {
            return Verdict::GoesOn;
        };
        let standing = self.plans.entry(plan).or_default();
        match outcome {
            Outcome::Done => {
                (standing.begun, standing.refused_since) = (true, None);
                self.set(uid, Stage::Evicted);
            }
            Outcome::Gone => self.left(uid),
            Outcome::NotSent => self.set(uid, Stage::Ready(now)),
            Outcome::Failed(_) | Outcome::Changed => self.set(uid, Stage::Ready(now.after(PAUSE))),
            Outcome::Refused(_) => {
                let since = *standing.refused_since.get_or_insert(now);
                if !standing.begun || now.since(since) >= patience {
                    self.remove(uid);
                    return Verdict::Dropped;
                }
                self.set(uid, Stage::Ready(now.after(PAUSE)));
            }
        }
        Verdict::GoesOn
    }

    /// A step that was due was not sent; it is due again.
    pub(in crate::leader) fn not_sent(&mut self, act: Act) {
        match act {
            Act::WriteCondition(uid) => self.set(uid, Stage::NeedsCondition(Time::ZERO)),
            Act::Evict(uid) => self.set(uid, Stage::Ready(Time::ZERO)),
        }
    }

    fn left(&mut self, uid: Uid) {
        if let Some(plan) = self.remove(uid)
            && let Some(standing) = self.plans.get_mut(&plan)
        {
            standing.begun = true;
        }
    }

    fn remove(&mut self, uid: Uid) -> Option<Plan> {
        let plan = self.victims.remove(&uid)?.recorded.plan;
        let last = self.victims.values().all(|victim| victim.recorded.plan != plan);
        if last {
            self.plans.remove(&plan);
        }
        Some(plan)
    }

    fn set(&mut self, uid: Uid, stage: Stage) {
        if let Some(victim) = self.victims.get_mut(&uid) {
            victim.stage = stage;
        }
    }
}

/// An eviction in as many pieces as it takes records.
fn pieces(eviction: Eviction) -> Vec<Eviction> {
    let most = usize::try_from(MAX_VICTIMS).unwrap_or(usize::MAX);
    let Eviction { cause, victims, budgets } = eviction;
    let piece = |victims: &[_]| Eviction { cause: cause.clone(), victims: victims.to_vec(), budgets: budgets.clone() };
    victims.chunks(most).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use weir_queue::Cause;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    fn uid(number: u128) -> Uid {
        Uid::new(number)
    }

    fn refused() -> Outcome {
        Outcome::Refused("Cannot evict pod as it would violate the pod's disruption budget.".to_owned())
    }

    fn failed() -> Outcome {
        Outcome::Failed("connection reset".to_owned())
    }

    fn written(evictions: &mut Evictions, pod: u128, outcome: &Outcome, now: Time) {
        let verdict = evictions.came_back(Act::WriteCondition(uid(pod)), outcome, now, PATIENCE);
        assert_eq!(verdict, Verdict::GoesOn);
    }

    fn evicted(evictions: &mut Evictions, pod: u128, outcome: &Outcome, now: Time) -> Verdict {
        evictions.came_back(Act::Evict(uid(pod)), outcome, now, PATIENCE)
    }

    /// Victims 1, 2 and 3 of one claimant; a budget covers 2.
    fn three() -> Evictions {
        let mut evictions = Evictions::default();
        for number in 1..=3 {
            let plan = Plan::Claimant("prod".into());
            let recorded = Recorded { plan, deadline: at(10), budgeted: number == 2, has_condition: false };
            evictions.add(uid(number), recorded);
        }
        evictions
    }

    /// The same with their reasons written.
    fn ready() -> Evictions {
        let mut evictions = three();
        assert_eq!(evictions.due(at(1)), [1, 2, 3].map(|number| Act::WriteCondition(uid(number))));
        (1..=3).for_each(|number| written(&mut evictions, number, &Outcome::Done, at(1)));
        evictions
    }

    fn alone(has_condition: bool) -> Recorded {
        Recorded { plan: Plan::Alone(uid(1)), deadline: Time::ZERO, budgeted: false, has_condition }
    }

    #[test]
    fn no_pod_is_evicted_before_the_reason_stands_on_all_and_the_notice_is_over() {
        let mut evictions = three();
        evictions.due(at(1));
        written(&mut evictions, 1, &Outcome::Done, at(1));
        written(&mut evictions, 2, &Outcome::Done, at(1));
        written(&mut evictions, 3, &failed(), at(1));
        assert_eq!(evictions.due(at(2)), []);
        assert_eq!(evictions.due(at(20)), [Act::WriteCondition(uid(3))]);
        written(&mut evictions, 3, &Outcome::Done, at(20));
        assert_eq!(evictions.due(at(20)), [Act::Evict(uid(2))], "the one that may be refused goes first, and alone");
        assert_eq!(ready().due(at(9)), []);
    }

    #[test]
    fn a_plan_of_which_no_pod_is_gone_ends_with_the_first_refusal() {
        let mut evictions = ready();
        assert_eq!(evictions.due(at(10)), [Act::Evict(uid(2))]);
        assert_eq!(evicted(&mut evictions, 2, &refused(), at(10)), Verdict::Dropped);
    }

    #[test]
    fn once_a_pod_is_gone_the_rest_is_retried_for_a_bounded_time() {
        let mut evictions = ready();
        evictions.due(at(10));
        assert_eq!(evicted(&mut evictions, 2, &Outcome::Done, at(10)), Verdict::GoesOn);
        assert_eq!(evictions.due(at(10)), [Act::Evict(uid(1))]);
        assert_eq!(evicted(&mut evictions, 1, &refused(), at(10)), Verdict::GoesOn);
        assert_eq!(evictions.due(at(10)), [Act::Evict(uid(3))]);
        assert_eq!(evicted(&mut evictions, 3, &refused(), at(11)), Verdict::GoesOn);
        assert_eq!(evictions.due(at(12)), [Act::Evict(uid(1))]);
        assert_eq!(evicted(&mut evictions, 1, &refused(), at(40)), Verdict::Dropped);
    }

    #[test]
    fn an_evicted_pod_is_not_evicted_again_while_it_terminates() {
        let mut evictions = Evictions::default();
        evictions.add(uid(1), alone(true));
        assert_eq!(evictions.due(at(1)), [Act::Evict(uid(1))]);
        assert_eq!(evictions.due(at(2)), [], "one attempt at a time");
        evicted(&mut evictions, 1, &Outcome::Done, at(2));
        assert_eq!(evictions.due(at(1000)), []);
        evictions.on_event(&PodEvent::Gone { uid: uid(1), last: None });
        assert!(!evictions.contains(uid(1)) && evictions.plans.is_empty());
    }

    #[test]
    fn a_pod_that_has_to_go_after_all_gets_its_reason_after_the_retraction() {
        let mut evictions = Evictions::default();
        evictions.retracting(uid(1));
        evictions.add(uid(1), alone(true));
        assert_eq!(evictions.due(at(1)), [], "the reason that stands on it is about to be overwritten");
        evictions.retracted(uid(1));
        assert_eq!(evictions.due(at(1)), [Act::WriteCondition(uid(1))]);
        // Where no retraction is in flight, the reason still stands.
        let mut evictions = Evictions::default();
        evictions.add(uid(1), alone(true));
        assert_eq!(evictions.due(at(1)), [Act::Evict(uid(1))]);
    }

    #[test]
    fn an_eviction_that_is_on_its_way_is_cancelled_too_late() {
        let mut evictions = ready();
        assert_eq!(evictions.due(at(10)), [Act::Evict(uid(2))]);
        assert_eq!([evictions.cancel(uid(1)), evictions.cancel(uid(2))], [Cancel::InTime, Cancel::TooLate]);
        assert!(!evictions.contains(uid(2)), "and it is not sent again");
    }

    #[test]
    fn an_eviction_without_an_answer_is_retried() {
        let mut evictions = ready();
        evictions.due(at(10));
        assert_eq!(evicted(&mut evictions, 2, &failed(), at(10)), Verdict::GoesOn);
        assert_eq!(evictions.due(at(10)), [Act::Evict(uid(1))]);
        evicted(&mut evictions, 1, &Outcome::Done, at(10));
        assert_eq!(evictions.due(at(12)), [Act::Evict(uid(2))]);
    }

    #[test]
    fn a_step_that_was_not_sent_is_due_again() {
        let mut evictions = ready();
        let acts = evictions.due(at(10));
        assert_eq!(evictions.due(at(10)), []);
        acts.into_iter().for_each(|act| evictions.not_sent(act));
        assert_eq!(evictions.due(at(10)), [Act::Evict(uid(2))]);
    }

    fn decided(count: u32) -> Eviction {
        let victim = |at: u32| {
            let (pool, notice) = ("research".to_owned(), Duration::ZERO);
            weir_queue::Victim { uid: uid(u128::from(at)), pool, node: None, notice }
        };
        let cause = Cause::PlacementTimeout { waited: Duration::from_secs(1500), placed: 0, of: count };
        Eviction { cause, victims: (0..count).map(victim).collect(), budgets: Vec::new() }
    }

    #[test]
    fn a_gang_that_no_record_holds_goes_in_several() {
        let of = |count| pieces(decided(count)).iter().map(|piece| piece.victims.len()).collect::<Vec<_>>();
        assert_eq!(of(3), [3]);
        assert_eq!(of(256), [256]);
        assert_eq!(of(600), [256, 256, 88]);
    }

    #[test]
    fn an_eviction_waits_for_room_in_the_record_and_loses_the_pods_that_are_cancelled_meanwhile() {
        let mut evictions = Evictions::default();
        evictions.line_up(decided(3));
        assert_eq!(evictions.next_to_enter(2), None);
        evictions.cancel(uid(1));
        let entered = evictions.next_to_enter(2).unwrap();
        assert_eq!(entered.victims.iter().map(|victim| victim.uid).collect::<Vec<_>>(), [uid(0), uid(2)]);
        assert_eq!(evictions.next_to_enter(2), None, "nothing else was decided");
    }
}
