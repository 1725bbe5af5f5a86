//! Histories of evictions, and what is found in them.

use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use weir_api::{AdmissionRound, ResourcePool};

use crate::Checker;
use crate::promises::{EvictedOnce, ForSomebody, ReasonFirst};

/// A pod of research as the watch tells it, with these conditions.
fn pod(name: &str, conditions: Value) -> Pod {
    let labels = json!({ "weir.dev/pool": "research" });
    let annotations = json!({ "weir.dev/pool": "research", "weir.dev/admitted-as": "WithinEntitlement" });
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "team", "uid": name, "labels": labels, "annotations": annotations },
        "spec": { "containers": [] },
        "status": { "conditions": conditions },
    }))
    .unwrap()
}

/// A pod of production that waits.
fn waits(name: &str) -> Pod {
    let gates = json!([{ "name": "weir.dev/admission" }]);
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "team", "uid": name },
        "spec": { "containers": [], "schedulingGates": gates },
    }))
    .unwrap()
}

fn said(status: &str, reason: &str) -> Value {
    json!({ "type": "weir.dev/Preempted", "status": status, "reason": reason, "message": "because" })
}

fn taken() -> Value {
    json!({ "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI" })
}

fn why() -> Value {
    said("True", "Reclaimed")
}

/// The record in which these go for pod `prod`.
fn round(victims: &[&str]) -> AdmissionRound {
    let victim =
        |uid: &&str| json!({ "uid": uid, "namespace": "team", "name": uid, "pool": "research", "claimant": "prod" });
    let claim = json!([{ "claimant": ["prod"], "pool": "production", "victims": victims }]);
    let victims: Vec<Value> = victims.iter().map(victim).collect();
    let claims = if victims.is_empty() { json!([]) } else { claim };
    AdmissionRound::new(
        "weir",
        serde_json::from_value(json!({ "epoch": 1, "claims": claims, "victims": victims })).unwrap(),
    )
}

/// The pool of the claimant, entitled to so much.
fn pool(entitled: &str) -> ResourcePool {
    let mut pool = ResourcePool::new("production", serde_json::from_value(json!({})).unwrap());
    let resource = json!({ "name": "cpu", "entitlement": entitled, "usage": "0", "demand": "0", "borrowed": "0" });
    pool.status = Some(serde_json::from_value(json!({ "resources": [resource] })).unwrap());
    pool
}

/// A checker of these three promises, with what it found so far.
struct Judge(Checker, Vec<String>);

impl Judge {
    fn new() -> Self {
        let mut judge = Self(
            Checker::new(vec![
                Box::new(ReasonFirst::default()),
                Box::new(EvictedOnce::default()),
                Box::new(ForSomebody::default()),
            ]),
            Vec::new(),
        );
        judge.0.pool_seen(&pool("4"));
        judge.sees(&waits("prod"));
        judge
    }

    fn sees(&mut self, pod: &Pod) {
        self.1.extend(self.0.pod_seen(pod).iter().map(ToString::to_string));
    }

    /// A victim says why, is evicted, and is gone.
    fn goes(&mut self, name: &str) {
        self.sees(&pod(name, json!([why()])));
        self.sees(&pod(name, json!([why(), taken()])));
        self.0.pod_gone(&pod(name, json!([why(), taken()])));
    }

    fn finds(mut self) -> Vec<String> {
        self.1.extend(self.0.settled().iter().map(ToString::to_string));
        self.1
    }
}

#[test]
fn an_eviction_with_a_reason_for_somebody_who_is_admitted_then_breaks_nothing() {
    let mut judge = Judge::new();
    judge.0.round_seen(&round(&["a", "b"]));
    judge.goes("a");
    judge.0.round_seen(&round(&["b"]));
    judge.goes("b");
    judge.0.round_seen(&round(&[]));
    judge.sees(&pod("prod", json!([])));
    assert_eq!(judge.finds(), [""; 0]);
}

#[test]
fn a_victim_that_is_evicted_without_a_condition_is_found() {
    for conditions in [json!([taken()]), json!([said("True", "Whim"), taken()])] {
        let mut judge = Judge::new();
        judge.sees(&pod("a", conditions));
        // What comes after the eviction is too late.
        judge.sees(&pod("a", json!([why(), taken()])));
        judge.0.round_seen(&round(&["a"]));
        assert_eq!(judge.finds(), ["C4 broken: team/a: it was evicted, and no condition said why before"]);
    }
    let mut judge = Judge::new();
    judge.sees(&pod("drained-by-hand", json!([taken()])));
    assert_eq!(judge.finds(), [""; 0], "a pod that was no victim was evicted by another client");
}

#[test]
fn an_eviction_for_a_claimant_that_does_not_fit_then_is_found() {
    let carried_out = || {
        let mut judge = Judge::new();
        judge.0.round_seen(&round(&["a", "b"]));
        judge.goes("a");
        judge
    };
    assert_eq!(carried_out().finds(), [""; 0], "a victim still has to go");
    let mut judge = carried_out();
    judge.goes("b");
    let sentence = "C5 broken: team/prod: team/a, team/b went for it, and it was not admitted then";
    assert_eq!(judge.finds(), [sentence]);
    // It is no breach where the claimant went away, or the ground moved.
    let mut judge = carried_out();
    judge.goes("b");
    judge.0.pod_gone(&waits("prod"));
    assert_eq!(judge.finds(), [""; 0]);
    let mut judge = carried_out();
    judge.goes("b");
    judge.0.pool_seen(&pool("3"));
    assert_eq!(judge.finds(), [""; 0], "others ask for what it was entitled to");
    let mut judge = carried_out();
    judge.goes("b");
    judge.0.pool_seen(&pool("5"));
    assert_eq!(judge.finds(), [sentence]);
}

