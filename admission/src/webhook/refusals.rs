//! What becomes of a request about a pod that the policy refuses: a condition of the pod, an event, a figure, a
//! line in the log.
//!
//! Whoever asked has the API server's sentence. The pod's owner may be somebody else, and an administrator wants
//! to know who keeps trying, so it is told on the pod too: the same sentence as the condition `weir.dev/Refused` and
//! as an event, once for each pod and kind of request within the life of an event, by whichever replica was asked.
//! How often it was tried is a figure; who tried is in the log alone, because conditions and events are read by
//! everybody in the namespace. `weir.dev/Admitted` stays: the pod stands as before. Nothing takes the condition
//! back, as nothing takes back that the request was made; the next refusal takes its place.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::core::admission::AdmissionRequest;
use tokio::sync::mpsc;
use weir_api::condition::Refusal;

use crate::client::{About, Outcome, refused};
use crate::metrics::Metrics;
use crate::webhook::policy;

/// How many events may wait to be written. A tenant who tries without end fills it, and is only counted then.
const WAITING: usize = 64;
/// How many pods are remembered as told.
const REMEMBERED: usize = 4096;
/// For how long the API server keeps an event, unless it is configured otherwise.
const EVENT_LIFE: Duration = Duration::from_secs(3600);

/// Takes note of refused requests; cloning shares it.
#[derive(Clone)]
pub struct Refusals {
    metrics: Metrics,
    events: mpsc::Sender<(Refusal, About)>,
}

/// Events that are to be written.
pub struct Told(mpsc::Receiver<(Refusal, About)>);

impl Refusals {
    /// Somebody to take note, and what [`tell`] writes of it.
    #[must_use]
    pub fn new(metrics: Metrics) -> (Self, Told) {
        let (events, told) = mpsc::channel(WAITING);
        (Self { metrics, events }, Told(told))
    }

    /// Takes note of a request. One that is only tried out (dry run) has no effect, and none here.
    pub fn note(&self, refusal: Refusal, request: &AdmissionRequest<Pod>) {
        if request.dry_run {
            return;
        }
        self.metrics.refused(refusal);
        let (user, namespace) = (request.user_info.username.as_deref(), request.namespace.clone().unwrap_or_default());
        tracing::info!(user, namespace, pod = request.name, %refusal, "a request is refused by the admission policy");
        let Some(uid) = request.old_object.as_ref().and_then(|pod| pod.metadata.uid.clone()) else { return };
        let about =
            About { api_version: "v1".to_owned(), kind: "Pod".to_owned(), namespace, name: request.name.clone(), uid };
        // Full: somebody tries without end, or the API server does not answer. It is counted all the same.
        let _ = self.events.try_send((refusal, about));
    }
}

/// Writes conditions and events, one after the other, for ever.
pub async fn tell(client: Client, mut told: Told) {
    let mut known = Known::default();
    while let Some((refusal, about)) = told.0.recv().await {
        if known.is_new(&about.uid, refusal, Instant::now()) {
            let outcome = refused(&client, &about, refusal, policy::sentence(refusal)).await;
            if let Outcome::Failed(error) = outcome {
                tracing::warn!(error, uid = about.uid, %refusal, "that a request was refused is not told");
            }
        }
    }
}

/// What was told already. Another replica may tell the same; the event's name is the same then too.
#[derive(Debug, Default)]
struct Known(BTreeMap<(String, Refusal), Instant>);

impl Known {
    fn is_new(&mut self, uid: &str, refusal: Refusal, now: Instant) -> bool {
        let fresh = |at: &Instant| now.duration_since(*at) < EVENT_LIFE;
        if self.0.get(&(uid.to_owned(), refusal)).is_some_and(fresh) {
            return false;
        }
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, at| fresh(at));
        }
        // Still full: forgetting costs a write that the event's name makes void.
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert((uid.to_owned(), refusal), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_told_of_each_kind_of_request_once_within_the_life_of_an_event() {
        let (mut known, began) = (Known::default(), Instant::now());
        let mut is_new = |uid, refusal, after| known.is_new(uid, refusal, began + Duration::from_secs(after));
        assert!(is_new("a", Refusal::GateRemoval, 0));
        assert!(!is_new("a", Refusal::GateRemoval, 3599));
        assert!(is_new("a", Refusal::Growth, 3599));
        assert!(is_new("b", Refusal::GateRemoval, 3599));
        assert!(is_new("a", Refusal::GateRemoval, 3600));
    }

    #[test]
    fn no_number_of_pods_makes_it_remember_more_than_its_measure() {
        let (mut known, now) = (Known::default(), Instant::now());
        for pod in 0..3 * REMEMBERED {
            assert!(known.is_new(&pod.to_string(), Refusal::KeyChange, now));
            assert!(known.0.len() <= REMEMBERED);
        }
    }
}
