//! Selects the pods to release, and says what is written to each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use weir_api::condition::{ADMITTED, Admitted};
use weir_api::{PodInfo, names};

/// Which pods are meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    /// `None` means all.
    pub(super) namespace: Option<String>,
    /// Empty means all.
    pub(super) pools: Vec<String>,
}

impl Selection {
    /// Whether the pod waits and is meant.
    pub(super) fn takes(&self, pod: &Pod) -> bool {
        let info = PodInfo::of(pod);
        let namespace = self.namespace.as_ref().is_none_or(|wanted| pod.namespace().as_ref() == Some(wanted));
        let pool =
            self.pools.is_empty() || info.pool().is_some_and(|pool| self.pools.iter().any(|wanted| wanted == pool));
        info.waits() && namespace && pool
    }
}

/// The summary that stands above the question.
pub(super) fn summary(pods: &[Pod], cluster: &str) -> String {
    if pods.is_empty() {
        return format!("no pod waits for admission in cluster {cluster}\n");
    }
    let mut by_pool: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in pods {
        *by_pool.entry(PodInfo::of(pod).pool().unwrap_or("(names none)")).or_default() += 1;
    }
    let mut text = format!("{} pods wait for admission in cluster {cluster}:\n", pods.len());
    for (pool, count) in by_pool {
        let _ = writeln!(text, "  {count:>6}  {pool}");
    }
    text
}

/// The user who releases, and the reason.
#[derive(Clone, Debug)]
pub(super) struct Release {
    /// The user's name as the API server knows it.
    pub(super) user: String,
    pub(super) because: Option<String>,
}

impl Release {
    /// The merge patch that removes our gate and leaves others; it fails where the pod is another or changed.
    pub(super) fn gate_removal(&self, pod: &Pod) -> Value {
        let others = PodInfo::of(pod).gates().filter(|gate| *gate != names::GATE);
        let left: Vec<Value> = others.map(|gate| json!({ "name": gate })).collect();
        let left = if left.is_empty() { Value::Null } else { left.into() };
        let mut record = json!({ "releasedBy": self.user });
        if let Some(because) = &self.because {
            record["because"] = json!(because);
        }
        json!({
            "metadata": {
                "uid": pod.metadata.uid,
                "resourceVersion": pod.metadata.resource_version,
                "annotations": {
                    names::ADMITTED_AS: Admitted::Released.as_str(),
                    names::DECIDED_ON: record.to_string(),
                },
            },
            "spec": { "schedulingGates": left },
        })
    }

    /// The status patch that says so in the pod's condition.
    pub(super) fn condition(&self, pod: &Pod) -> Value {
        json!({
            "metadata": { "uid": pod.metadata.uid },
            "status": { "conditions": [{
                "type": ADMITTED,
                "status": "True",
                "reason": Admitted::Released.as_str(),
                "message": self.sentence(),
                "lastTransitionTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            }] },
        })
    }

    pub(super) fn event(&self, pod: &Pod) -> Event {
        let now = Timestamp::now();
        Event {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", pod.name_any(), now.as_nanosecond())),
                namespace: pod.namespace(),
                ..ObjectMeta::default()
            },
            action: Some("BreakGlass".to_owned()),
            event_time: Some(MicroTime(now)),
            note: Some(self.sentence()),
            reason: Some(Admitted::Released.as_str().to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.name_any()),
                namespace: pod.namespace(),
                uid: pod.uid(),
                ..ObjectReference::default()
            }),
            reporting_controller: Some(names::CLI.to_owned()),
            reporting_instance: Some(names::CLI.to_owned()),
            type_: Some("Warning".to_owned()),
            ..Event::default()
        }
    }

    fn sentence(&self) -> String {
        // An event's note may have 1024 bytes.
        let because: String = self.because.iter().flat_map(|because| because.chars()).take(200).collect();
        let because = if because.is_empty() { String::new() } else { format!(": {because}") };
        format!("released by {} with weir break-glass, whatever its pool is entitled to{because}", self.user)
    }
}
