use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::plan::{Release, Selection, summary};

fn pod(namespace: &str, pool: &str, gates: &[&str]) -> Pod {
    let gates: Vec<Value> = gates.iter().map(|gate| json!({ "name": gate })).collect();
    serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": namespace, "uid": "u", "resourceVersion": "7",
            "annotations": { "weir.dev/pool": pool } },
        "spec": { "containers": [], "schedulingGates": gates },
    }))
    .unwrap()
}

const OURS: &str = "weir.dev/admission";

fn release() -> Release {
    Release { user: "ada".into(), because: Some("sidecar down".into()) }
}

#[test]
fn only_waiting_pods_of_the_selection_are_released() {
    let takes = |namespace: Option<&str>, pools: &[&str], pod: &Pod| {
        let pools = pools.iter().map(|&pool| pool.to_owned()).collect();
        Selection { namespace: namespace.map(str::to_owned), pools }.takes(pod)
    };
    let waits = pod("team", "research", &[OURS]);
    assert!(takes(None, &[], &waits) && takes(Some("team"), &["web", "research"], &waits));
    assert!(!takes(Some("other"), &[], &waits) && !takes(None, &["web"], &waits));
    assert!(!takes(None, &[], &pod("team", "research", &[])));
    assert!(!takes(None, &[], &pod("team", "research", &["example.com/other"])));
}

#[test]
fn our_gate_goes_and_foreign_gates_stay_and_the_pod_says_who_did_it() {
    let patch = release().gate_removal(&pod("team", "research", &["a/b", OURS]));
    assert_eq!(patch["spec"]["schedulingGates"], json!([{ "name": "a/b" }]));
    assert_eq!((&patch["metadata"]["uid"], &patch["metadata"]["resourceVersion"]), (&json!("u"), &json!("7")));
    let annotations = &patch["metadata"]["annotations"];
    assert_eq!(annotations["weir.dev/admitted-as"], "Released");
    assert_eq!(annotations["weir.dev/decided-on"], r#"{"because":"sidecar down","releasedBy":"ada"}"#);
    assert_eq!(release().gate_removal(&pod("team", "research", &[OURS]))["spec"]["schedulingGates"], Value::Null);
}

#[test]
fn condition_and_event_carry_the_reason_released_and_the_same_sentence() {
    let pod = pod("team", "research", &[OURS]);
    let sentence = "released by ada with weir break-glass, whatever its pool is entitled to: sidecar down";
    let condition = &release().condition(&pod)["status"]["conditions"][0];
    assert_eq!((&condition["reason"], &condition["message"]), (&json!("Released"), &json!(sentence)));
    let event = release().event(&pod);
    assert_eq!((event.reason.as_deref(), event.note.as_deref()), (Some("Released"), Some(sentence)));
    assert_eq!(event.type_.as_deref(), Some("Warning"));
}

#[test]
fn the_summary_counts_by_pool() {
    let pods = [pod("a", "research", &[OURS]), pod("b", "web", &[OURS]), pod("c", "research", &[OURS])];
    assert_eq!(
        summary(&pods, "prod"),
        "3 pods wait for admission in cluster prod:\n       2  research\n       1  web\n"
    );
    assert_eq!(summary(&[], "prod"), "no pod waits for admission in cluster prod\n");
}
