//! From what the API server's watch says to what the story is told: one object at a time, and pure.
//!
//! The watch is the only source: what this program believes to have created or the scheduler to have bound
//! counts for nothing until the API server says so.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use kube::ResourceExt as _;
use kube::runtime::watcher;
use weir_api::condition::{self, Waiting};
use weir_api::pool::PoolResourceStatus;
use weir_api::quantity::amount;
use weir_api::requests::models;
use weir_api::{AdmissionRound, NodeLoad, PodInfo, ResourcePool};
use weir_checker::{Checker, SpecialModels, Violation, promises};
use weir_local::RUN_FOR_ANNOTATION;
use weir_model::{Amount, Quantity};

use super::cluster_state::{self, ClusterState, PodState};
use super::load::Loads;
use super::objects::{GPU, MAINTENANCE, MODEL_LABEL, NAMESPACE};
use super::roles::Role;
use super::run_state::{self, Event, Eviction, GangOf, Gate, Origin, Outlook, PoolFigures, PoolLevel};

/// What the sidecar says of somebody whom no node takes even when it is empty. It is the same word as for one
/// whom none takes now, so the sentence tells the two apart.
const NO_NODE_EVER: &str = "if the usable nodes were empty";

/// The condition that the API server itself writes on a pod that is evicted.
const DISRUPTED: &str = "DisruptionTarget";

/// Turns what is watched into events; holds what the checker has to remember.
pub(super) struct Observer {
    checker: Checker,
    special: SpecialModels,
    loads: Loads,
    cluster: ClusterState,
}

impl Observer {
    /// An observer of a cluster with this special hardware, of which `loads` report their load.
    pub(super) fn new(special: &SpecialModels, loads: Loads) -> Self {
        let mut invariants = promises::of_placement(special);
        invariants.extend(promises::of_admission(&special.names()));
        Self { checker: Checker::new(invariants), special: special.clone(), loads, cluster: ClusterState::default() }
    }

    /// What the agent of a host would report now.
    pub(super) fn load(&self, host: &str, now: Timestamp) -> NodeLoad {
        self.loads.report(host, now)
    }

    /// What the steps go by.
    pub(super) const fn cluster(&self) -> &ClusterState {
        &self.cluster
    }

    /// What can be judged only when nothing more happens.
    pub(super) fn settled(&mut self) -> Vec<Violation> {
        self.checker.settled()
    }

    pub(super) fn pool(&mut self, event: &watcher::Event<ResourcePool>) -> Vec<Event> {
        match event {
            watcher::Event::Apply(pool) | watcher::Event::InitApply(pool) => {
                self.checker.pool_seen(pool);
                let figures = figures(pool);
                self.cluster.pool_seen(&figures);
                vec![Event::PoolSeen(figures)]
            }
            watcher::Event::Delete(pool) => vec![Event::PoolGone { name: pool.name_any() }],
            watcher::Event::Init | watcher::Event::InitDone => Vec::new(),
        }
    }

    pub(super) fn round(&mut self, event: &watcher::Event<AdmissionRound>) {
        if let watcher::Event::Apply(round) | watcher::Event::InitApply(round) = event {
            self.checker.round_seen(round);
        }
    }

    pub(super) fn node(&mut self, event: &watcher::Event<Node>) -> Vec<Event> {
        match event {
            watcher::Event::Apply(node) | watcher::Event::InitApply(node) => {
                let violations = self.checker.node_seen(node).into_iter().map(Event::Violated);
                let node = self.seen_node(node);
                self.cluster.node_seen(&node);
                [Event::NodeSeen(node)].into_iter().chain(violations).collect()
            }
            watcher::Event::Delete(node) => {
                self.checker.node_gone(&node.name_any());
                self.cluster.node_gone(&node.name_any());
                vec![Event::NodeGone { name: node.name_any() }]
            }
            watcher::Event::Init | watcher::Event::InitDone => Vec::new(),
        }
    }

