//! What this leader knows of the cluster, and what it has to tell the queue of it.
//!
//! Objects come in as the watches bring them, together with what has to be looked up beside them; nothing here asks
//! the API server or reads a clock. What changes without an event of its own is worked out from what is known: a node
//! that stayed silent for too long is excluded [in time](WatchState::on_time), and pods that were read by something that
//! is another now are [read again](WatchState::to_read_again), those and no others (G2).

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::runtime::watcher;
use weir_api::names;
use weir_api::pool::ResourcePool;
use weir_queue::{BackOff, Event, Phase, PodShape, Time, Uid};

use super::nodes::NodeCache;
use super::pod_cache::{Gang, PodCache, PodState};
use super::read_by::{Differences, ReadBy};
use super::scheduler_liveness::{SchedulerLiveness, progress_on};
use crate::client::LabelWrite;
use crate::config::Config;
use crate::convert::hosts::{ModelLabel, Rules};
use crate::convert::interner::Interner;
use crate::convert::metadata;
use crate::convert::name::NamespacedName;
use crate::convert::pod::{self, Context, ManagedPod, PodClass};
use crate::convert::words::PodWords;
use crate::leader::pod_event::{PodEvent, PodSeen, StandingAdmission};
use crate::watch::budgets::Budgets;
use crate::watch::ray::{RayCluster, Roster, member::member};
use crate::watch::relist::Relist;

/// What this leader knows of the cluster.
pub(in crate::leader) struct WatchState {
    pub(in crate::leader) pods: PodCache,
    pod_list: Relist<Uid>,
    nodes: NodeCache,
    budgets: Budgets,
    /// Pods of RayClusters, as they were read.
    roster: Roster,
    liveness: SchedulerLiveness,
    interner: Interner,
    rules: Rules,
    read_by: ReadBy,
    /// What the queue has not been told yet, in the order in which it happened.
    events: Vec<Event>,
}

/// What is looked up beside a pod to understand it.
pub(in crate::leader) struct Lookups<'a> {
    /// The configuration.
    pub(in crate::leader) config: &'a Config,
    /// The namespace of a name.
    pub(in crate::leader) namespace: &'a dyn Fn(&str) -> Option<Arc<Namespace>>,
    /// How many members a PodGroup asks for; none where it does not exist.
    pub(in crate::leader) group: &'a dyn Fn(&NamespacedName) -> Option<u32>,
    /// The pool of a name.
    pub(in crate::leader) pool: &'a dyn Fn(&str) -> Option<Arc<ResourcePool>>,
    /// The RayCluster of a name.
    pub(in crate::leader) ray_cluster: &'a dyn Fn(&NamespacedName) -> Option<Arc<RayCluster>>,
    /// How a pod backs off that this owner made at this time.
    pub(in crate::leader) back_off: &'a dyn Fn(Uid, Time) -> Option<BackOff>,
}

/// A pod that was read again, and what its owners have to know.
pub(in crate::leader) struct ReadAgain {
    /// The pod as it was remembered.
    pub(in crate::leader) before: PodState,
    /// What was read.
    pub(in crate::leader) read: Pod,
}

impl WatchState {
    /// Knows nothing yet; pods will be read by these.
    pub(in crate::leader) fn new(rules: Rules, read_by: ReadBy) -> Self {
        Self {
            pods: PodCache::default(),
            pod_list: Relist::default(),
            nodes: NodeCache::default(),
            budgets: Budgets::default(),
            roster: Roster::default(),
            liveness: SchedulerLiveness::default(),
            interner: Interner::default(),
            rules,
            read_by,
            events: Vec::new(),
        }
    }

    /// Whether all nodes are known; pods are read after them.
    pub(in crate::leader) const fn nodes_listed(&self) -> bool {
        self.nodes.listed()
    }

    /// Whether a budget covers a pod.
    pub(in crate::leader) fn is_budgeted(&self, pod: Uid) -> bool {
        self.budgets.cover(pod)
    }

    /// Tells the queue of something with its next step.
    pub(in crate::leader) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// What the queue has not been told yet.
    pub(in crate::leader) fn take_events(&mut self) -> Vec<Event> {
        self.events.extend(self.budgets.take_changes().map(Event::Budgets));
        std::mem::take(&mut self.events)
    }

    /// Takes in that time goes by: nodes that stayed silent for too long are excluded.
    pub(in crate::leader) fn on_time(&mut self, now: Time) {
        let excluded = self.nodes.take_excluded(now);
        self.events.extend(excluded.into_iter().map(Event::Node));
    }

