//! What plans to evict stand on: nodes, pools and entitlements.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use weir_api::{ResourcePool, ResourcePoolSpec};
use weir_model::Quantity;

/// What plans stand on, and how often that moved.
#[derive(Clone, Debug, Default)]
pub(super) struct Ground {
    nodes: BTreeMap<String, NodeTerms>,
    pools: BTreeMap<String, PoolTerms>,
    /// How often a node or a pool's spec changed.
    all: u64,
    /// How often the entitlement of a pool fell.
    fell: BTreeMap<String, u64>,
}

/// What a node takes.
#[derive(Clone, Debug, PartialEq)]
struct NodeTerms {
    unschedulable: Option<bool>,
    taints: Option<Vec<Taint>>,
    allocatable: Option<BTreeMap<String, Written>>,
}

/// What a pool says, and what it is entitled to by dimension.
#[derive(Clone, Debug)]
struct PoolTerms {
    spec: ResourcePoolSpec,
    entitled: BTreeMap<String, Quantity>,
}

impl Ground {
    /// How often the ground under a pool's plans has moved.
    pub(super) fn moves_of(&self, pool: &str) -> u64 {
        self.all + self.fell.get(pool).copied().unwrap_or(0)
    }

    pub(super) fn node_seen(&mut self, node: &Node) {
        let (spec, status) = (node.spec.as_ref(), node.status.as_ref());
        let terms = NodeTerms {
            unschedulable: spec.and_then(|spec| spec.unschedulable),
            taints: spec.and_then(|spec| spec.taints.clone()),
            allocatable: status.and_then(|status| status.allocatable.clone()),
        };
        let before = self.nodes.insert(node.metadata.name.clone().unwrap_or_default(), terms.clone());
        self.all += u64::from(before.is_some_and(|before| before != terms));
    }

    pub(super) fn pool_seen(&mut self, pool: &ResourcePool) {
        let resources = pool.status.iter().flat_map(|status| &status.resources);
        let entitled = resources.filter_map(|one| Some((one.name.clone(), one.entitlement.0.parse().ok()?)));
        let terms = PoolTerms { spec: pool.spec.clone(), entitled: entitled.collect() };
        let name = pool.metadata.name.clone().unwrap_or_default();
        let Some(before) = self.pools.insert(name.clone(), terms.clone()) else { return };
        self.all += u64::from(before.spec != terms.spec);
        let fell = before.entitled.iter().any(|(dim, before)| terms.entitled.get(dim).is_none_or(|now| now < before));
        *self.fell.entry(name).or_default() += u64::from(fell);
    }
}
