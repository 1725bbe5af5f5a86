//! A cluster at one moment, and what upstream's own filters make of it, as far as these tests use them:
//! node selectors, required node affinity with `In`, taints that keep pods off, and whether the pod fits.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, Pod};
use kube::ResourceExt as _;
use weir_model::requests::pod_request;
use weir_model::{Amount, NodeView as _, Quantity, dimension};

use super::view::{SeenNode, SeenPod};
use crate::objects::bound_to;

/// What a pod can take of a node here.
const RESOURCES: [&str; 3] = [dimension::CPU, dimension::MEMORY, dimension::GPU];

/// Nodes and pods as the watch told of them until now, by name.
#[derive(Default)]
pub(super) struct Snapshot<'a> {
    pub(super) nodes: BTreeMap<String, &'a Node>,
    pub(super) pods: BTreeMap<String, &'a Pod>,
}

impl Snapshot<'_> {
    /// Whether upstream's filters would let the pod run on the node.
    pub(super) fn upstream_allows(&self, pod: &Pod, node: &Node) -> Result<bool> {
        if !tolerates(pod, node) || !selects(pod, node)? {
            return Ok(false);
        }
        for resource in RESOURCES {
            let wanted = pod_request(&SeenPod(pod), resource)?;
            let taken = self.requested(node, resource)? + wanted;
            if !wanted.is_zero() && taken > allocatable(node, resource)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the pods on a node request of a resource.
    pub(super) fn requested(&self, node: &Node, resource: &str) -> Result<Amount> {
        let name = node.name_any();
        let here = self.pods.values().filter(|pod| bound_to(pod) == Some(&name) && !is_over(pod));
        here.map(|pod| Ok(pod_request(&SeenPod(pod), resource)?)).sum()
    }
}

/// What a node has of a resource for pods.
pub(super) fn allocatable(node: &Node, resource: &str) -> Result<Amount> {
    let seen = SeenNode(node);
    let found = seen.allocatable().find(|(name, _)| *name == resource);
    let Some((_, text)) = found else { return Ok(Amount::ZERO) };
    Ok(Quantity::parse(text).with_context(|| format!("read {resource} of {}", node.name_any()))?.amount(resource))
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn tolerates(pod: &Pod, node: &Node) -> bool {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let mut keeping_off = taints.filter(|taint| taint.effect != "PreferNoSchedule");
    let tolerations: Vec<_> = pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten()).collect();
    keeping_off.all(|taint| tolerations.iter().any(|it| it.key.as_deref() == Some(&taint.key)))
}

fn selects(pod: &Pod, node: &Node) -> Result<bool> {
    let selector = pod.spec.iter().flat_map(|spec| spec.node_selector.iter().flatten());
    if selector.into_iter().any(|(key, value)| SeenNode(node).label(key) != Some(value)) {
        return Ok(false);
    }
    let terms = SeenPod(pod).terms();
    for term in terms {
        if matches(term, node)? {
            return Ok(true);
        }
    }
    Ok(terms.is_empty())
}

fn matches(term: &NodeSelectorTerm, node: &Node) -> Result<bool> {
    let name = node.name_any();
    let labels =
        term.match_expressions.iter().flatten().map(|it| (it, SeenNode(node).label(&it.key).map(str::to_owned)));
    let fields = term.match_fields.iter().flatten().map(|it| (it, Some(name.clone())));
    for (requirement, value) in labels.chain(fields) {
        if !is_in(requirement, value.as_deref())? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_in(requirement: &NodeSelectorRequirement, value: Option<&str>) -> Result<bool> {
    if requirement.operator != "In" {
        bail!("this model of a cluster does not know the operator {}", requirement.operator);
    }
    Ok(requirement.values.iter().flatten().any(|one| Some(one.as_str()) == value))
}
