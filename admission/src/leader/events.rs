//! What the watches bring, passed on to each owner of a part of the term's state.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use weir_queue::{Event, Uid};

use super::eviction::backoff;
use super::gates::finishing;
use super::pod_event::{PodEvent, PodSeen};
use super::resync::Resync;
use super::status::OverIn;
use super::term::{Term, queue_config};
use super::watch_state::pod_cache::PodState;
use super::watch_state::read_by::ReadBy;
use super::watch_state::state::{Lookups, ReadAgain};
use crate::clock::Now;
use crate::convert::name::NamespacedName;
use crate::convert::pod::{ManagedPod, PodClass, uid};
use crate::convert::{metadata, pool, time};

/// How long to wait after the pods of a namespace could not be listed.
const RETRY: Duration = Duration::from_secs(5);

/// How many pods one page of a list has.
const PAGE: u32 = 500;

impl Term<'_> {
    /// Takes in what happened to pods; whether there is something to decide.
    pub(super) async fn on_pod_event(&mut self, event: watcher::Result<watcher::Event<Pod>>) -> bool {
        match event {
            Ok(watcher::Event::Init) => {
                if self.started {
                    self.context.metrics.resync("Pod");
                    tracing::info!("the watch of pods broke; listing pods again");
                }
                self.watch.begin_pod_list();
            }
            Ok(watcher::Event::InitApply(pod) | watcher::Event::Apply(pod)) => self.on_pod(&pod).await,
            Ok(watcher::Event::InitDone) => self.on_pods_listed(),
            Ok(watcher::Event::Delete(pod)) => {
                if let Some(uid) = uid(&pod.metadata) {
                    self.on_gone(uid, Event::PodGone(uid));
                }
            }
            Err(error) => return failed("Pod", &error),
        }
        true
    }

    async fn on_pod(&mut self, written: &Pod) {
        let context = self.context;
        let caches = &context.caches;
        let name = written.namespace().unwrap_or_default();
        let namespace = caches.namespace(&name).await;
        let size = match metadata::pod_group(&written.metadata) {
            Some(group) => caches.groups().size(&NamespacedName::new(name, group)).await,
            None => None,
        };
        let lookups = Lookups {
            config: &context.config,
            namespace: &|_| namespace.clone(),
            group: &|_| size,
            pool: &|name| caches.pool(name),
            ray_cluster: &|name| caches.rays().get(name),
            back_off: &|owner, created| backoff::of_pod(&self.record.back_offs, owner, created),
        };
        match self.watch.read(written, &lookups) {
            Some(PodClass::Managed(managed)) => self.on_managed_pod(written, *managed),
            Some(PodClass::Unmanaged { uid, node, shape }) => {
                self.on_gone(uid, Event::Unmanaged { uid, node, shape });
            }
            Some(PodClass::Nothing(uid)) => self.on_gone(uid, Event::PodGone(uid)),
            None => {}
        }
    }

    /// Reads pods again that were read by what is another now: those concerned, and no others (G2).
    pub(super) async fn read_again(&mut self, now: Now) {
        let caches = &self.context.caches;
        let other_models = self.watch.take_other_models();
        if std::mem::take(&mut self.caches_changed) || other_models {
            let read_by = ReadBy::of(&caches.pools(), &caches.namespaces(), caches.special());
            let differences = self.watch.on_read_by(read_by);
            if differences.special {
                self.needs_resync = Some(Resync::SpecialHardware);
                return;
            }
            let group = |group: &NamespacedName| caches.groups().known(group);
            let concerned = self.watch.to_read_again(&differences, other_models, group);
            concerned.into_iter().for_each(|uid| self.read_pod_again(uid));
            self.namespaces_to_read.extend(differences.managed.into_iter().map(|name| (name, now.instant)));
        }
        let due = self.namespaces_to_read.extract_if(.., |_, at| *at <= now.instant);
        for (namespace, _) in due.collect::<Vec<_>>() {
            if let Err(error) = self.read_namespace_again(&namespace).await {
                tracing::warn!(%error, namespace, "the pods of a namespace are not read again; retrying");
                self.namespaces_to_read.insert(namespace, self.now().instant + RETRY);
            }
        }
    }

    fn read_pod_again(&mut self, uid: Uid) {
        let context = self.context;
        let caches = &context.caches;
        let lookups = Lookups {
            config: &context.config,
            namespace: &|name| caches.known_namespace(name),
            group: &|group| caches.groups().known(group),
            pool: &|name| caches.pool(name),
            ray_cluster: &|name| caches.rays().get(name),
            back_off: &|owner, created| backoff::of_pod(&self.record.back_offs, owner, created),
        };
        let Some(ReadAgain { before, read }) = self.watch.read_again(uid, &lookups) else { return };
        if let Some(state) = self.watch.pods.get(uid) {
            let seen = PodSeen { uid, before: Some(before), state, admission: None };
            self.status.on_event(&PodEvent::Seen(seen));
        }
        let labels = self.watch.missing_labels(uid, &read, |name| caches.rays().get(name));
        labels.into_iter().for_each(|label| self.requests.send(label));
    }

    /// Reads the pods of a namespace that asks for the admission of all its pods from now on, or does no more: they run
    /// and are adopted, or are let go. Nothing is kept of pods that are not managed, so these are asked for.
    async fn read_namespace_again(&mut self, namespace: &str) -> kube::Result<()> {
        let pods = Api::<Pod>::namespaced(self.context.client.clone(), namespace);
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = pods.list(&page).await?;
            for pod in &list.items {
                self.on_pod(pod).await;
            }
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    fn on_managed_pod(&mut self, written: &Pod, ManagedPod { pod, words, read: _ }: ManagedPod) {
        let (now, context, uid) = (self.now(), self.context, pod.uid);
        let event = self.watch.on_managed_pod(written, pod, words, &context.config, now.time);
        if self.record.on_event(&event) {
            context.count_admission(&event, now.time);
        }
        self.conditions.on_event(&event, now);
        self.evictions.on_event(&event);
        self.status.on_event(&event);
        let labels = self.watch.missing_labels(uid, written, |name| context.caches.rays().get(name));
        labels.into_iter().for_each(|label| self.requests.send(label));
    }

    /// A pod is gone, finished or managed no more; `event` tells the queue which.
    fn on_gone(&mut self, uid: Uid, event: Event) {
        let now = self.now();
        let event = self.watch.on_gone(uid, event);
        self.record.on_event(&event);
        self.conditions.on_event(&event, now);
        self.evictions.on_event(&event);
        self.status.on_event(&event);
    }

    /// The list is complete: pods that it does not have are gone. With the first list, deciding begins.
    fn on_pods_listed(&mut self) {
        for uid in self.watch.finish_pod_list() {
            self.on_gone(uid, Event::PodGone(uid));
        }
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let (now, caches) = (self.now(), &self.context.caches);
        let pods = &self.watch.pods;
        let restored = self.record.restore(|uid| pods.get(uid).map(PodState::waits));
        let gates = finishing(&self.record.entries, self.record.epoch(), pods, now.time);
        self.watch.push(Event::Restored(restored));
        self.send_gates(gates);
        self.eviction_step(now).resume(|name| caches.pool(name));
        tracing::info!(epoch = self.record.epoch(), "started leading");
    }

    /// Takes in what happened to nodes; whether there is something to decide.
    pub(super) fn on_node_event(&mut self, event: watcher::Result<watcher::Event<Node>>) -> bool {
        let now = self.now();
        match event {
            Ok(event) => self.watch.on_node_event(event, &self.context.config, now.time),
            Err(error) => return failed("Node", &error),
        }
        true
    }

    /// Takes in what happened to disruption budgets; whether there is something to decide.
    pub(super) fn on_budget_event(&mut self, event: watcher::Result<watcher::Event<PodDisruptionBudget>>) -> bool {
        match event {
            Ok(event) => {
                // Before the budgets are known no pod is evicted.
                if self.watch.on_budget_event(event) {
                    let config = &self.context.config;
                    let from = self.record.since().after(Duration::from(config.cycle.adoption_grace));
                    self.watch.push(Event::Config(queue_config(config, from)));
                }
            }
            Err(error) => return failed("PodDisruptionBudget", &error),
        }
        true
    }

    /// Takes in what pools say now; always something to decide.
    pub(super) fn on_pools_changed(&mut self) -> bool {
        self.caches_changed = true;
        let (configs, invalid) = pool::pools(&self.context.caches.pools());
        self.status.on_pools(invalid);
        self.watch.push(Event::Pools(configs));
        true
    }

    /// Takes in that RayClusters say something else of their pods, or are known only now; whether there is something
    /// to decide.
    pub(super) fn on_ray_clusters_changed(&mut self) -> bool {
        let rays = self.context.caches.rays();
        let pods = self.watch.members_of(&rays.take_changed(), |name| rays.get(name));
        let any = !pods.is_empty();
        for pod in pods {
            let uid = pod.uid;
            if let Some(event) = self.watch.on_other_gang(pod) {
                self.status.on_event(&event);
            }
            if let Some(label) = self.watch.job_label(uid, |name| rays.get(name)) {
                self.requests.send(label);
            }
        }
        any
    }

    /// Goes on with the clocks that an earlier leader kept in the status of pools.
    pub(super) fn take_over_clocks(&mut self) {
        for object in self.context.caches.pools() {
            for resource in object.status.iter().flat_map(|status| &status.resources) {
                let Some(since) = resource.over_since.as_ref().map(time) else { continue };
                let (pool, dim) = (object.name_any(), resource.name.clone());
                self.status.on_over(OverIn { pool: pool.clone(), dim: dim.clone() }, Some(since));
                self.watch.push(Event::OverSince { pool, dim, since });
            }
        }
    }
}

/// A watch that failed begins again by itself, and there is nothing to decide.
fn failed(kind: &str, error: &watcher::Error) -> bool {
    tracing::warn!(%error, kind, "watching failed; retrying");
    false
}
