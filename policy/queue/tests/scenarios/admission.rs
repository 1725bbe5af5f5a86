//! Admission: within the entitlement, non-preemptible ones within the reservation, never above a limit.

use std::time::Duration;

use weir_model::Amount;
use weir_queue::{BackOff, Config, Enforcement, Event, Grounds, Obstacle, PoolState, Time};

use crate::cluster::*;

/// ```text
/// cluster      4 hosts × 8 GPUs = 32
/// └─ org       reserves 12, limit 24
///    ├─ firm   reserves 10
///    └─ free   limit 8
/// ```
fn limited() -> Cluster {
    let pools = vec![
        pool("org").gives(GPU, 12, Some(24), 1),
        pool("firm").under("org").gives(GPU, 10, None, 1),
        pool("free").under("org").gives(GPU, 0, Some(8), 1),
    ];
    Cluster::new(pools, gpu_nodes(4, 8))
}

#[test]
fn non_preemptible_pods_stay_within_the_reservation_of_the_pool_and_every_ancestor() {
    let mut cluster = limited();
    cluster.submit("firm", job("firm", asks(&[(GPU, 1)])).times(14).firm());
    cluster.settle(1);
    assert_eq!(cluster.running("firm"), 10);
    assert_eq!(
        cluster.why("firm"),
        [
            "WaitingForQuota: is not preemptible and asks for 1 nvidia.com/gpu; pool \"firm\" has 10 of 10 reserved in use by such pods"
        ]
    );
    assert_eq!(
        cluster.entitled("firm", GPU),
        17,
        "10, and half of the 14 that no pool asks for: the four that wait ask for nothing"
    );
}

#[test]
fn what_is_larger_than_the_reservation_says_so_and_moves_nothing() {
    let mut cluster = limited();
    cluster.submit("huge", job("firm", asks(&[(GPU, 1)])).gang(11).firm());
    cluster.settle(1);
    assert_eq!(
        cluster.why("huge"),
        [
            "ExceedsReservation: is not preemptible and asks for 11 nvidia.com/gpu; pool \"firm\" reserves 10: make it preemptible or raise the reservation"
        ]
    );
}

#[test]
fn what_is_above_a_limit_can_never_be_admitted_and_says_which() {
    let mut cluster = limited();
    cluster.submit("huge", job("free", asks(&[(GPU, 1)])).gang(9));
    cluster.submit("whole", job("firm", asks(&[(GPU, 1)])).gang(25));
    cluster.settle(1);
    assert_eq!(
        cluster.why("huge"),
        ["ExceedsMaxQuota: asks for 9 nvidia.com/gpu; pool \"free\" may never have more than 8"]
    );
    assert_eq!(
        cluster.why("whole"),
        ["ExceedsMaxQuota: asks for 25 nvidia.com/gpu; pool \"org\" may never have more than 24"]
    );
}

/// ```text
/// cluster   4 hosts × 8 GPUs = 32, 400 cores on CPU hosts
/// ├─ a      limit 8 GPUs
/// └─ b
/// ```
#[test]
fn what_a_limit_in_one_dimension_stops_asks_for_nothing_in_the_others() {
    let mut nodes = gpu_nodes(4, 8);
    nodes.push(node("cpu-0", &[("cpu", 400_000)]));
    nodes.push(node("nic-0", &[(GPU, 16), ("cpu", 64_000), ("example.com/nic", 100)]));
    let mut cluster = Cluster::new(vec![pool("a").gives(GPU, 0, Some(8), 1), pool("b")], nodes);
    // Ten pods with a GPU and 10 NICs each: the limit lets eight of them through, so only 80 NICs are asked for.
    cluster.submit("nics", job("a", asks(&[(GPU, 1), ("example.com/nic", 10)])).times(10));
    cluster.submit("other", job("b", asks(&[(GPU, 1), ("example.com/nic", 10)])).times(5));
    cluster.settle(1);
    assert_eq!([cluster.entitled("a", "example.com/nic"), cluster.entitled("b", "example.com/nic")], [50, 50]);
    assert_eq!(cluster.queue.standing(cluster.id("a"), cluster.queue.dimensions().find(GPU).unwrap()).waiting, 5);
}

