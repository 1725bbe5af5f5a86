//! The policy code, asked natively about what the modules decided in the scheduler.
//!
//! The watch's history is walked in order. When a pod was bound, the filters have to let it run on that node,
//! and among the nodes that were possible then no other may have a better score. When a pod was refused, no
//! node may have been possible, and each reason that a filter of ours gives has to be counted for as many
//! nodes as the scheduler's message counts. So every decision of a module is made a second time, by the same
//! code on typed objects and without WebAssembly.

mod scores;
mod snapshot;
mod view;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::ResourceExt as _;
use weir_local::Checkout;
use weir_placement::gpu::{self, GpuNames};
use weir_placement::sku::{self, SpecialHardware, SpecialHardwareList, SpecialModel};

pub use scores::{Load, Scores};

use crate::history::{View, WatchEvent};
use crate::objects::{GPU, bound_to, unschedulable};
use snapshot::Snapshot;
use view::{SeenNode, SeenPod};

/// The rules as a scheduler is configured to follow them.
pub struct Native {
    gpus: GpuNames,
    special: SpecialHardware,
    scores: Option<Scores>,
}

/// What came of making every decision a second time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// How many there were: pods bound and pods refused, each time for another reason.
    pub decisions: usize,
    /// Where what the schedulers decided is not what the policy code says, one sentence each.
    pub differences: Vec<String>,
}

impl Native {
    /// The filters as they are shipped.
    ///
    /// # Errors
    /// When the settings are refused, as the modules would refuse them.
    pub fn shipped() -> Result<Self> {
        let labels = ["gpu-node-label-model", "nvidia.com/gpu.product"].map(str::to_owned);
        let gpus = GpuNames::new(vec![GPU.to_owned()], labels.into())?;
        Ok(Self { gpus, special: special_hardware()?, scores: None })
    }

    /// The scores as well. They can be compared only where pods come one after the other, each when the one
    /// before is bound, and where no other test's pods are on the nodes: a score depends on the pods that are there.
    #[must_use]
    pub fn with(self, scores: Scores) -> Self {
        Self { scores: Some(scores), ..self }
    }

    /// The filters with another list of special hardware.
    ///
    /// # Errors
    /// When the list contradicts itself.
    pub fn keeping(self, models: &[&str]) -> Result<Self> {
        let special = |model: &&str| SpecialModel {
            model: (*model).to_owned(),
            aliases: Vec::new(),
            label_values: BTreeMap::new(),
            gpus_per_host: 8,
        };
        let models = models.iter().map(special).collect();
        let list = SpecialHardwareList { models, ..SpecialHardwareList::default() };
        Ok(Self { special: SpecialHardware::new(list)?, ..self })
    }

    /// Makes every decision of the schedulers about a namespace's pods a second time.
    ///
    /// # Errors
    /// When an object cannot be read as the policy code reads it.
    pub fn compare(&self, view: View<'_>) -> Result<Comparison> {
        let mut cluster = Snapshot::default();
        let mut comparison = Comparison::default();
        for event in view.in_order() {
            match event {
                WatchEvent::Node(node) => drop(cluster.nodes.insert(node.name_any(), node)),
                WatchEvent::NodeGone(node) => drop(cluster.nodes.remove(&node.name_any())),
                WatchEvent::PodGone(pod) => drop(cluster.pods.remove(&pod.name_any())),
                WatchEvent::Pod(pod) => {
                    let before = cluster.pods.get(&pod.name_any()).copied();
                    if let Some(wrong) = self.decide_again(&cluster, before, pod)? {
                        comparison.decisions += 1;
                        comparison.differences.extend(wrong);
                    }
                    cluster.pods.insert(pod.name_any(), pod);
                }
                // The scheduler asks no pool, gang or round.
                _ => {}
            }
        }
        Ok(comparison)
    }

    /// What is wrong with the decision that made `pod` out of what it was `before`, if there was one.
    fn decide_again(&self, cluster: &Snapshot<'_>, before: Option<&Pod>, pod: &Pod) -> Result<Option<Vec<String>>> {
        let (name, was_bound) = (pod.name_any(), before.and_then(bound_to));
        let differences = match (bound_to(pod), unschedulable(pod)) {
            (Some(node), _) if was_bound.is_none() => self.bound(cluster, pod, node)?,
            (None, Some(why)) if before.and_then(unschedulable) != Some(why) => self.refused(cluster, pod, why)?,
            _ => return Ok(None),
        };
        Ok(Some(differences.into_iter().map(|difference| format!("pod {name} {difference}")).collect()))
    }

