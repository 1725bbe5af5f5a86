//! A Pod object as the queue is told of it.
//!
//! A pod is managed while it carries our gate, or when it went through the webhook, which its annotation and the
//! mirrored label show, or when it would have asked for admission and runs already (A14): such a pod was there before
//! Weir and is adopted. Every other pod counts as unmanaged use of its node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod as Written, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use weir_api::pod::{Grounds as Recorded, PodInfo};
use weir_api::pool::ResourcePool;
use weir_api::{condition, names};
use weir_queue::{
    Admitted, BackOff, GangKey, Grounds, Membership, Obstacle, Phase, Pod, PodShape, Terminating, Time, Uid,
};

use super::hosts::{ModelLabel, Rules};
use super::interner::Interner;
use super::metadata::{self, GangHints};
use super::shape::shape;
use super::words::{Body, PodWords, bounded};
use super::{selects, time};
use crate::config::Config;
use crate::webhook::managed::{Request, managed};

/// What has to be known beside the pod to understand it.
pub struct Context<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The metadata of the pod's namespace.
    pub namespace: &'a ObjectMeta,
    /// The pool of a name.
    pub pool: &'a dyn Fn(&str) -> Option<Arc<ResourcePool>>,
    /// How many members the PodGroup asks for that the pod names; none where it names none that exists.
    pub group: Option<u32>,
    /// How a pod backs off that this owner made at this time.
    pub back_off: &'a dyn Fn(Uid, Time) -> Option<BackOff>,
    /// What the placement filters say.
    pub rules: &'a Rules,
    /// Whether some node has a GPU model. While no node has any and nothing is special, nothing is known yet, and every
    /// model counts as known.
    pub has_model: &'a dyn Fn(&ModelLabel) -> bool,
}

/// What a pod is to the queue.
#[derive(Clone, Debug)]
pub enum PodClass {
    /// Managed: it waits, or it was admitted.
    Managed(Box<ManagedPod>),
    /// Not managed, on a node.
    Unmanaged {
        /// The pod.
        uid: Uid,
        /// Its node.
        node: Arc<str>,
        /// What it holds there.
        shape: Arc<PodShape>,
    },
    /// Nothing that counts: finished, or neither managed nor on a node.
    Nothing(Uid),
}

/// A managed pod as it was read.
#[derive(Clone, Debug)]
pub struct ManagedPod {
    /// The pod, as the queue is told of it.
    pub pod: Pod,
    /// What was read of the object, beside what it asks for.
    pub read: Written,
    /// What the pod says, where it depends on others what that means.
    pub words: Option<PodWords>,
}

/// The UID of an object; none for one that no API server made.
#[must_use]
pub fn uid(meta: &ObjectMeta) -> Option<Uid> {
    meta.uid.as_deref()?.parse().ok()
}

/// What a pod is to the queue; none for an object without a UID.
#[must_use]
pub fn pod(written: &Written, context: &Context<'_>, interner: &mut Interner) -> Option<PodClass> {
    let uid = uid(&written.metadata)?;
    let info = PodInfo::of(written);
    if info.has_ended() || (info.is_gated() && info.is_terminating()) {
        return Some(PodClass::Nothing(uid));
    }
    let managed = info.is_gated() || is_managed(info, context);
    if !managed && info.node().is_none() {
        return Some(PodClass::Nothing(uid));
    }
    let empty = PodSpec::default();
    let spec = written.spec.as_ref().unwrap_or(&empty);
    let (shape, unreadable) = shape(written, spec, &context.config.placement.gpu_resources);
    if !managed {
        // What nobody manages is amounts and ports: each pod of a DaemonSet has an affinity of its own.
        let PodShape { requests, ports, .. } = shape;
        let shape = PodShape { requests, ports, ..PodShape::default() };
        let node = interner.name(info.node().unwrap_or_default());
        return Some(PodClass::Unmanaged { uid, node, shape: interner.shape(shape) });
    }
    let body = Body { shape: interner.shape(shape), unreadable: unreadable.map(String::into_boxed_str) };
    let read = bounded(written);
    let phase = match info.is_gated() {
        true => Phase::Waiting,
        false => Phase::Admitted(admitted(info, interner)),
    };
    let pod = managed_pod(uid, &read, &body, phase, context, interner);
    let words = words(&pod, &read, &body, context);
    Some(PodClass::Managed(Box::new(ManagedPod { pod, read, words })))
}

