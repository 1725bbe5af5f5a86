//! The system's own story: what no pool uses is borrowed, and goes back to its owner when that one returns.

use weir_queue::{Cause, Event};

use crate::cluster::*;

/// ```text
/// cluster            8 hosts × 8 GPUs = 64
/// └─ org
///    ├─ production   reserves 48
///    └─ research     reserves 16
/// ```
fn organisation() -> Cluster {
    let pools = vec![
        pool("org").reserves(GPU, 64),
        pool("production").under("org").reserves(GPU, 48),
        pool("research").under("org").reserves(GPU, 16),
    ];
    Cluster::new(pools, gpu_nodes(8, 8))
}

#[test]
fn research_borrows_and_is_brought_back_when_production_returns() {
    let mut cluster = organisation();
    cluster.submit("train", job("research", asks(&[(GPU, 1)])).times(64));
    cluster.settle(1);
    assert_eq!(cluster.running("train"), 64, "an idle reservation is lent");

    cluster.submit("serve", job("production", asks(&[(GPU, 4)])).times(10).firm());
    cluster.settle(1);
    assert_eq!(cluster.entitled("production", GPU), 40);
    assert_eq!(cluster.entitled("research", GPU), 24);
    assert_eq!(cluster.running("serve"), 0, "nothing is taken before the time has passed");
    assert_eq!(cluster.evictions.len(), 0);

    cluster.settle(70);
    assert_eq!(cluster.running("serve"), 10);
    assert_eq!(cluster.running("train"), 24);
    assert_eq!(cluster.evicted.len(), 40, "exactly what production needs");
    let evictions = cluster.evictions.len();
    cluster.settle(600);
    assert_eq!(cluster.evictions.len(), evictions, "under constant demand evictions stop");

    cluster.finish("serve");
    cluster.settle(1);
    assert_eq!(cluster.running("train"), 64, "and borrows again when production goes");
}

#[test]
fn an_eviction_says_which_excess_it_ends_and_which_pod_gets_the_room() {
    let mut cluster = organisation();
    cluster.submit("train", job("research", asks(&[(GPU, 8)])).times(8));
    cluster.settle(1);
    cluster.submit("serve", job("production", asks(&[(GPU, 8)])).firm());
    cluster.settle(70);
    assert_eq!(cluster.evictions.len(), 1);
    let Cause::Reclaim { claimant, pool, over } = &cluster.evictions[0].cause else { panic!("a reclaim") };
    assert_eq!((claimant.len(), pool.as_str()), (1, "production"));
    assert_eq!(over[0].usage.units(), 64);
    assert_eq!(over[0].entitlement.units(), 56);
    assert_eq!(cluster.evictions[0].victims[0].node.as_deref(), Some(&*claimant[0].1));
    let sentence = cluster.evictions[0].to_string();
    assert!(
        sentence.starts_with("pool \"research\" uses 64 nvidia.com/gpu and is entitled to 56; the room goes to pod "),
        "{sentence}"
    );
}

#[test]
fn how_long_a_pool_has_been_above_its_entitlement_survives_a_change_of_leader() {
    let mut cluster = organisation();
    cluster.submit("train", job("research", asks(&[(GPU, 8)])).times(8));
    cluster.settle(1);
    cluster.submit("serve", job("production", asks(&[(GPU, 8)])).firm());
    cluster.settle(50);
    assert_eq!(cluster.evictions.len(), 0, "50 of 60 s");

    let told: Vec<Event> = cluster
        .over
        .iter()
        .map(|((pool, dim), &since)| Event::OverSince { pool: pool.clone(), dim: dim.clone(), since })
        .collect();
    assert_eq!(told.len(), 1, "research, in GPUs");
    let pods: Vec<Event> = cluster.pods.values().cloned().map(Event::Pod).collect();
    for clocks_first in [true, false] {
        let mut next = organisation();
        (next.now, next.pods, next.jobs) = (cluster.now, cluster.pods.clone(), cluster.jobs.clone());
        let known = next.events.drain(..).chain(pods.clone()).collect::<Vec<_>>();
        let (first, second) = if clocks_first { (told.clone(), known) } else { (known, told.clone()) };
        next.events = first.into_iter().chain(second).collect();
        next.settle(5);
        assert_eq!(next.evictions.len(), 0, "55 of 60 s");
        next.settle(6);
        assert_eq!(next.evictions.len(), 1, "the time goes on where it was");
    }
}

/// ```text
/// cluster           8 hosts × 8 GPUs = 64
/// ├─ lab            reserves 32
/// │  ├─ serving     reserves 8
/// │  └─ training
/// └─ other          reserves 32
/// ```
#[test]
fn a_claimant_of_one_host_takes_one_host_however_much_its_siblings_borrow() {
    let pools = vec![
        pool("lab").reserves(GPU, 32),
        pool("serving").under("lab").reserves(GPU, 8),
        pool("training").under("lab"),
        pool("other").reserves(GPU, 32),
    ];
    let mut cluster = Cluster::new(pools, gpu_nodes(8, 8));
    cluster.submit("train", job("training", asks(&[(GPU, 1)])).times(64));
    // More than the other pool is ever entitled to while others ask: it gets nothing, and keeps its half.
    cluster.submit("large", job("other", asks(&[(GPU, 8)])).gang(5));
    cluster.settle(70);
    assert_eq!([cluster.used("lab", GPU), cluster.entitled("lab", GPU)], [64, 32]);

    cluster.submit("serve", job("serving", asks(&[(GPU, 8)])).firm());
    cluster.settle(70);
    assert_eq!([cluster.running("serve"), cluster.evicted.len()], [1, 8], "and not 40, to bring the sum down");
    cluster.settle(600);
    assert_eq!(cluster.evicted.len(), 8);
}

/// ```text
/// cluster        8 hosts × 8 GPUs = 64
/// └─ lab         reserves 16, limit 16
///    ├─ serving  reserves 8
///    └─ training
/// ```
fn limited_lab() -> Cluster {
    let pools = vec![
        pool("lab").gives(GPU, 16, Some(16), 1),
        pool("serving").under("lab").reserves(GPU, 8),
        pool("training").under("lab"),
    ];
    Cluster::new(pools, gpu_nodes(8, 8))
}

#[test]
fn what_siblings_borrow_counts_against_the_limit_of_their_parent() {
    let mut cluster = limited_lab();
    cluster.submit("train", job("training", asks(&[(GPU, 1)])).times(16));
    cluster.settle(1);
    cluster.submit("serve", job("serving", asks(&[(GPU, 8)])).firm());
    cluster.settle(1);
    assert_eq!(cluster.running("serve"), 0, "six hosts are free, and the limit is used up");
    cluster.settle(70);
    assert_eq!((cluster.running("serve"), cluster.used("lab", GPU)), (1, 16));
}

#[test]
fn what_a_claimant_is_promised_of_a_limit_is_not_lent_to_its_siblings() {
    let mut cluster = limited_lab();
    cluster.submit("train", job("training", asks(&[(GPU, 3)])).times(4));
    cluster.settle(1);
    cluster.submit("serve", job("serving", asks(&[(GPU, 8)])).firm());
    cluster.submit("more", job("training", asks(&[(GPU, 4)])));
    cluster.settle(70);
    // 12 - 6 + 8 = 14 of 16. While the two go, the limit has room for 4 more, which is not room for the claimant then.
    assert_eq!([cluster.running("serve"), cluster.running("more"), cluster.evicted.len()], [1, 0, 2]);
    cluster.settle(600);
    assert_eq!(cluster.evicted.len(), 2, "under constant demand evictions stop");
}
