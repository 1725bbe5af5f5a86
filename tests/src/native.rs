//! The policy code, asked natively about what the modules decided in the scheduler.
//!
//! The watch's history is walked in order. When a pod was bound, the filters have to let it run on that node,
//! and among the nodes that were possible then no other may have a better score. When a pod was refused, no
//! node may have been possible, and each reason that a filter of ours gives has to be counted for as many
//! nodes as the scheduler's message counts. So every decision of a module is made a second time, by the same
//! code in another world: typed objects and no WebAssembly.

mod view;
mod world;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt as _;
use weir_placement::gpu::{self, GpuNames};

use crate::history::{Record, Told, bound_to, refusal};
use crate::objects::GPU;
use view::{SeenNode, SeenPod};
use world::World;

/// The rules as a scheduler is configured to follow them.
pub struct Native {
    gpus: GpuNames,
}

impl Native {
    /// As it is shipped.
    ///
    /// # Errors
    /// When the settings are refused, as the modules would refuse them.
    pub fn shipped() -> Result<Self> {
        let labels = ["gpu-node-label-model", "nvidia.com/gpu.product"].map(str::to_owned);
        Ok(Self { gpus: GpuNames::new(vec![GPU.to_owned()], labels.into())? })
    }

    /// Where what the schedulers decided is not what the policy code says, one sentence each.
    ///
    /// # Errors
    /// When an object cannot be read as the policy code reads it.
    pub fn differences(&self, record: &Record) -> Result<Vec<String>> {
        let mut world = World::default();
        let mut differences = Vec::new();
        for told in record.in_order() {
            match told {
                Told::Node(node) => drop(world.nodes.insert(node.name_any(), node)),
                Told::NodeGone(node) => drop(world.nodes.remove(&node.name_any())),
                Told::PodGone(pod) => drop(world.pods.remove(&pod.name_any())),
                Told::Pod(pod) => {
                    let before = world.pods.get(&pod.name_any()).copied();
                    differences.extend(self.compare(&world, before, pod)?);
                    world.pods.insert(pod.name_any(), pod);
                }
            }
        }
        Ok(differences)
    }

    /// What is wrong with the decision that made `pod` out of what it was `before`, if there was one.
    fn compare(&self, world: &World<'_>, before: Option<&Pod>, pod: &Pod) -> Result<Vec<String>> {
        let (name, was_bound) = (pod.name_any(), before.and_then(bound_to));
        let differences = match (bound_to(pod), refusal(pod)) {
            (Some(node), _) if was_bound.is_none() => self.bound(world, pod, node)?,
            (None, Some(why)) if before.and_then(refusal) != Some(why) => self.refused(world, pod, why)?,
            _ => Vec::new(),
        };
        Ok(differences.into_iter().map(|difference| format!("pod {name} {difference}")).collect())
    }

    fn bound(&self, world: &World<'_>, pod: &Pod, node: &str) -> Result<Vec<String>> {
        let Some(chosen) = world.nodes.get(node) else {
            return Ok(vec![format!("was bound to {node}, which nobody has seen")]);
        };
        let refused = self.refuses(pod, chosen).map(|why| format!("was bound to {node}, natively: {why}"));
        Ok(refused.into_iter().collect())
    }

    fn refused(&self, world: &World<'_>, pod: &Pod, why: &str) -> Result<Vec<String>> {
        let mut differences = Vec::new();
        let mut reasons = std::collections::BTreeMap::<String, usize>::new();
        for reason in self.reasons() {
            reasons.insert(reason, 0);
        }
        for (name, node) in &world.nodes {
            match (world.upstream_allows(pod, node)?, self.refuses(pod, node)) {
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

    /// Why a filter of ours keeps the pod off the node, by the first that does.
    fn refuses(&self, pod: &Pod, node: &Node) -> Option<String> {
        self.gpus.judge(&SeenPod(pod), &SeenNode(node)).err().map(|why| why.to_string())
    }

    /// Every reason that a filter of ours may give.
    fn reasons(&self) -> Vec<String> {
        [gpu::Refusal::NoGpuHost, gpu::Refusal::KeptForGpuPods].map(|why| why.to_string()).into()
    }
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