/// The pod that said this, as it is to be understood now.
#[must_use]
pub fn again(uid: Uid, said: &PodWords, context: &Context<'_>, interner: &mut Interner) -> ManagedPod {
    let read = said.read();
    let pod = managed_pod(uid, &read, &said.body, said.phase.clone(), context, interner);
    let words = words(&pod, &read, &said.body, context);
    ManagedPod { pod, read, words }
}

fn words(pod: &Pod, read: &Written, body: &Body, context: &Context<'_>) -> Option<PodWords> {
    is_read_by_others(pod, read).then(|| PodWords::of(read, body.clone(), pod.phase.clone(), context.group))
}

/// Whether what a pod means depends on others: all of it while it waits, and of an admitted pod its gang, unless the pod
/// names that itself.
fn is_read_by_others(pod: &Pod, read: &Written) -> bool {
    pod.phase == Phase::Waiting || metadata::gang_is_said_by_others(&read.metadata)
}

/// Whether a pod without our gate is managed all the same.
fn is_managed(info: PodInfo<'_>, context: &Context<'_>) -> bool {
    if info.is_mirrored() {
        return true;
    }
    let meta = &info.object().metadata;
    // The pod was created before Weir was there, so the user that created it is not known. To claim a DaemonSet as
    // owner gains nothing now: every pod that is created from here on passes the webhook.
    let by_daemon = info.controller().is_some_and(|owner| owner.kind == "DaemonSet");
    let is_mirror_pod = meta.annotations.as_ref().is_some_and(|map| map.contains_key(metadata::MIRROR_POD));
    if by_daemon || is_mirror_pod {
        return false;
    }
    let empty = BTreeMap::new();
    let request = Request {
        pod: info.object(),
        namespace: info.namespace(),
        namespace_labels: context.namespace.labels.as_ref().unwrap_or(&empty),
        user: "",
        groups: &[],
    };
    managed(context.config).holds(&request)
}

fn managed_pod(
    uid: Uid,
    read: &Written,
    body: &Body,
    phase: Phase,
    context: &Context<'_>,
    interner: &mut Interner,
) -> Pod {
    let (info, meta) = (PodInfo::of(read), &read.metadata);
    let named = metadata::pool(meta, metadata::compat(context.config));
    let by_namespace = context.namespace.annotations.as_ref().and_then(|annotations| annotations.get(names::POOL));
    let fallback = by_namespace.map_or(context.config.pods.default_pool.as_str(), String::as_str);
    let pool = named.as_ref().ok().copied().flatten().unwrap_or(fallback);
    let object = (context.pool)(pool);
    let defaults = object.as_ref().and_then(|object| object.spec.defaults.as_ref());
    let gang_by = defaults.and_then(|defaults| defaults.gang_by.as_deref());
    let gang = metadata::gang(meta, GangHints { gang_by, group: context.group });
    let preemptible = metadata::preemptible(meta);
    let unreadable = body.unreadable.as_deref().map(str::to_owned);
    let contradiction =
        [named.err(), preemptible.clone().err(), gang.clone().err(), unreadable].into_iter().flatten().next();
    let gated = phase == Phase::Waiting;
    let obstacle = gated.then(|| obstacle(info, &body.shape, object.as_deref(), contradiction, context)).flatten();
    let owner = info.controller().and_then(|owner| owner.uid.parse().ok());
    let created = created(meta);
    let membership = gang.ok().flatten().map(|announced| Membership {
        gang: Arc::new(GangKey { namespace: info.namespace().to_owned(), name: announced.name.to_owned(), owner }),
        size: announced.size,
        at_most: None,
        part: None,
    });
    Pod {
        uid,
        pool: interner.name(pool),
        priority: info.priority(),
        created,
        preemptible: preemptible.ok().flatten().unwrap_or(false),
        gang: membership,
        shape: Arc::clone(&body.shape),
        phase,
        obstacle,
        back_off: owner.filter(|_| gated).and_then(|owner| (context.back_off)(owner, created)),
        controlled: info.controller().is_some(),
    }
}

