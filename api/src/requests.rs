//! What a Pod object asks for, counted by `policy/model` as kube-scheduler counts it.
//!
//! [`by_dimension`] is for programs that see objects only and not the sidecar's configuration: to them GPUs are
//! `nvidia.com/gpu`, and a pod names a model under the usual key.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use weir_model::dimension::GPU;
use weir_model::requests::{ContainerShape, PodRequestsError, PodShape, Resources};
use weir_model::{Amount, Class};

use crate::names;

/// Amounts by dimension.
pub type Amounts = BTreeMap<String, Amount>;

/// What a pod asks for by resource, in base units; what its node has set aside for it counts where that is
/// more.
///
/// ```
/// use weir_model::Amount;
/// let pod = serde_json::from_value(serde_json::json!({ "spec": { "containers": [
///     { "name": "a", "resources": { "requests": { "cpu": "500m" } } },
///     { "name": "b", "resources": { "requests": { "cpu": "1" } } },
/// ] } })).unwrap();
/// assert_eq!(weir_api::requests::of(&pod), Ok(vec![("cpu".to_owned(), Amount::new(1500))]));
/// ```
///
/// # Errors
/// A quantity that does not parse, with the container and the resource; the API server lets none through. Or more
/// resources than a pod may list.
pub fn of(pod: &Pod) -> Result<Vec<(String, Amount)>, PodRequestsError> {
    let nothing = PodSpec::default();
    let typed = Typed { spec: pod.spec.as_ref().unwrap_or(&nothing), status: pod.status.as_ref() };
    weir_model::requests::pod_requests(&typed)
}

/// The same of these names alone, whatever else the pod lists.
///
/// # Errors
/// As [`of`].
pub fn of_names(pod: &Pod, names: &[&str]) -> Result<Vec<(String, Amount)>, PodRequestsError> {
    let nothing = PodSpec::default();
    let typed = Typed { spec: pod.spec.as_ref().unwrap_or(&nothing), status: pod.status.as_ref() };
    weir_model::requests::pod_requests_of(&typed, |name| names.contains(&name))
}

/// What a pod asks for by dimension; `special` holds the GPU models that have dimensions of their own. A request that
/// cannot be read asks for nothing.
///
/// ```
/// use weir_model::Amount;
/// let pod = serde_json::from_value(serde_json::json!({ "spec": {
///     "nodeSelector": { "gpu-node-label-model": "H100" },
///     "containers": [{ "name": "a", "resources": { "requests": { "cpu": "8", "nvidia.com/gpu": "1" } } }],
/// } })).unwrap();
/// let special = ["H100".to_owned()].into();
/// let asks = weir_api::requests::by_dimension(&pod, &special);
/// assert_eq!(asks["sku.weir.dev/H100"], Amount::new(1));
/// assert_eq!(asks["sku-cpu.weir.dev/H100"], Amount::new(8000));
/// ```
#[must_use]
pub fn by_dimension(pod: &Pod, special: &BTreeSet<String>) -> Amounts {
    let requests: Vec<_> = of(pod).unwrap_or_default().into_iter().filter(|(_, amount)| !amount.is_zero()).collect();
    let class = if requests.iter().any(|(name, _)| name == GPU) { gpu_class(pod, special) } else { Class::CpuHosts };
    requests.into_iter().map(|(name, amount)| (class.dimension(&name, name == GPU), amount)).collect()
}

/// The class of hosts of a pod that asks for GPUs.
fn gpu_class(pod: &Pod, special: &BTreeSet<String>) -> Class {
    match models(pod).as_slice() {
        [model] if special.contains(*model) => Class::Sku((*model).to_owned()),
        _ => Class::GpuHosts,
    }
}

/// The GPU models that a pod names, by its node selector or else by its required node affinity; none where any will
/// do.
#[must_use]
pub fn models(pod: &Pod) -> Vec<&str> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    if let Some(model) = spec.node_selector.as_ref().and_then(|selector| selector.get(names::GPU_MODEL)) {
        return vec![model];
    }
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    let terms = required.into_iter().flat_map(|required| &required.node_selector_terms);
    let expressions = terms.flat_map(|term| term.match_expressions.iter().flatten());
    let named = expressions.filter(|one| one.key == names::GPU_MODEL && one.operator == "In");
    named.flat_map(|one| one.values.iter().flatten()).map(String::as_str).collect()
}

