use serde_json::{Value, json};
use weir_api::ResourcePool;

use super::rows::Tree;
use super::view::draw;
use crate::draw::Paint;

fn pool(name: &str, parent: Option<&str>, spec: Value, status: Value) -> ResourcePool {
    let mut spec = spec;
    spec["parent"] = json!(parent);
    serde_json::from_value(json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "ResourcePool",
        "metadata": { "name": name, "generation": 3 }, "spec": spec, "status": status,
    }))
    .unwrap()
}

fn reserves(gpus: i64) -> Value {
    json!({ "resources": [{ "name": "nvidia.com/gpu", "reservation": gpus.to_string() }] })
}

/// Entitled to, used, asked for, borrowed.
fn gpus([entitlement, usage, demand, borrowed]: [i64; 4], trace: Value, pods: [i64; 2]) -> Value {
    let text = |number: i64| number.to_string();
    json!({
        "observedGeneration": 3, "pending": pods[0], "admitted": pods[1],
        "conditions": [{ "type": "Ready", "status": "True", "reason": "InTree", "message": "takes part",
            "lastTransitionTime": "2026-01-01T00:00:00Z" }],
        "resources": [{ "name": "nvidia.com/gpu", "entitlement": text(entitlement), "usage": text(usage),
            "demand": text(demand), "borrowed": text(borrowed), "trace": trace }],
    })
}

fn trace(from_reservation: i64, lenders: Value, capped: &str) -> Value {
    json!({ "nonPreemptible": "0", "fromReservation": from_reservation.to_string(), "surplus": "0", "borrowed": "0",
        "spread": "0", "borrowedFrom": lenders, "cappedBy": capped })
}

/// ```text
/// cluster 100
/// ├ labs 60          uses 70 of 80, 20 of it borrowed from web
/// │ ├ language 20
/// │ └ vision 40
/// └ web 40           uses 20 of 20, lends 20
/// lost               its parent does not exist
/// ```
fn objects() -> Vec<ResourcePool> {
    let lent = json!([{ "pool": "web", "amount": "20" }]);
    let missing = json!({ "observedGeneration": 2, "conditions": [{ "type": "Ready", "status": "False",
        "reason": "ParentNotFound", "message": "there is no pool \"gone\"", "lastTransitionTime": "2026-01-01T00:00:00Z" }] });
    let mut held = reserves(40);
    held["state"] = json!("Hold");
    vec![
        pool("web", None, reserves(40), gpus([20, 20, 0, 0], trace(20, json!([]), "nothing"), [0, 5])),
        pool("vision", Some("labs"), held, gpus([60, 50, 30, 20], trace(40, lent.clone(), "the pool above"), [9, 7])),
        pool("language", Some("labs"), reserves(20), gpus([20, 20, 0, 0], trace(20, json!([]), "nothing"), [0, 3])),
        pool("labs", None, reserves(60), gpus([80, 70, 30, 20], trace(60, lent, "the pool above"), [9, 10])),
        pool("lost", Some("gone"), json!({}), missing),
    ]
}

#[test]
fn the_tree_shows_states_then_each_resource_with_bars_on_one_scale() {
    let expected = "\
pods          waiting  admitted
cluster             9        15
├ labs              9        10
│ ├ language        0         3
│ └ vision          9         7  Hold: takes nothing new
├ lost              0         0  ParentNotFound: there is no pool \"gone\"; not looked at yet as it is now; is weir-admission running?
└ web               0         5

nvidia.com/gpu                                  reserved  entitled  used  demand  borrowed
cluster         ████████████████████████▓▓▓░░░       100       100    90      30         0
├ labs          ██████████████████▓▓▓░░░              60        80    70      30        20  borrows 20 from web; 20 short of its demand, held by the pool above
│ ├ language    ██████                                20        20    20       0         0
│ └ vision      ████████████▓▓▓░░░                    40        60    50      30        20  borrows 20 from web; 20 short of its demand, held by the pool above
├ lost                                                 -         0     0       0         0
└ web           ██████                                40        20    20       0         0

█ used, guaranteed  ▓ used, borrowed  ░ entitled and free
";
    assert_eq!(draw(&Tree::of(&objects()), Paint::Plain), expected);
}

#[test]
fn one_pool_is_shown_with_what_is_below_it_and_one_resource_alone() {
    let tree = Tree::of(&objects()).below("labs").unwrap();
    let names: Vec<_> = tree.pools.iter().map(|row| (row.name.as_str(), row.depth)).collect();
    assert_eq!(names, [("labs", 0), ("language", 1), ("vision", 1)]);
    let mut tree = Tree::of(&objects());
    assert_eq!(
        tree.keep(&["cpu".to_owned()]).unwrap_err().to_string(),
        "--resource cpu: no pool lists, uses or waits for it; there are nvidia.com/gpu"
    );
    assert_eq!(
        Tree::of(&objects()).below("lab").unwrap_err().to_string(),
        "there is no pool \"lab\"; there are labs, language, vision, lost, web"
    );
}

#[test]
fn pools_that_lead_round_in_a_circle_are_all_shown() {
    let circle =
        [("a", "b"), ("b", "c"), ("c", "a")].map(|(name, parent)| pool(name, Some(parent), json!({}), json!({})));
    let tree = Tree::of(&circle);
    assert_eq!(tree.pools.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["a", "c", "b"]);
    assert_eq!(tree.path("b").len(), 3);
    assert!(draw(&tree, Paint::Plain).contains("└ a"));
}

#[test]
fn json_has_whole_numbers_in_base_units() {
    let answer = serde_json::to_value(Tree::of(&objects())).unwrap();
    let vision = &answer["pools"][2];
    assert_eq!((&vision["name"], &vision["parent"], &vision["pending"]), (&json!("vision"), &json!("labs"), &json!(9)));
    assert_eq!(
        vision["resources"]["nvidia.com/gpu"],
        json!({ "reservation": 40, "entitlement": 60, "usage": 50, "demand": 30, "borrowed": 20, "guaranteed": 40,
            "borrowedFrom": { "web": 20 }, "cappedBy": "the pool above" })
    );
}

#[test]
fn without_pools_the_command_says_how_to_make_one() {
    assert!(draw(&Tree::of(&[]), Paint::Plain).starts_with("there are no pools; kubectl apply a ResourcePool"));
}

#[test]
fn what_leaves_use_beyond_what_is_due_to_them_is_told_of_their_ancestors() {
    let figures = |numbers| gpus(numbers, trace(0, json!([]), ""), [0, 0]);
    let tree = Tree::of(&[
        pool("org", None, reserves(40), figures([40, 60, 0, 0])),
        pool("lab", Some("org"), reserves(30), figures([30, 52, 0, 0])),
        pool("train", Some("lab"), reserves(10), figures([20, 50, 0, 0])),
        pool("serve", Some("lab"), reserves(10), figures([10, 2, 0, 0])),
        pool("other", Some("org"), reserves(10), figures([10, 8, 0, 0])),
    ]);
    let beyond = |name| tree.beyond(name, "nvidia.com/gpu").units();
    assert_eq!(["org", "lab", "train", "serve"].map(beyond), [30, 30, 0, 0]);
    assert_eq!(tree.beyond("org", "cpu").units(), 0);
}
