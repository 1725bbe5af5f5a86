//! Claims from patience (B2), and what is lent beside the plans of others (B9).

use std::time::Duration;

use weir_queue::{Config, PodShape, Strategy};

use crate::cluster::*;

/// ```text
/// cluster  12 hosts × 2 GPUs, a firm pod of 1 on each
/// ├─ firm  reserves 12
/// ├─ a     a gang of 3 × 2
/// └─ b     a gang of 3 × 2
/// ```
#[test]
fn hosts_that_become_whole_go_to_the_oldest_claim_first() {
    let pools = vec![pool("firm").reserves(GPU, 12), pool("a"), pool("b")];
    let mut cluster = Cluster::new(pools, gpu_nodes(12, 2));
    for at in 0..12 {
        let mut shape = asks(&[(GPU, 1)]);
        let name = format!("gpu-{at:03}");
        shape.node_selector.insert("host".into(), name.clone());
        let mut host = gpu_nodes(12, 2).swap_remove(at);
        host.labels.insert("host".into(), name);
        cluster.events.push(weir_queue::Event::Node(host));
        cluster.submit(&format!("firm-{at}"), job("firm", shape).firm());
    }
    cluster.settle(1);
    cluster.submit("a", job("a", asks(&[(GPU, 2)])).gang(3));
    cluster.settle(1);
    cluster.submit("b", job("b", asks(&[(GPU, 2)])).gang(3));
    cluster.settle(700);
    assert_eq!([cluster.entitled("a", GPU), cluster.entitled("b", GPU)], [6, 6]);
    for at in [0, 1, 3, 4] {
        cluster.finish(&format!("firm-{at}"));
        cluster.settle(60);
    }
    assert_eq!([cluster.running("a"), cluster.running("b")], [3, 0], "three of four whole hosts are enough for one");
    for at in [6, 7] {
        cluster.finish(&format!("firm-{at}"));
        cluster.settle(60);
    }
    assert_eq!([cluster.running("a"), cluster.running("b")], [3, 3]);
}

/// ```text
/// cluster  8 hosts × 1 GPU
/// ├─ a     runs 8 singles
/// └─ b     entitled to 4: a gang of 6, and later one of 4
/// ```
#[test]
fn a_head_larger_than_the_entitlement_holds_nothing_and_is_in_no_pods_way() {
    for strategy in [Strategy::BestEffort, Strategy::Strict] {
        let pools = vec![pool("a"), pool("b").with(|it| it.strategy = strategy)];
        let mut cluster = Cluster::new(pools, gpu_nodes(8, 1));
        cluster.submit("singles", job("a", asks(&[(GPU, 1)])).times(8));
        cluster.settle(1);
        cluster.submit("large", job("b", asks(&[(GPU, 1)])).gang(6));
        cluster.settle(700);
        cluster.submit("small", job("b", asks(&[(GPU, 1)])).gang(4));
        cluster.settle(100);
        assert_eq!([cluster.running("large"), cluster.running("small")], [0, 4], "{strategy:?}");
    }
}

/// A pod of 8 GPUs for one zone.
fn in_zone(zone: &str) -> PodShape {
    let mut shape = asks(&[(GPU, 8)]);
    shape.node_selector.insert("zone".into(), zone.into());
    shape
}

/// ```text
/// cluster        2 hosts × 8 GPUs, in the zones east and west
/// ├─ production  reserves 16, waits for east for half an hour, twice
/// └─ lab         runs in east, and has a pod for west
/// ```
#[test]
fn what_a_claimant_cannot_use_is_lent_while_it_waits_for_its_plan() {
    let nodes = ["east", "west"].map(|zone| {
        let mut host = node(zone, &[(GPU, 8), ("cpu", 64_000)]);
        host.labels.insert("zone".into(), zone.into());
        host
    });
    let config = Config { hysteresis: Duration::from_secs(1800), ..Config::default() };
    let pools = vec![pool("production").reserves(GPU, 16), pool("lab")];
    let mut cluster = Cluster::with_config(pools, nodes.to_vec(), config);
    cluster.submit("east", job("lab", in_zone("east")));
    cluster.settle(1);
    cluster.submit("claimant", job("production", in_zone("east")).times(2));
    cluster.settle(10);
    cluster.submit("west", job("lab", in_zone("west")));
    cluster.settle(10);
    assert_eq!(["east", "west", "claimant"].map(|name| cluster.running(name)), [1, 1, 0]);
    cluster.settle(1800);
    assert_eq!(["east", "west", "claimant"].map(|name| cluster.running(name)), [0, 1, 1]);
}
