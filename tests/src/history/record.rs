//! What was told until now, of the whole cluster and of one namespace.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::{Resource, ResourceExt as _};
use weir_api::{AdmissionRound, Gang, ResourcePool};

use super::WatchEvent;
use crate::objects::bound_to;

/// The name of an object within the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamespacedName {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

impl NamespacedName {
    /// The object of this name in this namespace.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn of(object: &impl Resource) -> Self {
        Self { namespace: object.meta().namespace.clone().unwrap_or_default(), name: object.name_any() }
    }
}

/// Everything that was told, and how things are now.
#[derive(Debug, Default)]
pub struct Record {
    /// The pods that exist.
    pub pods: BTreeMap<NamespacedName, Pod>,
    /// The nodes that exist, by name.
    pub nodes: BTreeMap<String, Node>,
    /// The pools that exist, by name.
    pub pools: BTreeMap<String, ResourcePool>,
    /// The gangs that exist.
    pub gangs: BTreeMap<NamespacedName, Gang>,
    /// The record of admission rounds, as it was last.
    pub round: Option<AdmissionRound>,
    /// Every event that was written; one that expired happened all the same.
    pub events: Vec<Event>,
    changes: Vec<WatchEvent>,
    /// The kinds of which all that was there at the beginning is told.
    known: BTreeSet<&'static str>,
    gap: Option<&'static str>,
}

impl Record {
    pub(super) fn begins(&mut self, kind: &'static str) {
        if self.known.contains(kind) {
            self.gap = Some(kind);
        }
    }

    pub(super) fn begun(&mut self, kind: &'static str) {
        self.known.insert(kind);
    }

    pub(super) fn known_kinds(&self) -> usize {
        self.known.len()
    }

    pub(super) fn take(&mut self, event: WatchEvent) {
        match &event {
            WatchEvent::Node(node) => drop(self.nodes.insert(node.name_any(), (**node).clone())),
            WatchEvent::NodeGone(node) => drop(self.nodes.remove(&node.name_any())),
            WatchEvent::Pod(pod) => drop(self.pods.insert(NamespacedName::of(&**pod), (**pod).clone())),
            WatchEvent::PodGone(pod) => drop(self.pods.remove(&NamespacedName::of(&**pod))),
            WatchEvent::Pool(pool) => drop(self.pools.insert(pool.name_any(), (**pool).clone())),
            WatchEvent::PoolGone(pool) => drop(self.pools.remove(&pool.name_any())),
            WatchEvent::Gang(gang) => drop(self.gangs.insert(NamespacedName::of(&**gang), (**gang).clone())),
            WatchEvent::GangGone(gang) => drop(self.gangs.remove(&NamespacedName::of(&**gang))),
            WatchEvent::Round(round) => self.round = Some((**round).clone()),
            WatchEvent::Event(event) => self.events.push((**event).clone()),
            WatchEvent::RoundGone(_) | WatchEvent::EventGone(_) => {}
        }
        self.changes.push(event);
    }

    /// The kind of which something may have been missed, because its watch had to begin anew.
    #[must_use]
    pub const fn gap(&self) -> Option<&'static str> {
        self.gap
    }

    /// Everything that was told, in the order in which it happened.
    #[must_use]
    pub fn in_order(&self) -> Vec<&WatchEvent> {
        in_order(self.changes.iter())
    }

    /// What was told of one namespace.
    #[must_use]
    pub const fn view<'r>(&'r self, namespace: &'r str) -> View<'r> {
        View { cluster: self, namespace }
    }
}

/// What was told of one namespace, and of the cluster around it.
#[derive(Clone, Copy, Debug)]
pub struct View<'r> {
    /// The whole.
    pub cluster: &'r Record,
    namespace: &'r str,
}

