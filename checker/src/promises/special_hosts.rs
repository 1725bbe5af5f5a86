//! D2: special hardware is kept for the pods that name it, and a pod that names it runs nowhere else.

use k8s_openapi::api::core::v1::Node;
use weir_api::PodInfo;
use weir_model::dimension::GPU;

use crate::invariant::Invariant;
use crate::special_models::SpecialModels;

/// D2 by a list of special models.
#[derive(Clone, Debug, Default)]
pub struct SpecialHosts {
    special: SpecialModels,
}

impl SpecialHosts {
    /// D2 where these models are special.
    #[must_use]
    pub const fn new(special: SpecialModels) -> Self {
        Self { special }
    }
}

impl Invariant for SpecialHosts {
    fn name(&self) -> &'static str {
        "D2"
    }

    fn placed(&mut self, pod: PodInfo<'_>, node: &Node) -> Result<(), String> {
        let asks = weir_api::requests::of(pod.object()).unwrap_or_default();
        if asks.iter().all(|(name, amount)| name != GPU || amount.is_zero()) {
            // D1 says where pods without GPUs may run.
            return Ok(());
        }
        match (self.special.named_by(pod.object()), self.special.of_node(node)) {
            (None, Some(model)) => Err(format!("does not name {model}, which is kept for the pods that do")),
            (Some(named), here) if here != Some(named) => {
                Err(format!("names {named}, and this host has {}", here.unwrap_or("no special hardware")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verdict(selector: Value, gpus: &str, model: &str) -> Result<(), String> {
        let list = json!({ "data": { "list": "{\"models\": [{\"model\": \"G3\"}, {\"model\": \"V100M32\"}]}" } });
        let special = SpecialModels::read(&serde_json::from_value(list).unwrap()).unwrap();
        let requests = json!({ "requests": { "nvidia.com/gpu": gpus } });
        let pod =
            json!({ "spec": { "nodeSelector": selector, "containers": [{ "name": "c", "resources": requests }] } });
        let node = json!({ "metadata": { "name": "n", "labels": { "gpu-node-label-model": model } } });
        let (pod, node) = (serde_json::from_value(pod).unwrap(), serde_json::from_value(node).unwrap());
        SpecialHosts::new(special).placed(PodInfo::of(&pod), &node)
    }

    #[test]
    fn a_general_pod_on_special_hardware_is_found_and_one_that_names_it_is_not() {
        let said = Err("does not name G3, which is kept for the pods that do".to_owned());
        assert_eq!(verdict(json!({}), "1", "G3"), said);
        assert_eq!(verdict(json!({ "gpu-node-label-model": "G3" }), "1", "G3"), Ok(()));
        assert_eq!(verdict(json!({}), "1", "T4"), Ok(()));
        assert_eq!(verdict(json!({}), "0", "G3"), Ok(()), "no GPU is asked for");
    }

    #[test]
    fn a_pod_that_names_special_hardware_anywhere_else_is_found() {
        let on = |model: &str| verdict(json!({ "gpu-node-label-model": "G3" }), "1", model);
        assert_eq!(on("T4"), Err("names G3, and this host has no special hardware".to_owned()));
        assert_eq!(on("V100M32"), Err("names G3, and this host has V100M32".to_owned()));
    }
}
