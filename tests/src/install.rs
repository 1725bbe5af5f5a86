//! What Weir installs on a cluster before its scheduler starts, from the files that are shipped.

use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use weir_api::names;
use weir_local::Checkout;

/// Installs the custom resources and the rights of the scheduler, and returns when the resources are served.
///
/// # Errors
/// When the API server refuses one of the files.
pub async fn install(client: &Client) -> Result<()> {
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": names::NAMESPACE } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.context("create Weir's namespace")?;
    let root = Checkout::find()?.root().to_owned();
    apply(client, &root.join("scheduler-config/rbac.yaml")).await?;
    let mut resources = Vec::new();
    for file in std::fs::read_dir(root.join("api/crds")).context("list api/crds")? {
        resources.extend(apply(client, &file?.path()).await?);
    }
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for resource in resources {
        await_condition(api.clone(), &resource, conditions::is_crd_established()).await?;
    }
    Ok(())
}

/// Applies every object of a file and returns their names.
///
/// # Errors
/// When the file cannot be read, or the API server refuses an object.
pub async fn apply(client: &Client, file: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let mut names = Vec::new();
    for document in text.split("\n---\n") {
        let object: DynamicObject =
            serde_saphyr::from_str(document).with_context(|| format!("understand {}", file.display()))?;
        let applied = apply_object(client, &object).await;
        applied.with_context(|| format!("apply {} of {}", object.name_any(), file.display()))?;
        names.push(object.name_any());
    }
    Ok(names)
}

/// Creates an object of any kind, or makes it what it should be.
///
/// # Errors
/// When the API server refuses it, or does not know its kind.
pub async fn apply_object(client: &Client, object: &DynamicObject) -> Result<()> {
    let types = object.types.as_ref().context("the object has no apiVersion and kind")?;
    let kind = GroupVersionKind::try_from(types)?;
    let (resource, _) = kube::discovery::pinned_kind(client, &kind).await.context("find the kind")?;
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let patch = Patch::Apply(object);
    api.patch(&object.name_any(), &PatchParams::apply("weir-tests").force(), &patch).await?;
    Ok(())
}
