//! What is remembered of each managed pod beside what the queue knows: where to write, and what stands there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod as Written, PodCondition};
use kube::ResourceExt;
use weir_queue::{Phase, Pod, Time, Uid};

use crate::client::Target;
use crate::convert::condition::{Change, ConditionType, ConditionUpdate, StandingCondition};
use crate::convert::interner::Interner;
use crate::convert::name::NamespacedName;
use crate::convert::time;
use crate::convert::words::PodWords;
use crate::watch::budgets::{Covered, Labels};

/// A managed pod.
#[derive(Clone, Debug)]
pub(crate) struct PodState {
    /// Where to write.
    pub(crate) target: Target,
    /// Its pool.
    pub(crate) pool: Arc<str>,
    /// Its gang; none for a pod that stands alone.
    pub(crate) gang: Option<Gang>,
    /// When it was created.
    pub(crate) created: Time,
    /// How far it has come.
    pub(crate) stage: Stage,
    /// Its condition `weir.dev/Admitted`, as it stands there as far as this leader knows.
    pub(crate) admitted: Option<StandingCondition>,
    /// Its condition `weir.dev/Preempted`, likewise; boxed because few pods have one.
    pub(crate) preempted: Option<Box<StandingCondition>>,
    /// When this leader last wrote a condition of it.
    pub(crate) condition_written: Time,
    /// The UID of its controller.
    pub(crate) owner: Option<Uid>,
    /// Why the scheduler finds no node for it; none where the scheduler said nothing.
    pub(crate) verdict: Option<Box<SchedulerVerdict>>,
    /// Its labels while it runs: budgets select by them.
    pub(crate) labels: Option<Labels>,
    /// What it says, where it depends on others what that means.
    pub(crate) words: Option<Box<PodWords>>,
}

/// The gang of a pod, as the pod announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gang {
    /// Namespace and name.
    pub(crate) name: NamespacedName,
    /// How many members it announces.
    pub(crate) size: u32,
}

/// How far a pod has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is gated.
    Waiting,
    /// It has no gate and no node.
    Admitted,
    /// It has a node.
    Placed,
    /// It is being deleted, with a node or without.
    Terminating {
        /// Whether it has a node.
        placed: bool,
    },
}

/// What kube-scheduler says of a pod for which it finds no node. Another verdict shows that the scheduler works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SchedulerVerdict {
    message: String,
    at: Option<Time>,
}

/// The scheduler's reason on a pod for which it finds no node.
const UNSCHEDULABLE: &str = "Unschedulable";

impl Stage {
    fn of(phase: &Phase) -> Self {
        match phase {
            Phase::Waiting => Self::Waiting,
            Phase::Admitted(admitted) if admitted.terminating.is_some() => {
                Self::Terminating { placed: admitted.node.is_some() }
            }
            Phase::Admitted(admitted) if admitted.node.is_some() => Self::Placed,
            Phase::Admitted(_) => Self::Admitted,
        }
    }
}

impl SchedulerVerdict {
    fn of(conditions: &[PodCondition]) -> Option<Self> {
        let found = conditions.iter().find(|one| one.reason.as_deref() == Some(UNSCHEDULABLE))?;
        let at = found.last_transition_time.as_ref().map(time);
        Some(Self { message: found.message.clone().unwrap_or_default(), at })
    }
}

impl PodState {
    /// What is remembered of a pod.
    #[must_use]
    pub(crate) fn of(written: &Written, pod: &Pod, words: Option<PodWords>, interner: &mut Interner) -> Self {
        let status = written.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let runs = status.and_then(|status| status.phase.as_deref()) == Some("Running");
        let owner = written.owner_references().iter().find(|owner| owner.controller == Some(true));
        Self {
            target: Target::of(written),
            pool: Arc::clone(&pod.pool),
            gang: Gang::of(pod),
            created: pod.created,
            stage: Stage::of(&pod.phase),
            admitted: StandingCondition::of(conditions, ConditionType::Admitted, pod.created),
            preempted: StandingCondition::of(conditions, ConditionType::Preempted, pod.created).map(Box::new),
            condition_written: Time::ZERO,
            owner: owner.and_then(|owner| owner.uid.parse().ok()),
            verdict: SchedulerVerdict::of(conditions).map(Box::new),
            labels: runs.then(|| {
                let labels = written.labels().iter();
                labels.map(|(key, value)| (interner.name(key), interner.name(value))).collect()
            }),
            words: words.map(Box::new),
        }
    }

    /// Whether it is gated.
    #[must_use]
    pub(crate) fn waits(&self) -> bool {
        self.stage == Stage::Waiting
    }

