//! Which pods give way: hosts, budgets, minimum run times, hysteresis, priorities within a pool, Drain, timeouts.

use std::time::Duration;

use weir_queue::{BarePods, Budget, Cause, Config, Decision, Event, Phase, PoolSettings, PoolState, Time, WithinPool};

use crate::cluster::*;

/// ```text
/// cluster        4 hosts × 8 GPUs = 32
/// ├─ production  reserves 16
/// └─ research
/// ```
fn two_pools(change: impl FnOnce(&mut PoolSettings)) -> Cluster {
    Cluster::new(vec![pool("production").reserves(GPU, 16), pool("research").with(change)], gpu_nodes(4, 8))
}

#[test]
fn a_claimant_that_needs_one_whole_host_gets_one_host_and_not_eight_gpus_here_and_there() {
    let mut cluster = two_pools(|_| {});
    cluster.submit("small", job("research", asks(&[(GPU, 1)])).times(32));
    cluster.settle(10);
    cluster.submit("whole", job("production", asks(&[(GPU, 8)])));
    cluster.settle(70);
    assert_eq!(cluster.running("whole"), 1);
    assert_eq!(cluster.evicted.len(), 8);
    let nodes: std::collections::BTreeSet<_> =
        cluster.evictions.iter().flat_map(|eviction| &eviction.victims).map(|victim| victim.node.clone()).collect();
    assert_eq!(nodes.len(), 1);
}

#[test]
fn the_lowest_priority_goes_first_then_the_pod_that_loses_the_least_work() {
    let mut cluster = two_pools(|_| {});
    cluster.submit("old", job("research", asks(&[(GPU, 8)])));
    cluster.settle(100);
    cluster.submit("young", job("research", asks(&[(GPU, 8)])));
    cluster.submit("high", job("research", asks(&[(GPU, 8)])).times(2).priority(5));
    cluster.settle(100);
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(70);
    assert_eq!(["old", "young", "high"].map(|name| cluster.running(name)), [1, 0, 2]);
    cluster.submit("more", job("production", asks(&[(GPU, 8)])));
    cluster.settle(70);
    assert_eq!(["old", "young", "high"].map(|name| cluster.running(name)), [0, 0, 2]);
}

#[test]
fn nothing_younger_than_its_pools_minimum_run_time_is_taken() {
    let mut cluster = two_pools(|settings| settings.min_runtime = Duration::from_secs(500));
    cluster.submit("run", job("research", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(400);
    assert_eq!(cluster.evictions.len(), 0);
    cluster.settle(200);
    assert_eq!([cluster.running("prod"), cluster.running("run")], [1, 3]);
}

#[test]
fn non_preemptible_pods_are_never_taken() {
    let mut cluster =
        Cluster::new(vec![pool("production").reserves(GPU, 16), pool("research").reserves(GPU, 16)], gpu_nodes(3, 8));
    cluster.submit("firm", job("research", asks(&[(GPU, 8)])).times(2).firm());
    cluster.submit("soft", job("research", asks(&[(GPU, 8)])));
    cluster.settle(1);
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])).times(2));
    cluster.settle(200);
    assert_eq!(["firm", "soft", "prod"].map(|name| cluster.running(name)), [2, 0, 1]);
}

#[test]
fn a_gang_is_a_victim_only_if_every_budget_allows_all_its_members() {
    let mut cluster = two_pools(|_| {});
    cluster.submit("kept", job("research", asks(&[(GPU, 8)])).gang(2));
    cluster.submit("other", job("research", asks(&[(GPU, 8)])).gang(2).priority(9));
    cluster.settle(1);
    let budget = |allowed| Budget { name: "default/kept".into(), allowed, pods: cluster.jobs["kept"].clone() };
    let (tight, loose) = (budget(1), budget(2));
    cluster.events.push(Event::Budgets(vec![tight]));
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(70);
    assert_eq!(["kept", "other", "prod"].map(|name| cluster.running(name)), [2, 0, 1]);

    let mut cluster = two_pools(|_| {});
    cluster.submit("kept", job("research", asks(&[(GPU, 8)])).gang(2));
    cluster.submit("other", job("research", asks(&[(GPU, 8)])).gang(2).priority(9));
    cluster.settle(1);
    cluster.events.push(Event::Budgets(vec![loose]));
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(70);
    assert_eq!(["kept", "other", "prod"].map(|name| cluster.running(name)), [0, 2, 1]);
    assert_eq!((cluster.evictions[0].budgets[0].allowed, cluster.evictions[0].budgets[0].taken), (2, 2));
}

