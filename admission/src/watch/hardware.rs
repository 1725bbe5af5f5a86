//! The list of special hardware, as the sku-exclusion-filter reads it: one ConfigMap, one key, JSON.
//!
//! The list decides which class a pod counts in and which names are aliases. What stands in it, and what can
//! be wrong with it, is decided by `weir_placement`, so that the filter and the sidecar never read the same
//! list in two ways. A list that cannot be followed is refused as a whole, as the scheduler refuses it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use weir_placement::sku::{SpecialHardware, SpecialHardwareList, SpecialModel};

use crate::convert::hosts::ModelLabel;

/// The list in a ConfigMap.
///
/// # Errors
/// It has not exactly one key, or its value is no such list; the sentence names the field.
///
/// ```
/// use weir_admission::watch::hardware::listed;
/// let map = serde_json::from_value(serde_json::json!({ "data": {
///     "special-hardware.json": r#"{"models": [{"model": "G3", "aliases": ["g3"], "gpusPerHost": 8}]}"#,
/// } })).unwrap();
/// assert_eq!(listed(&map).unwrap().models()[0].model, "G3");
/// ```
pub fn listed(map: &ConfigMap) -> Result<SpecialHardware, String> {
    let data = map.data.as_ref().filter(|data| data.len() == 1);
    let Some((key, text)) = data.and_then(|data| data.first_key_value()) else {
        return Err(format!(
            "data: {} keys; write the list into one, the name of which does not matter",
            map.data.as_ref().map_or(0, BTreeMap::len)
        ));
    };
    let list: SpecialHardwareList = serde_json::from_str(text).map_err(|error| format!("data[{key}]: {error}"))?;
    SpecialHardware::new(list).map_err(|error| format!("data[{key}], {error}"))
}

/// No special hardware; the label is still the one by which models are named.
///
/// # Errors
/// The label key is empty.
pub fn none(label: &str) -> Result<SpecialHardware, String> {
    let list = SpecialHardwareList { label_keys: vec![label.to_owned()], models: Vec::new() };
    SpecialHardware::new(list).map_err(|error| error.to_string())
}

/// The value that nodes have under a label, by that label with another name of the model.
pub type Aliases = BTreeMap<ModelLabel, String>;

/// Every name that means a special model without being the value that nodes have, label by label.
#[must_use]
pub fn aliases(special: &SpecialHardware) -> Aliases {
    let spellings = |model: &SpecialModel| -> Vec<String> {
        let SpecialModel { model: name, aliases, label_values, gpus_per_host: _ } = model;
        std::iter::once(name).chain(aliases).chain(label_values.values()).cloned().collect()
    };
    let mut all = Aliases::new();
    for model in special.models() {
        for key in special.label_keys() {
            let value = model.label_value(key);
            for name in spellings(model).into_iter().filter(|name| name != value) {
                all.insert(ModelLabel { key: key.clone(), value: name }, value.to_owned());
            }
        }
    }
    all
}

/// The list that is followed: the one that the scheduler reports in force once it reports one, otherwise the newest
/// that can be followed. A pod is then admitted by the list that it will be placed by.
#[derive(Clone, Debug)]
pub struct Followed {
    none: Special,
    /// Lists that were seen, by revision; the last few.
    seen: BTreeMap<u64, Special>,
    /// The revision that was looked at last.
    looked_at: Option<u64>,
    current: Special,
}

/// A list, and what follows from it.
#[derive(Clone, Debug)]
pub struct Special {
    /// The list.
    pub list: Arc<SpecialHardware>,
    /// The label values of nodes for other names.
    pub aliases: Arc<Aliases>,
}

/// How many lists are remembered: the scheduler follows within seconds.
const REMEMBERED: usize = 8;

impl Followed {
    /// No list yet.
    #[must_use]
    pub fn new(none: SpecialHardware) -> Self {
        let none = Special::new(none);
        Self { current: none.clone(), none, seen: BTreeMap::new(), looked_at: None }
    }

