//! Nodes and pods in the words of the tests: what a test does not mention is as usual.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use weir_api::names;

/// The resource that is GPUs.
pub const GPU: &str = "nvidia.com/gpu";

/// The label by which a pod asks for one node without being tied to it.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// A node of 16 cores and 64 GiB without GPUs.
#[must_use]
pub fn node(name: &str) -> NodeOf {
    NodeOf { name: name.to_owned(), cores: 16, gpus: 0, allocatable_gpus: None, model: None, taints: Vec::new() }
}

/// A node that is ready; see [`node`].
#[derive(Clone, Debug)]
pub struct NodeOf {
    name: String,
    cores: u32,
    gpus: u32,
    allocatable_gpus: Option<u32>,
    model: Option<String>,
    taints: Vec<Value>,
}

impl NodeOf {
    /// With so many cores, and 4 GiB for each.
    #[must_use]
    pub fn cores(self, cores: u32) -> Self {
        Self { cores, ..self }
    }

    /// With so many GPUs, all of them allocatable.
    #[must_use]
    pub fn gpus(self, gpus: u32) -> Self {
        Self { gpus, ..self }
    }

    /// With so many GPUs to give, whatever it has.
    #[must_use]
    pub fn allocatable_gpus(self, gpus: u32) -> Self {
        Self { allocatable_gpus: Some(gpus), ..self }
    }

    /// With the label of a GPU model.
    #[must_use]
    pub fn model(self, model: &str) -> Self {
        Self { model: Some(model.to_owned()), ..self }
    }

    /// With a taint that keeps pods off which do not tolerate it.
    #[must_use]
    pub fn tainted(mut self, key: &str) -> Self {
        self.taints.push(json!({ "key": key, "effect": "NoSchedule" }));
        self
    }

    /// The object.
    ///
    /// # Errors
    /// Never in practice: it is one.
    pub fn build(&self) -> Result<Node> {
        let Self { name, cores, gpus, allocatable_gpus, model, taints } = self;
        let resources = |gpus: Option<u32>| {
            let mut resources =
                json!({ "cpu": cores.to_string(), "memory": format!("{}Gi", 4 * cores), "pods": "1000" });
            if let Some(gpus) = gpus {
                resources[GPU] = json!(gpus.to_string());
            }
            resources
        };
        let mut labels = json!({ HOSTNAME: name });
        if let Some(model) = model {
            labels[names::GPU_MODEL] = json!(model);
        }
        let has = (*gpus > 0).then_some(*gpus);
        let object = json!({
            "metadata": { "name": name, "labels": labels },
            "spec": { "taints": taints },
            "status": {
                "capacity": resources(has),
                "allocatable": resources(allocatable_gpus.or(has)),
                "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }]
            }
        });
        serde_json::from_value(object).with_context(|| format!("make the node {name}"))
    }
}

/// A pod that asks for one core and goes to the scheduler as it is shipped.
#[must_use]
pub fn pod(name: &str) -> PodOf {
    PodOf {
        name: name.to_owned(),
        scheduler: Some(names::SCHEDULER.to_owned()),
        requests: json!({ "cpu": "1" }),
        init_requests: None,
        selector: json!({}),
        terms: Vec::new(),
        tolerations: Vec::new(),
    }
}

/// A pod; see [`pod`].
#[derive(Clone, Debug)]
pub struct PodOf {
    name: String,
    scheduler: Option<String>,
    requests: Value,
    init_requests: Option<Value>,
    selector: Value,
    terms: Vec<Value>,
    tolerations: Vec<Value>,
}

impl PodOf {
    /// That asks for so much CPU, as a quantity.
    #[must_use]
    pub fn cpu(mut self, quantity: &str) -> Self {
        self.requests["cpu"] = json!(quantity);
        self
    }

    /// That asks for so many GPUs.
    #[must_use]
    pub fn gpus(mut self, gpus: u32) -> Self {
        self.requests[GPU] = json!(gpus.to_string());
        self
    }

    /// With an init container that asks for so many GPUs, which the others do not.
    #[must_use]
    pub fn gpus_at_first(self, gpus: u32) -> Self {
        Self { init_requests: Some(json!({ GPU: gpus.to_string() })), ..self }
    }

    /// That goes to another scheduler.
    #[must_use]
    pub fn scheduler(self, name: &str) -> Self {
        Self { scheduler: Some(name.to_owned()), ..self }
    }

    /// That names no scheduler.
    #[must_use]
    pub fn any_scheduler(self) -> Self {
        Self { scheduler: None, ..self }
    }

    /// With this label in its node selector.
    #[must_use]
    pub fn selecting(mut self, key: &str, value: &str) -> Self {
        self.selector[key] = json!(value);
        self
    }

    /// That selects one node by its label, as people do; it is not tied to the node as DaemonSets' pods are.
    #[must_use]
    pub fn selecting_node(self, name: &str) -> Self {
        self.selecting(HOSTNAME, name)
    }

    /// That names one GPU model in its node selector.
    #[must_use]
    pub fn selecting_model(self, model: &str) -> Self {
        self.selecting(names::GPU_MODEL, model)
    }

    /// That accepts these GPU models by required node affinity; once more is an alternative.
    #[must_use]
    pub fn accepting_models(mut self, models: &[&str]) -> Self {
        let requirement = json!({ "key": names::GPU_MODEL, "operator": "In", "values": models });
        self.terms.push(json!({ "matchExpressions": [requirement] }));
        self
    }

    /// That accepts these nodes by their labels, by required node affinity.
    #[must_use]
    pub fn accepting_nodes(mut self, names: &[&str]) -> Self {
        let requirement = json!({ "key": HOSTNAME, "operator": "In", "values": names });
        self.terms.push(json!({ "matchExpressions": [requirement] }));
        self
    }

    /// That is tied to one node by name, as the DaemonSet controller does it.
    #[must_use]
    pub fn tied_to(mut self, node: &str) -> Self {
        let field = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
        self.terms.push(json!({ "matchFields": [field] }));
        self
    }

    /// That tolerates a taint, whatever its value.
    #[must_use]
    pub fn tolerating(mut self, key: &str) -> Self {
        self.tolerations.push(json!({ "key": key, "operator": "Exists" }));
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object.
    ///
    /// # Errors
    /// Never in practice: it is one.
    pub fn build(&self) -> Result<Pod> {
        let Self { name, scheduler, requests, init_requests, selector, terms, tolerations } = self;
        let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } });
        let affinity = (!terms.is_empty()).then(|| json!({ "nodeAffinity": required }));
        let init: Vec<_> = init_requests.iter().map(|requests| container("first", requests)).collect();
        let object = json!({
            "metadata": { "name": name },
            "spec": {
                "schedulerName": scheduler,
                "containers": [container("main", requests)],
                "initContainers": init,
                "nodeSelector": selector,
                "affinity": affinity,
                "tolerations": tolerations,
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false
            }
        });
        serde_json::from_value(object).with_context(|| format!("make the pod {name}"))
    }
}

/// Requests of an extended resource have to be limits as well.
fn container(name: &str, requests: &Value) -> Value {
    let limits = requests.get(GPU).map_or_else(|| json!({}), |gpus| json!({ GPU: gpus }));
    json!({ "name": name, "image": "test", "resources": { "requests": requests, "limits": limits } })
}
