//! The GPU hosts by model, and the pods that hold special hardware.

use std::collections::{BTreeMap, BTreeSet};

use weir_model::Amount;

use super::levels::Level;
use super::state::ClusterState;
use crate::format::grouped;

/// The GPU hosts of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelRow {
    /// The model of the label; `unknown` where a GPU host carries none.
    pub model: String,
    /// Whether it is kept for the pods that name it.
    pub special: bool,
    /// Hosts of this model.
    pub hosts: usize,
    /// Hosts of this model no GPU of which is taken.
    pub free_hosts: usize,
    /// Its GPUs: all, and those taken. `demand` is what waiting pods ask for that accept this model alone.
    pub gpus: Level,
}

/// The GPUs of special models, kept for the pods that name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// All of them.
    pub gpus: Amount,
    /// Those held by pods that name the model they are on.
    pub named: Amount,
    /// Those held by other pods. There should be none.
    pub general: Amount,
}

impl Special {
    /// Which pods hold the special GPUs, in one line.
    ///
    /// ```
    /// use weir_demo::cluster_state::hosts::Special;
    /// use weir_model::Amount;
    /// let held = Special { gpus: Amount::new(516), named: Amount::new(120), general: Amount::ZERO };
    /// assert_eq!(held.sentence(), "516 special: 120 held by pods that name them, 0 by others, 396 free");
    /// ```
    #[must_use]
    pub fn sentence(&self) -> String {
        let [gpus, named, general, free] = self.numbers();
        format!("{gpus} special: {named} held by pods that name them, {general} by others, {free} free")
    }

    /// All of them, those held by pods that name them, those held by others, and those that are free.
    #[must_use]
    pub fn numbers(&self) -> [String; 4] {
        let Self { gpus, named, general } = *self;
        let free = gpus.minus(named).minus(general);
        [gpus, named, general, free].map(|amount| grouped(amount.units().unsigned_abs()))
    }
}

/// The GPU hosts by model, the model with most GPUs first.
#[must_use]
pub fn models(cluster: &ClusterState) -> Vec<ModelRow> {
    let mut held: BTreeMap<&str, Amount> = BTreeMap::new();
    let mut demand: BTreeMap<&str, Amount> = BTreeMap::new();
    for pod in cluster.pods() {
        match (pod.holds(), pod.pod.models.as_slice()) {
            (Some(node), _) => *held.entry(node).or_default() += pod.pod.asks.gpus,
            (None, [model]) if pod.waits() => *demand.entry(model).or_default() += pod.pod.asks.gpus,
            (None, _) => {}
        }
    }
    let mut rows: BTreeMap<&str, ModelRow> = BTreeMap::new();
    for node in cluster.nodes().filter(|node| node.is_gpu_host()) {
        let model = node.model.as_deref().unwrap_or("unknown");
        let row = rows.entry(model).or_insert_with(|| ModelRow { model: model.to_owned(), ..ModelRow::default() });
        let used = held.get(node.name.as_str()).copied().unwrap_or_default();
        row.special = node.special;
        row.hosts += 1;
        row.free_hosts += usize::from(used.is_zero());
        row.gpus.capacity += node.gpus;
        row.gpus.used += used;
        row.gpus.demand = demand.get(model).copied().unwrap_or_default();
    }
    let mut rows: Vec<ModelRow> = rows.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.gpus.capacity));
    rows
}

/// The special GPUs, and which pods hold them; `None` where no node has any.
#[must_use]
pub fn special(cluster: &ClusterState) -> Option<Special> {
    let special: BTreeSet<&str> = cluster.nodes().filter(|node| node.special).map(|node| node.name.as_str()).collect();
    if special.is_empty() {
        return None;
    }
    let mut sum =
        Special { gpus: cluster.nodes().filter(|node| node.special).map(|node| node.gpus).sum(), ..Special::default() };
    for pod in cluster.pods() {
        let Some(node) = pod.holds().filter(|node| special.contains(node)).and_then(|node| cluster.node(node)) else {
            continue;
        };
        let named = pod.pod.special.is_some() && pod.pod.special == node.model;
        *(if named { &mut sum.named } else { &mut sum.general }) += pod.pod.asks.gpus;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_state::pod::Pod;
    use crate::example::{NOW, gone, host, on, pod, seen, waiting};

    fn accepting(models: &[&str], pod: Pod) -> Pod {
        let special = (models == ["G3"]).then(|| "G3".to_owned());
        Pod { models: models.iter().map(|&model| model.into()).collect(), special, ..pod }
    }

    #[test]
    fn a_host_is_free_as_a_whole_only_while_none_of_its_gpus_is_taken() {
        let cluster = seen([
            host("a", Some("G2"), 8, 96),
            host("b", Some("G2"), 8, 96),
            host("c", Some("T4"), 2, 96),
            on("b", pod("train", 1, 6)),
            waiting(accepting(&["G2"], pod("picky", 8, 6))),
            waiting(accepting(&["G2", "T4"], pod("either", 2, 6))),
        ]);
        let row = |model: &str, hosts, free_hosts, [capacity, used, demand]: [i64; 3]| {
            let [capacity, used, demand] = [capacity, used, demand].map(Amount::new);
            let gpus = Level { capacity, used, demand, ..Level::default() };
            ModelRow { model: model.into(), special: false, hosts, free_hosts, gpus }
        };
        assert_eq!(models(&cluster), [row("G2", 2, 1, [16, 1, 8]), row("T4", 1, 1, [2, 0, 0])]);
    }

    #[test]
    fn special_hardware_is_counted_by_the_pods_that_hold_it() {
        let mut cluster = seen([host("t", Some("T4"), 2, 96)]);
        assert_eq!(special(&cluster), None);
        // One pod is told before its node, as a watch may.
        for change in [
            on("g", accepting(&["G3"], pod("names it", 3, 1))),
            host("g", Some("G3"), 8, 96),
            on("t", accepting(&["G3"], pod("elsewhere", 1, 1))),
            on("g", pod("stray", 1, 1)),
        ] {
            cluster.apply(NOW, change);
        }
        let held = |named, general| {
            Some(Special { gpus: Amount::new(8), named: Amount::new(named), general: Amount::new(general) })
        };
        assert_eq!(special(&cluster), held(3, 1));
        cluster.apply(NOW, gone("stray"));
        assert_eq!(special(&cluster), held(3, 0));
    }
}
