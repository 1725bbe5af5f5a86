//! PluginTemplate: pods that name a zone run in that zone only.
//!
//! Begin here: change the settings, the rule and the tests, then README.md.
#![no_std]

extern crate alloc;

use alloc::string::String;

use kube_scheduler_guest::{Filter, Node, Plugin, Pod, Status, export};
use serde::Deserialize;

/// The plugin.
#[derive(Debug)]
pub struct PluginTemplate {
    zone_label: String,
}

/// The settings, as JSON in the plugin's `guestConfig`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The label that names the zone, on pods and on nodes.
    zone_label: String,
}

impl Plugin for PluginTemplate {
    type Settings = Settings;

    fn new(Settings { zone_label }: Settings) -> anyhow::Result<Self> {
        anyhow::ensure!(!zone_label.is_empty(), "zoneLabel: name a label, such as topology.kubernetes.io/zone");
        Ok(Self { zone_label })
    }
}

impl Filter for PluginTemplate {
    fn filter(&self, pod: &Pod, node: &Node) -> Status {
        match pod.labels().get(&self.zone_label) {
            wanted @ Some(_) if wanted != node.labels().get(&self.zone_label) => {
                Status::unresolvable("node(s) were in another zone")
            }
            _ => Status::success(),
        }
    }
}

export!(pure PluginTemplate: Filter);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use kube_scheduler_guest::testing::{FakeHost, node, pod};

    const CONFIG: &str = r#"{"zoneLabel": "zone"}"#;

    #[test]
    fn a_pod_that_names_a_zone_runs_there_only() {
        let nodes =
            FakeHost::new().config(CONFIG).node(node("a").label("zone", "a")).node(node("b").label("zone", "b"));
        let mut host = nodes.pod(pod("p").label("zone", "a"));
        let plugin = host.load::<PluginTemplate>().unwrap();
        assert_eq!(host.filter(&plugin, "a"), Status::success());
        assert_eq!(host.filter(&plugin, "b"), Status::unresolvable("node(s) were in another zone"));
    }

    #[test]
    fn a_pod_that_names_no_zone_runs_anywhere() {
        let mut host = FakeHost::new().config(CONFIG).pod(pod("p")).node(node("a").label("zone", "a"));
        let plugin = host.load::<PluginTemplate>().unwrap();
        assert_eq!(host.filter(&plugin, "a"), Status::success());
    }

    #[test]
    fn an_empty_label_is_refused() {
        let refused = FakeHost::new().config(r#"{"zoneLabel": ""}"#).load::<PluginTemplate>();
        let said = "settings: zoneLabel: name a label, such as topology.kubernetes.io/zone";
        assert_eq!(refused.err(), Some(said.to_string()));
    }
}
