//! What every term starts from.

use std::sync::Arc;

use kube::Client;
use weir_queue::Time;

use super::conditions::EventQueue;
use super::pod_event::PodEvent;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::{Metrics, PoolName};
use crate::watch::caches::Caches;
use crate::webhook::Calls;

/// The API server, and all that outlives a term.
#[derive(Clone)]
pub struct LeaderContext {
    /// The API server.
    pub client: Client,
    /// The same, without retries. The other client retries a 429 for minutes; for an eviction a 429 is the refusal of a
    /// budget, and when the budget allows it at last this replica may have lost the lease.
    pub evictor: Client,
    /// The configuration.
    pub config: Arc<Config>,
    /// Namespaces, pools and special hardware.
    pub caches: Caches,
    /// The metrics of this process.
    pub metrics: Metrics,
    /// The name of this replica.
    pub identity: String,
    /// Whether pods are being created at this moment.
    pub calls: Calls,
    /// Events that wait to be written.
    pub event_queue: EventQueue,
    /// Where the time is read.
    pub clock: Clock,
}

impl LeaderContext {
    /// Counts an admission that the watch shows, and how long the pod waited for it.
    pub(super) fn count_admission(&self, event: &PodEvent<'_>, now: Time) {
        let PodEvent::Seen(seen) = event else { return };
        let Some(standing) = seen.admission else { return };
        let pool = PoolName::of(&seen.state.pool, |pool| self.caches.pool(pool).is_some());
        self.metrics.admitted(pool, standing.grounds.as_str(), now.since(seen.state.created));
    }
}
