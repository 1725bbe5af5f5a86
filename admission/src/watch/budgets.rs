//! PodDisruptionBudgets: which pods each covers and how many of them may be evicted now.
//!
//! The API server alone decides whether an eviction passes a budget; what is known here keeps plans away from
//! pods that it would refuse. A budget that its controller has not looked at since it changed allows nothing,
//! as the API server has it, and a pod that does not run yet is evicted whatever its budgets say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use weir_queue::{Budget, Uid};

use crate::convert::selects;

/// Labels of a pod, by names and values that are kept once.
pub type Labels = Arc<[(Arc<str>, Arc<str>)]>;

/// A pod as budgets see it: where it is and what it is labelled; only those that run.
#[derive(Clone, Copy, Debug)]
pub struct Covered<'a> {
    /// The pod.
    pub uid: Uid,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its labels.
    pub labels: &'a [(Arc<str>, Arc<str>)],
}

/// All budgets, and whom they cover.
#[derive(Clone, Debug, Default)]
pub struct Budgets {
    by_name: BTreeMap<(String, String), Known>,
    changed: bool,
}

#[derive(Clone, Debug, Default)]
struct Known {
    selector: Option<LabelSelector>,
    allowed: u32,
    pods: BTreeSet<Uid>,
}

impl Budgets {
    /// Takes in a budget; `pods` are those of its namespace that run.
    pub fn apply<'a>(&mut self, budget: &PodDisruptionBudget, pods: impl Iterator<Item = Covered<'a>>) {
        let key = (budget.namespace().unwrap_or_default(), budget.name_any());
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
        let allowed = allowed(budget);
        let known = self.by_name.get(&key).filter(|known| known.selector == selector);
        let pods = match known {
            Some(Known { pods, allowed: before, .. }) => {
                if *before == allowed {
                    return;
                }
                pods.clone()
            }
            None => {
                pods.filter(|pod| pod.namespace == key.0 && covers(selector.as_ref(), pod)).map(|it| it.uid).collect()
            }
        };
        self.by_name.insert(key, Known { selector, allowed, pods });
        self.changed = true;
    }

    /// Forgets a budget.
    pub fn remove(&mut self, namespace: &str, name: &str) {
        self.changed |= self.by_name.remove(&(namespace.to_owned(), name.to_owned())).is_some();
    }

    /// Forgets the budgets that are not among these.
    pub fn retain(&mut self, listed: &BTreeSet<(String, String)>) {
        let before = self.by_name.len();
        self.by_name.retain(|key, _| listed.contains(key));
        self.changed |= self.by_name.len() != before;
    }

    /// Takes in a pod that runs.
    pub fn pod(&mut self, pod: Covered<'_>) {
        for (_, known) in self.by_name.iter_mut().filter(|((namespace, _), _)| namespace == pod.namespace) {
            let covered = covers(known.selector.as_ref(), &pod);
            let moved = if covered { known.pods.insert(pod.uid) } else { known.pods.remove(&pod.uid) };
            self.changed |= moved;
        }
    }

    /// Forgets a pod.
    pub fn gone(&mut self, namespace: &str, uid: Uid) {
        for (_, known) in self.by_name.iter_mut().filter(|((at, _), _)| at == namespace) {
            self.changed |= known.pods.remove(&uid);
        }
    }

    /// All budgets, if anything changed since they were last asked for.
    pub fn news(&mut self) -> Option<Vec<Budget>> {
        std::mem::take(&mut self.changed).then(|| {
            let budget = |((namespace, name), known): (&(String, String), &Known)| Budget {
                name: format!("{namespace}/{name}"),
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

/// Whether a budget covers a pod; one without a selector covers nobody, one with an empty selector everybody.
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
        assert_eq!(budgets.news(), expected(1, &[1]));
        assert_eq!(budgets.news(), None);
        budgets.pod(pod(4, "team"));
        budgets.gone("team", Uid::new(1));
        assert_eq!(budgets.news(), expected(1, &[4]));
    }

    #[test]
    fn a_budget_that_its_controller_has_not_looked_at_allows_nothing() {
        assert_eq!([allowed(&budget(3, 2)), allowed(&budget(3, 1)), allowed(&budget(-1, 2))], [3, 0, 0]);
    }
}
