//! Nodes and pods of the trace as Kubernetes objects.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Affinity, Container, Node, NodeAffinity, NodeCondition, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm,
    NodeStatus, Pod, PodSpec, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use weir_api::names::{self, GPU_MODEL};
use weir_local::RUN_FOR_ANNOTATION;
use weir_model::dimension::GPU;
use weir_simulator::openb::{TraceNode, TracePod};

use super::timeline::Arrival;

/// The plugin that keeps special hardware for the pods that name it.
pub(crate) const SKU_EXCLUSION: &str = "SKUExclusionFilter";
/// The ConfigMap with the list of special hardware, as `namespace/name`.
pub(crate) const SPECIAL_HARDWARE: &str = "weir-system/special-hardware";
/// The namespace of the pods.
pub(crate) const NAMESPACE: &str = "default";

/// The taint of a node that is under maintenance, as in the sidecar's configuration.
pub(crate) const MAINTENANCE: &str = "maintenance";

/// How many pods a kubelet runs by default; the trace does not say.
const PODS_PER_NODE: &str = "110";

/// A node of the trace: its size, its model as a label, and ready.
#[must_use]
pub(crate) fn node(node: &TraceNode) -> Node {
    let mut resources = BTreeMap::from([
        ("cpu".to_owned(), Quantity(format!("{}m", node.cpu_milli))),
        ("memory".to_owned(), Quantity(format!("{}Mi", node.memory_mib))),
        ("pods".to_owned(), Quantity(PODS_PER_NODE.to_owned())),
    ]);
    let mut labels = BTreeMap::from(
        [
            ("kubernetes.io/hostname", node.name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", "amd64"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    if node.gpus > 0 {
        resources.insert(GPU.to_owned(), Quantity(node.gpus.to_string()));
    }
    if let Some(model) = &node.model {
        labels.insert(GPU_MODEL.to_owned(), model.clone());
    }
    let ready = NodeCondition {
        type_: "Ready".to_owned(),
        status: "True".to_owned(),
        reason: Some("KubeletReady".to_owned()),
        ..NodeCondition::default()
    };
    Node {
        metadata: ObjectMeta { name: Some(node.name.clone()), labels: Some(labels), ..ObjectMeta::default() },
        spec: None,
        status: Some(NodeStatus {
            capacity: Some(resources.clone()),
            allocatable: Some(resources),
            conditions: Some(vec![ready]),
            ..NodeStatus::default()
        }),
    }
}

/// A pod of the trace, asking for admission; a fraction of a GPU becomes a whole one, because `nvidia.com/gpu`
/// counts devices.
#[must_use]
pub(crate) fn pod(arrival: &Arrival) -> Pod {
    let Arrival { at: _, runs_for, pod, member } = arrival;
    let run_for = runs_for.map(|time| (RUN_FOR_ANNOTATION.to_owned(), format!("{}ms", time.as_millis().max(1))));
    let mut made = Pod {
        metadata: ObjectMeta {
            name: Some(pod.name.clone()),
            labels: Some(BTreeMap::from([("app.kubernetes.io/name".to_owned(), "openb".to_owned())])),
            annotations: run_for.map(|annotation| BTreeMap::from([annotation])),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            scheduler_name: Some(names::ADMISSION_SCHEDULER.to_owned()),
            containers: vec![container(pod)],
            node_selector: only_model(pod),
            affinity: one_of_models(pod),
            restart_policy: Some("Never".to_owned()),
            automount_service_account_token: Some(false),
            termination_grace_period_seconds: Some(0),
            ..PodSpec::default()
        }),
        status: None,
    };
    member.annotate(&mut made);
    made
}

/// Takes from what a pod is to run what one before it ran already: its work was saved.
pub(crate) fn shorten(pod: &mut Pod, before: &Pod, now: Timestamp) {
    let Some(annotation) = pod.annotations_mut().get_mut(RUN_FOR_ANNOTATION) else { return };
    let Some(whole) = annotation.strip_suffix("ms").and_then(|millis| millis.parse::<i64>().ok()) else { return };
    let began = before.status.as_ref().and_then(|status| status.start_time.as_ref());
    let ran = began.map_or(0, |began| now.duration_since(began.0).as_millis());
    let left = i128::from(whole).saturating_sub(ran.max(0)).max(1);
    *annotation = format!("{left}ms");
}

fn container(pod: &TracePod) -> Container {
    let mut requests = BTreeMap::from([
        ("cpu".to_owned(), Quantity(format!("{}m", pod.cpu_milli))),
        ("memory".to_owned(), Quantity(format!("{}Mi", pod.memory_mib))),
    ]);
    // Of an extended resource the request is the limit, and the API server wants the limit to be there.
    let limits = (pod.gpus > 0).then(|| BTreeMap::from([(GPU.to_owned(), Quantity(pod.gpus.to_string()))]));
    requests.extend(limits.clone().into_iter().flatten());
    Container {
        name: "main".to_owned(),
        image: Some("openb".to_owned()),
        resources: Some(ResourceRequirements { requests: Some(requests), limits, claims: None }),
        ..Container::default()
    }
}

/// The selector of a pod that may run on one model only.
fn only_model(pod: &TracePod) -> Option<BTreeMap<String, String>> {
    match pod.models.as_slice() {
        [model] => Some(BTreeMap::from([(GPU_MODEL.to_owned(), model.clone())])),
        _ => None,
    }
}

/// The affinity of a pod that may run on several models.
fn one_of_models(pod: &TracePod) -> Option<Affinity> {
    if pod.models.len() < 2 {
        return None;
    }
    let requirement = NodeSelectorRequirement {
        key: GPU_MODEL.to_owned(),
        operator: "In".to_owned(),
        values: Some(pod.models.clone()),
    };
    let term = NodeSelectorTerm { match_expressions: Some(vec![requirement]), match_fields: None };
    let required = NodeSelector { node_selector_terms: vec![term] };
    let node_affinity = NodeAffinity {
        required_during_scheduling_ignored_during_execution: Some(required),
        preferred_during_scheduling_ignored_during_execution: None,
    };
    Some(Affinity { node_affinity: Some(node_affinity), ..Affinity::default() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::scenario::members::Member;

    fn member() -> Member {
        Member { at: Duration::ZERO, pool: "vision-research", preemptible: true, gang: None }
    }

    fn spec(models: &[&str], gpus: i64, gpu_milli: i64) -> Value {
        let models = models.iter().map(|&model| model.to_owned()).collect();
        let (name, created, deleted) = ("openb-pod-1".to_owned(), None, None);
        let trace = TracePod { name, cpu_milli: 3152, memory_mib: 5600, gpus, gpu_milli, models, created, deleted };
        let arrival =
            Arrival { at: Duration::ZERO, runs_for: Some(Duration::from_millis(1500)), pod: trace, member: member() };
        serde_json::to_value(pod(&arrival).spec.unwrap()).unwrap()
    }

    #[test]
    fn a_node_carries_its_model_and_its_size() {
        let (name, model) = ("openb-node-7".to_owned(), Some("G2".to_owned()));
        let made = node(&TraceNode { name, cpu_milli: 96_000, memory_mib: 393_216, gpus: 8, model });
        assert_eq!(made.metadata.labels.unwrap()["gpu-node-label-model"], "G2");
        let allocatable = serde_json::to_value(made.status.unwrap().allocatable).unwrap();
        assert_eq!(allocatable, json!({"cpu": "96000m", "memory": "393216Mi", "nvidia.com/gpu": "8", "pods": "110"}));
    }

    #[test]
    fn a_cpu_node_names_no_gpu_at_all() {
        let name = "openb-node-0".to_owned();
        let made = node(&TraceNode { name, cpu_milli: 32_000, memory_mib: 262_144, gpus: 0, model: None });
        assert!(!made.metadata.labels.unwrap().contains_key("gpu-node-label-model"));
        assert!(!made.status.unwrap().capacity.unwrap().contains_key("nvidia.com/gpu"));
    }

    #[test]
    fn a_fraction_of_a_gpu_is_rounded_up_to_one() {
        let resources = &spec(&[], 1, 460)["containers"][0]["resources"];
        let requests = json!({"cpu": "3152m", "memory": "5600Mi", "nvidia.com/gpu": "1"});
        assert_eq!(*resources, json!({"requests": requests, "limits": {"nvidia.com/gpu": "1"}}));
    }

    #[test]
    fn one_model_is_a_selector_and_several_are_a_required_affinity() {
        assert_eq!(spec(&["T4"], 1, 1000)["nodeSelector"], json!({"gpu-node-label-model": "T4"}));
        assert_eq!(spec(&["T4"], 1, 1000)["affinity"], Value::Null);
        let several = spec(&["V100M16", "V100M32"], 1, 1000);
        assert_eq!(several["nodeSelector"], Value::Null);
        let required = &several["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(
            *required,
            json!({"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "gpu-node-label-model", "operator": "In", "values": ["V100M16", "V100M32"]}]}]})
        );
    }

    #[test]
    fn a_pod_asks_for_admission_to_its_pool() {
        let (name, created, deleted) = ("openb-pod-1".to_owned(), None, None);
        let trace =
            TracePod { name, cpu_milli: 1, memory_mib: 1, gpus: 0, gpu_milli: 0, models: vec![], created, deleted };
        let made = pod(&Arrival { at: Duration::ZERO, runs_for: None, pod: trace, member: member() });
        assert_eq!(made.spec.unwrap().scheduler_name.as_deref(), Some("kube-resource-manager-scheduler"));
        let annotations = json!({"weir.dev/pool": "vision-research", "weir.dev/preemptible": "true"});
        assert_eq!(serde_json::to_value(made.metadata.annotations).unwrap(), annotations);
    }

    #[test]
    fn a_pod_that_is_made_again_runs_for_what_is_left_of_its_life() {
        let left = |run_for: Option<&str>, began: Option<&str>| {
            let annotations = run_for.map(|time| json!({ "local.weir.dev/run-for": time }));
            let mut next: Pod = serde_json::from_value(json!({ "metadata": { "annotations": annotations } })).unwrap();
            let before = serde_json::from_value(json!({ "status": { "startTime": began } })).unwrap();
            shorten(&mut next, &before, "2026-01-01T00:00:10Z".parse().unwrap());
            next.annotations().get("local.weir.dev/run-for").cloned()
        };
        assert_eq!(left(Some("25000ms"), Some("2026-01-01T00:00:00Z")).as_deref(), Some("15000ms"));
        assert_eq!(left(Some("25000ms"), None).as_deref(), Some("25000ms"), "it never ran");
        assert_eq!(left(Some("5000ms"), Some("2026-01-01T00:00:00Z")).as_deref(), Some("1ms"));
        assert_eq!(left(None, Some("2026-01-01T00:00:00Z")), None);
    }

    #[test]
    fn a_pod_says_how_long_it_runs() {
        let (name, created, deleted) = ("openb-pod-1".to_owned(), None, None);
        let trace =
            TracePod { name, cpu_milli: 1, memory_mib: 1, gpus: 0, gpu_milli: 0, models: vec![], created, deleted };
        let arrival =
            Arrival { at: Duration::ZERO, runs_for: Some(Duration::from_millis(1500)), pod: trace, member: member() };
        assert_eq!(pod(&arrival).metadata.annotations.unwrap()["local.weir.dev/run-for"], "1500ms");
        let stays = Arrival { runs_for: None, ..arrival };
        assert!(!pod(&stays).metadata.annotations.unwrap().contains_key("local.weir.dev/run-for"));
    }
}
