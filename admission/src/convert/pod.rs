//! A Pod object as the queue is told of it.
//!
//! A pod is ours while it carries our gate, or when it went through the webhook, which its annotation and
//! the mirrored label show, or when it would have asked for admission and runs already (A14): such a pod was
//! there before Weir and is adopted. Everybody else's pods count as unmanaged use of their node.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    NodeSelectorRequirement, NodeSelectorTerm, Pod as Written, PodSpec, Toleration as WrittenToleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use weir_api::pod::{Grounds as Recorded, PodInfo};
use weir_api::pool::ResourcePool;
use weir_api::{condition, names};
use weir_queue::{
    Admitted, BackOff, GangKey, Grounds, HostPort, Membership, Obstacle, Operator, Phase, Pod, PodShape, Requirement,
    Term, Time, Toleration, Uid,
};

use super::hosts::Rules;
use super::node::effect_of;
use super::{selects, time};
use crate::config::Config;
use crate::convert::metadata::{self, GangHints};
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
    /// How a pod backs off that this owner made at this moment.
    pub back_off: &'a dyn Fn(Uid, Time) -> Option<BackOff>,
    /// What the placement filters say.
    pub rules: &'a Rules,
    /// GPU models that some node has, by label key and value; where there is neither such a node nor special
    /// hardware, nothing is known yet and no model is unknown.
    pub models: &'a BTreeSet<(String, String)>,
}

/// What a pod is to us.
#[derive(Clone, Debug, PartialEq)]
pub enum PodClass {
    /// Ours: it waits, or it was admitted.
    Managed(Box<Pod>),
    /// Somebody else's, on a node.
    Unmanaged {
        /// Which.
        uid: Uid,
        /// Its node.
        node: Arc<str>,
        /// What it holds there.
        shape: Arc<PodShape>,
    },
    /// Nothing that counts: finished, or somebody else's without a node.
    Nothing(Uid),
}

/// Keeps equal shapes and names once: a hundred thousand pods have a handful of them.
#[derive(Debug, Default)]
pub struct Interner {
    shapes: HashSet<Arc<PodShape>>,
    names: HashSet<Arc<str>>,
}

impl Interner {
    fn shape(&mut self, shape: PodShape) -> Arc<PodShape> {
        if let Some(known) = self.shapes.get(&shape) {
            return Arc::clone(known);
        }
        let shape = Arc::new(shape);
        self.shapes.insert(Arc::clone(&shape));
        shape
    }

    /// A name, kept once.
    pub fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        name
    }
}

/// The UID of an object; none for one that the API server has not made.
#[must_use]
pub fn uid(meta: &ObjectMeta) -> Option<Uid> {
    meta.uid.as_deref()?.parse().ok()
}

/// Whether the pod carries our gate.
#[must_use]
pub fn is_gated(pod: &Written) -> bool {
    PodInfo::of(pod).is_gated()
}

