//! The pods of each RayCluster as they were read, so that the queue can be told of them again when it changes.

use std::collections::{BTreeMap, HashMap};

use weir_queue::{Pod, Uid};

use super::member::Member;
use crate::convert::name::NamespacedName;

/// The pods of RayClusters.
#[derive(Debug, Default)]
pub struct Roster {
    clusters: BTreeMap<NamespacedName, BTreeMap<Uid, (Member, Pod)>>,
    of: HashMap<Uid, NamespacedName>,
}

impl Roster {
    /// Remembers a pod as it was read, before it was made part of a gang.
    pub fn insert(&mut self, member: &Member, pod: &Pod) {
        self.remove(pod.uid);
        self.of.insert(pod.uid, member.cluster.clone());
        self.clusters.entry(member.cluster.clone()).or_default().insert(pod.uid, (member.clone(), pod.clone()));
    }

    /// Forgets a pod.
    pub fn remove(&mut self, pod: Uid) {
        let Some(key) = self.of.remove(&pod) else { return };
        let Some(pods) = self.clusters.get_mut(&key) else { return };
        pods.remove(&pod);
        if pods.is_empty() {
            self.clusters.remove(&key);
        }
    }

    /// What a pod said of its RayCluster when it was read.
    #[must_use]
    pub fn member(&self, pod: Uid) -> Option<&Member> {
        let pods = self.clusters.get(self.of.get(&pod)?)?;
        pods.get(&pod).map(|(member, _)| member)
    }

    /// The pods of a RayCluster, and of those that had its name before.
    pub fn of(&self, cluster: &NamespacedName) -> impl Iterator<Item = &(Member, Pod)> {
        self.clusters.get(cluster).into_iter().flat_map(BTreeMap::values)
    }
}