#[test]
fn a_pod_under_two_budgets_cannot_be_evicted_and_is_no_victim() {
    let mut cluster = two_pools(|_| {});
    cluster.submit("run", job("research", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    let budget = |name: &str| Budget { name: name.into(), allowed: 9, pods: cluster.jobs["run"].clone() };
    cluster.events.push(Event::Budgets(vec![budget("one"), budget("two")]));
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(200);
    assert_eq!(cluster.evictions.len(), 0);
}

#[test]
fn the_time_above_the_entitlement_has_to_pass_without_a_break() {
    let mut cluster = two_pools(|_| {});
    cluster.submit("run", job("research", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(50);
    let key = ("research".to_owned(), GPU.to_owned());
    assert!(cluster.over.contains_key(&key), "the clock is in the pool's status");
    cluster.finish("prod");
    cluster.settle(1);
    assert!(!cluster.over.contains_key(&key));
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(50);
    assert_eq!(cluster.evictions.len(), 0);
    cluster.settle(15);
    assert_eq!(cluster.running("prod"), 1);
}

#[test]
fn what_terminates_already_is_subtracted_first() {
    let mut cluster = two_pools(|_| {});
    cluster.submit("run", job("research", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.begin_deletion(cluster.jobs["run"][0], Duration::from_secs(86_400));
    cluster.settle(300);
    assert_eq!(cluster.evictions.len(), 0);
    assert_eq!(cluster.running("prod"), 0, "a terminating pod counts until it is gone");
}

#[test]
fn pods_on_excluded_nodes_are_never_taken() {
    let mut cluster = two_pools(|_| {});
    cluster.submit("run", job("research", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    for name in ["gpu-000", "gpu-001", "gpu-002", "gpu-003"] {
        let mut node = node(name, &[(GPU, 8), ("cpu", 64_000)]);
        node.excluded = Some(weir_entitlement::Exclusion::Maintenance);
        cluster.events.push(Event::Node(node));
    }
    cluster.events.push(Event::Node(node("empty", &[(GPU, 4)])));
    cluster.submit("prod", job("production", asks(&[(GPU, 4)])).times(2));
    cluster.settle(200);
    assert_eq!([cluster.running("prod"), cluster.running("run")], [1, 4]);
    assert_eq!(cluster.evictions.len(), 0);
}

#[test]
fn a_refused_eviction_ends_the_plan_and_another_victim_is_found() {
    let mut cluster = two_pools(|_| {});
    cluster.recreate = false;
    cluster.submit("run", job("research", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(1);
    cluster.now = cluster.now.after(Duration::from_secs(61));
    let events = std::mem::take(&mut cluster.events);
    let decisions = cluster.queue.step(cluster.now, events);
    let victim = |decisions: &[Decision]| {
        decisions.iter().find_map(|decision| match decision {
            Decision::Evict(eviction) => Some(eviction.victims[0].uid),
            _ => None,
        })
    };
    let first = victim(&decisions).unwrap();
    let decisions = cluster.queue.step(cluster.now, [Event::EvictionRefused(first)]);
    assert!(matches!(&decisions[0], Decision::Release(released) if released.spared.is_empty()), "{decisions:?}");
    let second = victim(&decisions).or_else(|| victim(&cluster.queue.step(cluster.now, []))).unwrap();
    assert_ne!(first, second);
}

#[test]
fn no_eviction_happens_before_the_grace_period_is_over() {
    let until = Time::from_millis(1_000_000 + 900_000);
    let config = Config { evictions_from: until, ..Config::default() };
    let pools = vec![pool("production").reserves(GPU, 16), pool("research")];
    let mut cluster = Cluster::with_config(pools, gpu_nodes(4, 8), config);
    cluster.submit("run", job("research", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(890);
    assert_eq!(cluster.evictions.len(), 0);
    cluster.settle(20);
    assert_eq!(cluster.running("prod"), 1);
}

#[test]
fn a_higher_priority_takes_the_place_of_a_lower_one_only_where_the_pool_says_so() {
    for (setting, expected) in [(WithinPool::Never, [4, 0]), (WithinPool::LowerPriority, [3, 1])] {
        let mut cluster = Cluster::new(vec![pool("a").with(|it| it.within_pool = setting)], gpu_nodes(4, 8));
        cluster.submit("low", job("a", asks(&[(GPU, 8)])).times(4));
        cluster.settle(1);
        cluster.submit("same", job("a", asks(&[(GPU, 8)])));
        cluster.submit("high", job("a", asks(&[(GPU, 8)])).priority(1));
        cluster.settle(100);
        assert_eq!(["low", "high"].map(|name| cluster.running(name)), expected);
        assert_eq!(cluster.running("same"), 0);
        assert!(cluster.evictions.iter().all(|eviction| matches!(eviction.cause, Cause::WithinPool { .. })));
    }
}

/// ```text
/// cluster    4 hosts × 8 GPUs
/// ├─ old     drains
/// └─ new
/// ```
#[test]
fn a_draining_pool_loses_its_preemptible_pods_not_faster_than_allowed_and_keeps_the_others() {
    let config = Config { kills_per_minute: 3, ..Config::default() };
    let pools = vec![pool("old").reserves(GPU, 16), pool("new")];
    let mut cluster = Cluster::with_config(pools, gpu_nodes(4, 8), config);
    cluster.submit("soft", job("old", asks(&[(GPU, 1)])).times(8));
    cluster.submit("firm", job("old", asks(&[(GPU, 1)])).times(8).firm());
    cluster.settle(1);
    let drain = |settings: &mut PoolSettings| settings.state = PoolState::Drain;
    cluster.events.push(Event::Pools(vec![pool("old").reserves(GPU, 16).with(drain), pool("new")]));
    cluster.settle(1);
    assert_eq!(cluster.running("soft"), 5);
    cluster.settle(60);
    assert_eq!(cluster.running("soft"), 2);
    cluster.settle(120);
    assert_eq!([cluster.running("soft"), cluster.running("firm")], [0, 8]);
    assert_eq!(cluster.why("soft"), ["PoolHeld: pool \"old\" takes nothing new (spec.state)"]);
}

#[test]
fn moving_a_pool_evicts_no_pod_for_the_length_of_the_hysteresis() {
    let tree = |parent: &str| {
        vec![
            pool("x"),
            pool("y"),
            pool("research").under(parent),
            pool("rest").under("y"),
            pool("other").under("x"),
            pool("production").reserves(GPU, 16),
        ]
    };
    let mut cluster = Cluster::new(tree("x"), gpu_nodes(4, 8));
    cluster.submit("run", job("research", asks(&[(GPU, 8)])).times(4));
    cluster.settle(1);
    cluster.submit("prod", job("production", asks(&[(GPU, 8)])));
    cluster.settle(50);
    cluster.events.push(Event::Pools(tree("y")));
    cluster.settle(55);
    assert_eq!(cluster.evictions.len(), 0, "105 s above the entitlement, but only 55 at its new place");
    cluster.settle(10);
    assert_eq!(cluster.running("prod"), 1);
}

fn unplaced(bare: BarePods) -> Cluster {
    let config = Config { bare_pods: bare, ..Config::default() };
    let mut cluster = Cluster::with_config(vec![pool("a")], gpu_nodes(2, 8), config);
    cluster.submit("gang", job("a", asks(&[(GPU, 8)])).gang(2));
    let events = std::mem::take(&mut cluster.events);
    cluster.queue.step(cluster.now, events);
    for uid in cluster.jobs["gang"].clone() {
        let mut pod = cluster.pods[&uid].clone();
        pod.phase = Phase::Admitted(weir_queue::Admitted {
            at: cluster.now,
            grounds: weir_queue::Grounds::WithinEntitlement,
            node: None,
            started: None,
            terminating: None,
        });
        pod.controlled = bare == BarePods::Kill;
        cluster.change(pod);
    }
    cluster
}

#[test]
fn what_is_admitted_and_not_placed_for_25_minutes_goes_whole_while_the_scheduler_works() {
    let mut cluster = unplaced(BarePods::Kill);
    for _ in 0..24 {
        cluster.events.push(Event::SchedulerProgress);
        cluster.settle(60);
    }
    assert_eq!(cluster.evictions.len(), 0);
    cluster.events.push(Event::SchedulerProgress);
    cluster.settle(61);
    assert_eq!(cluster.evictions.len(), 1);
    assert_eq!(cluster.evictions[0].victims.len(), 2);
    assert_eq!(
        cluster.evictions[0].to_string(),
        "admitted and not placed for 1500 s; 0 of 2 placed: killed to give the resources back"
    );
}

#[test]
fn the_clock_of_the_unplaced_stands_still_while_the_scheduler_makes_no_progress() {
    let mut cluster = unplaced(BarePods::Kill);
    cluster.events.push(Event::SchedulerProgress);
    cluster.settle(4_000);
    assert_eq!(cluster.evictions.len(), 0);
}

#[test]
fn an_unplaced_pod_that_no_controller_would_make_again_stays() {
    let mut cluster = unplaced(BarePods::Keep);
    for _ in 0..40 {
        cluster.events.push(Event::SchedulerProgress);
        cluster.settle(60);
    }
    assert_eq!(cluster.evictions.len(), 0);
}

/// ```text
/// cluster   2 hosts × 8 GPUs
/// └─ a      reserves 8, lower priorities give way
/// ```
#[test]
fn no_pod_gives_way_to_a_non_preemptible_pod_that_the_reservation_keeps_out() {
    let within = |settings: &mut PoolSettings| settings.within_pool = WithinPool::LowerPriority;
    let mut cluster = Cluster::new(vec![pool("a").reserves(GPU, 8).with(within)], gpu_nodes(2, 8));
    cluster.submit("firm", job("a", asks(&[(GPU, 8)])).firm());
    cluster.submit("soft", job("a", asks(&[(GPU, 8)])));
    cluster.settle(1);
    cluster.submit("more", job("a", asks(&[(GPU, 2)])).firm().priority(9));
    cluster.settle(900);
    assert_eq!(["firm", "soft", "more"].map(|name| cluster.running(name)), [1, 1, 0]);
    assert_eq!(cluster.evictions.len(), 0);
}