/// How an admitted pod stands, read from what was recorded with the removal of its gate.
fn admitted(info: PodInfo<'_>, interner: &mut Interner) -> Admitted {
    let grounds = match info.grounds() {
        Recorded::Known(grounds) => grounds,
        Recorded::Unknown(_) | Recorded::Silent => Grounds::Adopted,
    };
    // A pod that was released by hand has a record without a time.
    let decided = info.decision().filter(|decision| decision.at > 0).map(|decision| Time::from_millis(decision.at));
    let began = |condition_type: &str| {
        let found = info.condition(condition_type).filter(|found| found.status == "True")?;
        found.last_transition_time.as_ref().map(time)
    };
    let status = info.object().status.as_ref().filter(|_| info.phase() == "Running");
    Admitted {
        at: began(condition::ADMITTED)
            .or(began("PodScheduled"))
            .or(decided)
            .unwrap_or_else(|| created(&info.object().metadata)),
        grounds,
        node: info.node().map(|node| interner.name(node)),
        started: status.and_then(|status| status.start_time.as_ref().map(time)),
        terminating: terminating(&info.object().metadata),
    }
}

/// The deletion of a pod: its timestamp is the moment at which the grace period ends.
fn terminating(meta: &ObjectMeta) -> Option<Terminating> {
    let ends = meta.deletion_timestamp.as_ref().map(time)?;
    let grace = u64::try_from(meta.deletion_grace_period_seconds.unwrap_or(0)).unwrap_or(0);
    let grace = Duration::from_secs(grace);
    let since = Time::from_millis(ends.since(Time::ZERO.after(grace)).as_millis().try_into().unwrap_or(0));
    Some(Terminating { since, grace })
}

fn created(meta: &ObjectMeta) -> Time {
    meta.creation_timestamp.as_ref().map(time).unwrap_or_default()
}

