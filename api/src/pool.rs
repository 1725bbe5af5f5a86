//! `ResourcePool`: one pool of the tree that divides the cluster.
//!
//! The schema checks what one object can show. Whether the parent exists, whether going up ends at the root
//! and whether children reserve more than their parent are conditions in the status: no pool is refused
//! because of what other objects, or today's capacity, happen to look like.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{self, NAME, RESOURCES};

/// What the administrator wants of a pool.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "ResourcePool",
    shortname = "rp",
    category = "weir",
    status = "ResourcePoolStatus",
    selectable = ".spec.parent",
    derive = "PartialEq",
    derive = "Default",
    doc = "A pool of the tree that divides the cluster. Pods are assigned to leaf pools by name; how many may \
           run follows from the pool's entitlement. Cluster-scoped; the root is the cluster itself and has no object.",
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("the name is mirrored to a label's value and may have at most 63 characters"),
    validation = Rule::new("!has(self.spec.parent) || self.spec.parent != self.metadata.name")
        .message("spec.parent: a pool cannot hang under itself; name another pool, or none for the cluster"),
    printcolumn(name = "Parent", type_ = "string", json_path = ".spec.parent"),
    printcolumn(name = "Reserved", type_ = "string", json_path = ".status.summary.reserved"),
    printcolumn(name = "Entitled", type_ = "string", json_path = ".status.summary.entitled"),
    printcolumn(name = "Used", type_ = "string", json_path = ".status.summary.used"),
    printcolumn(name = "Demand", type_ = "string", json_path = ".status.summary.demand"),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.pending"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
pub struct ResourcePoolSpec {
    /// The pool above; left out for a pool directly under the cluster. Moving a pool evicts no pod for the
    /// length of the reclaim hysteresis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME))]
    pub parent: Option<String>,
    /// Whether the pool takes new work.
    #[serde(default)]
    pub state: PoolState,
    /// What holds for pods of this pool that do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<PoolDefaults>,
    /// The largest pod or gang that may ever be admitted, by dimension; whatever is larger waits with
    /// reason `ExceedsMaxQuota`. A dimension that is not listed has no such bound.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::quantities")]
    pub max_workload: BTreeMap<String, Quantity>,
    /// What the pool is given of each dimension, each at most once. A dimension that is not listed has
    /// reservation 0, no limit and share 1 (share 0 for special SKUs).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = RESOURCES),
        extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["name"],
            "x-kubernetes-validations" = schema::limits_cover_reservations()
        )
    )]
    pub resources: Vec<PoolResource>,
    /// How the queue of this pool is worked off; leaf pools only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queueing: Option<Queueing>,
    /// How pods of this pool give way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preemption: Option<Preemption>,
    /// The namespaces whose pods may use this pool; left out: all. Pods of others wait with reason
    /// `PoolNotAllowed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// Whether a pool takes new work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PoolState {
    /// Pods are admitted.
    #[default]
    Active,
    /// Nothing new is admitted; what runs goes on.
    Hold,
    /// As Hold, and preemptible pods are evicted, a few at a time; the others run to their end.
    Drain,
}

/// What holds for pods of a pool that do not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolDefaults {
    /// Whether such a pod may be taken away to bring the pool back to its entitlement. Left out: the
    /// namespace's default, or else no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preemptible: Option<bool>,
    /// The PriorityClass of such a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// A label key: pods of one namespace and owner that share its value are one gang if they announce a size.
    /// With `ray.io/cluster` the pods of a RayCluster are one that announce nothing: it has the size that the
    /// RayCluster says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 316))]
    pub gang_by: Option<String>,
}

/// What a pool is given of one dimension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolResource {
    /// The dimension: `cpu`, `memory` and `ephemeral-storage` of CPU hosts, `nvidia.com/gpu`,
    /// `gpu-hosts.weir.dev/cpu`, `sku.weir.dev/MODEL`, or any extended resource.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// What the pool is guaranteed; 0 when left out. Non-preemptible pods may use no more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub reservation: Option<Quantity>,
    /// What the pool may never exceed, at least the reservation; no limit when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub limit: Option<Quantity>,
    /// The weight among siblings when the unreserved and the unused part is divided; 0 never borrows.
    /// 1 when left out, 0 for special SKUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub share: Option<i32>,
    /// Whether an unused reservation is lent.
    #[serde(default)]
    pub kind: ResourceKind,
}

