//! The list of special hardware as a platform team writes it, and what can be wrong with it.
//!
//! Decides what may stand in the list; what follows from it for a pod and a node is decided above.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;

/// The label that names the model, unless the list says otherwise.
pub const MODEL_LABEL: &str = "gpu-node-label-model";
/// More special models than this are not a list of exceptions any more.
pub(super) const MOST_MODELS: usize = 64;
/// The longest value of a Kubernetes label, and the longest name behind a slash.
const LONGEST_NAME: usize = 63;

/// The list of special hardware as a platform team writes it. [`SpecialHardware::new`](super::SpecialHardware::new) makes sense of it.
///
/// ```
/// use weir_placement::sku::{SpecialHardware, SpecialHardwareList};
/// let list: SpecialHardwareList = serde_json::from_str(r#"{
///   "labelKeys": ["gpu-node-label-model", "nvidia.com/gpu.product"],
///   "models": [{
///     "model": "NVIDIA_H100_80GB_HBM3",
///     "aliases": ["H100"],
///     "labelValues": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
///     "gpusPerHost": 8
///   }]
/// }"#)?;
/// let special = SpecialHardware::new(list)?;
/// assert_eq!(special.models()[0].label_value("nvidia.com/gpu.product"), "NVIDIA-H100-80GB-HBM3");
/// assert_eq!(special.models()[0].label_value("gpu-node-label-model"), "NVIDIA_H100_80GB_HBM3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecialHardwareList {
    /// The node labels that name a model, the one that counts first in front; [`MODEL_LABEL`] by default.
    #[serde(default = "default_label_keys")]
    pub label_keys: Vec<String>,
    /// The special models; every other one is general.
    #[serde(default)]
    pub models: Vec<SpecialModel>,
}

impl Default for SpecialHardwareList {
    fn default() -> Self {
        Self { label_keys: default_label_keys(), models: Vec::new() }
    }
}

/// A model of GPU that is kept for pods that name it.
///
/// ```
/// use weir_placement::sku::SpecialModel;
/// let written = r#"{"model": "G3", "labelValues": {"nvidia.com/gpu.product": "G3-SXM"}, "gpusPerHost": 8}"#;
/// let g3: SpecialModel = serde_json::from_str(written)?;
/// assert_eq!((g3.label_value("nvidia.com/gpu.product"), g3.label_value("any/other")), ("G3-SXM", "G3"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpecialModel {
    /// Its real name: what the label says on the nodes, and what its dimension is called.
    pub model: String,
    /// Other names under which people ask for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What the nodes say under labels that spell the name another way, by label key.
    #[serde(default)]
    pub label_values: BTreeMap<String, String>,
    /// How many GPUs a host of it has when all are well; at least 1.
    pub gpus_per_host: u32,
}

impl SpecialModel {
    /// What the nodes of this model say under a label.
    #[must_use]
    pub fn label_value(&self, key: &str) -> &str {
        self.label_values.get(key).unwrap_or(&self.model)
    }

    pub(super) fn spellings(&self) -> impl Iterator<Item = &String> {
        core::iter::once(&self.model).chain(&self.aliases).chain(self.label_values.values())
    }
}

fn default_label_keys() -> Vec<String> {
    vec![MODEL_LABEL.to_string()]
}

/// Whether a list can be followed: the first thing that is wrong with it, if any.
pub(super) fn check(list: &SpecialHardwareList) -> Result<(), ListError> {
    let SpecialHardwareList { label_keys, models } = list;
    if label_keys.is_empty() {
        return Err(ListError::NoLabelKey);
    }
    if let Some(index) = label_keys.iter().position(String::is_empty) {
        return Err(ListError::EmptyLabelKey { index });
    }
    if models.len() > MOST_MODELS {
        return Err(ListError::TooManyModels { count: models.len() });
    }
    let mut meanings = BTreeMap::new();
    for (index, model) in models.iter().enumerate() {
        check_model(index, model, label_keys)?;
        for name in model.spellings() {
            if let Some(other) = meanings.insert(name, index).filter(|&other| other != index) {
                return Err(ListError::TwoMeanings { index, other, name: name.clone() });
            }
        }
    }
    Ok(())
}

fn check_model(index: usize, model: &SpecialModel, label_keys: &[String]) -> Result<(), ListError> {
    let SpecialModel { model: name, aliases: _, label_values, gpus_per_host } = model;
    if let Some(bad) = model.spellings().find(|name| !is_label_value(name)) {
        return Err(ListError::BadName { index, name: bad.clone() });
    }
    if *gpus_per_host == 0 {
        return Err(ListError::NoGpus { index, model: name.clone() });
    }
    match label_values.keys().find(|key| !label_keys.contains(key)) {
        Some(key) => Err(ListError::OtherLabel { index, key: key.clone() }),
        None => Ok(()),
    }
}

