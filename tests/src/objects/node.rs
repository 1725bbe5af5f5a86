//! Nodes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use super::names::{GPU, GPU_MODEL, HOSTNAME};

/// A node of 16 cores and 64 GiB without GPUs.
#[must_use]
pub fn node(name: &str) -> NodeBuilder {
    let node = NodeBuilder { name: name.to_owned(), ..NodeBuilder::default() };
    node.label(HOSTNAME, name).has("pods", "1000").cores(16)
}

/// A node that is ready; see [`node`].
#[derive(Clone, Debug, Default)]
pub struct NodeBuilder {
    name: String,
    labels: BTreeMap<String, String>,
    capacity: BTreeMap<String, String>,
    /// What the node can give where that is not its capacity.
    allocatable: BTreeMap<String, String>,
    taints: Vec<Value>,
}

impl NodeBuilder {
    /// With a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// With so much of a resource, as a quantity; all of it is allocatable.
    #[must_use]
    pub fn has(mut self, resource: &str, quantity: &str) -> Self {
        self.capacity.insert(resource.to_owned(), quantity.to_owned());
        self
    }

    /// With so many cores, and 4 GiB for each.
    #[must_use]
    pub fn cores(self, cores: u32) -> Self {
        self.has("cpu", &cores.to_string()).has("memory", &format!("{}Gi", 4 * cores))
    }

    /// With so many GPUs, all of them allocatable.
    #[must_use]
    pub fn gpus(self, gpus: u32) -> Self {
        self.has(GPU, &gpus.to_string())
    }

    /// With so many GPUs to give, whatever it has.
    #[must_use]
    pub fn allocatable_gpus(mut self, gpus: u32) -> Self {
        self.allocatable.insert(GPU.to_owned(), gpus.to_string());
        self
    }

    /// With the label of a GPU model.
    #[must_use]
    pub fn model(self, model: &str) -> Self {
        self.label(GPU_MODEL, model)
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
    /// When the builder was given something that is no node: a quantity that cannot be read.
    pub fn build(&self) -> Result<Node> {
        let Self { name, labels, capacity, allocatable, taints } = self;
        let mut gives = capacity.clone();
        gives.extend(allocatable.clone());
        let object = json!({
            "metadata": { "name": name, "labels": labels },
            "spec": { "taints": taints },
            "status": {
                "capacity": capacity,
                "allocatable": gives,
                "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }]
            }
        });
        serde_json::from_value(object).with_context(|| format!("build the node {name}"))
    }
}
