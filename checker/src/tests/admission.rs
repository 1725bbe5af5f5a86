//! Histories of admissions as the watch would tell them, and what is found in them.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use weir_api::pod::Figure;
use weir_api::{AdmissionRound, ResourcePool};

use crate::promises::{of_admission, recomputed};
use crate::{Checker, Violation};

/// A pod of one GPU in pool `research`, at every stage of its life.
#[derive(Clone)]
struct Life {
    name: &'static str,
    gang: Option<(&'static str, usize)>,
    preemptible: bool,
}

impl Life {
    fn new(name: &'static str) -> Self {
        Self { name, gang: None, preemptible: true }
    }

    fn of_gang(name: &'static str, gang: &'static str, size: usize) -> Self {
        Self { gang: Some((gang, size)), ..Self::new(name) }
    }

    fn waits(&self) -> Pod {
        self.pod(json!([{ "name": "weir.dev/admission" }]), json!({}), Value::Null)
    }

    /// Admitted on these grounds and figures.
    fn admitted(&self, grounds: &str, record: &Value) -> Pod {
        let annotations = json!({ "weir.dev/admitted-as": grounds, "weir.dev/decided-on": record.to_string() });
        let told = json!([{ "type": "weir.dev/Admitted", "status": "True", "reason": grounds }]);
        self.pod(Value::Null, annotations, told)
    }

