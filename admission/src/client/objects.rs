//! Writes to pools and gangs.

use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use weir_api::pool::{ResourcePool, ResourcePoolStatus};
use weir_api::{Gang, names};

use super::outcome::{Outcome, params};
use crate::convert::name::NamespacedName;

/// The finalizers that a pool should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalizerWrite {
    /// The pool.
    pub pool: String,
    /// All of them.
    pub finalizers: Vec<String>,
    /// The version of the pool that they were read from.
    pub version: Option<String>,
}

/// A write of a gang's object.
#[derive(Clone, Debug, PartialEq)]
pub enum GangWrite {
    /// The object, and then its status.
    Apply(GangObject),
    /// No pod is left of the gang.
    Delete(NamespacedName),
}

/// The object of a gang.
#[derive(Clone, Debug, PartialEq)]
pub struct GangObject {
    /// Which.
    pub name: NamespacedName,
    /// All of it but the status.
    pub body: Value,
    /// The fields of the status that are written; others stay.
    pub status: Value,
}

impl GangWrite {
    /// The gang.
    #[must_use]
    pub const fn name(&self) -> &NamespacedName {
        match self {
            Self::Apply(object) => &object.name,
            Self::Delete(name) => name,
        }
    }
}

/// Writes the status of a pool.
pub async fn write_pool_status(client: &Client, name: &str, status: &ResourcePoolStatus) -> Outcome {
    let pools: Api<ResourcePool> = Api::all(client.clone());
    let patch = Patch::Merge(json!({ "status": status }));
    Outcome::of(pools.patch_status(name, &PatchParams::default(), &patch).await)
}

/// Writes the finalizers of a pool, unless it changed in between; the next look at it decides again.
pub async fn write_finalizers(client: &Client, write: &FinalizerWrite) -> Outcome {
    let FinalizerWrite { pool, finalizers, version } = write;
    let pools: Api<ResourcePool> = Api::all(client.clone());
    let body = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": version } });
    Outcome::of_this(pools.patch(pool, &PatchParams::default(), &Patch::Merge(body)).await)
}

/// Writes or deletes the object of a gang.
pub async fn write_gang(client: &Client, write: &GangWrite) -> Outcome {
    let NamespacedName { namespace, name } = write.name();
    let gangs: Api<Gang> = Api::namespaced(client.clone(), namespace);
    let GangObject { name: _, body, status } = match write {
        GangWrite::Delete(_) => return Outcome::of(gangs.delete(name, &DeleteParams::default()).await),
        GangWrite::Apply(object) => object,
    };
    let apply = PatchParams::apply(names::ADMISSION).force();
    match gangs.patch(name, &apply, &Patch::Apply(body)).await {
        Ok(_) => {
            let status = Patch::Merge(json!({ "status": status }));
            Outcome::of(gangs.patch_status(name, &params(), &status).await)
        }
        Err(error) => Outcome::of::<()>(Err(error)),
    }
}
