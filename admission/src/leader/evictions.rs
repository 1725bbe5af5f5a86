//! Who is about to be evicted, and what is to be done about it next: a state machine without effects.
//!
//! Victims of one claimant, and the members of one gang, are one **plan**. Its reasons stand on all of its
//! pods before the first one goes; then they go one after another, those under a budget first, so that a
//! refusal comes before anything is lost. Once somebody of a plan is gone the rest is tried again for a
//! bounded time; before that, a refusal ends the plan at once (C3).
//!
//! Everything here can be built again from the record and the pods: whoever takes over goes on where the
//! record stands, and repeats at most what changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir_queue::{Time, Uid};

/// What belongs together: it goes as a whole or, as far as it can be helped, not at all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Plan {
    /// For this claimant, by its first pod.
    Claimant(String),
    /// A gang that goes without a claimant.
    Gang(String, String),
    /// One pod that goes without a claimant.
    Alone(Uid),
}

/// A victim as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    /// What it belongs to.
    pub(super) plan: Plan,
    /// Not before this moment.
    pub(super) deadline: Time,
    /// Whether a budget covers it.
    pub(super) budgeted: bool,
    /// Whether its reason stands on it.
    pub(super) has_condition: bool,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It is done.
    Done,
    /// The pod is gone, or terminating.
    Gone,
    /// The API server says no: a budget, or two of them.
    Refused,
    /// Nobody answered.
    Failed,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Write the reason on the pod.
    WriteCondition(Uid),
    /// Evict it.
    Evict(Uid),
}

/// Whether an attempt ends a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    GoesOn,
    /// This pod cannot be evicted; the plan is dropped.
    Dropped,
}

/// What sparing a pod comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    /// It stays.
    InTime,
    /// Its eviction is on its way: it goes, unless the API server refuses, and the reason must stand on it.
    TooLate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its reason does not stand on it; not before this moment.
    NeedsCondition(Time),
    /// Its reason is being written at this moment.
    WritingCondition,
    /// Its reason stands on it; not before this moment.
    Ready(Time),
    /// Its eviction is asked for at this moment.
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
    /// Whether a victim of the plan is gone or terminating.
    begun: bool,
    /// Since when the API server has been refusing.
    refused_since: Option<Time>,
}

/// All victims that are recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Evictions {
    victims: BTreeMap<Uid, Victim>,
    plans: BTreeMap<Plan, Standing>,
    /// How often it is being written on a pod, at this moment, that it need not go. Where it has to after all,
    /// that word could come after the new one, so the new one waits for it.
    retractions: BTreeMap<Uid, u32>,
}

/// How long to wait before something is tried again.
const PAUSE: Duration = Duration::from_secs(2);

impl Evictions {
    /// Takes in a victim that stands in the record.
    pub(super) fn add(&mut self, uid: Uid, recorded: Recorded) {
        let ready = recorded.has_condition && !self.retractions.contains_key(&uid);
        let stage = if ready { Stage::Ready(Time::ZERO) } else { Stage::NeedsCondition(Time::ZERO) };
        self.plans.entry(recorded.plan.clone()).or_default();
        self.victims.insert(uid, Victim { recorded, stage });
    }

    /// Notes that somebody of a plan is gone already.
    pub(super) fn begun(&mut self, plan: &Plan) {
        if let Some(standing) = self.plans.get_mut(plan) {
            standing.begun = true;
        }
    }

    /// The word is on its way to a pod that it need not go.
    pub(super) fn retracting(&mut self, uid: Uid) {
        *self.retractions.entry(uid).or_default() += 1;
    }

    /// That word has arrived, or never will.
    pub(super) fn retracted(&mut self, uid: Uid) {
        if let Some(words) = self.retractions.get_mut(&uid) {
            *words -= 1;
            if *words == 0 {
                self.retractions.remove(&uid);
            }
        }
    }

    /// A victim is gone, or on its way.
    pub(super) fn left(&mut self, uid: Uid) {
        if let Some(plan) = self.remove(uid)
            && let Some(standing) = self.plans.get_mut(&plan)
        {
            standing.begun = true;
        }
    }