    fn pod(&self, gates: Value, more: Value, conditions: Value) -> Pod {
        let mut labels = json!({ "weir.dev/pool": "research" });
        let mut annotations = more;
        annotations["weir.dev/pool"] = json!("research");
        annotations["weir.dev/preemptible"] = json!(self.preemptible.to_string());
        if let Some((gang, size)) = self.gang {
            labels["weir.dev/gang"] = json!(gang);
            annotations["weir.dev/gang-size"] = json!(size.to_string());
        }
        serde_json::from_value(json!({
            "metadata": { "name": self.name, "namespace": "team", "uid": format!("uid-{}", self.name), "labels": labels,
                "annotations": annotations },
            "spec": { "schedulingGates": gates,
                "containers": [{ "name": "c", "resources": { "requests": { "nvidia.com/gpu": "1" } } }] },
            "status": { "conditions": conditions },
        }))
        .unwrap()
    }
}

/// The record of a round in which the pool was entitled to 4 and used this much.
fn record(round: u64, pods: usize, usage: u64) -> Value {
    record_of(7, round, pods, usage)
}

fn record_of(epoch: i64, round: u64, pods: usize, usage: u64) -> Value {
    let figure = |pool: &str| json!({ "pool": pool, "resource": "nvidia.com/gpu", "entitlement": 4, "usage": usage, "asked": pods });
    json!({ "epoch": epoch, "round": round, "pods": pods, "figures": [figure("research"), figure("labs")] })
}

/// ```text
/// labs 4
/// └ research 2
/// ```
fn checker() -> Checker {
    let mut checker = Checker::new(of_admission(&[]));
    for (name, parent, reserved) in [("labs", None, "4"), ("research", Some("labs"), "2")] {
        let resources = json!([{ "name": "nvidia.com/gpu", "reservation": reserved }]);
        let spec = serde_json::from_value(json!({ "parent": parent, "resources": resources })).unwrap();
        checker.pool_seen(&ResourcePool::new(name, spec));
    }
    checker
}

fn told(found: Vec<Violation>) -> Vec<String> {
    found.iter().map(ToString::to_string).collect()
}

/// What is found in a history that is told in this order, and when it is over.
fn found(history: &[Pod]) -> Vec<String> {
    let mut checker = checker();
    let mut found: Vec<Violation> = history.iter().flat_map(|pod| checker.pod_seen(pod)).collect();
    found.extend(checker.settled());
    told(found)
}

#[test]
fn a_history_as_it_should_be_breaks_nothing() {
    let (alone, a, b) = (Life::new("alone"), Life::of_gang("a", "g", 2), Life::of_gang("b", "g", 2));
    let gang = record(2, 2, 1);
    assert_eq!(
        found(&[
            alone.waits(),
            a.waits(),
            b.waits(),
            alone.admitted("WithinEntitlement", &record(1, 1, 0)),
            a.admitted("WithinEntitlement", &gang),
            b.admitted("WithinEntitlement", &gang),
            b.admitted("WithinEntitlement", &gang),
        ]),
        [""; 0]
    );
}

#[test]
fn a_gate_that_goes_without_grounds_was_removed_by_somebody_else() {
    let pod = Life::new("p");
    let alone = |after: Pod| found(&[pod.waits(), after]);
    assert_eq!(
        alone(pod.pod(Value::Null, json!({}), Value::Null)),
        ["B1a broken: team/p: its gate went and nothing says on what grounds"]
    );
    let mut strange = pod.admitted("WithinEntitlement", &record(1, 1, 0));
    strange.metadata.annotations.as_mut().unwrap().insert("weir.dev/admitted-as".into(), "Bribed".into());
    assert_eq!(alone(strange), ["B1a broken: team/p: its gate went on grounds that are none of the contract's"]);
    let mut unrecorded = pod.admitted("WithinEntitlement", &record(1, 1, 0));
    unrecorded.metadata.annotations.as_mut().unwrap().remove("weir.dev/decided-on");
    assert_eq!(alone(unrecorded), ["B1a broken: team/p: WithinEntitlement, and nothing says on what figures"]);
}

#[test]
fn nobody_goes_beyond_the_entitlement_that_it_was_decided_on_unless_it_says_so() {
    let pod = Life::new("p");
    let with = |grounds: &str| found(&[pod.waits(), pod.admitted(grounds, &record(1, 1, 4))]);
    let beyond = "B3 broken: team/p: \"research\" used 4 nvidia.com/gpu and was entitled to 4; 1 came on top";
    assert_eq!(with("WithinEntitlement"), [beyond]);
    assert_eq!(with("Replacement"), [beyond]);
    for exception in ["OnLoan", "NotEnforced", "Released"] {
        assert_eq!(with(exception), [""; 0], "{exception}");
    }
    let mut other = record(1, 1, 0);
    other["figures"] = json!([]);
    assert_eq!(
        found(&[pod.waits(), pod.admitted("WithinEntitlement", &other)]),
        ["B3 broken: team/p: the record has no figure of its pool \"research\""]
    );
}

#[test]
fn what_is_free_is_given_once_in_a_round() {
    let (a, b) = (Life::new("a"), Life::new("b"));
    let history = |second: Value| {
        let first = a.admitted("WithinEntitlement", &record(1, 1, 1));
        found(&[a.waits(), b.waits(), first, b.admitted("WithinEntitlement", &second)])
    };
    let twice = "was given to uid-a as well, in the same round";
    let [one] = history(record(1, 1, 1)).try_into().unwrap();
    assert!(
        one.starts_with("B5a broken: team/b: nvidia.com/gpu of \"research\" from 1 to 2") && one.ends_with(twice),
        "{one}"
    );
    assert_eq!(history(record(1, 1, 2)), [""; 0], "the next in the round starts where the first ended");
    assert_eq!(history(record(2, 1, 1)), [""; 0], "a pod ended between the rounds");
}

#[test]
fn pods_of_one_ray_cluster_share_what_they_were_decided_on_and_nobody_else_does() {
    let made_by = |pod: Pod, cluster: &str| {
        let owner = json!([{ "apiVersion": "ray.io/v1", "kind": "RayCluster", "name": cluster, "uid": cluster,
            "controller": true }]);
        let mut pod = pod;
        pod.metadata.owner_references = serde_json::from_value(owner).unwrap();
        pod
    };
    let [head, worker] = ["head", "worker"].map(Life::new);
    let both = record(1, 2, 0);
    let history = |of_worker: &str| {
        let admitted = |pod: &Life, cluster: &str| made_by(pod.admitted("WithinEntitlement", &both), cluster);
        found(&[head.waits(), worker.waits(), admitted(&head, "ray"), admitted(&worker, of_worker)])
    };
    assert_eq!(history("ray"), [""; 0]);
    let sentence = "was given to RayCluster team/ray (from 0 on) as well, in the same round";
    assert!(history("other").iter().any(|one| one.ends_with(sentence)), "{:?}", history("other"));
}

#[test]
fn half_a_gang_is_found_when_nothing_more_happens() {
    let [a, b, c] = ["a", "b", "c"].map(|name| Life::of_gang(name, "g", 3));
    let whole = record(1, 3, 0);
    let two = [a.waits(), b.waits(), c.waits(), a.admitted("OnLoan", &whole), b.admitted("OnLoan", &whole)];
    assert_eq!(found(&two), ["B5 broken: team/g: 2 of 3 members that were to go together were admitted"]);
    let mut checker = checker();
    two.iter().for_each(|pod| assert_eq!(told(checker.pod_seen(pod)), [""; 0]));
    checker.pod_gone(&c.waits());
    assert_eq!(told(checker.settled()), [""; 0], "the third was deleted while the gates went");
}

#[test]
fn a_gang_is_not_decided_on_before_all_of_it_is_there_but_a_lost_member_is_replaced_alone() {
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| Life::of_gang(name, "g", 3));
    let half = [a.waits(), a.admitted("WithinEntitlement", &record(1, 1, 0))];
    assert_eq!(found(&half), ["B5 broken: team/g: 1 members were admitted of a gang that announces 3"]);
    let (whole, mut checker) = (record(1, 3, 0), checker());
    let members = [&a, &b, &c];
    for pod in members.map(Life::waits).into_iter().chain(members.map(|one| one.admitted("OnLoan", &whole))) {
        assert_eq!(told(checker.pod_seen(&pod)), [""; 0]);
    }
    checker.pod_gone(&b.admitted("OnLoan", &whole));
    checker.pod_gone(&c.admitted("OnLoan", &whole));
    // Within the entitlement and on loan, and the first of them while the gang is short of another one.
    for (one, grounds, record) in [(d, "OnLoan", record(2, 1, 1)), (e, "Replacement", record(3, 1, 2))] {
        for pod in [one.waits(), one.admitted(grounds, &record)] {
            assert_eq!(told(checker.pod_seen(&pod)), [""; 0]);
        }
        assert_eq!(told(checker.settled()), [""; 0]);
    }
}

