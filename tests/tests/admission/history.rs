//! Everything that the API server's watches told from the start of a world, in the order in which it happened,
//! and the judgement of it.
//!
//! Pods, pools, rounds, gangs and events come over watches without a common order, but all objects of one store
//! share one counter of revisions, and by that they are put in order. The judge is the one of `make run`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use tokio::sync::watch;
use weir_api::{AdmissionRound, Gang, ResourcePool};
use weir_checker::{Checker, Violation, is_evicted, promises, says_why};

/// How long anything may take that is waited for; it only decides how long a failure takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The models that have dimensions of their own in these tests.
const SPECIAL: [&str; 3] = ["SPECIAL", "G3", "V100M32"];

/// One thing that a watch told.
#[derive(Clone, Debug)]
pub(crate) enum WatchEvent {
    Pod(Box<Pod>),
    PodGone(Box<Pod>),
    Pool(Box<ResourcePool>),
    PoolGone(Box<ResourcePool>),
    Round(Box<AdmissionRound>),
    Gang(Box<Gang>),
    GangGone(Box<Gang>),
    Event(Box<Event>),
    /// All that was there when a watch began is told.
    Begun,
}

/// What was told, and how things are now, by namespace and name.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) pods: BTreeMap<(String, String), Pod>,
    pub(crate) pools: BTreeMap<String, ResourcePool>,
    pub(crate) gangs: BTreeMap<(String, String), Gang>,
    pub(crate) events: Vec<Event>,
    pub(crate) round: Option<AdmissionRound>,
    told: Vec<(u64, WatchEvent)>,
    begun: usize,
}

/// The watches of a world.
#[derive(Clone, Debug)]
pub(crate) struct History(watch::Receiver<Record>);

impl History {
    /// Begins to watch and returns when it is known what was there before.
    pub(crate) async fn begin(client: &Client) -> Self {
        let mut all = stream::select_all([
            told(client, WatchEvent::of(WatchEvent::Pod, WatchEvent::PodGone)),
            told(client, WatchEvent::of(WatchEvent::Pool, WatchEvent::PoolGone)),
            told(client, WatchEvent::of(WatchEvent::Round, WatchEvent::Round)),
            told(client, WatchEvent::of(WatchEvent::Gang, WatchEvent::GangGone)),
            // An event that expired happened all the same.
            told(client, WatchEvent::of(WatchEvent::Event, |_| WatchEvent::Begun)),
        ]);
        let (tell, mut record) = watch::channel(Record::default());
        tokio::spawn(async move {
            while let Some(next) = all.next().await {
                tell.send_modify(|record| record.take(next));
            }
        });
        record.wait_for(|record| record.begun >= 5).await.unwrap();
        Self(record)
    }

    /// Returns what `find` finds, as soon as it is there; nothing if that takes too long.
    pub(crate) async fn until<T>(&self, mut find: impl FnMut(&Record) -> Option<T>) -> Option<T> {
        let mut found = None;
        let mut record = self.0.clone();
        let wait = record.wait_for(|record| {
            found = find(record);
            found.is_some()
        });
        let in_time = tokio::time::timeout(PATIENCE, wait).await.is_ok();
        found.filter(|_| in_time)
    }

    /// What there is now.
    pub(crate) fn now<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.0.borrow())
    }
}

/// What a watch over all objects of a kind tells.
fn told<K>(
    client: &Client,
    of: impl Fn(watcher::Event<K>) -> Option<WatchEvent> + Send + 'static,
) -> stream::BoxStream<'static, WatchEvent>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    // Errors are the watcher's own to mend: it comes back with a new list.
    let events = watcher(Api::<K>::all(client.clone()), weir_local::every_state()).default_backoff();
    events.filter_map(move |event| futures::future::ready(event.ok().and_then(&of))).boxed()
}

impl WatchEvent {
    fn of<K>(seen: fn(Box<K>) -> Self, gone: fn(Box<K>) -> Self) -> impl Fn(watcher::Event<K>) -> Option<Self> {
        move |event| match event {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => Some(seen(Box::new(object))),
            watcher::Event::Delete(object) => Some(gone(Box::new(object))),
            watcher::Event::InitDone => Some(Self::Begun),
            watcher::Event::Init => None,
        }
    }

    /// The revision of the store at which it became so.
    fn revision(&self) -> u64 {
        let meta = match self {
            Self::Pod(pod) | Self::PodGone(pod) => pod.meta(),
            Self::Pool(pool) | Self::PoolGone(pool) => pool.meta(),
            Self::Round(round) => round.meta(),
            Self::Gang(gang) | Self::GangGone(gang) => gang.meta(),
            Self::Event(event) => event.meta(),
            Self::Begun => return 0,
        };
        meta.resource_version.as_ref().and_then(|version| version.parse().ok()).unwrap_or(0)
    }
}

