//! What the webhook does to a managed pod: a pure function from the pod and what surrounds it to the operations of a JSON
//! patch.
//!
//! It adds the gate and the placing scheduler, which cannot be added later; it writes the pool where selectors can find
//! it; it fills in the defaults of pool and namespace. It leaves alone what is wrong with the pod: a pod that is refused
//! at creation makes its controller fail, one that waits with a reason shows it to its owner. Running it on its own
//! result changes nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde_json::{Value, json};
use weir_api::names;
use weir_api::pool::PoolDefaults;

use crate::config::Config;
use crate::convert::hosts::ModelLabel;
use crate::convert::metadata;
use crate::watch::hardware::Aliases;

/// What a pod is surrounded by when it is created.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The annotations of the pod's namespace.
    pub namespace: &'a BTreeMap<String, String>,
    /// The defaults of the pool of a name; none for a pool that does not exist.
    pub defaults: &'a dyn Fn(&str) -> Option<PoolDefaults>,
    /// The label values of nodes for other names of special hardware.
    pub aliases: &'a Aliases,
}

/// The operations that make a managed pod ready to wait; none if it is.
///
/// ```
/// use std::collections::BTreeMap;
/// use weir_admission::{config::Config, webhook::mutate::{Surroundings, mutate}};
/// let pod = serde_json::from_value(serde_json::json!({
///     "metadata": { "annotations": { "resource-pool": "research" } },
///     "spec": { "containers": [], "schedulerName": "kube-resource-manager-scheduler" },
/// })).unwrap();
/// let (empty, none) = (BTreeMap::new(), BTreeMap::new());
/// let surroundings =
///     Surroundings { config: &Config::default(), namespace: &empty, defaults: &|_| None, aliases: &none };
/// let patch = serde_json::to_string(&mutate(&pod, surroundings)).unwrap();
/// assert!(patch.contains(r#"{"op":"add","path":"/spec/schedulingGates","value":[{"name":"weir.dev/admission"}]}"#));
/// ```
#[must_use]
pub fn mutate(pod: &Pod, surroundings: Surroundings<'_>) -> Vec<Value> {
    let Surroundings { config, namespace, defaults, aliases } = surroundings;
    let Some(spec) = &pod.spec else { return Vec::new() };
    let mut patch = Patch::of(pod);
    patch.scheduler(spec, config);
    patch.gate(spec);
    let named = metadata::pool(&pod.metadata, metadata::compat(config));
    let own = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(names::POOL));
    let by_namespace = namespace.get(names::POOL).map(String::as_str);
    let fallback = Some(config.pods.default_pool.as_str()).filter(|pool| !pool.is_empty());
    // The leader reports a contradiction when it reads the pod; the label follows our own key all the same.
    let pool = match &named {
        Ok(named) => named.or(by_namespace).or(fallback),
        Err(_) => own.map(String::as_str),
    };
    let defaults = pool.and_then(defaults).unwrap_or_default();
    if let Some(pool) = pool {
        patch.annotate(names::POOL, pool);
        patch.label(names::POOL, pool);
    }
    let by_namespace = namespace.get(names::DEFAULT_PREEMPTIBLE).map(|value| value == names::TRUE);
    if metadata::preemptible(&pod.metadata) == Ok(None) && defaults.preemptible.or(by_namespace) == Some(true) {
        patch.annotate(names::PREEMPTIBLE, names::TRUE);
    }
    if let Some(class) = defaults.priority_class_name {
        patch.priority(spec, &class);
    }
    patch.models(spec, aliases);
    patch.operations
}

/// The operations so far, and which maps of the pod exist by now.
struct Patch<'a> {
    operations: Vec<Value>,
    labels: Option<&'a BTreeMap<String, String>>,
    annotations: Option<&'a BTreeMap<String, String>>,
    has_labels: bool,
    has_annotations: bool,
}

impl<'a> Patch<'a> {
    fn of(pod: &'a Pod) -> Self {
        let (labels, annotations) = (pod.metadata.labels.as_ref(), pod.metadata.annotations.as_ref());
        let (has_labels, has_annotations) = (labels.is_some(), annotations.is_some());
        Self { operations: Vec::new(), labels, annotations, has_labels, has_annotations }
    }

    fn scheduler(&mut self, spec: &PodSpec, config: &Config) {
        let asked = spec.scheduler_name.as_deref().unwrap_or_default();
        if matches!(asked, "" | names::DEFAULT_SCHEDULER | names::ADMISSION_SCHEDULER) {
            self.add("/spec/schedulerName", json!(config.placement.scheduler));
            if !asked.is_empty() {
                self.annotate(names::REQUESTED_SCHEDULER, asked);
            }
        }
    }

