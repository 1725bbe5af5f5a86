//! Losing capacity never stops anything (A5, A8), and the node model knows what fits (B6).

use weir_entitlement::Exclusion;
use weir_queue::{Event, Phase, Uid};

use crate::cluster::*;

fn cordoned(name: &str, gpus: i64) -> Event {
    let mut node = node(name, &[(GPU, gpus), ("cpu", 64_000)]);
    node.excluded = Some(Exclusion::Cordoned);
    Event::Node(node)
}

/// ```text
/// cluster   2 racks × 2 hosts × 8 GPUs = 32
/// ├─ a      reserves 16
/// └─ b      reserves 16
/// ```
fn two_racks() -> Cluster {
    Cluster::new(vec![pool("a").reserves(GPU, 16), pool("b").reserves(GPU, 16)], gpu_nodes(4, 8))
}

#[test]
fn a_cordoned_rack_makes_no_healthy_work_look_like_an_excess() {
    let mut cluster = two_racks();
    cluster.submit("a", job("a", asks(&[(GPU, 8)])).times(2));
    cluster.submit("b", job("b", asks(&[(GPU, 8)])).times(2));
    cluster.settle(1);
    cluster.events.extend([cordoned("gpu-000", 8), cordoned("gpu-001", 8)]);
    cluster.submit("more", job("a", asks(&[(GPU, 8)])));
    cluster.settle(300);
    assert_eq!([cluster.running("a"), cluster.running("b"), cluster.running("more")], [2, 2, 0]);
    assert_eq!(cluster.evictions.len(), 0);
    assert_eq!(cluster.used("a", GPU) + cluster.used("b", GPU), 32);
}

#[test]
fn excluding_a_node_takes_away_only_what_was_free() {
    let mut cluster = two_racks();
    cluster.submit("a", job("a", asks(&[(GPU, 3)])));
    cluster.settle(1);
    let node = cluster.pods[&cluster.jobs["a"][0]].clone();
    let Phase::Admitted(running) = node.phase else { panic!("it runs") };
    cluster.events.push(cordoned(&running.node.unwrap(), 8));
    cluster.settle(1);
    let gpu = cluster.queue.dimensions().find(GPU).unwrap();
    assert_eq!(cluster.queue.entitlements().capacity(gpu).units(), 24 + 3);
}

#[test]
fn capacity_lost_under_non_preemptible_work_stops_nothing() {
    let mut cluster = two_racks();
    cluster.submit("a", job("a", asks(&[(GPU, 8)])).times(2).firm());
    cluster.submit("b", job("b", asks(&[(GPU, 8)])).times(2));
    cluster.settle(1);
    let (mut small, mut smaller) = (node("gpu-000", &[(GPU, 2)]), node("gpu-001", &[(GPU, 2)]));
    (small.allocatable, smaller.allocatable) = (small.capacity.clone(), smaller.capacity.clone());
    cluster.events.extend([Event::Node(small), Event::Node(smaller)]);
    cluster.settle(300);
    assert_eq!([cluster.running("a"), cluster.running("b")], [2, 2], "20 GPUs for 32 in use, and work goes on");
    assert_eq!(cluster.evictions.len(), 0);
    assert!(cluster.entitled("a", GPU) >= 16, "what cannot be taken is its own");
}

#[test]
fn what_unmanaged_pods_hold_is_not_divided() {
    let mut cluster = two_racks();
    let shape = std::sync::Arc::new(asks(&[(GPU, 4)]));
    cluster.events.push(Event::Unmanaged { uid: Uid::new(5_000), node: "gpu-000".into(), shape });
    cluster.submit("a", job("a", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    assert_eq!(cluster.running("a"), 3);
    cluster.events.push(Event::PodGone(Uid::new(5_000)));
    cluster.settle(1);
    assert_eq!(cluster.running("a"), 4);
}

#[test]
fn what_cannot_be_placed_is_not_admitted_and_says_how_much_of_it_fits() {
    // 32 GPUs on 4 hosts; three pods of 5 leave 3, 3, 3 and 8.
    let mut cluster = two_racks();
    cluster.submit("wide", job("a", asks(&[(GPU, 5)])).gang(3));
    cluster.submit("gang", job("a", asks(&[(GPU, 4)])).gang(4));
    cluster.settle(1);
    assert_eq!(cluster.running("wide"), 3);
    assert_eq!(cluster.why("gang"), ["WaitingForPlacement: 2 of 4 fit on what is free now"]);
    cluster.submit("never", job("b", asks(&[(GPU, 5)])).gang(5));
    cluster.submit("small", job("b", asks(&[(GPU, 1)])));
    cluster.settle(1);
    assert_eq!(cluster.why("never"), ["WaitingForPlacement: 4 of 5 would fit if the usable nodes were empty"]);
    assert_eq!(cluster.running("small"), 1, "and it blocks no pod");
}

#[test]
fn pods_of_a_node_that_is_gone_before_they_were_bound_get_another() {
    let mut cluster = two_racks();
    cluster.submit("a", job("a", asks(&[(GPU, 8)])));
    let events = std::mem::take(&mut cluster.events);
    let decisions = cluster.queue.step(cluster.now, events);
    let Some(weir_queue::Decision::Admit(admission)) = decisions.first() else { panic!("{decisions:?}") };
    let node = admission.pods[0].1.clone().unwrap();
    cluster.queue.step(cluster.now, [Event::NodeGone(node.as_ref().into())]);
    cluster.submit("b", job("b", asks(&[(GPU, 8)])).times(3));
    let events = std::mem::take(&mut cluster.events);
    let decisions = cluster.queue.step(cluster.now, events);
    let admitted = decisions.iter().filter(|decision| matches!(decision, weir_queue::Decision::Admit(_))).count();
    assert_eq!(admitted, 2, "three hosts are left, and one of them is kept for the pod without a node");
}

#[test]
fn a_gang_of_cpu_and_gpu_pods_is_placed_on_both_kinds_of_hosts_or_not_at_all() {
    let mut nodes = gpu_nodes(1, 8);
    nodes.push(node("cpu-0", &[("cpu", 4_000)]));
    let mut cluster = Cluster::new(vec![pool("ray")], nodes);
    cluster.submit("head", job("ray", asks(&[("cpu", 3_000)])));
    cluster.settle(1);
    cluster.submit("mixed", job("ray", asks(&[(GPU, 1)])).gang(4));
    for uid in cluster.jobs["mixed"].clone().into_iter().take(2) {
        let mut pod = cluster.pods[&uid].clone();
        pod.shape = std::sync::Arc::new(asks(&[("cpu", 2_000)]));
        cluster.change(pod);
    }
    cluster.settle(1);
    assert_eq!(cluster.running("mixed"), 0);
    cluster.finish("head");
    cluster.settle(1);
    assert_eq!(cluster.running("mixed"), 4);
}