/// ```text
/// cluster   1 CPU host × 100 cores, 2 GPU hosts × (8 GPUs, 64 cores)
/// ├─ web    reserves 100 cores
/// └─ train
/// ```
#[test]
fn cores_of_gpu_hosts_are_no_cores_for_cpu_pods() {
    let mut nodes = gpu_nodes(2, 8);
    nodes.push(node("cpu-0", &[("cpu", 100_000)]));
    let mut cluster = Cluster::new(vec![pool("web").reserves("cpu", 100_000), pool("train")], nodes);
    cluster.submit("web", job("web", asks(&[("cpu", 10_000)])).times(20));
    cluster.submit("train", job("train", asks(&[(GPU, 1), ("cpu", 8_000)])).times(16));
    cluster.settle(1);
    assert_eq!(cluster.running("web"), 10);
    assert_eq!(cluster.running("train"), 16);
    assert_eq!(cluster.entitled("web", "cpu"), 100_000);
    assert_eq!(cluster.used("train", "cpu"), 0);
    assert_eq!(cluster.used("train", "gpu-hosts.weir.dev/cpu"), 128_000);
}

/// ```text
/// cluster     1 host × 8 H100 (special), 1 host × 8 GPUs
/// ├─ special  reserves 4 H100
/// └─ general
/// ```
#[test]
fn a_pool_with_share_zero_never_borrows() {
    let mut h100 = node("h100-0", &[(GPU, 8)]);
    h100.labels.insert(MODEL.into(), "H100".into());
    let mut nodes = gpu_nodes(1, 8);
    nodes.push(h100);
    let pools = vec![pool("special").gives("sku.weir.dev/H100", 4, None, 0), pool("general")];
    let mut cluster = Cluster::new(pools, nodes);
    let mut shape = asks(&[(GPU, 1)]);
    shape.node_selector.insert(MODEL.into(), "H100".into());
    cluster.submit("special", job("special", shape.clone()).times(6));
    cluster.submit("general", job("general", shape));
    cluster.submit("plain", job("general", asks(&[(GPU, 1)])).times(9));
    cluster.settle(1);
    assert_eq!(cluster.running("special"), 4);
    assert_eq!(cluster.running("general"), 0, "no pool borrows special hardware by accident");
    assert_eq!(
        cluster.why("general"),
        ["ExceedsMaxQuota: asks for 1 sku.weir.dev/H100; pool \"general\" may never have more than 0"]
    );
    assert_eq!(cluster.running("plain"), 8, "and general pods never go there");
}

#[test]
fn pools_that_are_unknown_inner_held_or_forbidden_are_each_a_reason() {
    let mut cluster = limited();
    cluster.submit("lost", job("nowhere", asks(&[(GPU, 1)])));
    cluster.submit("inner", job("org", asks(&[(GPU, 1)])));
    cluster.submit("stranger", job("free", asks(&[(GPU, 1)])));
    let mut pod = cluster.pods[&cluster.jobs["stranger"][0]].clone();
    pod.obstacle = Some(Obstacle::PoolNotAllowed("web".into()));
    cluster.change(pod);
    cluster.settle(1);
    assert_eq!(
        cluster.why("lost"),
        [
            "PoolNotFound: there is no pool \"nowhere\" that takes part; create it, mend it (its condition Ready) or name another"
        ]
    );
    assert_eq!(cluster.why("inner"), ["PoolNotLeaf: pool \"org\" has pools under it; name one of those"]);
    assert_eq!(
        cluster.why("stranger"),
        ["PoolNotAllowed: the pool does not take pods of namespace \"web\" (spec.namespaceSelector)"]
    );
    cluster.events.push(Event::Pools(vec![pool("nowhere").with(|settings| settings.state = PoolState::Hold)]));
    cluster.settle(1);
    assert_eq!(cluster.why("lost"), ["PoolHeld: pool \"nowhere\" takes nothing new (spec.state)"]);
    cluster.events.push(Event::Pools(vec![pool("nowhere")]));
    cluster.settle(1);
    assert_eq!(cluster.running("lost"), 1, "nothing is lost when the mistake is corrected");
}

