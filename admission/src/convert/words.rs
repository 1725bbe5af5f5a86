//! What a pod says of itself, kept small for as long as it depends on others what that means.
//!
//! A waiting pod is read by its pool, its namespace, its PodGroup, the GPU models of the cluster. Each of them may change
//! without an event of the pod. So what the pod says is kept, and read again for the pods concerned: nothing has to be
//! asked of the API server for it (G2). What is kept is bounded, whatever a tenant writes: the keys that are read, and
//! of each value as much as can mean anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSchedulingGate, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use weir_api::names;
use weir_queue::{Phase, PodShape};

use super::metadata;

/// How many labels of a pod are kept. A pool may name gangs by any of them.
const LABELS: usize = 64;
/// How many bytes of a value are kept: longer than any name may be.
const VALUE: usize = 512;
/// How many scheduling gates of a pod are kept.
const GATES: usize = 16;

/// What a pod says of itself.
#[derive(Clone, Debug)]
pub struct PodWords {
    /// The object, with what is read of it, as JSON: a third of what it takes as an object.
    text: Box<str>,
    /// What it asks for.
    pub body: Body,
    /// How far it is.
    pub phase: Phase,
    /// The PodGroup that it names, and how many members that asked for when the pod was read.
    pub group: Option<NamedGroup>,
}

/// A PodGroup as a pod names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedGroup {
    /// Its name.
    pub name: Box<str>,
    /// How many members it asked for; none where it did not exist.
    pub size: Option<u32>,
}

/// What a pod asks for and where it may run.
#[derive(Clone, Debug)]
pub struct Body {
    /// As the queue compares it.
    pub shape: Arc<PodShape>,
    /// What of it cannot be read, as a sentence.
    pub unreadable: Option<Box<str>>,
}

impl PodWords {
    /// What a pod says; `read` is the [bounded](bounded) object.
    #[must_use]
    pub fn of(read: &Pod, body: Body, phase: Phase, size: Option<u32>) -> Self {
        // An object that was read from JSON can be written as JSON.
        let text = serde_json::to_string(read).unwrap_or_default().into_boxed_str();
        let group = metadata::pod_group(&read.metadata).map(|name| NamedGroup { name: name.into(), size });
        Self { text, body, phase, group }
    }

    /// The object again.
    #[must_use]
    pub fn read(&self) -> Pod {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// What is read of a pod beside what it asks for, and no more, whatever is written in it.
#[must_use]
pub fn bounded(written: &Pod) -> Pod {
    let meta = &written.metadata;
    let empty = PodSpec::default();
    let spec = written.spec.as_ref().unwrap_or(&empty);
    let annotations = meta.annotations.as_ref().map(|all| kept(all, usize::MAX, metadata::is_read));
    let labels = meta.labels.as_ref().map(|all| {
        let mut labels = kept(all, LABELS, |_| true);
        labels.extend(kept(all, usize::MAX, is_read_label));
        labels
    });
    let controller = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    Pod {
        metadata: ObjectMeta {
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            creation_timestamp: meta.creation_timestamp.clone(),
            deletion_timestamp: meta.deletion_timestamp.clone(),
            labels,
            annotations,
            owner_references: controller.map(|owner| vec![bounded_owner(owner)]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            node_name: spec.node_name.clone(),
            priority: spec.priority,
            priority_class_name: spec.priority_class_name.clone(),
            scheduler_name: spec.scheduler_name.clone(),
            scheduling_gates: spec.scheduling_gates.as_deref().map(gates_of),
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// An owner, of which the API server bounds nothing.
fn bounded_owner(owner: &OwnerReference) -> OwnerReference {
    let bound = |text: &str| shortened(text).to_owned();
    OwnerReference {
        api_version: bound(&owner.api_version),
        kind: bound(&owner.kind),
        name: bound(&owner.name),
        uid: bound(&owner.uid),
        ..*owner
    }
}

/// Whether a label means something here, whatever a pool says of it.
fn is_read_label(key: &str) -> bool {
    metadata::guarded_labels().chain([names::RAY_NODE_TYPE, names::RAY_GROUP, names::JOB]).any(|read| read == key)
}

/// Our gate, wherever it stands, and the first of the others.
fn gates_of(gates: &[PodSchedulingGate]) -> Vec<PodSchedulingGate> {
    let (ours, others): (Vec<_>, Vec<_>) = gates.iter().partition(|gate| gate.name == names::GATE);
    ours.into_iter().chain(others.into_iter().take(GATES)).cloned().collect()
}

fn kept(all: &BTreeMap<String, String>, most: usize, read: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let read = all.iter().filter(|(key, _)| read(key)).take(most);
    read.map(|(key, value)| (key.clone(), shortened(value).to_owned())).collect()
}

/// The beginning of a value, up to a whole character.
fn shortened(value: &str) -> &str {
    &value[..value.floor_char_boundary(VALUE)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_kept_of_a_pod_does_not_grow_with_what_is_written_in_it() {
        let mut labels: BTreeMap<String, String> = (0..5000).map(|n| (format!("a{n}"), "x".to_owned())).collect();
        labels.insert("weir.dev/gang".to_owned(), "train".to_owned());
        let gates: Vec<_> = (0..500).map(|n| json!({ "name": format!("a/{n}") })).collect();
        let pod = json!({
            "metadata": { "name": "p", "labels": labels,
                "ownerReferences": [{ "apiVersion": "x".repeat(100_000), "kind": "x".repeat(100_000),
                    "name": "x".repeat(100_000), "uid": "x".repeat(100_000), "controller": true }],
                "annotations": { "weir.dev/pool": "ä".repeat(100_000), "notes": "x".repeat(100_000) } },
            "spec": { "containers": [{ "name": "c", "image": "i" }], "schedulingGates": gates },
        });
        let read = bounded(&serde_json::from_value(pod).unwrap());
        let body = Body { shape: Arc::default(), unreadable: None };
        let words = PodWords::of(&read, body, Phase::Waiting, None);
        assert!(words.text.len() < 4096, "{} bytes", words.text.len());
        let again = words.read();
        assert_eq!(again.metadata.labels.unwrap()["weir.dev/gang"], "train");
        let annotations = again.metadata.annotations.unwrap();
        assert_eq!(annotations.keys().collect::<Vec<_>>(), ["weir.dev/pool"]);
        assert_eq!(annotations["weir.dev/pool"].chars().count(), VALUE / 2);
    }

    #[test]
    fn our_gate_is_kept_wherever_it_stands() {
        let gates: Vec<_> = (0..50).map(|n| json!({ "name": format!("a/{n}") })).collect();
        let mut pod = json!({ "spec": { "containers": [], "schedulingGates": gates } });
        pod["spec"]["schedulingGates"].as_array_mut().unwrap().push(json!({ "name": "weir.dev/admission" }));
        let read = bounded(&serde_json::from_value(pod).unwrap());
        assert_eq!(read.spec.unwrap().scheduling_gates.unwrap()[0].name, "weir.dev/admission");
    }
}
