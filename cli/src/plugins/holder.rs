//! The ConfigMap that holds a plugin's modules, and how each command changes it.
//!
//! Under the key that `guestURL` names stands the module in force, under the same with `.shadow` the one that runs in
//! its shadow, where the scheduler looks for it; with `.previous` stands the one before, which only
//! `rollback` reads. Each may have a signature beside it, with `.sig` behind.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use weir_api::names;

use crate::digest::digest;

/// What an API server takes as the content of a ConfigMap.
const MOST_BYTES: usize = 1 << 20;

const SCHEME: &str = "configmap://";
const PREVIOUS: &str = ".previous";
const SHADOW: &str = ".shadow";
const SIGNATURE: &str = ".sig";

/// Where a plugin's module stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) key: String,
}

/// A module with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) bytes: Vec<u8>,
    pub(super) signature: Option<Vec<u8>>,
}

/// A plugin's modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Versions {
    pub(super) current: Option<Module>,
    pub(super) previous: Option<Module>,
    pub(super) shadow: Option<Module>,
}

/// What is to become of them.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// This one in force, and the one in force kept for a rollback.
    Push(Module),
    /// This one in the shadow.
    Shadow(Module),
    /// None in the shadow.
    EndShadow,
    /// The one in the shadow in force.
    Promote,
    /// The one before in force, and the one in force kept in its place.
    RollBack,
}

impl Place {
    /// Reads a `guestURL`; `None` when it is no ConfigMap's.
    pub(super) fn read(source: &str) -> Option<Self> {
        let parts: Vec<&str> = source.strip_prefix(SCHEME)?.split('/').collect();
        let [namespace, name, key] = parts[..] else { return None };
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned(), key: key.to_owned() })
    }

    /// What the ConfigMap holds for the plugin.
    pub(super) fn versions(&self, holder: &ConfigMap) -> Versions {
        let bytes = |key: &str| {
            let binary = holder.binary_data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.clone());
            binary.or_else(|| holder.data.as_ref()?.get(key).map(|text| text.clone().into_bytes()))
        };
        let module = |suffix: &str| {
            let key = format!("{}{suffix}", self.key);
            let signature = bytes(&format!("{key}{SIGNATURE}"));
            bytes(&key).map(|bytes| Module { bytes, signature })
        };
        Versions { current: module(""), previous: module(PREVIOUS), shadow: module(SHADOW) }
    }

    /// The merge patch that makes the ConfigMap hold these instead; it fails where the ConfigMap has
    /// changed meanwhile.
    pub(super) fn patch(&self, holder: &ConfigMap, versions: &Versions) -> Result<Value> {
        let Versions { current, previous, shadow } = versions;
        let mut binary: BTreeMap<String, Option<ByteString>> = BTreeMap::new();
        let mut text: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut digests = known_digests(holder);
        for (suffix, module) in [("", current), (PREVIOUS, previous), (SHADOW, shadow)] {
            let key = format!("{}{suffix}", self.key);
            let signature = format!("{key}{SIGNATURE}");
            digests.remove(&key);
            digests.extend(module.iter().map(|module| (key.clone(), digest(&module.bytes))));
            // The scheduler reads a signature in either place; it is to find one.
            text.insert(signature.clone(), None);
            binary.insert(signature, module.as_ref().and_then(|module| module.signature.clone()).map(ByteString));
            binary.insert(key, module.as_ref().map(|module| ByteString(module.bytes.clone())));
        }
        self.fits(holder, &binary)?;
        let text = has_any(holder, &text).then_some(text);
        Ok(json!({
            "metadata": {
                "resourceVersion": holder.metadata.resource_version,
                "annotations": { names::PLUGIN_DIGESTS: serde_json::to_string(&digests).context("write the digests")? },
            },
            "binaryData": binary,
            "data": text.unwrap_or_default(),
        }))
    }

    fn fits(&self, holder: &ConfigMap, changed: &BTreeMap<String, Option<ByteString>>) -> Result<()> {
        let others = holder.binary_data.iter().flatten().filter(|(key, _)| !changed.contains_key(*key));
        let text = holder.data.iter().flatten().filter(|(key, _)| !changed.contains_key(*key));
        let kept: usize = others.map(|(_, bytes)| bytes.0.len()).chain(text.map(|(_, text)| text.len())).sum();
        let ours: usize = changed.values().flatten().map(|bytes| bytes.0.len()).sum();
        ensure!(
            kept + ours <= MOST_BYTES,
            "ConfigMap {}/{} would have {} bytes, {kept} of them of others, and may have {MOST_BYTES}; give each plugin a \
             ConfigMap of its own, or end its shadow",
            self.namespace,
            self.name,
            kept + ours
        );
        Ok(())
    }
}

/// Whether the ConfigMap has any of these as text.
fn has_any(holder: &ConfigMap, keys: &BTreeMap<String, Option<String>>) -> bool {
    holder.data.iter().flatten().any(|(key, _)| keys.contains_key(key))
}

fn known_digests(holder: &ConfigMap) -> BTreeMap<String, String> {
    let annotation = holder.metadata.annotations.as_ref().and_then(|all| all.get(names::PLUGIN_DIGESTS));
    annotation.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

impl Versions {
    /// What it is after a change.
    pub(super) fn after(self, change: Change) -> Result<Self> {
        let Self { current, previous, shadow } = self;
        Ok(match change {
            Change::Push(module) if current.as_ref() == Some(&module) => Self { current, previous, shadow },
            // What is pushed need not be compared with itself.
            Change::Push(module) => {
                let shadow = shadow.filter(|shadow| shadow.bytes != module.bytes);
                Self { current: Some(module), previous: current, shadow }
            }
            Change::Shadow(module) if current.as_ref().is_some_and(|current| current.bytes == module.bytes) => {
                bail!("that module is in force already; there is nothing to compare")
            }
            Change::Shadow(module) => Self { current, previous, shadow: Some(module) },
            Change::EndShadow if shadow.is_none() => bail!("nothing runs in its shadow"),
            Change::EndShadow => Self { current, previous, shadow: None },
            Change::Promote => match shadow {
                Some(module) => Self { current: Some(module), previous: current, shadow: None },
                None => {
                    bail!("nothing runs in its shadow; put something there with `kubectl weir plugins shadow FILE`")
                }
            },
            Change::RollBack => match previous {
                Some(module) => Self { current: Some(module), previous: current, shadow },
                None => bail!("there is no version before the one in force; push the one that you want"),
            },
        })
    }
}