    /// A victim need not go any more.
    pub(super) fn cancel(&mut self, uid: Uid) -> Cancel {
        let stage = self.victims.get(&uid).map(|victim| victim.stage);
        self.remove(uid);
        match stage {
            Some(Stage::BeingEvicted | Stage::Evicted) => Cancel::TooLate,
            _ => Cancel::InTime,
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

    /// Whether a pod is among them.
    pub(super) fn contains(&self, uid: Uid) -> bool {
        self.victims.contains_key(&uid)
    }

    /// What is to be done now; whatever is returned counts as under way from here on.
    pub(super) fn due(&mut self, now: Time) -> Vec<Act> {
        let mut acts = Vec::new();
        let mut without_condition: BTreeSet<Plan> = BTreeSet::new();
        let mut busy: BTreeSet<Plan> = BTreeSet::new();
        for (&uid, victim) in &mut self.victims {
            match victim.stage {
                Stage::NeedsCondition(from) => {
                    without_condition.insert(victim.recorded.plan.clone());
                    if from <= now && !self.retractions.contains_key(&uid) {
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

    /// What came of writing a reason.
    pub(super) fn condition_written(&mut self, uid: Uid, attempt: Attempt, now: Time) {
        match attempt {
            Attempt::Done => self.set(uid, Stage::Ready(Time::ZERO)),
            Attempt::Gone => self.left(uid),
            Attempt::Refused | Attempt::Failed => self.set(uid, Stage::NeedsCondition(now.after(PAUSE))),
        }
    }

    /// What came of an eviction; `patience` is how long the rest of a plan is tried again.
    pub(super) fn evicted(&mut self, uid: Uid, attempt: Attempt, now: Time, patience: Duration) -> Verdict {
        let Some(plan) = self.victims.get(&uid).map(|victim| victim.recorded.plan.clone()) else {
            return Verdict::GoesOn;
        };
        let standing = self.plans.entry(plan).or_default();
        match attempt {
            Attempt::Done => {
                (standing.begun, standing.refused_since) = (true, None);
                self.set(uid, Stage::Evicted);
            }
            Attempt::Gone => self.left(uid),
            Attempt::Failed => self.set(uid, Stage::Ready(now.after(PAUSE))),
            Attempt::Refused => {
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

    /// Somebody did not get to do what was due; it is due again.
    pub(super) fn not_sent(&mut self, act: Act) {
        match act {
            Act::WriteCondition(uid) => self.set(uid, Stage::NeedsCondition(Time::ZERO)),
            Act::Evict(uid) => self.set(uid, Stage::Ready(Time::ZERO)),
        }
    }

    fn set(&mut self, uid: Uid, stage: Stage) {
        if let Some(victim) = self.victims.get_mut(&uid) {
            victim.stage = stage;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    fn uid(number: u128) -> Uid {
        Uid::new(number)
    }

    /// Victims 1, 2 and 3 of one claimant; a budget covers 2.
    fn three() -> Evictions {
        let mut evictions = Evictions::default();
        for number in 1..=3 {
            let plan = Plan::Claimant("prod".into());
            evictions
                .add(uid(number), Recorded { plan, deadline: at(10), budgeted: number == 2, has_condition: false });
        }
        evictions
    }

    fn with_conditions(evictions: &mut Evictions) {
        let acts = evictions.due(at(1));
        assert_eq!(acts, [1, 2, 3].map(|number| Act::WriteCondition(uid(number))));
        (1..=3).for_each(|number| evictions.condition_written(uid(number), Attempt::Done, at(1)));
    }

    #[test]
    fn nobody_goes_before_the_reason_stands_on_all_and_the_notice_is_over() {
        let mut evictions = three();
        evictions.due(at(1));
        evictions.condition_written(uid(1), Attempt::Done, at(1));
        evictions.condition_written(uid(2), Attempt::Done, at(1));
        evictions.condition_written(uid(3), Attempt::Failed, at(1));
        assert_eq!(evictions.due(at(2)), []);
        assert_eq!(evictions.due(at(20)), [Act::WriteCondition(uid(3))]);
        evictions.condition_written(uid(3), Attempt::Done, at(20));
        assert_eq!(evictions.due(at(20)), [Act::Evict(uid(2))], "whoever may be refused goes first, and alone");
        let mut early = three();
        with_conditions(&mut early);
        assert_eq!(early.due(at(9)), []);
    }

    #[test]
    fn a_plan_of_which_nobody_is_gone_ends_with_the_first_refusal() {
        let mut evictions = three();
        with_conditions(&mut evictions);
        assert_eq!(evictions.due(at(10)), [Act::Evict(uid(2))]);
        assert_eq!(evictions.evicted(uid(2), Attempt::Refused, at(10), PATIENCE), Verdict::Dropped);
    }

    #[test]
    fn once_somebody_is_gone_the_rest_is_tried_again_for_a_bounded_time() {
        let mut evictions = three();
        with_conditions(&mut evictions);
        evictions.due(at(10));
        assert_eq!(evictions.evicted(uid(2), Attempt::Done, at(10), PATIENCE), Verdict::GoesOn);
        assert_eq!(evictions.due(at(10)), [Act::Evict(uid(1))]);
        assert_eq!(evictions.evicted(uid(1), Attempt::Refused, at(10), PATIENCE), Verdict::GoesOn);
        assert_eq!(evictions.due(at(10)), [Act::Evict(uid(3))]);
        assert_eq!(evictions.evicted(uid(3), Attempt::Refused, at(11), PATIENCE), Verdict::GoesOn);
        assert_eq!(evictions.due(at(12)), [Act::Evict(uid(1))]);
        assert_eq!(evictions.evicted(uid(1), Attempt::Refused, at(40), PATIENCE), Verdict::Dropped);
    }

    #[test]
    fn who_was_evicted_is_not_evicted_again_while_it_ends() {
        let mut evictions = Evictions::default();
        let alone = Recorded { plan: Plan::Alone(uid(1)), deadline: Time::ZERO, budgeted: false, has_condition: true };
        evictions.add(uid(1), alone);
        assert_eq!(evictions.due(at(1)), [Act::Evict(uid(1))]);
        assert_eq!(evictions.due(at(2)), [], "one attempt at a time");
        evictions.evicted(uid(1), Attempt::Done, at(2), PATIENCE);
        assert_eq!(evictions.due(at(1000)), []);
        evictions.left(uid(1));
        assert!(!evictions.contains(uid(1)) && evictions.plans.is_empty());
    }

    #[test]
    fn who_has_to_go_after_all_is_told_so_after_the_word_that_took_it_back() {
        let mut evictions = Evictions::default();
        let alone = Recorded { plan: Plan::Alone(uid(1)), deadline: Time::ZERO, budgeted: false, has_condition: true };
        evictions.retracting(uid(1));
        evictions.add(uid(1), alone.clone());
        assert_eq!(evictions.due(at(1)), [], "the reason that stands on it is about to be overwritten");
        evictions.retracted(uid(1));
        assert_eq!(evictions.due(at(1)), [Act::WriteCondition(uid(1))]);
        // Where no such word is on its way, the reason still stands.
        let mut evictions = Evictions::default();
        evictions.add(uid(1), alone);
        assert_eq!(evictions.due(at(1)), [Act::Evict(uid(1))]);
    }

    #[test]
    fn who_is_spared_when_its_eviction_is_on_its_way_is_spared_too_late() {
        let mut evictions = three();
        with_conditions(&mut evictions);
        assert_eq!(evictions.due(at(10)), [Act::Evict(uid(2))]);
        assert_eq!([evictions.cancel(uid(1)), evictions.cancel(uid(2))], [Cancel::InTime, Cancel::TooLate]);
        assert!(!evictions.contains(uid(2)), "and nobody asks for it again");
    }

    #[test]
    fn an_eviction_that_nobody_answered_is_tried_again() {
        let mut evictions = three();
        with_conditions(&mut evictions);
        evictions.due(at(10));
        assert_eq!(evictions.evicted(uid(2), Attempt::Failed, at(10), PATIENCE), Verdict::GoesOn);
        assert_eq!(evictions.due(at(10)), [Act::Evict(uid(1))]);
        evictions.evicted(uid(1), Attempt::Done, at(10), PATIENCE);
        assert_eq!(evictions.due(at(12)), [Act::Evict(uid(2))]);
    }
}
