//! What is written to pods: the removal of a gate, a condition with its event, an eviction.
//!
//! Each write names the UID it means, and the removal of a gate the version it was decided on, so that a
//! pod of the same name, or one that somebody changed in between, is never taken for another. An answer is
//! an [`Outcome`]; nothing here decides what follows from it.
//!
//! Of the pods that are patched by the thousand only the metadata is asked for in return: the watch brings the
//! rest, and neither side has to write or read a whole pod for it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{DeleteParams, EvictParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{PartialObjectMeta, Request};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use weir_api::condition::Refusal;
use weir_api::{condition, names};

use crate::convert::pod::is_gated;

/// The pod that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID, as the API server writes it.
    pub uid: String,
    /// The version that was decided on.
    pub version: String,
    /// All its gates.
    pub gates: Vec<String>,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, by us or by somebody before us.
    Done,
    /// The pod that was meant is no more.
    Gone,
    /// The API server says no, and will say so again: a budget. The sentence is its own.
    Refused(String),
    /// Something went wrong or nobody answered; the sentence says how.
    Failed(String),
}

/// The reason of an event about a request that was refused.
pub const REFUSED: &str = "Refused";
/// What to accept as an answer where the metadata is enough.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// Where events about objects without a namespace stand.
const DEFAULT_NAMESPACE: &str = "default";
/// How often a write is tried again when the pod changed in between.
const ATTEMPTS: usize = 5;

/// Removes our gate, and records with it on what grounds and figures.
pub async fn remove_gate(client: &Client, mut target: Target, grounds: &str, decided_on: &str) -> Outcome {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    for _ in 0..ATTEMPTS {
        let patch = Patch::Merge(gate_removal(&target, grounds, decided_on));
        match pods.patch_metadata(&target.name, &params(), &patch).await {
            Ok(_) => return Outcome::Done,
            Err(kube::Error::Api(status)) if status.code == 404 => return Outcome::Gone,
            Err(kube::Error::Api(status)) if status.code == 409 => match pods.get_opt(&target.name).await {
                Ok(Some(pod)) if pod.metadata.uid.as_deref() == Some(&target.uid) => {
                    if !is_gated(&pod) {
                        return Outcome::Done;
                    }
                    target.version = pod.metadata.resource_version.clone().unwrap_or_default();
                    target.gates = gates(&pod);
                }
                Ok(_) => return Outcome::Gone,
                Err(error) => return Outcome::Failed(error.to_string()),
            },
            Err(error) => return Outcome::Failed(error.to_string()),
        }
    }
    Outcome::Failed(format!("{}/{} changed {ATTEMPTS} times in between", target.namespace, target.name))
}

/// The names of a pod's gates.
#[must_use]
pub fn gates(pod: &Pod) -> Vec<String> {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
    gates.into_iter().flatten().map(|gate| gate.name.clone()).collect()
}

/// The merge patch that removes our gate and nothing else; it fails where the pod is another or changed.
#[must_use]
pub fn gate_removal(target: &Target, grounds: &str, decided_on: &str) -> Value {
    let left: Vec<_> =
        target.gates.iter().filter(|gate| *gate != names::GATE).map(|gate| json!({ "name": gate })).collect();
    let left = if left.is_empty() { Value::Null } else { left.into() };
    json!({
        "metadata": {
            "uid": target.uid,
            "resourceVersion": target.version,
            "annotations": { names::ADMITTED_AS: grounds, names::DECIDED_ON: decided_on },
        },
        "spec": { "schedulingGates": left },
    })
}

/// What a pod's condition should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionUpdate {
    /// The condition's type.
    pub condition: &'static str,
    /// `True` or `False`.
    pub status: &'static str,
    /// One word.
    pub reason: &'static str,
    /// One sentence, in numbers.
    pub message: String,
}

/// How a condition relates to the one that stands on the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its status is another: the time of the last transition is now, and an event says so.
    Transition,
    /// Its reason is another: an event says so.
    Reason,
    /// Only its message is another.
    Message,
}

/// Writes a condition and, unless only numbers changed, an event beside it.
pub async fn write_condition_and_event(
    client: &Client,
    target: &Target,
    update: &ConditionUpdate,
    change: Change,
) -> Outcome {
    match write_condition(client, target, update, change).await {
        Outcome::Done if change != Change::Message => announce(client, target, update, Timestamp::now()).await,
        other => other,
    }
}

