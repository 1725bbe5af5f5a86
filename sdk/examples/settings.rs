//! A whole plugin with settings: nodes that carry a label are better.
#![no_std]
extern crate alloc;
use alloc::string::String;
use kube_scheduler_guest::{Node, Plugin, Pod, Score, Status, export};
use serde::Deserialize;

struct Prefer {
    label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    label: String,
}

impl Plugin for Prefer {
    type Settings = Settings;
    fn new(settings: Settings) -> anyhow::Result<Self> {
        anyhow::ensure!(!settings.label.is_empty(), "label: name a node label");
        Ok(Self { label: settings.label })
    }
}

impl Score for Prefer {
    fn score(&self, _: &Pod, node: &Node) -> Result<i32, Status> {
        Ok(if node.labels().get(&self.label).is_some() { 100 } else { 0 })
    }
}
export!(pure Prefer: Score);
