//! The figures of pools, of the cluster and of what waits, as metrics.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use weir_api::metrics as names_of;
use weir_model::{Amount, Dim, PoolId};
use weir_queue::Queue;

use super::pools::dims_of;
use super::view::View;
use crate::convert::is_milli;
use crate::metrics::{Metrics, PoolName};

/// Sets the figures anew; what is gone loses its series.
pub(super) fn report(view: &View<'_>, metrics: &Metrics) {
    metrics.forget_figures();
    report_pending(view, metrics);
    report_amounts(view.queue, metrics);
}

fn report_pending(view: &View<'_>, metrics: &Metrics) {
    let pools: BTreeSet<String> = view.pools.iter().map(|pool| pool.name_any()).collect();
    let mut pending: BTreeMap<(PoolName<'_>, &str), i64> = BTreeMap::new();
    for (_, state) in view.pods.iter().filter(|(_, state)| state.waits()) {
        if let Some(standing) = state.admitted.as_ref().filter(|standing| !standing.reason.is_empty()) {
            let pool = PoolName::of(&state.pool, |name| pools.contains(name));
            *pending.entry((pool, &standing.reason)).or_default() += 1;
        }
    }
    for ((pool, reason), pods) in pending {
        metrics.pending(pool, reason, pods);
    }
}

fn report_amounts(queue: &Queue, metrics: &Metrics) {
    let (tree, dims) = (queue.pools().0, queue.dimensions());
    let [reservation, limit, entitlement, usage, demand, borrowed] =
        [0, 1, 2, 3, 4, 5].map(|at| names_of::POOL_STATES[at]);
    let [capacity, allocated, waits, unmanaged] = [0, 1, 2, 3].map(|at| names_of::CLUSTER_STATES[at]);
    let named = named_dims(queue);
    for pool in tree.iter() {
        let (name, parent) = (tree.name(pool), tree.parent(pool).map_or("", |parent| tree.name(parent)));
        for dim in dims_of(queue, pool).into_iter().filter(|dim| named.contains(dim)) {
            let (dim_name, standing) = (dims.name(dim), queue.standing(pool, dim));
            let value = |amount: Amount| in_units(dim_name, amount);
            if pool == PoolId::ROOT {
                metrics.cluster(dim_name, capacity, value(queue.entitlements().capacity(dim)));
                metrics.cluster(dim_name, allocated, value(standing.usage));
                metrics.cluster(dim_name, waits, value(standing.demand));
                metrics.cluster(dim_name, unmanaged, value(queue.unmanaged_use(dim)));
                continue;
            }
            let spec = tree.spec(pool, dim, dims);
            let trace = queue.entitlements().trace(pool, dim);
            metrics.pool(name, parent, dim_name, reservation, value(spec.reservation));
            if let Some(amount) = spec.limit {
                metrics.pool(name, parent, dim_name, limit, value(amount));
            }
            metrics.pool(name, parent, dim_name, entitlement, value(trace.entitlement));
            metrics.pool(name, parent, dim_name, borrowed, value(trace.borrowed));
            metrics.pool(name, parent, dim_name, usage, value(standing.usage));
            metrics.pool(name, parent, dim_name, demand, value(standing.demand));
        }
    }
}

/// The dimensions that nodes have or administrators wrote into pools. Others are invented by the pods that ask for
/// them; they show in the status of the pool while such a pod waits, and in no label.
fn named_dims(queue: &Queue) -> BTreeSet<Dim> {
    let tree = queue.pools().0;
    let written = tree.iter().flat_map(|pool| tree.resources(pool).iter().map(|&(dim, _)| dim));
    let had = queue.dimensions().iter().filter(|&dim| !queue.entitlements().capacity(dim).is_zero());
    written.chain(had).collect()
}

/// An amount in the unit that metrics have: cores, bytes, pieces.
fn in_units(dim: &str, amount: Amount) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a metric is a float; nothing is decided by it")]
    let units = amount.units() as f64;
    if is_milli(dim) { units / 1000.0 } else { units }
}
