//! What the watches bring, as events of the queue.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::runtime::watcher;
use weir_api::{condition, names};
use weir_queue::{Event, Obstacle, Phase, Time};

use super::{Term, now};
use crate::client::ConditionUpdate;
use crate::convert::metadata;
use crate::convert::pod::{Context, PodClass, pod, uid};
use crate::convert::{node, pool};
use crate::leader::decision;
use crate::leader::pod_cache::PodState;

impl Term<'_> {
    /// Takes in what happened to pods; whether there is something to decide.
    pub(super) async fn pod_event(&mut self, event: watcher::Result<watcher::Event<Pod>>) -> bool {
        match event {
            Ok(watcher::Event::Init) => self.listing = Some(BTreeSet::new()),
            Ok(watcher::Event::InitApply(pod)) => {
                if let (Some(uid), Some(listing)) = (uid(&pod.metadata), &mut self.listing) {
                    listing.insert(uid);
                }
                self.pod(&pod).await;
            }
            Ok(watcher::Event::InitDone) => self.pods_listed(),
            Ok(watcher::Event::Apply(pod)) => self.pod(&pod).await,
            Ok(watcher::Event::Delete(pod)) => {
                if let Some(uid) = uid(&pod.metadata) {
                    self.gone(uid);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "watching pods failed; trying again");
                return false;
            }
        }
        true
    }

    async fn pod(&mut self, written: &Pod) {
        let namespace = self.context.caches.namespace(&written.namespace().unwrap_or_default()).await;
        let empty = ObjectMeta::default();
        let caches = self.context.caches.clone();
        let group = match metadata::pod_group(&written.metadata) {
            Some(name) => self.members_of_group(written.namespace().unwrap_or_default(), name.to_owned()).await,
            None => None,
        };
        let mut interner = std::mem::take(&mut self.interner);
        let context = Context {
            config: &self.context.config,
            namespace: namespace.as_ref().map_or(&empty, |namespace| &namespace.metadata),
            pool: &|name| caches.pool(name),
            group,
            back_off: &|owner, created| self.backs_off(owner, created),
            rules: &self.rules,
            models: &self.models,
        };
        let seen = pod(written, &context, &mut interner);
        self.interner = interner;
        match seen {
            Some(PodClass::Managed(mut pod)) => {
                let uid = pod.uid;
                self.join_ray(written, namespace.as_ref().map_or(&empty, |found| &found.metadata), &mut pod);
                self.on_managed_pod(written, *pod);
                self.name_job(uid);
            }
            Some(PodClass::Unmanaged { uid, node, shape }) => {
                self.forget(uid);
                self.events.push(Event::Unmanaged { uid, node, shape });
            }
            Some(PodClass::Nothing(uid)) => self.gone(uid),
            None => {}
        }
    }

    /// How many members a PodGroup asks for, remembered because pods are read by it.
    async fn members_of_group(&mut self, namespace: String, name: String) -> Option<u32> {
        let size = self.context.caches.groups().size(&namespace, &name).await;
        self.groups.insert((namespace, name), size);
        size
    }

    /// Whether pods were read by a PodGroup that says something else by now.
    pub(super) fn groups_changed(&self) -> bool {
        let groups = self.context.caches.groups();
        self.groups.iter().any(|((namespace, name), size)| groups.known(namespace, name) != *size)
    }

    fn on_managed_pod(&mut self, written: &Pod, pod: weir_queue::Pod) {
        let mut known = PodState::of(written, &pod, &mut self.interner);
        let uid = pod.uid;
        self.unknown_models |= matches!(pod.obstacle, Some(Obstacle::UnknownModel(_)));
        if let Phase::Admitted(admitted) = &pod.phase
            && self.record.entries.remove(&uid).is_some()
        {
            let waited = now().since(known.created);
            self.context.metrics.admitted(self.pool_name(&known.pool), admitted.grounds.as_str(), waited);
        }
        if let Some(before) = self.pods.get(uid) {
            known.said = before.said;
            // What was written since this version is known better here than by the watch.
            if before.told != known.told && before.waits == known.waits {
                (known.told, known.message, known.since) = (before.told.clone(), before.message.clone(), before.since);
            }
            if (!before.placed && known.placed) || (before.verdict != known.verdict && known.verdict != 0) {
                self.events.push(Event::SchedulerProgress);
            }
        }
        // Said when the gate is seen to be gone and never before, whoever removed it: this leader, one before
        // that ended in between, or somebody by hand.
        if let Phase::Admitted(admitted) = &pod.phase
            && known.told.as_ref().is_none_or(|(yes, _)| !yes)
        {
            let (grounds, record) = (admitted.grounds, written.annotations().get(names::DECIDED_ON));
            let message = decision::sentence(grounds, &known.pool, record.map(String::as_str));
            let update =
                ConditionUpdate { condition: condition::ADMITTED, status: "True", reason: grounds.as_str(), message };
            self.queue_condition(uid, update);
        }
        // A leader that ended may not have come to say on the Gang what it had decided on.
        if let (Phase::Admitted(_), Some(gang)) = (&pod.phase, &known.gang)
            && let Some(record) = written.annotations().get(names::DECIDED_ON)
            && let Some(decided) = decision::decided_on(&known.pool, record)
            && self.report.decided.get(gang).is_none_or(|said| said.epoch < decided.epoch)
        {
            self.report.decided.insert(gang.clone(), decided);
        }
        self.earlier_scheduler_progress(written);
        match known.covered(uid).filter(|_| !known.terminating) {
            Some(pod) => self.budgets.pod(pod),
            None => self.budgets.gone(&known.target.namespace, uid),
        }
        if known.terminating {
            self.evictions.left(uid);
        }
        if known.mislabelled {
            self.mirror(known.target.clone(), &known.pool);
        }
        self.remember(uid, known);
        self.events.push(Event::Pod(pod));
    }

    /// A pod is no more, or counts no more.
    fn gone(&mut self, uid: weir_queue::Uid) {
        self.forget(uid);
        self.events.push(Event::PodGone(uid));
    }

    fn forget(&mut self, uid: weir_queue::Uid) {
        if let Some(known) = self.pods.remove(uid) {
            self.budgets.gone(&known.target.namespace, uid);
            self.report.touch(known.gang.as_ref());
        }
        for condition in [condition::ADMITTED, condition::PREEMPTED] {
            self.pending.remove(&(uid, condition));
        }
        self.roster.remove(uid);
        self.evictions.left(uid);
        if self.started {
            self.record.victims.remove(&uid);
            self.record.entries.remove(&uid);
        }
    }

    /// The list is complete: who is not in it is gone. With the first one, deciding begins.
    fn pods_listed(&mut self) {
        let Some(listed) = self.listing.take() else { return };
        let missing: Vec<_> = self.pods.iter().map(|(uid, _)| uid).filter(|uid| !listed.contains(uid)).collect();
        missing.into_iter().for_each(|uid| self.gone(uid));
        if self.started {
            return;
        }
        self.started = true;
        let pods = &self.pods;
        let record = self.record.restore(|uid| pods.get(uid).map(|known| known.waits));
        self.events.push(Event::Restored(record));
        self.finish_recorded();
        self.resume_evictions();
        tracing::info!(epoch = self.record.epoch(), "started leading");
    }

    /// Takes in what happened to nodes; whether there is something to decide.
    pub(super) fn node_event(&mut self, event: watcher::Result<watcher::Event<Node>>) -> bool {
        match event {
            Ok(watcher::Event::Init) => self.node_listing = Some(BTreeSet::new()),
            Ok(watcher::Event::InitApply(node)) => {
                if let Some(listing) = &mut self.node_listing {
                    listing.insert(node.name_any());
                }
                self.node(&node);
            }
            Ok(watcher::Event::InitDone) => {
                let listed = self.node_listing.take().unwrap_or_default();
                let missing: Vec<_> = self.nodes.keys().filter(|name| !listed.contains(*name)).cloned().collect();
                missing.into_iter().for_each(|name| self.node_gone(name));
                self.nodes_known = true;
            }
            Ok(watcher::Event::Apply(node)) => self.node(&node),
            Ok(watcher::Event::Delete(node)) => self.node_gone(node.name_any()),
            Err(error) => {
                tracing::warn!(%error, "watching nodes failed; trying again");
                return false;
            }
        }
        true
    }

    fn node(&mut self, written: &Node) {
        let (node, again) = node::node(written, &self.context.config.nodes, now());
        for key in self.rules.special().label_keys() {
            if let Some(model) = node.labels.get(key)
                && self.models.insert((key.clone(), model.clone()))
            {
                // Somebody may wait for exactly this model and was told that nobody knows it.
                self.needs_resync |= self.unknown_models;
            }
        }
        self.nodes.insert(node.name.clone(), again);
        self.events.push(Event::Node(node));
    }

    fn node_gone(&mut self, name: String) {
        self.nodes.remove(&name);
        self.events.push(Event::NodeGone(name));
    }

    /// Resyncs when a silent node is to be excluded, which no event says.
    pub(super) fn look_again_at_silent_nodes(&mut self, now: Time) {
        self.needs_resync |= self.nodes.values().flatten().any(|&again| again <= now);
    }

    /// Takes in what pools say now; always something to decide.
    pub(super) fn pools_changed(&mut self) -> bool {
        self.caches_changed = true;
        let mut configs = Vec::new();
        self.report.invalid.clear();
        for object in self.context.caches.pools() {
            match pool::pool(&object) {
                Ok(config) => configs.push(config),
                Err(sentence) => drop(self.report.invalid.insert(object.name_any(), sentence)),
            }
        }
        configs.sort_by(|a, b| a.name.cmp(&b.name));
        self.events.push(Event::Pools(configs));
        true
    }

    /// All that pods are read by and that may change: the namespaces that say something, who may use a
    /// pool and what it says for silent pods, the list of special hardware.
    pub(super) fn fingerprint_now(&self) -> u64 {
        let caches = &self.context.caches;
        let mut pools = caches.pools();
        pools.sort_by_key(|pool| pool.name_any());
        let mut hasher = DefaultHasher::new();
        let mut selective = false;
        for pool in &pools {
            let spec = &pool.spec;
            let words =
                (&spec.namespace_selector, spec.defaults.as_ref().and_then(|defaults| defaults.gang_by.as_ref()));
            selective |= spec.namespace_selector.is_some();
            format!("{}{words:?}", pool.name_any()).hash(&mut hasher);
        }
        let mut namespaces = caches.namespaces();
        namespaces.sort_by_key(|namespace| namespace.name_any());
        for namespace in &namespaces {
            let ours = |key: &&String| key.starts_with(names::PREFIX);
            let speaks = namespace.labels().keys().chain(namespace.annotations().keys()).any(|key| ours(&key));
            if speaks || selective {
                let said = namespace.annotations().iter().filter(|(key, _)| ours(key)).collect::<Vec<_>>();
                format!("{}{:?}{said:?}", namespace.name_any(), namespace.labels()).hash(&mut hasher);
            }
        }
        format!("{:?}", caches.special()).hash(&mut hasher);
        hasher.finish()
    }
}
