//! The watches that a run is told and judged by: nodes, pods, pools and the record of rounds.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::task::JoinSet;
use weir_api::{AdmissionRound, ResourcePool};

use super::say;
use crate::observe::Observer;
use crate::run_state::Event;

/// Watches until it is dropped, and tells what happens.
pub(super) struct Watch {
    observer: Arc<Mutex<Observer>>,
    heard: watch::Receiver<()>,
    /// How many of the tasks have told what was there before.
    begun: watch::Receiver<usize>,
    tasks: JoinSet<()>,
}

impl Watch {
    /// Begins to watch; pods that are gone are passed on to `gone`.
    pub(super) fn begin(
        client: &Client,
        tell: &UnboundedSender<Event>,
        gone: UnboundedSender<Pod>,
        observer: Observer,
    ) -> Self {
        let observer = Arc::new(Mutex::new(observer));
        let (told, heard) = watch::channel(());
        let (begin, begun) = watch::channel(0);
        let mut tasks = JoinSet::new();
        let ears = Ears { tell: tell.clone(), observer: Arc::clone(&observer), told: Arc::new(told), begin };
        let nodes: Api<Node> = Api::all(client.clone());
        let pods: Api<Pod> = Api::all(client.clone());
        let pools: Api<ResourcePool> = Api::all(client.clone());
        let rounds: Api<AdmissionRound> = Api::all(client.clone());
        tasks.spawn(ears.clone().listen(nodes, |observer, event| observer.node(event)));
        tasks.spawn(ears.clone().listen(pods, move |observer, event| {
            if let watcher::Event::Delete(pod) = event {
                // Nobody listens any more only when the run is being given up.
                let _ = gone.send(pod.clone());
            }
            observer.pod(event)
        }));
        tasks.spawn(ears.clone().listen(pools, |observer, event| observer.pool(event)));
        tasks.spawn(ears.listen(rounds, |observer, event| {
            observer.round(event);
            Vec::new()
        }));
        Self { observer, heard, begun, tasks }
    }

    /// Returns when every watch has told what was there before: nothing that happens later is missed.
    pub(super) async fn begun(&self) -> Result<()> {
        let mut begun = self.begun.clone();
        begun.wait_for(|begun| *begun == self.tasks.len()).await.context("a watch ended").map(drop)
    }

    /// What the watches came to so far.
    pub(super) async fn observer(&self) -> MutexGuard<'_, Observer> {
        self.observer.lock().await
    }

    /// Changes whenever something more was told.
    pub(super) fn heard(&self) -> watch::Receiver<()> {
        self.heard.clone()
    }
}

#[derive(Clone)]
struct Ears {
    tell: UnboundedSender<Event>,
    observer: Arc<Mutex<Observer>>,
    told: Arc<watch::Sender<()>>,
    begin: watch::Sender<usize>,
}

impl Ears {
    /// Takes in whatever happens to objects of one kind, for ever.
    async fn listen<K>(self, api: Api<K>, take: impl Fn(&mut Observer, &watcher::Event<K>) -> Vec<Event> + Send)
    where
        K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    {
        let mut events = std::pin::pin!(watcher(api, weir_local::every_state()).default_backoff());
        let mut begun = false;
        while let Some(event) = events.next().await {
            // Errors are the watcher's own to mend: it comes back with a new list.
            let Ok(event) = event else { continue };
            take(&mut *self.observer.lock().await, &event).into_iter().for_each(|event| say(&self.tell, event));
            self.told.send_replace(());
            if matches!(event, watcher::Event::InitDone) && !std::mem::replace(&mut begun, true) {
                self.begin.send_modify(|begun| *begun += 1);
            }
        }
    }
}
