//! Pools. They belong to the whole cluster, so each test takes names that begin with its namespace's.

use anyhow::{Context as _, Result};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use weir_api::ResourcePool;

use super::TestNamespace;

impl TestNamespace {
    /// Creates a pool.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn create_pool(&self, name: &str, spec: Value) -> Result<()> {
        let spec = serde_json::from_value(spec).with_context(|| format!("read the spec of pool {name}"))?;
        let created = self.pools().create(&PostParams::default(), &ResourcePool::new(name, spec)).await;
        created.with_context(|| format!("create the pool {name}")).map(drop)
    }

    /// Creates a pool right under the cluster that reserves so many cores.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn create_pool_of(&self, name: &str, cores: &str) -> Result<()> {
        self.create_pool(name, json!({ "resources": [{ "name": "cpu", "reservation": cores }] })).await
    }

    /// Changes a pool's spec by a merge patch.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn change_pool(&self, name: &str, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let changed = self.pools().patch(name, &PatchParams::default(), &patch).await;
        changed.with_context(|| format!("change the pool {name}")).map(drop)
    }

    /// Deletes a pool; it stays while pods are in it.
    ///
    /// # Errors
    /// When it does not exist.
    pub async fn delete_pool(&self, name: &str) -> Result<()> {
        let deleted = self.pools().delete(name, &DeleteParams::default()).await;
        deleted.with_context(|| format!("delete the pool {name}")).map(drop)
    }

    /// Waits until a condition of a pool says this, with an event, and until metrics show it.
    ///
    /// # Errors
    /// When one of them does not come in time.
    pub async fn until_pool_says(&self, pool: &str, type_: &str, reason: &str, words: &str) -> Result<()> {
        self.until_pool_condition(pool, type_, reason, words).await?;
        self.until_event("ResourcePool", pool, reason, words).await?;
        let (pool, reason) = (format!("pool=\"{pool}\""), format!("reason=\"{reason}\""));
        self.world.counts(&["weir_pool_condition{", &pool, &reason], 1.0).await
    }

    /// Waits until a condition of a pool says this.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until_pool_condition(&self, pool: &str, type_: &str, reason: &str, words: &str) -> Result<()> {
        self.until(&format!("pool {pool} says {type_} {reason}: …{words}…"), |seen| {
            let status = seen.cluster.pools.get(pool)?.status.as_ref()?;
            let says = status.conditions.iter().find(|one| one.type_ == type_)?;
            (says.reason == reason && says.message.contains(words)).then_some(())
        })
        .await
    }

    /// Waits until a pool takes part in the tree, and nothing is wrong with it.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until_pool_is_fine(&self, pool: &str) -> Result<()> {
        self.until(&format!("pool {pool} takes part"), |seen| {
            let status = seen.cluster.pools.get(pool)?.status.as_ref()?;
            let fine = status.conditions.iter().all(|one| one.type_ == "Ready" && one.status == "True");
            (fine && !status.conditions.is_empty()).then_some(())
        })
        .await
    }

    fn pools(&self) -> Api<ResourcePool> {
        Api::all(self.client.clone())
    }
}
