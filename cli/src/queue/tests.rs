use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::rows::Queues;
use super::view::draw;
use crate::draw::Paint;
use crate::gangs::Gangs;

/// A gated pod that asks for GPUs; `more` is merged into its metadata's annotations and labels.
fn pod(name: &str, minute: u32, priority: i32, gang: Option<&str>, told: Option<(&str, &str)>) -> Pod {
    let mut labels = json!({ "weir.dev/pool": "research" });
    let mut annotations = json!({ "weir.dev/pool": "research" });
    if let Some(gang) = gang {
        labels["weir.dev/gang"] = json!(gang);
        annotations["weir.dev/gang-size"] = json!("3");
        annotations["weir.dev/preemptible"] = json!("true");
    }
    let conditions: Vec<Value> = told
        .map(|(reason, message)| {
            json!({ "type": "weir.dev/Admitted", "status": "False", "reason": reason, "message": message,
                "lastTransitionTime": "2026-01-01T00:30:00Z" })
        })
        .into_iter()
        .collect();
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "team", "uid": format!("uid-{name}"), "labels": labels,
            "annotations": annotations, "creationTimestamp": format!("2026-01-01T00:{minute:02}:00Z") },
        "spec": { "priority": priority, "schedulingGates": [{ "name": "weir.dev/admission" }],
            "containers": [{ "name": "c", "resources": { "requests": { "nvidia.com/gpu": "2" } } }] },
        "status": { "conditions": conditions },
    }))
    .unwrap()
}

fn pods() -> Vec<Pod> {
    let gang = Some(("WaitingForGang", "2 of 3 members are there"));
    let mut admitted = pod("runs", 0, 9, None, None);
    admitted.spec.as_mut().unwrap().scheduling_gates = None;
    vec![
        pod("late", 20, 0, None, Some(("WaitingForQuota", "asks for 2"))),
        pod("train-1", 15, 0, Some("train"), gang),
        pod("urgent", 29, 5, None, None),
        pod("train-0", 10, 0, Some("train"), gang),
        pod("early", 5, 0, None, Some(("WaitingForQuota", "asks for 2"))),
        admitted,
    ]
}

fn queues() -> Queues {
    Queues::of(&pods(), &Gangs::default(), &Default::default())
}

#[test]
fn the_queue_is_in_order_of_priority_then_creation_and_a_gang_stands_where_its_first_member_does() {
    let expected = "\
research  3 pods waiting, 1 gang waiting
  #  NAME                   PRIORITY       ASKS FOR          WAITS  REASON           IN NUMBERS
  1  team/urgent            5              2 nvidia.com/gpu  1m0s   -                not looked at yet; is weir-admission running?
  2  team/early             0              2 nvidia.com/gpu  25m0s  WaitingForQuota  asks for 2
  3  team/train (gang 2/3)  0 preemptible  4 nvidia.com/gpu  20m0s  WaitingForGang   2 of 3 members are there
  and 1 more; --first 0 shows all
";
    let now: Timestamp = "2026-01-01T00:30:00Z".parse().unwrap();
    assert_eq!(draw(&queues(), 3, now, Paint::Plain), expected);
}

#[test]
fn an_entry_keeps_its_place_when_only_one_namespace_is_shown() {
    let mut queues = queues();
    queues.queues[0].waiting[2].namespace = "other".to_owned();
    queues.keep("other");
    assert_eq!(queues.queues[0].waiting.iter().map(|entry| entry.position).collect::<Vec<_>>(), [3]);
    queues.keep("empty");
    assert_eq!(draw(&queues, 0, Timestamp::UNIX_EPOCH, Paint::Plain), "no pod waits for admission\n");
}

#[test]
fn json_says_the_same_with_whole_numbers() {
    let answer = serde_json::to_value(queues()).unwrap();
    assert_eq!(
        answer["queues"][0]["waiting"][2],
        json!({ "position": 3, "namespace": "team", "name": "train", "gang": { "created": 2, "size": 3, "admitted": 0, "placed": 0 },
            "priority": 0, "preemptible": true, "asks": { "nvidia.com/gpu": 4 }, "created": "2026-01-01T00:10:00Z",
            "reason": "WaitingForGang", "message": "2 of 3 members are there" })
    );
}

#[test]
fn a_member_that_comes_late_shows_how_far_its_gang_has_come() {
    let gang = json!({ "apiVersion": "weir.dev/v1alpha1", "kind": "Gang",
        "metadata": { "name": "train", "namespace": "team" }, "spec": { "size": 8, "pool": "research" },
        "status": { "created": 8, "admitted": 7, "placed": 6 } });
    let gangs = Gangs::of([serde_json::from_value(gang).unwrap()]);
    let queues = Queues::of(&[pod("train-7", 0, 0, Some("train"), None)], &gangs, &Default::default());
    let page = draw(&queues, 0, Timestamp::UNIX_EPOCH, Paint::Plain);
    assert!(page.contains("  team/train (gang 8/8, 7 admitted, 6 placed)  "), "{page}");
}

#[test]
fn the_pods_of_a_ray_cluster_that_announce_nothing_stand_in_one_place() {
    let gang = json!({ "apiVersion": "weir.dev/v1alpha1", "kind": "Gang",
        "metadata": { "name": "tune", "namespace": "team" }, "spec": { "size": 3, "pool": "research" },
        "status": { "created": 2, "admitted": 0, "placed": 0 } });
    let pods = ["tune-head", "tune-worker"].map(|name| {
        let mut pod = pod(name, 0, 0, None, Some(("WaitingForGang", "2 of 3 members are there")));
        pod.metadata.owner_references = serde_json::from_value(json!([{ "apiVersion": "ray.io/v1",
            "kind": "RayCluster", "name": "tune", "uid": "u", "controller": true }]))
        .unwrap();
        pod
    });
    let stands = |gangs: Gangs| {
        let queues = Queues::of(&pods, &gangs, &Default::default());
        queues.queues[0].waiting.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(stands(Gangs::of([serde_json::from_value(gang).unwrap()])), ["tune"]);
    assert_eq!(stands(Gangs::default()), ["tune-head", "tune-worker"], "no Gang object makes a gang of them");
}
