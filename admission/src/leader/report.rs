//! How things stand: the status of pools and the figures of metrics; the objects of gangs are next door.
//!
//! Written at most once a second and only what changed, behind the gates and the words on pods.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use weir_api::gang::DecidedOn;
use weir_api::pool::{Lender as Lends, PoolResourceStatus, ResourcePool, ResourcePoolStatus, Summary, Trace};
use weir_api::{metrics as names_of, names};
use weir_entitlement::{CappedBy, Lender};
use weir_model::{Amount, Dim, PoolId};
use weir_queue::{Queue, Time};

use super::{Term, WriteResult};
use crate::client::Outcome;
use crate::convert::{is_milli, moment, written};
use crate::metrics::PoolName;

/// How often figures are written at most.
const EVERY: Duration = Duration::from_secs(1);

/// What was reported and what is to be.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Pools that say something that cannot be read, with the sentence.
    pub(super) invalid: BTreeMap<String, String>,
    over: BTreeMap<(String, String), Time>,
    touched: BTreeSet<(String, String)>,
    pools: HashMap<String, ResourcePoolStatus>,
    /// What was wrong with pools when they were looked at last: conditions and reasons.
    pub(super) attention: HashMap<String, BTreeSet<(String, String)>>,
    /// What was written of gangs.
    pub(super) gangs: HashMap<(String, String), serde_json::Value>,
    /// What gangs were admitted on, until it is written.
    pub(super) decided: HashMap<(String, String), DecidedOn>,
    last: Time,
    /// The second up to which numbers on pods were refreshed.
    pub(super) refreshed: u64,
}

impl Report {
    /// A gang changed.
    pub(super) fn touch(&mut self, gang: Option<&(String, String)>) {
        self.touched.extend(gang.cloned());
    }

    /// Since when a pool is above its entitlement while somebody waits for it.
    pub(super) fn over(&mut self, pool: String, dim: String, since: Option<Time>) {
        match since {
            Some(since) => drop(self.over.insert((pool, dim), since)),
            None => drop(self.over.remove(&(pool, dim))),
        }
    }
}

/// How many pods of a pool wait and how many were admitted, pools below included.
type Counts = HashMap<String, (i64, i64)>;

