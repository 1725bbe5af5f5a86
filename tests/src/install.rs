//! What Weir installs on a cluster before its scheduler starts, from the files that are shipped.

use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use weir_api::names;
use weir_local::{Checkout, Manifest};

/// Whose fields they are that the tests write.
const MANAGER: &str = "weir-tests";

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
    let manifest = Manifest::read(file)?;
    manifest.apply(client, MANAGER).await.with_context(|| format!("of {}", file.display()))?;
    Ok(manifest.objects().iter().map(ResourceExt::name_any).collect())
}

/// Creates an object of any kind, or makes it what it should be.
///
/// # Errors
/// When the API server refuses it, or does not know its kind.
pub async fn apply_object(client: &Client, object: &DynamicObject) -> Result<()> {
    weir_local::apply(client, object, MANAGER).await
}
