//! What is remembered of each managed pod beside what the queue knows: where to write and what was written.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod as Written, PodCondition};
use kube::ResourceExt;
use weir_api::{condition, names};
use weir_queue::{Phase, Pod, Time, Uid};

use crate::client::{Change, ConditionUpdate, Target, gates};
use crate::convert::pod::Interner;
use crate::convert::time;
use crate::watch::budgets::{Covered, Labels};

/// A managed pod.
#[derive(Clone, Debug)]
pub struct PodState {
    /// Where to write.
    pub target: Target,
    /// Its pool.
    pub pool: Arc<str>,
    /// Namespace and name of its gang.
    pub gang: Option<(String, String)>,
    /// How many members its gang announces.
    pub size: u32,
    /// When it was created.
    pub created: Time,
    /// Whether it waits.
    pub waits: bool,
    /// Whether it has a node.
    pub placed: bool,
    /// Status and reason of its condition, as they stand on it.
    pub told: Option<(bool, String)>,
    /// What its condition says.
    pub message: String,
    /// Since when it has the status that it has.
    pub since: Time,
    /// When its condition was written last, as far as this leader knows.
    pub said: Time,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// What its condition of eviction says: status, reason and sentence.
    pub preempted: Option<Box<(bool, String, String)>>,
    /// The UID of its controller.
    pub owner: Option<Uid>,
    /// What the scheduler said of it, as a number that changes with the words; 0 where it said nothing.
    pub verdict: u64,
    /// Its labels, while it runs: budgets select by them.
    pub labels: Option<Labels>,
    /// The label does not say what the pool is.
    pub mislabelled: bool,
}

/// The scheduler's reason on a pod for which it finds no node.
const UNSCHEDULABLE: &str = "Unschedulable";

/// A number that changes with what a condition says.
fn hash(condition: &PodCondition) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&condition.message, &condition.last_transition_time.as_ref().map(|moment| moment.0)).hash(&mut hasher);
    hasher.finish().max(1)
}

/// All managed pods, and who belongs to which gang.
#[derive(Debug, Default)]
pub struct PodCache {
    by_uid: HashMap<Uid, PodState>,
    gangs: BTreeMap<(String, String), BTreeSet<Uid>>,
}

impl PodState {
    /// What is remembered of a pod.
    #[must_use]
    pub fn of(written: &Written, pod: &Pod, interner: &mut Interner) -> Self {
        let status = written.status.as_ref();
        let conditions = || status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let told = conditions().find(|one| one.type_ == condition::ADMITTED);
        let preempted = conditions().find(|one| one.type_ == condition::PREEMPTED);
        let (waits, placed, terminating) = match &pod.phase {
            Phase::Waiting => (true, false, false),
            Phase::Admitted(admitted) => (false, admitted.node.is_some(), admitted.terminating),
        };
        let runs = status.and_then(|status| status.phase.as_deref()) == Some("Running");
        let owner = written.owner_references().iter().find(|owner| owner.controller == Some(true));
        let (gang, size) = Self::gang_of(pod);
        Self {
            target: Target {
                namespace: written.namespace().unwrap_or_default(),
                name: written.name_any(),
                uid: written.metadata.uid.clone().unwrap_or_default(),
                version: written.metadata.resource_version.clone().unwrap_or_default(),
                gates: gates(written),
            },
            pool: Arc::clone(&pod.pool),
            gang,
            size,
            created: pod.created,
            waits,
            placed,
            told: told.map(|told| (told.status == "True", told.reason.clone().unwrap_or_default())),
            message: told.and_then(|told| told.message.clone()).unwrap_or_default(),
            since: told.and_then(|told| told.last_transition_time.as_ref()).map_or(pod.created, time),
            said: Time::ZERO,
            terminating,
            preempted: preempted.map(|it| {
                let (reason, message) = (it.reason.clone(), it.message.clone());
                Box::new((it.status == "True", reason.unwrap_or_default(), message.unwrap_or_default()))
            }),
            owner: owner.and_then(|owner| owner.uid.parse().ok()),
            verdict: conditions().find(|one| one.reason.as_deref() == Some(UNSCHEDULABLE)).map_or(0, hash),
            labels: runs.then(|| {
                let labels = written.labels().iter();
                labels.map(|(key, value)| (interner.name(key), interner.name(value))).collect()
            }),
            mislabelled: waits && written.labels().get(names::POOL).map(String::as_str) != Some(&*pod.pool),
        }
    }
}

