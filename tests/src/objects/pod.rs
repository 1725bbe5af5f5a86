//! Pods.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt as _};
use serde_json::{Value, json};

use super::names::{GPU, GPU_MODEL, HOSTNAME};

/// A pod that asks for one core and names neither a scheduler nor a pool.
#[must_use]
pub fn pod(name: &str) -> PodBuilder {
    PodBuilder(json!({
        "metadata": { "name": name, "labels": {}, "annotations": {} },
        "spec": { "automountServiceAccountToken": false, "containers": [container("main")] }
    }))
    .asks("cpu", "1")
}

/// A pod that asks for one core, goes to Weir's scheduler and is gone as soon as it is deleted.
#[must_use]
pub fn weir_pod(name: &str) -> PodBuilder {
    pod(name).scheduler("weir-scheduler").without_grace()
}

fn container(name: &str) -> Value {
    json!({ "name": name, "image": "test", "resources": { "requests": {}, "limits": {} } })
}

/// A pod; see [`pod`] and [`weir_pod`].
#[derive(Clone, Debug)]
pub struct PodBuilder(Value);

impl PodBuilder {
    /// With an annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["annotations"][key] = value.into();
        self
    }

    /// With a label.
    #[must_use]
    pub fn labelled(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = value.into();
        self
    }

    /// With this field of its spec.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.0["spec"][field] = value;
        self
    }

    /// Asks for admission to a pool.
    #[must_use]
    pub fn pool(self, pool: &str) -> Self {
        self.annotated("weir.dev/pool", pool)
    }

    /// A member of a gang, by the keys of the described system.
    #[must_use]
    pub fn gang(self, name: &str, size: &str) -> Self {
        self.labelled("gang-member", name).annotated("number-gang-members", size)
    }

    /// Marks the pod as preemptible.
    #[must_use]
    pub fn preemptible(self) -> Self {
        self.annotated("preemptible", "true")
    }

    /// Names a scheduler.
    #[must_use]
    pub fn scheduler(self, name: &str) -> Self {
        self.with("schedulerName", name.into())
    }

    /// Gives the pod no time to end: it is gone as soon as it is deleted.
    #[must_use]
    pub fn without_grace(self) -> Self {
        self.with("terminationGracePeriodSeconds", 0.into())
    }

    /// Asks for so much of a resource, as a quantity.
    #[must_use]
    pub fn asks(mut self, resource: &str, quantity: &str) -> Self {
        ask(&mut self.0["spec"]["containers"][0], resource, quantity);
        self
    }

    /// Asks for so much CPU, as a quantity.
    #[must_use]
    pub fn cpu(self, quantity: &str) -> Self {
        self.asks("cpu", quantity)
    }

    /// Asks for so many GPUs.
    #[must_use]
    pub fn gpus(self, gpus: u32) -> Self {
        self.asks(GPU, &gpus.to_string())
    }

    /// With an init container that asks for so many GPUs, which the others do not.
    #[must_use]
    pub fn gpus_at_first(self, gpus: u32) -> Self {
        let mut first = container("first");
        ask(&mut first, GPU, &gpus.to_string());
        self.with("initContainers", json!([first]))
    }

    /// With this label in its node selector.
    #[must_use]
    pub fn selecting(mut self, key: &str, value: &str) -> Self {
        self.0["spec"]["nodeSelector"][key] = value.into();
        self
    }

    /// Selects one node by its label, as people do; the pod is not tied to the node as DaemonSets' pods are.
    #[must_use]
    pub fn selecting_node(self, name: &str) -> Self {
        self.selecting(HOSTNAME, name)
    }

    /// Names one GPU model in the node selector.
    #[must_use]
    pub fn selecting_model(self, model: &str) -> Self {
        self.selecting(GPU_MODEL, model)
    }

    /// Accepts these GPU models by required node affinity; once more is an alternative.
    #[must_use]
    pub fn accepting_models(self, models: &[&str]) -> Self {
        self.term(json!({ "matchExpressions": [{ "key": GPU_MODEL, "operator": "In", "values": models }] }))
    }

    /// Accepts these nodes by their labels, by required node affinity.
    #[must_use]
    pub fn accepting_nodes(self, names: &[&str]) -> Self {
        self.term(json!({ "matchExpressions": [{ "key": HOSTNAME, "operator": "In", "values": names }] }))
    }

    /// Ties the pod to one node by name, as the DaemonSet controller does it.
    #[must_use]
    pub fn tied_to(self, node: &str) -> Self {
        self.term(json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }] }))
    }

    /// Tolerates a taint, whatever its value.
    #[must_use]
    pub fn tolerating(mut self, key: &str) -> Self {
        push(&mut self.0["spec"]["tolerations"], json!({ "key": key, "operator": "Exists" }));
        self
    }

    /// Made by a controller: this object.
    #[must_use]
    pub fn owned_by<K: Resource<DynamicType = ()>>(mut self, owner: &K) -> Self {
        self.0["metadata"]["ownerReferences"] = json!([{ "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "name": owner.name_any(), "uid": owner.meta().uid, "controller": true }]);
        self
    }

    /// Adds a finalizer: the pod stays while it ends, until the finalizer is taken away.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.0["metadata"]["finalizers"] = json!(["example.com/held"]);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// The object.
    ///
    /// # Errors
    /// When [`Self::with`] was given something that is no field of a pod.
    pub fn build(&self) -> Result<Pod> {
        serde_json::from_value(self.0.clone()).with_context(|| format!("build the pod {}", self.name()))
    }

    /// With one more term of its required node affinity.
    fn term(mut self, term: Value) -> Self {
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        push(&mut self.0["spec"]["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"], term);
        self
    }
}

/// Requests of an extended resource have to be limits as well.
fn ask(container: &mut Value, resource: &str, quantity: &str) {
    container["resources"]["requests"][resource] = quantity.into();
    if resource.contains('/') {
        container["resources"]["limits"][resource] = quantity.into();
    }
}

/// Appends to a list that begins with its first element.
fn push(list: &mut Value, one: Value) {
    match list {
        Value::Array(all) => all.push(one),
        missing => *missing = json!([one]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_and_tolerations_add_up() {
        let pod = weir_pod("p").accepting_models(&["T4"]).tied_to("n1").tolerating("a").tolerating("b");
        let spec = pod.build().unwrap_or_default().spec.unwrap_or_default();
        let affinity = spec.affinity.and_then(|affinity| affinity.node_affinity).unwrap_or_default();
        let terms = affinity.required_during_scheduling_ignored_during_execution.map(|it| it.node_selector_terms.len());
        assert_eq!((terms, spec.tolerations.map(|all| all.len())), (Some(2), Some(2)));
    }
}
