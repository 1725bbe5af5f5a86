//! What Weir needs on a cluster before its programs start: custom resources, rights, the list of special
//! hardware, and the run's pools. All from the files that are shipped, applied as an administrator would.

use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize as _;
use weir_api::{ResourcePool, names};

use super::objects::SPECIAL_HARDWARE;
use super::special::SpecialModels;

/// What is installed.
pub(super) struct Shipped {
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
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut objects = Vec::new();
        for file in FILES.map(|file| root.join(file)) {
            let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
            objects.extend(documents(&text).with_context(|| format!("understand {}", file.display()))?);
        }
        let special = special_in(&objects).with_context(|| format!("{SPECIAL_HARDWARE} in {}", root.display()))?;
        Ok(Self { objects, special })
    }

    /// The special hardware that the list names.
    pub(super) const fn special(&self) -> &SpecialModels {
        &self.special
    }

    /// Installs everything, and returns when the custom resources are served.
    ///
    /// # Errors
    /// When the API server refuses an object.
    pub(super) async fn install(&self, client: &Client, pools: &[ResourcePool]) -> Result<()> {
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        let definitions = weir_api::crds();
        for definition in &definitions {
            crds.create(&PostParams::default(), definition).await.context("create a custom resource")?;
        }
        for object in &self.objects {
            apply(client, object).await.with_context(|| format!("apply {}", object.name_any()))?;
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

/// The objects of a file with several documents.
fn documents(text: &str) -> Result<Vec<DynamicObject>> {
    let parts = text.split("\n---\n").filter(|part| part.lines().any(|line| !line.trim_start().starts_with('#')));
    parts.map(|part| serde_saphyr::from_str(part).map_err(anyhow::Error::from)).collect()
}

fn special_in(objects: &[DynamicObject]) -> Result<SpecialModels> {
    let is_list = |object: &&DynamicObject| {
        format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any()) == SPECIAL_HARDWARE
    };
    let list = objects.iter().find(is_list).context("there is no such ConfigMap")?;
    let list: ConfigMap = ConfigMap::deserialize(serde_json::to_value(list)?)?;
    Ok(SpecialModels::read(&list)?)
}

/// Creates an object of any kind, or makes it what it should be.
async fn apply(client: &Client, object: &DynamicObject) -> Result<()> {
    let types = object.types.as_ref().context("it has no apiVersion and kind")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let params = PatchParams::apply(names::CLI).force();
    api.patch(&object.name_any(), &params, &Patch::Apply(object)).await.map(drop).map_err(anyhow::Error::from)
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
    fn comments_before_and_between_documents_are_none() {
        let text = "# rights\napiVersion: v1\nkind: A\nmetadata: {name: a}\n---\n# more\napiVersion: v1\nkind: B\nmetadata: {name: b}\n---\n# nothing\n";
        let names: Vec<String> = documents(text).unwrap().iter().map(kube::ResourceExt::name_any).collect();
        assert_eq!(names, ["a", "b"]);
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
