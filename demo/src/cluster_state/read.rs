//! From objects of the API server to what the state holds of them: one object at a time, and pure.

use k8s_openapi::api::core::v1::{Node, Pod as Object, PodCondition};
use kube::ResourceExt as _;
use kube::runtime::watcher;
use weir_api::condition::{PREEMPTED, Waiting};
use weir_api::names::GPU_MODEL;
use weir_api::pool::PoolResourceStatus;
use weir_api::quantity::amount;
use weir_api::requests::{self, models};
use weir_api::{PodInfo, ResourcePool};
use weir_checker::SpecialModels;
use weir_local::RUN_FOR_ANNOTATION;
use weir_model::Amount;
use weir_model::dimension::{CPU, GPU, MEMORY};

use super::change::Change;
use super::eviction::Eviction;
use super::node::NodeState;
use super::pod::{Asks, GangOf, Gate, Origin, Outlook, Pod, PodState};
use super::pool::{PoolLevel, PoolState};
use super::refusal::Refusal;
use crate::scenario::objects::{MAINTENANCE, NAMESPACE};
use crate::scenario::role::Role;

/// What the sidecar says of a pod that no node takes even when it is empty. The reason is the same as for a pod that
/// none takes now, so the sentence tells the two apart.
const NO_NODE_EVER: &str = "if the usable nodes were empty";

/// The condition that the API server itself writes on a pod that is evicted.
const DISRUPTED: &str = "DisruptionTarget";

/// Reads objects of a cluster with this special hardware.
#[derive(Clone, Debug)]
pub struct Reader {
    special: SpecialModels,
}

impl Reader {
    /// A reader for a cluster with this special hardware.
    #[must_use]
    pub const fn new(special: SpecialModels) -> Self {
        Self { special }
    }

    /// What a watch of nodes told.
    #[must_use]
    pub fn node_event(&self, event: &watcher::Event<Node>) -> Option<Change> {
        match event {
            watcher::Event::Apply(node) | watcher::Event::InitApply(node) => Some(Change::Node(self.node(node))),
            watcher::Event::Delete(node) => Some(Change::NodeGone(node.name_any())),
            watcher::Event::Init | watcher::Event::InitDone => None,
        }
    }

    /// What a watch of pods told.
    #[must_use]
    pub fn pod_event(&self, event: &watcher::Event<Object>) -> Option<Change> {
        match event {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => Some(Change::Pod(Box::new(self.pod(pod)))),
            watcher::Event::Delete(pod) => Some(Change::PodGone(PodInfo::of(pod).key())),
            watcher::Event::Init | watcher::Event::InitDone => None,
        }
    }

    /// What a watch of pools told.
    #[must_use]
    pub fn pool_event(event: &watcher::Event<ResourcePool>) -> Option<Change> {
        match event {
            watcher::Event::Apply(pool) | watcher::Event::InitApply(pool) => Some(Change::Pool(figures(pool))),
            watcher::Event::Delete(pool) => Some(Change::PoolGone(pool.name_any())),
            watcher::Event::Init | watcher::Event::InitDone => None,
        }
    }

    fn node(&self, node: &Node) -> NodeState {
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let of = |resource: &str| {
            allocatable.and_then(|all| all.get(resource)).map_or(Amount::ZERO, |written| amount(resource, written))
        };
        NodeState {
            name: node.name_any(),
            model: node.labels().get(GPU_MODEL).cloned(),
            special: self.special.of_node(node).is_some(),
            cordoned: is_cordoned(node),
            gpus: of(GPU),
            cpu_milli: of(CPU),
        }
    }

