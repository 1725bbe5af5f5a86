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

/// The pods and gangs that wait in one pool.
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
    /// The sum of all members' requests by dimension, in base units.
    #[serde(serialize_with = "units")]
    pub(crate) asks: Amounts,
    /// When its first pod was created.
    #[serde(serialize_with = "time")]
    pub(crate) created: Timestamp,
    /// Why it waits; `None` before the sidecar's first condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The sentence with the numbers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) message: String,
}

/// How far a gang has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Progress {
    /// Members that exist.
    pub(crate) created: u64,
    /// Members that it takes.
    pub(crate) size: u64,
    /// Members whose gate is gone: more than 0 where a member waits to replace another.
    pub(crate) admitted: u64,
    /// Members that have a node.
    pub(crate) placed: u64,
}

impl Progress {
    /// The counts in the Gang object, or else those of the waiting members.
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

/// Pods that are admitted together.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Unit<'a> {
    Gang {
        namespace: String,
        name: &'a str,
    },
    /// A pod of no gang, by its UID.
    Pod(String),
}

type Units<'a> = BTreeMap<Unit<'a>, Vec<&'a Pod>>;

/// The sort key of the queue: the highest priority first, then the earliest creation, then the UID.
type Place = (Reverse<i32>, Timestamp, String);

impl Queues {
    /// The queues that the pods make; a pod that does not wait for admission is in none.
    pub(crate) fn of(pods: &[Pod], gangs: &Gangs, special: &BTreeSet<String>) -> Self {
        let mut queues: BTreeMap<&str, Units<'_>> = BTreeMap::new();
        for pod in pods {
            let info = PodInfo::of(pod);
            let Some(pool) = info.pool().filter(|_| info.waits()) else { continue };
            let unit = match gangs.name_of(pod) {
                Some(name) => Unit::Gang { namespace: pod.namespace().unwrap_or_default(), name },
                None => Unit::Pod(pod.uid().unwrap_or_else(|| info.full_name())),
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

    /// Keeps the entries of one namespace, with their places among all.
    pub(crate) fn keep(&mut self, namespace: &str) {
        self.queues.iter_mut().for_each(|queue| queue.waiting.retain(|entry| entry.namespace == namespace));
        self.queues.retain(|queue| !queue.waiting.is_empty());
    }
}

/// The entry of pods that are admitted together, with its sort key.
fn entry(mut pods: Vec<&Pod>, gangs: &Gangs, special: &BTreeSet<String>) -> Option<(Place, Entry)> {
    let place = |pod: &Pod| {
        let info = PodInfo::of(pod);
        (Reverse(info.priority()), info.created(), pod.uid().unwrap_or_default())
    };
    pods.sort_by_cached_key(|pod| place(pod));
    let first = *pods.first()?;
    let info = PodInfo::of(first);
    // All members of a gang get the same condition, some of them a moment later.
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
        priority: info.priority(),
        preemptible: info.preemptible(),
        asks,
        created: info.created(),
        reason: told.and_then(|told| told.reason.clone()),
        message: told.and_then(|told| told.message.clone()).unwrap_or_default(),
    };
    Some((place(first), entry))
}
