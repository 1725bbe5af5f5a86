//! What the entitlements of a round follow from, as a document that `weir entitlement --tree` reads.
//!
//! It stands beside the round that was decided on it, so that the same figures can be computed again.

use serde_json::{Map, Value, json};
use weir_api::round::MAX_INPUTS;
use weir_entitlement::Input;
use weir_model::{Amount, Dim, PoolId, ResourceKind, ResourceSpec};
use weir_queue::Queue;

/// The inputs of the last step's entitlements; none where they are too large to stand beside the round.
pub(super) fn entitlement_document(queue: &Queue) -> Option<String> {
    let tree = queue.pools().0;
    let Input { capacity, usage, non_preemptible, demand } = queue.inputs();
    let column = |amount: &dyn Fn(Dim) -> Amount| {
        let dims = queue.dimensions();
        let parts = dims.iter().filter_map(|dim| {
            let amount = amount(dim);
            (!amount.is_zero()).then(|| (dims.name(dim).to_owned(), json!(amount.units())))
        });
        Value::Object(parts.collect())
    };
    let pool = |pool: PoolId| {
        let resources = tree.resources(pool).iter();
        let resources: Map<_, _> =
            resources.map(|(dim, spec)| (queue.dimensions().name(*dim).to_owned(), terms(spec))).collect();
        let mut entry = json!({ "name": tree.name(pool), "resources": resources });
        if let Some(parent) = tree.parent(pool).filter(|&parent| parent != PoolId::ROOT) {
            entry["parent"] = tree.name(parent).into();
        }
        if tree.is_leaf(pool) {
            entry["usage"] = column(&|dim| usage.amount(pool, dim));
            entry["nonPreemptibleUsage"] = column(&|dim| non_preemptible.amount(pool, dim));
            entry["demand"] = column(&|dim| demand.amount(pool, dim));
        }
        entry
    };
    let pools: Vec<Value> = tree.iter().filter(|&at| at != PoolId::ROOT).map(pool).collect();
    let document = json!({ "capacity": column(&|dim| capacity.amount(dim)), "pools": pools }).to_string();
    (u64::try_from(document.len()).ok()? <= MAX_INPUTS).then_some(document)
}

fn terms(spec: &ResourceSpec) -> Value {
    let ResourceSpec { reservation, limit, share, kind } = spec;
    let kind = match kind {
        ResourceKind::Elastic => "Elastic",
        ResourceKind::Static => "Static",
    };
    let mut terms = json!({ "reservation": reservation.units(), "share": share, "kind": kind });
    if let Some(limit) = limit {
        terms["limit"] = limit.units().into();
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::convert::hosts::Rules;
    use crate::watch::hardware;
    use weir_queue::{Event, Node, PoolConfig, Time};

    /// ```text
    /// cluster      8 GPUs
    /// └─ org       reserves 6, at most 7
    ///    └─ labs
    /// ```
    #[test]
    fn the_document_has_what_the_entitlements_were_divided_by() {
        let gpu = "nvidia.com/gpu";
        let rules = Rules::new(&Config::default(), hardware::none("gpu-node-label-model").unwrap()).unwrap();
        let mut queue = Queue::new(rules.hosts(), weir_queue::Config::default());
        let allocatable = [(gpu.to_owned(), Amount::new(8)), ("pods".to_owned(), Amount::new(9))].into();
        let capacity = [(gpu.to_owned(), Amount::new(8))].into();
        let node = Node { name: "n".into(), allocatable, capacity, ..Node::default() };
        let spec =
            ResourceSpec { reservation: Amount::new(6), limit: Some(Amount::new(7)), ..ResourceSpec::unlisted(1) };
        let org = PoolConfig { name: "org".into(), resources: vec![(gpu.into(), spec)], ..PoolConfig::default() };
        let labs = PoolConfig { name: "labs".into(), parent: Some("org".into()), ..PoolConfig::default() };
        queue.step(Time::from_millis(1), [Event::Node(node), Event::Pools(vec![org, labs])]);
        let document: Value = serde_json::from_str(&entitlement_document(&queue).unwrap()).unwrap();
        let expected = json!({ "capacity": { "nvidia.com/gpu": 8 }, "pools": [
            { "name": "org", "resources": { "nvidia.com/gpu":
                { "reservation": 6, "limit": 7, "share": 1, "kind": "Elastic" } } },
            { "name": "labs", "parent": "org", "resources": {}, "usage": {}, "nonPreemptibleUsage": {}, "demand": {} },
        ] });
        assert_eq!(document, expected);
    }
}