    fn pod(&self, object: &Object) -> PodState {
        let info = PodInfo::of(object);
        let pod = Pod {
            key: info.key(),
            name: object.name_any(),
            origin: origin(object),
            asks: asks(object),
            models: models(object).into_iter().map(str::to_owned).collect(),
            special: self.special.named_by(object).map(str::to_owned),
            pool: info.pool().map(str::to_owned),
            gang: info.gang().map(|gang| GangOf {
                name: gang.name.to_owned(),
                size: usize::try_from(gang.size).unwrap_or(usize::MAX),
            }),
            preemptible: info.preemptible(),
            ray_cluster: info.ray_cluster().map(str::to_owned),
            ends: object.annotations().contains_key(RUN_FOR_ANNOTATION),
        };
        PodState {
            // A pod that is deleted while it waits was not admitted.
            gate: info.is_gated().then(|| gate(info)),
            refusal: refusal(info).filter(|_| info.node().is_none()),
            node: info.node().map(str::to_owned),
            eviction: eviction(info),
            ended: info.has_ended(),
            ..PodState::new(pod)
        }
    }
}

/// Why a pod waits for admission, and whether that can change by waiting.
fn gate(info: PodInfo<'_>) -> Gate {
    let told = info.admitted().filter(|told| told.status == "False");
    let reason = told.and_then(|told| told.reason.clone());
    let no_node_ever = told.and_then(|told| told.message.as_ref()).is_some_and(|text| text.contains(NO_NODE_EVER));
    let outlook = match reason.as_deref().map(str::parse) {
        Some(Ok(Waiting::WaitingForGang)) => Outlook::Incomplete,
        Some(Ok(Waiting::WaitingForPlacement)) if no_node_ever => Outlook::ForGood,
        Some(Ok(
            Waiting::ExceedsMaxQuota
            | Waiting::ExceedsReservation
            | Waiting::PoolNotFound
            | Waiting::PoolNotLeaf
            | Waiting::PoolHeld
            | Waiting::PoolNotAllowed
            | Waiting::UnknownModel
            | Waiting::UnknownResource
            | Waiting::Misconfigured,
        )) => Outlook::ForGood,
        _ => Outlook::MayPass,
    };
    Gate { reason, outlook }
}

/// Only pods of the trace count at the end: neither those of the story nor those that operators make.
fn origin(pod: &Object) -> Origin {
    match Role::of(pod) {
        Some(role) => Origin::Story(role),
        None if pod.namespace().is_none_or(|namespace| namespace == NAMESPACE) => Origin::Trace,
        None => Origin::Other,
    }
}

fn asks(pod: &Object) -> Asks {
    let requests = requests::of(pod).unwrap_or_default();
    let of =
        |resource: &str| requests.iter().find(|(name, _)| name == resource).map_or(Amount::ZERO, |(_, amount)| *amount);
    Asks { gpus: of(GPU), cpu_milli: of(CPU), memory: of(MEMORY) }
}

/// Whether a node takes no new pods: it is cordoned or under maintenance.
fn is_cordoned(node: &Node) -> bool {
    let Some(spec) = &node.spec else { return false };
    spec.unschedulable == Some(true) || spec.taints.iter().flatten().any(|taint| taint.key == MAINTENANCE)
}

/// Why a pod has to go: what the sidecar says, and where that says nothing, what the API server does when others evict
/// it.
fn eviction(info: PodInfo<'_>) -> Option<Eviction> {
    let holds = |found: &&PodCondition| found.status == "True";
    let ours = info.condition(PREEMPTED).filter(holds);
    let found = ours.or_else(|| info.condition(DISRUPTED).filter(holds))?;
    Some(Eviction {
        reason: found.reason.clone().unwrap_or_default(),
        message: found.message.clone().unwrap_or_default(),
    })
}

/// Why the scheduler found no node; a gate that is still there is no refusal.
fn refusal(info: PodInfo<'_>) -> Option<Refusal> {
    let found = info.condition("PodScheduled").filter(|found| found.status == "False")?;
    let refused = found.reason.as_deref() == Some("Unschedulable");
    found.message.as_deref().filter(|_| refused).map(Refusal::parse)
}

