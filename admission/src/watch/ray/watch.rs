//! The RayClusters, in clusters that have such a kind.
//!
//! Whether the kind is there is watched too, so that KubeRay may be installed, or removed, at any time; a
//! cluster without it is asked for nothing else. Of a RayCluster, which carries whole pod templates, only what
//! is needed is kept. A change of its status is no change here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::BoxStream;
use futures::{StreamExt, future};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use weir_api::names;
use weir_queue::Uid;

use super::needs::{Needs, needs};
use crate::convert::name::NamespacedName;
use crate::convert::pod::uid;

/// The name of the kind's definition.
const DEFINITION: &str = "rayclusters.ray.io";

/// What is known of a RayCluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RayCluster {
    /// Its UID.
    pub uid: Uid,
    /// What it needs, or why its pods wait whatever it needs.
    pub needs: Result<Needs, String>,
    /// The RayJob that it was made for.
    pub job: Option<String>,
}

/// The RayClusters that are known. Clones share them.
#[derive(Clone)]
pub struct RayClusters {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    listed: watch::Receiver<bool>,
}

#[derive(Debug, Default)]
struct State {
    known: BTreeMap<NamespacedName, Arc<RayCluster>>,
    /// The list that is under way.
    listing: BTreeMap<NamespacedName, Arc<RayCluster>>,
    changed: BTreeSet<NamespacedName>,
}

type Clusters = BoxStream<'static, watcher::Result<Event<DynamicObject>>>;

impl RayClusters {
    /// Begins to watch; the task ends with `tasks`.
    pub fn start(client: &Client, tasks: &mut JoinSet<()>) -> Self {
        let (tell, listed) = watch::channel(false);
        let clusters = Self { state: Arc::default(), changed: Arc::new(Notify::new()), listed };
        tasks.spawn(clusters.clone().follow(client.clone(), tell));
        clusters
    }

    /// Waits until they were listed once, or it is known that there are none or that they may not be listed.
    pub async fn ready(&self) {
        // The sender ends with the program.
        let _ = self.listed.clone().wait_for(|listed| *listed).await;
    }

    /// Waits until one of them changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Those that changed since this was asked before.
    #[must_use]
    pub fn take_changed(&self) -> BTreeSet<NamespacedName> {
        self.with(|state| std::mem::take(&mut state.changed))
    }

    /// The RayCluster of a name.
    #[must_use]
    pub fn get(&self, key: &NamespacedName) -> Option<Arc<RayCluster>> {
        self.with(|state| state.known.get(key).cloned())
    }

    async fn follow(self, client: Client, tell: watch::Sender<bool>) {
        let definitions: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(client.clone());
        let only = watcher::Config::default().fields(&format!("metadata.name={DEFINITION}"));
        let mut kinds = std::pin::pin!(watcher(definitions, only).default_backoff());
        let mut listed = false;
        let mut clusters: Option<Clusters> = None;
        loop {
            let known = tokio::select! {
                Some(event) = kinds.next() => match event.map(|event| is_there(&event, &mut listed)) {
                    Ok(Some(true)) => {
                        clusters = clusters.or_else(|| Some(watch_clusters(client.clone())));
                        false
                    }
                    Ok(Some(false)) => {
                        clusters = None;
                        self.replace(BTreeMap::new());
                        true
                    }
                    Ok(None) => false,
                    Err(error) => failed(DEFINITION, &error),
                },
                event = next(&mut clusters) => match event {
                    Ok(event) => self.take(event),
                    Err(error) => failed("RayCluster", &error),
                },
            };
            if known {
                tell.send_replace(true);
            }
        }
    }

    /// Takes in what happened to RayClusters; whether all of them are known now.
    fn take(&self, event: Event<DynamicObject>) -> bool {
        let key = |object: &DynamicObject| NamespacedName::of(object);
        match event {
            Event::Init => self.with(|state| state.listing.clear()),
            Event::InitApply(object) => {
                let cluster = read(&object);
                self.with(|state| state.listing.extend(cluster.map(|cluster| (key(&object), Arc::new(cluster)))));
            }
            Event::InitDone => {
                let listed = self.with(|state| std::mem::take(&mut state.listing));
                self.replace(listed);
                return true;
            }
            Event::Apply(object) => self.set(key(&object), read(&object)),
            Event::Delete(object) => self.set(key(&object), None),
        }
        false
    }

    fn set(&self, key: NamespacedName, cluster: Option<RayCluster>) {
        let changed = self.with(|state| {
            if state.known.get(&key).map(Arc::as_ref) == cluster.as_ref() {
                return false;
            }
            match cluster {
                Some(cluster) => drop(state.known.insert(key.clone(), Arc::new(cluster))),
                None => drop(state.known.remove(&key)),
            }
            state.changed.insert(key)
        });
        if changed {
            self.changed.notify_one();
        }
    }

