//! D1: only pods that ask for GPUs run on GPU hosts, and they run nowhere else.
//!
//! A GPU host has a GPU in its capacity or carries the model label, even while its allocatable is 0. Pods that are tied
//! to one node by name, as the DaemonSet controller makes them, may run anywhere, and so may mirror pods, which no
//! scheduler places.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, NodeSelectorTerm, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use weir_api::{PodInfo, names};
use weir_model::dimension::GPU;

use crate::invariant::Invariant;

/// The names by which a cluster knows its GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuRule {
    /// Resources that mean GPU.
    pub resources: Vec<String>,
    /// The node label that holds the GPU's model.
    pub model_label: String,
}

impl Default for GpuRule {
    fn default() -> Self {
        Self { resources: vec![GPU.into()], model_label: names::GPU_MODEL.into() }
    }
}

/// D1, judged by a [`GpuRule`].
#[derive(Clone, Debug, Default)]
pub struct GpuHosts {
    rule: GpuRule,
}

impl GpuHosts {
    /// D1 by these names.
    #[must_use]
    pub const fn new(rule: GpuRule) -> Self {
        Self { rule }
    }
}

impl Invariant for GpuHosts {
    fn name(&self) -> &'static str {
        "D1"
    }

    fn placed(&mut self, pod: PodInfo<'_>, node: &Node) -> Result<(), String> {
        let Some(spec) = &pod.object().spec else { return Ok(()) };
        if tied_to_one_node(spec) || is_mirror(pod.object()) {
            return Ok(());
        }
        match (asked(spec, &self.rule), evidence(node, &self.rule)) {
            (Some(resource), None) => Err(format!("asks for {resource}, but this is no GPU host")),
            (None, Some(evidence)) => Err(format!("asks for no GPU, but this is a GPU host ({evidence})")),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }
}

/// The GPU resource that a container asks for, if one does.
fn asked<'a>(spec: &PodSpec, rule: &'a GpuRule) -> Option<&'a str> {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let resources: Vec<&ResourceRequirements> =
        containers.filter_map(|container| container.resources.as_ref()).collect();
    let asks = |name: &&String| {
        let has = |of: &Option<BTreeMap<String, Quantity>>| of.as_ref().is_some_and(|of| some_of(of, name));
        resources.iter().any(|resources| has(&resources.requests) || has(&resources.limits))
    };
    rule.resources.iter().find(asks).map(String::as_str)
}

/// What shows that a node is a GPU host, if it is one.
fn evidence(node: &Node, rule: &GpuRule) -> Option<String> {
    let label = node.metadata.labels.as_ref().and_then(|labels| labels.get(&rule.model_label));
    if let Some(model) = label {
        return Some(format!("{}={model}", rule.model_label));
    }
    let capacity = node.status.as_ref().and_then(|status| status.capacity.as_ref())?;
    rule.resources.iter().find(|name| some_of(capacity, name)).map(|name| format!("has {name}"))
}