/// What a pod is to us; none for an object without a UID.
#[must_use]
pub fn pod(written: &Written, context: &Context<'_>, interner: &mut Interner) -> Option<PodClass> {
    let uid = uid(&written.metadata)?;
    let empty = PodSpec::default();
    let spec = written.spec.as_ref().unwrap_or(&empty);
    let status = written.status.as_ref();
    let gated = is_gated(written);
    let ended = matches!(status.and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
    if ended || (gated && written.metadata.deletion_timestamp.is_some()) {
        return Some(PodClass::Nothing(uid));
    }
    let (shape, unreadable) = shape(written, spec);
    if !gated && !is_ours(written, context) {
        return Some(match spec.node_name.as_deref() {
            Some(node) => PodClass::Unmanaged { uid, node: interner.name(node), shape: interner.shape(shape) },
            None => PodClass::Nothing(uid),
        });
    }
    let meta = &written.metadata;
    let named = metadata::pool(meta, metadata::compat(context.config));
    let by_namespace = context.namespace.annotations.as_ref().and_then(|annotations| annotations.get(names::POOL));
    let fallback = by_namespace.map_or(context.config.pods.default_pool.as_str(), String::as_str);
    let pool = named.as_ref().ok().copied().flatten().unwrap_or(fallback);
    let object = (context.pool)(pool);
    let defaults = object.as_ref().and_then(|object| object.spec.defaults.clone()).unwrap_or_default();
    let gang = metadata::gang(meta, GangHints { gang_by: defaults.gang_by.as_deref(), group: context.group });
    let preemptible = metadata::preemptible(meta);
    let contradiction =
        [named.err(), preemptible.clone().err(), gang.clone().err(), unreadable].into_iter().flatten().next();
    let phase = if gated { Phase::Waiting } else { Phase::Admitted(admitted(written, spec, interner)) };
    let obstacle =
        if gated { obstacle(written, spec, &shape, object.as_deref(), contradiction, context) } else { None };
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let owner_uid = owner.and_then(|owner| owner.uid.parse().ok());
    let created = meta.creation_timestamp.as_ref().map(time).unwrap_or_default();
    let back_off = owner_uid.filter(|_| gated).and_then(|owner| (context.back_off)(owner, created));
    let membership = gang.ok().flatten().map(|wish| Membership {
        gang: Arc::new(GangKey {
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: wish.name.to_owned(),
            owner: owner_uid,
        }),
        size: wish.size,
        at_most: None,
        part: None,
    });
    Some(PodClass::Managed(Box::new(Pod {
        uid,
        pool: interner.name(pool),
        priority: spec.priority.unwrap_or(0),
        created,
        preemptible: preemptible.ok().flatten().unwrap_or(false),
        gang: membership,
        shape: interner.shape(shape),
        phase,
        obstacle,
        back_off,
        controlled: owner.is_some(),
    })))
}

/// Whether a pod without our gate is ours all the same.
fn is_ours(written: &Written, context: &Context<'_>) -> bool {
    let meta = &written.metadata;
    let has = |map: &Option<BTreeMap<String, String>>, key: &str| map.as_ref().is_some_and(|map| map.contains_key(key));
    if has(&meta.labels, names::POOL) && has(&meta.annotations, names::POOL) {
        return true;
    }
    // Created before Weir was there, so the user that created it is not known. To claim a DaemonSet as owner
    // gains nothing now: whoever is created from here on passes the webhook.
    let by_daemon = meta.owner_references.iter().flatten().any(|o| o.kind == "DaemonSet" && o.controller == Some(true));
    if by_daemon || has(&meta.annotations, "kubernetes.io/config.mirror") {
        return false;
    }
    let empty = BTreeMap::new();
    let request = Request {
        pod: written,
        namespace: meta.namespace.as_deref().unwrap_or_default(),
        namespace_labels: context.namespace.labels.as_ref().unwrap_or(&empty),
        user: "",
        groups: &[],
    };
    managed(context.config).holds(&request)
}

/// How an admitted pod is, read from what was recorded with the removal of its gate.
fn admitted(written: &Written, spec: &PodSpec, interner: &mut Interner) -> Admitted {
    let meta = &written.metadata;
    let info = PodInfo::of(written);
    let grounds = match info.grounds() {
        Recorded::Known(condition::Admitted::WithinEntitlement) => Grounds::WithinEntitlement,
        Recorded::Known(condition::Admitted::OnLoan) => Grounds::OnLoan,
        Recorded::Known(condition::Admitted::Replacement) => Grounds::Replacement,
        Recorded::Known(condition::Admitted::NotEnforced) => Grounds::NotEnforced,
        Recorded::Known(condition::Admitted::Released) => Grounds::Released,
        Recorded::Known(condition::Admitted::Adopted) | Recorded::Unknown(_) | Recorded::Silent => Grounds::Adopted,
    };
    // A pod that was released by hand has a record without a time.
    let decided = info.decision().filter(|decision| decision.at > 0).map(|decision| Time::from_millis(decision.at));
    let status = written.status.as_ref();
    let began = |condition_type: &str| {
        let conditions = status.and_then(|status| status.conditions.as_ref())?;
        let found = conditions.iter().find(|one| one.type_ == condition_type && one.status == "True")?;
        found.last_transition_time.as_ref().map(time)
    };
    let created = meta.creation_timestamp.as_ref().map(time).unwrap_or_default();
    let runs = status.and_then(|status| status.phase.as_deref()) == Some("Running");
    let started = status.filter(|_| runs).and_then(|status| status.start_time.as_ref().map(time));
    Admitted {
        at: began(condition::ADMITTED).or(began("PodScheduled")).or(decided).unwrap_or(created),
        grounds,
        node: spec.node_name.as_deref().map(|node| interner.name(node)),
        started,
        terminating: meta.deletion_timestamp.is_some(),
    }
}

/// What keeps a waiting pod from being considered, if anything does.
fn obstacle(
    written: &Written,
    spec: &PodSpec,
    shape: &PodShape,
    pool: Option<&ResourcePool>,
    contradiction: Option<String>,
    context: &Context<'_>,
) -> Option<Obstacle> {
    if let Some(sentence) = contradiction {
        return Some(Obstacle::Misconfigured(sentence));
    }
    let placement = &context.config.placement;
    let scheduler = spec.scheduler_name.as_deref().unwrap_or_default();
    if scheduler != placement.scheduler && !placement.other_schedulers.iter().any(|other| other == scheduler) {
        return Some(Obstacle::Misconfigured(format!(
            "spec.schedulerName: {scheduler:?} does not place admitted pods; leave it out, or have it configured"
        )));
    }
    let namespace = written.metadata.namespace.clone().unwrap_or_default();
    let selector = pool.and_then(|pool| pool.spec.namespace_selector.as_ref());
    let labels = context.namespace.labels.as_ref();
    let label = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
    if selector.is_some_and(|selector| !selects(selector, label)) {
        return Some(Obstacle::PoolNotAllowed(namespace));
    }
    let known = |key: &str, value: &str| {
        let none = context.models.is_empty() && context.rules.special().models().is_empty();
        none || context.models.contains(&(key.to_owned(), value.to_owned()))
    };
    if let Some(obstacle) = context.rules.obstacle(shape, known) {
        return Some(obstacle);
    }
    let gates = spec.scheduling_gates.iter().flatten();
    gates.map(|gate| gate.name.clone()).find(|gate| gate != names::GATE).map(Obstacle::OtherGate)
}

/// What a pod asks for and where it may run, and what of it cannot be read.
fn shape(written: &Written, spec: &PodSpec) -> (PodShape, Option<String>) {
    let requests = weir_api::requests::of(written);
    let unreadable = requests.as_ref().err().map(ToString::to_string);
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    let ports = spec.containers.iter().flat_map(|container| container.ports.iter().flatten());
    let shape = PodShape {
        requests: requests.unwrap_or_default().into_iter().collect(),
        node_selector: spec.node_selector.clone().unwrap_or_default(),
        affinity: required.iter().flat_map(|required| &required.node_selector_terms).map(term).collect(),
        tolerations: spec.tolerations.iter().flatten().map(toleration).collect(),
        ports: ports
            .filter_map(|port| {
                Some(HostPort {
                    protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
                    address: port.host_ip.clone().unwrap_or_default(),
                    port: u16::try_from(port.host_port.filter(|&port| port > 0)?).ok()?,
                })
            })
            .collect(),
    };
    (shape, unreadable)
}

fn term(written: &NodeSelectorTerm) -> Term {
    let NodeSelectorTerm { match_expressions, match_fields } = written;
    let read = |list: &Option<Vec<NodeSelectorRequirement>>| list.iter().flatten().map(requirement).collect();
    Term { expressions: read(match_expressions), names: read(match_fields) }
}

fn requirement(written: &NodeSelectorRequirement) -> Requirement {
    let NodeSelectorRequirement { key, operator, values } = written;
    let values = values.clone().unwrap_or_default();
    let bound = || values.first().and_then(|value| value.parse().ok());
    let operator = match operator.as_str() {
        "NotIn" => Operator::NotIn(values),
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => bound().map_or(Operator::In(Vec::new()), Operator::Gt),
        "Lt" => bound().map_or(Operator::In(Vec::new()), Operator::Lt),
        // What the API server does not know it refuses, so this is `In`; a list that is empty holds nowhere.
        _ => Operator::In(values),
    };
    Requirement { key: key.clone(), operator }
}

fn toleration(written: &WrittenToleration) -> Toleration {
    let WrittenToleration { effect, key, operator, toleration_seconds: _, value } = written;
    let exists = operator.as_deref() == Some("Exists");
    Toleration {
        key: key.clone().filter(|key| !key.is_empty()),
        value: if exists { None } else { Some(value.clone().unwrap_or_default()) },
        effect: effect.as_deref().and_then(effect_of),
    }
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
            models: &[("gpu-node-label-model".to_owned(), "T4".to_owned())].into(),
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
            PodClass::Managed(pod) => *pod,
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
    fn who_ran_before_weir_is_adopted_and_everybody_else_is_unmanaged() {
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