/// What a label's value may be, the empty one excluded; then it may also stand behind `sku.weir.dev/`.
fn is_label_value(name: &str) -> bool {
    let ends = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    bytes.len() <= LONGEST_NAME
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// What is wrong with a list of special hardware.
///
/// ```
/// use weir_placement::sku::{ListError, SpecialHardware, SpecialHardwareList};
/// let list: SpecialHardwareList = serde_json::from_str(r#"{"models": [{"model": "G3", "gpusPerHost": 0}]}"#)?;
/// let wrong = SpecialHardware::new(list).unwrap_err();
/// assert_eq!(wrong.to_string(), "models[0].gpusPerHost: a host of G3 has at least 1 GPU");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListError {
    /// No label is named, so no node could be special.
    NoLabelKey,
    /// The label key at this position is empty.
    EmptyLabelKey {
        /// Its position, counted from 0.
        index: usize,
    },
    /// There are more than 64 special models.
    TooManyModels {
        /// How many there are.
        count: usize,
    },
    /// A name, alias or label value that no label can have.
    BadName {
        /// The position of the model, counted from 0.
        index: usize,
        /// The name.
        name: String,
    },
    /// A name that two models have.
    TwoMeanings {
        /// The position of the later model, counted from 0.
        index: usize,
        /// The position of the earlier one.
        other: usize,
        /// The name.
        name: String,
    },
    /// A host that has no GPU.
    NoGpus {
        /// The position of the model, counted from 0.
        index: usize,
        /// Its name.
        model: String,
    },
    /// A value for a label that is not among the keys.
    OtherLabel {
        /// The position of the model, counted from 0.
        index: usize,
        /// The label.
        key: String,
    },
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLabelKey => f.write_str("labelKeys: name at least one node label, such as gpu-node-label-model"),
            Self::EmptyLabelKey { index } => write!(f, "labelKeys[{index}]: a label key cannot be empty"),
            Self::TooManyModels { count } => {
                write!(f, "models: {count} are listed and {MOST_MODELS} are possible; leave out what is general")
            }
            Self::BadName { index, name } => write!(
                f,
                "models[{index}]: {name:?} cannot stand in a label; write 1 to {LONGEST_NAME} letters, digits, -, _ or ."
            ),
            Self::TwoMeanings { index, other, name } => {
                write!(f, "models[{index}]: {name:?} also means models[{other}]; let it mean one of them")
            }
            Self::NoGpus { index, model } => {
                write!(f, "models[{index}].gpusPerHost: a host of {model} has at least 1 GPU")
            }
            Self::OtherLabel { index, key } => {
                write!(f, "models[{index}].labelValues[{key}]: the label is not in labelKeys; add it there")
            }
        }
    }
}

impl core::error::Error for ListError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sku::SpecialHardware;
    use alloc::format;

    const PRODUCT: &str = "nvidia.com/gpu.product";

    #[test]
    fn a_list_that_contradicts_itself_is_refused_with_the_field() {
        let model = |name: &str, alias: &str| SpecialModel {
            model: name.into(),
            aliases: vec![alias.into()],
            label_values: BTreeMap::new(),
            gpus_per_host: 8,
        };
        let said = |models: Vec<SpecialModel>| {
            let list = SpecialHardwareList { models, ..SpecialHardwareList::default() };
            SpecialHardware::new(list).unwrap_err().to_string()
        };
        assert_eq!(
            said(vec![model("H100", "big"), model("A100", "big")]),
            "models[1]: \"big\" also means models[0]; let it mean one of them"
        );
        assert_eq!(
            said(vec![model("H100", "big gpu")]),
            "models[0]: \"big gpu\" cannot stand in a label; write 1 to 63 letters, digits, -, _ or ."
        );
        assert_eq!(
            said(vec![SpecialModel { gpus_per_host: 0, ..model("H100", "big") }]),
            "models[0].gpusPerHost: a host of H100 has at least 1 GPU"
        );
        let elsewhere = BTreeMap::from([(PRODUCT.into(), "H100".into())]);
        assert_eq!(
            said(vec![SpecialModel { label_values: elsewhere, ..model("H100", "big") }]),
            "models[0].labelValues[nvidia.com/gpu.product]: the label is not in labelKeys; add it there"
        );
        assert_eq!(
            said((0..65).map(|index| model(&format!("m{index}"), &format!("a{index}"))).collect()),
            "models: 65 are listed and 64 are possible; leave out what is general"
        );
        let no_key = SpecialHardwareList { label_keys: vec![], models: vec![] };
        assert_eq!(SpecialHardware::new(no_key), Err(ListError::NoLabelKey));
    }

    #[test]
    fn a_misspelled_field_of_the_list_is_refused() {
        let misspelled = serde_json::from_str::<SpecialHardwareList>(r#"{"labelkeys": []}"#).unwrap_err();
        assert!(misspelled.to_string().starts_with("unknown field `labelkeys`"), "{misspelled}");
        let empty: SpecialHardwareList = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, SpecialHardwareList::default());
    }
}