impl Record {
    fn take(&mut self, told: WatchEvent) {
        fn key<K: Resource>(object: &K) -> (String, String) {
            (object.namespace().unwrap_or_default(), object.name_any())
        }
        match &told {
            WatchEvent::Pod(pod) => drop(self.pods.insert(key(&**pod), (**pod).clone())),
            WatchEvent::PodGone(pod) => drop(self.pods.remove(&key(&**pod))),
            WatchEvent::Pool(pool) => drop(self.pools.insert(pool.name_any(), (**pool).clone())),
            WatchEvent::PoolGone(pool) => drop(self.pools.remove(&pool.name_any())),
            WatchEvent::Round(round) => self.round = Some((**round).clone()),
            WatchEvent::Gang(gang) => drop(self.gangs.insert(key(&**gang), (**gang).clone())),
            WatchEvent::GangGone(gang) => drop(self.gangs.remove(&key(&**gang))),
            WatchEvent::Event(event) => self.events.push((**event).clone()),
            WatchEvent::Begun => return self.begun += 1,
        }
        self.told.push((told.revision(), told));
    }

    /// Every pod as it was at each of its changes, the last first.
    pub(crate) fn past(&self) -> impl Iterator<Item = &Pod> {
        self.told.iter().rev().filter_map(|(_, told)| match told {
            WatchEvent::Pod(pod) => Some(&**pod),
            _ => None,
        })
    }

    /// What was broken by the pods and gangs of a namespace, or of all, if nothing more is told. Something earlier
    /// may be told later, by another watch, and what looks broken without it is not: only what stays is a breach.
    pub(crate) fn broken(&self, namespace: Option<&str>) -> Vec<String> {
        let mut checker = Checker::new(promises::of_admission(&SPECIAL));
        let mut told: Vec<&(u64, WatchEvent)> = self.told.iter().collect();
        told.sort_by_key(|(revision, _)| *revision);
        let (mut broken, mut recorded) = (Vec::new(), BTreeSet::new());
        let (mut victims, mut evicted) = (BTreeSet::new(), BTreeSet::new());
        for (_, told) in told {
            match told {
                WatchEvent::Pod(pod) => {
                    broken.extend(checker.pod_seen(pod));
                    broken.extend(unrecorded(pod, &recorded));
                    broken.extend(too_early(pod));
                    if is_evicted(pod) && evicted.insert(pod.uid().unwrap_or_default()) {
                        broken.extend(unannounced(pod, &victims));
                    }
                }
                WatchEvent::PodGone(pod) => checker.pod_gone(pod),
                WatchEvent::Pool(pool) => checker.pool_seen(pool),
                WatchEvent::Round(round) => {
                    recorded.extend(round.spec.admissions.iter().map(|admission| admission.uid.clone()));
                    victims.extend(round.spec.victims.iter().map(|victim| victim.uid.clone()));
                    checker.round_seen(round);
                }
                WatchEvent::PoolGone(_)
                | WatchEvent::Gang(_)
                | WatchEvent::GangGone(_)
                | WatchEvent::Event(_)
                | WatchEvent::Begun => {}
            }
        }
        let ours = |one: &Violation| namespace.is_none_or(|namespace| one.pod.split('/').next() == Some(namespace));
        broken.extend(checker.settled());
        broken.iter().filter(|one| ours(one)).map(ToString::to_string).collect()
    }
}

/// In one order it can be said more strictly than `make run` can: recorded before, not at some time.
fn unrecorded(pod: &Pod, recorded: &BTreeSet<String>) -> Option<Violation> {
    let by_sidecar = ["WithinEntitlement", "OnLoan", "Replacement", "NotEnforced"];
    let grounds = pod.annotations().get("weir.dev/admitted-as")?;
    let known = pod.metadata.uid.as_ref().is_some_and(|uid| recorded.contains(uid));
    (by_sidecar.contains(&grounds.as_str()) && !known).then(|| Violation {
        invariant: "B5a",
        pod: format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()),
        node: String::new(),
        sentence: "its gate went before it stood in the AdmissionRound".to_owned(),
    })
}

/// Nobody reads that a pod is admitted while its gate is there.
fn too_early(pod: &Pod) -> Option<Violation> {
    let says = crate::namespace::condition(pod).is_some_and(|(yes, _, _)| yes == "True");
    (says && crate::namespace::is_gated(pod)).then(|| Violation {
        invariant: "B8",
        pod: format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()),
        node: String::new(),
        sentence: "its condition says that it is admitted, and its gate is there".to_owned(),
    })
}

/// Nobody else evicts here: every eviction was recorded and said why, before.
fn unannounced(pod: &Pod, victims: &BTreeSet<String>) -> Option<Violation> {
    let known = pod.metadata.uid.as_ref().is_some_and(|uid| victims.contains(uid));
    let sentence = match () {
        () if !known => "it was evicted before it stood in the AdmissionRound",
        () if !says_why(pod) => "it was evicted, and no condition said why before",
        () => return None,
    };
    let pod = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
    Some(Violation { invariant: "C4", pod, node: String::new(), sentence: sentence.to_owned() })
}
