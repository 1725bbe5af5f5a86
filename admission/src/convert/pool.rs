//! A ResourcePool object as the queue is told of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Written;
use kube::ResourceExt;
use weir_api::pool::{self as api, PoolResource, Preemption, Queueing, ResourcePool, ResourcePoolSpec};
use weir_model::{Amount, Dimensions, Quantity, ResourceKind, ResourceSpec};
use weir_queue::{PoolConfig, PoolSettings, PoolState, Strategy, WithinPool};

/// All pools as the queue is told of them, by name, and a sentence about each that cannot be read.
#[must_use]
pub fn pools(objects: &[Arc<ResourcePool>]) -> (Vec<PoolConfig>, BTreeMap<String, String>) {
    let (mut configs, mut invalid) = (Vec::new(), BTreeMap::new());
    for object in objects {
        match pool(object) {
            Ok(config) => configs.push(config),
            Err(sentence) => drop(invalid.insert(object.name_any(), sentence)),
        }
    }
    configs.sort_by(|a, b| a.name.cmp(&b.name));
    (configs, invalid)
}

/// The pool as the queue is told of it.
///
/// # Errors
/// A quantity that does not parse; the sentence names its field. The API server's schema refuses it first,
/// unless the schema was changed.
pub fn pool(object: &ResourcePool) -> Result<PoolConfig, String> {
    // Which namespaces may use the pool and its defaults are looked at pod by pod; see `convert::pod`.
    let ResourcePoolSpec {
        parent,
        state,
        defaults: _,
        max_workload,
        resources,
        queueing,
        preemption,
        namespace_selector: _,
    } = &object.spec;
    let Queueing { strategy, patience } = queueing.clone().unwrap_or_default();
    let Preemption { min_runtime, notice, max_grace_period, within_pool } = preemption.clone().unwrap_or_default();
    let fallback = PoolSettings::default();
    let resources: Result<Vec<_>, _> = resources.iter().map(resource).collect();
    Ok(PoolConfig {
        name: object.name_any(),
        parent: parent.clone(),
        resources: resources?,
        settings: PoolSettings {
            state: match state {
                // A pool that is being deleted takes nothing new; its finalizer waits for its pods to end.
                api::PoolState::Active if object.metadata.deletion_timestamp.is_some() => PoolState::Hold,
                api::PoolState::Active => PoolState::Active,
                api::PoolState::Hold => PoolState::Hold,
                api::PoolState::Drain => PoolState::Drain,
            },
            strategy: match strategy {
                api::QueueStrategy::BestEffort => Strategy::BestEffort,
                api::QueueStrategy::Strict => Strategy::Strict,
            },
            patience: patience.map_or(fallback.patience, Duration::from),
            min_runtime: min_runtime.map_or(fallback.min_runtime, Duration::from),
            notice: notice.map_or(fallback.notice, Duration::from),
            max_grace: max_grace_period.map_or(fallback.max_grace, Duration::from),
            within_pool: match within_pool {
                api::WithinPool::Never => WithinPool::Never,
                api::WithinPool::LowerPriority => WithinPool::LowerPriority,
            },
            max_workload: largest(max_workload)?,
        },
    })
}

fn resource(resource: &PoolResource) -> Result<(String, ResourceSpec), String> {
    let PoolResource { name, reservation, limit, share, kind } = resource;
    let parsed = |field: &str, written: &Option<Written>| {
        let amount = written.as_ref().map(|written| amount(name, written));
        amount.transpose().map_err(|error| format!("spec.resources[{name}].{field}: {error}"))
    };
    let mut dims = Dimensions::new();
    let dim = dims.intern(name);
    let spec = ResourceSpec {
        reservation: parsed("reservation", reservation)?.unwrap_or(Amount::ZERO),
        limit: parsed("limit", limit)?,
        share: share.map_or(dims.default_share(dim), |share| u32::try_from(share).unwrap_or(0)),
        kind: match kind {
            api::ResourceKind::Elastic => ResourceKind::Elastic,
            api::ResourceKind::Static => ResourceKind::Static,
        },
    };
    Ok((name.clone(), spec))
}

fn largest(workload: &BTreeMap<String, Written>) -> Result<Vec<(String, Amount)>, String> {
    let parsed = workload.iter().map(|(name, written)| {
        let amount = amount(name, written).map_err(|error| format!("spec.maxWorkload[{name}]: {error}"))?;
        Ok((name.clone(), amount))
    });
    parsed.collect()
}

/// A quantity in the base unit of a dimension.
fn amount(dim: &str, written: &Written) -> Result<Amount, String> {
    let unit = if super::is_milli(dim) { weir_model::dimension::CPU } else { dim };
    Quantity::parse(&written.0).map(|quantity| quantity.amount(unit)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(spec: serde_json::Value) -> Result<PoolConfig, String> {
        pool(&ResourcePool::new("research", serde_json::from_value(spec).unwrap()))
    }

    #[test]
    fn quantities_come_in_the_unit_of_their_dimension() {
        let config = read(json!({ "resources": [
            { "name": "cpu", "reservation": "1500m" }, { "name": "gpu-hosts.weir.dev/cpu", "reservation": 2 },
            { "name": "sku.weir.dev/H100", "reservation": 8, "limit": "16", "kind": "Static" },
        ] }))
        .unwrap();
        let units: Vec<_> = config.resources.iter().map(|(_, spec)| spec.reservation.units()).collect();
        assert_eq!(units, [1500, 2000, 8]);
        let shares: Vec<_> = config.resources.iter().map(|(_, spec)| spec.share).collect();
        assert_eq!(shares, [1, 1, 0], "special SKUs are not lent unless the pool says so");
        assert_eq!(config.resources[2].1.limit, Some(Amount::new(16)));
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let config = read(json!({})).unwrap();
        assert_eq!((config.settings, config.parent), (PoolSettings::default(), None));
    }

    #[test]
    fn a_quantity_that_does_not_parse_names_its_field() {
        let error = read(json!({ "resources": [{ "name": "cpu", "limit": "four" }] })).unwrap_err();
        assert!(error.starts_with("spec.resources[cpu].limit: "), "{error}");
    }
}
