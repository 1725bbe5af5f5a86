//! From quantities on objects to amounts, and to which dimensions a pod's requests count.
//!
//! The command line sees objects only, not the sidecar's configuration: GPUs are `nvidia.com/gpu`, the model
//! label is the usual one, and a model is special when some pool lists it. Where an admission was recorded,
//! the record is shown and nothing of this is needed.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use weir_api::{ResourcePool, names};
use weir_model::dimension::{CPU, GPU, GPU_HOSTS_PREFIX, SKU_CPU_PREFIX, SKU_PREFIX};
use weir_model::{Amount, Class, Quantity};

/// Amounts by dimension.
pub(crate) type Amounts = BTreeMap<String, Amount>;

/// A quantity in the base unit of its dimension. The API server took it, so it is one.
pub(crate) fn amount(dimension: &str, written: &Written) -> Amount {
    let of_cpu = dimension.starts_with(SKU_CPU_PREFIX) || dimension.strip_prefix(GPU_HOSTS_PREFIX) == Some(CPU);
    let unit = if of_cpu { CPU } else { dimension };
    Quantity::parse(&written.0).map_or(Amount::ZERO, |quantity| quantity.amount(unit))
}

/// The models that have dimensions of their own because some pool lists them.
pub(crate) fn special_models(pools: &[ResourcePool]) -> BTreeSet<String> {
    let listed = pools.iter().flat_map(|pool| &pool.spec.resources);
    listed.filter_map(|resource| resource.name.strip_prefix(SKU_PREFIX).map(str::to_owned)).collect()
}

/// What a pod asks for, by dimension; what cannot be read asks for nothing.
pub(crate) fn asked(pod: &Pod, special: &BTreeSet<String>) -> Amounts {
    let requests = weir_api::requests::of(pod).unwrap_or_default();
    let class = class(pod, requests.iter().any(|(name, amount)| name == GPU && !amount.is_zero()), special);
    let dimension = |(name, amount): (String, Amount)| (class.dimension(&name, name == GPU), amount);
    requests.into_iter().filter(|(_, amount)| !amount.is_zero()).map(dimension).collect()
}

fn class(pod: &Pod, asks_for_gpus: bool, special: &BTreeSet<String>) -> Class {
    if !asks_for_gpus {
        return Class::CpuHosts;
    }
    let spec = pod.spec.as_ref();
    let selector = spec.and_then(|spec| spec.node_selector.as_ref()?.get(names::GPU_MODEL).cloned());
    let models = selector.map_or_else(|| models_of_affinity(pod), |model| vec![model]);
    match models.as_slice() {
        [model] if special.contains(model) => Class::Sku(model.clone()),
        _ => Class::GpuHosts,
    }
}

fn models_of_affinity(pod: &Pod) -> Vec<String> {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()?.node_affinity.as_ref());
    let required = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
    let terms = required.into_iter().flat_map(|required| &required.node_selector_terms);
    let expressions = terms.flat_map(|term| term.match_expressions.iter().flatten());
    let named = expressions.filter(|one| one.key == names::GPU_MODEL && one.operator == "In");
    named.flat_map(|one| one.values.clone().unwrap_or_default()).collect()
}

/// Adds amounts up.
pub(crate) fn add(sum: &mut Amounts, more: Amounts) {
    for (dimension, amount) in more {
        *sum.entry(dimension).or_default() += amount;
    }
}

/// Amounts in one line, such as `8 nvidia.com/gpu, 64 gpu-hosts.weir.dev/cpu`.
pub(crate) fn line(amounts: &Amounts) -> String {
    let parts: Vec<_> = amounts
        .iter()
        .map(|(dimension, &amount)| format!("{} {dimension}", crate::draw::quantity(dimension, amount)))
        .collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(requests: Value, selector: Value) -> Pod {
        let containers = json!([{ "name": "c", "resources": { "requests": requests } }]);
        serde_json::from_value(json!({ "spec": { "containers": containers, "nodeSelector": selector } })).unwrap()
    }

    #[test]
    fn requests_count_in_the_class_of_hosts_that_the_filters_allow() {
        let special = BTreeSet::from(["H100".to_owned()]);
        let line = |requests, selector| line(&asked(&pod(requests, selector), &special));
        assert_eq!(line(json!({ "cpu": "1500m", "memory": "1Gi" }), json!({})), "1500m cpu, 1Gi memory");
        assert_eq!(
            line(json!({ "cpu": 8, "nvidia.com/gpu": 1 }), json!({ "gpu-node-label-model": "T4" })),
            "8 gpu-hosts.weir.dev/cpu, 1 nvidia.com/gpu"
        );
        assert_eq!(
            line(json!({ "cpu": 8, "nvidia.com/gpu": 1 }), json!({ "gpu-node-label-model": "H100" })),
            "8 sku-cpu.weir.dev/H100, 1 sku.weir.dev/H100"
        );
        assert_eq!(line(json!({}), json!({})), "nothing");
    }

    #[test]
    fn cpu_of_every_class_is_read_in_milli_cpu() {
        let two = Written("2".to_owned());
        let read = ["cpu", "gpu-hosts.weir.dev/cpu", "sku-cpu.weir.dev/H100", "nvidia.com/gpu"]
            .map(|dimension| amount(dimension, &two).units());
        assert_eq!(read, [2000, 2000, 2000, 2]);
    }
}
