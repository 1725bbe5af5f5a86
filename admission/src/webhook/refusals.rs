//! What becomes of a request about a pod that the policy refuses: a condition of the pod, an event, a figure, a line in
//! the log.
//!
//! The user that asked has the API server's sentence. The pod's owner may be another user, and an administrator wants to
//! know which user keeps trying. So the pod gets the same sentence, as the condition `weir.dev/Refused` and as an event,
//! once for each kind of request within the life of an event, by the replica that was asked. How often it was tried is
//! a figure; the user's name is in the log alone, because conditions and events can be read by all users of the
//! namespace. `weir.dev/Admitted` stays: the pod stands as before. Nothing removes the condition, as nothing undoes the
//! request; the next refusal takes its place.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::core::admission::AdmissionRequest;
use tokio::sync::mpsc;
use weir_api::condition::Refusal;

use crate::client::{self, About, Outcome};
use crate::metrics::Metrics;
use crate::webhook::policy;

/// How many refusals may wait to be written. A tenant that tries without end fills it, and is only counted then.
const WAITING: usize = 64;
/// How many written refusals are remembered.
const REMEMBERED: usize = 4096;
/// For how long the API server keeps an event, unless it is configured otherwise.
const EVENT_LIFE: Duration = Duration::from_secs(3600);

/// Takes note of refused requests. Clones share one queue.
#[derive(Clone)]
pub struct Refusals {
    metrics: Metrics,
    waiting: mpsc::Sender<RefusedRequest>,
}

/// A refused request about a pod.
#[derive(Clone, Debug)]
pub struct RefusedRequest {
    refusal: Refusal,
    about: About,
}

/// Refused requests that wait to be written.
pub struct Refused(mpsc::Receiver<RefusedRequest>);

impl Refusals {
    /// Takes note of requests, and what [`write`] receives of them.
    #[must_use]
    pub fn new(metrics: Metrics) -> (Self, Refused) {
        let (waiting, refused) = mpsc::channel(WAITING);
        (Self { metrics, waiting }, Refused(refused))
    }

    /// Takes note of a request. A dry run has no effect, and none here.
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
        // Full: a tenant tries without end, or the API server does not answer. The request is counted all the same.
        let _ = self.waiting.try_send(RefusedRequest { refusal, about });
    }
}

/// Writes conditions and events, one after the other, for ever.
pub async fn write(client: Client, mut refused: Refused) {
    let mut written = Written::default();
    while let Some(RefusedRequest { refusal, about }) = refused.0.recv().await {
        if written.is_new(&about.uid, refusal, Instant::now()) {
            let outcome = client::refused(&client, &about, refusal, policy::sentence(refusal)).await;
            if let Outcome::Failed(error) = outcome {
                tracing::warn!(error, uid = about.uid, %refusal, "the refusal of a request is not written on its pod");
            }
        }
    }
}

/// What was written already. Another replica may write the same; the event's name is the same then too.
#[derive(Debug, Default)]
struct Written(BTreeMap<(String, Refusal), Instant>);

impl Written {
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
    fn each_kind_of_request_is_written_on_a_pod_once_within_the_life_of_an_event() {
        let (mut written, began) = (Written::default(), Instant::now());
        let mut is_new = |uid, refusal, after| written.is_new(uid, refusal, began + Duration::from_secs(after));
        assert!(is_new("a", Refusal::GateRemoval, 0));
        assert!(!is_new("a", Refusal::GateRemoval, 3599));
        assert!(is_new("a", Refusal::Growth, 3599));
        assert!(is_new("b", Refusal::GateRemoval, 3599));
        assert!(is_new("a", Refusal::GateRemoval, 3600));
    }

    #[test]
    fn no_number_of_pods_makes_it_remember_more_than_its_measure() {
        let (mut written, now) = (Written::default(), Instant::now());
        for pod in 0..3 * REMEMBERED {
            assert!(written.is_new(&pod.to_string(), Refusal::KeyChange, now));
            assert!(written.0.len() <= REMEMBERED);
        }
    }
}