impl PodState {
    /// How a condition relates to the one that stands on the pod; nothing where it says the same.
    #[must_use]
    pub fn change(&self, update: &ConditionUpdate) -> Option<Change> {
        let stands = match update.condition {
            condition::PREEMPTED => self.preempted.as_deref().map(|(yes, reason, message)| (*yes, reason, message)),
            _ => self.told.as_ref().map(|(yes, reason)| (*yes, reason, &self.message)),
        };
        match stands {
            None => Some(Change::Transition),
            Some((yes, _, _)) if yes != (update.status == "True") => Some(Change::Transition),
            Some((_, reason, _)) if reason != update.reason => Some(Change::Reason),
            Some((_, _, message)) => (*message != update.message).then_some(Change::Message),
        }
    }

    /// Notes what was written at this moment.
    pub fn condition_written(&mut self, update: ConditionUpdate, change: Change, now: Time) {
        let ConditionUpdate { condition, status, reason, message } = update;
        match condition {
            condition::PREEMPTED => self.preempted = Some(Box::new((status == "True", reason.to_owned(), message))),
            _ => {
                (self.told, self.message) = (Some((status == "True", reason.to_owned())), message);
                self.since = if change == Change::Transition { now } else { self.since };
            }
        }
    }

    /// The pod as budgets see it, if it runs.
    #[must_use]
    pub fn covered(&self, uid: Uid) -> Option<Covered<'_>> {
        let labels = self.labels.as_deref()?;
        Some(Covered { uid, namespace: &self.target.namespace, labels })
    }

    /// Namespace and name of a pod's gang, and how many members it announces.
    #[must_use]
    pub fn gang_of(pod: &Pod) -> (Option<(String, String)>, u32) {
        let gang = pod.gang.as_ref();
        let name = gang.map(|gang| (gang.gang.namespace.clone(), gang.gang.name.clone()));
        (name, gang.map_or(0, |gang| gang.size))
    }
}

impl PodCache {
    /// Remembers a pod and returns what was remembered before.
    pub fn insert(&mut self, uid: Uid, known: PodState) -> Option<PodState> {
        let before = self.remove(uid);
        if let Some(gang) = &known.gang {
            self.gangs.entry(gang.clone()).or_default().insert(uid);
        }
        self.by_uid.insert(uid, known);
        before
    }

    /// Forgets a pod and returns what was remembered.
    pub fn remove(&mut self, uid: Uid) -> Option<PodState> {
        let known = self.by_uid.remove(&uid)?;
        if let Some(gang) = &known.gang
            && let Some(members) = self.gangs.get_mut(gang)
        {
            members.remove(&uid);
            if members.is_empty() {
                self.gangs.remove(gang);
            }
        }
        Some(known)
    }

    /// A pod.
    #[must_use]
    pub fn get(&self, uid: Uid) -> Option<&PodState> {
        self.by_uid.get(&uid)
    }

    /// A pod, to note what was written.
    pub fn get_mut(&mut self, uid: Uid) -> Option<&mut PodState> {
        self.by_uid.get_mut(&uid)
    }

    /// The members of a gang.
    pub fn members(&self, gang: &(String, String)) -> impl Iterator<Item = &PodState> {
        self.gangs.get(gang).into_iter().flatten().filter_map(|uid| self.by_uid.get(uid))
    }

    /// All gangs.
    pub fn gangs(&self) -> impl Iterator<Item = &(String, String)> {
        self.gangs.keys()
    }

    /// All pods.
    pub fn iter(&self) -> impl Iterator<Item = (Uid, &PodState)> {
        self.by_uid.iter().map(|(&uid, known)| (uid, known))
    }
}
