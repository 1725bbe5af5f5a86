//! What pods are read by beside themselves and may change without an event of theirs: who may use a pool and what it
//! says of gangs, what a namespace says, the list of special hardware, the sizes of PodGroups.
//!
//! Values are compared, so the answer names what changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use weir_api::names;
use weir_api::pool::ResourcePool;
use weir_placement::sku::SpecialHardware;

use crate::convert::name::NamespacedName;

/// What pods were read by.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::leader) struct ReadBy {
    pools: BTreeMap<String, PoolTerms>,
    namespaces: BTreeMap<String, NamespaceTerms>,
    special: Arc<SpecialHardware>,
    /// How many members each PodGroup asked for that a pod named; none where it did not exist.
    groups: BTreeMap<NamespacedName, Option<u32>>,
}

/// What of a pool matters when a pod is read.
#[derive(Clone, Debug, PartialEq)]
struct PoolTerms {
    namespace_selector: Option<LabelSelector>,
    gang_by: Option<String>,
}

/// What of a namespace matters when a pod is read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamespaceTerms {
    labels: BTreeMap<String, String>,
    /// Annotations under our prefix.
    annotations: BTreeMap<String, String>,
}

/// One thing that pods are read by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::leader) enum Source {
    /// A pool, by its name.
    Pool(String),
    /// A namespace, by its name.
    Namespace(String),
    /// The list of special hardware.
    SpecialHardware,
    /// A PodGroup of another scheduler.
    PodGroup(NamespacedName),
}

impl ReadBy {
    /// What pods are read by now; sizes of PodGroups are noted as pods name them.
    ///
    /// A namespace that says nothing under our prefix matters only while a pool selects namespaces.
    pub(in crate::leader) fn of(
        pools: &[Arc<ResourcePool>],
        namespaces: &[Arc<Namespace>],
        special: Arc<SpecialHardware>,
    ) -> Self {
        let selective = pools.iter().any(|pool| pool.spec.namespace_selector.is_some());
        let ours = |key: &String| key.starts_with(names::PREFIX);
        let speaks = |namespace: &&Arc<Namespace>| {
            selective || namespace.labels().keys().chain(namespace.annotations().keys()).any(ours)
        };
        let pools = pools.iter().map(|pool| (pool.name_any(), PoolTerms::of(pool)));
        let namespaces = namespaces.iter().filter(speaks).map(|namespace| {
            let annotations = namespace.annotations().iter().filter(|(key, _)| ours(key));
            let annotations = annotations.map(|(key, value)| (key.clone(), value.clone())).collect();
            (namespace.name_any(), NamespaceTerms { labels: namespace.labels().clone(), annotations })
        });
        Self { pools: pools.collect(), namespaces: namespaces.collect(), special, groups: BTreeMap::new() }
    }

    /// Notes how many members a PodGroup asked for when a pod was read by it.
    pub(in crate::leader) fn note_group(&mut self, group: NamespacedName, size: Option<u32>) {
        self.groups.insert(group, size);
    }

    /// The first thing that differs now; `size` is how many members a PodGroup asks for now.
    pub(in crate::leader) fn first_difference(
        &self,
        now: &Self,
        size: impl Fn(&NamespacedName) -> Option<u32>,
    ) -> Option<Source> {
        let pool = || differing(&self.pools, &now.pools).map(Source::Pool);
        let namespace = || differing(&self.namespaces, &now.namespaces).map(Source::Namespace);
        let special = || (self.special != now.special).then_some(Source::SpecialHardware);
        let group = || {
            let changed = self.groups.iter().find(|(group, before)| size(group) != **before);
            changed.map(|(group, _)| Source::PodGroup(group.clone()))
        };
        pool().or_else(namespace).or_else(special).or_else(group)
    }
}

impl PoolTerms {
    fn of(pool: &ResourcePool) -> Self {
        let defaults = pool.spec.defaults.as_ref();
        Self {
            namespace_selector: pool.spec.namespace_selector.clone(),
            gang_by: defaults.and_then(|defaults| defaults.gang_by.clone()),
        }
    }
}

