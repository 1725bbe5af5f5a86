//! What Weir installs on a cluster, from the files that are shipped.

use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, PostParams};
use kube::runtime::conditions::{is_crd_established, is_created};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use weir_local::{Checkout, Cluster, Manifest, Options, Program};

use crate::setup::programs_with;
use crate::wait;

/// The field manager of what the tests write.
pub(crate) const MANAGER: &str = "weir-tests";

/// Starts a control plane and installs Weir's custom resources and the rights of its scheduler and its sidecar.
/// Neither of the two runs there.
///
/// # Errors
/// Those of [`Cluster::start`], and when the API server refuses one of the files.
pub async fn control_plane() -> Result<Cluster> {
    let cluster = Cluster::start(&programs_with(&Program::CONTROL_PLANE).await?, Options::default()).await?;
    let client = cluster.client();
    // The sidecar's comes first: it has the namespace of both.
    for rights in ["admission-config/rbac.yaml", "scheduler-config/rbac.yaml"] {
        apply_shipped(&client, rights).await?;
    }
    let folder = Checkout::find()?.root().join("api/crds");
    for file in std::fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
        apply_definitions(&client, &file?.path()).await?;
    }
    Ok(cluster)
}

/// Applies the definitions of a file and returns once their resources are served.
///
/// # Errors
/// When the file cannot be read, the API server refuses a definition, or does not serve its resource in time.
pub async fn apply_definitions(client: &Client, file: &Path) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for name in apply(client, file).await? {
        wait::until_object(&definitions, &name, "its resource is served", is_crd_established()).await?;
    }
    Ok(())
}

/// Creates a namespace with this metadata, and returns when pods can be created there.
///
/// # Errors
/// When the API server refuses it, or its service account is not made in time.
pub async fn namespace(client: &Client, name: &str, metadata: Value) -> Result<()> {
    let mut object = json!({ "metadata": metadata });
    object["metadata"]["name"] = name.into();
    let object: Namespace = serde_json::from_value(object).context("read the namespace's metadata")?;
    let created = Api::all(client.clone()).create(&PostParams::default(), &object).await;
    created.with_context(|| format!("create the namespace {name}"))?;
    // Until the controller has made it, the API server refuses pods.
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    wait::until_object(&accounts, "default", "the namespace has its service account", is_created()).await
}

/// Applies every object of a file that is shipped, by its path in the checkout.
///
/// # Errors
/// Those of [`apply`].
pub async fn apply_shipped(client: &Client, path: &str) -> Result<()> {
    apply(client, &Checkout::find()?.root().join(path)).await.map(drop)
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
/// When it is no object, the API server refuses it, or does not know its kind.
pub async fn apply_object(client: &Client, object: &Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object.clone()).context("read the object")?;
    weir_local::apply(client, &object, MANAGER).await
}
