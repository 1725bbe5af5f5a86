//! A plugin's settings: JSON in the scheduler's configuration, a type in the plugin.
//!
//! Decides what no text means and how a mistake is reported; how a value becomes a type is decided in `tree.rs`.

use alloc::format;
use alloc::string::String;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::tree;

/// The settings of a plugin that has none. Anything but nothing or `{}` is refused, so that a setting
/// without effect does not go unnoticed.
///
/// ```
/// use kube_scheduler_guest::{NoSettings, settings};
/// assert_eq!(settings::parse::<NoSettings>(""), Ok(NoSettings {}));
/// let refused = settings::parse::<NoSettings>(r#"{"zone": "a"}"#);
/// assert_eq!(refused.unwrap_err(), "settings: unknown field `zone`, there are no fields");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// Reads settings from text; no text at all means all defaults.
///
/// # Errors
/// A sentence that names the field, such as
/// `settings.gpuResources[1]: expected a string, found the number 5`.
///
/// ```
/// use kube_scheduler_guest::settings;
/// use serde::Deserialize;
///
/// #[derive(Debug, Deserialize)]
/// #[serde(rename_all = "camelCase", deny_unknown_fields)]
/// struct Settings {
///     gpu_resources: Vec<String>,
/// }
///
/// let error = settings::parse::<Settings>(r#"{"gpuResources": ["nvidia.com/gpu", 5]}"#).unwrap_err();
/// assert_eq!(error, "settings.gpuResources[1]: expected a string, found the number 5");
/// let error = settings::parse::<Settings>(r#"{"gpuResource": []}"#).unwrap_err();
/// assert_eq!(error, "settings: unknown field `gpuResource`, expected `gpuResources`");
/// ```
pub fn parse<S: DeserializeOwned>(text: &str) -> Result<S, String> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    tree::from_json(text).map_err(|error| format!("settings{}: {}", error.path, error.what))
}