struct Typed<'a> {
    spec: &'a PodSpec,
    status: Option<&'a PodStatus>,
}

struct TypedContainer<'a> {
    spec: &'a Container,
    status: Option<&'a ContainerStatus>,
}

impl PodShape for Typed<'_> {
    fn containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        let statuses = self.status.and_then(|status| status.container_statuses.as_ref());
        self.spec.containers.iter().map(move |spec| TypedContainer { spec, status: status_of(spec, statuses) })
    }

    fn init_containers(&self) -> impl Iterator<Item = impl ContainerShape> {
        let statuses = self.status.and_then(|status| status.init_container_statuses.as_ref());
        let containers = self.spec.init_containers.iter().flatten();
        containers.map(move |spec| TypedContainer { spec, status: status_of(spec, statuses) })
    }

    fn overhead(&self) -> impl Resources<'_> {
        texts(self.spec.overhead.as_ref())
    }

    fn pod_level(&self) -> impl Resources<'_> {
        texts(self.spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
    }
}

impl ContainerShape for TypedContainer<'_> {
    fn requests(&self) -> impl Resources<'_> {
        texts(self.spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
    }

    fn allocated(&self) -> impl Resources<'_> {
        let resources = self.status.and_then(|status| status.resources.as_ref());
        texts(resources.and_then(|resources| resources.requests.as_ref()))
    }

    fn is_sidecar(&self) -> bool {
        self.spec.restart_policy.as_deref() == Some("Always")
    }
}

fn status_of<'a>(container: &Container, statuses: Option<&'a Vec<ContainerStatus>>) -> Option<&'a ContainerStatus> {
    statuses?.iter().find(|status| status.name == container.name)
}

fn texts(list: Option<&BTreeMap<String, Quantity>>) -> impl Iterator<Item = (&str, &str)> {
    list.into_iter().flatten().map(|(name, quantity)| (name.as_str(), quantity.0.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(requests: Value, spec: Value) -> Pod {
        let mut spec = spec;
        spec["containers"] = json!([{ "name": "c", "resources": { "requests": requests } }]);
        serde_json::from_value(json!({ "spec": spec })).unwrap()
    }

    fn asks(requests: Value, spec: Value) -> String {
        let amounts = by_dimension(&pod(requests, spec), &["H100".to_owned()].into());
        amounts.iter().map(|(dimension, amount)| format!("{amount} {dimension}")).collect::<Vec<_>>().join(", ")
    }

    fn affinity(values: &[&str]) -> Value {
        let expression = json!({ "key": "gpu-node-label-model", "operator": "In", "values": values });
        json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchExpressions": [expression] }] } } } })
    }

    #[test]
    fn requests_count_in_the_class_of_hosts_that_the_filters_allow() {
        let gpu = || json!({ "cpu": 8, "nvidia.com/gpu": 1 });
        let on = |model: &str| json!({ "nodeSelector": { "gpu-node-label-model": model } });
        assert_eq!(asks(json!({ "cpu": "1500m", "memory": "1Ki" }), json!({})), "1500 cpu, 1024 memory");
        assert_eq!(asks(gpu(), on("T4")), "8000 gpu-hosts.weir.dev/cpu, 1 nvidia.com/gpu");
        assert_eq!(asks(gpu(), on("H100")), "8000 sku-cpu.weir.dev/H100, 1 sku.weir.dev/H100");
        assert_eq!(asks(gpu(), affinity(&["H100"])), "8000 sku-cpu.weir.dev/H100, 1 sku.weir.dev/H100");
        assert_eq!(asks(gpu(), affinity(&["H100", "T4"])), "8000 gpu-hosts.weir.dev/cpu, 1 nvidia.com/gpu");
        assert_eq!(asks(json!({ "cpu": 1, "nvidia.com/gpu": 0 }), on("H100")), "1000 cpu", "asking for none");
        assert_eq!(asks(json!({}), json!({})), "");
    }

    #[test]
    fn models_are_read_from_the_selector_and_from_the_affinity() {
        let none = || json!({});
        assert_eq!(models(&pod(none(), json!({ "nodeSelector": { "gpu-node-label-model": "T4" } }))), ["T4"]);
        assert_eq!(models(&pod(none(), affinity(&["V100M16", "V100M32"]))), ["V100M16", "V100M32"]);
        assert_eq!(models(&pod(none(), none())), [""; 0]);
    }
}
