//! What the API server's watch told, in order, and waiting for it to tell something.
//!
//! Pods and nodes come over two watches that have no common order. All objects of one store share one counter
//! of revisions, though, and by that the whole can be put in order afterwards ([`Record::in_order`]).

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use weir_local::every_state;

/// One thing that the watch told.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// A node is new or changed.
    Node(Node),
    /// A node is gone; this is how it last was.
    NodeGone(Node),
    /// A pod is new or changed.
    Pod(Pod),
    /// A pod is gone; this is how it last was.
    PodGone(Pod),
}

/// Everything that was told, and how things are now.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The pods that exist, by name.
    pub pods: BTreeMap<String, Pod>,
    /// The nodes that exist, by name.
    pub nodes: BTreeMap<String, Node>,
    told: Vec<WatchEvent>,
    /// How many watches have told what was there when they began.
    begun: usize,
}

/// A watch over the pods of a namespace and over all nodes, from before the test does anything.
#[derive(Debug)]
pub struct History {
    record: watch::Receiver<Record>,
    feed: JoinHandle<()>,
}

impl History {
    /// Begins to watch, and returns when it is known what was there before.
    ///
    /// # Errors
    /// When the watches end before.
    pub async fn begin(client: &Client, namespace: &str) -> Result<Self> {
        let pods = watcher(Api::<Pod>::namespaced(client.clone(), namespace), every_state());
        let nodes = watcher(Api::<Node>::all(client.clone()), every_state());
        let mut events = stream::select(
            pods.map_ok(|event| WatchEvent::of(event, WatchEvent::Pod, WatchEvent::PodGone)).boxed(),
            nodes.map_ok(|event| WatchEvent::of(event, WatchEvent::Node, WatchEvent::NodeGone)).boxed(),
        );
        let (tell, mut record) = watch::channel(Record::default());
        let feed = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                // After an error the watch lists again, which tells what was missed.
                if let Ok(event) = event {
                    tell.send_modify(|record| record.take(event));
                }
            }
        });
        record.wait_for(|record| record.begun == 2).await.context("watch pods and nodes")?;
        Ok(Self { record, feed })
    }

    /// Returns what `find` finds, as soon as it finds something.
    ///
    /// # Errors
    /// When the watch ends before.
    pub async fn until<T>(&self, mut find: impl FnMut(&Record) -> Option<T>) -> Result<T> {
        let mut found = None;
        let mut record = self.record.clone();
        record
            .wait_for(|record| {
                found = find(record);
                found.is_some()
            })
            .await
            .context("the watch ended")?;
        found.context("the watch ended")
    }

    /// What was told until now.
    #[must_use]
    pub fn record(&self) -> Record {
        self.record.borrow().clone()
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.feed.abort();
    }
}

/// What an event of a watch comes to: something told, or that all that was there has been told.
enum Event {
    Changed(Box<WatchEvent>),
    Begun,
    Nothing,
}

impl WatchEvent {
    fn of<T>(event: watcher::Event<T>, seen: fn(T) -> Self, gone: fn(T) -> Self) -> Event {
        match event {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => Event::Changed(Box::new(seen(object))),
            watcher::Event::Delete(object) => Event::Changed(Box::new(gone(object))),
            watcher::Event::InitDone => Event::Begun,
            watcher::Event::Init => Event::Nothing,
        }
    }

    /// The revision of the store at which it became so.
    fn revision(&self) -> u64 {
        let version = match self {
            Self::Node(node) | Self::NodeGone(node) => node.resource_version(),
            Self::Pod(pod) | Self::PodGone(pod) => pod.resource_version(),
        };
        version.and_then(|version| version.parse().ok()).unwrap_or(0)
    }
}

impl Record {
    /// Everything that was told, in the order in which it happened.
    #[must_use]
    pub fn in_order(&self) -> Vec<&WatchEvent> {
        let mut told: Vec<_> = self.told.iter().collect();
        told.sort_by_key(|told| told.revision());
        told
    }

    /// The node that a pod is on.
    #[must_use]
    pub fn node_of(&self, pod: &str) -> Option<&str> {
        self.pods.get(pod).and_then(bound_to)
    }

    /// The names of the pods on a node.
    #[must_use]
    pub fn pods_on(&self, node: &str) -> Vec<&str> {
        self.pods.iter().filter(|(_, pod)| bound_to(pod) == Some(node)).map(|(name, _)| name.as_str()).collect()
    }

    fn take(&mut self, event: Event) {
        let told = match event {
            Event::Changed(told) => *told,
            Event::Begun => return self.begun += 1,
            Event::Nothing => return,
        };
        match &told {
            WatchEvent::Node(node) => drop(self.nodes.insert(node.name_any(), node.clone())),
            WatchEvent::NodeGone(node) => drop(self.nodes.remove(&node.name_any())),
            WatchEvent::Pod(pod) => drop(self.pods.insert(pod.name_any(), pod.clone())),
            WatchEvent::PodGone(pod) => drop(self.pods.remove(&pod.name_any())),
        }
        self.told.push(told);
    }
}

/// The node that a pod was bound to.
#[must_use]
pub fn bound_to(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Why the scheduler found no node for a pod, in its words, if that is what it said last.
#[must_use]
pub fn refusal(pod: &Pod) -> Option<&str> {
    let says_so = |condition: &&PodCondition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    };
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(says_so)?.message.as_deref()
}