    /// Whether nodes have other GPU models than when this was last asked.
    pub(in crate::leader) fn take_other_models(&mut self) -> bool {
        self.nodes.take_other_models()
    }

    /// Takes in what pods are read by from now on, and returns what differs.
    pub(in crate::leader) fn on_read_by(&mut self, now: ReadBy) -> Differences {
        let differences = self.read_by.differences(&now);
        self.read_by = now;
        differences
    }

    /// The pods that have to be read again: those that this concerns, those whose PodGroup asks for another number of
    /// members, and with `other_models` those that name a GPU model.
    pub(in crate::leader) fn to_read_again(
        &self,
        differences: &Differences,
        other_models: bool,
        group: impl Fn(&NamespacedName) -> Option<u32>,
    ) -> Vec<Uid> {
        let keys = self.rules.special().label_keys();
        let concerned = |state: &&PodState| {
            let Some(words) = state.words.as_deref() else { return false };
            let namespace = &state.target.namespace;
            let regrouped = || {
                let named = words.group.as_ref();
                named.is_some_and(|named| group(&NamespacedName::new(&**namespace, &*named.name)) != named.size)
            };
            differences.concern(namespace, &state.pool)
                || (other_models && names_a_model(&words.body.shape, keys))
                || regrouped()
        };
        self.pods.iter().filter(|(_, state)| concerned(state)).map(|(uid, _)| uid).collect()
    }

    /// Reads a pod again by what it said, and tells the queue of it; none for a pod that depends on nothing else.
    pub(in crate::leader) fn read_again(&mut self, uid: Uid, lookups: &Lookups<'_>) -> Option<ReadAgain> {
        let before = self.pods.get(uid)?.clone();
        let said = before.words.as_deref()?;
        let namespace = (lookups.namespace)(&before.target.namespace);
        let empty = ObjectMeta::default();
        let metadata = namespace.as_ref().map_or(&empty, |namespace| &namespace.metadata);
        let group = said.group.as_ref().map(|named| NamespacedName::new(&*before.target.namespace, &*named.name));
        let group = group.and_then(|group| (lookups.group)(&group));
        let has_model = |label: &ModelLabel| has_model(&self.nodes, &self.rules, label);
        let context = context(lookups, metadata, group, &self.rules, &has_model);
        let ManagedPod { mut pod, read, words } = pod::again(uid, said, &context, &mut self.interner);
        self.join_ray(&read, &mut pod, metadata, lookups);
        let (pool, gang) = (Arc::clone(&pod.pool), Gang::of(&pod));
        self.events.push(Event::Pod(pod));
        let state = PodState { pool, gang, words: words.map(Box::new), ..before.clone() };
        self.pods.insert(uid, state);
        Some(ReadAgain { before, read })
    }

    /// A list of pods begins.
    pub(in crate::leader) fn begin_pod_list(&mut self) {
        self.pod_list.begin();
    }

    /// Ends a list of pods, and returns the pods that it does not have.
    pub(in crate::leader) fn finish_pod_list(&mut self) -> Vec<Uid> {
        let known: Vec<Uid> = self.pods.iter().map(|(uid, _)| uid).collect();
        self.pod_list.finish(known.iter())
    }

    /// Reads a pod as the watch brought it: what it is to us.
    pub(in crate::leader) fn read(&mut self, written: &Pod, lookups: &Lookups<'_>) -> Option<PodClass> {
        self.pod_list.saw(pod::uid(&written.metadata)?);
        let name = written.metadata.namespace.as_deref().unwrap_or_default();
        let namespace = (lookups.namespace)(name);
        let empty = ObjectMeta::default();
        let metadata = namespace.as_ref().map_or(&empty, |namespace| &namespace.metadata);
        let group = metadata::pod_group(&written.metadata).map(|group| NamespacedName::new(name, group));
        let group = group.and_then(|group| (lookups.group)(&group));
        let has_model = |label: &ModelLabel| has_model(&self.nodes, &self.rules, label);
        let context = context(lookups, metadata, group, &self.rules, &has_model);
        let mut class = pod::pod(written, &context, &mut self.interner)?;
        if let PodClass::Managed(managed) = &mut class {
            self.join_ray(&managed.read, &mut managed.pod, metadata, lookups);
        }
        Some(class)
    }

