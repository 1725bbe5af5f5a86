//! The webhook's server: it reads a review, lets [`mutate`] decide and answers.
//!
//! It always allows. The leader writes on a pod what is wrong with it, and the policy in the API server refuses what may
//! not pass; a webhook that denied would be a second place for both.
//!
//! Nothing here waits for the leader's work: namespaces, pools and the list of special hardware are read from stores
//! that their watches keep, and all of it runs on threads of its own (see `run`).
//!
//! | module | does |
//! |---|---|
//! | [`mutate`] | what the webhook does to a pod |
//! | [`managed`] | which pods are managed: one rule for webhook, policy and process |
//! | [`policy`] | the admission policy that refuses pods which went around the webhook |
//! | [`refusals`] | conditions and events about requests that the policy refuses |
//! | [`install`], [`certificates`] | keeps all of it installed and served |

pub mod certificates;
pub mod install;
pub mod managed;
pub mod mutate;
pub mod policy;
pub mod refusals;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::routing::post;
use axum::{Json, Router};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use weir_api::condition::Refusal;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::watch::caches::Caches;
use crate::webhook::managed::{Request, managed};
use crate::webhook::mutate::{Surroundings, mutate};
use crate::webhook::policy::{PATH, REFUSALS};
use crate::webhook::refusals::Refusals;

/// What the webhook answers from.
#[derive(Clone)]
pub struct Webhook {
    /// The configuration.
    pub config: Arc<Config>,
    /// What is known of the cluster.
    pub caches: Caches,
    /// Where answers are counted.
    pub metrics: Metrics,
    /// Shows the leader that pods are being created.
    pub calls: Calls,
    /// Where refused requests are noted.
    pub refusals: Refusals,
}

/// The largest review: of an update, which has the pod twice, each as large as the API server takes it (3 MiB).
const LARGEST: usize = 8 << 20;

/// When the webhook was called last. Clones share it. A user waits for each of its answers and for no condition of a
/// pod, so conditions are written in between.
#[derive(Clone, Debug)]
pub struct Calls(Arc<Mutex<Option<Instant>>>);

/// How long after a call the next one is expected.
const BUSY: Duration = Duration::from_millis(250);

impl Calls {
    /// No call yet.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::default())
    }

    /// Whether pods are being created just now.
    #[must_use]
    pub fn are_coming(&self, now: Instant) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| now.duration_since(last) < BUSY)
    }

    fn note(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}

/// The routes of the webhook.
pub fn router(webhook: Webhook) -> Router {
    Router::new()
        .route(PATH, post(review))
        .route(&format!("{REFUSALS}/{{refusal}}"), post(notice))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(webhook)
}

async fn review(State(webhook): State<Webhook>, body: Bytes) -> Json<AdmissionReview<DynamicObject>> {
    let began = Instant::now();
    webhook.calls.note(began);
    let (response, result) = match read(&body) {
        Ok(request) => answer(&webhook, &request).await,
        Err(error) => (AdmissionResponse::invalid(error), "invalid"),
    };
    webhook.metrics.webhook(result, began.elapsed());
    Json(response.into_review())
}

/// Takes note of a request that the policy is about to refuse, and lets it pass to there.
async fn notice(
    State(webhook): State<Webhook>,
    Path(refusal): Path<String>,
    body: Bytes,
) -> Json<AdmissionReview<DynamicObject>> {
    let response = match (read(&body), refusal.parse::<Refusal>()) {
        (Ok(request), Ok(refusal)) => {
            webhook.refusals.note(refusal, &request);
            AdmissionResponse::from(&request)
        }
        (Ok(request), Err(_)) => AdmissionResponse::from(&request),
        (Err(error), _) => AdmissionResponse::invalid(error),
    };
    Json(response.into_review())
}

/// A review as the API server sends it.
fn read(body: &[u8]) -> Result<AdmissionRequest<Pod>, String> {
    let review: AdmissionReview<Pod> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    review.try_into().map_err(|error: kube::core::admission::ConvertAdmissionReviewError| error.to_string())
}

async fn answer(webhook: &Webhook, request: &AdmissionRequest<Pod>) -> (AdmissionResponse, &'static str) {
    let response = AdmissionResponse::from(request);
    let Some(pod) = &request.object else { return (response, "ignored") };
    let name = request.namespace.clone().or_else(|| pod.namespace()).unwrap_or_default();
    let namespace = webhook.caches.namespace(&name).await;
    let empty = BTreeMap::new();
    let meta = namespace.as_ref().map(|namespace| &namespace.metadata);
    let labels = meta.and_then(|meta| meta.labels.as_ref()).unwrap_or(&empty);
    let annotations = meta.and_then(|meta| meta.annotations.as_ref()).unwrap_or(&empty);
    let facts = Request {
        pod,
        namespace: &name,
        namespace_labels: labels,
        user: request.user_info.username.as_deref().unwrap_or_default(),
        groups: request.user_info.groups.as_deref().unwrap_or_default(),
    };
    if !managed(&webhook.config).holds(&facts) {
        return (response, "ignored");
    }
    let aliases = webhook.caches.aliases();
    let defaults = |pool: &str| webhook.caches.defaults(pool);
    let surroundings =
        Surroundings { config: &webhook.config, namespace: annotations, defaults: &defaults, aliases: &aliases };
    let operations = mutate(pod, surroundings);
    if operations.is_empty() {
        return (response, "unchanged");
    }
    let patch = serde_json::from_value(operations.into()).map_err(|error| error.to_string());
    match patch.and_then(|patch| response.clone().with_patch(patch).map_err(|error| error.to_string())) {
        Ok(patched) => (patched, "patched"),
        // The policy refuses the unpatched pod, and its controller tries again.
        Err(error) => {
            tracing::error!(%error, namespace = name, "the patch of a pod cannot be written");
            (response, "failed")
        }
    }
}
