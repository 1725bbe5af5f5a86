//! An hour of simulated time, second by second: constant demand, whose evictions end; a scheduler that is down and
//! kills no pod.
//!
//! The cluster is the worst one for loops: an evicted pod is made again at once, and asks again.

use std::time::Duration;

use weir_queue::{Admitted, Cause, Config, Event, Grounds, Phase, PoolSettings, WithinPool};

use crate::cluster::*;

const HOUR: u64 = 3600;

fn lower_priorities_give_way(settings: &mut PoolSettings) {
    settings.within_pool = WithinPool::LowerPriority;
}

/// Lets this much time go by, and then an hour; how many pods were evicted by then, and how many more in the hour.
fn evictions(cluster: &mut Cluster, first: u64) -> (usize, usize) {
    cluster.settle(first);
    let before = cluster.evicted.len();
    cluster.settle(HOUR);
    (before, cluster.evicted.len() - before)
}

/// ```text
/// cluster        4 hosts × 8 GPUs = 32
/// ├─ production  reserves 16
/// └─ research
/// ```
#[test]
fn two_pools_that_both_want_everything_settle_at_once_and_for_good() {
    let mut cluster = Cluster::new(vec![pool("production").reserves(GPU, 16), pool("research")], gpu_nodes(4, 8));
    cluster.submit("research", job("research", asks(&[(GPU, 1)])).times(64));
    cluster.settle(1);
    cluster.submit("production", job("production", asks(&[(GPU, 1)])).times(64));
    // Both ask for more than there is: 16 reserved, and half of what is left.
    assert_eq!(evictions(&mut cluster, 70), (24, 0));
    assert_eq!([cluster.used("production", GPU), cluster.used("research", GPU)], [24, 8]);
}

/// ```text
/// cluster     4 hosts × 8 GPUs = 32
/// ├─ a        reserves 16
/// │  ├─ a1    reserves 12, lower priorities give way
/// │  └─ a2
/// ├─ b        reserves 8
/// └─ c        share 3
/// ```
#[test]
fn gangs_whole_hosts_and_priorities_of_five_pools_settle_and_stay() {
    let pools = vec![
        pool("a").reserves(GPU, 16),
        pool("a1").under("a").reserves(GPU, 12).with(lower_priorities_give_way),
        pool("a2").under("a"),
        pool("b").reserves(GPU, 8),
        pool("c").gives(GPU, 0, None, 3),
    ];
    let mut cluster = Cluster::new(pools, gpu_nodes(4, 8));
    cluster.submit("small", job("c", asks(&[(GPU, 1)])).times(40));
    cluster.settle(10);
    cluster.submit("low", job("a1", asks(&[(GPU, 4)])).times(6));
    cluster.submit("gang", job("a2", asks(&[(GPU, 2)])).gang(6));
    cluster.settle(100);
    cluster.submit("hosts", job("b", asks(&[(GPU, 8)])).times(3));
    cluster.submit("high", job("a1", asks(&[(GPU, 4)])).times(2).priority(9));
    cluster.submit("ray", job("b", asks(&[(GPU, 1)])).times(7).needs(3, 2));
    let (settling, later) = evictions(&mut cluster, 300);
    assert!(settling > 0, "some pods had to give way");
    assert_eq!(later, 0, "no pod is evicted for demand that does not change");
    assert_eq!([cluster.used("a1", GPU), cluster.used("b", GPU)], [12, 7], "what they reserve, as far as it is whole");
}

/// ```text
/// cluster   10 hosts × 10 GPUs = 100
/// ├─ left
/// └─ right
/// ```
#[test]
fn two_gangs_that_do_not_fit_together_take_nothing_from_each_other() {
    let mut cluster = Cluster::new(vec![pool("left"), pool("right")], gpu_nodes(10, 10));
    cluster.submit("left", job("left", asks(&[(GPU, 1)])).gang(64));
    cluster.submit("right", job("right", asks(&[(GPU, 1)])).gang(64));
    assert_eq!(evictions(&mut cluster, 1), (0, 0));
}

/// Admitted, and not placed by the scheduler.
fn admit(cluster: &mut Cluster, name: &str) {
    for uid in cluster.jobs[name].clone() {
        let mut pod = cluster.pods[&uid].clone();
        let (at, grounds) = (cluster.now, Grounds::WithinEntitlement);
        pod.phase = Phase::Admitted(Admitted { at, grounds, node: None, started: None, terminating: None });
        cluster.change(pod);
    }
}

/// The scheduler shows each minute, for so many minutes, that it works.
fn works(cluster: &mut Cluster, minutes: u64) {
    for _ in 0..minutes {
        cluster.events.push(Event::SchedulerProgress);
        cluster.settle(60);
    }
}

#[test]
fn an_hour_without_a_scheduler_kills_no_pod_and_what_was_left_of_the_time_is_left_after_it() {
    let patience = Duration::from_secs(60);
    let config = Config { scheduler_patience: patience, ..Config::default() };
    let mut cluster = Cluster::with_config(vec![pool("a")], gpu_nodes(2, 8), config);
    cluster.submit("gang", job("a", asks(&[(GPU, 8)])).gang(2));
    admit(&mut cluster, "gang");
    works(&mut cluster, 20);
    cluster.settle(HOUR);
    assert_eq!(cluster.evictions.len(), 0, "20 of 25 minutes, and an hour that does not count");
    works(&mut cluster, 4);
    assert_eq!(cluster.evictions.len(), 0, "24 of 25 minutes");
    works(&mut cluster, 2);
    assert_eq!(cluster.evictions.len(), 1);
    assert_eq!(cluster.evictions[0].victims.len(), 2, "a gang that never ran goes whole");
    assert!(matches!(cluster.evictions[0].cause, Cause::PlacementTimeout { placed: 0, of: 2, .. }));
}

#[test]
fn pods_that_are_admitted_while_the_scheduler_is_down_have_all_their_time_when_it_is_back() {
    let mut cluster = Cluster::new(vec![pool("a")], gpu_nodes(2, 8));
    works(&mut cluster, 1);
    cluster.settle(HOUR);
    cluster.submit("late", job("a", asks(&[(GPU, 8)])).times(2));
    admit(&mut cluster, "late");
    cluster.settle(HOUR);
    works(&mut cluster, 24);
    assert_eq!(cluster.evictions.len(), 0);
    works(&mut cluster, 2);
    assert_eq!(cluster.evicted.len(), 2);
}
