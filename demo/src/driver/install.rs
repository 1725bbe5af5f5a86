//! What Weir needs on a cluster before its programs start: custom resources, rights, the list of special
//! hardware, and the run's pools. All from the files that are shipped, applied as an administrator would.

use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize as _;
use weir_api::{ResourcePool, names};
use weir_checker::SpecialModels;
use weir_local::{Manifest, apply};

use crate::scenario::objects::SPECIAL_HARDWARE;

/// What is installed.
pub(crate) struct Shipped {
    objects: Vec<DynamicObject>,
    special: SpecialModels,
}

/// The files, in the order in which they are applied; the first brings Weir's namespace.
const FILES: [&str; 3] =
    ["admission-config/rbac.yaml", "scheduler-config/rbac.yaml", "scheduler-config/special-hardware.yaml"];

impl Shipped {
    /// Reads what is shipped in a checkout.
    ///
    /// # Errors
    /// When a file cannot be read or understood; the error names it.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut objects = Vec::new();
        for file in FILES.map(|file| root.join(file)) {
            objects.extend_from_slice(Manifest::read(&file)?.objects());
        }
        let special = special_in(&objects).with_context(|| format!("{SPECIAL_HARDWARE} in {}", root.display()))?;
        Ok(Self { objects, special })
    }

    /// The special hardware that the list names.
    pub(crate) const fn special(&self) -> &SpecialModels {
        &self.special
    }

    /// Installs everything, and returns when the custom resources are served.
    ///
    /// # Errors
    /// When the API server refuses an object.
    pub(crate) async fn install(&self, client: &Client, pools: &[ResourcePool]) -> Result<()> {
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        let definitions = weir_api::crds();
        for definition in &definitions {
            crds.create(&PostParams::default(), definition).await.context("create a custom resource")?;
        }
        for object in &self.objects {
            apply(client, object, names::CLI).await.with_context(|| format!("apply {}", object.name_any()))?;
        }
        for definition in &definitions {
            await_condition(crds.clone(), &definition.name_any(), conditions::is_crd_established()).await?;
        }
        let api: Api<ResourcePool> = Api::all(client.clone());
        for pool in pools {
            api.create(&PostParams::default(), pool)
                .await
                .with_context(|| format!("create pool {}", pool.name_any()))?;
        }
        Ok(())
    }
}

fn special_in(objects: &[DynamicObject]) -> Result<SpecialModels> {
    let is_list = |object: &&DynamicObject| {
        format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any()) == SPECIAL_HARDWARE
    };
    let list = objects.iter().find(is_list).context("there is no such ConfigMap")?;
    let list: ConfigMap = ConfigMap::deserialize(serde_json::to_value(list)?)?;
    Ok(SpecialModels::read(&list)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Shipped {
        Shipped::read(weir_local::Checkout::find().unwrap().root()).unwrap()
    }

    #[test]
    fn what_is_shipped_can_be_read_and_names_the_special_hardware() {
        let kinds = shipped()
            .objects
            .iter()
            .filter_map(|object| object.types.as_ref().map(|types| types.kind.clone()))
            .collect::<Vec<_>>();
        assert!(kinds.contains(&"ClusterRole".to_owned()) && kinds.contains(&"ConfigMap".to_owned()), "{kinds:?}");
        assert_eq!(shipped().special().names(), ["G3", "V100M32"]);
    }

    #[test]
    fn without_the_list_it_is_said_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let said = format!("{:#}", Shipped::read(folder.path()).err().unwrap());
        assert!(said.contains("admission-config/rbac.yaml"), "{said}");
        for file in FILES.map(|file| folder.path().join(file)) {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n").unwrap();
        }
        let said = format!("{:#}", Shipped::read(folder.path()).err().unwrap());
        assert!(
            said.starts_with("weir-system/special-hardware in ") && said.ends_with("there is no such ConfigMap"),
            "{said}"
        );
    }
}