impl Term<'_> {
    /// Writes what changed since the last time, at most once a second.
    pub(super) fn report_figures(&mut self, now: Time) {
        if now.since(self.report.last) < EVERY {
            return;
        }
        self.report.last = now;
        self.refresh_messages(now);
        let counts = self.count_pods();
        self.report_metrics();
        let over = self.over_reserved();
        for object in self.context.caches.pools() {
            let name = object.name_any();
            let conditions = self.pool_conditions(&object, over.get(&name), now);
            self.report_pool_problems(&object, &conditions);
            let status = self.pool_status(&object, &counts, conditions);
            let used = status.pending + status.admitted > 0;
            self.hold_on_to(&object, used);
            if self.report.pools.get(&name) != Some(&status) {
                self.report.pools.insert(name.clone(), status.clone());
                let pools: Api<ResourcePool> = Api::all(self.context.client.clone());
                self.spawn(async move {
                    let patch = Patch::Merge(json!({ "status": status }));
                    let written = pools.patch_status(&name, &PatchParams::default(), &patch).await;
                    WriteResult::Pool(name, outcome(written.map(drop)))
                });
            }
        }
        for gang in std::mem::take(&mut self.report.touched) {
            self.report_gang(gang);
        }
    }

    /// What was not written is written again.
    pub(super) fn not_written(&mut self, pool: Option<&str>, gang: Option<&(String, String)>) {
        pool.map(|pool| self.report.pools.remove(pool));
        if let Some(gang) = gang {
            self.report.gangs.remove(gang);
            self.report.touched.insert(gang.clone());
        }
    }

    fn count_pods(&self) -> Counts {
        let mut counts = Counts::new();
        let mut reasons: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        let tree = self.queue.pools().0;
        for (_, known) in self.pods.iter() {
            if known.waits {
                let reason = known.told.as_ref().map_or("", |(_, reason)| reason.as_str());
                *reasons.entry((&known.pool, reason)).or_default() += 1;
            }
            let Some(leaf) = tree.find(&known.pool) else { continue };
            for pool in tree.path(leaf) {
                let count = counts.entry(tree.name(pool).to_owned()).or_default();
                if known.waits { count.0 += 1 } else { count.1 += 1 }
            }
        }
        self.context.metrics.forget_figures();
        let mut pending: BTreeMap<(PoolName<'_>, &str), i64> = BTreeMap::new();
        for ((pool, reason), pods) in reasons.into_iter().filter(|((_, reason), _)| !reason.is_empty()) {
            *pending.entry((self.pool_name(pool), reason)).or_default() += pods;
        }
        for ((pool, reason), pods) in pending {
            self.context.metrics.pending(pool, reason, pods);
        }
        counts
    }

    /// A pool as metrics name it.
    pub(super) fn pool_name<'p>(&self, pool: &'p str) -> PoolName<'p> {
        PoolName::of(pool, |pool| self.context.caches.pool(pool).is_some())
    }

    fn report_metrics(&self) {
        let (queue, metrics) = (&self.queue, &self.context.metrics);
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

    fn pool_status(&self, object: &ResourcePool, counts: &Counts, conditions: Vec<Condition>) -> ResourcePoolStatus {
        let tree = self.queue.pools().0;
        let name = object.name_any();
        let (pending, admitted) = counts.get(&name).copied().unwrap_or_default();
        let pool = tree.find(&name);
        let resources: Vec<_> = pool.map(|pool| self.resources(pool)).unwrap_or_default();
        let summary = pool.map(|pool| self.summary(pool));
        let observed_generation = object.metadata.generation;
        ResourcePoolStatus { observed_generation, conditions, resources, pending, admitted, summary }
    }

    fn resources(&self, pool: PoolId) -> Vec<PoolResourceStatus> {
        let queue = &self.queue;
        let (tree, dims) = (queue.pools().0, queue.dimensions());
        let one = |dim: Dim| {
            let (name, standing) = (dims.name(dim), queue.standing(pool, dim));
            let trace = queue.entitlements().trace(pool, dim);
            let lenders = queue.entitlements().lenders(pool, dim);
            let borrowed_from = lenders.iter().filter_map(|lent| match lent.lender {
                Lender::Pool(pool) => {
                    Some(Lends { pool: tree.name(pool).to_owned(), amount: written(name, lent.amount) })
                }
                Lender::Unreserved => None,
            });
            let over = self.report.over.get(&(tree.name(pool).to_owned(), name.to_owned()));
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

    fn summary(&self, pool: PoolId) -> Summary {
        let queue = &self.queue;
        let (tree, dims) = (queue.pools().0, queue.dimensions());
        let line = |figure: &dyn Fn(Dim) -> Amount| {
            let parts = dims_of(queue, pool).into_iter().filter_map(|dim| {
                let (name, amount) = (dims.name(dim), figure(dim));
                (!amount.is_zero())
                    .then(|| format!("{} {}", name.rsplit('/').next().unwrap_or(name), short(name, amount)))
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

    /// A pool that pods are in does not vanish under them (A12).
    fn hold_on_to(&self, object: &ResourcePool, used: bool) {
        let held = object.finalizers().iter().any(|finalizer| finalizer == names::POOL_FINALIZER);
        if held == used || (object.metadata.deletion_timestamp.is_some() && !held) {
            return;
        }
        let mut finalizers: Vec<_> = object.finalizers().iter().filter(|one| *one != names::POOL_FINALIZER).collect();
        let ours = names::POOL_FINALIZER.to_owned();
        finalizers.extend(used.then_some(&ours));
        let body = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": object.resource_version() } });
        let (pools, name) = (Api::<ResourcePool>::all(self.context.client.clone()), object.name_any());
        self.spawn(async move {
            match pools.patch(&name, &PatchParams::default(), &Patch::Merge(body)).await {
                // Somebody wrote in between; the next look decides anew.
                Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {
                    WriteResult::Other(Outcome::Done)
                }
                other => WriteResult::Other(outcome(other.map(drop))),
            }
        });
    }
}

/// The dimensions that a pool lists, uses or waits for.
fn dims_of(queue: &Queue, pool: PoolId) -> Vec<Dim> {
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

/// The dimensions that nodes have or administrators wrote into pools. Others are invented by whoever asks for
/// them; they show in the status of the pool while it waits, and in no label.
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

/// An amount in few characters, for a column: memory in Gi, large numbers as they are.
fn short(dim: &str, amount: Amount) -> String {
    const GI: i64 = 1 << 30;
    let bytes = ["memory", "storage"].iter().any(|word| dim.contains(word));
    match bytes && amount.units() >= GI {
        true => format!("{}Gi", amount.units() / GI),
        false => written(dim, amount).0,
    }
}

fn capped(by: CappedBy) -> &'static str {
    match by {
        CappedBy::Limit => "its limit",
        CappedBy::Share => "its share of 0: it never has more than its reservation",
        CappedBy::Children => "the caps of its children",
        CappedBy::Requirement => "nothing: it has all that it asks for",
        CappedBy::Parent => "the pool above, which has no more to give",
    }
}

/// What came of a write to an object.
pub(super) fn outcome(result: kube::Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(kube::Error::Api(status)) if status.code == 404 => Outcome::Gone,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}