impl<'r> View<'r> {
    /// The pod of this name, if it exists.
    #[must_use]
    pub fn pod(self, name: &str) -> Option<&'r Pod> {
        self.cluster.pods.get(&NamespacedName::new(self.namespace, name))
    }

    /// The pods that exist, by name.
    pub fn pods(self) -> impl Iterator<Item = &'r Pod> {
        let from = NamespacedName::new(self.namespace, "");
        self.cluster.pods.range(from..).take_while(move |(key, _)| key.namespace == self.namespace).map(|(_, pod)| pod)
    }

    /// The node that a pod is on.
    #[must_use]
    pub fn node_of(self, pod: &str) -> Option<&'r str> {
        self.pod(pod).and_then(bound_to)
    }

    /// The names of the pods on a node.
    pub fn pods_on(self, node: &str) -> impl Iterator<Item = String> {
        self.pods().filter(move |pod| bound_to(pod) == Some(node)).map(|pod| pod.name_any())
    }

    /// The gang of this name, if it exists.
    #[must_use]
    pub fn gang(self, name: &str) -> Option<&'r Gang> {
        self.cluster.gangs.get(&NamespacedName::new(self.namespace, name))
    }

    /// The gangs that exist.
    pub fn gangs(self) -> impl Iterator<Item = &'r Gang> {
        self.cluster.gangs.iter().filter(move |(key, _)| key.namespace == self.namespace).map(|(_, gang)| gang)
    }

    /// Every event that was written about something in the namespace.
    pub fn events(self) -> impl Iterator<Item = &'r Event> {
        let ours = move |event: &&Event| {
            event.regarding.as_ref().is_some_and(|about| about.namespace.as_deref() == Some(self.namespace))
        };
        self.cluster.events.iter().filter(ours)
    }

    /// Every pod as it was at each of its changes, the last first.
    pub fn past(self) -> impl Iterator<Item = &'r Pod> {
        self.cluster.changes.iter().rev().filter_map(move |event| match event {
            WatchEvent::Pod(pod) if pod.metadata.namespace.as_deref() == Some(self.namespace) => Some(&**pod),
            _ => None,
        })
    }

    /// Everything that was told of the namespace and of the cluster, but of no other namespace, in the order in which
    /// it happened.
    #[must_use]
    pub fn in_order(self) -> Vec<&'r WatchEvent> {
        let ours = |event: &&WatchEvent| event.namespace().is_none_or(|namespace| namespace == self.namespace);
        in_order(self.cluster.changes.iter().filter(ours))
    }
}

fn in_order<'r>(events: impl Iterator<Item = &'r WatchEvent>) -> Vec<&'r WatchEvent> {
    let mut events: Vec<_> = events.collect();
    events.sort_by_key(|event| event.revision());
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::pod;

    fn told(namespace: &str, name: &str, revision: &str) -> WatchEvent {
        let mut pod = pod(name).build().unwrap_or_default();
        pod.metadata.namespace = Some(namespace.to_owned());
        pod.metadata.resource_version = Some(revision.to_owned());
        WatchEvent::Pod(Box::new(pod))
    }

    #[test]
    fn a_view_shows_one_namespace_in_the_order_of_revisions() {
        let mut record = Record::default();
        for event in [told("b", "late", "10"), told("a", "other", "8"), told("b", "early", "9"), told("bb", "x", "7")] {
            record.take(event);
        }
        let view = record.view("b");
        assert_eq!(view.pods().map(|pod| pod.name_any()).collect::<Vec<_>>(), ["early", "late"]);
        assert_eq!(view.in_order().iter().map(|event| event.revision()).collect::<Vec<_>>(), [9, 10]);
        assert!(view.pod("other").is_none());
    }

    #[test]
    fn a_second_list_of_a_kind_that_was_known_is_a_gap() {
        let mut record = Record::default();
        record.begins("Pod");
        record.begins("Pod");
        record.begun("Pod");
        assert_eq!(record.gap(), None);
        record.begins("Pod");
        assert_eq!(record.gap(), Some("Pod"));
    }
}