    fn replace(&self, listed: BTreeMap<NamespacedName, Arc<RayCluster>>) {
        let gone: Vec<NamespacedName> =
            self.with(|state| state.known.keys().filter(|key| !listed.contains_key(*key)).cloned().collect());
        gone.into_iter().for_each(|key| self.set(key, None));
        listed.into_iter().for_each(|(key, cluster)| self.set(key, Some(Arc::unwrap_or_clone(cluster))));
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether the kind is there, as far as this event says so; `listed` is whether a list under way has it.
fn is_there<K>(event: &Event<K>, listed: &mut bool) -> Option<bool> {
    match event {
        Event::Init => *listed = false,
        Event::InitApply(_) => *listed = true,
        Event::InitDone => return Some(*listed),
        Event::Apply(_) => return Some(true),
        Event::Delete(_) => return Some(false),
    }
    None
}

/// Logs a failure and counts the kind as known: where RayClusters may not be listed, their pods are gated and say so.
fn failed(kind: &str, error: &watcher::Error) -> bool {
    tracing::warn!(%error, kind, "watching failed; retrying");
    true
}

fn watch_clusters(client: Client) -> Clusters {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("ray.io", "v1", "RayCluster"));
    watcher(Api::all_with(client, &kind), watcher::Config::default()).default_backoff().boxed()
}

/// The next event, where there is something to watch; none for ever otherwise.
async fn next(clusters: &mut Option<Clusters>) -> watcher::Result<Event<DynamicObject>> {
    match clusters {
        Some(clusters) => match clusters.next().await {
            Some(event) => event,
            None => future::pending().await,
        },
        None => future::pending().await,
    }
}

/// What is kept of a RayCluster.
fn read(object: &DynamicObject) -> Option<RayCluster> {
    let spec = &object.data["spec"];
    let needs = match () {
        () if object.metadata.deletion_timestamp.is_some() => Err("is being deleted".to_owned()),
        () if spec["suspend"].as_bool() == Some(true) => Err("is suspended (spec.suspend)".to_owned()),
        () => needs(spec),
    };
    let label = |key: &str| object.labels().get(key).filter(|value| !value.is_empty()).cloned();
    let by_job = label(names::RAY_ORIGIN_KIND).is_some_and(|kind| kind == names::RAY_JOB_KIND);
    Some(RayCluster { uid: uid(&object.metadata)?, needs, job: label(names::RAY_ORIGIN).filter(|_| by_job) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, change: serde_json::Value) -> DynamicObject {
        let mut object = json!({ "apiVersion": "ray.io/v1", "kind": "RayCluster",
            "metadata": { "namespace": "team", "name": name, "uid": "0b7a6d1c-9b8e-4c55-8f3e-2d1f0a9c7e61" },
            "spec": { "workerGroupSpecs": [{ "groupName": "gpu", "replicas": 2 }] } });
        json_patch::merge(&mut object, &change);
        serde_json::from_value(object).unwrap()
    }

    fn clusters() -> RayClusters {
        let (_, listed) = watch::channel(true);
        RayClusters { state: Arc::default(), changed: Arc::new(Notify::new()), listed }
    }

    fn keys(names: &[&str]) -> BTreeSet<NamespacedName> {
        names.iter().map(|name| NamespacedName::new("team", *name)).collect()
    }

    #[test]
    fn a_change_of_its_status_is_no_change() {
        let clusters = clusters();
        clusters.take(Event::Apply(object("a", json!({}))));
        assert_eq!(clusters.take_changed(), keys(&["a"]));
        clusters.take(Event::Apply(object("a", json!({ "status": { "state": "ready" } }))));
        assert_eq!(clusters.take_changed(), keys(&[]));
        clusters.take(Event::Apply(object("a", json!({ "spec": { "workerGroupSpecs": [{ "replicas": 3 }] } }))));
        assert_eq!(clusters.take_changed(), keys(&["a"]));
        clusters.take(Event::Delete(object("a", json!({}))));
        assert_eq!((clusters.take_changed(), clusters.get(&NamespacedName::new("team", "a"))), (keys(&["a"]), None));
    }

    #[test]
    fn a_list_takes_the_place_of_what_was_known_and_tells_what_differs() {
        let clusters = clusters();
        for name in ["same", "gone"] {
            clusters.take(Event::Apply(object(name, json!({}))));
        }
        let _ = clusters.take_changed();
        clusters.take(Event::Init);
        for name in ["same", "new"] {
            clusters.take(Event::InitApply(object(name, json!({}))));
        }
        assert!(clusters.get(&NamespacedName::new("team", "gone")).is_some(), "the list is not complete yet");
        clusters.take(Event::InitDone);
        assert_eq!(clusters.take_changed(), keys(&["gone", "new"]));
    }

    #[test]
    fn one_that_is_suspended_or_deleted_says_so_and_one_of_a_job_names_it() {
        let read = |change| read(&object("a", change)).unwrap();
        assert_eq!(read(json!({ "spec": { "suspend": true } })).needs, Err("is suspended (spec.suspend)".into()));
        let deleted = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
        assert_eq!(read(deleted).needs, Err("is being deleted".into()));
        let origin = |kind: &str| {
            let labels = json!({ "ray.io/originated-from-cr-name": "nightly", "ray.io/originated-from-crd": kind });
            read(json!({ "metadata": { "labels": labels } })).job
        };
        assert_eq!(origin("RayJob").as_deref(), Some("nightly"));
        assert_eq!(origin("RayService"), None);
        assert_eq!(read(json!({})).job, None);
    }
}
