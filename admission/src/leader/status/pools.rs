//! The status of a pool: its figures, a summary of them for columns, and whether it is held on to.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use weir_api::names;
use weir_api::pool::{Lender as Lends, PoolResourceStatus, ResourcePool, ResourcePoolStatus, Summary, Trace};
use weir_entitlement::{CappedBy, Lender};
use weir_model::{Amount, Dim, PoolId};
use weir_queue::{Queue, Time};

use super::view::{OverIn, View};
use crate::client::FinalizerWrite;
use crate::convert::{moment, written};

/// How many pods of a pool wait and how many were admitted, pools below included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    waiting: i64,
    admitted: i64,
}

/// The pods of each pool and its ancestors.
pub(super) fn count(view: &View<'_>) -> HashMap<String, Count> {
    let mut counts: HashMap<String, Count> = HashMap::new();
    let tree = view.queue.pools().0;
    for (_, state) in view.pods.iter() {
        let Some(leaf) = tree.find(&state.pool) else { continue };
        for pool in tree.path(leaf) {
            let count = counts.entry(tree.name(pool).to_owned()).or_default();
            if state.waits() { count.waiting += 1 } else { count.admitted += 1 }
        }
    }
    counts
}

/// The status of a pool as it is now.
pub(super) fn status(
    object: &ResourcePool,
    view: &View<'_>,
    counts: &HashMap<String, Count>,
    over: &BTreeMap<OverIn, Time>,
    conditions: Vec<Condition>,
) -> ResourcePoolStatus {
    let name = object.name_any();
    let Count { waiting, admitted } = counts.get(&name).copied().unwrap_or_default();
    let pool = view.queue.pools().0.find(&name);
    let resources: Vec<_> = pool.map(|pool| resources(view.queue, pool, over)).unwrap_or_default();
    ResourcePoolStatus {
        observed_generation: object.metadata.generation,
        conditions,
        resources,
        pending: waiting,
        admitted,
        summary: pool.map(|pool| summary(view.queue, pool)),
    }
}

fn resources(queue: &Queue, pool: PoolId, over: &BTreeMap<OverIn, Time>) -> Vec<PoolResourceStatus> {
    let (tree, dims) = (queue.pools().0, queue.dimensions());
    let one = |dim: Dim| {
        let (name, standing) = (dims.name(dim), queue.standing(pool, dim));
        let trace = queue.entitlements().trace(pool, dim);
        let lenders = queue.entitlements().lenders(pool, dim);
        let borrowed_from = lenders.iter().filter_map(|lent| match lent.lender {
            Lender::Pool(pool) => Some(Lends { pool: tree.name(pool).to_owned(), amount: written(name, lent.amount) }),
            Lender::Unreserved => None,
        });
        let over = over.get(&OverIn { pool: tree.name(pool).to_owned(), dim: name.to_owned() });
        PoolResourceStatus {
            name: name.to_owned(),
            entitlement: written(name, trace.entitlement),
            usage: written(name, standing.usage),
            demand: written(name, standing.demand),
            borrowed: written(name, trace.borrowed),
            trace: Some(Trace {
                non_preemptible: written(name, trace.non_preemptible),
                from_reservation: written(name, trace.from_reservation),
                borrowed: written(name, trace.borrowed),
                spread: written(name, trace.spread),
                borrowed_from: borrowed_from.collect(),
                capped_by: Some(capped(trace.capped_by).to_owned()),
            }),
            over_since: over.map(|&since| moment(since)),
        }
    };
    dims_of(queue, pool).into_iter().map(one).collect()
}

fn summary(queue: &Queue, pool: PoolId) -> Summary {
    let (tree, dims) = (queue.pools().0, queue.dimensions());
    let line = |figure: &dyn Fn(Dim) -> Amount| {
        let parts = dims_of(queue, pool).into_iter().filter_map(|dim| {
            let (name, amount) = (dims.name(dim), figure(dim));
            (!amount.is_zero()).then(|| format!("{} {}", name.rsplit('/').next().unwrap_or(name), short(name, amount)))
        });
        parts.collect::<Vec<_>>().join(", ")
    };
    Summary {
        reserved: line(&|dim| tree.spec(pool, dim, dims).reservation),
        entitled: line(&|dim| queue.entitlements().amount(pool, dim)),
        used: line(&|dim| queue.standing(pool, dim).usage),
        demand: line(&|dim| queue.standing(pool, dim).demand),
    }
}

/// The finalizers that a pool should have, where they differ: one that pods are in does not vanish under them (A12).
pub(super) fn hold_on_to(object: &ResourcePool, used: bool) -> Option<FinalizerWrite> {
    let held = object.finalizers().iter().any(|finalizer| finalizer == names::POOL_FINALIZER);
    if held == used || (object.metadata.deletion_timestamp.is_some() && !held) {
        return None;
    }
    let others = object.finalizers().iter().filter(|one| *one != names::POOL_FINALIZER).cloned();
    let finalizers = others.chain(used.then(|| names::POOL_FINALIZER.to_owned())).collect();
    Some(FinalizerWrite { pool: object.name_any(), finalizers, version: object.resource_version() })
}

/// The dimensions that a pool lists, uses or waits for.
pub(super) fn dims_of(queue: &Queue, pool: PoolId) -> Vec<Dim> {
    let (tree, dims) = (queue.pools().0, queue.dimensions());
    let speaks = |dim: &Dim| {
        let standing = queue.standing(pool, *dim);
        let counts = !standing.usage.is_zero() || !standing.demand.is_zero();
        counts
            || tree.listed(pool, *dim).is_some()
            || (pool == PoolId::ROOT && !queue.entitlements().capacity(*dim).is_zero())
            || (pool == PoolId::ROOT && !queue.unmanaged_use(*dim).is_zero())
    };
    dims.iter().filter(speaks).collect()
}

/// An amount in few characters, for a column: memory in Gi, large numbers as they are.
fn short(dim: &str, amount: Amount) -> String {
    const GI: i64 = 1 << 30;
    let bytes = ["memory", "storage"].iter().any(|word| dim.contains(word));
    match bytes && amount.units() >= GI {
        true => format!("{}Gi", amount.units() / GI),
        false => written(dim, amount).0,
    }
}

const fn capped(by: CappedBy) -> &'static str {
    match by {
        CappedBy::Limit => "its limit",
        CappedBy::Share => "its share of 0: it never has more than its reservation",
        CappedBy::Children => "the caps of its children",
        CappedBy::Requirement => "nothing: it has all that it asks for",
        CappedBy::Parent => "the pool above, which has no more to give",
    }
}
