//! Which pods run, which are evicted and why.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt as _};
use serde_json::{Value, json};

use super::TestNamespace;
use crate::objects::{PREEMPTED, PodBuilder, condition};
use crate::wait;

/// Why a pod goes, as its condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

impl TestNamespace {
    /// Binds an admitted pod to a node, as a scheduler does.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn place(&self, name: &str, node: &str) -> Result<()> {
        let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": name },
            "target": { "apiVersion": "v1", "kind": "Node", "name": node } });
        let bound: kube::Result<Value> =
            self.pods().create_subresource("binding", name, &PostParams::default(), &binding).await;
        bound.with_context(|| format!("bind the pod {name} to {node}")).map(drop)
    }

    /// Binds a pod once it is admitted, and says that it runs and is well.
    ///
    /// # Errors
    /// When it is not admitted in time.
    pub async fn bind(&self, name: &str, node: &str) -> Result<()> {
        self.until_admitted(name).await?;
        self.place(name, node).await?;
        let runs = json!({ "status": { "phase": "Running", "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{ "type": "Ready", "status": "True" }] } });
        let patched = self.pods().patch_status(name, &PatchParams::default(), &Patch::Strategic(runs)).await;
        patched.with_context(|| format!("say that the pod {name} runs")).map(drop)
    }

    /// Creates a pod, and lets it run on a node once it is admitted.
    ///
    /// # Errors
    /// Those of [`Self::create_pod`] and [`Self::bind`].
    pub async fn run_pod(&self, pod: &PodBuilder, node: &str) -> Result<()> {
        self.create_pod(pod).await?;
        self.bind(pod.name(), node).await
    }

    /// The names of the pods of a pool that are there, as the API server has it.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn pods_of_pool(&self, pool: &str) -> Result<BTreeSet<String>> {
        let selected = self.pods().list(&ListParams::default().labels(&format!("weir.dev/pool={pool}"))).await;
        Ok(selected.context("list the pods of a pool")?.iter().map(|pod| pod.name_any()).collect())
    }

    /// Creates a budget over the pods with this label, and returns once the disruption controller allows so many
    /// evictions.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn create_budget(&self, name: &str, app: &str, min_available: usize, allowed: i32) -> Result<()> {
        let budget = json!({ "metadata": { "name": name },
            "spec": { "minAvailable": min_available, "selector": { "matchLabels": { "app": app } } } });
        let budget = serde_json::from_value(budget).context("read the budget")?;
        self.budgets().create(&PostParams::default(), &budget).await.context("create the budget")?;
        self.until_budget_allows(name, allowed).await
    }

    /// Changes a budget.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn change_budget(&self, name: &str, min_available: usize) -> Result<()> {
        let change = Patch::Merge(json!({ "spec": { "minAvailable": min_available } }));
        self.budgets().patch(name, &PatchParams::default(), &change).await.context("change the budget").map(drop)
    }

    /// Waits until the disruption controller has seen a budget and allows so many evictions.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until_budget_allows(&self, name: &str, allowed: i32) -> Result<()> {
        let allows = |budget: Option<&PodDisruptionBudget>| {
            let Some(budget) = budget else { return false };
            let Some(status) = &budget.status else { return false };
            status.observed_generation == budget.metadata.generation && status.disruptions_allowed == Some(allowed)
        };
        wait::until_object(&self.budgets(), name, &format!("the budget allows {allowed} evictions"), allows).await
    }

    fn budgets(&self) -> Api<PodDisruptionBudget> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Waits until the reason stood on a pod before it went.
    ///
    /// # Errors
    /// When it does not stand there in time.
    pub async fn until_evicted(&self, name: &str) -> Result<Reason> {
        self.until(&format!("the reason stands on {name} before it goes"), |seen| {
            let mut past = seen.past().filter(|pod| pod.name_any() == name);
            past.find_map(|pod| condition(pod, PREEMPTED).filter(|told| told.is_true()))
                .map(|told| Reason { reason: told.reason().to_owned(), message: told.message().to_owned() })
        })
        .await
    }

    /// Waits until a pod says that it stays after all, for this reason.
    ///
    /// # Errors
    /// When none does in time.
    pub async fn until_one_stays(&self, reason: &str, words: &str) -> Result<()> {
        let stays =
            |pod: &Pod| condition(pod, PREEMPTED).is_some_and(|told| !told.is_true() && told.says(reason, words));
        let what = format!("a pod says that it stays with {reason}: …{words}…");
        self.until(&what, |seen| seen.past().any(stays).then_some(())).await
    }

    /// Creates an object that pods can name as their controller.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn create_owner(&self, name: &str) -> Result<ConfigMap> {
        let owners: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.name);
        let owner = serde_json::from_value(json!({ "metadata": { "name": name } })).context("read the owner")?;
        owners.create(&PostParams::default(), &owner).await.context("create the owner")
    }

    /// Writes a report of the scheduler that was renewed when this object was made: a sign of life.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn scheduler_lives<K: Resource>(&self, at: &K) -> Result<()> {
        let at = at.meta().creation_timestamp.clone();
        let text = json!({ "replica": "a", "renewedAt": at, "plugins": [] }).to_string();
        let report = json!({ "metadata": { "name": "weir-plugins-a", "labels": { "weir.dev/component": "plugins" } },
            "data": { "plugins.json": text } });
        let reports: Api<ConfigMap> = Api::namespaced(self.client.clone(), "weir-system");
        let report = serde_json::from_value(report).context("read the report")?;
        reports.create(&PostParams::default(), &report).await.context("write the scheduler's report").map(drop)
    }
}
