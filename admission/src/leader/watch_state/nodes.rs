//! The nodes as this leader knows them: which there are, which GPU models they have, and when a silent one counts as
//! excluded although no event will say so.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Node as Written;
use weir_queue::{Node, Time};

use crate::config::Nodes;
use crate::convert::hosts::ModelLabel;
use crate::convert::node::node;
use crate::watch::relist::Relist;

/// All nodes.
#[derive(Debug, Default)]
pub(crate) struct NodeCache {
    /// When each silent node is to be excluded; none for a node that reports.
    silent_until: BTreeMap<String, Option<Time>>,
    list: Relist<String>,
    listed: bool,
    models: BTreeSet<ModelLabel>,
}

impl NodeCache {
    /// Whether all nodes were listed once.
    pub(crate) const fn listed(&self) -> bool {
        self.listed
    }

    /// The GPU models that some node has, or had.
    pub(crate) const fn models(&self) -> &BTreeSet<ModelLabel> {
        &self.models
    }

    /// A node whose time of silence is over.
    pub(crate) fn to_be_excluded(&self, now: Time) -> Option<&str> {
        let over = |until: &Option<Time>| until.is_some_and(|until| until <= now);
        self.silent_until.iter().find(|(_, until)| over(until)).map(|(name, _)| name.as_str())
    }

    /// A list begins.
    pub(crate) fn begin_list(&mut self) {
        self.list.begin();
    }

    /// Takes in a node and returns it as the queue is told of it, with the models that no node had before.
    pub(crate) fn apply(
        &mut self,
        written: &Written,
        label_keys: &[String],
        config: &Nodes,
        now: Time,
    ) -> (Node, Vec<ModelLabel>) {
        let (node, silent_until) = node(written, config, now);
        self.list.saw(node.name.clone());
        let labels = label_keys.iter().filter_map(|key| Some(ModelLabel::new(key, node.labels.get(key)?)));
        let new: Vec<ModelLabel> = labels.filter(|label| self.models.insert(label.clone())).collect();
        self.silent_until.insert(node.name.clone(), silent_until);
        (node, new)
    }

    /// Forgets a node.
    pub(crate) fn remove(&mut self, name: &str) {
        self.silent_until.remove(name);
    }

    /// Ends a list and forgets the nodes that it does not have, which are returned.
    pub(crate) fn finish_list(&mut self) -> Vec<String> {
        self.listed = true;
        let missing = self.list.finish(self.silent_until.keys());
        missing.iter().for_each(|name| self.remove(name));
        missing
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: &str = "gpu-node-label-model";

    fn apply(nodes: &mut NodeCache, name: &str, model: &str, ready: &str, now: u64) -> Vec<ModelLabel> {
        let written = json!({ "metadata": { "name": name, "labels": { KEY: model } }, "status": { "conditions":
            [{ "type": "Ready", "status": ready, "lastTransitionTime": "1970-01-01T00:00:00Z" }] } });
        let written = serde_json::from_value(written).unwrap();
        nodes.apply(&written, &[KEY.to_owned()], &Nodes::default(), Time::from_millis(now)).1
    }

    #[test]
    fn a_model_is_new_once() {
        let mut nodes = NodeCache::default();
        assert_eq!(apply(&mut nodes, "a", "T4", "True", 0), [ModelLabel::new(KEY, "T4")]);
        assert_eq!(apply(&mut nodes, "b", "T4", "True", 0), []);
    }

    #[test]
    fn a_silent_node_is_to_be_excluded_after_five_minutes() {
        let mut nodes = NodeCache::default();
        apply(&mut nodes, "a", "T4", "Unknown", 0);
        let excluded = |nodes: &NodeCache, now| nodes.to_be_excluded(Time::from_millis(now)).map(str::to_owned);
        assert_eq!([excluded(&nodes, 299_999), excluded(&nodes, 300_000)], [None, Some("a".to_owned())]);
        apply(&mut nodes, "a", "T4", "True", 300_001);
        assert_eq!(excluded(&nodes, 300_001), None);
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
