//! Decisions that are not carried out: pods whose admission the API server refuses (B5c), and pods that say something
//! else by then (B5b). Their trouble is their own.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_queue::{Decision, Obstacle, Phase, Pod, PodShape, Uid};

use crate::cluster::*;

/// ```text
/// cluster   2 hosts × 8 GPUs = 16
/// └─ a
/// ```
fn one_pool() -> Cluster {
    Cluster::new(vec![pool("a")], gpu_nodes(2, 8))
}

#[test]
fn a_pod_whose_gate_the_api_server_keeps_says_so_backs_off_and_holds_nothing() {
    let mut cluster = one_pool();
    cluster.submit("large", job("a", asks(&[(GPU, 8)])).priority(9).times(2));
    cluster.refused = cluster.jobs["large"].iter().copied().collect();
    cluster.submit("small", job("a", asks(&[(GPU, 8)])).times(2));
    cluster.settle(1);
    assert_eq!([cluster.running("large"), cluster.running("small")], [0, 2], "the others go within the same second");
    let why = "BackingOff: the API server refuses to remove the gate (the pod is invalid: metadata.annotations: Too \
               long); it is tried again in 30 s";
    assert_eq!(cluster.why("large"), [why]);
}

#[test]
fn each_refusal_doubles_the_time_until_the_next_attempt() {
    let mut cluster = one_pool();
    cluster.submit("one", job("a", asks(&[(GPU, 8)])));
    cluster.refused = cluster.jobs["one"].iter().copied().collect();
    let mut attempts = Vec::new();
    for second in 0..400 {
        cluster.step();
        if cluster.decisions.iter().any(|decision| matches!(decision, weir_queue::Decision::Admit(_))) {
            attempts.push(second);
        }
        cluster.step();
        cluster.now = cluster.now.after(std::time::Duration::from_secs(1));
    }
    assert_eq!(attempts, [0, 30, 90, 210]);
    cluster.refused = BTreeSet::new();
    cluster.settle(600);
    assert_eq!(cluster.running("one"), 1);
}

#[test]
fn a_member_that_the_api_server_refuses_is_a_lost_member_and_joins_its_gang_later() {
    let mut cluster = one_pool();
    cluster.submit("gang", job("a", asks(&[(GPU, 2)])).gang(4));
    let last = cluster.jobs["gang"][3];
    cluster.refused = BTreeSet::from([last]);
    cluster.settle(1);
    assert_eq!(cluster.running("gang"), 3, "from the first removal on there is only forward");
    assert_eq!(cluster.used("a", GPU), 6, "the refused member holds nothing");
    cluster.refused = BTreeSet::new();
    cluster.settle(40);
    assert_eq!(cluster.running("gang"), 4);
    assert_eq!(cluster.grounds("gang")[3], weir_queue::Grounds::Replacement);
}

#[test]
fn a_refusal_of_a_pod_that_goes_or_is_admitted_meanwhile_means_nothing() {
    let mut cluster = one_pool();
    cluster.submit("one", job("a", asks(&[(GPU, 8)])));
    cluster.settle(1);
    let uid = cluster.jobs["one"][0];
    let refused = |uid| weir_queue::Event::AdmissionRefused { uid, why: "late".to_owned() };
    cluster.events.push(refused(uid));
    cluster.settle(1);
    assert!(matches!(cluster.pods[&uid].phase, Phase::Admitted(_)));
    assert_eq!(cluster.used("a", GPU), 8);
    cluster.delete(uid);
    cluster.events.push(refused(uid));
    cluster.settle(1);
    assert_eq!(cluster.used("a", GPU), 0);
}