/// Whether there is any of a resource. Only "none or some" is asked, so any digit but 0 before the suffix decides, and
/// no second parser of quantities is needed here.
fn some_of(resources: &BTreeMap<String, Quantity>, name: &str) -> bool {
    let Some(Quantity(text)) = resources.get(name) else { return false };
    let number = text.split(['e', 'E']).next().unwrap_or(text);
    number.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

/// Whether every way in which the pod may be placed names one and the same node.
fn tied_to_one_node(spec: &PodSpec) -> bool {
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let Some(required) = required else { return false };
    let mut names = required.node_selector_terms.iter().map(only_node);
    let Some(Some(first)) = names.next() else { return false };
    names.all(|name| name == Some(first))
}

/// The one node that a term names through `matchFields`.
fn only_node(term: &NodeSelectorTerm) -> Option<&str> {
    let fields = term.match_fields.as_deref().unwrap_or_default();
    fields.iter().find_map(|field| match field.values.as_deref() {
        Some([name]) if field.key == "metadata.name" && field.operator == "In" => Some(name.as_str()),
        _ => None,
    })
}

/// Whether the pod stands for a static pod, which the kubelet starts by itself.
fn is_mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|keys| keys.contains_key("kubernetes.io/config.mirror"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verdict(spec: Value, node: Value) -> Result<(), String> {
        let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": spec })).unwrap();
        let node: Node = serde_json::from_value(node).unwrap();
        GpuHosts::default().placed(PodInfo::of(&pod), &node)
    }

    fn asking(requests: Value) -> Value {
        json!({ "containers": [{ "name": "c", "resources": { "requests": requests } }] })
    }

    fn cpu_host() -> Value {
        json!({ "metadata": { "name": "c1" }, "status": { "capacity": { "cpu": "32" } } })
    }

    /// A GPU host whose device plugin restarts: nothing to give, and the capacity still there.
    fn gpu_host() -> Value {
        json!({ "metadata": { "name": "g1" }, "status": {
            "capacity": { "nvidia.com/gpu": "8" }, "allocatable": { "nvidia.com/gpu": "0" } } })
    }

    fn tied(terms: Value) -> Value {
        json!({ "containers": [], "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } })
    }

    fn by_name(values: Value) -> Value {
        json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": values }] })
    }

    #[test]
    fn a_pod_is_where_it_belongs() {
        assert_eq!(verdict(asking(json!({ "cpu": "1" })), cpu_host()), Ok(()));
        assert_eq!(verdict(asking(json!({ "nvidia.com/gpu": "1" })), gpu_host()), Ok(()));
    }

    #[test]
    fn a_pod_without_gpus_on_a_gpu_host_is_a_breach_even_while_nothing_is_allocatable() {
        let breach = Err("asks for no GPU, but this is a GPU host (has nvidia.com/gpu)".into());
        assert_eq!(verdict(asking(json!({ "cpu": "1" })), gpu_host()), breach);
    }

    #[test]
    fn the_model_label_alone_makes_a_gpu_host() {
        let node = json!({ "metadata": { "name": "g2", "labels": { "gpu-node-label-model": "T4" } } });
        let breach = Err("asks for no GPU, but this is a GPU host (gpu-node-label-model=T4)".into());
        assert_eq!(verdict(asking(json!({ "cpu": "1" })), node.clone()), breach);
        assert_eq!(verdict(asking(json!({ "nvidia.com/gpu": "1" })), node), Ok(()));
    }

    #[test]
    fn a_pod_with_gpus_on_a_cpu_host_is_a_breach_wherever_it_asks_for_them() {
        let breach = || Err("asks for nvidia.com/gpu, but this is no GPU host".into());
        let gpu = json!({ "nvidia.com/gpu": "1" });
        assert_eq!(verdict(asking(gpu.clone()), cpu_host()), breach());
        let limits = json!({ "containers": [{ "name": "c", "resources": { "limits": gpu } }] });
        assert_eq!(verdict(limits, cpu_host()), breach());
        let init = json!({ "containers": [], "initContainers": [{ "name": "i", "resources": { "requests": gpu } }] });
        assert_eq!(verdict(init, cpu_host()), breach());
    }

    #[test]
    fn asking_for_none_is_not_asking() {
        for none in ["0", "0.000", "0e3", "0k"] {
            assert_eq!(verdict(asking(json!({ "nvidia.com/gpu": none })), cpu_host()), Ok(()), "{none}");
        }
        for some in ["1", "10", "1e0", "2k"] {
            assert!(verdict(asking(json!({ "nvidia.com/gpu": some })), cpu_host()).is_err(), "{some}");
        }
    }

    #[test]
    fn a_pod_tied_to_one_node_by_name_may_run_anywhere() {
        assert_eq!(verdict(tied(json!([by_name(json!(["g1"]))])), gpu_host()), Ok(()));
        assert_eq!(verdict(tied(json!([by_name(json!(["g1"])), by_name(json!(["g1"]))])), gpu_host()), Ok(()));
    }

    #[test]
    fn a_pod_that_could_also_run_elsewhere_is_not_tied() {
        let by_label =
            json!({ "matchExpressions": [{ "key": "kubernetes.io/hostname", "operator": "In", "values": ["g1"] }] });
        for terms in [
            json!([]),
            json!([by_label]),
            json!([by_name(json!(["g1", "g2"]))]),
            json!([by_name(json!(["g1"])), by_name(json!(["g2"]))]),
            json!([by_name(json!(["g1"])), by_label]),
        ] {
            assert!(verdict(tied(terms.clone()), gpu_host()).is_err(), "{terms}");
        }
    }

    #[test]
    fn a_mirror_pod_is_placed_by_no_scheduler() {
        let pod = json!({ "metadata": { "name": "p", "annotations": { "kubernetes.io/config.mirror": "x" } },
                          "spec": { "containers": [] } });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let node: Node = serde_json::from_value(gpu_host()).unwrap();
        assert_eq!(GpuHosts::default().placed(PodInfo::of(&pod), &node), Ok(()));
    }
}