/// What keeps a waiting pod from being considered, if anything does.
fn obstacle(
    info: PodInfo<'_>,
    shape: &PodShape,
    pool: Option<&ResourcePool>,
    contradiction: Option<String>,
    context: &Context<'_>,
) -> Option<Obstacle> {
    if let Some(sentence) = contradiction {
        return Some(Obstacle::Misconfigured(sentence));
    }
    let placement = &context.config.placement;
    let scheduler = info.object().spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or_default();
    if scheduler != placement.scheduler && !placement.other_schedulers.iter().any(|other| other == scheduler) {
        return Some(Obstacle::Misconfigured(format!(
            "spec.schedulerName: {scheduler:?} does not place admitted pods; leave it out, or have it configured"
        )));
    }
    let selector = pool.and_then(|pool| pool.spec.namespace_selector.as_ref());
    let labels = context.namespace.labels.as_ref();
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    if selector.is_some_and(|selector| !selects(selector, label)) {
        return Some(Obstacle::PoolNotAllowed(info.namespace().to_owned()));
    }
    let known = |key: &str, value: &str| (context.has_model)(&ModelLabel::new(key, value));
    if let Some(obstacle) = context.rules.obstacle(shape, known) {
        return Some(obstacle);
    }
    info.gates().find(|&gate| gate != names::GATE).map(|gate| Obstacle::OtherGate(gate.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use weir_model::Amount;
    use weir_placement::sku::SpecialHardware;

    const UID: &str = "0b7a6d1c-9b8e-4c55-8f3e-2d1f0a9c7e61";

    fn seen(mut object: Value) -> PodClass {
        object["metadata"]["uid"] = UID.into();
        object["metadata"]["namespace"] = "team".into();
        let config = Config::default();
        let list = r#"{"models": [{"model": "H100", "aliases": ["h100"], "gpusPerHost": 8}]}"#;
        let special = SpecialHardware::new(serde_json::from_str(list).unwrap()).unwrap();
        let rules = Rules::new(&config, special).unwrap();
        let selector = json!({ "matchLabels": { "may": "yes" } });
        let closed =
            ResourcePool::new("closed", serde_json::from_value(json!({ "namespaceSelector": selector })).unwrap());
        let closed = Arc::new(closed);
        let context = Context {
            config: &config,
            namespace: &ObjectMeta::default(),
            pool: &|name| (name == "closed").then(|| Arc::clone(&closed)),
            group: None,
            back_off: &|_, _| None,
            rules: &rules,
            has_model: &|label| *label == ModelLabel::new("gpu-node-label-model", "T4"),
        };
        pod(&serde_json::from_value(object).unwrap(), &context, &mut Interner::default()).unwrap()
    }

    /// A gated pod of pool `research`, with this added to its metadata and spec.
    fn gated(meta: Value, spec: Value) -> Value {
        let mut pod = json!({
            "metadata": { "annotations": { "weir.dev/pool": "research" }, "labels": { "weir.dev/pool": "research" } },
            "spec": { "schedulerName": "weir-scheduler", "schedulingGates": [{ "name": "weir.dev/admission" }],
                "containers": [{ "name": "c", "resources": { "requests": { "cpu": "1500m", "nvidia.com/gpu": "2" } } }] },
        });
        json_patch::merge(&mut pod["metadata"], &meta);
        json_patch::merge(&mut pod["spec"], &spec);
        pod
    }

    fn managed_pod(object: Value) -> Pod {
        match seen(object) {
            PodClass::Managed(managed) => managed.pod,
            other => panic!("{other:?}"),
        }
    }

    fn sentence(object: Value) -> String {
        match managed_pod(object).obstacle {
            Some(Obstacle::Misconfigured(sentence)) => sentence,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_gated_pod_waits_with_what_it_asks_for() {
        let pod = managed_pod(gated(json!({ "annotations": { "preemptible": "true" } }), json!({ "priority": 7 })));
        assert_eq!((&*pod.pool, pod.priority, pod.preemptible, pod.phase), ("research", 7, true, Phase::Waiting));
        assert_eq!(pod.shape.requests["cpu"], Amount::new(1500));
        assert_eq!(pod.shape.requests["nvidia.com/gpu"], Amount::new(2));
        assert_eq!(pod.obstacle, None);
    }

    #[test]
    fn what_stands_in_the_way_is_said_in_a_sentence() {
        let contradiction = json!({ "annotations": { "resource-pool": "other" } });
        assert!(sentence(gated(contradiction, json!({}))).contains("keep one of them"));
        assert!(sentence(gated(json!({ "labels": { "gang-member": "g" } }), json!({}))).contains("how many members"));
        assert!(sentence(gated(json!({}), json!({ "schedulerName": "volcano" }))).contains("spec.schedulerName"));
        let alias = json!({ "nodeSelector": { "gpu-node-label-model": "h100" } });
        assert!(sentence(gated(json!({}), alias)).starts_with("the alias h100 now means H100"));
        let unknown = managed_pod(gated(json!({}), json!({ "nodeSelector": { "gpu-node-label-model": "B200" } })));
        assert_eq!(unknown.obstacle, Some(Obstacle::UnknownModel("B200".to_owned())));
        let closed = managed_pod(gated(json!({ "annotations": { "weir.dev/pool": "closed" } }), json!({})));
        assert_eq!(closed.obstacle, Some(Obstacle::PoolNotAllowed("team".to_owned())));
        let gate = json!({ "schedulingGates": [{ "name": "weir.dev/admission" }, { "name": "a/b" }] });
        assert_eq!(managed_pod(gated(json!({}), gate)).obstacle, Some(Obstacle::OtherGate("a/b".to_owned())));
    }

    #[test]
    fn a_pod_with_more_names_than_it_may_list_says_so_and_still_counts_its_gpus() {
        let mut requests = json!({ "cpu": "2", "nvidia.com/gpu": "8" });
        (0..10_000).for_each(|at| requests[format!("example.com/r{at}")] = "1".into());
        let containers = json!({ "containers": [{ "name": "c", "resources": { "requests": requests } }] });
        assert!(sentence(gated(json!({}), containers.clone())).contains("more than 64 resources are listed"));
        let mut bound = containers;
        bound["nodeName"] = "n1".into();
        let PodClass::Unmanaged { shape, .. } = seen(json!({ "metadata": {}, "spec": bound })) else { panic!("it is") };
        let amounts: Vec<i64> = shape.requests.values().map(|amount| amount.units()).collect();
        assert_eq!(amounts, [2000, 8]);
    }

    #[test]
    fn an_unmanaged_pod_is_amounts_and_ports() {
        let on_node = |node: &str| {
            json!({ "metadata": {}, "spec": { "nodeName": node, "nodeSelector": { "a": node },
                "tolerations": [{ "operator": "Exists" }],
                "containers": [{ "name": "c", "ports": [{ "containerPort": 1, "hostPort": 1 }] }] } })
        };
        let shapes = ["n1", "n2"].map(|node| match seen(on_node(node)) {
            PodClass::Unmanaged { shape, .. } => shape,
            other => panic!("{other:?}"),
        });
        assert_eq!(shapes[0], shapes[1]);
        assert_eq!(shapes[0].ports.len(), 1);
    }

    #[test]
    fn what_was_recorded_with_the_gate_tells_on_what_grounds_a_pod_runs() {
        let running = |meta: Value| {
            let spec = json!({ "schedulingGates": null, "nodeName": "n1" });
            match managed_pod(gated(meta, spec)).phase {
                Phase::Admitted(admitted) => (admitted.grounds, admitted.node.as_deref().map(str::to_owned)),
                Phase::Waiting => panic!("it has no gate"),
            }
        };
        let recorded = json!({ "annotations": { "weir.dev/admitted-as": "OnLoan" } });
        assert_eq!(running(recorded), (Grounds::OnLoan, Some("n1".to_owned())));
        assert_eq!(running(json!({})).0, Grounds::Adopted);
    }

    #[test]
    fn a_pod_that_ran_before_weir_is_adopted_and_every_other_is_unmanaged() {
        let asked = json!({ "metadata": { "annotations": { "resource-pool": "research" } },
            "spec": { "containers": [], "nodeName": "n1" } });
        assert_eq!(&*managed_pod(asked.clone()).pool, "research");
        let mut daemon = asked.clone();
        daemon["metadata"]["ownerReferences"] =
            json!([{ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "1", "controller": true }]);
        assert!(matches!(seen(daemon), PodClass::Unmanaged { .. }));
        let foreign = json!({ "metadata": {}, "spec": { "containers": [], "nodeName": "n1" } });
        assert!(matches!(seen(foreign), PodClass::Unmanaged { .. }));
        let unbound = json!({ "metadata": {}, "spec": { "containers": [] } });
        assert!(matches!(seen(unbound), PodClass::Nothing(_)));
        let mut done = asked;
        done["status"] = json!({ "phase": "Succeeded" });
        assert!(matches!(seen(done), PodClass::Nothing(_)));
    }
}