/// Writes a condition.
pub async fn write_condition(client: &Client, target: &Target, update: &ConditionUpdate, change: Change) -> Outcome {
    match patch_status(client, target, condition_patch(target, update, change)).await {
        Ok(_) => Outcome::Done,
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Outcome::Gone,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// `Api::patch_status`, with the metadata as the answer.
async fn patch_status(client: &Client, target: &Target, patch: Value) -> kube::Result<PartialObjectMeta<Pod>> {
    let pods = Request::new(Pod::url_path(&(), Some(&target.namespace)));
    let patch = Patch::Strategic(patch);
    let request = pods.patch_subresource("status", &target.name, &params(), &patch);
    let mut request = request.map_err(kube::Error::BuildRequest)?;
    if let Ok(metadata) = METADATA.parse() {
        request.headers_mut().insert("accept", metadata);
    }
    client.request(request).await
}

/// Writes the event beside a condition that was written at this moment.
pub async fn announce(client: &Client, target: &Target, update: &ConditionUpdate, at: Timestamp) -> Outcome {
    let refused =
        update.condition == condition::PREEMPTED || update.reason == condition::Waiting::Misconfigured.as_str();
    let kind = if refused { "Warning" } else { "Normal" };
    write_event(client, event(&About::pod(target), update.reason, &update.message, kind, at)).await
}

/// An object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Group and version of its kind.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty for an object of the whole cluster, of which events are told in `default`.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl About {
    /// A pod.
    #[must_use]
    pub fn pod(target: &Target) -> Self {
        Self {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            uid: target.uid.clone(),
        }
    }
}

/// Writes a warning about an object that is not ours.
pub async fn report(client: &Client, about: &About, reason: &str, sentence: &str) -> Outcome {
    write_event(client, event(about, reason, sentence, "Warning", Timestamp::now())).await
}

/// Writes on a pod that a request about it was refused: a condition, and an event. The event's name follows from the
/// pod and the kind of request, so that it stands there once, however often it is asked for and whoever is told of
/// it.
pub async fn refused(client: &Client, about: &About, refusal: Refusal, sentence: &str) -> Outcome {
    let mut event = event(about, REFUSED, sentence, "Warning", Timestamp::now());
    let own = about.uid.split('-').next().unwrap_or_default();
    event.metadata.name = Some(format!("{}.{own}.{}", about.name, refusal.as_str().to_ascii_lowercase()));
    let About { namespace, name, uid, .. } = about.clone();
    let target = Target { namespace, name, uid, version: String::new(), gates: Vec::new() };
    let (condition, reason, message) = (condition::REFUSED, refusal.as_str(), sentence.to_owned());
    let update = ConditionUpdate { condition, status: "True", reason, message };
    match write_condition(client, &target, &update, Change::Transition).await {
        Outcome::Gone => Outcome::Gone,
        // Each is told on its own: an event is of use without the condition.
        written => match write_event(client, event).await {
            Outcome::Done => written,
            failed => failed,
        },
    }
}

async fn write_event(client: &Client, event: Event) -> Outcome {
    let namespace = event.metadata.namespace.clone().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
    match events.create(&PostParams::default(), &event).await {
        Ok(_) => Outcome::Done,
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Outcome::Done,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// The patch that writes a condition. Where the status stays, so does the time of its last transition.
#[must_use]
pub fn condition_patch(target: &Target, update: &ConditionUpdate, change: Change) -> Value {
    let mut condition = json!({
        "type": update.condition,
        "status": update.status,
        "reason": update.reason,
        "message": update.message,
    });
    if change == Change::Transition {
        condition["lastTransitionTime"] = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    }
    json!({ "metadata": { "uid": target.uid }, "status": { "conditions": [condition] } })
}

fn event(about: &About, reason: &str, sentence: &str, kind: &str, at: Timestamp) -> Event {
    let About { api_version, kind: object, namespace, name, uid } = about.clone();
    let own = Some(namespace).filter(|namespace| !namespace.is_empty());
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{:x}", at.as_nanosecond())),
            namespace: Some(own.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())),
            ..ObjectMeta::default()
        },
        action: Some("Admission".to_owned()),
        event_time: Some(MicroTime(at)),
        note: Some(sentence.chars().take(1000).collect()),
        reason: Some(reason.to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some(api_version),
            kind: Some(object),
            name: Some(name),
            namespace: own,
            uid: Some(uid),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(names::ADMISSION.to_owned()),
        reporting_instance: Some(names::ADMISSION.to_owned()),
        type_: Some(kind.to_owned()),
        ..Event::default()
    }
}

/// Evicts a pod through the eviction API, so that its budgets hold.
pub async fn evict(client: &Client, target: &Target) -> Outcome {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    let preconditions = Preconditions { uid: Some(target.uid.clone()), resource_version: None };
    let delete_options = Some(DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() });
    match pods.evict(&target.name, &EvictParams { delete_options, ..EvictParams::default() }).await {
        Ok(_) => Outcome::Done,
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Outcome::Gone,
        // 429 and 500 are both budgets: one that allows nothing, and two on one pod.
        Err(kube::Error::Api(status)) => Outcome::Refused(status.message.clone()),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Mirrors the pool of a gated pod, which its owner changed, to the label.
pub async fn mirror_pool(client: &Client, target: &Target, pool: &str) -> Outcome {
    label(client, target, names::POOL, pool).await
}

/// Writes a label.
pub async fn label(client: &Client, target: &Target, key: &str, value: &str) -> Outcome {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    let body = json!({ "metadata": { "uid": target.uid, "labels": { key: value } } });
    match pods.patch(&target.name, &params(), &Patch::Merge(body)).await {
        Ok(_) => Outcome::Done,
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Outcome::Gone,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(names::ADMISSION.to_owned()), ..PatchParams::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_removal_of_a_gate_means_one_version_of_one_pod_and_keeps_foreign_gates() {
        let target = Target {
            namespace: "team".into(),
            name: "p".into(),
            uid: "u".into(),
            version: "7".into(),
            gates: vec!["a/b".into(), "weir.dev/admission".into()],
        };
        let patch = gate_removal(&target, "WithinEntitlement", "{}");
        assert_eq!(patch["metadata"]["uid"], "u");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["metadata"]["annotations"]["weir.dev/admitted-as"], "WithinEntitlement");
        assert_eq!(patch["spec"]["schedulingGates"], json!([{ "name": "a/b" }]));
        let alone = Target { gates: vec!["weir.dev/admission".into()], ..target };
        assert_eq!(gate_removal(&alone, "OnLoan", "{}")["spec"]["schedulingGates"], Value::Null);
    }
}
