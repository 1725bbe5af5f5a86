//! What pods are read by beside themselves and may change without an event of theirs: who may use a pool and what it
//! says of gangs, what a namespace says, the list of special hardware.
//!
//! Values are compared, so the answer is what changed, and only the pods concerned are read again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use weir_api::names;
use weir_api::pool::ResourcePool;
use weir_placement::sku::SpecialHardware;

/// What pods were read by.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::leader) struct ReadBy {
    pools: BTreeMap<String, PoolTerms>,
    namespaces: BTreeMap<String, NamespaceTerms>,
    special: Arc<SpecialHardware>,
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

/// What differs of what pods are read by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::leader) struct Differences {
    /// Pools, by their names.
    pub(in crate::leader) pools: BTreeSet<String>,
    /// Namespaces, by their names.
    pub(in crate::leader) namespaces: BTreeSet<String>,
    /// The namespaces among them that ask for the admission of all their pods now and did not, or the reverse: pods
    /// that are not managed may be concerned.
    pub(in crate::leader) managed: BTreeSet<String>,
    /// The list of special hardware.
    pub(in crate::leader) special: bool,
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
        Self { pools: pools.collect(), namespaces: namespaces.collect(), special }
    }

    /// What differs now.
    pub(in crate::leader) fn differences(&self, now: &Self) -> Differences {
        let namespaces = differing(&self.namespaces, &now.namespaces);
        let is_managed = |read_by: &Self, name: &String| {
            let terms = read_by.namespaces.get(name);
            terms.is_some_and(|terms| terms.labels.get(names::MANAGED).is_some_and(|value| value == names::TRUE))
        };
        let managed = namespaces.iter().filter(|name| is_managed(self, name) != is_managed(now, name));
        Differences {
            pools: differing(&self.pools, &now.pools),
            managed: managed.cloned().collect(),
            namespaces,
            special: self.special != now.special,
        }
    }
}

impl Differences {
    /// Whether a pod that names this pool, in this namespace, is concerned.
    pub(in crate::leader) fn concern(&self, namespace: &str, pool: &str) -> bool {
        self.namespaces.contains(namespace) || self.pools.contains(pool)
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

/// The keys of which the values differ, or that only one of the two has.
fn differing<V: PartialEq>(before: &BTreeMap<String, V>, now: &BTreeMap<String, V>) -> BTreeSet<String> {
    let gone_or_changed = before.iter().filter(|(key, value)| now.get(*key) != Some(value));
    let new = now.iter().filter(|(key, _)| !before.contains_key(*key));
    gone_or_changed.chain(new).map(|(key, _)| key.clone()).collect()
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

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_pool_matters_for_who_may_use_it_and_for_its_gangs_and_not_for_its_figures() {
        let open = read(&[pool("a", json!({}))], &[]);
        let larger = read(&[pool("a", json!({ "resources": [{ "name": "cpu", "reservation": "4" }] }))], &[]);
        let selective = read(&[pool("a", json!({ "namespaceSelector": { "matchLabels": { "team": "x" } } }))], &[]);
        let ray = read(&[pool("a", json!({ "defaults": { "gangBy": "ray.io/cluster" } }))], &[]);
        assert_eq!(open.differences(&larger), Differences::default());
        for other in [&selective, &ray] {
            assert_eq!(open.differences(other).pools, set(&["a"]));
        }
        let two = read(&[pool("a", json!({})), pool("b", json!({}))], &[]);
        assert_eq!(open.differences(&two).pools, set(&["b"]));
        assert_eq!(two.differences(&open).pools, set(&["b"]));
    }

    #[test]
    fn a_namespace_matters_while_it_says_something_to_weir_or_a_pool_selects_namespaces() {
        let silent = |labels: Value| namespace("team", labels, json!({ "owner": "me" }));
        let open = [pool("a", json!({}))];
        let selective = [pool("a", json!({ "namespaceSelector": { "matchLabels": { "team": "x" } } }))];
        let with = |pools: &[Arc<ResourcePool>], labels: Value| read(pools, &[silent(labels)]);
        let unchanged = with(&open, json!({})).differences(&with(&open, json!({ "team": "x" })));
        assert_eq!(unchanged, Differences::default());
        let changed = with(&selective, json!({})).differences(&with(&selective, json!({ "team": "x" })));
        assert_eq!((changed.namespaces, changed.managed), (set(&["team"]), set(&[])));
        let named = read(&open, &[namespace("team", json!({}), json!({ "weir.dev/pool": "a" }))]);
        assert_eq!(with(&open, json!({})).differences(&named).namespaces, set(&["team"]));
    }

    #[test]
    fn a_namespace_that_asks_for_its_pods_or_does_no_more_concerns_pods_that_are_not_managed_too() {
        let asks = read(&[], &[namespace("team", json!({ "weir.dev/managed": "true" }), json!({}))]);
        let silent = read(&[], &[]);
        for (before, now) in [(&asks, &silent), (&silent, &asks)] {
            assert_eq!(before.differences(now).managed, set(&["team"]));
        }
    }
}
