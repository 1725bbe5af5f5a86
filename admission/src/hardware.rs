//! The list of special hardware, as administrators write it into a ConfigMap.
//!
//! The list is what sku-exclusion-filter is configured with; here it tells which class a pod counts in and
//! which names are aliases. A list that cannot be read is reported and taken as empty for aliases, so that
//! pods keep what they wrote.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;

/// One special model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// The real name: the value of the model label on nodes.
    pub name: String,
    /// Other names that users may write.
    #[serde(default)]
    pub aliases: Vec<String>,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    models: Vec<Model>,
}

/// The models in a list, in its order.
///
/// # Errors
/// A value of the ConfigMap is neither YAML nor JSON with a list `models`; the sentence names its key.
pub fn models(list: &ConfigMap) -> Result<Vec<Model>, String> {
    let mut models = Vec::new();
    for (key, text) in list.data.iter().flatten() {
        let parsed: List = serde_saphyr::from_str(text).map_err(|error| format!("data[{key}]: {error}"))?;
        models.extend(parsed.models);
    }
    Ok(models)
}

/// Real names by their aliases; nothing from a list that cannot be read.
#[must_use]
pub fn aliases(list: &ConfigMap) -> BTreeMap<String, String> {
    let models = models(list).unwrap_or_default();
    models
        .into_iter()
        .flat_map(|Model { name, aliases }| aliases.into_iter().map(move |alias| (alias, name.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> ConfigMap {
        ConfigMap { data: Some([("list".to_owned(), text.to_owned())].into()), ..ConfigMap::default() }
    }

    #[test]
    fn an_alias_leads_to_the_real_name() {
        let list = list("models:\n- name: NVIDIA_H100_80GB_HBM3\n  aliases: [H100, h100-80g]\n- name: G3\n");
        assert_eq!(aliases(&list).get("H100").map(String::as_str), Some("NVIDIA_H100_80GB_HBM3"));
        assert_eq!(models(&list).unwrap().len(), 2);
    }

    #[test]
    fn a_list_that_cannot_be_read_names_its_key_and_has_no_aliases() {
        let broken = list("models: 7");
        assert!(models(&broken).unwrap_err().starts_with("data[list]: "));
        assert!(aliases(&broken).is_empty());
    }
}
