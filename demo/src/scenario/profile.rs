//! The scheduler's configuration as a run starts it: what is shipped, and what the run adds to it.
//!
//! Two things are added. The plugin that keeps special hardware follows the ConfigMap that the run has applied, instead
//! of the list that the file repeats. And every module of the folder runs: a module that no profile names is added to
//! the profile that places the pods, under its file's name in capitals (`zone-filter` is `ZoneFilter`), with the entry of
//! `pluginConfig` that lies beside it as `NAME.yaml`, if one does, and else without settings and without asking that it
//! was packed. So a plugin that was just begun is tried before it is shipped, and the shipped profile is changed on
//! purpose only.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use weir_api::names::SCHEDULER;

use super::objects::SKU_EXCLUSION;

/// A plugin that the shipped configuration does not have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Added {
    /// The module's file, without `.wasm`.
    pub(crate) module: String,
    /// Its entry in `pluginConfig`, as it was written.
    pub(crate) entry: Option<Value>,
}

/// A configuration that is ready to be started.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profile {
    /// Its text: JSON, which is YAML too.
    pub(crate) text: String,
    /// The names of the plugins that were added.
    pub(crate) added: Vec<String>,
}

/// What the modules of a folder say beside themselves; in the order of their names.
///
/// # Errors
/// When the folder or an entry cannot be read; the error names the file.
pub(crate) fn modules(folder: &Path) -> Result<Vec<Added>> {
    let files = std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut modules = Vec::new();
    for file in files {
        let path = file.with_context(|| format!("read {}", folder.display()))?.path();
        let Some(module) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        if path.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        let beside = path.with_extension("yaml");
        let entry = match std::fs::read_to_string(&beside) {
            Ok(text) => Some(understood(&text, &beside)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("read {}", beside.display())),
        };
        modules.push(Added { module: module.to_owned(), entry });
    }
    modules.sort_by(|a, b| a.module.cmp(&b.module));
    Ok(modules)
}

fn understood(text: &str, file: &Path) -> Result<Value> {
    serde_saphyr::from_str(text).with_context(|| format!("understand {}", file.display()))
}

/// The configuration `text`, following `special` for special hardware, with those of `modules` that it does not
/// name.
///
/// # Errors
/// When it is no KubeSchedulerConfiguration with the profile that places the pods; the error names the field.
pub(crate) fn complete(text: &str, special: &str, modules: Vec<Added>) -> Result<Profile> {
    let mut config: Value = serde_saphyr::from_str(text).context("understand it as YAML")?;
    for entry in config.pointer_mut("/profiles").and_then(Value::as_array_mut).context("profiles: expected a list")? {
        follow(entry, special);
    }
    let missing: Vec<Added> =
        modules.into_iter().filter(|added| !text.contains(&format!("/{}.wasm", added.module))).collect();
    let mut names = Vec::new();
    for added in missing {
        names.push(add(&mut config, added)?);
    }
    let text = serde_json::to_string_pretty(&config).context("write the configuration")?;
    Ok(Profile { text, added: names })
}

fn follow(profile: &mut Value, special: &str) {
    let entries = profile.get_mut("pluginConfig").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten().filter(|entry| entry["name"] == SKU_EXCLUSION) {
        entry["args"]["guestConfigMap"] = special.into();
    }
}

/// Adds a plugin to the profile that places the pods, and says its name.
fn add(config: &mut Value, Added { module, entry }: Added) -> Result<String> {
    let url = format!("file://${{WEIR_PLUGINS}}/{module}.wasm");
    let entry = entry
        .unwrap_or_else(|| json!({ "name": capitals(&module), "args": { "guestURL": url, "allowUnmetered": true } }));
    let Some(name) = entry["name"].as_str().map(str::to_owned) else {
        bail!("{module}.yaml: name: expected the plugin's name, such as {}", capitals(&module));
    };
    ensure!(
        entry["args"]["guestURL"].as_str().is_some_and(|named| named == url),
        "{module}.yaml: args.guestURL: expected {url}, the module that it lies beside"
    );
    let profiles = config["profiles"].as_array_mut().context("profiles: expected a list")?;
    let profile = profiles.iter_mut().find(|profile| profile["schedulerName"] == SCHEDULER);
    let profile = profile.with_context(|| format!("profiles: none is called {SCHEDULER}"))?;
    for (field, value) in [("/plugins/multiPoint/enabled", json!({ "name": name })), ("/pluginConfig", entry)] {
        let list = profile.pointer_mut(field).and_then(Value::as_array_mut);
        list.with_context(|| format!("profile {SCHEDULER}: {}: expected a list", &field[1..].replace('/', ".")))?
            .push(value);
    }
    Ok(name)
}

