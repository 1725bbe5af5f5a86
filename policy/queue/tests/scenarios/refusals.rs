//! Pods whose admission the API server refuses to carry out (B5c): their trouble is their own.

use std::collections::BTreeSet;

use weir_queue::Phase;

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
