use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use serde_json::{Value, json};
use weir_api::condition::Waiting;
use weir_api::{Gang, ResourcePool};

use super::answer::Explained;
use super::read::Seen;
use super::view::draw;
use crate::draw::Paint;
use crate::pools::Tree;

/// ```text
/// labs 60        uses 60 of 60
/// └ vision 40    uses 38 of 40
/// ```
fn tree() -> Tree {
    let pool = |name: &str, parent: Value, reserved: i64, used: i64| -> ResourcePool {
        serde_json::from_value(json!({
            "apiVersion": "weir.dev/v1alpha1", "kind": "ResourcePool", "metadata": { "name": name },
            "spec": { "parent": parent, "resources": [{ "name": "nvidia.com/gpu", "reservation": reserved.to_string() }] },
            "status": { "resources": [{ "name": "nvidia.com/gpu", "entitlement": reserved.to_string(),
                "usage": used.to_string(), "demand": "8", "borrowed": "0" }] },
        }))
        .unwrap()
    };
    Tree::of(&[pool("labs", Value::Null, 60, 60), pool("vision", json!("labs"), 40, 38)])
}

fn pod(name: &str, gated: bool, reason: &str, message: &str) -> Pod {
    let gates = if gated { json!([{ "name": "weir.dev/admission" }]) } else { json!([]) };
    let status = if gated { "False" } else { "True" };
    let mut pod = json!({
        "metadata": { "name": name, "namespace": "team", "uid": name, "labels": { "weir.dev/pool": "vision" },
            "annotations": { "weir.dev/pool": "vision" }, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "schedulingGates": gates,
            "containers": [{ "name": "c", "resources": { "requests": { "nvidia.com/gpu": "8" } } }] },
        "status": { "conditions": [{ "type": "weir.dev/Admitted", "status": status, "reason": reason,
            "message": message, "lastTransitionTime": "2026-01-01T00:10:00Z" }] },
    });
    if !gated {
        pod["spec"]["nodeName"] = json!("n1");
        pod["metadata"]["annotations"]["weir.dev/admitted-as"] = json!("OnLoan");
        pod["metadata"]["annotations"]["weir.dev/decided-on"] = json!(
            r#"{"epoch":7,"round":2,"pods":1,"figures":[{"pool":"vision","resource":"nvidia.com/gpu","entitlement":40,"usage":38,"asked":8},{"pool":"labs","resource":"nvidia.com/gpu","entitlement":60,"usage":70,"beyond":20,"asked":8}]}"#
        );
        pod["metadata"]["annotations"]["weir.dev/placed-by"] =
            json!(r#"{"BinPackScore":"sha256:2c3d2c3d2c3d2c3d","GPUFilter":"sha256:0a1b0a1b0a1b0a1b"}"#);
    }
    serde_json::from_value(pod).unwrap()
}

fn explained(pod: Pod, events: Vec<Event>) -> Explained {
    Explained::of(&Seen::Pod { pod: Box::new(pod), gang: None, siblings: vec![], events }, &tree(), &Default::default())
}

fn page(explained: &Explained) -> String {
    draw(explained, "2026-01-01T00:30:00Z".parse::<Timestamp>().unwrap(), Paint::Plain)
}

#[test]
fn a_waiting_pod_says_where_it_stands_what_is_missing_and_what_to_do() {
    let event: Event =
        serde_json::from_value(json!({ "metadata": {}, "involvedObject": {}, "reason": "WaitingForQuota",
        "message": "asks for 8", "lastTimestamp": "2026-01-01T00:10:00Z", "reportingComponent": "weir-admission" }))
        .unwrap();
    let expected = "\
Pod team/train-0 waits for admission
  pool       vision ← labs ← cluster
  asks for   8 nvidia.com/gpu
  priority   0, not preemptible
  gates      weir.dev/admission
room
  vision: 38 of 40 nvidia.com/gpu used, 40 reserved  6 short
  labs: 60 of 60 nvidia.com/gpu used, 60 reserved  8 short
conditions
   20m0s  weir.dev/Admitted=False  WaitingForQuota  asks for 8
events
   20m0s  WaitingForQuota  asks for 8  (weir-admission)
what would have to change
  • 6 nvidia.com/gpu have to become free in pool vision: it uses 38 of the 40 that it is entitled to
  • 8 nvidia.com/gpu have to become free in pool labs: it uses 60 of the 60 that it is entitled to
  • it goes when others in vision end or the entitlement grows; a larger spec.resources[].reservation of vision \
makes it sooner, and so does a higher priority than those before it (kubectl weir queue vision)
";
    assert_eq!(page(&explained(pod("train-0", true, "WaitingForQuota", "asks for 8"), vec![event])), expected);
}

#[test]
fn an_admitted_pod_says_on_what_it_was_decided() {
    let explained = explained(pod("train-0", false, "OnLoan", "lent"), vec![]);
    let text = page(&explained);
    assert!(text.starts_with("Pod team/train-0 is placed on n1\n"), "{text}");
    assert!(text.contains("decided on (epoch 7)\n  vision: 38 used + 8 asked, 40 nvidia.com/gpu entitled\n"), "{text}");
    let lent =
        "  labs: 70 used (20 of it beyond what was due below and not counted) + 8 asked, 60 nvidia.com/gpu entitled\n";
    assert!(text.contains(lent), "{text}");
    assert!(text.contains("  placed by  BinPackScore 2c3d2c3d2c3d, GPUFilter 0a1b0a1b0a1b\n"), "{text}");
    assert!(text.contains("  • it runs on loan"), "{text}");
    assert!(!text.contains("short"), "it misses nothing: {text}");
}

#[test]
fn a_gang_counts_together_and_says_how_many_members_are_missing() {
    let gang: Gang = serde_json::from_value(json!({ "apiVersion": "weir.dev/v1alpha1", "kind": "Gang",
        "metadata": { "name": "train" }, "spec": { "size": 8, "pool": "vision" },
        "status": { "created": 2, "admitted": 0, "placed": 0 } }))
    .unwrap();
    let members = ["train-0", "train-1"].map(|name| pod(name, true, "WaitingForGang", "2 of 8 members are there"));
    let seen = Seen::Gang {
        namespace: "team".into(),
        name: "train".into(),
        object: Some(Box::new(gang)),
        members: members.into(),
        events: vec![],
    };
    let explained = Explained::of(&seen, &tree(), &Default::default());
    let text = page(&explained);
    assert!(text.contains("  asks for   16 nvidia.com/gpu\n"), "{text}");
    assert!(text.contains("  gang       train: 2/8 created, 0 admitted, 0 placed\n"), "{text}");
    assert!(text.contains("  • create the missing 6 of 8 members"), "{text}");
    assert_eq!(serde_json::to_value(&explained).unwrap()["stands"], json!({ "is": "Waiting" }));
}

#[test]
fn a_gang_of_which_some_have_no_node_says_how_many_are_placed_and_which_are_not() {
    let gang: Gang = serde_json::from_value(json!({ "apiVersion": "weir.dev/v1alpha1", "kind": "Gang",
        "metadata": { "name": "train" }, "spec": { "size": 8, "pool": "vision" },
        "status": { "created": 8, "admitted": 8, "placed": 7 } }))
    .unwrap();
    let mut members: Vec<Pod> =
        (0..8).map(|at| pod(&format!("train-{at}"), false, "WithinEntitlement", "vision used 0")).collect();
    members[3].spec.as_mut().unwrap().node_name = None;
    let unschedulable = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/9 nodes are available", "lastTransitionTime": "2026-01-01T00:20:00Z" });
    let conditions = members[3].status.as_mut().unwrap().conditions.as_mut().unwrap();
    conditions.push(serde_json::from_value(unschedulable).unwrap());
    let (namespace, name) = ("team".to_owned(), "train".to_owned());
    let seen = Seen::Gang { namespace, name, object: Some(Box::new(gang)), members, events: vec![] };
    let explained = Explained::of(&seen, &tree(), &Default::default());
    let text = page(&explained);
    assert!(text.starts_with("Gang team/train is admitted and waits for a node\n"), "{text}");
    assert!(text.contains("  gang       train: 8/8 created, 8 admitted, 7 placed\n"), "{text}");
    assert!(text.contains("  • 7 of 8 placed, no node yet for train-3: "), "{text}");
    assert!(text.contains("PodScheduled=False  Unschedulable  0/9 nodes are available\n"), "{text}");
    assert_eq!(serde_json::to_value(&explained).unwrap()["gang"]["withoutNode"], json!(["train-3"]));
}

#[test]
fn every_reason_says_what_to_do() {
    for reason in Waiting::ALL {
        let explained = explained(pod("p", true, reason.as_str(), ""), vec![]);
        assert!(!explained.what_to_do.is_empty(), "{reason}");
    }
}

#[test]
fn a_pool_that_does_not_exist_is_said_to_be_missing() {
    let mut lost = pod("p", true, "PoolNotFound", "there is no pool");
    lost.metadata.annotations.as_mut().unwrap().insert("weir.dev/pool".into(), "gone".into());
    assert!(page(&explained(lost, vec![])).contains("  pool       gone, which does not exist\n"));
}