    pub(super) fn pod(&mut self, event: &watcher::Event<Pod>) -> Vec<Event> {
        match event {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                self.loads.pod_seen(pod);
                let violations = self.checker.pod_seen(pod).into_iter().map(Event::Violated);
                let events = self.pod_events(pod);
                self.follow(pod, &events);
                events.into_iter().chain(violations).collect()
            }
            watcher::Event::Delete(pod) => {
                self.loads.pod_gone(pod);
                self.checker.pod_gone(pod);
                self.cluster.pod_gone(&key(pod));
                vec![Event::PodDeleted { pod: key(pod) }]
            }
            watcher::Event::Init | watcher::Event::InitDone => Vec::new(),
        }
    }

    /// Everything a pod says of itself, in the order in which it became true; the story drops what it knows.
    fn pod_events(&self, pod: &Pod) -> Vec<Event> {
        let spec = pod.spec.as_ref();
        let node = spec.and_then(|spec| spec.node_name.clone());
        let refused = if node.is_none() { refusal(pod) } else { None };
        let said = PodInfo::of(pod);
        // One that is being deleted while it waits was not admitted.
        let gate = match (said.waits(), said.is_gated()) {
            (true, _) => Some(Event::PodQueued { pod: key(pod), gate: gate(&said) }),
            (false, false) => Some(Event::PodAdmitted { pod: key(pod) }),
            (false, true) => None,
        };
        [
            Some(Event::PodCreated(self.seen_pod(pod))),
            gate,
            refused.map(|message| Event::PodUnschedulable { pod: key(pod), message }),
            node.map(|node| Event::PodBound { pod: key(pod), node }),
            doom(pod, &said),
            said.has_ended().then(|| Event::PodFinished { pod: key(pod) }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Lets the steps know how far a pod is.
    fn follow(&mut self, pod: &Pod, events: &[Event]) {
        let mut state = PodState {
            name: pod.name_any(),
            role: Role::of(pod),
            ray_cluster: PodInfo::of(pod).ray_cluster().map(str::to_owned),
            counts_in: None,
            gpus: Amount::ZERO,
            model: models(pod).pop().map(str::to_owned),
            alone: PodInfo::of(pod).gang().is_none(),
            node: None,
            told: false,
        };
        let (mut pool, mut ended) = (None, false);
        for event in events {
            match event {
                Event::PodCreated(seen) => {
                    state.gpus = seen.gpus;
                    pool = seen.pool.clone().filter(|_| seen.special.is_none());
                }
                Event::PodQueued { pod: _, gate } => state.told |= cluster_state::is_told(gate),
                Event::PodAdmitted { .. } => state.counts_in = pool.take(),
                Event::PodUnschedulable { .. } => state.told = true,
                Event::PodBound { pod: _, node } => state.node = Some(node.clone()),
                Event::PodFinished { .. } => ended = true,
                _ => {}
            }
        }
        match ended {
            true => self.cluster.pod_gone(&key(pod)),
            false => self.cluster.pod_seen(key(pod), state),
        }
    }

    fn seen_node(&self, node: &Node) -> run_state::Node {
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        let amount =
            |resource: &str| amount_of(allocatable.and_then(|all| all.get(resource)).map(|it| &it.0), resource);
        run_state::Node {
            name: node.name_any(),
            model: node.labels().get(MODEL_LABEL).cloned(),
            special: self.special.of_node(node).is_some(),
            cordoned: is_cordoned(node),
            gpus: amount(GPU),
            cpu_milli: amount("cpu"),
        }
    }

    fn seen_pod(&self, pod: &Pod) -> run_state::Pod {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let requests: Vec<_> =
            containers.filter_map(|container| container.resources.as_ref()?.requests.as_ref()).collect();
        let amount = |resource: &str| -> Amount {
            requests.iter().map(|requests| amount_of(requests.get(resource).map(|it| &it.0), resource)).sum()
        };
        run_state::Pod {
            key: key(pod),
            name: pod.name_any(),
            origin: origin(pod),
            gpus: amount(GPU),
            cpu_milli: amount("cpu"),
            models: models(pod).into_iter().map(str::to_owned).collect(),
            special: self.special.named_by(pod).map(str::to_owned),
            pool: PodInfo::of(pod).pool().map(str::to_owned),
            preemptible: PodInfo::of(pod).preemptible(),
            ray_cluster: PodInfo::of(pod).ray_cluster().map(str::to_owned),
            ends: pod.annotations().contains_key(RUN_FOR_ANNOTATION),
        }
    }
}

/// Why a pod waits for admission, and whether that can change by waiting.
fn gate(said: &PodInfo<'_>) -> Gate {
    let told = said.admitted().filter(|told| told.status == "False");
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
            | Waiting::Misconfigured,
        )) => Outlook::ForGood,
        _ => Outlook::MayPass,
    };
    let gang = said
        .gang()
        .map(|gang| GangOf { name: gang.name.to_owned(), size: usize::try_from(gang.size).unwrap_or(usize::MAX) });
    Gate { reason, outlook, gang, pool: said.pool().map(str::to_owned) }
}

