//! Which hardware is special, and which pods name it.
//!
//! Written from the promise (D2) and from the ConfigMap's own form, without a line of `policy/placement`, which is
//! judged by it: a pod names a model when every way in which it may be placed leads to that model alone.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Node, NodeSelectorTerm, Pod};
use serde::Deserialize;

/// The special models of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialModels {
    /// The labels that name a node's model; the first that a node has counts.
    labels: Vec<String>,
    /// Real names by everything that the list accepts for them, the real names among it.
    real: BTreeMap<String, String>,
}

/// The list as the ConfigMap has it; what is not needed here is left out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    #[serde(default = "usual_labels")]
    label_keys: Vec<String>,
    #[serde(default)]
    models: Vec<Model>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    model: String,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    label_values: BTreeMap<String, String>,
}

fn usual_labels() -> Vec<String> {
    vec![weir_api::names::GPU_MODEL.to_owned()]
}

impl SpecialModels {
    /// The models that a ConfigMap lists.
    ///
    /// # Errors
    /// When its one value is not the list that it should be; the error names the field.
    ///
    /// ```
    /// use weir_checker::SpecialModels;
    /// let list = r#"{"models": [{"model": "G3", "gpusPerHost": 8}]}"#;
    /// let map = serde_json::from_value(serde_json::json!({ "data": { "list": list } })).unwrap();
    /// assert_eq!(SpecialModels::read(&map).unwrap().names(), ["G3"]);
    /// ```
    pub fn read(map: &ConfigMap) -> serde_json::Result<Self> {
        let text = map.data.iter().flatten().map(|(_, text)| text.as_str()).next().unwrap_or("{}");
        let List { label_keys, models } = serde_json::from_str(text)?;
        let spellings = models.into_iter().flat_map(|Model { model, aliases, label_values }| {
            let others = aliases.into_iter().chain(label_values.into_values());
            let all = std::iter::once(model.clone()).chain(others);
            all.map(move |spelling| (spelling, model.clone())).collect::<Vec<_>>()
        });
        Ok(Self { labels: label_keys, real: spellings.collect() })
    }

    /// Their real names, each once, in the order of the alphabet.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.real.values().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The special model of a node, if it has one.
    #[must_use]
    pub fn of_node(&self, node: &Node) -> Option<&str> {
        let labels = node.metadata.labels.as_ref()?;
        let value = self.labels.iter().find_map(|key| labels.get(key))?;
        self.real.get(value).map(String::as_str)
    }

    /// The special model that a pod names, if it names one: by its node selector, or in every term of its
    /// required node affinity.
    #[must_use]
    pub fn named_by(&self, pod: &Pod) -> Option<&str> {
        let spec = pod.spec.as_ref()?;
        let selected =
            spec.node_selector.as_ref().and_then(|selector| self.labels.iter().find_map(|key| selector.get(key)));
        if let Some(value) = selected {
            return self.real.get(value).map(String::as_str);
        }
        let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
        let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
        let mut named = terms.iter().map(|term| self.named_in(term));
        let first = named.next()??;
        named.all(|other| other == Some(first)).then_some(first)
    }

    /// The one special model that a term leads to.
    fn named_in(&self, term: &NodeSelectorTerm) -> Option<&str> {
        let expressions = term.match_expressions.as_deref().unwrap_or_default();
        let wanted = expressions.iter().find(|it| it.operator == "In" && self.labels.contains(&it.key))?;
        let mut models = wanted.values.iter().flatten().map(|value| self.real.get(value).map(String::as_str));
        let first = models.next()??;
        models.all(|other| other == Some(first)).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn special() -> SpecialModels {
        let list = r#"{"models": [{"model": "G3", "gpusPerHost": 8}, {"model": "V100M32", "aliases": ["V100_32GB"]}]}"#;
        SpecialModels::read(&serde_json::from_value(json!({ "data": { "list": list } })).unwrap()).unwrap()
    }

    fn named(spec: Value) -> Option<String> {
        let pod: Pod = serde_json::from_value(json!({ "spec": spec })).unwrap();
        special().named_by(&pod).map(str::to_owned)
    }

    fn terms(terms: &[&[&str]]) -> Value {
        let term = |values: &&[&str]| {
            json!({ "matchExpressions": [
            { "key": "gpu-node-label-model", "operator": "In", "values": values }] })
        };
        let terms: Vec<Value> = terms.iter().map(term).collect();
        json!({ "containers": [], "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } })
    }

    #[test]
    fn a_selector_names_a_model_by_its_name_or_an_alias() {
        let selecting =
            |model: &str| named(json!({ "containers": [], "nodeSelector": { "gpu-node-label-model": model } }));
        assert_eq!(selecting("G3").as_deref(), Some("G3"));
        assert_eq!(selecting("V100_32GB").as_deref(), Some("V100M32"));
        assert_eq!(selecting("T4"), None);
        assert_eq!(named(json!({ "containers": [] })), None);
    }

    #[test]
    fn an_affinity_names_a_model_when_it_leads_nowhere_else() {
        assert_eq!(named(terms(&[&["G3"]])).as_deref(), Some("G3"));
        assert_eq!(named(terms(&[&["V100M32", "V100_32GB"]])).as_deref(), Some("V100M32"));
        assert_eq!(
            named(terms(&[&["V100M16", "V100M32"]])),
            None,
            "with a general model beside it, it is a general pod"
        );
        assert_eq!(named(terms(&[&["G3"], &["T4"]])), None, "either term may be taken");
        assert_eq!(named(terms(&[&["G3", "V100M32"]])), None);
    }

    #[test]
    fn a_node_is_special_by_its_label() {
        let of = |model: &str| {
            let node = json!({ "metadata": { "labels": { "gpu-node-label-model": model } } });
            special().of_node(&serde_json::from_value(node).unwrap()).map(str::to_owned)
        };
        assert_eq!((of("G3").as_deref(), of("T4")), (Some("G3"), None));
        assert_eq!(special().names(), ["G3", "V100M32"]);
    }

    #[test]
    fn a_list_that_is_none_is_an_error() {
        let map = serde_json::from_value(json!({ "data": { "list": "{\"models\": 7}" } })).unwrap();
        let said = SpecialModels::read(&map).unwrap_err().to_string();
        assert!(said.starts_with("invalid type: integer `7`, expected a sequence"), "{said}");
    }
}
