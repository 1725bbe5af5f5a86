//! PodDisruptionBudgets: which pods each covers and how many of them may be evicted now.
//!
//! The API server alone decides whether an eviction passes a budget; what is known here keeps plans away from
//! pods whose eviction it would refuse. A budget that its controller has not looked at since it changed allows nothing,
//! as the API server has it, and a pod that does not run yet is evicted whatever its budgets say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use weir_queue::{Budget, Uid};

use super::relist::Relist;
use crate::convert::name::NamespacedName;
use crate::convert::selects;

/// Labels of a pod, by names and values that are kept once.
pub type Labels = Arc<[(Arc<str>, Arc<str>)]>;

/// A pod that runs, as budgets see it: its namespace and its labels.
#[derive(Clone, Copy, Debug)]
pub struct Covered<'a> {
    /// The pod.
    pub uid: Uid,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its labels.
    pub labels: &'a [(Arc<str>, Arc<str>)],
}

/// All budgets, and the pods that each covers.
#[derive(Debug, Default)]
pub struct Budgets {
    by_name: BTreeMap<NamespacedName, Covers>,
    list: Relist<NamespacedName>,
    /// Whether anything changed since the budgets were last taken.
    changed: bool,
}

#[derive(Clone, Debug, Default)]
struct Covers {
    selector: Option<LabelSelector>,
    allowed: u32,
    pods: BTreeSet<Uid>,
}

impl Budgets {
    /// A list begins.
    pub fn begin_list(&mut self) {
        self.list.begin();
    }

    /// Ends a list, and forgets the budgets that it does not have.
    pub fn finish_list(&mut self) {
        let missing = self.list.finish(self.by_name.keys());
        missing.iter().for_each(|name| self.remove(name));
    }

    /// Takes in a budget; `pods` are the pods that run.
    pub fn apply<'a>(&mut self, budget: &PodDisruptionBudget, pods: impl Iterator<Item = Covered<'a>>) {
        let name = NamespacedName::of(budget);
        self.list.saw(name.clone());
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
        let allowed = allowed(budget);
        let known = self.by_name.get(&name).filter(|known| known.selector == selector);
        let pods = match known {
            Some(Covers { pods, allowed: before, .. }) => {
                if *before == allowed {
                    return;
                }
                pods.clone()
            }
            None => {
                let covered = |pod: &Covered<'_>| pod.namespace == name.namespace && covers(selector.as_ref(), pod);
                pods.filter(covered).map(|pod| pod.uid).collect()
            }
        };
        self.by_name.insert(name, Covers { selector, allowed, pods });
        self.changed = true;
    }

    /// Forgets a budget.
    pub fn remove(&mut self, name: &NamespacedName) {
        self.changed |= self.by_name.remove(name).is_some();
    }

    /// Takes in a pod that runs.
    pub fn pod(&mut self, pod: Covered<'_>) {
        for (_, known) in self.by_name.iter_mut().filter(|(name, _)| name.namespace == pod.namespace) {
            let covered = covers(known.selector.as_ref(), &pod);
            let moved = if covered { known.pods.insert(pod.uid) } else { known.pods.remove(&pod.uid) };
            self.changed |= moved;
        }
    }

    /// Forgets a pod.
    pub fn gone(&mut self, namespace: &str, uid: Uid) {
        for (_, known) in self.by_name.iter_mut().filter(|(name, _)| name.namespace == namespace) {
            self.changed |= known.pods.remove(&uid);
        }
    }

    /// All budgets, if anything changed since they were last taken.
    pub fn take_changes(&mut self) -> Option<Vec<Budget>> {
        std::mem::take(&mut self.changed).then(|| {
            let budget = |(name, known): (&NamespacedName, &Covers)| Budget {
                name: name.to_string(),
                allowed: known.allowed,
                pods: known.pods.iter().copied().collect(),
            };
            self.by_name.iter().map(budget).collect()
        })
    }

    /// Whether any budget covers a pod.
    #[must_use]
    pub fn cover(&self, uid: Uid) -> bool {
        self.by_name.values().any(|known| known.pods.contains(&uid))
    }
}

/// How many evictions a budget allows now.
fn allowed(budget: &PodDisruptionBudget) -> u32 {
    let Some(status) = &budget.status else { return 0 };
    let seen = status.observed_generation.unwrap_or(0) >= budget.metadata.generation.unwrap_or(0);
    if seen { u32::try_from(status.disruptions_allowed.unwrap_or(0)).unwrap_or(0) } else { 0 }
}

/// Whether a budget covers a pod; one without a selector covers no pod, one with an empty selector every pod.
fn covers(selector: Option<&LabelSelector>, pod: &Covered<'_>) -> bool {
    let label = |key: &str| pod.labels.iter().find(|(known, _)| &**known == key).map(|(_, value)| &**value);
    selector.is_some_and(|selector| selects(selector, label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn budget(allowed: i32, generation: i64) -> PodDisruptionBudget {
        serde_json::from_value(json!({
            "metadata": { "namespace": "team", "name": "b", "generation": 2 },
            "spec": { "selector": { "matchLabels": { "app": "train" } } },
            "status": { "disruptionsAllowed": allowed, "observedGeneration": generation,
                "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0 },
        }))
        .unwrap()
    }

    fn labels() -> Vec<(Arc<str>, Arc<str>)> {
        vec![("app".into(), "train".into())]
    }

    #[test]
    fn a_budget_covers_the_running_pods_that_it_selects_in_its_namespace() {
        let labels = labels();
        let pod = |uid, namespace| Covered { uid: Uid::new(uid), namespace, labels: &labels };
        let other = Covered { labels: &[], ..pod(3, "team") };
        let mut budgets = Budgets::default();
        budgets.apply(&budget(1, 2), [pod(1, "team"), pod(2, "elsewhere"), other].into_iter());
        let expected = |allowed, pods: &[u128]| {
            let pods = pods.iter().map(|&uid| Uid::new(uid)).collect();
            Some(vec![Budget { name: "team/b".into(), allowed, pods }])
        };
        assert_eq!(budgets.take_changes(), expected(1, &[1]));
        assert_eq!(budgets.take_changes(), None);
        budgets.pod(pod(4, "team"));
        budgets.gone("team", Uid::new(1));
        assert_eq!(budgets.take_changes(), expected(1, &[4]));
    }

    #[test]
    fn a_budget_that_a_list_does_not_have_is_gone() {
        let mut budgets = Budgets::default();
        budgets.apply(&budget(1, 2), [].into_iter());
        assert!(budgets.take_changes().is_some());
        budgets.begin_list();
        budgets.finish_list();
        assert_eq!(budgets.take_changes(), Some(Vec::new()));
    }

    #[test]
    fn a_budget_that_its_controller_has_not_looked_at_allows_nothing() {
        assert_eq!([allowed(&budget(3, 2)), allowed(&budget(3, 1)), allowed(&budget(-1, 2))], [3, 0, 0]);
    }
}