#[test]
fn a_gang_that_a_new_leader_finishes_is_whole_and_one_that_it_leaves_is_half() {
    let [a, b] = ["a", "b"].map(|name| Life::of_gang(name, "g", 2));
    let begun = record(1, 2, 0);
    let finishes = json!({ "epoch": 8, "finishes": "what an earlier leader recorded" });
    let waits = [a.waits(), b.waits()];
    let whole = [a.admitted("OnLoan", &begun), b.admitted("OnLoan", &finishes)];
    assert_eq!(found(&[&waits[..], &whole].concat()), [""; 0]);
    let by_one = [a.admitted("OnLoan", &finishes), b.admitted("OnLoan", &finishes)];
    assert_eq!(found(&[&waits[..], &by_one].concat()), [""; 0]);
    let half = "B5 broken: team/g: 1 of 2 members that were to go together were admitted";
    for begun in [&begun, &finishes] {
        assert_eq!(found(&[&waits[..], &[a.admitted("OnLoan", begun)]].concat()), [half]);
    }
}

#[test]
fn nobody_is_admitted_twice_and_no_gang_above_its_size() {
    let pod = Life::new("p");
    let (first, second) = (record(1, 1, 0), record(9, 1, 0));
    let admitted = pod.admitted("WithinEntitlement", &first);
    assert_eq!(
        found(&[pod.waits(), admitted.clone(), pod.admitted("WithinEntitlement", &second)]),
        ["B5a broken: team/p: what it was admitted on was written again after its gate had gone"]
    );
    assert_eq!(
        found(&[pod.waits(), admitted, pod.waits()]),
        ["B5a broken: team/p: it was admitted and has its gate again"]
    );
    let [a, b] = ["a", "b"].map(|name| Life::of_gang(name, "g", 1));
    let history =
        [a.waits(), b.waits(), a.admitted("OnLoan", &record(1, 1, 0)), b.admitted("OnLoan", &record(2, 1, 1))];
    assert_eq!(found(&history), ["B5a broken: team/b: its gang announces 1 members and has 2 admitted ones"]);
}

