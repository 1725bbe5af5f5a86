//! Writes to pods: the removal of a gate, a condition, a label, an eviction.
//!
//! Of pods that are patched by the thousand only the metadata is asked for in return: the watch brings the rest, and
//! neither side has to write or read a whole pod for it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams, Patch, Preconditions};
use kube::core::{PartialObjectMeta, Request};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};
use weir_api::names;
use weir_api::pod::PodInfo;

use super::outcome::{Outcome, params, shortened};
use crate::convert::condition::{Change, ConditionUpdate};

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

impl Target {
    /// This pod in this version.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        Self {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            version: pod.resource_version().unwrap_or_default(),
            gates: PodInfo::of(pod).gates().map(str::to_owned).collect(),
        }
    }
}

/// A label that a pod should carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelWrite {
    /// The pod.
    pub target: Target,
    /// The key.
    pub key: &'static str,
    /// The value.
    pub value: String,
}

/// What to accept as an answer where the metadata is enough.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Removes our gate, and records with it the grounds and the decision. A pod that is another version than the one that
/// was decided on is left as it is.
pub async fn remove_gate(client: &Client, target: &Target, grounds: &str, decision: &str) -> Outcome {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    let patch = Patch::Merge(gate_removal(target, grounds, decision));
    Outcome::of(pods.patch_metadata(&target.name, &params(), &patch).await)
}

/// The merge patch that removes our gate and nothing else; it fails where the pod is another or changed.
fn gate_removal(target: &Target, grounds: &str, decision: &str) -> Value {
    let left: Vec<_> =
        target.gates.iter().filter(|gate| *gate != names::GATE).map(|gate| json!({ "name": gate })).collect();
    let left = if left.is_empty() { Value::Null } else { left.into() };
    json!({
        "metadata": {
            "uid": target.uid,
            "resourceVersion": target.version,
            "annotations": { names::ADMITTED_AS: grounds, names::DECIDED_ON: decision },
        },
        "spec": { "schedulingGates": left },
    })
}

/// Writes a condition.
pub async fn write_condition(client: &Client, target: &Target, update: &ConditionUpdate, change: Change) -> Outcome {
    let patch = condition_patch(target, update, change, Timestamp::now());
    Outcome::of_this(patch_status(client, target, patch).await)
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

/// The patch that writes a condition. Where the status stays, so does the time of its last transition.
fn condition_patch(target: &Target, update: &ConditionUpdate, change: Change, now: Timestamp) -> Value {
    let mut condition = json!({
        "type": update.condition.as_str(),
        "status": update.status.as_str(),
        "reason": update.reason,
        "message": update.message,
    });
    if change == Change::Transition {
        condition["lastTransitionTime"] = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    }
    json!({ "metadata": { "uid": target.uid }, "status": { "conditions": [condition] } })
}

/// Evicts a pod through the eviction API, so that its budgets hold.
pub async fn evict(client: &Client, target: &Target) -> Outcome {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    let preconditions = Preconditions { uid: Some(target.uid.clone()), resource_version: None };
    let delete_options = Some(DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() });
    match pods.evict(&target.name, &EvictParams { delete_options, ..EvictParams::default() }).await {
        // 429 and 500 are both budgets: one that allows nothing, and two on one pod.
        Err(kube::Error::Api(status)) if status.code != 404 && status.code != 409 => {
            Outcome::Refused(shortened(&status.message))
        }
        other => Outcome::of_this(other),
    }
}

/// Writes a label.
pub async fn write_label(client: &Client, write: &LabelWrite) -> Outcome {
    let LabelWrite { target, key, value } = write;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
    let body = json!({ "metadata": { "uid": target.uid, "labels": { *key: value } } });
    Outcome::of_this(pods.patch(&target.name, &params(), &Patch::Merge(body)).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::condition::{ConditionStatus, ConditionType};

    fn target() -> Target {
        Target {
            namespace: "team".into(),
            name: "p".into(),
            uid: "u".into(),
            version: "7".into(),
            gates: vec!["a/b".into(), "weir.dev/admission".into()],
        }
    }

    #[test]
    fn the_removal_of_a_gate_means_one_version_of_one_pod_and_keeps_foreign_gates() {
        let patch = gate_removal(&target(), "WithinEntitlement", "{}");
        assert_eq!(patch["metadata"]["uid"], "u");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["metadata"]["annotations"]["weir.dev/admitted-as"], "WithinEntitlement");
        assert_eq!(patch["spec"]["schedulingGates"], json!([{ "name": "a/b" }]));
        let alone = Target { gates: vec!["weir.dev/admission".into()], ..target() };
        assert_eq!(gate_removal(&alone, "OnLoan", "{}")["spec"]["schedulingGates"], Value::Null);
    }

    #[test]
    fn only_a_transition_writes_the_time_of_the_last_transition() {
        let (condition, status) = (ConditionType::Admitted, ConditionStatus::False);
        let update = ConditionUpdate { condition, status, reason: "PoolHeld", message: String::new() };
        let written = |change| {
            let patch = condition_patch(&target(), &update, change, Timestamp::UNIX_EPOCH);
            patch["status"]["conditions"][0]["lastTransitionTime"].clone()
        };
        assert_eq!(written(Change::Transition), "1970-01-01T00:00:00Z");
        assert_eq!([written(Change::Reason), written(Change::Message)], [Value::Null, Value::Null]);
    }
}
