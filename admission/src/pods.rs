//! What is remembered of each managed pod beside what the queue knows: where to write and what was written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod as Written;
use kube::ResourceExt;
use weir_api::{condition, names};
use weir_queue::{Phase, Pod, Time, Uid};

use crate::writes::{Target, gates};

/// A managed pod.
#[derive(Clone, Debug)]
pub struct Known {
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
    /// When its condition was written last, as far as this leader knows.
    pub said: Time,
    /// The label does not say what the pool is.
    pub mislabelled: bool,
}

/// All managed pods, and who belongs to which gang.
#[derive(Debug, Default)]
pub struct Pods {
    by_uid: HashMap<Uid, Known>,
    gangs: BTreeMap<(String, String), BTreeSet<Uid>>,
}

impl Known {
    /// What is remembered of a pod.
    #[must_use]
    pub fn of(written: &Written, pod: &Pod) -> Self {
        let conditions = written.status.as_ref().and_then(|status| status.conditions.as_ref());
        let told = conditions.into_iter().flatten().find(|one| one.type_ == condition::ADMITTED);
        let (waits, placed) = match &pod.phase {
            Phase::Waiting => (true, false),
            Phase::Admitted(admitted) => (false, admitted.node.is_some()),
        };
        Self {
            target: Target {
                namespace: written.namespace().unwrap_or_default(),
                name: written.name_any(),
                uid: written.metadata.uid.clone().unwrap_or_default(),
                version: written.metadata.resource_version.clone().unwrap_or_default(),
                gates: gates(written),
            },
            pool: Arc::clone(&pod.pool),
            gang: pod.gang.as_ref().map(|membership| (membership.gang.namespace.clone(), membership.gang.name.clone())),
            size: pod.gang.as_ref().map_or(0, |membership| membership.size),
            created: pod.created,
            waits,
            placed,
            told: told.map(|told| (told.status == "True", told.reason.clone().unwrap_or_default())),
            message: told.and_then(|told| told.message.clone()).unwrap_or_default(),
            said: Time::ZERO,
            mislabelled: waits && written.labels().get(names::POOL).map(String::as_str) != Some(&*pod.pool),
        }
    }
}

impl Pods {
    /// Remembers a pod and returns what was remembered before.
    pub fn insert(&mut self, uid: Uid, known: Known) -> Option<Known> {
        let before = self.remove(uid);
        if let Some(gang) = &known.gang {
            self.gangs.entry(gang.clone()).or_default().insert(uid);
        }
        self.by_uid.insert(uid, known);
        before
    }

    /// Forgets a pod and returns what was remembered.
    pub fn remove(&mut self, uid: Uid) -> Option<Known> {
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
    pub fn get(&self, uid: Uid) -> Option<&Known> {
        self.by_uid.get(&uid)
    }

    /// A pod, to note what was written.
    pub fn get_mut(&mut self, uid: Uid) -> Option<&mut Known> {
        self.by_uid.get_mut(&uid)
    }

    /// The members of a gang.
    pub fn members(&self, gang: &(String, String)) -> impl Iterator<Item = &Known> {
        self.gangs.get(gang).into_iter().flatten().filter_map(|uid| self.by_uid.get(uid))
    }

    /// All gangs.
    pub fn gangs(&self) -> impl Iterator<Item = &(String, String)> {
        self.gangs.keys()
    }

    /// All pods.
    pub fn iter(&self) -> impl Iterator<Item = (Uid, &Known)> {
        self.by_uid.iter().map(|(&uid, known)| (uid, known))
    }
}
