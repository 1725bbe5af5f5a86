//! The watches of a run: nodes, pods, pools and the record of rounds.
//!
//! Each object goes two ways. The judge takes it in as it is; the run's state takes in what a reader makes of it. Neither
//! knows the other, so that a fault of what is shown is no fault of what is judged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;
use weir_api::{AdmissionRound, ResourcePool};
use weir_checker::{Checker, SpecialModels, Violation, promises};

use super::shared::SharedRun;
use crate::cluster_state::Change;
use crate::cluster_state::read::Reader;
use crate::run_state::Event;

/// Watches until it is dropped.
pub(super) struct Watch {
    judge: Arc<Mutex<Checker>>,
    heard: watch::Receiver<()>,
    /// How many of the tasks have told what was there before.
    begun: watch::Receiver<usize>,
    tasks: JoinSet<()>,
}

impl Watch {
    /// Begins to watch a cluster with this special hardware; pods that are gone are passed on to `gone`.
    pub(super) fn begin(client: &Client, special: &SpecialModels, run: &SharedRun, gone: UnboundedSender<Pod>) -> Self {
        let judge = Arc::new(Mutex::new(judge(special)));
        let (told, heard) = watch::channel(());
        let (begin, begun) = watch::channel(0);
        let listener = Listener { run: run.clone(), judge: Arc::clone(&judge), told: Arc::new(told), begin };
        let (nodes, pods) = (Reader::new(special.clone()), Reader::new(special.clone()));
        let mut tasks = JoinSet::new();
        tasks.spawn(listener.clone().listen(Api::<Node>::all(client.clone()), move |judge, event| {
            (judged_node(judge, event), nodes.node_event(event))
        }));
        tasks.spawn(listener.clone().listen(Api::<Pod>::all(client.clone()), move |judge, event| {
            if let watcher::Event::Delete(pod) = event {
                // The receiver is dropped only when the run is being given up.
                let _ = gone.send(pod.clone());
            }
            (judged_pod(judge, event), pods.pod_event(event))
        }));
        tasks.spawn(listener.clone().listen(Api::<ResourcePool>::all(client.clone()), |judge, event| {
            if let watcher::Event::Apply(pool) | watcher::Event::InitApply(pool) = event {
                judge.pool_seen(pool);
            }
            (Vec::new(), Reader::pool_event(event))
        }));
        tasks.spawn(listener.listen(Api::<AdmissionRound>::all(client.clone()), |judge, event| {
            if let watcher::Event::Apply(round) | watcher::Event::InitApply(round) = event {
                judge.round_seen(round);
            }
            (Vec::new(), None)
        }));
        Self { judge, heard, begun, tasks }
    }

    /// Returns when every watch has told what was there before: nothing that happens later is missed.
    pub(super) async fn begun(&self) -> Result<()> {
        let mut begun = self.begun.clone();
        begun.wait_for(|begun| *begun == self.tasks.len()).await.context("a watch ended").map(drop)
    }

    /// What can be judged only when nothing more happens.
    pub(super) fn settled(&self) -> Vec<Violation> {
        lock(&self.judge).settled()
    }

    /// Changes whenever something more was told.
    pub(super) fn heard(&self) -> watch::Receiver<()> {
        self.heard.clone()
    }
}

/// The judge of every promise.
fn judge(special: &SpecialModels) -> Checker {
    let mut all = promises::of_placement(special);
    all.extend(promises::of_admission(&special.names()));
    Checker::new(all)
}

fn judged_node(judge: &mut Checker, event: &watcher::Event<Node>) -> Vec<Violation> {
    match event {
        watcher::Event::Apply(node) | watcher::Event::InitApply(node) => return judge.node_seen(node),
        watcher::Event::Delete(node) => judge.node_gone(&node.name_any()),
        watcher::Event::Init | watcher::Event::InitDone => {}
    }
    Vec::new()
}

fn judged_pod(judge: &mut Checker, event: &watcher::Event<Pod>) -> Vec<Violation> {
    match event {
        watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => return judge.pod_seen(pod),
        watcher::Event::Delete(pod) => judge.pod_gone(pod),
        watcher::Event::Init | watcher::Event::InitDone => {}
    }
    Vec::new()
}

fn lock(judge: &Mutex<Checker>) -> MutexGuard<'_, Checker> {
    judge.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct Listener {
    run: SharedRun,
    judge: Arc<Mutex<Checker>>,
    told: Arc<watch::Sender<()>>,
    begin: watch::Sender<usize>,
}

impl Listener {
    /// Takes in everything that happens to objects of one kind.
    async fn listen<K>(
        self,
        api: Api<K>,
        take: impl Fn(&mut Checker, &watcher::Event<K>) -> (Vec<Violation>, Option<Change>) + Send,
    ) where
        K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
    {
        let mut events = std::pin::pin!(watcher(api, weir_local::every_state()).default_backoff());
        let mut begun = false;
        while let Some(event) = events.next().await {
            // Errors are the watcher's own to mend: it comes back with a new list.
            let Ok(event) = event else { continue };
            let (violations, change) = take(&mut lock(&self.judge), &event);
            change.into_iter().for_each(|change| self.run.tell(Event::Cluster(change)));
            violations.into_iter().for_each(|violation| self.run.tell(Event::Violated(violation)));
            self.told.send_replace(());
            if matches!(event, watcher::Event::InitDone) && !std::mem::replace(&mut begun, true) {
                self.begin.send_modify(|begun| *begun += 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_on_the_wrong_kind_of_host_is_a_violation() {
        let mut judge = judge(&SpecialModels::default());
        let node = json!({"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "8"}}});
        judged_node(&mut judge, &watcher::Event::Apply(serde_json::from_value(node).unwrap()));
        let asks = json!({"requests": {"nvidia.com/gpu": "2"}});
        let pod = json!({"metadata": {"name": "p", "uid": "u"},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "resources": asks}]}});
        let found = judged_pod(&mut judge, &watcher::Event::Apply(serde_json::from_value(pod).unwrap()));
        assert_eq!(found.iter().map(|violation| violation.invariant).collect::<Vec<_>>(), ["D1"]);
    }
}