    /// Whether it has a node.
    #[must_use]
    pub(crate) const fn placed(&self) -> bool {
        matches!(self.stage, Stage::Placed | Stage::Terminating { placed: true })
    }

    /// Whether it is being deleted.
    #[must_use]
    pub(crate) const fn terminating(&self) -> bool {
        matches!(self.stage, Stage::Terminating { .. })
    }

    /// The condition of this type that stands on it.
    #[must_use]
    pub(crate) fn standing(&self, condition: ConditionType) -> Option<&StandingCondition> {
        match condition {
            ConditionType::Admitted => self.admitted.as_ref(),
            ConditionType::Preempted => self.preempted.as_deref(),
            ConditionType::Refused => None,
        }
    }

    /// The condition that says that it is about to be evicted, while it holds.
    #[must_use]
    pub(crate) fn eviction_reason(&self) -> Option<&StandingCondition> {
        self.preempted.as_deref().filter(|standing| standing.holds())
    }

    /// Notes that a condition was written.
    pub(crate) fn was_written(&mut self, update: ConditionUpdate, change: Change, now: Time) {
        match update.condition {
            ConditionType::Admitted => self.admitted = Some(update.written(change, self.admitted.as_ref(), now)),
            ConditionType::Preempted => {
                self.preempted = Some(Box::new(update.written(change, self.preempted.as_deref(), now)));
            }
            ConditionType::Refused => {}
        }
    }

    /// Keeps what this leader knows better than the watch, which may bring a version from before its own write.
    pub(crate) fn keep_own_writes(&mut self, before: &Self) {
        self.condition_written = before.condition_written;
        let same = match (&before.admitted, &self.admitted) {
            (Some(before), Some(now)) => before.says_the_same_as(now),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same && before.waits() == self.waits() {
            self.admitted.clone_from(&before.admitted);
        }
    }

    /// Whether this version shows that the scheduler worked since the version before it.
    #[must_use]
    pub(crate) fn shows_progress_since(&self, before: &Self) -> bool {
        (!before.placed() && self.placed()) || (before.verdict != self.verdict && self.verdict.is_some())
    }

    /// The pod as budgets see it, if it runs.
    #[must_use]
    pub(crate) fn covered(&self, uid: Uid) -> Option<Covered<'_>> {
        let labels = self.labels.as_deref()?;
        Some(Covered { uid, namespace: &self.target.namespace, labels })
    }
}

impl Gang {
    /// The gang that a pod announces.
    #[must_use]
    pub(crate) fn of(pod: &Pod) -> Option<Self> {
        let gang = pod.gang.as_ref()?;
        Some(Self { name: NamespacedName::new(&*gang.gang.namespace, &*gang.gang.name), size: gang.size })
    }
}

/// All managed pods, and which gang each belongs to.
#[derive(Debug, Default)]
pub(crate) struct PodCache {
    by_uid: HashMap<Uid, PodState>,
    gangs: BTreeMap<NamespacedName, BTreeSet<Uid>>,
}

impl PodCache {
    /// Remembers a pod; returns what was remembered before, and what is now.
    pub(crate) fn insert(&mut self, uid: Uid, state: PodState) -> (Option<PodState>, &PodState) {
        let before = self.remove(uid);
        if let Some(gang) = &state.gang {
            self.gangs.entry(gang.name.clone()).or_default().insert(uid);
        }
        (before, self.by_uid.entry(uid).insert_entry(state).into_mut())
    }

    /// Forgets a pod and returns what was remembered.
    pub(crate) fn remove(&mut self, uid: Uid) -> Option<PodState> {
        let state = self.by_uid.remove(&uid)?;
        if let Some(gang) = &state.gang
            && let Some(members) = self.gangs.get_mut(&gang.name)
        {
            members.remove(&uid);
            if members.is_empty() {
                self.gangs.remove(&gang.name);
            }
        }
        Some(state)
    }

    /// A pod.
    #[must_use]
    pub(crate) fn get(&self, uid: Uid) -> Option<&PodState> {
        self.by_uid.get(&uid)
    }

    /// A pod, to note what was written.
    pub(crate) fn get_mut(&mut self, uid: Uid) -> Option<&mut PodState> {
        self.by_uid.get_mut(&uid)
    }

    /// The members of a gang.
    pub(crate) fn members(&self, gang: &NamespacedName) -> impl Iterator<Item = &PodState> {
        self.gangs.get(gang).into_iter().flatten().filter_map(|uid| self.by_uid.get(uid))
    }

    /// All pods.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Uid, &PodState)> {
        self.by_uid.iter().map(|(&uid, state)| (uid, state))
    }
}
