//! The controllers of the run's pods: an evicted pod is made again, as a Deployment or a Job would make it.
//!
//! The run creates its pods bare, because what a controller adds is a write or two for each of thousands. What a
//! controller does for a pod that is lost is done here: the same pod again, with what is left of its life. The trace's
//! pods keep their names, by which each of them counts once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::mpsc::UnboundedReceiver;
use weir_api::PodInfo;

use crate::scenario::objects;

/// What every pod of the run was made from, by name.
#[derive(Debug, Default)]
pub(super) struct Owners {
    templates: Mutex<BTreeMap<String, Pod>>,
}

impl Owners {
    /// Creates a pod, which is made again when it is lost.
    pub(super) async fn create(&self, client: &Client, pod: Pod) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(client.clone(), objects::NAMESPACE);
        let created = api.create(&PostParams::default(), &pod).await;
        self.templates.lock().unwrap_or_else(PoisonError::into_inner).insert(pod.name_any(), pod);
        created.context("create a pod").map(drop)
    }

    /// Makes those again that are told to be gone and had not ended. Ends with an error only.
    pub(super) async fn keep(&self, client: &Client, mut gone: UnboundedReceiver<Pod>) -> Result<()> {
        while let Some(pod) = gone.recv().await {
            if let Some(next) = self.next_of(&pod) {
                self.create(client, next).await.context("make an evicted pod again")?;
            }
        }
        std::future::pending().await
    }

    fn next_of(&self, gone: &Pod) -> Option<Pod> {
        let templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = gone.namespace().as_deref() == Some(objects::NAMESPACE) && !PodInfo::of(gone).has_ended();
        templates.get(&gone.name_any()).filter(|_| ours).map(|template| {
            let mut next = template.clone();
            objects::shorten(&mut next, gone, Timestamp::now());
            next
        })
    }
}
