//! From what the API server's watch says to what the story is told: one object at a time, and pure.
//!
//! The watch is the only source: what this program believes to have created or the scheduler to have bound
//! counts for nothing until the API server says so.

use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use kube::ResourceExt as _;
use kube::runtime::watcher;
use weir_model::{Amount, Quantity};

use super::checker::{Checker, GpuHosts};
use super::objects::{GPU, MODEL_LABEL};
use super::story::{self, Event, Origin};

/// Turns what is watched into events; holds what the checker has to remember.
pub(super) struct Observer {
    checker: Checker,
}

impl Observer {
    pub(super) fn new() -> Self {
        Self { checker: Checker::new(vec![Box::new(GpuHosts::default())]) }
    }

    pub(super) fn node(&mut self, event: &watcher::Event<Node>) -> Vec<Event> {
        match event {
            watcher::Event::Apply(node) | watcher::Event::InitApply(node) => {
                let violations = self.checker.node_seen(node).into_iter().map(Event::Violated);
                [Event::NodeSeen(seen_node(node))].into_iter().chain(violations).collect()
            }
            watcher::Event::Delete(node) => {
                self.checker.node_gone(&node.name_any());
                vec![Event::NodeGone { name: node.name_any() }]
            }
            watcher::Event::Init | watcher::Event::InitDone => Vec::new(),
        }
    }

    pub(super) fn pod(&mut self, event: &watcher::Event<Pod>) -> Vec<Event> {
        match event {
            watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                let violations = self.checker.pod_seen(pod).into_iter().map(Event::Violated);
                pod_events(pod).into_iter().chain(violations).collect()
            }
            watcher::Event::Delete(pod) => vec![Event::PodDeleted { pod: key(pod) }],
            watcher::Event::Init | watcher::Event::InitDone => Vec::new(),
        }
    }
}

/// Everything a pod says of itself, in the order in which it became true; the story drops what it knows.
fn pod_events(pod: &Pod) -> Vec<Event> {
    let spec = pod.spec.as_ref();
    let node = spec.and_then(|spec| spec.node_name.clone());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let refused = if node.is_none() { refusal(pod) } else { None };
    [
        Some(Event::PodCreated(seen_pod(pod))),
        refused.map(|message| Event::PodUnschedulable { pod: key(pod), message }),
        node.map(|node| Event::PodBound { pod: key(pod), node }),
        matches!(phase, Some("Succeeded" | "Failed")).then(|| Event::PodFinished { pod: key(pod) }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn refusal(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let no_node = |condition: &&PodCondition| condition.type_ == "PodScheduled" && condition.status == "False";
    conditions.iter().find(no_node)?.message.clone()
}

fn seen_node(node: &Node) -> story::Node {
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let amount = |resource: &str| amount_of(allocatable.and_then(|all| all.get(resource)).map(|it| &it.0), resource);
    story::Node {
        name: node.name_any(),
        model: node.labels().get(MODEL_LABEL).cloned(),
        gpus: amount(GPU),
        cpu_milli: amount("cpu"),
    }
}

fn seen_pod(pod: &Pod) -> story::Pod {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let requests: Vec<_> = containers.filter_map(|container| container.resources.as_ref()?.requests.as_ref()).collect();
    let amount = |resource: &str| -> Amount {
        requests.iter().map(|requests| amount_of(requests.get(resource).map(|it| &it.0), resource)).sum()
    };
    story::Pod {
        key: key(pod),
        name: pod.name_any(),
        origin: Origin::Trace(pod.name_any()),
        gpus: amount(GPU),
        cpu_milli: amount("cpu"),
        models: models(pod),
    }
}

/// The API server took the quantity, so it is one.
fn amount_of(text: Option<&String>, resource: &str) -> Amount {
    text.and_then(|text| Quantity::parse(text).ok()).map_or(Amount::ZERO, |quantity| quantity.amount(resource))
}

/// The models that the pod may run on, from its selector or its affinity.
fn models(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    if let Some(model) = spec.node_selector.as_ref().and_then(|selector| selector.get(MODEL_LABEL)) {
        return vec![model.clone()];
    }
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    let expressions = required.into_iter().flat_map(|required| &required.node_selector_terms);
    let expressions = expressions.flat_map(|term| term.match_expressions.iter().flatten());
    expressions.filter(|it| it.key == MODEL_LABEL).flat_map(|it| it.values.clone().unwrap_or_default()).collect()
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

    fn told(pod: Pod) -> Vec<Event> {
        Observer::new().pod(&watcher::Event::Apply(pod))
    }

    #[test]
    fn a_pod_that_is_first_seen_when_it_has_finished_was_created_and_bound_before() {
        let events = told(pod(json!({"nodeName": "n"}), json!({"phase": "Succeeded"})));
        let [Event::PodCreated(created), Event::PodBound { .. }, Event::PodFinished { .. }] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!((created.gpus, created.cpu_milli), (Amount::new(2), Amount::new(1500)));
    }

    #[test]
    fn a_refusal_is_told_as_long_as_there_is_no_node() {
        let status = json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}]});
        let refused = told(pod(json!({}), status.clone()));
        assert_eq!(refused[1], Event::PodUnschedulable { pod: "u".into(), message: "0/2 nodes".into() });
        assert_eq!(told(pod(json!({"nodeName": "n"}), status)).len(), 2);
    }

    #[test]
    fn models_are_read_from_the_selector_and_from_the_affinity() {
        let of = |spec| models(&pod(spec, json!({})));
        assert_eq!(of(json!({"nodeSelector": {"gpu-node-label-model": "T4"}})), ["T4"]);
        let affinity = json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [
                {"key": "gpu-node-label-model", "operator": "In", "values": ["V100M16", "V100M32"]}]}]}}}});
        assert_eq!(of(affinity), ["V100M16", "V100M32"]);
        assert_eq!(of(json!({})), [""; 0]);
    }

    #[test]
    fn a_pod_on_the_wrong_kind_of_host_is_a_violation() {
        let mut observer = Observer::new();
        let node = serde_json::from_value(json!({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "8"}}}));
        observer.node(&watcher::Event::Apply(node.unwrap()));
        let events = observer.pod(&watcher::Event::Apply(pod(json!({"nodeName": "n"}), json!({}))));
        assert!(matches!(events.last(), Some(Event::Violated(_))), "{events:?}");
    }
}