    fn bound(&self, cluster: &Snapshot<'_>, pod: &Pod, node: &str) -> Result<Vec<String>> {
        let Some(chosen) = cluster.nodes.get(node) else {
            return Ok(vec![format!("was bound to {node}, which no watch has told")]);
        };
        if let Some(why) = self.refuses(pod, chosen) {
            return Ok(vec![format!("was bound to {node}, natively: {why}")]);
        }
        let Some(scores) = &self.scores else { return Ok(Vec::new()) };
        let mut best = (scores.of(&self.gpus, cluster, pod, chosen)?, node);
        let of_chosen = best.0;
        for (name, other) in &cluster.nodes {
            if cluster.upstream_allows(pod, other)? && self.refuses(pod, other).is_none() {
                best = best.max((scores.of(&self.gpus, cluster, pod, other)?, name));
            }
        }
        let (points, name) = best;
        let worse = points > of_chosen;
        Ok(worse
            .then(|| format!("was bound to {node}, natively {of_chosen:?}; {name} has {points:?}"))
            .into_iter()
            .collect())
    }

    fn refused(&self, cluster: &Snapshot<'_>, pod: &Pod, why: &str) -> Result<Vec<String>> {
        let mut differences = Vec::new();
        let mut reasons: BTreeMap<_, _> = reasons().into_iter().map(|reason| (reason, 0)).collect();
        for (name, node) in &cluster.nodes {
            match (cluster.upstream_allows(pod, node)?, self.refuses(pod, node)) {
                (true, None) => differences.push(format!("was refused, natively {name} takes it: {why}")),
                // Upstream's filters are asked first: what they refuse, ours never see.
                (true, Some(reason)) => *reasons.entry(reason).or_default() += 1,
                (false, _) => {}
            }
        }
        let wrong = reasons.into_iter().filter(|(reason, nodes)| counted(why, reason) != *nodes);
        differences.extend(wrong.map(|(reason, nodes)| format!("natively {nodes} {reason}; the modules: {why}")));
        Ok(differences)
    }

    /// Why a filter of ours keeps the pod off the node, by the first that does, in the profile's order.
    fn refuses(&self, pod: &Pod, node: &Node) -> Option<String> {
        let (pod, node) = (SeenPod(pod), SeenNode(node));
        let by_gpu = self.gpus.judge(&pod, &node).err().map(|why| why.to_string());
        by_gpu.or_else(|| self.special.judge(&pod, &node).err().map(|why| why.to_string()))
    }
}

/// The reasons that a filter of ours may give and that name no pod.
fn reasons() -> [String; 4] {
    use gpu::Refusal::{KeptForGpuPods, NoGpuHost};
    use sku::Refusal::{KeptForPodsThatNameIt, OtherModel};
    [NoGpuHost.to_string(), KeptForGpuPods.to_string(), KeptForPodsThatNameIt.to_string(), OtherModel.to_string()]
}

/// The list of `scheduler-config/`.
fn special_hardware() -> Result<SpecialHardware> {
    let file = Checkout::find()?.root().join("scheduler-config/special-hardware.yaml");
    let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let map: ConfigMap = serde_saphyr::from_str(&text).with_context(|| format!("understand {}", file.display()))?;
    let lists = map.data.unwrap_or_default();
    let list = lists.values().next().context("the ConfigMap of special hardware is empty")?;
    Ok(SpecialHardware::new(serde_json::from_str(list)?)?)
}

/// For how many nodes kube-scheduler's message gives this reason: it writes `12 node(s) had no GPUs`.
fn counted(message: &str, reason: &str) -> usize {
    let Some((before, _)) = message.split_once(&format!(" {reason}")) else { return 0 };
    before.rsplit(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_counted_as_the_message_says() {
        let message = "0/14 nodes are available: 12 node(s) had no GPUs, 2 Insufficient cpu. preemption: none";
        assert_eq!(counted(message, "node(s) had no GPUs"), 12);
        assert_eq!(counted(message, "Insufficient cpu"), 2);
        assert_eq!(counted(message, "node(s) had GPUs"), 0);
    }
}
