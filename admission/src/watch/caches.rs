//! What this replica knows of the cluster beside pods and nodes: namespaces, pools, the list of special hardware. Every
//! replica watches it, because every replica answers the webhook.

use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Client};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use weir_api::ResourcePool;
use weir_api::pool::PoolDefaults;
use weir_placement::sku::SpecialHardware;

use crate::clock::Clock;
use crate::config::Config;
use crate::watch::hardware::{self, Aliases, Followed, Special};
use crate::watch::pod_groups::PodGroups;
use crate::watch::ray::RayClusters;
use crate::watch::schedulers::Schedulers;

/// What is known. Clones share it.
#[derive(Clone)]
pub struct Caches {
    client: Client,
    namespaces: Store<Namespace>,
    pools: Store<ResourcePool>,
    hardware: Store<ConfigMap>,
    special: Arc<Mutex<Followed>>,
    schedulers: Schedulers,
    groups: PodGroups,
    rays: RayClusters,
    changed: Arc<Notify>,
    clock: Clock,
}

impl Caches {
    /// Begins to watch; the tasks end with `tasks`.
    pub fn start(client: &Client, config: &Config, clock: Clock, tasks: &mut JoinSet<()>) -> Self {
        let changed = Arc::new(Notify::new());
        // The configuration was checked, so its label is one; without any, nothing is special.
        let none = hardware::none(&config.placement.model_label).unwrap_or_default();
        let (namespace, name) = config.placement.special_hardware.split_once('/').unwrap_or_default();
        let hardware = Api::<ConfigMap>::namespaced(client.clone(), namespace);
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        Self {
            namespaces: reflect(Api::all(client.clone()), watcher::Config::default(), tasks, &changed),
            pools: reflect(Api::all(client.clone()), watcher::Config::default(), tasks, &changed),
            hardware: reflect(hardware, only, tasks, &changed),
            special: Arc::new(Mutex::new(Followed::new(none))),
            schedulers: Schedulers::start(client, config, tasks, &changed),
            groups: PodGroups::start(client, tasks, &changed),
            rays: RayClusters::start(client, tasks),
            client: client.clone(),
            changed,
            clock,
        }
    }

    /// Waits until everything was listed once.
    pub async fn ready(&self) {
        // A store that can never be ready belongs to a task that ended, and then the program ends.
        let _ = self.namespaces.wait_until_ready().await;
        let _ = self.pools.wait_until_ready().await;
        let _ = self.hardware.wait_until_ready().await;
        self.rays.ready().await;
    }

    /// The RayClusters, whose changes are waited for by themselves.
    #[must_use]
    pub const fn rays(&self) -> &RayClusters {
        &self.rays
    }

    /// Waits until something changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A namespace; one that the watch has not brought yet is asked for.
    pub async fn namespace(&self, name: &str) -> Option<Arc<Namespace>> {
        if let Some(known) = self.namespaces.get(&ObjectRef::new(name)) {
            return Some(known);
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.get_opt(name).await.ok().flatten().map(Arc::new)
    }

    /// A namespace, as far as the watch has brought it.
    #[must_use]
    pub fn known_namespace(&self, name: &str) -> Option<Arc<Namespace>> {
        self.namespaces.get(&ObjectRef::new(name))
    }

    /// The namespaces that are known.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Arc<Namespace>> {
        self.namespaces.state()
    }

    /// The pools that are known.
    #[must_use]
    pub fn pools(&self) -> Vec<Arc<ResourcePool>> {
        self.pools.state()
    }

    /// The pool of this name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<Arc<ResourcePool>> {
        self.pools.get(&ObjectRef::new(name))
    }

    /// The defaults of a pool.
    #[must_use]
    pub fn defaults(&self, pool: &str) -> Option<PoolDefaults> {
        Some(self.pool(pool)?.spec.defaults.clone().unwrap_or_default())
    }

    /// The PodGroups of other schedulers.
    #[must_use]
    pub const fn groups(&self) -> &PodGroups {
        &self.groups
    }

    /// What the scheduler's replicas report.
    #[must_use]
    pub const fn schedulers(&self) -> &Schedulers {
        &self.schedulers
    }

    /// The special hardware, as of the list that the scheduler has in force.
    #[must_use]
    pub fn special(&self) -> Arc<SpecialHardware> {
        self.followed().list
    }

    /// The label values of nodes for other names of special hardware.
    #[must_use]
    pub fn aliases(&self) -> Arc<Aliases> {
        self.followed().aliases
    }

    fn followed(&self) -> Special {
        let now = (self.clock)().time;
        let (newest, in_force) = (self.hardware.state().pop(), self.schedulers.in_force(now));
        self.special.lock().unwrap_or_else(PoisonError::into_inner).follow(newest.as_deref(), in_force)
    }
}

/// A store that is kept up to date by a task. A watch that fails is begun again, with growing pauses.
fn reflect<K>(api: Api<K>, config: watcher::Config, tasks: &mut JoinSet<()>, changed: &Arc<Notify>) -> Store<K>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Default + Eq + std::hash::Hash + Clone + Send + Sync,
{
    let (store, writer) = reflector::store();
    let events = watcher(api, config).default_backoff().reflect(writer);
    tasks.spawn(follow(events, Arc::clone(changed)));
    store
}

async fn follow<K: kube::Resource>(events: impl Stream<Item = watcher::Result<watcher::Event<K>>>, changed: Arc<Notify>)
where
    K::DynamicType: Default,
{
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(_) => changed.notify_one(),
            Err(error) => {
                tracing::warn!(%error, kind = %K::kind(&K::DynamicType::default()), "watching failed; retrying")
            }
        }
    }
}
