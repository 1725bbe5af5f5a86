//! What the sidecar counts, under the names of `weir_api::metrics`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use weir_api::condition::Refusal;
use weir_api::metrics as names;

/// The series of this process. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Series>);

/// A pool as a label names it: by its name where there is such a pool, otherwise all of them by one word. A tenant may
/// write any pool on a pod, and each value would be a series for ever.
///
/// ```
/// use weir_admission::metrics::PoolName;
/// assert_eq!(PoolName::of("research", |name| name == "research").as_str(), "research");
/// assert_eq!(PoolName::of("reserach", |name| name == "research").as_str(), "(unknown)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolName<'a>(&'a str);

impl<'a> PoolName<'a> {
    /// The name of a pool, given which pools there are.
    #[must_use]
    pub fn of(pool: &'a str, exists: impl FnOnce(&str) -> bool) -> Self {
        Self(if exists(pool) { pool } else { names::UNKNOWN_POOL })
    }

    /// The value of the label.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

struct Series {
    registry: Registry,
    figures: Figures,
    wait: Family<WaitLabels, Histogram>,
    admissions: Family<ResultLabels, Counter>,
    evictions: Family<ReasonLabels, Counter>,
    gate_removals: Family<OutcomeLabels, Counter>,
    violations: Family<InvariantLabels, Counter>,
    refused: Family<RefusalLabels, Counter>,
    cycle: Histogram,
    webhook: Family<AnswerLabels, Counter>,
    webhook_seconds: Histogram,
    leading: Leading,
}

/// Whether this replica leads, and how its terms went.
#[derive(Default)]
struct Leading {
    leader: Gauge,
    terms: Family<TermLabels, Counter>,
    resyncs: Family<TermLabels, Counter>,
}

/// The figures of pools and queues, all set again in each report.
#[derive(Default)]
struct Figures {
    pool: Family<PoolLabels, Gauge<f64, AtomicU64>>,
    cluster: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
    conditions: Family<ConditionLabels, Gauge>,
    pending: Family<ReasonLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: String,
    parent: String,
    resource: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabels {
    resource: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    pool: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    pool: String,
    result: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    pool: String,
    condition: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaitLabels {
    pool: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TermLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InvariantLabels {
    invariant: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    refusal: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let series = Series {
            figures: Figures::default(),
            wait: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.1, 2.5, 14))),
            admissions: Family::default(),
            evictions: Family::default(),
            gate_removals: Family::default(),
            violations: Family::default(),
            refused: Family::default(),
            cycle: Histogram::new(exponential_buckets(0.0005, 2.0, 14)),
            webhook: Family::default(),
            webhook_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 14)),
            leading: Leading::default(),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register(names::POOL_RESOURCE, "Figures of a pool in base units", series.figures.pool.clone());
        r.register(names::CLUSTER_RESOURCE, "Figures of the cluster in base units", series.figures.cluster.clone());
        r.register(names::POOL_CONDITION, "What is wrong with a pool, always 1", series.figures.conditions.clone());
        r.register(names::PENDING_PODS, "Pods that wait for admission", series.figures.pending.clone());
        r.register(names::ADMISSION_WAIT, "Seconds from creation to admission", series.wait.clone());
        r.register(counter(names::ADMISSIONS), "Pods admitted", series.admissions.clone());
        r.register(counter(names::EVICTIONS), "Pods evicted", series.evictions.clone());
        r.register(counter(names::GATE_REMOVALS), "What came of removals of gates", series.gate_removals.clone());
        r.register(counter(names::TERMS), "Terms that ended", series.leading.terms.clone());
        let resyncs = "Lists of a kind that was known already";
        r.register(counter(names::RESYNCS), resyncs, series.leading.resyncs.clone());
        let never = "What must never happen and did";
        r.register(counter(names::INVARIANT_VIOLATIONS), never, series.violations.clone());
        let asked = "Requests about pods that the policy refuses";
        r.register(counter(names::REFUSED_REQUESTS), asked, series.refused.clone());
        r.register(names::CYCLE_DURATION, "Seconds of one cycle", series.cycle.clone());
        r.register(counter(names::WEBHOOK_REQUESTS), "Answers of the webhook", series.webhook.clone());
        r.register(names::WEBHOOK_DURATION, "Seconds of one answer", series.webhook_seconds.clone());
        r.register(names::LEADER, "1 on the replica that decides", series.leading.leader.clone());
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        r.register(names::BUILD_INFO, "The version that runs", build);
        Self(Arc::new(Series { registry, ..series }))
    }
}

/// A counter's name as it is registered; the encoder writes `_total` itself.
fn counter(name: &str) -> &str {
    name.trim_end_matches("_total")
}

