//! The nodes as this leader knows them: which there are, which GPU models they have, and when a silent one counts as
//! excluded although no event will say so.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node as Written;
use weir_entitlement::Exclusion;
use weir_queue::{Node, Time};

use crate::config::Nodes;
use crate::convert::hosts::ModelLabel;
use crate::convert::node::node;
use crate::watch::relist::Relist;

/// All nodes.
#[derive(Debug, Default)]
pub(crate) struct NodeCache {
    by_name: BTreeMap<String, KnownNode>,
    list: Relist<String>,
    listed: bool,
    /// How many nodes have each GPU model.
    models: BTreeMap<ModelLabel, usize>,
    /// Whether there are other models than when this was last asked.
    other_models: bool,
}

/// What is remembered of a node.
#[derive(Debug)]
struct KnownNode {
    models: Vec<ModelLabel>,
    /// A node that is silent, and when it is to be excluded.
    silent: Option<Box<(Time, Node)>>,
}

impl NodeCache {
    /// Whether all nodes were listed once.
    pub(crate) const fn listed(&self) -> bool {
        self.listed
    }

    /// Whether some node has a GPU model.
    pub(crate) fn has_model(&self, label: &ModelLabel) -> bool {
        self.models.contains_key(label)
    }

    /// Whether no node has any GPU model.
    pub(crate) fn has_no_models(&self) -> bool {
        self.models.is_empty()
    }

    /// Whether there are other models than when this was last asked.
    pub(crate) fn take_other_models(&mut self) -> bool {
        std::mem::take(&mut self.other_models)
    }

    /// The nodes whose time of silence is over, excluded from now on.
    pub(crate) fn take_excluded(&mut self, now: Time) -> Vec<Node> {
        let over = |known: &mut KnownNode| known.silent.take_if(|silent| silent.0 <= now);
        let silent = self.by_name.values_mut().filter_map(over);
        silent
            .map(|silent| Node { excluded: Some(silent.1.excluded.unwrap_or(Exclusion::NotReady)), ..silent.1 })
            .collect()
    }

    /// A list begins.
    pub(crate) fn begin_list(&mut self) {
        self.list.begin();
    }

    /// Takes in a node and returns it as the queue is told of it.
    pub(crate) fn apply(&mut self, written: &Written, label_keys: &[String], config: &Nodes, now: Time) -> Node {
        let (node, silent_until) = node(written, config, now);
        self.list.saw(node.name.clone());
        let labels = label_keys.iter().filter_map(|key| Some(ModelLabel::new(key, node.labels.get(key)?)));
        let models: Vec<ModelLabel> = labels.collect();
        let silent = silent_until.map(|until| Box::new((until, node.clone())));
        if self.by_name.get(&node.name).is_none_or(|known| known.models != models) {
            models.iter().for_each(|label| self.count_model(label));
            self.forget_models(&node.name);
        }
        self.by_name.insert(node.name.clone(), KnownNode { models, silent });
        node
    }

    fn count_model(&mut self, label: &ModelLabel) {
        let count = self.models.entry(label.clone()).or_default();
        *count += 1;
        self.other_models |= *count == 1;
    }

    fn forget_models(&mut self, name: &str) {
        let Some(known) = self.by_name.get_mut(name) else { return };
        for label in std::mem::take(&mut known.models) {
            let Some(count) = self.models.get_mut(&label) else { continue };
            *count -= 1;
            if *count == 0 {
                self.models.remove(&label);
                self.other_models = true;
            }
        }
    }

    /// Forgets a node.
    pub(crate) fn remove(&mut self, name: &str) {
        self.forget_models(name);
        self.by_name.remove(name);
    }

    /// Ends a list and forgets the nodes that it does not have, which are returned.
    pub(crate) fn finish_list(&mut self) -> Vec<String> {
        self.listed = true;
        let missing = self.list.finish(self.by_name.keys());
        missing.iter().for_each(|name| self.remove(name));
        missing
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "gpu-node-label-model";

    fn apply(nodes: &mut NodeCache, name: &str, model: &str, ready: &str, now: u64) -> bool {
        let written = json!({ "metadata": { "name": name, "labels": { KEY: model } }, "status": { "conditions":
            [{ "type": "Ready", "status": ready, "lastTransitionTime": "1970-01-01T00:00:00Z" }] } });
        let written = serde_json::from_value(written).unwrap();
        nodes.apply(&written, &[KEY.to_owned()], &Nodes::default(), Time::from_millis(now));
        nodes.take_other_models()
    }

    #[test]
    fn a_model_is_known_from_its_first_node_to_its_last() {
        let mut nodes = NodeCache::default();
        assert!(apply(&mut nodes, "a", "T4", "True", 0));
        assert!(!apply(&mut nodes, "b", "T4", "True", 0));
        assert!(!apply(&mut nodes, "b", "T4", "False", 0));
        nodes.remove("a");
        assert!(nodes.has_model(&ModelLabel::new(KEY, "T4")) && !nodes.take_other_models());
        assert!(apply(&mut nodes, "b", "H100", "True", 0), "the last T4 is another model now");
        assert!(!nodes.has_model(&ModelLabel::new(KEY, "T4")));
        nodes.remove("b");
        assert!(nodes.has_no_models() && nodes.take_other_models());
    }

    #[test]
    fn a_silent_node_is_excluded_after_five_minutes_once_without_an_event() {
        let mut nodes = NodeCache::default();
        apply(&mut nodes, "a", "T4", "Unknown", 0);
        let excluded = |nodes: &mut NodeCache, now| {
            let nodes = nodes.take_excluded(Time::from_millis(now)).into_iter();
            nodes.map(|node| (node.name, node.excluded)).collect::<Vec<_>>()
        };
        assert_eq!(excluded(&mut nodes, 299_999), []);
        assert_eq!(excluded(&mut nodes, 300_000), [("a".to_owned(), Some(Exclusion::NotReady))]);
        assert_eq!(excluded(&mut nodes, 300_000), []);
        apply(&mut nodes, "a", "T4", "Unknown", 200_000);
        apply(&mut nodes, "a", "T4", "True", 299_000);
        assert_eq!(excluded(&mut nodes, 400_000), [], "it reports again");
    }

    #[test]
    fn a_node_that_a_list_does_not_have_is_gone() {
        let mut nodes = NodeCache::default();
        apply(&mut nodes, "a", "T4", "True", 0);
        assert!(!nodes.listed());
        nodes.begin_list();
        apply(&mut nodes, "b", "T4", "True", 0);
        assert_eq!(nodes.finish_list(), ["a"]);
        assert!(nodes.listed());
    }
}
