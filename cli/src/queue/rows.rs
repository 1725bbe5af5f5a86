//! From Pod objects to queues.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde::Serialize;
use weir_api::pod::AnnouncedGang;
use weir_api::requests::{Amounts, by_dimension};
use weir_api::{Gang, PodInfo};
use weir_model::Amount;

use crate::amounts::add;
use crate::gangs::Gangs;

/// Every queue, by pool.
#[derive(Debug, Serialize)]
pub(crate) struct Queues {
    pub(crate) queues: Vec<Queue>,
}

/// Who waits in one pool.
#[derive(Debug, Serialize)]
pub(crate) struct Queue {
    pub(crate) pool: String,
    /// The next first.
    pub(crate) waiting: Vec<Entry>,
}

/// A pod or a gang that waits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Entry {
    /// From 1.
    pub(crate) position: usize,
    pub(crate) namespace: String,
    /// The pod, or the gang.
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gang: Option<Progress>,
    pub(crate) priority: i32,
    pub(crate) preemptible: bool,
    /// Together, by dimension, in base units.
    #[serde(serialize_with = "units")]
    pub(crate) asks: Amounts,
    /// When the first of them was created.
    #[serde(serialize_with = "time")]
    pub(crate) created: Timestamp,
    /// Why it waits; `None` where nobody has said so yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The same in numbers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) message: String,
}

/// How far a gang has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Progress {
    /// Members that there are.
    pub(crate) created: u64,
    /// Members that belong together.
    pub(crate) size: u64,
    /// Members whose gate is gone: more than 0 where one waits to take the place of another.
    pub(crate) admitted: u64,
    /// Members that have a node.
    pub(crate) placed: u64,
}

impl Progress {
    /// What the object says, or else what the members that wait say.
    fn of(object: Option<&Gang>, waiting: &[&Pod]) -> Option<Self> {
        let count = |number: i32| u64::try_from(number).unwrap_or(0);
        let Some(gang) = object else {
            let AnnouncedGang { name: _, size } = PodInfo::of(waiting.first()?).gang()?;
            return Some(Self { created: waiting.len() as u64, size: size.into(), admitted: 0, placed: 0 });
        };
        let status = gang.status.clone().unwrap_or_default();
        Some(Self {
            created: count(status.created),
            size: count(gang.spec.size),
            admitted: count(status.admitted),
            placed: count(status.placed),
        })
    }
}

fn units<S: serde::Serializer>(amounts: &Amounts, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(amounts.iter().map(|(dimension, amount): (&String, &Amount)| (dimension, amount.units())))
}

fn time<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// Pods that go together: by namespace and gang, or by the UID of one that stands alone.
type Units<'a> = BTreeMap<(String, Option<&'a str>), Vec<&'a Pod>>;

/// What decides the place: the highest priority, the earliest creation, the UID.
type Place = (Reverse<i32>, Timestamp, String);

impl Queues {
    /// The queues that the pods make; those that do not wait for admission are in none.
    pub(crate) fn of(pods: &[Pod], gangs: &Gangs, special: &BTreeSet<String>) -> Self {
        let mut queues: BTreeMap<&str, Units<'_>> = BTreeMap::new();
        for pod in pods {
            let said = PodInfo::of(pod);
            let Some(pool) = said.pool().filter(|_| said.waits()) else { continue };
            let unit = match gangs.name_of(pod) {
                Some(gang) => (pod.namespace().unwrap_or_default(), Some(gang)),
                None => (pod.uid().unwrap_or_else(|| said.full_name()), None),
            };
            queues.entry(pool).or_default().entry(unit).or_default().push(pod);
        }
        let queue = |(pool, units): (&str, Units<'_>)| {
            let mut waiting: Vec<(Place, Entry)> =
                units.into_values().filter_map(|pods| entry(pods, gangs, special)).collect();
            waiting.sort_by(|(a, _), (b, _)| a.cmp(b));
            let numbered = waiting.into_iter().zip(1..).map(|((_, entry), position)| Entry { position, ..entry });
            Queue { pool: pool.to_owned(), waiting: numbered.collect() }
        };
        Self { queues: queues.into_iter().map(queue).collect() }
    }

    /// Keeps those of one namespace, with the places that they have among all.
    pub(crate) fn keep(&mut self, namespace: &str) {
        self.queues.iter_mut().for_each(|queue| queue.waiting.retain(|entry| entry.namespace == namespace));
        self.queues.retain(|queue| !queue.waiting.is_empty());
    }
}

/// Pods that go together, with their place.
fn entry(mut pods: Vec<&Pod>, gangs: &Gangs, special: &BTreeSet<String>) -> Option<(Place, Entry)> {
    let place = |pod: &Pod| {
        let said = PodInfo::of(pod);
        (Reverse(said.priority()), said.created(), pod.uid().unwrap_or_default())
    };
    pods.sort_by_cached_key(|pod| place(pod));
    let first = *pods.first()?;
    let said = PodInfo::of(first);
    // All of a gang are told the same, some of them a moment later.
    let told =
        pods.iter().filter_map(|pod| PodInfo::of(pod).admitted()).max_by_key(|told| told.last_transition_time.clone());
    let (namespace, gang) = (first.namespace().unwrap_or_default(), gangs.name_of(first));
    let progress = gang.and_then(|gang| Progress::of(gangs.find(&namespace, gang), &pods));
    let mut asks = Amounts::new();
    pods.iter().for_each(|pod| add(&mut asks, by_dimension(pod, special)));
    let entry = Entry {
        position: 0,
        namespace,
        name: gang.map_or_else(|| first.name_any(), str::to_owned),
        gang: progress,
        priority: said.priority(),
        preemptible: said.preemptible(),
        asks,
        created: said.created(),
        reason: told.and_then(|told| told.reason.clone()),
        message: told.and_then(|told| told.message.clone()).unwrap_or_default(),
    };
    Some((place(first), entry))
}