/// Only pods of the trace count at the end: neither those of the demonstration nor those that operators make.
fn origin(pod: &Pod) -> Origin {
    let of_trace = Role::of(pod).is_none() && pod.namespace().is_none_or(|namespace| namespace == NAMESPACE);
    if of_trace { Origin::Trace(pod.name_any()) } else { Origin::Added }
}

/// Whether nobody new comes to a node: somebody cordoned it, or it is under maintenance.
fn is_cordoned(node: &Node) -> bool {
    let Some(spec) = &node.spec else { return false };
    spec.unschedulable == Some(true) || spec.taints.iter().flatten().any(|taint| taint.key == MAINTENANCE)
}

/// That a pod has to go, or stays after all: what the sidecar says, and where that says nothing, what the API
/// server does when somebody else evicts it.
fn doom(pod: &Pod, said: &PodInfo<'_>) -> Option<Event> {
    let eviction = |found: &PodCondition| Eviction {
        reason: found.reason.clone().unwrap_or_default(),
        message: found.message.clone().unwrap_or_default(),
    };
    let is = |found: &&PodCondition, status: &str| found.status == status;
    let ours = said.condition(condition::PREEMPTED);
    let foreign = said.condition(DISRUPTED).filter(|found| is(found, "True"));
    match (ours.filter(|found| is(found, "True")).or(foreign), ours) {
        (Some(found), _) => Some(Event::PodDoomed { pod: key(pod), eviction: eviction(found) }),
        (None, Some(_)) => Some(Event::PodSpared { pod: key(pod) }),
        (None, None) => None,
    }
}

/// What a pool's status says, and what it reserves where nobody has looked at it yet.
fn figures(pool: &ResourcePool) -> PoolFigures {
    let listed = pool.spec.resources.iter().map(|resource| {
        let reserved = resource.reservation.as_ref().map_or(Amount::ZERO, |it| amount(&resource.name, it));
        (resource.name.clone(), PoolLevel { reserved, ..PoolLevel::default() })
    });
    let mut figures =
        PoolFigures { name: pool.name_any(), parent: pool.spec.parent.clone(), resources: listed.collect() };
    for status in pool.status.iter().flat_map(|status| &status.resources) {
        let PoolResourceStatus { name, entitlement, usage, demand, borrowed, trace: _, over_since: _ } = status;
        let level = figures.resources.entry(name.clone()).or_default();
        let [entitlement, usage, demand, borrowed] =
            [entitlement, usage, demand, borrowed].map(|written| amount(name, written));
        *level = PoolLevel { reserved: level.reserved, entitlement, usage, demand, borrowed };
    }
    figures
}

/// Why the scheduler found no node; a gate that is still there is no refusal.
fn refusal(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let no_node = |condition: &&PodCondition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    };
    conditions.iter().find(no_node)?.message.clone()
}

/// The API server took the quantity, so it is one.
fn amount_of(text: Option<&String>, resource: &str) -> Amount {
    text.and_then(|text| Quantity::parse(text).ok()).map_or(Amount::ZERO, |quantity| quantity.amount(resource))
}