    /// Makes a pod part of the gang of its RayCluster, if it belongs to one and its gang is asked for by it.
    fn join_ray(&mut self, read: &Pod, pod: &mut weir_queue::Pod, namespace: &ObjectMeta, lookups: &Lookups<'_>) {
        let defaults = (lookups.pool)(&pod.pool).and_then(|pool| pool.spec.defaults.clone());
        let by_pool = defaults.and_then(|defaults| defaults.gang_by);
        let Some(member) = member(&read.metadata, namespace, by_pool.as_deref()) else {
            return self.roster.remove(pod.uid);
        };
        self.roster.insert(&member, pod);
        member.join(pod, (lookups.ray_cluster)(&member.cluster).as_deref());
    }

    /// Takes in a managed pod that was [read](Self::read).
    pub(in crate::leader) fn on_managed_pod<'s>(
        &'s mut self,
        written: &'s Pod,
        pod: weir_queue::Pod,
        words: Option<PodWords>,
        config: &Config,
        now: Time,
    ) -> PodEvent<'s> {
        let uid = pod.uid;
        let mut state = PodState::of(written, &pod, words, &mut self.interner);
        if let Some(before) = self.pods.get(uid) {
            state.keep_own_writes(before);
            if state.shows_progress_since(before) {
                self.events.push(Event::SchedulerProgress);
            }
        }
        if let Some(at) = progress_on(written) {
            self.on_scheduler_progress(at, config, now);
        }
        match state.covered(uid).filter(|_| !state.terminating()) {
            Some(covered) => self.budgets.pod(covered),
            None => self.budgets.gone(&state.target.namespace, uid),
        }
        let admission = match &pod.phase {
            Phase::Waiting => None,
            Phase::Admitted(admitted) => Some(StandingAdmission {
                grounds: admitted.grounds,
                decision: written.annotations().get(names::DECIDED_ON).map(String::as_str),
            }),
        };
        self.events.push(Event::Pod(pod));
        let (before, state) = self.pods.insert(uid, state);
        PodEvent::Seen(PodSeen { uid, before, state, admission })
    }

    /// A pod is gone, finished or managed no more; `event` tells the queue which.
    pub(in crate::leader) fn on_gone(&mut self, uid: Uid, event: Event) -> PodEvent<'static> {
        let last = self.pods.remove(uid);
        if let Some(last) = &last {
            self.budgets.gone(&last.target.namespace, uid);
        }
        self.roster.remove(uid);
        self.events.push(event);
        PodEvent::Gone { uid, last }
    }

    /// The scheduler showed at this time that it works.
    pub(in crate::leader) fn on_scheduler_progress(&mut self, at: Time, config: &Config, now: Time) {
        if self.liveness.is_news(at, &config.cycle, now) {
            self.events.push(Event::SchedulerWorked(at));
        }
    }

    /// Takes in what happened to nodes.
    pub(in crate::leader) fn on_node_event(&mut self, event: watcher::Event<Node>, config: &Config, now: Time) {
        match event {
            watcher::Event::Init => self.nodes.begin_list(),
            watcher::Event::InitApply(node) | watcher::Event::Apply(node) => {
                let label_keys = self.rules.special().label_keys();
                let node = self.nodes.apply(&node, label_keys, &config.nodes, now);
                self.events.push(Event::Node(node));
            }
            watcher::Event::InitDone => {
                let missing = self.nodes.finish_list();
                self.events.extend(missing.into_iter().map(Event::NodeGone));
            }
            watcher::Event::Delete(node) => {
                self.nodes.remove(&node.name_any());
                self.events.push(Event::NodeGone(node.name_any()));
            }
        }
    }

    /// Takes in what happened to disruption budgets; whether all of them are known from now on.
    pub(in crate::leader) fn on_budget_event(&mut self, event: watcher::Event<PodDisruptionBudget>) -> bool {
        match event {
            watcher::Event::Init => self.budgets.begin_list(),
            watcher::Event::InitApply(budget) | watcher::Event::Apply(budget) => {
                let running = self.pods.iter().filter(|(_, state)| !state.terminating());
                self.budgets.apply(&budget, running.filter_map(|(uid, state)| state.covered(uid)));
            }
            watcher::Event::InitDone => {
                self.budgets.finish_list();
                return true;
            }
            watcher::Event::Delete(budget) => self.budgets.remove(&NamespacedName::of(&budget)),
        }
        false
    }

    /// The pods of these RayClusters, as members of the gangs that they ask for now.
    pub(in crate::leader) fn members_of(
        &self,
        clusters: &BTreeSet<NamespacedName>,
        ray_cluster: impl Fn(&NamespacedName) -> Option<Arc<RayCluster>>,
    ) -> Vec<weir_queue::Pod> {
        let members = clusters.iter().flat_map(|key| self.roster.of(key));
        let joined = members.map(|(member, pod)| {
            let mut pod = pod.clone();
            member.join(&mut pod, ray_cluster(&member.cluster).as_deref());
            pod
        });
        joined.filter(|pod| self.pods.get(pod.uid).is_some()).collect()
    }

    /// Takes in that a pod belongs to another gang, or to one of another size.
    pub(in crate::leader) fn on_other_gang(&mut self, pod: weir_queue::Pod) -> Option<PodEvent<'_>> {
        let uid = pod.uid;
        let mut state = self.pods.get(uid)?.clone();
        state.gang = Gang::of(&pod);
        self.events.push(Event::Pod(pod));
        let (before, state) = self.pods.insert(uid, state);
        Some(PodEvent::Seen(PodSeen { uid, before, state, admission: None }))
    }

    /// The labels that a managed pod should carry and does not: its pool, while it is gated, and its job.
    pub(in crate::leader) fn missing_labels(
        &self,
        uid: Uid,
        written: &Pod,
        ray_cluster: impl Fn(&NamespacedName) -> Option<Arc<RayCluster>>,
    ) -> Vec<LabelWrite> {
        let stands = written.labels().get(names::POOL).map(String::as_str);
        let pool = self.pods.get(uid).filter(|state| state.waits() && stands != Some(&*state.pool));
        let pool = pool.map(|state| LabelWrite {
            target: state.target.clone(),
            key: names::POOL,
            value: state.pool.to_string(),
        });
        pool.into_iter().chain(self.job_label(uid, ray_cluster)).collect()
    }

    /// The label that says whose job a pod works for, which KubeRay leaves on the RayCluster: figures are joined by it.
    pub(in crate::leader) fn job_label(
        &self,
        uid: Uid,
        ray_cluster: impl Fn(&NamespacedName) -> Option<Arc<RayCluster>>,
    ) -> Option<LabelWrite> {
        let (member, state) = (self.roster.member(uid)?, self.pods.get(uid)?);
        if member.has_job {
            return None;
        }
        let cluster = ray_cluster(&member.cluster).filter(|cluster| cluster.uid == member.owner)?;
        Some(LabelWrite { target: state.target.clone(), key: names::JOB, value: cluster.job.clone()? })
    }
}