    /// The list to follow, given the newest one and the revision that the scheduler has in force.
    pub fn follow(&mut self, newest: Option<&ConfigMap>, in_force: Option<u64>) -> Special {
        let Some(newest) = newest else {
            self.current = self.none.clone();
            return self.none.clone();
        };
        let revision = newest.metadata.resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
        if self.looked_at != Some(revision) {
            self.looked_at = Some(revision);
            match listed(newest) {
                Ok(list) => drop(self.seen.insert(revision, Special::new(list))),
                Err(error) => {
                    tracing::error!(error, revision, "the list of special hardware cannot be followed; another one is");
                }
            }
            while self.seen.len() > REMEMBERED {
                self.seen.pop_first();
            }
        }
        let reported = in_force.and_then(|revision| self.seen.get(&revision));
        if let Some(next) = reported.or(self.seen.get(&revision)) {
            self.current = next.clone();
        }
        self.current.clone()
    }
}

impl Special {
    fn new(list: SpecialHardware) -> Self {
        Self { aliases: Arc::new(aliases(&list)), list: Arc::new(list) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> ConfigMap {
        ConfigMap { data: Some([("list".to_owned(), text.to_owned())].into()), ..ConfigMap::default() }
    }

    #[test]
    fn the_list_that_is_shipped_is_read() {
        let shipped = include_str!("../../../scheduler-config/special-hardware.yaml");
        let map: ConfigMap = serde_saphyr::from_str(shipped).unwrap();
        let special = listed(&map).unwrap();
        let names: Vec<_> = special.models().iter().map(|model| model.model.as_str()).collect();
        assert_eq!(names, ["G3", "V100M32"]);
        let alias = ModelLabel::new("gpu-node-label-model", "V100_32GB");
        assert_eq!(aliases(&special).get(&alias).map(String::as_str), Some("V100M32"));
    }

    #[test]
    fn under_each_label_a_name_leads_to_what_the_nodes_say_there() {
        let special = listed(&list(
            r#"{"labelKeys": ["gpu-node-label-model", "nvidia.com/gpu.product"], "models": [{"model": "H100",
                "aliases": ["big"], "labelValues": {"nvidia.com/gpu.product": "NVIDIA-H100"}, "gpusPerHost": 8}]}"#,
        ))
        .unwrap();
        let said = |key: &str, name: &str| aliases(&special).get(&ModelLabel::new(key, name)).cloned();
        assert_eq!(said("gpu-node-label-model", "big").as_deref(), Some("H100"));
        assert_eq!(said("nvidia.com/gpu.product", "big").as_deref(), Some("NVIDIA-H100"));
        assert_eq!(said("nvidia.com/gpu.product", "NVIDIA-H100"), None);
    }

    #[test]
    fn the_list_that_the_scheduler_has_in_force_is_followed() {
        let mut followed = Followed::new(none("gpu-node-label-model").unwrap());
        let revised = |revision: &str, model: &str| {
            let mut map = list(&format!(r#"{{"models": [{{"model": "{model}", "gpusPerHost": 8}}]}}"#));
            map.metadata.resource_version = Some(revision.to_owned());
            map
        };
        let mut model = |map: &ConfigMap, in_force: Option<u64>| {
            followed.follow(Some(map), in_force).list.models().first().map(|model| model.model.clone())
        };
        let (old, new, bad) = (revised("9", "G2"), revised("10", "G3"), revised("11", "G 4"));
        assert_eq!(model(&old, None).as_deref(), Some("G2"), "no replica reports: the newest");
        assert_eq!(model(&new, Some(9)).as_deref(), Some("G2"), "the scheduler does not follow yet");
        assert_eq!(model(&new, Some(10)).as_deref(), Some("G3"));
        assert_eq!(model(&bad, Some(10)).as_deref(), Some("G3"), "one that cannot be followed leaves the other");
        assert_eq!(model(&bad, None).as_deref(), Some("G3"));
    }

    #[test]
    fn a_list_that_cannot_be_followed_names_its_field() {
        let said = |text: &str| listed(&list(text)).unwrap_err();
        assert!(said(r#"{"models": 7}"#).starts_with("data[list]: invalid type"), "{}", said(r#"{"models": 7}"#));
        assert_eq!(
            said(r#"{"models": [{"model": "H100", "gpusPerHost": 0}]}"#),
            "data[list], models[0].gpusPerHost: a host of H100 has at least 1 GPU"
        );
        assert!(listed(&ConfigMap::default()).unwrap_err().starts_with("data: 0 keys"));
    }
}