    /// A pod with a node is refused by the policy: the API server takes no gate there.
    fn gate(&mut self, spec: &PodSpec) {
        let gate = json!({ "name": names::GATE });
        match &spec.scheduling_gates {
            _ if spec.node_name.is_some() => {}
            Some(gates) if gates.iter().any(|gate| gate.name == names::GATE) => {}
            Some(_) => self.add("/spec/schedulingGates/-", gate),
            None => self.add("/spec/schedulingGates", json!([gate])),
        }
    }

    /// The priority that the API server filled in for "no class" goes with it, or it would refuse the class.
    fn priority(&mut self, spec: &PodSpec, class: &str) {
        if spec.priority_class_name.is_some() || spec.priority.is_some_and(|priority| priority != 0) {
            return;
        }
        self.add("/spec/priorityClassName", json!(class));
        if spec.priority.is_some() {
            self.operations.push(json!({ "op": "remove", "path": "/spec/priority" }));
        }
        if spec.preemption_policy.is_some() {
            self.operations.push(json!({ "op": "remove", "path": "/spec/preemptionPolicy" }));
        }
    }

    /// Rewrites aliases of GPU models, in the node selector and in required node affinity.
    fn models(&mut self, spec: &PodSpec, aliases: &Aliases) {
        let real = |key: &str, model: &str| aliases.get(&ModelLabel::new(key, model));
        for (key, model) in spec.node_selector.iter().flatten() {
            if let Some(real) = real(key, model) {
                self.add(&format!("/spec/nodeSelector/{}", escape(key)), json!(real));
            }
        }
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let required = affinity.and_then(|node| node.required_during_scheduling_ignored_during_execution.as_ref());
        for (term, at) in required.iter().flat_map(|required| &required.node_selector_terms).zip(0..) {
            for (expression, position) in term.match_expressions.iter().flatten().zip(0..) {
                for (model, index) in expression.values.iter().flatten().zip(0..) {
                    if let Some(real) = real(&expression.key, model) {
                        let path = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
                        let path = format!("{path}/nodeSelectorTerms/{at}/matchExpressions/{position}/values/{index}");
                        self.operations.push(json!({ "op": "replace", "path": path, "value": real }));
                    }
                }
            }
        }
    }

    fn annotate(&mut self, key: &str, value: &str) {
        if self.annotations.and_then(|annotations| annotations.get(key)).is_some_and(|known| known == value) {
            return;
        }
        if !std::mem::replace(&mut self.has_annotations, true) {
            self.add("/metadata/annotations", json!({}));
        }
        self.add(&format!("/metadata/annotations/{}", escape(key)), json!(value));
    }

    fn label(&mut self, key: &str, value: &str) {
        if self.labels.and_then(|labels| labels.get(key)).is_some_and(|known| known == value) {
            return;
        }
        if !std::mem::replace(&mut self.has_labels, true) {
            self.add("/metadata/labels", json!({}));
        }
        self.add(&format!("/metadata/labels/{}", escape(key)), json!(value));
    }

    fn add(&mut self, path: &str, value: Value) {
        self.operations.push(json!({ "op": "add", "path": path, "value": value }));
    }
}