/// The first key of which the value differs, or that only one of the two has.
fn differing<V: PartialEq>(before: &BTreeMap<String, V>, now: &BTreeMap<String, V>) -> Option<String> {
    let gone_or_changed = before.iter().find(|(key, value)| now.get(*key) != Some(value));
    let new = || now.iter().find(|(key, _)| !before.contains_key(*key));
    gone_or_changed.or_else(new).map(|(key, _)| key.clone())
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool(name) => write!(f, "pool {name} says something else of its pods"),
            Self::Namespace(name) => write!(f, "namespace {name} says something else of its pods"),
            Self::SpecialHardware => f.write_str("the list of special hardware in force is another"),
            Self::PodGroup(group) => write!(f, "PodGroup {group} asks for another number of members"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pool(name: &str, spec: Value) -> Arc<ResourcePool> {
        Arc::new(ResourcePool::new(name, serde_json::from_value(spec).unwrap()))
    }

    fn namespace(name: &str, labels: Value, annotations: Value) -> Arc<Namespace> {
        let metadata = json!({ "name": name, "labels": labels, "annotations": annotations });
        Arc::new(serde_json::from_value(json!({ "metadata": metadata })).unwrap())
    }

    fn read(pools: &[Arc<ResourcePool>], namespaces: &[Arc<Namespace>]) -> ReadBy {
        ReadBy::of(pools, namespaces, Arc::default())
    }

    fn difference(before: &ReadBy, now: &ReadBy) -> Option<String> {
        before.first_difference(now, |_| None).map(|source| source.to_string())
    }

    #[test]
    fn a_pool_matters_for_who_may_use_it_and_for_its_gangs_and_not_for_its_figures() {
        let open = read(&[pool("a", json!({}))], &[]);
        let larger = read(&[pool("a", json!({ "resources": [{ "name": "cpu", "reservation": "4" }] }))], &[]);
        let selective = read(&[pool("a", json!({ "namespaceSelector": { "matchLabels": { "team": "x" } } }))], &[]);
        let ray = read(&[pool("a", json!({ "defaults": { "gangBy": "ray.io/cluster" } }))], &[]);
        assert_eq!(difference(&open, &larger), None);
        for other in [&selective, &ray] {
            assert_eq!(difference(&open, other).as_deref(), Some("pool a says something else of its pods"));
        }
        let two = read(&[pool("a", json!({})), pool("b", json!({}))], &[]);
        assert_eq!(difference(&open, &two).as_deref(), Some("pool b says something else of its pods"));
    }

    #[test]
    fn a_namespace_matters_while_it_says_something_to_weir_or_a_pool_selects_namespaces() {
        let silent = |labels: Value| namespace("team", labels, json!({ "owner": "me" }));
        let open = [pool("a", json!({}))];
        let selective = [pool("a", json!({ "namespaceSelector": { "matchLabels": { "team": "x" } } }))];
        let with = |pools: &[Arc<ResourcePool>], labels: Value| read(pools, &[silent(labels)]);
        assert_eq!(difference(&with(&open, json!({})), &with(&open, json!({ "team": "x" }))), None);
        let expected = Some("namespace team says something else of its pods".to_owned());
        assert_eq!(difference(&with(&selective, json!({})), &with(&selective, json!({ "team": "x" }))), expected);
        let named = read(&open, &[namespace("team", json!({}), json!({ "weir.dev/pool": "a" }))]);
        assert_eq!(difference(&with(&open, json!({})), &named), expected);
    }

    #[test]
    fn a_pod_group_matters_once_a_pod_named_it() {
        let mut before = ReadBy::default();
        let group = NamespacedName::new("team", "train");
        let now = ReadBy::default();
        assert_eq!(before.first_difference(&now, |_| Some(4)), None);
        before.note_group(group.clone(), None);
        assert_eq!(before.first_difference(&now, |_| None), None);
        assert_eq!(before.first_difference(&now, |_| Some(4)), Some(Source::PodGroup(group)));
    }
}