/// Decides without carrying anything out, and returns the pods that are admitted and those whose admission is void.
fn decide(cluster: &mut Cluster) -> (Vec<Uid>, Vec<Uid>) {
    let events = std::mem::take(&mut cluster.events);
    let (mut admitted, mut void) = (Vec::new(), Vec::new());
    for decision in cluster.queue.step(cluster.now, events) {
        match decision {
            Decision::Admit(admission) => admitted.extend(admission.pods.into_iter().map(|(uid, _)| uid)),
            Decision::Void(uids) => void.extend(uids),
            _ => {}
        }
    }
    void.sort_unstable();
    void.dedup();
    (admitted, void)
}

/// What a tenant changes of a pod, and how.
type Change = (&'static str, fn(&mut Pod));

/// What a tenant changes of a pod between the decision and the removal of its gate.
fn changes() -> Vec<Change> {
    let selector = |pod: &mut Pod| {
        let node_selector = [("gpu-node-label-model".to_owned(), "H100".to_owned())].into();
        pod.shape = Arc::new(PodShape { node_selector, ..(*pod.shape).clone() });
    };
    let larger = |pod: &mut Pod| {
        let requests = [(GPU.to_owned(), weir_model::Amount::new(8))].into();
        pod.shape = Arc::new(PodShape { requests, ..(*pod.shape).clone() });
    };
    vec![
        ("its pool", |pod| pod.pool = "closed".into()),
        ("that it is preemptible", |pod| pod.preemptible = !pod.preemptible),
        ("its priority", |pod| pod.priority += 1),
        ("its gang", |pod| pod.gang = None),
        ("its selector", selector),
        ("its requests", larger),
        ("a gate of another controller", |pod| pod.obstacle = Some(Obstacle::OtherGate("a/b".into()))),
    ]
}

#[test]
fn a_decision_is_void_once_the_pod_says_something_else_and_so_is_that_of_its_gang() {
    for (what, change) in changes() {
        let mut cluster = Cluster::new(vec![pool("a"), pool("closed")], gpu_nodes(2, 8));
        cluster.submit("gang", job("a", asks(&[(GPU, 1)])).gang(3));
        cluster.submit("alone", job("a", asks(&[(GPU, 1)])));
        let (gang, alone) = (cluster.jobs["gang"].clone(), cluster.jobs["alone"][0]);
        assert_eq!(decide(&mut cluster).0.len(), 4);
        let mut pod = cluster.pods[&gang[1]].clone();
        change(&mut pod);
        cluster.change(pod);
        let (_, void) = decide(&mut cluster);
        assert_eq!(void, gang, "{what}");
        assert!(cluster.queue.grounds(alone).is_some(), "the other pod is not concerned");
    }
}

#[test]
fn a_decision_stands_while_the_pod_says_what_it_was_decided_on() {
    let mut cluster = one_pool();
    cluster.submit("alone", job("a", asks(&[(GPU, 1)])));
    let pod = cluster.pods[&cluster.jobs["alone"][0]].clone();
    assert_eq!(decide(&mut cluster).0, [pod.uid]);
    cluster.change(pod);
    assert_eq!(decide(&mut cluster), (vec![], vec![]));
}

#[test]
fn a_member_that_changes_after_the_first_gate_went_is_a_lost_member() {
    let mut cluster = Cluster::new(vec![pool("a"), pool("closed")], gpu_nodes(2, 8));
    cluster.submit("gang", job("a", asks(&[(GPU, 1)])).gang(3));
    let gang = cluster.jobs["gang"].clone();
    decide(&mut cluster);
    let mut first = cluster.pods[&gang[0]].clone();
    first.phase = Phase::Admitted(weir_queue::Admitted {
        at: cluster.now,
        grounds: weir_queue::Grounds::WithinEntitlement,
        node: None,
        started: None,
        terminating: None,
    });
    cluster.change(first);
    decide(&mut cluster);
    let mut last = cluster.pods[&gang[2]].clone();
    last.preemptible = !last.preemptible;
    cluster.change(last);
    let (_, void) = decide(&mut cluster);
    assert_eq!(void, [gang[2]]);
    assert!(cluster.queue.grounds(gang[1]).is_some(), "from the first on there is only forward");
}
