//! The tree of pools that fits a run's nodes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use weir_api::names;
use weir_api::pool::{PoolDefaults, PoolResource, ResourcePool, ResourcePoolSpec};
use weir_model::dimension::{CPU, GPU, MEMORY, SKU_PREFIX};
use weir_simulator::openb::TraceNode;

use super::leaves::{LEAVES, Leaf, SPECIAL, Use};

/// No limit is below this many GPUs, or there would be pods and gangs that could never run in a small cluster.
const LEAST_LIMIT: i64 = 32;

/// The pools that these nodes are divided into; the root is the cluster and has no object.
#[must_use]
pub(crate) fn tree(nodes: &[TraceNode]) -> Vec<ResourcePool> {
    let mut pools: Vec<ResourcePool> = Vec::new();
    for leaf in &LEAVES {
        if pools.iter().all(|pool| pool.metadata.name.as_deref() != Some(leaf.organisation)) {
            let children: Vec<&Leaf> = LEAVES.iter().filter(|other| other.organisation == leaf.organisation).collect();
            pools.push(ResourcePool::new(leaf.organisation, organisation(&children, nodes)));
        }
        let research = leaf.use_ == Use::Research;
        let defaults = PoolDefaults {
            preemptible: Some(research),
            // What comes as a Ray cluster comes as a gang.
            gang_by: research.then(|| names::RAY_CLUSTER.to_owned()),
            ..PoolDefaults::default()
        };
        let spec = ResourcePoolSpec {
            parent: Some(leaf.organisation.to_owned()),
            defaults: Some(defaults),
            resources: limited(leaf, nodes, resources(&reserved_by(leaf, nodes))),
            ..ResourcePoolSpec::default()
        };
        pools.push(ResourcePool::new(leaf.name, spec));
    }
    pools
}

/// An inner pool reserves what its children reserve.
fn organisation(children: &[&Leaf], nodes: &[TraceNode]) -> ResourcePoolSpec {
    let mut sum = Reserved::new();
    for (name, units) in children.iter().flat_map(|leaf| reserved_by(leaf, nodes)) {
        *sum.entry(name).or_default() += units;
    }
    ResourcePoolSpec { resources: resources(&sum), ..ResourcePoolSpec::default() }
}

/// Whole units of quantities by dimension: milli-CPU, MiB, devices.
type Reserved = BTreeMap<String, i64>;

/// What a leaf reserves of these nodes.
fn reserved_by(leaf: &Leaf, nodes: &[TraceNode]) -> Reserved {
    let special = |model: &str| SPECIAL.iter().any(|(_, special)| *special == model);
    let mut reserved = Reserved::new();
    for node in nodes {
        let Some(model) = node.model.as_deref().filter(|_| node.gpus > 0) else {
            *reserved.entry(CPU.to_owned()).or_default() += node.cpu_milli * leaf.reserved;
            *reserved.entry(MEMORY.to_owned()).or_default() += node.memory_mib * leaf.reserved;
            continue;
        };
        if !special(model) {
            *reserved.entry(GPU.to_owned()).or_default() += node.gpus * leaf.reserved;
        } else if SPECIAL.contains(&(leaf.organisation, model)) {
            *reserved.entry(format!("{SKU_PREFIX}{model}")).or_default() += node.gpus * leaf.of_special;
        }
    }
    reserved.into_iter().map(|(name, hundredths)| (name, hundredths / 100)).collect()
}

fn resources(reserved: &Reserved) -> Vec<PoolResource> {
    let resource = |(name, units): (&String, &i64)| {
        let text = match name.as_str() {
            CPU => format!("{units}m"),
            MEMORY => format!("{units}Mi"),
            _ => units.to_string(),
        };
        PoolResource { name: name.clone(), reservation: Some(Quantity(text)), ..PoolResource::default() }
    };
    reserved.iter().map(resource).collect()
}

/// Bounds what a leaf may borrow, where it is bounded.
fn limited(leaf: &Leaf, nodes: &[TraceNode], mut resources: Vec<PoolResource>) -> Vec<PoolResource> {
    let general = |node: &&TraceNode| !SPECIAL.iter().any(|(_, special)| node.model.as_deref() == Some(*special));
    let gpus: i64 = nodes.iter().filter(general).map(|node| node.gpus).sum();
    if let (Some(hundredths), Some(gpu)) = (leaf.at_most, resources.iter_mut().find(|it| it.name == GPU)) {
        gpu.limit = Some(Quantity((gpus * hundredths / 100).max(LEAST_LIMIT).to_string()));
    }
    resources
}

#[cfg(test)]
mod tests {
    use weir_model::Quantity as Parsed;
    use weir_simulator::openb::{folder, read_nodes};

    use super::*;

    fn nodes() -> Vec<TraceNode> {
        read_nodes(&folder().join("openb_node_list_all_node.csv")).unwrap()
    }

    fn reserved(pools: &[ResourcePool], pool: &str, dimension: &str) -> i64 {
        let pool = pools.iter().find(|it| it.metadata.name.as_deref() == Some(pool)).unwrap();
        let listed = pool.spec.resources.iter().find(|resource| resource.name == dimension);
        let text = listed.and_then(|resource| resource.reservation.clone()).map_or("0".to_owned(), |it| it.0);
        Parsed::parse(&text).unwrap().amount(dimension).units()
    }

    #[test]
    fn reservations_fit_the_nodes_and_children_fit_their_parent() {
        let pools = tree(&nodes());
        assert_eq!(pools.len(), 9);
        // 5696 general GPUs, 312 `G3`, 204 `V100M32`, 18,496 cores of CPU hosts
        let of = |pool: &str, dimension: &str| reserved(&pools, pool, dimension);
        assert_eq!(["vision", "speech", "ranking"].map(|pool| of(pool, "nvidia.com/gpu")), [2847, 1708, 568]);
        assert_eq!([of("vision-production", "nvidia.com/gpu"), of("vision-research", "nvidia.com/gpu")], [1708, 1139]);
        assert_eq!([of("vision", "sku.weir.dev/G3"), of("speech", "sku.weir.dev/V100M32")], [312, 203]);
        assert_eq!(of("speech", "cpu"), 5_548_800);
        assert_eq!(of("ranking", "sku.weir.dev/G3"), 0);
        let research = pools.iter().find(|pool| pool.metadata.name.as_deref() == Some("ranking-research")).unwrap();
        let limits: Vec<_> =
            research.spec.resources.iter().filter_map(|it| it.limit.as_ref().map(|at| &*at.0)).collect();
        assert_eq!((limits, of("ranking-research", "nvidia.com/gpu")), (vec!["227"], 170));
    }

    #[test]
    fn a_smaller_cluster_reserves_less_and_one_without_a_model_reserves_none_of_it() {
        let few: Vec<TraceNode> =
            nodes().into_iter().filter(|node| node.model.as_deref() != Some("G3")).take(400).collect();
        let pools = tree(&few);
        assert_eq!(reserved(&pools, "vision", "sku.weir.dev/G3"), 0);
        let gpus: i64 = few.iter().filter(|node| node.model.as_deref() != Some("V100M32")).map(|node| node.gpus).sum();
        let all: i64 =
            ["vision", "speech", "ranking"].map(|pool| reserved(&pools, pool, "nvidia.com/gpu")).iter().sum();
        assert!(all <= gpus && all * 10 >= gpus * 8, "{all} of {gpus}");
    }

    #[test]
    fn of_no_nodes_nothing_is_reserved() {
        assert!(tree(&[]).iter().all(|pool| pool.spec.resources.is_empty()));
    }
}