/// What has to be known beside a pod to understand it.
fn context<'a>(
    lookups: &'a Lookups<'a>,
    namespace: &'a ObjectMeta,
    group: Option<u32>,
    rules: &'a Rules,
    has_model: &'a dyn Fn(&ModelLabel) -> bool,
) -> Context<'a> {
    let Lookups { config, pool, back_off, .. } = lookups;
    Context { config, namespace, pool, group, back_off, rules, has_model }
}

/// Whether some node has a GPU model. While no node has any and nothing is special, nothing is known yet, and no model
/// is unknown.
fn has_model(nodes: &NodeCache, rules: &Rules, label: &ModelLabel) -> bool {
    nodes.has_model(label) || (nodes.has_no_models() && rules.special().models().is_empty())
}

/// Whether a pod of this shape asks for a GPU model under one of these labels.
fn names_a_model(shape: &PodShape, keys: &[String]) -> bool {
    let required = shape.affinity.iter().flat_map(|term| &term.expressions).map(|requirement| &requirement.key);
    shape.node_selector.keys().chain(required).any(|key| keys.contains(key))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use weir_placement::sku::SpecialHardware;

    use super::*;
    use crate::leader::fixture::{at, uid};

    const MODEL: &str = "gpu-node-label-model";

    fn watch() -> WatchState {
        let list = serde_json::from_value(json!({ "models": [{ "model": "H100", "gpusPerHost": 8 }] })).unwrap();
        let rules = Rules::new(&Config::default(), SpecialHardware::new(list).unwrap()).unwrap();
        WatchState::new(rules, ReadBy::default())
    }

    /// A gated pod of pool `research` with this added, as the API server has it.
    fn gated(number: u128, change: Value) -> Pod {
        let mut pod = json!({
            "metadata": { "namespace": "team", "name": format!("p{number}"), "uid": uid(number).to_string(),
                "creationTimestamp": "1970-01-01T00:00:01Z", "labels": { "weir.dev/pool": "research" },
                "annotations": { "weir.dev/pool": "research" } },
            "spec": { "schedulerName": "weir-scheduler", "containers": [],
                "schedulingGates": [{ "name": "weir.dev/admission" }] },
        });
        json_patch::merge(&mut pod, &change);
        serde_json::from_value(pod).unwrap()
    }

    /// The same without its gate, on a node.
    fn placed(number: u128) -> Pod {
        gated(number, json!({ "spec": { "schedulingGates": null, "nodeName": "n" } }))
    }

    fn lookups(config: &Config) -> Lookups<'_> {
        Lookups {
            config,
            namespace: &|_| None,
            group: &|_| None,
            pool: &|_| None,
            ray_cluster: &|_| None,
            back_off: &|_, _| None,
        }
    }

    /// Takes in a pod as the term does, and returns what its owners see of it.
    fn take<T>(watch: &mut WatchState, pod: &Pod, see: impl FnOnce(&PodEvent<'_>) -> T) -> T {
        let config = Config::default();
        let class = watch.read(pod, &lookups(&config)).unwrap();
        match class {
            PodClass::Managed(managed) => {
                let ManagedPod { pod: read, words, .. } = *managed;
                see(&watch.on_managed_pod(pod, read, words, &config, at(100)))
            }
            PodClass::Unmanaged { uid, node, shape } => see(&watch.on_gone(uid, Event::Unmanaged { uid, node, shape })),
            PodClass::Nothing(uid) => see(&watch.on_gone(uid, Event::PodGone(uid))),
        }
    }

    fn node(name: &str, model: &str) -> Node {
        let metadata = json!({ "name": name, "labels": { MODEL: model }, "creationTimestamp": "1970-01-01T00:01:00Z" });
        let ready = json!({ "type": "Ready", "status": "True" });
        serde_json::from_value(json!({ "metadata": metadata, "status": { "conditions": [ready] } })).unwrap()
    }

    fn kinds(events: &[Event]) -> Vec<&'static str> {
        let kind = |event: &Event| match event {
            Event::Pod(_) => "pod",
            Event::Unmanaged { .. } => "unmanaged",
            Event::PodGone(_) => "gone",
            Event::Node(_) => "node",
            Event::NodeGone(_) => "node gone",
            Event::SchedulerProgress => "progress",
            Event::SchedulerWorked(_) => "worked",
            Event::Budgets(_) => "budgets",
            _ => "other",
        };
        events.iter().map(kind).collect()
    }

    #[test]
    fn a_pod_is_told_to_the_queue_each_time_and_its_owners_see_before_and_now() {
        let mut watch = watch();
        let first = take(&mut watch, &gated(1, json!({})), |event| match event {
            PodEvent::Seen(seen) => (seen.before.is_some(), seen.state.waits(), seen.is_admitted()),
            PodEvent::Gone { .. } => panic!("it is there"),
        });
        assert_eq!(first, (false, true, false));
        let then = take(&mut watch, &placed(1), |event| match event {
            PodEvent::Seen(seen) => (seen.before.is_some(), seen.state.placed(), seen.is_admitted()),
            PodEvent::Gone { .. } => panic!("it is there"),
        });
        assert_eq!(then, (true, true, true));
        assert_eq!(kinds(&watch.take_events()), ["pod", "progress", "pod"]);
        assert_eq!(kinds(&watch.take_events()), Vec::<&str>::new());
    }

    #[test]
    fn a_pod_that_ends_or_is_managed_no_more_is_forgotten_with_what_was_known_of_it() {
        let mut watch = watch();
        take(&mut watch, &gated(1, json!({})), |_| ());
        let done = gated(1, json!({ "status": { "phase": "Succeeded" } }));
        let last = take(&mut watch, &done, |event| match event {
            PodEvent::Gone { last, .. } => last.as_ref().map(|last| last.pool.to_string()),
            PodEvent::Seen(_) => None,
        });
        assert_eq!(last.as_deref(), Some("research"));
        assert!(watch.pods.get(uid(1)).is_none());
        assert_eq!(kinds(&watch.take_events()), ["pod", "gone"]);
    }

    #[test]
    fn a_list_tells_which_pods_are_gone() {
        let mut watch = watch();
        [1, 2].into_iter().for_each(|number| take(&mut watch, &gated(number, json!({})), |_| ()));
        watch.begin_pod_list();
        take(&mut watch, &gated(2, json!({})), |_| ());
        assert_eq!(watch.finish_pod_list(), [uid(1)]);
    }

    #[test]
    fn pods_that_name_a_gpu_model_are_read_again_when_nodes_have_other_models_and_no_others() {
        let (mut watch, config) = (watch(), Config::default());
        let unknown = gated(1, json!({ "spec": { "nodeSelector": { MODEL: "B200" } } }));
        watch.on_node_event(watcher::Event::Apply(node("a", "T4")), &config, at(100));
        watch.take_other_models();
        take(&mut watch, &unknown, |_| ());
        take(&mut watch, &gated(2, json!({})), |_| ());
        watch.on_node_event(watcher::Event::Apply(node("b", "T4")), &config, at(100));
        assert!(!watch.take_other_models(), "T4 is known");
        watch.on_node_event(watcher::Event::Apply(node("c", "B200")), &config, at(100));
        assert!(watch.take_other_models());
        assert_eq!(watch.to_read_again(&Differences::default(), true, |_| None), [uid(1)]);
        watch.take_events();
        watch.read_again(uid(1), &lookups(&config)).unwrap();
        let events = watch.take_events();
        assert!(matches!(&events[..], [Event::Pod(pod)] if pod.obstacle.is_none()), "{events:?}");
    }

    #[test]
    fn a_node_that_stays_silent_is_excluded_in_time_without_an_event() {
        let (mut watch, config) = (watch(), Config::default());
        let mut silent = node("d", "T4");
        silent.status = None;
        watch.on_node_event(watcher::Event::Apply(silent), &config, at(100));
        watch.take_events();
        watch.on_time(at(359));
        assert_eq!(watch.take_events(), []);
        watch.on_time(at(360));
        let events = watch.take_events();
        assert!(
            matches!(&events[..], [Event::Node(node)] if node.name == "d" && node.excluded.is_some()),
            "{events:?}"
        );
    }

    #[test]
    fn what_this_leader_wrote_is_kept_where_the_watch_brings_an_older_version() {
        use crate::convert::condition::{Change, ConditionStatus, ConditionType, ConditionUpdate};
        let mut watch = watch();
        take(&mut watch, &gated(1, json!({})), |_| ());
        let (condition, status) = (ConditionType::Admitted, ConditionStatus::False);
        let update = ConditionUpdate { condition, status, reason: "PoolHeld", message: "held".to_owned() };
        watch.pods.get_mut(uid(1)).unwrap().was_written(update, Change::Transition, at(100));
        take(&mut watch, &gated(1, json!({ "metadata": { "resourceVersion": "8" } })), |_| ());
        let reason = |watch: &WatchState| watch.pods.get(uid(1)).unwrap().admitted.clone().map(|it| it.reason);
        assert_eq!(reason(&watch).as_deref(), Some("PoolHeld"));
        take(&mut watch, &placed(1), |_| ());
        assert_eq!(reason(&watch), None, "of an admitted pod the watch knows better");
    }

    #[test]
    fn a_pod_whose_label_does_not_name_its_pool_gets_it_while_it_waits() {
        let mut watch = watch();
        let missing = |watch: &mut WatchState, pod: &Pod| {
            take(watch, pod, |_| ());
            let labels = watch.missing_labels(uid(1), pod, |_| None);
            labels.into_iter().map(|label| (label.key, label.value)).collect::<Vec<_>>()
        };
        assert_eq!(missing(&mut watch, &gated(1, json!({}))), []);
        let moved = gated(1, json!({ "metadata": { "annotations": { "weir.dev/pool": "other" } } }));
        assert_eq!(missing(&mut watch, &moved), [("weir.dev/pool", "other".to_owned())]);
    }

    #[test]
    fn budgets_are_told_with_the_pods_that_they_cover_once_they_change() {
        let mut watch = watch();
        let mut running = placed(1);
        running.status = serde_json::from_value(json!({ "phase": "Running" })).unwrap();
        take(&mut watch, &running, |_| ());
        let budget = json!({ "metadata": { "namespace": "team", "name": "b" },
            "spec": { "selector": {} }, "status": { "disruptionsAllowed": 1, "currentHealthy": 1,
                "desiredHealthy": 1, "expectedPods": 1 } });
        assert!(!watch.on_budget_event(watcher::Event::Apply(serde_json::from_value(budget).unwrap())));
        assert!(watch.is_budgeted(uid(1)));
        assert_eq!(kinds(&watch.take_events()), ["pod", "budgets"]);
        assert!(watch.on_budget_event(watcher::Event::InitDone), "all of them are known from now on");
    }
}