/// `zone-filter` as `ZoneFilter`, as `make new-plugin` names it.
fn capitals(module: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    module.split('-').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = "
profiles:
  - schedulerName: weir-scheduler
    plugins: {multiPoint: {enabled: [{name: SKUExclusionFilter}]}}
    pluginConfig:
      - name: SKUExclusionFilter
        args: {guestURL: 'file://${WEIR_PLUGINS}/sku-exclusion-filter.wasm', guestConfig: &list '{}'}
  - schedulerName: default-scheduler
    pluginConfig:
      - name: SKUExclusionFilter
        args: {guestURL: 'file://${WEIR_PLUGINS}/sku-exclusion-filter.wasm', guestConfig: *list}
";

    fn completed(modules: &[(&str, Option<Value>)]) -> Result<(Value, Vec<String>)> {
        let modules = modules.iter().map(|(module, entry)| Added { module: (*module).into(), entry: entry.clone() });
        let Profile { text, added } = complete(SHIPPED, "weir-system/special-hardware", modules.collect())?;
        Ok((serde_json::from_str(&text)?, added))
    }

    #[test]
    fn every_profile_follows_the_list_of_special_hardware() {
        let (config, added) = completed(&[("sku-exclusion-filter", None)]).unwrap();
        assert_eq!(added, [""; 0]);
        for profile in 0..2 {
            let args = &config["profiles"][profile]["pluginConfig"][0]["args"];
            assert_eq!(args["guestConfigMap"], "weir-system/special-hardware");
            assert_eq!(args["guestConfig"], "{}", "the list counts until the ConfigMap is there");
        }
    }

    #[test]
    fn a_module_that_no_profile_names_runs_with_what_lies_beside_it() {
        let entry = json!({ "name": "Zones", "args": {
            "guestURL": "file://${WEIR_PLUGINS}/zone-filter.wasm", "guestConfig": "{\"zoneLabel\": \"zone\"}" } });
        let (config, added) = completed(&[("same-rack", None), ("zone-filter", Some(entry.clone()))]).unwrap();
        assert_eq!(added, ["SameRack", "Zones"]);
        let profile = &config["profiles"][0];
        let enabled = json!([{ "name": "SKUExclusionFilter" }, { "name": "SameRack" }, { "name": "Zones" }]);
        assert_eq!(profile["plugins"]["multiPoint"]["enabled"], enabled);
        assert_eq!(profile["pluginConfig"][2], entry);
        assert_eq!(profile["pluginConfig"][1]["args"]["guestURL"], "file://${WEIR_PLUGINS}/same-rack.wasm");
        assert_eq!(
            config["profiles"][1]["pluginConfig"].as_array().map(Vec::len),
            Some(1),
            "that profile is left alone"
        );
    }

    #[test]
    fn an_entry_that_cannot_run_its_module_is_refused_with_its_field() {
        let refused = |entry: Value| completed(&[("zone-filter", Some(entry))]).unwrap_err().to_string();
        assert_eq!(refused(json!({})), "zone-filter.yaml: name: expected the plugin's name, such as ZoneFilter");
        assert_eq!(
            refused(json!({ "name": "Zones", "args": {} })),
            "zone-filter.yaml: args.guestURL: expected file://${WEIR_PLUGINS}/zone-filter.wasm, the module that it lies beside"
        );
    }

    #[test]
    fn a_configuration_without_the_profile_that_places_is_refused() {
        let other = "profiles: [{schedulerName: other}]";
        let modules = vec![Added { module: "x".into(), entry: None }];
        let refused = complete(other, "a/b", modules).unwrap_err().to_string();
        assert_eq!(refused, "profiles: none is called weir-scheduler");
        assert_eq!(complete("profiles: 7", "a/b", vec![]).unwrap_err().to_string(), "profiles: expected a list");
    }

    #[test]
    fn the_folder_tells_what_there_is() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.wasm", ""), ("a.wasm", ""), ("a.yaml", "name: A"), ("notes.txt", "")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let found = modules(folder.path()).unwrap();
        let added = |module: &str, entry| Added { module: module.into(), entry };
        assert_eq!(found, [added("a", Some(json!({ "name": "A" }))), added("b", None)]);
        std::fs::write(folder.path().join("a.yaml"), "name: [").unwrap();
        assert!(modules(folder.path()).unwrap_err().to_string().contains("a.yaml"));
    }
}