/// What a pool's status says, and what it reserves where no sidecar has looked at it yet.
fn figures(pool: &ResourcePool) -> PoolState {
    let listed = pool.spec.resources.iter().map(|resource| {
        let reserved = resource.reservation.as_ref().map_or(Amount::ZERO, |it| amount(&resource.name, it));
        (resource.name.clone(), PoolLevel { reserved, ..PoolLevel::default() })
    });
    let mut figures =
        PoolState { name: pool.name_any(), parent: pool.spec.parent.clone(), resources: listed.collect() };
    for status in pool.status.iter().flat_map(|status| &status.resources) {
        let PoolResourceStatus { name, entitlement, usage, demand, borrowed, trace: _, over_since: _ } = status;
        let level = figures.resources.entry(name.clone()).or_default();
        let [entitlement, usage, demand, borrowed] =
            [entitlement, usage, demand, borrowed].map(|written| amount(name, written));
        *level = PoolLevel { reserved: level.reserved, entitlement, usage, demand, borrowed };
    }
    figures
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster_state::{ClusterState, What};
    use crate::example::NOW;

    fn pod(spec: Value, status: Value) -> Object {
        let mut spec = spec;
        spec["containers"] = json!([{"name": "c", "resources": {"requests": {"cpu": "1500m", "nvidia.com/gpu": "2"}}}]);
        serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "spec": spec, "status": status})).unwrap()
    }

    fn reader() -> Reader {
        let list = json!({"data": {"list": "{\"models\": [{\"model\": \"G3\"}]}"}});
        Reader::new(SpecialModels::read(&serde_json::from_value(list).unwrap()).unwrap())
    }

    fn read(pod: Object) -> PodState {
        match reader().pod_event(&watcher::Event::Apply(pod)) {
            Some(Change::Pod(pod)) => *pod,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_pod_that_is_first_seen_when_it_has_finished_was_created_and_bound_before() {
        let seen = read(pod(json!({"nodeName": "n"}), json!({"phase": "Succeeded"})));
        let Asks { gpus, cpu_milli, memory: _ } = seen.pod.asks;
        assert_eq!((gpus, cpu_milli), (Amount::new(2), Amount::new(1500)));
        let news = ClusterState::default().apply(NOW, Change::Pod(Box::new(seen)));
        let whats: Vec<What> = news.into_iter().map(|news| news.what).collect();
        assert_eq!(whats, [What::Created, What::Bound("n".into()), What::Finished]);
    }

    #[test]
    fn a_refusal_is_told_as_long_as_there_is_no_node() {
        let status = |reason: &str| {
            json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": reason, "message": "0/2 nodes"}]})
        };
        let refused = read(pod(json!({}), status("Unschedulable")));
        assert_eq!(refused.refusal, Some(Refusal::parse("0/2 nodes")));
        assert_eq!(read(pod(json!({"nodeName": "n"}), status("Unschedulable"))).refusal, None);
        assert_eq!(read(pod(json!({}), status("SchedulingGated"))).refusal, None, "the scheduler has not looked at it");
    }

    fn gated(condition: Value) -> PodState {
        let mut pod =
            pod(json!({"schedulingGates": [{"name": "weir.dev/admission"}]}), json!({"conditions": [condition]}));
        pod.metadata.labels = Some([("weir.dev/gang".into(), "trio".into())].into());
        pod.metadata.annotations = Some([("weir.dev/gang-size".into(), "3".into())].into());
        read(pod)
    }

    fn because(reason: &str, message: &str) -> Value {
        json!({"type": "weir.dev/Admitted", "status": "False", "reason": reason, "message": message})
    }

    #[test]
    fn a_gated_pod_waits_with_its_reason_and_its_gang() {
        let waits = gated(because("WaitingForGang", "1 of 3"));
        let gate = Gate { reason: Some("WaitingForGang".into()), outlook: Outlook::Incomplete };
        assert_eq!((waits.gate, waits.pod.gang), (Some(gate), Some(GangOf { name: "trio".into(), size: 3 })));
        assert_eq!(gated(json!({"type": "Other", "status": "False"})).gate, Some(Gate::default()));
    }

    #[test]
    fn whether_waiting_helps_follows_from_what_the_pod_was_told() {
        let outlook = |reason: &str, message: &str| gated(because(reason, message)).gate.unwrap().outlook;
        assert_eq!(outlook("WaitingForQuota", "asks for 8"), Outlook::MayPass);
        assert_eq!(outlook("ExceedsEntitlement", "asks for 8"), Outlook::MayPass);
        assert_eq!(outlook("ExceedsReservation", "reserves 2"), Outlook::ForGood);
        let sentence = |never: bool| match never {
            true => weir_queue::Explanation::NeverPlaced { fit: 0, of: 1 },
            false => weir_queue::Explanation::Placement { fit: 0, of: 1 },
        };
        assert_eq!(outlook("WaitingForPlacement", &sentence(false).to_string()), Outlook::MayPass);
        assert_eq!(outlook("WaitingForPlacement", &sentence(true).to_string()), Outlook::ForGood);
    }

    #[test]
    fn a_pod_that_was_spared_does_not_have_to_go() {
        let eviction = |status: &str, others: Value| {
            let ours = json!({"type": "weir.dev/Preempted", "status": status, "reason": "Reclaimed", "message": "why"});
            read(pod(json!({"nodeName": "n"}), json!({"conditions": [ours, others]}))).eviction
        };
        let none = || json!({"type": "Ready", "status": "True"});
        assert_eq!(eviction("True", none()).map(|it| it.reason).as_deref(), Some("Reclaimed"));
        assert_eq!(eviction("False", none()), None);
        let foreign = json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"});
        assert_eq!(eviction("False", foreign).map(|it| it.reason).as_deref(), Some("EvictionByEvictionAPI"));
    }

    #[test]
    fn a_pool_is_told_with_the_figures_of_its_status() {
        let pool: ResourcePool = serde_json::from_value(json!({"apiVersion": "weir.dev/v1alpha1", "kind": "ResourcePool",
            "metadata": {"name": "labs-research"}, "spec": {"parent": "labs", "resources": [
                {"name": "cpu", "reservation": "8"}, {"name": "nvidia.com/gpu", "reservation": "4"}]},
            "status": {"resources": [{"name": "cpu", "entitlement": "12", "usage": "9500m", "demand": "1", "borrowed": "4"}]}}))
        .unwrap();
        let told = Reader::pool_event(&watcher::Event::Apply(pool));
        let amounts = |[reserved, entitlement, usage, demand, borrowed]: [i64; 5]| {
            let [reserved, entitlement, usage, demand, borrowed] =
                [reserved, entitlement, usage, demand, borrowed].map(Amount::new);
            PoolLevel { reserved, entitlement, usage, demand, borrowed }
        };
        let resources = [
            ("cpu".to_owned(), amounts([8000, 12_000, 9500, 1000, 4000])),
            ("nvidia.com/gpu".to_owned(), amounts([4, 0, 0, 0, 0])),
        ];
        let figures =
            PoolState { name: "labs-research".into(), parent: Some("labs".into()), resources: resources.into() };
        assert_eq!(told, Some(Change::Pool(figures)));
    }

    #[test]
    fn what_is_special_is_told_of_nodes_and_pods() {
        let node = json!({"metadata": {"name": "n", "labels": {"gpu-node-label-model": "G3"}}});
        let told = reader().node_event(&watcher::Event::Apply(serde_json::from_value(node).unwrap()));
        assert!(matches!(&told, Some(Change::Node(node)) if node.special), "{told:?}");
        let seen = read(pod(json!({"nodeSelector": {"gpu-node-label-model": "G3"}}), json!({})));
        assert_eq!(seen.pod.special.as_deref(), Some("G3"));
    }
}