fn key(pod: &Pod) -> String {
    pod.uid().unwrap_or_else(|| pod.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(spec: Value, status: Value) -> Pod {
        let mut spec = spec;
        spec["containers"] = json!([{"name": "c", "resources": {"requests": {"cpu": "1500m", "nvidia.com/gpu": "2"}}}]);
        serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "spec": spec, "status": status})).unwrap()
    }

    fn observer() -> Observer {
        let list = json!({"data": {"list": "{\"models\": [{\"model\": \"G3\"}]}"}});
        let special = SpecialModels::read(&serde_json::from_value(list).unwrap()).unwrap();
        Observer::new(&special, Loads::default())
    }

    fn told(pod: Pod) -> Vec<Event> {
        observer().pod(&watcher::Event::Apply(pod))
    }

    #[test]
    fn a_pod_that_is_first_seen_when_it_has_finished_was_created_and_bound_before() {
        let events = told(pod(json!({"nodeName": "n"}), json!({"phase": "Succeeded"})));
        let [Event::PodCreated(created), Event::PodAdmitted { .. }, Event::PodBound { .. }, Event::PodFinished { .. }] =
            events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert_eq!((created.gpus, created.cpu_milli), (Amount::new(2), Amount::new(1500)));
    }

    #[test]
    fn a_refusal_is_told_as_long_as_there_is_no_node() {
        let status = |reason: &str| {
            json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": reason, "message": "0/2 nodes"}]})
        };
        let refused = told(pod(json!({}), status("Unschedulable")));
        assert_eq!(refused[2], Event::PodUnschedulable { pod: "u".into(), message: "0/2 nodes".into() });
        assert_eq!(told(pod(json!({"nodeName": "n"}), status("Unschedulable"))).len(), 3);
        assert_eq!(told(pod(json!({}), status("SchedulingGated"))).len(), 2, "the scheduler has not looked at it");
    }

    fn gated(condition: Value) -> Gate {
        let mut pod =
            pod(json!({"schedulingGates": [{"name": "weir.dev/admission"}]}), json!({"conditions": [condition]}));
        pod.metadata.labels = Some([("weir.dev/gang".into(), "trio".into())].into());
        pod.metadata.annotations = Some([("weir.dev/gang-size".into(), "3".into())].into());
        match told(pod).remove(1) {
            Event::PodQueued { pod: _, gate } => gate,
            other => panic!("{other:?}"),
        }
    }

    fn because(reason: &str, message: &str) -> Value {
        json!({"type": "weir.dev/Admitted", "status": "False", "reason": reason, "message": message})
    }

    #[test]
    fn a_gated_pod_waits_with_its_reason_and_its_gang() {
        let gang = Some(GangOf { name: "trio".into(), size: 3 });
        let outlook = Outlook::Incomplete;
        assert_eq!(
            gated(because("WaitingForGang", "1 of 3")),
            Gate { reason: Some("WaitingForGang".into()), outlook, gang: gang.clone(), pool: None }
        );
        assert_eq!(gated(json!({"type": "Other", "status": "False"})), Gate { gang, ..Gate::default() });
    }

    #[test]
    fn whether_waiting_helps_follows_from_what_the_pod_was_told() {
        let outlook = |reason: &str, message: &str| gated(because(reason, message)).outlook;
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
    fn a_pool_is_told_with_the_figures_of_its_status() {
        let pool: ResourcePool = serde_json::from_value(json!({"apiVersion": "weir.dev/v1alpha1", "kind": "ResourcePool",
            "metadata": {"name": "labs-research"}, "spec": {"parent": "labs", "resources": [
                {"name": "cpu", "reservation": "8"}, {"name": "nvidia.com/gpu", "reservation": "4"}]},
            "status": {"resources": [{"name": "cpu", "entitlement": "12", "usage": "9500m", "demand": "1", "borrowed": "4"}]}}))
        .unwrap();
        let told = observer().pool(&watcher::Event::Apply(pool));
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
            PoolFigures { name: "labs-research".into(), parent: Some("labs".into()), resources: resources.into() };
        assert_eq!(told, [Event::PoolSeen(figures)]);
    }

    #[test]
    fn what_is_special_is_told_of_nodes_and_pods() {
        let node = json!({"metadata": {"name": "n", "labels": {"gpu-node-label-model": "G3"}}});
        let told_of = observer().node(&watcher::Event::Apply(serde_json::from_value(node).unwrap()));
        assert!(matches!(&told_of[0], Event::NodeSeen(node) if node.special), "{told_of:?}");
        let events = told(pod(json!({"nodeSelector": {"gpu-node-label-model": "G3"}}), json!({})));
        assert!(matches!(&events[0], Event::PodCreated(pod) if pod.special.as_deref() == Some("G3")), "{events:?}");
    }

    #[test]
    fn a_pod_on_the_wrong_kind_of_host_is_a_violation() {
        let mut observer = observer();
        let node = serde_json::from_value(json!({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "8"}}}));
        observer.node(&watcher::Event::Apply(node.unwrap()));
        let events = observer.pod(&watcher::Event::Apply(pod(json!({"nodeName": "n"}), json!({}))));
        assert!(matches!(events.last(), Some(Event::Violated(_))), "{events:?}");
    }
}