#[test]
fn what_cannot_be_taken_back_stays_within_the_reservation() {
    let fixed = ["a", "b", "c"].map(|name| Life { preemptible: false, ..Life::new(name) });
    let waits = fixed.iter().map(Life::waits);
    let admitted = fixed.iter().zip(0..).map(|(pod, at)| pod.admitted("WithinEntitlement", &record(at, 1, at)));
    let history: Vec<Pod> = waits.chain(admitted).collect();
    let above = "B4 broken: team/c: it is not preemptible, and with it 3 nvidia.com/gpu of \"research\" cannot be taken \
                 back; 2 are reserved";
    assert_eq!(found(&history), [above]);
    // The same when one has ended before, or when the last was released by hand.
    let mut checker = checker();
    history[..5].iter().for_each(|pod| assert_eq!(told(checker.pod_seen(pod)), [""; 0]));
    let mut ended = history[3].clone();
    ended.status.as_mut().unwrap().phase = Some("Succeeded".into());
    checker.pod_seen(&ended);
    assert_eq!(told(checker.pod_seen(&history[5])), [""; 0]);
    let released = [&history[..5], &[fixed[2].admitted("Released", &json!({ "releasedBy": "ada" }))]].concat();
    assert_eq!(found(&released), [""; 0]);
}

#[test]
fn every_exception_says_so_in_its_condition() {
    let pod = Life::new("p");
    let mut silent = pod.admitted("OnLoan", &record(1, 1, 4));
    silent.status.as_mut().unwrap().conditions = None;
    assert_eq!(
        found(&[pod.waits(), silent.clone()]),
        ["B8 broken: team/p: it was admitted as OnLoan and no condition says so"]
    );
    assert_eq!(found(&[pod.waits(), silent, pod.admitted("OnLoan", &record(1, 1, 4))]), [""; 0], "conditions follow");
    let adopted = pod.pod(Value::Null, json!({}), Value::Null);
    assert_eq!(found(&[adopted]), ["B8 broken: team/p: it was admitted as Adopted and no condition says so"]);
}

#[test]
fn whoever_is_admitted_stood_in_the_record_of_rounds() {
    let round = |uid: &str| -> AdmissionRound {
        let admission = json!({ "namespace": "team", "pool": "research", "reason": "OnLoan", "pods": [uid] });
        AdmissionRound::new("weir", serde_json::from_value(json!({ "epoch": 6, "admissions": [admission] })).unwrap())
    };
    let pod = Life::new("p");
    let history = [pod.waits(), pod.admitted("WithinEntitlement", &record(1, 1, 0))];
    let with = |recorded: &str| {
        let mut checker = checker();
        checker.round_seen(&round(recorded));
        let mut found: Vec<Violation> = history.iter().flat_map(|pod| checker.pod_seen(pod)).collect();
        found.extend(checker.settled());
        told(found)
    };
    assert_eq!(with("uid-p"), [""; 0]);
    assert_eq!(with("uid-q"), ["B5a broken: team/p: its gate went and it never stood in the AdmissionRound"]);
}