impl Metrics {
    /// All series in the text format.
    ///
    /// ```
    /// let text = weir_admission::metrics::Metrics::default().text();
    /// assert!(text.contains("weir_leader 0"));
    /// ```
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.0.registry) {
            Ok(()) => text,
            Err(error) => format!("# encoding failed: {error}\n"),
        }
    }

    /// An answer of the webhook.
    pub fn webhook(&self, result: &'static str, took: Duration) {
        self.0.webhook.get_or_create(&AnswerLabels { result }).inc();
        self.0.webhook_seconds.observe(took.as_secs_f64());
    }

    /// Sets whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.0.leading.leader.set(i64::from(leads));
    }

    /// How long a cycle took.
    pub fn cycle(&self, took: Duration) {
        self.0.cycle.observe(took.as_secs_f64());
    }

    /// Drops the figures of pools and queues, before they are set again: what is gone must not stay.
    pub fn forget_figures(&self) {
        self.0.figures.pool.clear();
        self.0.figures.cluster.clear();
        self.0.figures.conditions.clear();
        self.0.figures.pending.clear();
    }

    /// One figure of a pool; `state` is one of `weir_api::metrics::POOL_STATES`.
    pub fn pool(&self, pool: &str, parent: &str, resource: &str, state: &'static str, value: f64) {
        let labels = PoolLabels { pool: pool.into(), parent: parent.into(), resource: resource.into(), state };
        self.0.figures.pool.get_or_create(&labels).set(value);
    }

    /// Sets that this is wrong with a pool.
    pub fn pool_condition(&self, pool: &str, condition: &str, reason: &str) {
        let labels = ConditionLabels { pool: pool.into(), condition: condition.into(), reason: reason.into() };
        self.0.figures.conditions.get_or_create(&labels).set(1);
    }

    /// One figure of the cluster; `state` is one of `weir_api::metrics::CLUSTER_STATES`.
    pub fn cluster(&self, resource: &str, state: &'static str, value: f64) {
        self.0.figures.cluster.get_or_create(&ClusterLabels { resource: resource.into(), state }).set(value);
    }

    /// How many pods of a pool wait for this reason.
    pub fn pending(&self, pool: PoolName<'_>, reason: &str, pods: i64) {
        let labels = ReasonLabels { pool: pool.as_str().into(), reason: reason.into() };
        self.0.figures.pending.get_or_create(&labels).set(pods);
    }

    /// A pod was admitted after it waited this long.
    pub fn admitted(&self, pool: PoolName<'_>, result: &str, waited: Duration) {
        let pool = pool.as_str();
        self.0.admissions.get_or_create(&ResultLabels { pool: pool.into(), result: result.into() }).inc();
        self.0.wait.get_or_create(&WaitLabels { pool: pool.into() }).observe(waited.as_secs_f64());
    }

    /// A request about a pod was noticed that the policy refuses.
    pub fn refused(&self, refusal: Refusal) {
        self.0.refused.get_or_create(&RefusalLabels { refusal: refusal.as_str() }).inc();
    }

    /// A pod was evicted; only pods of pools that exist are.
    pub fn evicted(&self, pool: &str, reason: &str) {
        self.0.evictions.get_or_create(&ReasonLabels { pool: pool.into(), reason: reason.into() }).inc();
    }

    /// Counts what came of the removal of a gate.
    pub fn gate_removal(&self, outcome: &'static str) {
        self.0.gate_removals.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts that a term ended for this reason.
    pub fn term_ended(&self, reason: &'static str) {
        self.0.leading.terms.get_or_create(&TermLabels { reason }).inc();
    }

    /// Counts that something was listed again for this reason: its kind, where a watch of it broke.
    pub fn resync(&self, reason: &'static str) {
        self.0.leading.resyncs.get_or_create(&TermLabels { reason }).inc();
    }

    /// Counts that what must never happen did.
    pub fn violated(&self, invariant: &str) {
        self.0.violations.get_or_create(&InvariantLabels { invariant: invariant.into() }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_has_the_name_of_the_registry() {
        let metrics = Metrics::default();
        metrics.webhook("patched", Duration::from_millis(1));
        metrics.pool("research", "org", "cpu", "entitlement", 4.0);
        let pool = |name| PoolName::of(name, |name| name == "research");
        metrics.admitted(pool("research"), "WithinEntitlement", Duration::from_secs(2));
        metrics.pending(pool("invented"), "PoolNotFound", 3);
        metrics.refused(Refusal::GateRemoval);
        let text = metrics.text();
        for line in [
            r#"weir_pool_resource{pool="research",parent="org",resource="cpu",state="entitlement"} 4.0"#,
            r#"weir_admissions_total{pool="research",result="WithinEntitlement"} 1"#,
            r#"weir_pending_pods{pool="(unknown)",reason="PoolNotFound"} 3"#,
            r#"weir_refused_requests_total{refusal="GateRemoval"} 1"#,
            r#"weir_webhook_requests_total{result="patched"} 1"#,
            r#"weir_build_info{version="0.1.0"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
