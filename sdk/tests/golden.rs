//! Reads the golden files of the scheduler: the bytes that a guest gets (`.pb`) and the same in words
//! (`told` in the `.json`). The Go tests write and check them, so both sides agree on docs/guest-view.md.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kube_scheduler_guest::{Node, Pod, Quantities, Texts};
use serde_json::Value;
use weir_model::{Quantity, node_state};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scheduler/testdata/golden");

/// The files whose name begins so, each with what is told and with its bytes.
fn golden(prefix: &str) -> Vec<(PathBuf, Value, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(GOLDEN).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with(prefix) && name.ends_with(".json") {
            let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let bytes = fs::read(path.with_extension("pb")).unwrap();
            all.push((path, json["told"].take(), bytes));
        }
    }
    assert!(all.len() >= 2, "there are {} golden files {prefix}* in {GOLDEN}", all.len());
    all
}

fn texts(json: &Value) -> BTreeMap<&str, &str> {
    json.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str().unwrap())).collect()
}

fn assert_texts(ours: Texts<'_>, json: &Value, path: &Path) {
    assert_eq!(ours.iter().collect::<BTreeMap<_, _>>(), texts(json), "{}", path.display());
}

fn assert_quantities(ours: Quantities<'_>, json: &Value, path: &Path) {
    let number = |(name, text)| (name, Quantity::parse(text).unwrap());
    let told: BTreeMap<_, _> = texts(json).into_iter().map(number).collect();
    assert_eq!(ours.iter().map(number).collect::<BTreeMap<_, _>>(), told, "{}", path.display());
}

#[test]
fn a_node_is_what_the_golden_files_say() {
    for (path, told, bytes) in golden("node-") {
        let node = Node::from_protobuf(bytes);
        assert_eq!(node.name(), told["metadata"]["name"], "{}", path.display());
        assert_texts(node.labels(), &told["metadata"]["labels"], &path);
        assert_texts(node.annotations(), &told["metadata"]["annotations"], &path);
        assert_quantities(node.capacity(), &told["status"]["capacity"], &path);
        assert_quantities(node.allocatable(), &told["status"]["allocatable"], &path);
        assert_eq!(node.unschedulable(), told["spec"]["unschedulable"].as_bool().unwrap_or_default());
        let taints = told["spec"]["taints"].as_array().cloned().unwrap_or_default();
        assert_eq!(node.taints().count(), taints.len(), "{}", path.display());
        for (ours, told) in node.taints().zip(&taints) {
            let part = |name: &str| told[name].as_str().unwrap_or_default().to_string();
            assert_eq!([ours.key(), ours.value(), ours.effect()], ["key", "value", "effect"].map(part));
        }
    }
}

#[test]
fn what_is_requested_and_used_on_a_node_is_what_the_golden_files_say() {
    let mut requested = 0;
    for (path, told, bytes) in golden("node-") {
        let node = Node::from_protobuf(bytes);
        for (key, value) in texts(&told["metadata"]["annotations"]) {
            let units: Result<i64, _> = value.parse();
            if let Some(resource) = key.strip_prefix(node_state::REQUESTED) {
                requested += 1;
                assert_eq!(node.requested(resource).map(|amount| amount.units()), units.ok(), "{}", path.display());
            } else if let Some(resource) = key.strip_prefix(node_state::LOAD) {
                assert_eq!(node.load(resource), units.ok(), "{}", path.display());
            } else if let Some(resource) = key.strip_prefix(node_state::LOAD_SAMPLED_REQUESTED) {
                let sampled = node.load_sampled_requested(resource).map(|amount| amount.units());
                assert_eq!(sampled, units.ok(), "{}", path.display());
            } else if key == node_state::REQUESTED_PODS {
                assert_eq!(node.requested_pods().map(|pods| pods.units()), units.ok(), "{}", path.display());
            } else {
                assert!(!key.starts_with(node_state::PREFIX), "{}: no accessor reads {key}", path.display());
            }
        }
    }
    assert!(requested >= 8, "{requested} requested amounts were compared");
}

#[test]
fn a_pod_is_what_the_golden_files_say() {
    for (path, told, bytes) in golden("pod-") {
        let pod = Pod::from_protobuf(bytes);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        assert_eq!(pod.name(), text(&told["metadata"]["name"]), "{}", path.display());
        assert_eq!(pod.uid(), text(&told["metadata"]["uid"]), "{}", path.display());
        assert_eq!(pod.namespace(), text(&told["metadata"]["namespace"]), "{}", path.display());
        assert_texts(pod.labels(), &told["metadata"]["labels"], &path);
        assert_texts(pod.annotations(), &told["metadata"]["annotations"], &path);
        assert_texts(pod.node_selector(), &told["spec"]["nodeSelector"], &path);
        let containers = told["spec"]["containers"].as_array().unwrap();
        assert_eq!(pod.containers().count(), containers.len(), "{}", path.display());
        for (ours, told) in pod.containers().zip(containers) {
            assert_eq!(ours.name(), told["name"], "{}", path.display());
            assert_quantities(ours.requests(), &told["resources"]["requests"], &path);
            assert_quantities(ours.limits(), &told["resources"]["limits"], &path);
        }
    }
}