#[test]
fn a_recorded_entitlement_that_its_inputs_do_not_give_is_found() {
    let inputs = json!({ "capacity": { "nvidia.com/gpu": 4 }, "pools": [
        { "name": "labs", "resources": { "nvidia.com/gpu": { "reservation": 3 } }, "demand": {} },
        { "name": "web", "resources": { "nvidia.com/gpu": { "reservation": 1 } }, "demand": { "nvidia.com/gpu": 4 } },
    ] });
    let figure = |pool: &str, entitlement: i64| {
        let resource = "nvidia.com/gpu";
        json!({ "pool": pool, "resource": resource, "entitlement": entitlement, "usage": 0, "asked": 1 })
    };
    let figures: Vec<Figure> =
        serde_json::from_value(json!([figure("web", 4), figure("labs", 3), figure("gone", 1), figure("", 4)])).unwrap();
    let unequal = recomputed(&inputs.to_string(), &figures).unwrap();
    assert_eq!(
        unequal.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "\"labs\" was entitled to 3 nvidia.com/gpu; its inputs give 0",
            "\"gone\" was entitled to 1 nvidia.com/gpu; its inputs know no such pool"
        ]
    );
    assert!(recomputed("{}", &[]).unwrap_err().starts_with("capacity: "));
}

#[test]
fn a_second_leader_that_does_not_count_what_the_first_admitted_is_found() {
    let [a, b, c] = ["a", "b", "c"].map(Life::new);
    let waits = [a.waits(), b.waits(), c.waits()];
    let by = |pod: &Life, epoch, round, usage| pod.admitted("WithinEntitlement", &record_of(epoch, round, 1, usage));
    let right = [by(&a, 7, 9, 0), by(&b, 8, 1, 1), by(&c, 8, 2, 2)];
    assert_eq!(found(&[&waits[..], &right].concat()), [""; 0]);
    let blind = [by(&a, 7, 9, 0), by(&b, 8, 1, 0)];
    let sentence = |pod: &str| {
        format!(
            "B5a broken: team/{pod}: \"research\" used at least 1 nvidia.com/gpu when round 1 of epoch 8 was decided, \
             which took it for 0"
        )
    };
    assert_eq!(found(&[&waits[..], &blind].concat()), [sentence("b")]);
    let [first, second] = blind;
    assert_eq!(
        found(&[&waits[..], &[second.clone(), first.clone()]].concat()),
        [sentence("a")],
        "gates go in any order"
    );
    // A pod that has ended before is used no more.
    let mut checker = checker();
    waits.iter().chain([&first]).for_each(|pod| assert_eq!(told(checker.pod_seen(pod)), [""; 0]));
    checker.pod_gone(&first);
    assert_eq!(told(checker.pod_seen(&second)), [""; 0]);
}

#[test]
fn an_entitlement_that_does_not_follow_from_what_its_round_says_is_found() {
    let gpu = "nvidia.com/gpu";
    let inputs = |capacity: u64| {
        let pools = json!([{ "name": "labs", "resources": {}, "demand": {} },
            { "name": "research", "parent": "labs", "resources": {}, "demand": { gpu: 4 } }]);
        json!({ "capacity": { gpu: capacity }, "pools": pools }).to_string()
    };
    let pod = Life::new("p");
    let with = |inputs: Option<String>| {
        let admission = json!({ "namespace": "team", "pool": "research", "reason": "OnLoan", "pods": ["uid-p"] });
        let spec = json!({ "epoch": 7, "admissions": [admission], "inputs": inputs });
        let mut checker = checker();
        checker.round_seen(&AdmissionRound::new("weir", serde_json::from_value(spec).unwrap()));
        for pod in [pod.waits(), pod.admitted("WithinEntitlement", &record(1, 1, 0))] {
            assert_eq!(told(checker.pod_seen(&pod)), [""; 0]);
        }
        told(checker.settled())
    };
    assert_eq!(with(Some(inputs(4))), [""; 0]);
    let sentence = "A6 broken: team/p: \"research\" was entitled to 4 nvidia.com/gpu; its inputs give 3";
    assert_eq!(with(Some(inputs(3))), [sentence]);
    assert_eq!(with(None), ["A6 broken: team/p: round 7 does not say what it was decided on"]);
}