/// Whether a pool lends the part of its reservation that it does not use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ResourceKind {
    /// Lends what it does not use and takes it back when it needs it.
    #[default]
    Elastic,
    /// Keeps its whole reservation whether it uses it or not.
    Static,
}

/// How the queue of a pool is worked off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queueing {
    /// Whether others may pass a head of the queue that cannot be admitted.
    #[serde(default)]
    pub strategy: QueueStrategy,
    /// How long others may pass a blocked head; from then on what is freed is kept for it. 10m when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub patience: Option<Duration>,
}

/// Whether others may pass a head of the queue that cannot be admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum QueueStrategy {
    /// Others may pass until the pool's patience ends.
    #[default]
    BestEffort,
    /// No pod passes the head of the queue.
    Strict,
}

/// How pods of a pool give way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preemption {
    /// A pod younger than this is never evicted. 0 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub min_runtime: Option<Duration>,
    /// How long before its eviction a pod is told, so that it can save its work. No notice when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub notice: Option<Duration>,
    /// The longest grace period of an evicted pod; its own counts where that is shorter. 10 minutes when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub max_grace_period: Option<Duration>,
    /// Whether a waiting pod may take the place of preemptible ones of this same pool.
    #[serde(default)]
    pub within_pool: WithinPool,
}

/// Whether a waiting pod may take the place of preemptible ones of its own pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WithinPool {
    /// Never.
    #[default]
    Never,
    /// Of those with a lower priority.
    LowerPriority,
}

/// What the sidecar observed and decided; only the sidecar writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePoolStatus {
    /// The `metadata.generation` that this status was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and `OverReserved` where children reserve more than their parent has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The figures of each dimension that the pool lists, uses or waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub resources: Vec<PoolResourceStatus>,
    /// Pods that wait for admission in this pool and below.
    #[serde(default)]
    pub pending: i64,
    /// Pods admitted in this pool and below that have not ended.
    #[serde(default)]
    pub admitted: i64,
    /// The same figures in one line each, for `kubectl get`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

/// The figures of one dimension of a pool, in the dimension's unit. Those of an inner pool are the sums of
/// its children.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolResourceStatus {
    /// The dimension.
    pub name: String,
    /// What the pool may use now; never above its cap or what its parent is entitled to.
    pub entitlement: Quantity,
    /// Requests of admitted pods that have not ended; a terminating pod counts until it is gone.
    pub usage: Quantity,
    /// Requests of all pods that wait for admission.
    pub demand: Quantity,
    /// The part of the entitlement that comes from others' reservations.
    pub borrowed: Quantity,
    /// Where the entitlement comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// Since when usage has been above the entitlement without a break; reclaim waits from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_since: Option<Time>,
}

/// Where an entitlement comes from; `nonPreemptible + fromReservation + borrowed + spread` is the entitlement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// What non-preemptible pods already use; it cannot be taken.
    pub non_preemptible: Quantity,
    /// What the reservation gives on top of that.
    pub from_reservation: Quantity,
    /// What the pool requires beyond its reservation and was lent, divided by share.
    pub borrowed: Quantity,
    /// The part that no pool asks for, given by share so that the pool can start at once.
    pub spread: Quantity,
    /// The pools whose reservations are lent; the rest of `borrowed` is unreserved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["pool"]))]
    pub borrowed_from: Vec<Lender>,
    /// What keeps the entitlement from being larger, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capped_by: Option<String>,
}

/// A pool that lends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lender {
    /// The pool whose reservation is lent.
    pub pool: String,
    /// How much of it.
    pub amount: Quantity,
}

/// The figures of a pool in one line each, such as `cpu 1.2k, gpu 64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// What is reserved.
    pub reserved: String,
    /// What the pool may use now.
    pub entitled: String,
    /// What its pods use.
    pub used: String,
    /// What its waiting pods ask for.
    pub demand: String,
}
