//! Where the scheduler puts a pod, and that it decides as the policy code does natively.

use anyhow::{Result, bail, ensure};

use super::TestNamespace;
use crate::history::View;
use crate::judge;
use crate::native::Native;
use crate::objects::{PodBuilder, bound_to, unschedulable};
use crate::wait::PATIENCE;

/// What a scheduler decided about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs on this node.
    Bound(String),
    /// There is no node for it, and this is why.
    Unschedulable(String),
}

impl TestNamespace {
    /// Creates a pod and returns the node that it is bound to.
    ///
    /// # Errors
    /// When there is no node for it, or it is not decided in time.
    pub async fn placed(&self, pod: &PodBuilder) -> Result<String> {
        self.create_pod(pod).await?;
        match self.decided(pod.name()).await? {
            Verdict::Bound(node) => Ok(node),
            Verdict::Unschedulable(why) => bail!("there is no node for the pod {}: {why}", pod.name()),
        }
    }

    /// Creates a pod and returns why the scheduler has no node for it.
    ///
    /// # Errors
    /// When it is bound, or not decided in time.
    pub async fn unschedulable(&self, pod: &PodBuilder) -> Result<String> {
        self.create_pod(pod).await?;
        match self.decided(pod.name()).await? {
            Verdict::Unschedulable(why) => Ok(why),
            Verdict::Bound(node) => bail!("the pod {} was bound to {node}", pod.name()),
        }
    }

    /// What the scheduler decides about a pod first.
    ///
    /// # Errors
    /// When it decides nothing in time.
    pub async fn decided(&self, pod: &str) -> Result<Verdict> {
        self.until(&format!("the scheduler decides about the pod {pod}"), |seen| {
            let pod = seen.pod(pod)?;
            let bound = bound_to(pod).map(|node| Verdict::Bound(node.to_owned()));
            bound.or_else(|| unschedulable(pod).map(|why| Verdict::Unschedulable(why.to_owned())))
        })
        .await
    }

    /// The node that a pod is bound to in the end, however often there is none before.
    ///
    /// # Errors
    /// When it is not bound in time.
    pub async fn until_bound(&self, pod: &str) -> Result<String> {
        self.until(&format!("the pod {pod} is bound"), |seen| seen.node_of(pod).map(str::to_owned)).await
    }

    /// Compares every decision about the pods of this namespace with what the policy code says natively, has the
    /// judge of `make run` look at them, and sees that no module gave two answers to one question.
    ///
    /// A node may be told after the pod that was bound to it, so only differences that stay are differences.
    ///
    /// # Errors
    /// Where they differ.
    pub async fn agrees_with(&self, native: &Native) -> Result<()> {
        let agrees = |view: View<'_>| match judge::misplaced(view, native) {
            Ok(found) => found.is_empty().then_some(Ok(())),
            Err(unread) => Some(Err(unread)),
        };
        let agree = self.world.history.until(|record| agrees(record.view(&self.name)));
        match tokio::time::timeout(PATIENCE, agree).await {
            Ok(agree) => agree??,
            Err(_) => bail!("{}", self.now(|seen| judge::misplaced(seen, native))?.join("\n")),
        }
        for scheduler in self.world.schedulers() {
            let metrics = scheduler.metrics().await?;
            let mismatch = metrics.lines().find(|line| line.starts_with("weir_plugin_memo_mismatches_total"));
            ensure!(mismatch.is_none(), "a remembered answer differed when it was asked for again: {mismatch:?}");
        }
        Ok(())
    }
}