/// A key as one step of a JSON pointer.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a pod becomes.
    fn mutated(pod: Value, namespace: &[(&str, &str)], defaults: &PoolDefaults) -> Value {
        let namespace = namespace.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let alias = ModelLabel::new("gpu-node-label-model", "H100");
        let aliases = BTreeMap::from([(alias, "NVIDIA_H100_80GB_HBM3".to_owned())]);
        let defaults = |pool: &str| (pool == "research").then(|| defaults.clone());
        let config = Config::default();
        let surroundings =
            Surroundings { config: &config, namespace: &namespace, defaults: &defaults, aliases: &aliases };
        let apply = |pod: &Value| {
            let typed: Pod = serde_json::from_value(pod.clone()).unwrap();
            let patch: json_patch::Patch = serde_json::from_value(mutate(&typed, surroundings).into()).unwrap();
            let mut result = pod.clone();
            json_patch::patch(&mut result, &patch).unwrap();
            result
        };
        let once = apply(&pod);
        assert_eq!(apply(&once), once, "a second time changes nothing");
        once
    }

    #[test]
    fn a_pod_that_asks_gets_gate_scheduler_and_pool() {
        let pod = json!({ "metadata": { "annotations": { "resource-pool": "research" } },
            "spec": { "containers": [], "schedulerName": "kube-resource-manager-scheduler" } });
        let expected = json!({
            "metadata": {
                "annotations": { "resource-pool": "research", "weir.dev/pool": "research",
                    "weir.dev/requested-scheduler": "kube-resource-manager-scheduler" },
                "labels": { "weir.dev/pool": "research" },
            },
            "spec": { "containers": [], "schedulerName": "weir-scheduler",
                "schedulingGates": [{ "name": "weir.dev/admission" }] },
        });
        assert_eq!(mutated(pod, &[], &PoolDefaults::default()), expected);
    }

    #[test]
    fn a_foreign_scheduler_and_foreign_gates_are_kept() {
        let pod = json!({ "metadata": { "annotations": { "weir.dev/pool": "research" } },
            "spec": { "containers": [], "schedulerName": "other", "schedulingGates": [{ "name": "a/b" }] } });
        let spec = mutated(pod, &[], &PoolDefaults::default())["spec"].clone();
        assert_eq!(spec["schedulerName"], "other");
        assert_eq!(spec["schedulingGates"], json!([{ "name": "a/b" }, { "name": "weir.dev/admission" }]));
    }

    #[test]
    fn the_pool_comes_from_the_pod_then_from_the_namespace_then_from_the_configuration() {
        let pod = |pool: Option<&str>| {
            let annotations = pool.map(|pool| json!({ "weir.dev/pool": pool })).unwrap_or(json!({}));
            json!({ "metadata": { "annotations": annotations }, "spec": { "containers": [] } })
        };
        let pool = |pod: Value, namespace: &[(&str, &str)]| {
            mutated(pod, namespace, &PoolDefaults::default())["metadata"]["labels"]["weir.dev/pool"].clone()
        };
        assert_eq!(pool(pod(Some("mine")), &[("weir.dev/pool", "team")]), "mine");
        assert_eq!(pool(pod(None), &[("weir.dev/pool", "team")]), "team");
        assert_eq!(pool(pod(None), &[]), "default");
    }

    #[test]
    fn what_pool_and_namespace_say_holds_for_pods_that_do_not() {
        let pod = |annotations: Value| {
            json!({ "metadata": { "annotations": annotations },
            "spec": { "containers": [], "priority": 0, "preemptionPolicy": "PreemptLowerPriority" } })
        };
        let defaults = PoolDefaults {
            preemptible: Some(true),
            priority_class_name: Some("batch".to_owned()),
            ..PoolDefaults::default()
        };
        let silent = mutated(pod(json!({ "weir.dev/pool": "research" })), &[], &defaults);
        assert_eq!(silent["metadata"]["annotations"]["weir.dev/preemptible"], "true");
        assert_eq!(silent["spec"]["priorityClassName"], "batch");
        assert_eq!(silent["spec"]["priority"], Value::Null);
        let said = json!({ "weir.dev/pool": "research", "preemptible": "false" });
        let said = mutated(pod(said), &[("weir.dev/default-preemptible", "true")], &defaults);
        assert_eq!(said["metadata"]["annotations"]["weir.dev/preemptible"], Value::Null);
    }

    #[test]
    fn an_alias_becomes_the_real_model_in_selector_and_affinity() {
        let required = json!({ "nodeSelectorTerms": [{ "matchExpressions":
            [{ "key": "gpu-node-label-model", "operator": "In", "values": ["A100", "H100"] }] }] });
        let pod = json!({ "metadata": { "annotations": { "weir.dev/pool": "research" } }, "spec": { "containers": [],
            "nodeSelector": { "gpu-node-label-model": "H100" },
            "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": required } } } });
        let spec = mutated(pod, &[], &PoolDefaults::default())["spec"].clone();
        assert_eq!(spec["nodeSelector"]["gpu-node-label-model"], "NVIDIA_H100_80GB_HBM3");
        let path = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/\
                    matchExpressions/0/values";
        assert_eq!(spec.pointer(path), Some(&json!(["A100", "NVIDIA_H100_80GB_HBM3"])));
    }

    #[test]
    fn a_contradiction_is_left_for_the_pod_to_tell() {
        let pod = json!({ "metadata": { "annotations": { "weir.dev/pool": "a", "resource-pool": "b" } },
            "spec": { "containers": [] } });
        let result = mutated(pod, &[], &PoolDefaults::default());
        assert_eq!(result["metadata"]["annotations"]["resource-pool"], "b");
        assert_eq!(result["metadata"]["labels"]["weir.dev/pool"], "a");
        assert_eq!(result["spec"]["schedulingGates"], json!([{ "name": "weir.dev/admission" }]));
    }
}