#[test]
fn a_plan_of_which_one_was_refused_may_be_followed_by_another() {
    let mut judge = Judge::new();
    judge.0.round_seen(&round(&["a", "b"]));
    judge.goes("a");
    judge.sees(&pod("b", json!([said("False", "Refused")])));
    judge.0.round_seen(&round(&["c"]));
    judge.goes("c");
    judge.sees(&pod("prod", json!([])));
    judge.0.pod_gone(&pod("b", json!([said("False", "Refused")])));
    assert_eq!(judge.finds(), [""; 0]);
}

#[test]
fn whoever_goes_after_a_plan_was_carried_out_goes_twice_for_one_demand() {
    let mut judge = Judge::new();
    judge.0.round_seen(&round(&["a"]));
    judge.goes("a");
    judge.0.round_seen(&round(&["b", "c"]));
    judge.goes("b");
    judge.goes("c");
    judge.sees(&pod("prod", json!([])));
    assert_eq!(judge.finds(), ["C5 broken: team/prod: team/a went for it, and then 2 more had to go"]);
}

#[test]
fn who_was_admitted_before_and_had_no_node_may_take_what_was_freed() {
    let on = |mut pod: Pod, node: &str| {
        pod.spec.as_mut().unwrap().node_name = Some(node.to_owned());
        pod
    };
    let ending = |node: &str, known: bool| {
        let mut judge = Judge::new();
        judge.sees(&on(pod("a", json!([])), "n1"));
        if known {
            judge.sees(&pod("early", json!([])));
        }
        judge.0.round_seen(&round(&["a"]));
        judge.goes("a");
        judge.sees(&on(pod("early", json!([])), node));
        judge.0.round_seen(&round(&["b"]));
        judge.goes("b");
        judge.sees(&pod("prod", json!([])));
        judge.finds()
    };
    let breach = ["C5 broken: team/prod: team/a went for it, and then 1 more had to go"];
    assert_eq!(ending("n1", true), [""; 0]);
    assert_eq!(ending("n2", true), breach, "it sits elsewhere");
    assert_eq!(ending("n1", false), breach, "it was admitted later");
}

#[test]
fn claimants_of_a_pool_may_change_places() {
    let claims = |claims: &[(&str, &[&str])]| {
        let claim = |(claimant, victims): &(&str, &[&str])| json!({ "claimant": [claimant], "pool": "production", "victims": victims });
        let claims: Vec<Value> = claims.iter().map(claim).collect();
        let spec = json!({ "epoch": 1, "claims": claims, "victims": [] });
        AdmissionRound::new("weir", serde_json::from_value(spec).unwrap())
    };
    let ending = |then: &[&str]| {
        let mut judge = Judge::new();
        judge.sees(&waits("first"));
        judge.0.round_seen(&claims(&[("prod", &["a"]), ("first", &["b"])]));
        judge.goes("a");
        // The one before it took what was freed for it, and it waits for what goes for the other.
        judge.0.round_seen(&claims(&[("prod", then)]));
        then.iter().for_each(|victim| judge.goes(victim));
        judge.sees(&pod("first", json!([])));
        judge.sees(&pod("prod", json!([])));
        judge.finds()
    };
    assert_eq!(ending(&["b"]), [""; 0]);
    assert_eq!(ending(&["b", "c"]), ["C5 broken: team/prod: team/a went for it, and then 1 more had to go"]);
}

#[test]
fn a_node_that_takes_less_moves_the_ground_and_one_that_is_only_heard_of_again_does_not() {
    let node = |cores: &str| -> Node {
        let status = json!({ "allocatable": { "cpu": cores } });
        serde_json::from_value(json!({ "metadata": { "name": "n1" }, "status": status })).unwrap()
    };
    let after = |cores: &str| {
        let mut judge = Judge::new();
        judge.0.node_seen(&node("4"));
        judge.0.round_seen(&round(&["a"]));
        judge.goes("a");
        judge.0.node_seen(&node(cores));
        judge.finds().len()
    };
    assert_eq!([after("4"), after("2")], [1, 0]);
}

#[test]
fn whoever_was_evicted_and_is_recorded_again_is_found() {
    let mut judge = Judge::new();
    judge.0.round_seen(&round(&["a"]));
    judge.sees(&pod("a", json!([why(), taken()])));
    judge.0.round_seen(&round(&[]));
    judge.0.round_seen(&round(&["a"]));
    assert_eq!(judge.finds(), ["C5 broken: team/a: it was to be evicted again after it had been evicted"]);
    // One that was spared in between, and evicted only then, was not.
    let mut judge = Judge::new();
    judge.0.round_seen(&round(&["a"]));
    judge.0.round_seen(&round(&[]));
    judge.0.round_seen(&round(&["a"]));
    judge.sees(&pod("a", json!([why(), taken()])));
    assert_eq!(judge.finds(), [""; 0]);
}