#[test]
fn a_pool_takes_nothing_in_one_piece_above_its_largest_workload() {
    let bound = |settings: &mut weir_queue::PoolSettings| settings.max_workload = vec![(GPU.into(), Amount::new(4))];
    let mut cluster = Cluster::new(vec![pool("a").with(bound)], gpu_nodes(2, 8));
    cluster.submit("five", job("a", asks(&[(GPU, 1)])).gang(5));
    cluster.submit("four", job("a", asks(&[(GPU, 1)])).gang(4));
    cluster.settle(1);
    assert_eq!(cluster.running("four"), 4);
    assert_eq!(
        cluster.why("five"),
        ["ExceedsMaxQuota: asks for 5 nvidia.com/gpu; pool \"a\" takes no pod or gang above 4 (maxWorkload)"]
    );
}

#[test]
fn a_pod_that_backs_off_is_looked_at_again_when_the_time_is_over() {
    let mut cluster = limited();
    cluster.submit("retry", job("free", asks(&[(GPU, 1)])));
    let mut pod = cluster.pods[&cluster.jobs["retry"][0]].clone();
    let until = cluster.now.after(Duration::from_secs(30));
    pod.back_off = Some(BackOff { until, times: 2 });
    cluster.change(pod.clone());
    cluster.settle(1);
    assert_eq!(
        cluster.why("retry"),
        ["BackingOff: 2 times its owner's pods were not placed in time; it may try again in 30 s"]
    );
    pod.back_off = Some(BackOff { until, times: 1 });
    cluster.change(pod);
    cluster.settle(0);
    assert_eq!(
        cluster.why("retry"),
        ["PlacementTimeout: the one before was not placed in time; its owner may try again in 29 s"]
    );
    cluster.settle(30);
    assert_eq!(cluster.running("retry"), 1);
}

#[test]
fn every_admission_says_what_it_was_decided_on() {
    let mut cluster = limited();
    cluster.submit("first", job("free", asks(&[(GPU, 2)])));
    cluster.settle(0);
    cluster.submit("second", job("free", asks(&[(GPU, 3)])));
    let events = std::mem::take(&mut cluster.events);
    let decisions = cluster.queue.step(cluster.now, events);
    let Some(weir_queue::Decision::Admit(admission)) = decisions.first() else { panic!("{decisions:?}") };
    let facts: Vec<String> = admission
        .decided_on
        .iter()
        .map(|fact| format!("{}: {} + {} of {} {}", fact.pool, fact.usage, fact.asked, fact.entitlement, fact.dim))
        .collect();
    assert_eq!(
        facts,
        [
            "pool \"free\": 2 + 3 of 8 nvidia.com/gpu",
            "pool \"org\": 2 + 3 of 24 nvidia.com/gpu",
            "the cluster: 2 + 3 of 32 nvidia.com/gpu"
        ]
    );
}

#[test]
fn without_enforcement_every_pod_goes_and_is_told_what_would_have_happened() {
    let config = Config { enforcement: Enforcement::Off, ..Config::default() };
    let mut cluster = Cluster::with_config(vec![pool("a").gives(GPU, 0, Some(2), 1)], gpu_nodes(1, 8), config);
    cluster.submit("many", job("a", asks(&[(GPU, 1)])).times(4));
    cluster.submit("lost", job("nowhere", asks(&[(GPU, 1)])));
    cluster.submit("part", job("a", asks(&[(GPU, 1)])).gang(3));
    let missing = cluster.jobs["part"][0];
    cluster.delete(missing);
    let events = std::mem::take(&mut cluster.events);
    let decisions = cluster.queue.step(Time::from_millis(1_000_000), events);
    let mut would: Vec<String> = Vec::new();
    for decision in &decisions {
        let weir_queue::Decision::Admit(admission) = decision else { panic!("{decision:?}") };
        would.extend(admission.would_have.as_ref().map(|why| why.reason().as_str().to_owned()));
        assert_eq!(admission.grounds == Grounds::NotEnforced, admission.would_have.is_some());
    }
    would.sort();
    assert_eq!(would, ["PoolNotFound", "WaitingForGang", "WaitingForGang", "WaitingForQuota", "WaitingForQuota"]);
}
