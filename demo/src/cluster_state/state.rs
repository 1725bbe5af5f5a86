//! The newest of everything, and what changes in it.

use std::collections::BTreeMap;

use super::change::{Change, News, What};
use super::node::NodeState;
use super::pod::{GangOf, PodState};
use super::pool::{PoolLevel, PoolState};
use crate::At;

/// The nodes, pods and pools that the watch told of.
///
/// A change may be told twice and in any order that a watch can deliver (a re-list tells everything again); telling
/// what is already known changes nothing and is no news.
///
/// ```
/// use weir_demo::cluster_state::levels::Levels;
/// use weir_demo::cluster_state::node::NodeState;
/// use weir_demo::cluster_state::pod::{Origin, Pod, PodState};
/// use weir_demo::cluster_state::{Change, ClusterState, What};
/// use weir_model::Amount;
///
/// let at = std::time::Duration::from_secs(1);
/// let (gpus, cpu_milli) = (Amount::new(8), Amount::new(96_000));
/// let node = NodeState { name: "n1".into(), model: Some("G2".into()), gpus, cpu_milli, ..NodeState::default() };
/// let train = Pod::plain("train", Origin::Trace, Amount::new(2), Amount::new(8_000));
/// let train = PodState { node: Some("n1".into()), ..PodState::new(train) };
///
/// let mut cluster = ClusterState::default();
/// cluster.apply(at, Change::Node(node));
/// let news = cluster.apply(at, Change::Pod(Box::new(train)));
/// assert_eq!(news.last().map(|news| &news.what), Some(&What::Bound("n1".into())));
/// assert_eq!(Levels::of(&cluster).gpu.used, Amount::new(2));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClusterState {
    nodes: BTreeMap<String, NodeState>,
    pods: BTreeMap<String, PodState>,
    pools: BTreeMap<String, PoolState>,
}

impl ClusterState {
    /// Takes in what the watch told at a time, and says what is new of pods.
    pub fn apply(&mut self, at: At, change: Change) -> Vec<News> {
        match change {
            Change::Node(node) => drop(self.nodes.insert(node.name.clone(), node)),
            Change::NodeGone(name) => drop(self.nodes.remove(&name)),
            Change::Pool(pool) => drop(self.pools.insert(pool.name.clone(), pool)),
            Change::PoolGone(name) => drop(self.pools.remove(&name)),
            Change::Pod(pod) => return self.pod_seen(at, *pod),
            Change::PodGone(key) => return self.pods.remove(&key).and_then(gone).into_iter().collect(),
        }
        Vec::new()
    }

    fn pod_seen(&mut self, at: At, now: PodState) -> Vec<News> {
        let before = self.pods.get(&now.pod.key);
        let now = PodState { since: before.map_or(at, |before| before.since), ..now };
        let mut whats = new_of(before, &now);
        let joins = now.waits_behind().is_some() && before.is_none_or(|before| before.gate.is_none());
        let pod = now.pod.clone();
        self.pods.insert(pod.key.clone(), now);
        if let Some(gang) = pod.gang.as_ref().filter(|gang| joins && self.members_that_wait(gang) == gang.size) {
            whats.push(What::MadeWhole(gang.clone()));
        }
        whats.into_iter().map(|what| News { pod: pod.clone(), what }).collect()
    }

    fn members_that_wait(&self, gang: &GangOf) -> usize {
        let is_member = |pod: &&PodState| pod.pod.gang.as_ref() == Some(gang) && pod.waits_behind().is_some();
        self.pods.values().filter(is_member).count()
    }

    /// The nodes that exist, by name.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &NodeState> {
        self.nodes.values()
    }

    /// A node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeState> {
        self.nodes.get(name)
    }

    /// The pods that exist, by key; those that have ended among them.
    pub fn pods(&self) -> impl ExactSizeIterator<Item = &PodState> {
        self.pods.values()
    }

    /// The pods that hold something of a node.
    pub fn pods_on<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a PodState> {
        self.pods.values().filter(move |pod| pod.holds() == Some(node))
    }

    /// The pools that exist, by name.
    pub fn pools(&self) -> impl ExactSizeIterator<Item = &PoolState> {
        self.pools.values()
    }

    /// A pool.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&PoolState> {
        self.pools.get(name)
    }

    /// The figures of a pool for GPUs that are not special; nothing of one that is not there.
    #[must_use]
    pub fn pool_gpus(&self, name: &str) -> PoolLevel {
        self.pool(name).map(PoolState::gpus).unwrap_or_default()
    }
}

/// What is new of a pod by itself.
fn new_of(before: Option<&PodState>, now: &PodState) -> Vec<What> {
    let mut news = Vec::new();
    if before.is_none() {
        news.push(What::Created);
    }
    if before.is_some_and(|before| before.ended) {
        return news;
    }
    if before.is_some_and(|before| before.gate.is_some()) && now.gate.is_none() {
        news.push(What::Admitted);
    }
    let refused = now.refusal.as_ref().filter(|_| now.waits());
    if let Some(refusal) = refused.filter(|refusal| before.and_then(|before| before.refusal.as_ref()) != Some(*refusal))
    {
        news.push(What::Refused(refusal.clone()));
    }
    if let Some(node) = now.node.as_ref().filter(|_| before.is_none_or(|before| before.node.is_none())) {
        news.push(What::Bound(node.clone()));
    }
    if now.ended {
        news.push(What::Finished);
    }
    news
}

/// What it means that a pod is gone; nothing where it had ended.
fn gone(PodState { pod, eviction, ended, .. }: PodState) -> Option<News> {
    let what = eviction.map_or(What::Deleted, What::Evicted);
    (!ended).then_some(News { pod, what })
}
