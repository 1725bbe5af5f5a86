//! The order of admission: priority, creation, backfill, patience, Strict, and the fair order of pools.

use std::time::Duration;

use weir_queue::{Event, Phase, PoolSettings, Strategy};

use crate::cluster::*;

/// ```text
/// cluster   1 host × 8 GPUs
/// └─ a
/// ```
fn one_host(change: impl FnOnce(&mut PoolSettings)) -> Cluster {
    Cluster::new(vec![pool("a").with(change)], gpu_nodes(1, 8))
}

#[test]
fn a_pool_goes_by_priority_then_by_age() {
    let mut cluster = one_host(|_| {});
    cluster.submit("old", job("a", asks(&[(GPU, 4)])));
    cluster.now = cluster.now.after(Duration::from_secs(1));
    cluster.submit("young", job("a", asks(&[(GPU, 4)])));
    cluster.submit("urgent", job("a", asks(&[(GPU, 4)])).priority(1));
    cluster.settle(0);
    assert_eq!(["old", "young", "urgent"].map(|name| cluster.running(name)), [1, 0, 1]);
}

#[test]
fn others_pass_a_blocked_head_until_it_has_waited_for_the_pools_patience() {
    let mut cluster = one_host(|settings| settings.patience = Duration::from_secs(100));
    cluster.submit("first", job("a", asks(&[(GPU, 2)])));
    cluster.settle(0);
    cluster.submit("head", job("a", asks(&[(GPU, 8)])).priority(1));
    cluster.submit("short-1", job("a", asks(&[(GPU, 2)])));
    cluster.settle(50);
    assert_eq!(cluster.running("short-1"), 1, "backfill");
    cluster.settle(60);
    cluster.finish("short-1");
    cluster.submit("short-2", job("a", asks(&[(GPU, 2)])));
    cluster.settle(5);
    assert_eq!(cluster.running("short-2"), 0, "what is freed is kept for the head");
    cluster.finish("first");
    cluster.settle(1);
    assert_eq!([cluster.running("head"), cluster.running("short-2")], [1, 0]);
    cluster.finish("head");
    cluster.settle(1);
    assert_eq!(cluster.running("short-2"), 1);
}

#[test]
fn status_changes_of_a_waiting_pod_do_not_start_its_patience_anew() {
    let mut cluster = one_host(|settings| settings.patience = Duration::from_secs(100));
    cluster.submit("first", job("a", asks(&[(GPU, 2)])));
    cluster.settle(0);
    cluster.submit("head", job("a", asks(&[(GPU, 8)])));
    for _ in 0..11 {
        let mut pod = cluster.pods[&cluster.jobs["head"][0]].clone();
        pod.controlled = !pod.controlled;
        cluster.change(pod);
        cluster.settle(10);
    }
    cluster.submit("short", job("a", asks(&[(GPU, 2)])));
    cluster.settle(1);
    assert_eq!(cluster.running("short"), 0);
}

#[test]
fn in_a_strict_pool_no_pod_passes() {
    let mut cluster = one_host(|settings| settings.strategy = Strategy::Strict);
    cluster.submit("first", job("a", asks(&[(GPU, 2)])));
    cluster.settle(0);
    cluster.submit("head", job("a", asks(&[(GPU, 8)])).priority(1));
    cluster.submit("short", job("a", asks(&[(GPU, 2)])));
    cluster.settle(1);
    assert_eq!(cluster.running("short"), 0);
    let head = cluster.jobs["head"][0];
    assert_eq!(cluster.why("short"), [format!("WaitingForQuota: waits behind pod {head}, the head of pool \"a\"")]);
    cluster.finish("first");
    cluster.settle(1);
    assert_eq!([cluster.running("head"), cluster.running("short")], [1, 0]);
}

#[test]
fn a_head_that_can_never_go_blocks_no_pod_even_in_a_strict_pool() {
    let mut cluster = one_host(|settings| settings.strategy = Strategy::Strict);
    cluster.submit("never", job("a", asks(&[(GPU, 9)])).priority(1));
    cluster.submit("short", job("a", asks(&[(GPU, 2)])));
    cluster.settle(1);
    assert_eq!(cluster.running("short"), 1);
}

/// ```text
/// cluster   8 hosts × 1 GPU
/// ├─ a      reserves 4
/// └─ b      reserves 4
/// ```
#[test]
fn between_pools_the_one_with_less_of_what_it_is_entitled_to_goes_first() {
    let pools = vec![pool("a").reserves(GPU, 4), pool("b").reserves(GPU, 4)];
    let mut cluster = Cluster::new(pools, gpu_nodes(8, 1));
    cluster.submit("a-1", job("a", asks(&[(GPU, 1)])).times(2));
    cluster.settle(0);
    cluster.submit("a-2", job("a", asks(&[(GPU, 1)])).times(2));
    cluster.submit("b", job("b", asks(&[(GPU, 1)])).times(4));
    let events = std::mem::take(&mut cluster.events);
    let decisions = cluster.queue.step(cluster.now, events);
    let pools: Vec<&str> = decisions
        .iter()
        .filter_map(|decision| match decision {
            weir_queue::Decision::Admit(admission) => Some(admission.pool.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(pools, ["b", "b", "a", "b", "a", "b"], "0, 1/4, then 2/4 twice and the name decides");
}

/// ```text
/// cluster     2 hosts × 8 GPUs
/// ├─ left
/// │  └─ l
/// └─ right
///    └─ r
/// ```
#[test]
fn a_claim_never_holds_what_a_sibling_is_entitled_to() {
    let patient = |settings: &mut PoolSettings| settings.patience = Duration::from_secs(10);
    let pools = vec![pool("left"), pool("right"), pool("l").under("left").with(patient), pool("r").under("right")];
    let mut cluster = Cluster::new(pools, gpu_nodes(2, 8));
    cluster.submit("own", job("l", asks(&[(GPU, 1)])).times(2));
    cluster.submit("half", job("r", asks(&[(GPU, 1)])).times(8));
    cluster.settle(0);
    // Entitled to 8 while r asks too, and it uses 2: the head of 12 waits for ever, unless on loan.
    cluster.submit("head", job("l", asks(&[(GPU, 1)])).gang(12));
    cluster.settle(30);
    cluster.jobs.get_mut("half").unwrap().sort();
    let one = cluster.jobs["half"][0];
    cluster.delete(one);
    cluster.jobs.get_mut("half").unwrap().remove(0);
    cluster.settle(1);
    cluster.submit("again", job("r", asks(&[(GPU, 1)])));
    cluster.settle(1);
    assert_eq!(cluster.running("again"), 1);
}

/// ```text
/// cluster   2 hosts × 8 GPUs
/// └─ org    then: two pools under it
/// ```
#[test]
fn pods_follow_their_pools_when_the_tree_changes() {
    let mut cluster = Cluster::new(vec![pool("a"), pool("b")], gpu_nodes(2, 8));
    cluster.submit("a", job("a", asks(&[(GPU, 8)])).times(3));
    cluster.settle(1);
    assert_eq!(cluster.running("a"), 2);
    cluster.events.push(Event::Pools(vec![pool("org"), pool("a").under("org"), pool("z").under("org")]));
    cluster.settle(1);
    assert_eq!([cluster.used("a", GPU), cluster.used("org", GPU)], [16, 16]);
    let first = cluster.jobs["a"].iter().position(|uid| cluster.pods[uid].phase != Phase::Waiting).unwrap();
    let uid = cluster.jobs.get_mut("a").unwrap().remove(first);
    cluster.delete(uid);
    cluster.settle(1);
    assert_eq!(cluster.running("a"), 2);
}
