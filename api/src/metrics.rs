//! Names of metrics, labels and label values. Base units, and no label whose values a tenant can invent: pools and
//! resources are named as administrators wrote them, all others by one word or not at all.

/// The value of `pool` for pods that name a pool that does not exist; no object may have such a name.
pub const UNKNOWN_POOL: &str = "(unknown)";

/// Gauge by `pool`, `parent`, `resource` and `state`: the figures of a pool in the resource's base unit
/// (cores, bytes, devices). States: [`POOL_STATES`].
pub const POOL_RESOURCE: &str = "weir_pool_resource";
/// The values of `state` of [`POOL_RESOURCE`].
pub const POOL_STATES: &[&str] = &["reservation", "limit", "entitlement", "usage", "demand", "borrowed"];
/// Gauge by `resource` and `state`: the figures of the cluster. States: [`CLUSTER_STATES`].
pub const CLUSTER_RESOURCE: &str = "weir_cluster_resource";
/// The values of `state` of [`CLUSTER_RESOURCE`].
pub const CLUSTER_STATES: &[&str] = &["capacity", "allocated", "demand", "unmanaged"];
/// Gauge by `pool`, `condition` and `reason`, always 1: what is wrong with a pool; no series, nothing is.
pub const POOL_CONDITION: &str = "weir_pool_condition";
/// Gauge by `pool` and `reason`: pods that wait.
pub const PENDING_PODS: &str = "weir_pending_pods";
/// Histogram by `pool`: seconds from creation to admission.
pub const ADMISSION_WAIT: &str = "weir_admission_wait_seconds";
/// Counter by `pool` and `result`: pods admitted, by [`Admitted`](crate::condition::Admitted).
pub const ADMISSIONS: &str = "weir_admissions_total";
/// Counter by `pool` and `reason`: pods evicted, by [`Preempted`](crate::condition::Preempted).
pub const EVICTIONS: &str = "weir_evictions_total";
/// What came of removals of gates.
pub const GATE_REMOVALS: &str = "weir_gate_removals_total";
/// Terms that ended, by reason.
pub const TERMS: &str = "weir_terms_total";
/// Lists of a kind that was known already, by reason: the kind whose watch broke, or what made the term end.
pub const RESYNCS: &str = "weir_resyncs_total";
/// Counter by `refusal`: requests about pods that the admission policy refuses, by
/// [`Refusal`](crate::condition::Refusal); noticed on the way to the policy, by whichever replica was asked.
pub const REFUSED_REQUESTS: &str = "weir_refused_requests_total";
/// Histogram: seconds that one cycle of the sidecar took, from snapshot to decisions.
pub const CYCLE_DURATION: &str = "weir_cycle_duration_seconds";
/// Counter by `invariant`: what must never happen and did.
pub const INVARIANT_VIOLATIONS: &str = "weir_invariant_violations_total";
/// Gauge by `version`, always 1.
pub const BUILD_INFO: &str = "weir_build_info";
/// Counter by `result`: answers of the webhook.
pub const WEBHOOK_REQUESTS: &str = "weir_webhook_requests_total";
/// Histogram: seconds that one answer of the webhook took.
pub const WEBHOOK_DURATION: &str = "weir_webhook_duration_seconds";
/// Gauge: 1 on the replica that decides, 0 on the others.
pub const LEADER: &str = "weir_leader";
